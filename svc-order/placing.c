/* A new order, from whoever it comes: checked and priced against the projection of the catalogue, written, and begun.
 * Everything is checked before anything is written. The number of statements does not grow with the lines but by their
 * chunks. */
#include "svc-order/life.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define LINES "lines" /* the field */

struct placing {
    struct rpc_call *call;
    struct txn *txn;
    const NewOrder *req;
    const char *import_id; /* it is staged with; "": it begins at once */
    struct entry_head head;
    struct item *items; /* as many as req has lines */
    int64_t total_minor;
    char order_id[ID_MAX];
    const char *known_id; /* of the order that has its number already, or NULL */
    bool pending;
};

/* --- checks --- */

/* Somebody else's order has the number too, but which one is not for everybody. */
static int check_external_id(struct placing *p)
{
    const char *owner = rpc_owner(p->call);
    if (p->req->external_id[0] == '\0')
        return 0;
    struct rows rows;
    int r = txn_query(p->txn, &rows,
                      "SELECT order_id, customer_id, draft FROM sales_order "
                      "WHERE channel = $1 AND external_id = $2 AND external_id <> ''",
                      T(p->req->channel), T(p->req->external_id));
    if (r < 0 || rows.n == 0)
        return r;
    bool draft = row_int(&rows, 0, 2) != 0;
    r = draft ? rpc_fail(p->call, RPC_ALREADY_EXISTS, "ORDER_STAGED", "an import that is staged holds the number")
              : rpc_fail(p->call, RPC_ALREADY_EXISTS, "ORDER_EXISTS",
                         "this channel has given the number to another order");
    rpc_error_meta(p->call, "external_id", p->req->external_id);
    if (!draft && (owner[0] == '\0' || strcmp(owner, row_text(&rows, 0, 1)) == 0)) {
        p->known_id = row_text(&rows, 0, 0);
        rpc_error_meta(p->call, "order_id", row_text(&rows, 0, 0));
        rpc_error_resource(p->call, "order", row_text(&rows, 0, 0));
    }
    return r;
}

static int fail_changed(struct placing *p, size_t i, const struct price *ours)
{
    char text[32];
    money_format(ours->minor, ours->currency, text);
    int r = rpc_fail_state(p->call, ours->sku, "PRICE_CHANGED", "the price is %s now", text);
    rpc_error_meta(p->call, "field", entry_field(p->call, LINES, i, "unit_price"));
    rpc_error_meta(p->call, "sku", ours->sku);
    rpc_error_meta(p->call, "price", text);
    return r;
}

/* The price that the client names: ours must be the same, but an ERP's counts. */
static int check_named_price(struct placing *p, size_t i, const struct price *ours, int64_t *ret_minor)
{
    int64_t minor;
    int r = entry_price(p->call, p->req, LINES, i, p->req->lines[i]->unit_price, &minor);
    if (r < 0)
        return r;
    if (!entry_from_erp(p->call) && minor != ours->minor)
        return fail_changed(p, i, ours);
    *ret_minor = minor;
    return 0;
}

static int price_line(struct placing *p, size_t i, const struct price *ours)
{
    const PlaceLine *line = p->req->lines[i];
    bool foreign = ours && strcmp(ours->currency, p->req->currency_code) != 0;
    if (!ours)
        return rpc_fail_field(p->call, entry_field(p->call, LINES, i, "sku"), "SKU_UNKNOWN",
                              "nothing with this SKU is sold");
    if (foreign && !(entry_from_erp(p->call) && line->unit_price))
        return rpc_fail_field(p->call, entry_field(p->call, LINES, i, "sku"), "CURRENCY_MISMATCH", "it is sold in %s",
                              ours->currency);

    int64_t unit_minor = ours->minor;
    int r = line->unit_price ? check_named_price(p, i, ours, &unit_minor) : 0;
    if (r < 0)
        return r;
    p->items[i] = (struct item){ ours->sku, ours->title, line->quantity, unit_minor, ours->stocked };
    return entry_add(p->call, LINES, i, unit_minor, line->quantity, &p->total_minor);
}

static int price_lines(struct placing *p)
{
    const char **skus = arena_alloc(p->txn->arena, p->req->n_lines * sizeof(*skus));
    struct price_list prices;
    p->items = arena_alloc(p->txn->arena, p->req->n_lines * sizeof(*p->items));
    if (!skus || !p->items)
        return -ENOMEM;
    for (size_t i = 0; i < p->req->n_lines; i++)
        skus[i] = p->req->lines[i]->sku;
    int r = prices_read(p->txn, skus, p->req->n_lines, &prices);
    for (size_t i = 0; r == 0 && i < p->req->n_lines; i++)
        r = price_line(p, i, prices_find(&prices, p->req->lines[i]->sku));
    return r;
}

static bool is_paid_by_card(const struct placing *p)
{
    return p->req->payment_token[0] && p->total_minor > 0;
}

/* Whoever buys for himself pays with the order; who works here may see to it otherwise. */
static int check_payment(struct placing *p)
{
    bool customer = rpc_owner(p->call)[0] != '\0';
    if (customer && p->total_minor > 0 && !is_paid_by_card(p))
        return rpc_fail_field(p->call, "payment_token", "PAYMENT_REQUIRED", "the order is to be paid");
    return 0;
}

/* --- writing --- */

static Oms__Order__V1__Order__PaymentState first_payment_state(const struct placing *p)
{
    return is_paid_by_card(p) ? OMS__ORDER__V1__ORDER__PAYMENT_STATE__AUTHORIZING
                              : OMS__ORDER__V1__ORDER__PAYMENT_STATE__ON_ACCOUNT;
}

static Oms__Order__V1__Order__FulfillmentState first_fulfillment_state(const struct placing *p)
{
    if (!p->req->fulfilled)
        return OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__UNFULFILLED;
    for (size_t i = 0; i < p->req->n_lines; i++) {
        if (p->items[i].stocked)
            return OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__DELIVERED;
    }
    return OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__NOT_NEEDED;
}

static int write_head(struct placing *p)
{
    const NewOrder *req = p->req;
    bool elsewhere = req->fulfilled, draft = p->import_id[0];
    return txn_post(
        p->txn,
        "INSERT INTO sales_order (order_id, customer_id, state, currency, total_minor, lines, channel, "
        "external_id, placed_by, place_time_us, update_time_us, version, reject_reason, payment_state, "
        "payment_token, due_minor, stuck_time_us, fulfillment_state, elsewhere, import_id, draft) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $5, $16, $17, $18, $19, $20)",
        T(p->order_id), T(p->head.customer_id), I(elsewhere ? COMPLETED : PENDING), T(req->currency_code),
        I(p->total_minor), I(req->n_lines), T(req->channel), T(req->external_id), T(rpc_caller(p->call)->subject),
        I(p->head.time_us), I(p->txn->now_us), I(draft ? 0 : 1), T(""), I(first_payment_state(p)),
        T(req->payment_token), I(elsewhere || draft ? 0 : p->txn->now_us + PENDING_PATIENCE_US),
        I(first_fulfillment_state(p)), I(elsewhere), T(p->import_id), I(draft));
}

static int write_lines(struct placing *p)
{
    enum { COLUMNS = 8 };
    struct value *values = arena_alloc(p->txn->arena, p->req->n_lines * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < p->req->n_lines; i++) {
        const struct item *item = &p->items[i];
        const struct value row[COLUMNS] = {
            T(p->order_id),
            T(item->title),
            I(i),
            T(item->sku),
            I(item->quantity),
            I(item->unit_minor),
            I(item->stocked),
            I(p->req->fulfilled ? item->quantity : 0),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(p->txn,
                         "INSERT INTO order_line (order_id, title, place, sku, quantity, unit_minor, stocked, shipped) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                         p->req->n_lines, COLUMNS, values);
}

static const char *street(const Address *a, size_t i)
{
    return i < a->n_street ? a->street[i] : "";
}

static int write_address(struct placing *p)
{
    static const Address nowhere = OMS__ORDER__V1__ADDRESS__INIT;
    const Address *a = p->req->ship_to ? p->req->ship_to : &nowhere;
    if (!p->req->ship_to && p->req->email[0] == '\0')
        return 0;
    return txn_post(p->txn,
                    "INSERT INTO order_address (order_id, subject, name, street1, street2, street3, street4, city, "
                    "postal_code, country, email) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                    T(p->order_id), T(p->head.customer_id[0] ? p->head.customer_id : p->order_id), T(a->name),
                    T(street(a, 0)), T(street(a, 1)), T(street(a, 2)), T(street(a, 3)), T(a->city), T(a->postal_code),
                    T(a->country), T(p->req->email));
}

static int begin(struct placing *p)
{
    if (p->import_id[0])
        return 0;
    int r = order_begin(&(struct new_order){
        .txn = p->txn,
        .order_id = p->order_id,
        .customer_id = p->head.customer_id,
        .channel = p->req->channel,
        .country = p->req->ship_to ? p->req->ship_to->country : "",
        .currency = p->req->currency_code,
        .payment_token = p->req->payment_token,
        .place_time_us = p->head.time_us,
        .total_minor = p->total_minor,
        .payment_state = first_payment_state(p),
        .fulfillment_state = first_fulfillment_state(p),
        .elsewhere = p->req->fulfilled,
        .items = p->items,
        .n = p->req->n_lines,
    });
    p->pending = r > 0;
    return r;
}

static int check(struct placing *p)
{
    int r = entry_check(p->call, p->txn, p->req, &p->head);
    if (r == 0)
        r = price_lines(p);
    if (r == 0)
        r = check_payment(p);
    return r < 0 ? r : check_external_id(p);
}

static int write(struct placing *p)
{
    static int (*const parts[])(struct placing *) = { write_head, write_lines, write_address, begin };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int r = parts[i](p);
        if (r < 0)
            return r;
    }
    return 0;
}

int order_place(struct rpc_call *call, struct txn *txn, const NewOrder *order, const char *import_id,
                struct placed_order *ret_placed)
{
    struct placing p = { .call = call, .txn = txn, .req = order, .import_id = import_id };
    int r = check(&p);
    if (r == 0 && order->fulfilled)
        r = entry_id(txn, order, &p.head, "ord", p.order_id);
    else if (r == 0)
        id_make(store_port(txn->store), "ord", p.order_id);
    if (r == 0)
        r = write(&p);
    const char *order_id = r == 0 ? p.order_id : p.known_id;
    ret_placed->order_id = order_id ? arena_copy(txn->arena, order_id, strlen(order_id)) : NULL;
    ret_placed->total_minor = p.total_minor;
    ret_placed->pending = p.pending;
    return order_id && !ret_placed->order_id ? -ENOMEM : r;
}
