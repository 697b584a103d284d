/* Orders as they are read: one of them, or a page of them, newest first; a customer's own only, if a customer asks. */
#include "svc-order/order.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define PAGE_LINES   2000 /* a page ends before more lines than that, so that its size is bounded */

/* The same columns in the same order in every statement. */
#define ORDER_COLUMNS \
    "o.order_id, o.customer_id, o.state, o.currency, o.total_minor, o.lines, o.channel, o.external_id, o.placed_by, " \
    "o.place_time_us, o.update_time_us, o.version, o.reject_reason, o.payment_state, o.fulfillment_state, " \
    "o.payment_id, o.captured_minor, a.email, a.name, a.street1, a.street2, a.street3, a.street4, a.city, " \
    "a.postal_code, a.country " \
    "FROM sales_order o LEFT JOIN order_address a ON a.order_id = o.order_id "
enum { COLUMN_CURRENCY = 3, COLUMN_LINES = 5, COLUMN_EMAIL = 17, COLUMN_ADDRESS = 18, COLUMN_STREET = 19, STREETS = 4 };

static int read_address(struct txn *txn, const struct rows *rows, size_t row, Address **ret_address)
{
    Address *address = arena_message(txn->arena, &oms__order__v1__address__descriptor);
    if (!address)
        return -ENOMEM;
    address->street = arena_alloc(txn->arena, STREETS * sizeof(char *));
    if (!address->street)
        return -ENOMEM;
    for (size_t i = 0; i < STREETS; i++) {
        address->street[i] = (char *)row_text(rows, row, COLUMN_STREET + i);
        if (address->street[i][0])
            address->n_street = i + 1;
    }
    address->name = (char *)row_text(rows, row, COLUMN_ADDRESS);
    address->city = (char *)row_text(rows, row, COLUMN_STREET + STREETS);
    address->postal_code = (char *)row_text(rows, row, COLUMN_STREET + STREETS + 1);
    address->country = (char *)row_text(rows, row, COLUMN_STREET + STREETS + 2);
    *ret_address = address;
    return 0;
}

static int read_head(struct txn *txn, const struct rows *rows, size_t row, Order *order)
{
    *order = (Order){
        .base = order->base,
        .order_id = (char *)row_text(rows, row, 0),
        .customer_id = (char *)row_text(rows, row, 1),
        .state = (Oms__Order__V1__Order__State)row_int(rows, row, 2),
        .total = money_to_wire(txn->arena, row_int(rows, row, 4), row_text(rows, row, COLUMN_CURRENCY)),
        .channel = (char *)row_text(rows, row, 6),
        .external_id = (char *)row_text(rows, row, 7),
        .placed_by = (char *)row_text(rows, row, 8),
        .place_time_us = row_int(rows, row, 9),
        .update_time_us = row_int(rows, row, 10),
        .version = row_int(rows, row, 11),
        .etag = arena_printf(txn->arena, "v%lld", (long long)row_int(rows, row, 11)),
        .reject_reason = (char *)row_text(rows, row, 12),
        .payment_state = (Oms__Order__V1__Order__PaymentState)row_int(rows, row, 13),
        .fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)row_int(rows, row, 14),
        .payment_id = (char *)row_text(rows, row, 15),
        .captured = money_to_wire(txn->arena, row_int(rows, row, 16), row_text(rows, row, COLUMN_CURRENCY)),
        .email = (char *)row_text(rows, row, COLUMN_EMAIL),
        .lines = arena_alloc(txn->arena, row_int(rows, row, COLUMN_LINES) * sizeof(OrderLine *)),
    };
    if (!order->total || !order->captured || !order->etag || !order->lines)
        return -ENOMEM;
    return row_null(rows, row, COLUMN_ADDRESS) ? 0 : read_address(txn, rows, row, &order->ship_to);
}

static int read_line(struct txn *txn, const struct rows *rows, size_t row, const char *currency, OrderLine **ret_line)
{
    OrderLine *line = arena_message(txn->arena, &oms__order__v1__order_line__descriptor);
    int64_t unit = row_int(rows, row, 4), total;
    if (!line)
        return -ENOMEM;
    line->sku = (char *)row_text(rows, row, 1);
    line->title = (char *)row_text(rows, row, 2);
    line->quantity = row_int(rows, row, 3);
    line->shipped = row_int(rows, row, 5);
    line->cancelled = row_int(rows, row, 6);
    int r = money_multiply(unit, line->quantity, &total);
    if (r < 0)
        return r;
    line->unit_price = money_to_wire(txn->arena, unit, currency);
    line->line_total = money_to_wire(txn->arena, total, currency);
    *ret_line = line;
    return line->unit_price && line->line_total ? 0 : -ENOMEM;
}

static Order *find_order(Order *const *orders, size_t n, const char *order_id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(orders[i]->order_id, order_id) == 0)
            return orders[i];
    }
    return NULL;
}

/* Each order's lines come together and in their places, the orders in any order. */
static int read_lines(struct txn *txn, Order *const *orders, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(orders[i]->order_id);
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (order_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT l.order_id, l.sku, l.title, l.quantity, l.unit_minor, l.shipped, l.cancelled "
                           "FROM wanted JOIN order_line l ON l.order_id = wanted.order_id ORDER BY l.order_id, l.place",
                           n, 1, ids);
    if (r < 0)
        return r;

    Order *order = NULL;
    for (size_t i = 0; i < rows.n; i++) {
        if (!order || strcmp(order->order_id, row_text(&rows, i, 0)) != 0)
            order = find_order(orders, n, row_text(&rows, i, 0));
        r = read_line(txn, &rows, i, order->total->currency_code, &order->lines[order->n_lines++]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The first n of the rows, without their lines. */
static int read_heads(struct txn *txn, const struct rows *rows, size_t n, Order ***ret_orders)
{
    Order **orders = arena_alloc(txn->arena, n * sizeof(Order *));
    if (!orders)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        orders[i] = arena_message(txn->arena, &oms__order__v1__order__descriptor);
        int r = orders[i] ? read_head(txn, rows, i, orders[i]) : -ENOMEM;
        if (r < 0)
            return r;
    }
    *ret_orders = orders;
    return 0;
}

static int read_orders(struct txn *txn, const struct rows *rows, size_t n, Order ***ret_orders)
{
    int r = read_heads(txn, rows, n, ret_orders);
    return r < 0 ? r : read_lines(txn, *ret_orders, n);
}

int order_read(struct txn *txn, const char *order_id, const char *owner, Order **ret_order)
{
    struct rows rows;
    Order **orders;
    int r = txn_query(txn, &rows, "SELECT " ORDER_COLUMNS "WHERE o.order_id = $1 AND ($2 = '' OR o.customer_id = $2)",
                      T(order_id), T(owner));
    if (r < 0)
        return r;
    r = read_orders(txn, &rows, rows.n, &orders);
    if (r < 0)
        return r;
    *ret_order = rows.n ? orders[0] : NULL;
    return 0;
}

int get_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetOrderRequest *req = in;
    GetOrderResponse *ret = out;
    int r = order_read(txn, req->order_id, rpc_owner(call), &ret->order);
    if (r < 0)
        return r;
    if (!ret->order)
        return rpc_fail_missing(call, "order", req->order_id);
    return log_position_message(txn, &ret->position);
}

int batch_get_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const BatchGetOrdersRequest *req = in;
    BatchGetOrdersResponse *ret = out;
    struct rows rows;
    struct value *ids = arena_alloc(txn->arena, req->n_order_ids * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < req->n_order_ids; i++)
        ids[i] = T(req->order_ids[i]);
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (order_id) AS (VALUES (CAST($1 AS TEXT))) SELECT " ORDER_COLUMNS
                           "WHERE o.order_id IN (SELECT order_id FROM wanted)",
                           req->n_order_ids, 1, ids);
    if (r == 0)
        r = read_heads(txn, &rows, rows.n, &ret->orders);
    if (r < 0)
        return r;
    ret->n_orders = rows.n;
    return log_position_message(txn, &ret->position);
}

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
        lines += row_int(rows, n, COLUMN_LINES);
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
    r = read_orders(txn, &rows, n, &ret->orders);
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
