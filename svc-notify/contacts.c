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
static int ask(struct txn *txn, struct addressee *addressees, size_t n, const struct rows *rows)
{
    struct command *commands = arena_alloc(txn->arena, rows->n * sizeof(*commands));
    GetOrderRequest *requests = arena_alloc(txn->arena, rows->n * sizeof(*requests));
    if (!commands || !requests)
        return -ENOMEM;
    for (size_t i = 0; i < rows->n; i++) {
        const struct addressee *addressee = find(addressees, n, row_text(rows, i, 0));
        oms__order__v1__get_order_request__init(&requests[i]);
        requests[i].order_id = (char *)addressee->order_id;
        commands[i] =
            (struct command){ ORDER_PROCESS, ORDER_GET, addressee->order_id, &requests[i].base, 0, addressee->trace };
    }
    return outbox_add_many(txn, commands, rows->n);
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
    return ask(txn, addressees, n, &rows);
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
                           "JOIN contact c ON c.order_id = wanted.order_id WHERE c.known = 1",
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

static int store_contact(struct txn *txn, const Order *order, const char *email)
{
    char total[32] = "";
    int64_t minor;
    if (order->total && money_from_wire(order->total, &minor) == 0)
        money_format(minor, order->total->currency_code, total);
    return txn_post(txn,
                    "UPDATE contact SET known = 1, subject = $2, name = $3, email = $4, total = $5 "
                    "WHERE order_id = $1",
                    T(order->order_id), T(order->customer_id[0] ? order->customer_id : order->order_id),
                    T(order->ship_to ? order->ship_to->name : ""), T(email), T(total));
}

/* Without an answer the messages have failed; the next one asks again. */
static int give_up(struct txn *txn, const char *order_id)
{
    int r = txn_post(txn, "DELETE FROM contact WHERE order_id = $1 AND known = 0", T(order_id));
    return r < 0 ? r : messages_end(txn, order_id, FAILED);
}

int contact_answered(struct txn *txn, const struct outcome *outcome)
{
    const GetOrderResponse *reply = outcome->reply;
    if (outcome->code != RPC_OK || !reply->order)
        return give_up(txn, outcome->key);
    const char *email = mime_is_address(reply->order->email) ? reply->order->email : "";
    int r = store_contact(txn, reply->order, email);
    if (r < 0)
        return r;
    return email[0] ? messages_send(txn, outcome->key) : messages_end(txn, outcome->key, NO_ADDRESS);
}
