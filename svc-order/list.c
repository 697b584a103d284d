/* Pages of orders that have begun, newest first; a customer's own only, if a customer asks.
 *
 * What an index serves of a filter is looked for, the rest is judged row by row: a page looks at so many rows, and may
 * be short, or empty, with a token that leads on (AIP-158). */
#include "svc-order/read.h"
#include "svc-order/search.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE_DEFAULT 50
#define PAGE_LINES   1000 /* a page ends before more lines than that, so that its size is bounded */
#define LOOK_ROWS    500  /* so many are looked at for a page */
#define LOOK_LINES   1000
#define CHUNK        100 /* in one statement */

struct list {
    struct search search;
    /* What an index is walked or asked for; "": not by that. */
    const char *customer_id, *order_id, *external_id, *channel;
    int64_t since_us;
    int64_t before_us; /* where the walk stands */
    const char *before_id;
    struct picked picked;
    bool more;
};

#define COLUMNS SEARCH_ORDER("CAST($1 AS BIGINT)") "FROM sales_order o "
#define BEFORE  "(o.place_time_us, o.order_id) < ($2, $3) AND o.place_time_us >= $4 "
#define NEWEST  "ORDER BY o.place_time_us DESC, o.order_id DESC LIMIT "

/* A statement for each index. */
static int query_rows(struct txn *txn, const struct list *list, size_t max, struct rows *ret_rows)
{
    struct value country = search_country(&list->search);
    if (list->order_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " COLUMNS "WHERE o.order_id = $5 AND ($6 = '' OR o.customer_id = $6) AND " BEFORE,
                         country, I(list->before_us), T(list->before_id), I(list->since_us), T(list->order_id),
                         T(list->customer_id));
    if (list->external_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " COLUMNS "WHERE o.channel = $5 AND o.external_id = $6 AND o.external_id <> '' "
                         "AND ($7 = '' OR o.customer_id = $7) AND " BEFORE,
                         country, I(list->before_us), T(list->before_id), I(list->since_us), T(list->channel),
                         T(list->external_id), T(list->customer_id));
    if (list->customer_id[0])
        return txn_query(txn, ret_rows, "SELECT " COLUMNS "WHERE o.customer_id = $5 AND " BEFORE NEWEST "$6", country,
                         I(list->before_us), T(list->before_id), I(list->since_us), T(list->customer_id),
                         I((int64_t)max));
    return txn_query(txn, ret_rows, "SELECT " COLUMNS "WHERE " BEFORE NEWEST "$5", country, I(list->before_us),
                     T(list->before_id), I(list->since_us), I((int64_t)max));
}

static int look_through(struct txn *txn, struct list *list)
{
    bool judged = list->search.filter || list->search.channel[0];
    size_t chunk = judged ? CHUNK : list->picked.max + 1;
    for (size_t looked = 0; !list->more; looked += chunk) {
        struct rows rows;
        const bool *fits;
        int r = query_rows(txn, list, chunk, &rows);
        int n = r == 0 ? search_judge(txn, &list->search, &rows, &fits) : r;
        if (n < 0)
            return n;
        size_t passed = search_pick(&list->picked, &rows, (size_t)n, fits);
        if (passed > 0) {
            list->before_us = row_int(&rows, passed - 1, FIELD_PLACE_TIME);
            list->before_id = row_text(&rows, passed - 1, FIELD_ORDER_ID);
        }
        if (passed == rows.n && rows.n < chunk)
            return 0;
        list->more = passed < rows.n || looked + chunk >= LOOK_ROWS;
    }
    return 0;
}

/* What every order that fits has, in words that an index knows. */
static void plan(struct list *list, const ListOrdersRequest *req, const char *owner)
{
    const struct filter *filter = list->search.filter;
    const char *customer_id = filter_only_text(filter, FIELD_CUSTOMER_ID);
    const char *order_id = filter_only_text(filter, FIELD_ORDER_ID);
    const char *external_id = filter_only_text(filter, FIELD_EXTERNAL_ID);
    const char *channel = req->channel[0] ? req->channel : filter_only_text(filter, FIELD_CHANNEL);
    list->customer_id = req->customer_id[0] ? req->customer_id : owner[0] ? owner : customer_id ? customer_id : "";
    list->order_id = order_id ? order_id : "";
    list->external_id = external_id && channel ? external_id : "";
    list->channel = channel ? channel : "";

    int64_t until_us = INT64_MAX - 1;
    list->since_us = INT64_MIN;
    filter_range(filter, FIELD_PLACE_TIME, &list->since_us, &until_us);
    list->before_us = until_us + 1;
    list->before_id = "";
}

/* The query is what the page token holds for: a customer's own list is another one than staff's of all. */
static int open_list(struct rpc_call *call, const ListOrdersRequest *req, struct list *list, const char **ret_query)
{
    const char *owner = rpc_owner(call), *after[2];
    list->search = (struct search){ .channel = req->channel, .lines_left = LOOK_LINES };
    int r = filter_parse(call, req->filter, search_fields, &list->search.filter);
    if (r < 0)
        return r;
    plan(list, req, owner);
    struct picked *picked = &list->picked;
    picked->max = req->page_size ? (size_t)req->page_size : PAGE_DEFAULT;
    picked->max_lines = PAGE_LINES;
    picked->ids = arena_alloc(rpc_arena(call), picked->max * sizeof(*picked->ids));
    const char *query = *ret_query =
        arena_printf(rpc_arena(call), "orders %s\n%s\n%s\n%s", owner, req->customer_id, req->channel, req->filter);
    r = query && picked->ids ? rpc_page_open(call, req->page_token, query, after, 2) : -ENOMEM;
    if (r == 0 && after[0] && after[1]) {
        list->before_us = strtoll(after[0], NULL, 10);
        list->before_id = after[1];
    }
    return r;
}

int list_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    ListOrdersResponse *ret = out;
    struct list list = { 0 };
    const char *query = NULL;
    int r = open_list(call, in, &list, &query);
    if (r == 0)
        r = look_through(txn, &list);
    if (r == 0)
        r = orders_read(txn, list.picked.ids, list.picked.n, true, &ret->orders);
    if (r < 0)
        return r;
    ret->n_orders = list.picked.n;
    if (!list.more)
        return 0;
    const char *after[] = { arena_printf(txn->arena, "%lld", (long long)list.before_us), list.before_id };
    ret->next_page_token = after[0] ? (char *)rpc_page_token(call, query, after, 2) : NULL;
    return ret->next_page_token ? 0 : -ENOMEM;
}
