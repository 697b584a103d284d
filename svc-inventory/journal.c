/* ListMovements: the journal of the shelves. */
#include "svc-inventory/inventory.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE_DEFAULT 50

/* Behind which movement a page begins. */
struct place {
    const char *sku, *location_id;
    int64_t version;
};

/* Shelf by shelf, each from its latest version down: both are read by their keys. */
static int read_shelves(struct txn *txn, const ListMovementsRequest *req, const struct place *after, size_t max,
                        struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT m.sku, m.location_id, m.version, m.on_hand, m.reserved, m.reason, m.ref, m.document_id, "
                     "m.time_us, CASE WHEN m.effective_us = 0 THEN m.time_us ELSE m.effective_us END "
                     "AS effective_time_us FROM stock s JOIN movement m ON m.sku = s.sku "
                     "AND m.location_id = s.location_id WHERE (s.sku, s.location_id) >= ($1, $2) AND s.sku >= $4 "
                     "AND s.sku <= $5 AND ($6 = '' OR s.location_id = $6) AND m.version < "
                     "CASE WHEN s.sku = $1 AND s.location_id = $2 THEN $3 ELSE 9223372036854775807 END "
                     "ORDER BY s.sku, s.location_id, m.version DESC LIMIT $7",
                     T(after->sku), T(after->location_id), I(after->version), T(req->sku),
                     T(req->sku[0] ? req->sku : "\U0010ffff"), T(req->location_id), I((int64_t)max));
}

/* Of one document there are few, so that they may be sorted. */
static int read_document(struct txn *txn, const ListMovementsRequest *req, const struct place *after, size_t max,
                         struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, location_id, version, on_hand, reserved, reason, ref, document_id, time_us, "
                     "CASE WHEN effective_us = 0 THEN time_us ELSE effective_us END AS effective_time_us FROM movement "
                     "WHERE document_id = $1 AND document_id <> '' AND ((sku, location_id) > ($2, $3) "
                     "OR (sku = $2 AND location_id = $3 AND version < $4)) AND ($5 = '' OR sku = $5) "
                     "AND ($6 = '' OR location_id = $6) ORDER BY sku, location_id, version DESC LIMIT $7",
                     T(req->document_id), T(after->sku), T(after->location_id), I(after->version), T(req->sku),
                     T(req->location_id), I((int64_t)max));
}

static int add_movements(struct txn *txn, const struct rows *rows, size_t n, ListMovementsResponse *ret)
{
    ret->movements = arena_alloc(txn->arena, n * sizeof(Movement *));
    if (!ret->movements)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        Movement *movement = arena_message(txn->arena, &oms__inventory__v1__movement__descriptor);
        int r = movement ? row_message(rows, i, &movement->base) : -ENOMEM;
        if (r < 0)
            return r;
        ret->movements[ret->n_movements++] = movement;
    }
    return 0;
}

int list_movements(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListMovementsRequest *req = in;
    ListMovementsResponse *ret = out;
    size_t max = req->page_size ? (size_t)req->page_size : PAGE_DEFAULT;
    const char *query =
        arena_printf(rpc_arena(call), "movements %s\n%s\n%s", req->sku, req->location_id, req->document_id);
    const char *fields[3];
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, fields, 3);
    if (r < 0)
        return r;
    struct place after = { req->sku, "", 0 };
    if (fields[0])
        after = (struct place){ fields[0], fields[1], strtoll(fields[2], NULL, 10) };

    struct rows rows;
    r = req->document_id[0] ? read_document(txn, req, &after, max + 1, &rows)
                            : read_shelves(txn, req, &after, max + 1, &rows);
    if (r == 0)
        r = add_movements(txn, &rows, rows.n > max ? max : rows.n, ret);
    if (r < 0 || rows.n <= max)
        return r;
    const Movement *last = ret->movements[max - 1];
    const char *version = arena_printf(rpc_arena(call), "%llu", (unsigned long long)last->version);
    if (!version)
        return -ENOMEM;
    ret->next_page_token =
        (char *)rpc_page_token(call, query, (const char *[]){ last->sku, last->location_id, version }, 3);
    return ret->next_page_token ? 0 : -ENOMEM;
}
