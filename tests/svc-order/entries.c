/* Entries of ImportOrders, in one line each. */
#include "tests/svc-order/entries.h"

#include <check.h>

struct shop s;

void open_shop(void)
{
    shop_open(&s, 1);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 0));
    upsert(&s, product(&s, "MUG", 1, 0));
    Product *post = product(&s, "POST", 3, 0);
    post->variants[0]->stocked = false;
    upsert(&s, post);
    stock(&s, "CUP", "L1", 5);
    shop_settle(&s);
}

ImportOrdersRequest *chunk(void)
{
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    req->request_id = fresh(&s);
    req->orders = arena_alloc(&s.arena, 100 * sizeof(*req->orders));
    return req;
}

NewOrder *entry(ImportOrdersRequest *req, const char *external_id)
{
    NewOrder *e = arena_message(&s.arena, &oms__order__v1__import_orders_request__entry__descriptor);
    Address *address = arena_message(&s.arena, &oms__order__v1__address__descriptor);
    e->lines = arena_alloc(&s.arena, 1000 * sizeof(*e->lines));
    e->cancelled = arena_alloc(&s.arena, 1000 * sizeof(*e->cancelled));
    e->customer_id = "cus_anna";
    e->currency_code = "GBP";
    e->channel = "erp";
    e->external_id = (char *)external_id;
    e->place_time_us = 1000000;
    e->ship_to = address;
    address->country = "France";
    req->orders[req->n_orders++] = e;
    return e;
}

PlaceLine *sold(NewOrder *e, const char *sku, int64_t quantity, int64_t units)
{
    PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
    line->sku = (char *)sku;
    line->quantity = quantity;
    line->unit_price = money(&s, "GBP", units, 0);
    e->lines[e->n_lines++] = line;
    e->fulfilled = true;
    return line;
}

CancelledLine *back(NewOrder *e, const char *sku, int64_t quantity, int64_t units, const char *external_id,
                    const char *reason)
{
    CancelledLine *line = arena_message(&s.arena, &oms__order__v1__import_orders_request__cancelled__descriptor);
    line->sku = (char *)sku;
    line->quantity = quantity;
    line->unit_price = money(&s, "GBP", units, 0);
    line->external_id = (char *)external_id;
    line->reason = (char *)reason;
    e->cancelled[e->n_cancelled++] = line;
    return line;
}

const ImportOrdersResponse *import(const ImportOrdersRequest *req)
{
    return get(&s, &erp, "ImportOrders", req);
}

const ImportResult *ck_taken(const ImportOrdersResponse *ret, size_t i)
{
    if (ret->results[i]->refusal)
        ck_abort_msg("entry %zu is refused: %s", i, ret->results[i]->refusal->reason);
    return ret->results[i];
}

void ck_entry_refused(const ImportOrdersResponse *ret, size_t i, const char *reason, const char *field)
{
    ck_assert_ptr_nonnull(ret->results[i]->refusal);
    ck_assert_str_eq(ret->results[i]->refusal->reason, reason);
    ck_assert_str_eq(ret->results[i]->refusal->field, field);
}

/* One order "1": five cups at 4, two mugs at 1, postage at 3. */
const char *sell(void)
{
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, "1");
    sold(e, "CUP", 5, 4);
    sold(e, "MUG", 2, 1);
    sold(e, "POST", 1, 3);
    return ck_taken(import(req), 0)->order_id;
}
