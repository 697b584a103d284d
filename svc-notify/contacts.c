/* Where an order's customer is written to: asked of svc-order once, when there is a first message to send. The answer
 * is personal; it stands in the table contact and nowhere else. */
#include "svc-notify/notify.h"

#include "mesh/base/money.h"
#include "svc-notify/mime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct addressee *find(struct addressee *addressees, size_t n, const char *order_id)
{
    struct addressee *end = addressees + n;
    while (addressees < end) {
        struct addressee *middle = addressees + (end - addressees) / 2;
        int side = strcmp(order_id, middle->order_id);
        if (side == 0)
            return middle;
        if (side < 0)
            end = middle;
        else
            addressees = middle + 1;
    }
    return NULL;
}

/* svc-order is asked about those that the rows name. */
static int ask(struct txn *txn, const struct rows *rows)
{
    size_t n = (rows->n + ORDERS_MAX - 1) / ORDERS_MAX;
    struct command *commands = arena_alloc(txn->arena, n * sizeof(*commands));
    BatchGetOrdersRequest *requests = arena_alloc(txn->arena, n * sizeof(*requests));
    char **order_ids = arena_alloc(txn->arena, rows->n * sizeof(*order_ids));
    if (!commands || !requests || !order_ids)
        return -ENOMEM;
    for (size_t i = 0; i < rows->n; i++)
        order_ids[i] = (char *)row_text(rows, i, 0);
    for (size_t i = 0; i < n; i++) {
        oms__order__v1__batch_get_orders_request__init(&requests[i]);
        requests[i].order_ids = order_ids + i * ORDERS_MAX;
        requests[i].n_order_ids = i + 1 < n ? ORDERS_MAX : rows->n - i * ORDERS_MAX;
        commands[i] = (struct command){ ORDER_PROCESS, ORDERS_GET, requests[i].order_ids[0], &requests[i].base };
    }
    return outbox_add_many(txn, commands, n);
}

/* Whoever had no row has one now. */
static int ask_new(struct txn *txn, struct addressee *addressees, size_t n, size_t *ret_asked)
{
    enum { COLUMNS = 6 };
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct value row[COLUMNS] = { T(addressees[i].order_id), I(0), T(""), T(""), T(""), T("") };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "INSERT INTO contact (order_id, known, subject, name, email, total) "
                           "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (order_id) DO NOTHING RETURNING order_id",
                           n, COLUMNS, values);
    if (r < 0)
        return r;
    *ret_asked = rows.n;
    return ask(txn, &rows);
}

static int read_known(struct txn *txn, struct addressee *addressees, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(addressees[i].order_id);
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (order_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT c.order_id, c.email <> '' FROM wanted "
                           "CROSS JOIN contact c WHERE c.order_id = wanted.order_id AND c.known = 1",
                           n, 1, ids);
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        find(addressees, n, row_text(&rows, i, 0))->state = row_int(&rows, i, 1) ? ADDRESS_KNOWN : ADDRESS_NONE;
    return r;
}

int addressees_find(struct txn *txn, struct addressee *addressees, size_t n)
{
    size_t asked;
    for (size_t i = 0; i < n; i++)
        addressees[i].state = ADDRESS_ASKED;
    int r = ask_new(txn, addressees, n, &asked);
    return r < 0 || asked == n ? r : read_known(txn, addressees, n);
}

/* --- the answer --- */

enum { CONTACT_COLUMNS = 5 };

static int put_contact(struct txn *txn, const Order *order, struct value *ret_row)
{
    char total[32] = "";
    int64_t minor;
    if (order->total && money_from_wire(order->total, &minor) == 0)
        money_format(minor, order->total->currency_code, total);
    const char *copy = arena_copy(txn->arena, total, strlen(total));
    const struct value row[CONTACT_COLUMNS] = {
        T(order->order_id),
        T(order->customer_id[0] ? order->customer_id : order->order_id),
        T(order->ship_to ? order->ship_to->name : ""),
        T(mime_is_address(order->email) ? order->email : ""),
        T(copy),
    };
    memcpy(ret_row, row, sizeof(row));
    return copy ? 0 : -ENOMEM;
}

static int store_contacts(struct txn *txn, Order *const *orders, size_t n)
{
    struct value *values = arena_alloc(txn->arena, n * CONTACT_COLUMNS * sizeof(*values));
    int r = values ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = put_contact(txn, orders[i], values + i * CONTACT_COLUMNS);
    if (r < 0)
        return r;
    return txn_post_each(txn,
                         "UPDATE contact SET known = 1, subject = $2, name = $3, email = $4, total = $5 "
                         "WHERE order_id = $1",
                         n, CONTACT_COLUMNS, values);
}

static bool is_answered(Order *const *orders, size_t n, const char *order_id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(orders[i]->order_id, order_id) == 0)
            return true;
    return false;
}

/* Without an answer the messages have failed; the next one asks again. */
static int give_up(struct txn *txn, const char *order_id)
{
    int r = txn_post(txn, "DELETE FROM contact WHERE order_id = $1 AND known = 0", T(order_id));
    return r < 0 ? r : messages_end(txn, order_id, FAILED);
}

static int send_all(struct txn *txn, Order *const *orders, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    size_t reachable = 0;
    int r = ids ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (mime_is_address(orders[i]->email))
            ids[reachable++] = T(orders[i]->order_id);
        else
            r = messages_end(txn, orders[i]->order_id, NO_ADDRESS);
    }
    return r < 0 ? r : messages_send(txn, ids, reachable);
}

int contacts_answered(struct txn *txn, const struct outcome *outcome)
{
    const BatchGetOrdersRequest *request = outcome->request;
    const BatchGetOrdersResponse *reply = outcome->reply;
    Order *const *orders = outcome->code == RPC_OK ? reply->orders : NULL;
    size_t n = outcome->code == RPC_OK ? reply->n_orders : 0;
    int r = store_contacts(txn, orders, n);
    for (size_t i = 0; r == 0 && i < request->n_order_ids; i++)
        if (!is_answered(orders, n, request->order_ids[i]))
            r = give_up(txn, request->order_ids[i]);
    return r < 0 ? r : send_all(txn, orders, n);
}
