/* Entries of ImportOrders, in one line each: what an ERP tells a shop that has five cups at 4 in L1, and mugs at 1 and
 * postage at 3, which is not stocked. */
#pragma once

#include "svc-order/api.h"
#include "tests/shop/shop.h"

extern struct shop s;

void open_shop(void);
ImportOrdersRequest *chunk(void);
/* Anna's, of the channel erp, in France, a second after the epoch. */
NewOrder *entry(ImportOrdersRequest *req, const char *external_id);
/* A line that was sold elsewhere. */
PlaceLine *sold(NewOrder *e, const char *sku, int64_t quantity, int64_t units);
/* A cancelled one. */
CancelledLine *back(NewOrder *e, const char *sku, int64_t quantity, int64_t units, const char *external_id,
                    const char *reason);
const ImportOrdersResponse *import(const ImportOrdersRequest *req);
const ImportResult *ck_taken(const ImportOrdersResponse *ret, size_t i);
void ck_entry_refused(const ImportOrdersResponse *ret, size_t i, const char *reason, const char *field);
/* Imports order "1": five cups at 4, two mugs at 1, postage at 3; its id. */
const char *sell(void);
