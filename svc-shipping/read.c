/* Fulfilments as they are read: one of them with its tracking, or a page of them, oldest first; a customer's own only,
 * if a customer asks. */
#include "svc-shipping/shipping.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define PAGE_LINES   2000 /* a page ends before more lines than that, so that its size is bounded */
#define LOOK_ROWS    1000 /* so many are looked at for a page */
#define CHUNK        200  /* in one statement */

static void read_head(const struct rows *rows, size_t row, Fulfillment *f)
{
    *f = (Fulfillment){
        .base = f->base,
        .fulfillment_id = (char *)row_text(rows, row, 0),
        .order_id = (char *)row_text(rows, row, 1),
        .customer_id = (char *)row_text(rows, row, 2),
        .location_id = (char *)row_text(rows, row, 3),
        .state = standing_state((enum standing)row_int(rows, row, COLUMN_STANDING)),
        .carrier = (char *)row_text(rows, row, 7),
        .tracking_number = (char *)row_text(rows, row, 8),
        .promise_time_us = row_int(rows, row, 9),
        .delayed = row_int(rows, row, 10),
        .exception = (char *)row_text(rows, row, 11),
        .create_time_us = row_int(rows, row, 12),
        .update_time_us = row_int(rows, row, 13),
        .version = row_int(rows, row, 14),
        .operation_id = (char *)row_text(rows, row, 15),
    };
}

/* Adds what is there to the lines, and what is not to the missing ones. */
static int add_line(struct txn *txn, Fulfillment *f, const struct rows *rows, size_t row)
{
    const int64_t quantities[] = { row_int(rows, row, 3) - row_int(rows, row, 4), row_int(rows, row, 4) };
    for (int missing = 0; missing < 2; missing++) {
        if (quantities[missing] == 0)
            continue;
        FulfillmentLine *line = arena_message(txn->arena, &oms__shipping__v1__fulfillment_line__descriptor);
        if (!line)
            return -ENOMEM;
        line->place = (int32_t)row_int(rows, row, 1);
        line->sku = (char *)row_text(rows, row, 2);
        line->quantity = quantities[missing];
        *(missing ? &f->missing[f->n_missing++] : &f->lines[f->n_lines++]) = line;
    }
    return 0;
}

static Fulfillment *find(Fulfillment *const *fulfillments, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fulfillments[i]->fulfillment_id, id) == 0)
            return fulfillments[i];
    }
    return NULL;
}

/* Each one's lines come together and in their order, the fulfilments in any order. */
static int read_lines(struct txn *txn, Fulfillment *const *fulfillments, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(fulfillments[i]->fulfillment_id);
    struct rows rows;
    int r = txn_query_many(
        txn, &rows,
        "WITH wanted (id) AS (VALUES (CAST($1 AS TEXT))) "
        "SELECT l.fulfillment_id, l.place, l.sku, l.quantity, l.missing FROM wanted "
        "CROSS JOIN fulfillment_line l WHERE l.fulfillment_id = wanted.id ORDER BY l.fulfillment_id, l.n",
        n, 1, ids);
    if (r < 0)
        return r;

    Fulfillment *f = NULL;
    for (size_t i = 0; i < rows.n; i++) {
        if (!f || strcmp(f->fulfillment_id, row_text(&rows, i, 0)) != 0)
            f = find(fulfillments, n, row_text(&rows, i, 0));
        r = add_line(txn, f, &rows, i);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Without its lines, for which it has room. */
static int make(struct txn *txn, const struct rows *rows, size_t row, Fulfillment **ret_fulfillment)
{
    Fulfillment *f = arena_message(txn->arena, &oms__shipping__v1__fulfillment__descriptor);
    if (!f)
        return -ENOMEM;
    read_head(rows, row, f);
    f->lines = arena_alloc(txn->arena, row_int(rows, row, COLUMN_LINES) * sizeof(FulfillmentLine *));
    f->missing = arena_alloc(txn->arena, row_int(rows, row, COLUMN_LINES) * sizeof(FulfillmentLine *));
    *ret_fulfillment = f;
    return f->lines && f->missing ? 0 : -ENOMEM;
}

int fulfillments_read(struct txn *txn, const struct rows *rows, size_t n, Fulfillment ***ret_fulfillments)
{
    Fulfillment **fulfillments = arena_alloc(txn->arena, n * sizeof(Fulfillment *));
    int r = fulfillments ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = make(txn, rows, i, &fulfillments[i]);
    if (r == 0 && n > 0)
        r = read_lines(txn, fulfillments, n);
    if (r < 0)
        return r;
    *ret_fulfillments = fulfillments;
    return 0;
}

/* --- one --- */

static int read_tracking(struct txn *txn, Fulfillment *f)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT type, time_us FROM tracking_event WHERE fulfillment_id = $1 ORDER BY version",
                      T(f->fulfillment_id));
    if (r < 0)
        return r;
    f->tracking = arena_alloc(txn->arena, rows.n * sizeof(TrackingEvent *));
    if (!f->tracking)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        TrackingEvent *event = arena_message(txn->arena, &oms__shipping__v1__tracking_event__descriptor);
        r = event ? row_message(&rows, i, &event->base) : -ENOMEM;
        if (r < 0)
            return r;
        f->tracking[f->n_tracking++] = event;
    }
    return 0;
}

/* The first of the rows is the reply. */
static int reply_one(struct txn *txn, const struct rows *rows, FulfillmentResponse *ret)
{
    Fulfillment **fulfillments;
    int r = fulfillments_read(txn, rows, 1, &fulfillments);
    if (r < 0)
        return r;
    r = read_tracking(txn, fulfillments[0]);
    if (r < 0)
        return r;
    ret->fulfillment = fulfillments[0];
    return log_position_message(txn, &ret->position);
}

int get_fulfillment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetFulfillmentRequest *req = in;
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f "
                      "WHERE f.fulfillment_id = $1 AND ($2 = '' OR f.customer_id = $2)",
                      T(req->fulfillment_id), T(rpc_owner(call)));
    if (r < 0)
        return r;
    return rows.n ? reply_one(txn, &rows, out) : rpc_fail_missing(call, "fulfillment", req->fulfillment_id);
}

int track_fulfillment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const TrackRequest *req = in;
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f WHERE f.tracking_number = $1 "
                      "AND f.tracking_number <> '' AND ($2 = '' OR f.customer_id = $2) "
                      "ORDER BY f.fulfillment_id DESC LIMIT 1",
                      T(req->tracking_number), T(rpc_owner(call)));
    if (r < 0)
        return r;
    return rows.n ? reply_one(txn, &rows, out) : rpc_fail_missing(call, "shipment", req->tracking_number);
}

/* --- a page: it looks at so many rows, and may be short, or empty, with a token that leads on (AIP-158) --- */

struct list {
    const char *owner, *order_id, *location_id; /* "": any */
    struct standings standings;
    const char *after_id; /* where the walk stands */
    Fulfillment **found;  /* room for max */
    size_t n, max;
    int64_t lines;
    bool more;
};

#define NEXT(n) "AND f.fulfillment_id > $1 ORDER BY f.fulfillment_id LIMIT " n

/* Several statements, as each has an index of its own to walk; what else is asked is judged row by row, so that none
 * looks at more rows than it gives. */
static int query_list(struct txn *txn, const struct list *list, size_t max, struct rows *ret_rows)
{
    if (list->order_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f WHERE f.order_id = $2 " NEXT("$3"),
                         T(list->after_id), T(list->order_id), I((int64_t)max));
    if (list->owner[0])
        return txn_query(txn, ret_rows,
                         "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f WHERE f.customer_id = $2 " NEXT("$3"),
                         T(list->after_id), T(list->owner), I((int64_t)max));
    if (list->location_id[0] && list->standings.last <= LATE)
        return txn_query(txn, ret_rows,
                         "SELECT " FULFILLMENT_COLUMNS
                         "FROM fulfillment f WHERE f.location_id = $2 AND f.standing <= 6 " NEXT("$3"),
                         T(list->after_id), T(list->location_id), I((int64_t)max));
    return txn_query(txn, ret_rows, "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f WHERE TRUE " NEXT("$2"),
                     T(list->after_id), I((int64_t)max));
}

static bool is_meant(const char *wanted, const char *text)
{
    return !wanted[0] || strcmp(wanted, text) == 0;
}

static bool fits(const struct list *list, const struct rows *rows, size_t row)
{
    enum standing standing = (enum standing)row_int(rows, row, COLUMN_STANDING);
    return standing >= list->standings.first && standing <= list->standings.last &&
           is_meant(list->owner, row_text(rows, row, 2)) && is_meant(list->location_id, row_text(rows, row, 3));
}

/* Puts the row on the page, if it fits. 1: it has no room there; the first always has. */
static int take(struct txn *txn, struct list *list, const struct rows *rows, size_t row)
{
    int64_t lines = row_int(rows, row, COLUMN_LINES);
    if (!fits(list, rows, row))
        return 0;
    if (list->n == list->max || (list->n > 0 && list->lines + lines > PAGE_LINES))
        return 1;
    list->lines += lines;
    return make(txn, rows, row, &list->found[list->n++]);
}

static int look_through(struct txn *txn, struct list *list)
{
    bool all = list->standings.first == ALLOCATED && list->standings.last == STANDINGS && !list->location_id[0];
    size_t chunk = all ? list->max + 1 : CHUNK;
    if (list->standings.first > list->standings.last)
        return 0;
    for (size_t looked = 0; !list->more; looked += chunk) {
        struct rows rows;
        int r = query_list(txn, list, chunk, &rows);
        size_t row = 0;
        for (; r == 0 && row < rows.n && (r = take(txn, list, &rows, row)) == 0; row++)
            list->after_id = row_text(&rows, row, 0);
        if (r < 0)
            return r;
        if (row == rows.n && rows.n < chunk)
            return 0;
        list->more = r > 0 || looked + chunk >= LOOK_ROWS;
    }
    return 0;
}

/* The query is what the page token holds for: a customer's own list is another one than staff's of all. */
static int open_list(struct rpc_call *call, const ListFulfillmentsRequest *req, struct list *list,
                     const char **ret_query)
{
    *list = (struct list){
        .owner = rpc_owner(call),
        .order_id = req->order_id,
        .location_id = req->location_id,
        .standings = standings_of(req->state),
        .after_id = "",
        .max = req->page_size ? req->page_size : PAGE_DEFAULT,
    };
    const char *after[1], *query = arena_printf(rpc_arena(call), "fulfillments %s\n%s\n%s\n%d", list->owner,
                                                list->order_id, list->location_id, (int)req->state);
    list->found = arena_alloc(rpc_arena(call), list->max * sizeof(Fulfillment *));
    if (!query || !list->found)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, after, 1);
    if (r < 0)
        return r;
    if (after[0])
        list->after_id = after[0];
    *ret_query = query;
    return 0;
}

int list_fulfillments(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    ListFulfillmentsResponse *ret = out;
    struct list list;
    const char *query = NULL;
    int r = open_list(call, in, &list, &query);
    if (r == 0)
        r = look_through(txn, &list);
    if (r == 0 && list.n > 0)
        r = read_lines(txn, list.found, list.n);
    if (r < 0)
        return r;
    ret->fulfillments = list.found;
    ret->n_fulfillments = list.n;
    if (!list.more)
        return 0;
    ret->next_page_token = (char *)rpc_page_token(call, query, &list.after_id, 1);
    return ret->next_page_token ? 0 : -ENOMEM;
}
