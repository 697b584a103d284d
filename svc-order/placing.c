/* A new order, from whoever it comes: checked and priced against the projection of the catalogue, and written with its
 * next step. Everything is checked before anything is written. The number of statements does not grow with the lines
 * but by their chunks. */
#include "svc-order/commands.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

/* A line as it is stored. */
struct priced {
    const struct price *price;
    int64_t unit_minor;
};

struct placing {
    struct rpc_call *call;
    struct txn *txn;
    const NewOrder *req;
    const char *customer_id; /* "": a guest's, by an ERP */
    int64_t place_time_us;
    struct priced *lines;
    int64_t total_minor;
    char order_id[ID_MAX];
    const char *known_id; /* of the order that has its number already, or NULL */
};

static bool from_erp(const struct placing *p)
{
    return caller_is(rpc_caller(p->call), MESH__V1__ROLE__ERP);
}

static const char *line_field(const struct placing *p, size_t i, const char *field)
{
    const char *path = arena_printf(rpc_arena(p->call), "lines[%zu].%s", i, field);
    return path ? path : "lines";
}

/* --- checks --- */

/* What a mail's header can carry, and no more is asked of it. */
static bool is_mail_address(const char *text)
{
    const char *at = strchr(text, '@');
    return at && at > text && at[1] && text[strcspn(text, " ,;<>()[]\"\\\t\r\n")] == '\0' && !strchr(at + 1, '@');
}

static int check_head(struct placing *p)
{
    const NewOrder *req = p->req;
    const char *owner = rpc_owner(p->call);
    p->customer_id = req->customer_id[0] ? req->customer_id : owner;
    p->place_time_us = req->place_time_us ? req->place_time_us : p->txn->now_us;
    if (p->customer_id[0] == '\0' && !from_erp(p))
        return rpc_fail_field(p->call, "customer_id", "CUSTOMER_REQUIRED", "whose order it is must be said");
    if (req->place_time_us && !from_erp(p))
        return rpc_fail_field(p->call, "place_time_us", "PLACE_TIME_NOT_YOURS", "only an ERP says when it was placed");
    if (req->email[0] && !is_mail_address(req->email))
        return rpc_fail_field(p->call, "email", "EMAIL_INVALID", "no address that mail can be sent to");
    if (money_exponent(req->currency_code) < 0)
        return rpc_fail_field(p->call, "currency_code", "CURRENCY_UNKNOWN", "no currency of ISO 4217");
    return 0;
}

/* Somebody else's order has the number too, but which one is not for everybody. */
static int check_external_id(struct placing *p)
{
    const char *owner = rpc_owner(p->call);
    if (p->req->external_id[0] == '\0')
        return 0;
    struct rows rows;
    int r = txn_query(p->txn, &rows,
                      "SELECT order_id, customer_id FROM sales_order "
                      "WHERE channel = $1 AND external_id = $2 AND external_id <> ''",
                      T(p->req->channel), T(p->req->external_id));
    if (r < 0 || rows.n == 0)
        return r;
    r = rpc_fail(p->call, RPC_ALREADY_EXISTS, "ORDER_EXISTS", "this channel has given the number to another order");
    rpc_error_meta(p->call, "external_id", p->req->external_id);
    if (owner[0] == '\0' || strcmp(owner, row_text(&rows, 0, 1)) == 0) {
        p->known_id = row_text(&rows, 0, 0);
        rpc_error_meta(p->call, "order_id", row_text(&rows, 0, 0));
        rpc_error_resource(p->call, "order", row_text(&rows, 0, 0));
    }
    return r;
}

static int fail_amount(struct placing *p, const char *field, int error)
{
    if (error == -EDOM)
        return rpc_fail_field(p->call, field, "AMOUNT_NOT_WHOLE", "not a whole number of minor units");
    if (error == -ERANGE)
        return rpc_fail_field(p->call, field, "AMOUNT_OVERFLOW", "does not fit in 64 bits");
    return rpc_fail_field(p->call, field, "AMOUNT_INVALID", "no amount of a currency of ISO 4217");
}

static int fail_changed(struct placing *p, const char *field, const struct price *ours)
{
    char text[32];
    money_format(ours->minor, ours->currency, text);
    int r = rpc_fail_state(p->call, ours->sku, "PRICE_CHANGED", "the price is %s now", text);
    rpc_error_meta(p->call, "field", field);
    rpc_error_meta(p->call, "sku", ours->sku);
    rpc_error_meta(p->call, "price", text);
    return r;
}

/* The price that the client names: ours must be the same, but an ERP's counts. */
static int check_named_price(struct placing *p, size_t i, const struct price *ours, int64_t *ret_minor)
{
    const Money *named = p->req->lines[i]->unit_price;
    const char *field = line_field(p, i, "unit_price");
    int64_t minor;
    int r = money_from_wire(named, &minor);
    if (r < 0)
        return fail_amount(p, field, r);
    if (strcmp(named->currency_code, p->req->currency_code) != 0)
        return rpc_fail_field(p->call, field, "CURRENCY_MISMATCH", "the order is in %s", p->req->currency_code);
    if (minor < 0)
        return rpc_fail_field(p->call, field, "AMOUNT_NEGATIVE", "a price is not below zero");
    if (!from_erp(p) && minor != ours->minor)
        return fail_changed(p, field, ours);
    *ret_minor = minor;
    return 0;
}

static int price_line(struct placing *p, size_t i, const struct price *ours)
{
    const PlaceLine *line = p->req->lines[i];
    int64_t line_minor, unit_minor;
    bool foreign = ours && strcmp(ours->currency, p->req->currency_code) != 0;
    if (!ours)
        return rpc_fail_field(p->call, line_field(p, i, "sku"), "SKU_UNKNOWN", "nothing with this SKU is sold");
    if (foreign && !(from_erp(p) && line->unit_price))
        return rpc_fail_field(p->call, line_field(p, i, "sku"), "CURRENCY_MISMATCH", "it is sold in %s",
                              ours->currency);

    unit_minor = ours->minor;
    int r = line->unit_price ? check_named_price(p, i, ours, &unit_minor) : 0;
    if (r < 0)
        return r;
    p->lines[i] = (struct priced){ ours, unit_minor };
    if (money_multiply(unit_minor, line->quantity, &line_minor) < 0 ||
        money_add(p->total_minor, line_minor, &p->total_minor) < 0)
        return rpc_fail_field(p->call, line_field(p, i, "quantity"), "AMOUNT_OVERFLOW",
                              "the amount does not fit in 64 bits");
    return 0;
}

static int price_lines(struct placing *p)
{
    struct price_list prices;
    int r = prices_read(p->txn, p->req->lines, p->req->n_lines, &prices);
    if (r < 0)
        return r;
    p->lines = arena_alloc(p->txn->arena, p->req->n_lines * sizeof(*p->lines));
    if (!p->lines)
        return -ENOMEM;
    for (size_t i = 0; i < p->req->n_lines; i++) {
        r = price_line(p, i, prices_find(&prices, p->req->lines[i]->sku));
        if (r < 0)
            return r;
    }
    return 0;
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

static int write_head(struct placing *p)
{
    const NewOrder *req = p->req;
    return txn_post(p->txn,
                    "INSERT INTO sales_order (order_id, customer_id, state, currency, total_minor, lines, channel, "
                    "external_id, placed_by, place_time_us, update_time_us, version, reject_reason, payment_state, "
                    "payment_token, due_minor, stuck_time_us) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $5, $16)",
                    T(p->order_id), T(p->customer_id), I(PENDING), T(req->currency_code), I(p->total_minor),
                    I(req->n_lines), T(req->channel), T(req->external_id), T(rpc_caller(p->call)->subject),
                    I(p->place_time_us), I(p->txn->now_us), I(1), T(""), I(first_payment_state(p)),
                    T(req->payment_token), I(p->txn->now_us + PENDING_PATIENCE_US));
}

static int write_lines(struct placing *p)
{
    enum { COLUMNS = 7 };
    struct value *values = arena_alloc(p->txn->arena, p->req->n_lines * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < p->req->n_lines; i++) {
        const struct priced *line = &p->lines[i];
        const struct value row[COLUMNS] = {
            T(p->order_id),      T(line->price->title),   I(i), T(line->price->sku), I(p->req->lines[i]->quantity),
            I(line->unit_minor), I(line->price->stocked),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(p->txn,
                         "INSERT INTO order_line (order_id, title, place, sku, quantity, unit_minor, stocked) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7)",
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
                    T(p->order_id), T(p->customer_id[0] ? p->customer_id : p->order_id), T(a->name), T(street(a, 0)),
                    T(street(a, 1)), T(street(a, 2)), T(street(a, 3)), T(a->city), T(a->postal_code), T(a->country),
                    T(p->req->email));
}

static int tell_placed(struct placing *p)
{
    OrderPlaced payload = OMS__EVENT__V1__ORDER_PLACED__INIT;
    payload.order_id = p->order_id;
    payload.customer_id = (char *)p->customer_id;
    payload.total = money_to_wire(p->txn->arena, p->total_minor, p->req->currency_code);
    payload.lines = p->req->n_lines;
    payload.version = 1;
    payload.payment_state = first_payment_state(p);
    if (!payload.total)
        return -ENOMEM;
    return order_tell(p->txn, OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, p->order_id, p->customer_id, &payload.base);
}

/* Without a stocked line there is nothing to wait for, and life goes on at once. */
static int first_step(struct placing *p)
{
    size_t n = 0;
    struct life life = {
        .state = PENDING,
        .customer_id = p->customer_id,
        .currency = p->req->currency_code,
        .payment_token = p->req->payment_token,
        .payment_state = first_payment_state(p),
        .fulfillment_state = OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__UNFULFILLED,
        .total_minor = p->total_minor,
        .due_minor = p->total_minor,
    };
    ReserveLine **lines = arena_alloc(p->txn->arena, p->req->n_lines * sizeof(*lines));
    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < p->req->n_lines; i++) {
        if (!p->lines[i].price->stocked)
            continue;
        lines[n] = arena_message(p->txn->arena, &oms__inventory__v1__reserve_stock_request__line__descriptor);
        if (!lines[n])
            return -ENOMEM;
        lines[n]->sku = p->req->lines[i]->sku;
        lines[n++]->quantity = p->req->lines[i]->quantity;
    }
    life_begin(p->txn, p->order_id, &life);
    if (n) {
        int r = life_reserve(&life, lines, n);
        return r < 0 ? r : life_close_steps(&life);
    }
    int r = life_happen(&life, NOTHING_TO_RESERVE);
    return r < 0 ? r : life_close(&life);
}

static int check(struct placing *p)
{
    int r = check_head(p);
    if (r < 0)
        return r;
    r = price_lines(p);
    if (r == 0)
        r = check_payment(p);
    return r < 0 ? r : check_external_id(p);
}

static int write(struct placing *p)
{
    static int (*const parts[])(struct placing *) = { write_head, write_lines, write_address, tell_placed, first_step };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int r = parts[i](p);
        if (r < 0)
            return r;
    }
    return 0;
}

int order_place(struct rpc_call *call, struct txn *txn, const NewOrder *order, struct placed_order *ret_placed)
{
    struct placing p = { .call = call, .txn = txn, .req = order };
    int r = check(&p);
    if (r == 0)
        id_make(store_port(txn->store), "ord", p.order_id);
    if (r == 0)
        r = write(&p);
    const char *order_id = r == 0 ? p.order_id : p.known_id;
    ret_placed->order_id = order_id ? arena_copy(txn->arena, order_id, strlen(order_id)) : NULL;
    ret_placed->total_minor = p.total_minor;
    return order_id && !ret_placed->order_id ? -ENOMEM : r;
}
