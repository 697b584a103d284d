/* Pages of orders, newest first; a customer's own only, if a customer asks. */
#include "svc-order/read.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE_DEFAULT 50
#define PAGE_LINES   2000 /* a page ends before more lines than that, so that its size is bounded */

struct list {
    const char *customer_id, *channel; /* "": any */
    int64_t before_us;
    const char *before_id;
    size_t max;
};

/* Two statements, as each has an index of its own to walk. */
static int query_list(struct txn *txn, const struct list *list, struct rows *ret_rows)
{
    if (list->customer_id[0] == '\0')
        return txn_query(txn, ret_rows,
                         "SELECT " ORDER_COLUMNS "WHERE (o.place_time_us, o.order_id) < ($1, $2) "
                         "AND ($3 = '' OR o.channel = $3) ORDER BY o.place_time_us DESC, o.order_id DESC LIMIT $4",
                         I(list->before_us), T(list->before_id), T(list->channel), I(list->max));
    return txn_query(txn, ret_rows,
                     "SELECT " ORDER_COLUMNS "WHERE o.customer_id = $5 AND (o.place_time_us, o.order_id) < ($1, $2) "
                     "AND ($3 = '' OR o.channel = $3) ORDER BY o.place_time_us DESC, o.order_id DESC LIMIT $4",
                     I(list->before_us), T(list->before_id), T(list->channel), I(list->max), T(list->customer_id));
}

/* How many of the rows make a page: as many as asked for, unless they have too many lines. */
static size_t page_length(const struct rows *rows, size_t max)
{
    size_t n = 0;
    int64_t lines = 0;
    while (n < rows->n && n < max) {
        lines += row_int(rows, n, ORDER_COLUMN_LINES);
        if (n && lines > PAGE_LINES)
            break;
        n++;
    }
    return n;
}

/* The query is what the page token holds for: a customer's own list is another one than staff's of all. */
static int open_list(struct rpc_call *call, const ListOrdersRequest *req, struct list *list, const char **ret_query)
{
    list->customer_id = req->customer_id[0] ? req->customer_id : rpc_owner(call);
    list->channel = req->channel;
    list->before_us = INT64_MAX;
    list->before_id = "";
    list->max = req->page_size ? req->page_size : PAGE_DEFAULT;

    const char *query = arena_printf(rpc_arena(call), "orders %s\n%s", list->customer_id, list->channel), *after[2];
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, after, 2);
    if (r < 0)
        return r;
    if (after[0] && after[1]) {
        list->before_us = strtoll(after[0], NULL, 10);
        list->before_id = after[1];
    }
    *ret_query = query;
    return 0;
}

int list_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    ListOrdersResponse *ret = out;
    struct list list;
    const char *query = NULL;
    int r = open_list(call, in, &list, &query);
    if (r < 0)
        return r;

    struct rows rows;
    size_t max = list.max++;
    r = query_list(txn, &list, &rows);
    if (r < 0)
        return r;
    size_t n = page_length(&rows, max);
    r = orders_read(txn, &rows, n, &ret->orders);
    if (r < 0)
        return r;
    ret->n_orders = n;
    if (n == rows.n)
        return 0;
    const Order *last = ret->orders[n - 1];
    const char *after[] = { arena_printf(txn->arena, "%lld", (long long)last->place_time_us), last->order_id };
    ret->next_page_token = after[0] ? (char *)rpc_page_token(call, query, after, 2) : NULL;
    return ret->next_page_token ? 0 : -ENOMEM;
}
