/* Orders as they are read: rows made into messages, and one order or some by their ids. */
#include "svc-order/read.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

enum { COLUMN_CURRENCY = 3, COLUMN_LINES = 5, COLUMN_EMAIL = 19, COLUMN_ADDRESS = 20, COLUMN_STREET = 21, STREETS = 4 };
#define WANTED_COLUMNS 2

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
        .credited = money_to_wire(txn->arena, row_int(rows, row, 17), row_text(rows, row, COLUMN_CURRENCY)),
        .fulfilled_elsewhere = row_int(rows, row, 18),
        .email = (char *)row_text(rows, row, COLUMN_EMAIL),
        .lines = arena_alloc(txn->arena, row_int(rows, row, COLUMN_LINES) * sizeof(OrderLine *)),
    };
    if (!order->total || !order->captured || !order->credited || !order->etag || !order->lines)
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
    line->returned = row_int(rows, row, 7);
    int r = money_multiply(unit, line->quantity, &total);
    if (r < 0)
        return r;
    line->unit_price = money_to_wire(txn->arena, unit, currency);
    line->line_total = money_to_wire(txn->arena, total, currency);
    *ret_line = line;
    return line->unit_price && line->line_total ? 0 : -ENOMEM;
}

/* Each id with its place among them. */
static struct value *wanted(struct txn *txn, const char *const *ids, size_t n)
{
    struct value *values = arena_alloc(txn->arena, (n + 1) * WANTED_COLUMNS * sizeof(*values));
    for (size_t i = 0; values && i < n; i++) {
        values[i * WANTED_COLUMNS] = I((int64_t)i);
        values[i * WANTED_COLUMNS + 1] = T(ids[i]);
    }
    return values;
}

static int read_lines(struct txn *txn, Order *const *orders, size_t n)
{
    const char **ids = arena_alloc(txn->arena, (n + 1) * sizeof(*ids));
    for (size_t i = 0; ids && i < n; i++)
        ids[i] = orders[i]->order_id;
    struct value *values = ids ? wanted(txn, ids, n) : NULL;
    if (!values)
        return -ENOMEM;
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (n, order_id) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
                           "SELECT w.n, l.sku, l.title, l.quantity, l.unit_minor, l.shipped, l.cancelled, l.returned "
                           "FROM wanted w CROSS JOIN order_line l WHERE l.order_id = w.order_id ORDER BY w.n, l.place",
                           n, WANTED_COLUMNS, values);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        Order *order = orders[row_int(&rows, i, 0)];
        r = read_line(txn, &rows, i, order->total->currency_code, &order->lines[order->n_lines++]);
    }
    return r;
}

static int read_heads(struct txn *txn, const struct rows *rows, Order ***ret_orders)
{
    Order **orders = arena_alloc(txn->arena, (rows->n + 1) * sizeof(Order *));
    if (!orders)
        return -ENOMEM;
    for (size_t i = 0; i < rows->n; i++) {
        orders[i] = arena_message(txn->arena, &oms__order__v1__order__descriptor);
        int r = orders[i] ? read_head(txn, rows, i, orders[i]) : -ENOMEM;
        if (r < 0)
            return r;
    }
    *ret_orders = orders;
    return 0;
}

int orders_read(struct txn *txn, const char *const *ids, size_t n, bool lines, Order ***ret_orders)
{
    struct value *values = wanted(txn, ids, n);
    struct rows rows;
    if (!values)
        return -ENOMEM;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (n, order_id) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
                           "SELECT " ORDER_COLUMNS "FROM wanted w CROSS JOIN sales_order o " ORDER_ADDRESS
                           "WHERE o.order_id = w.order_id ORDER BY w.n",
                           n, WANTED_COLUMNS, values);
    if (r == 0)
        r = read_heads(txn, &rows, ret_orders);
    if (r == 0 && lines)
        r = read_lines(txn, *ret_orders, rows.n);
    return r < 0 ? r : (int)rows.n;
}

/* Of at most one row. */
static int read_first(struct txn *txn, const struct rows *rows, Order **ret_order)
{
    Order **orders;
    int r = read_heads(txn, rows, &orders);
    if (r == 0)
        r = read_lines(txn, orders, rows->n);
    if (r < 0)
        return r;
    *ret_order = rows->n ? orders[0] : NULL;
    return 0;
}

int order_read(struct txn *txn, const char *order_id, const char *owner, Order **ret_order)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " ORDER_COLUMNS ORDER_TABLES
                      "WHERE o.order_id = $1 AND ($2 = '' OR (o.customer_id = $2 AND o.draft = 0))",
                      T(order_id), T(owner));
    return r < 0 ? r : read_first(txn, &rows, ret_order);
}

static int read_external(struct txn *txn, const char *channel, const char *external_id, const char *owner,
                         Order **ret_order)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " ORDER_COLUMNS ORDER_TABLES
                      "WHERE o.channel = $1 AND o.external_id = $2 AND o.external_id <> '' "
                      "AND ($3 = '' OR (o.customer_id = $3 AND o.draft = 0))",
                      T(channel), T(external_id), T(owner));
    return r < 0 ? r : read_first(txn, &rows, ret_order);
}

int check_name(struct rpc_call *call, const char *what, const char *id, const char *channel, const char *external_id)
{
    if (id[0] && (external_id[0] || channel[0]))
        return rpc_fail_field(call, external_id[0] ? "external_id" : "channel", "FIELD_UNEXPECTED",
                              "it is named by its %s_id already", what);
    if (!id[0] && !external_id[0] && channel[0])
        return rpc_fail_field(call, "external_id", "FIELD_REQUIRED", "which of the channel's numbers is meant?");
    const char *field = arena_printf(rpc_arena(call), "%s_id", what);
    if (!id[0] && !external_id[0])
        return rpc_fail_field(call, field ? field : what, "FIELD_REQUIRED",
                              "it is needed, or an external_id and its channel");
    return 0;
}

int get_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetOrderRequest *req = in;
    GetOrderResponse *ret = out;
    bool by_id = req->order_id[0];
    int r = check_name(call, "order", req->order_id, req->channel, req->external_id);
    if (r == 0)
        r = by_id ? order_read(txn, req->order_id, rpc_owner(call), &ret->order)
                  : read_external(txn, req->channel, req->external_id, rpc_owner(call), &ret->order);
    if (r < 0)
        return r;
    if (!ret->order)
        return rpc_fail_missing(call, "order", by_id ? req->order_id : req->external_id);
    return log_position_message(txn, &ret->position);
}

int batch_get_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const BatchGetOrdersRequest *req = in;
    BatchGetOrdersResponse *ret = out;
    int n = orders_read(txn, (const char *const *)req->order_ids, req->n_order_ids, false, &ret->orders);
    if (n < 0)
        return n;
    ret->n_orders = (size_t)n;
    return log_position_message(txn, &ret->position);
}
