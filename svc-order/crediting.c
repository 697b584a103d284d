/* A cancellation that another system tells of, as a credit memo: each of its lines is a refund of the order that it
 * refers to, if that holds, and else a credit with the reason why. Everything is checked before anything is written. */
#include "svc-order/refund.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define LINES "cancelled" /* the field */

/* A line of the credit memo: all of a cancelled one, or what of it one line of an order takes. */
struct piece {
    const struct item *item; /* of the cancelled line */
    int64_t quantity;
    const char *reason, *order_id; /* order_id "": a credit */
    int64_t order_place;
};

struct crediting {
    struct rpc_call *call;
    struct txn *txn;
    const NewOrder *req;
    struct entry_head head;
    struct item *items;   /* as many as req has cancelled lines */
    const char **reasons; /* of each why it is no refund; NULL: it is one */
    struct refunds refunds;
    struct piece *pieces;
    size_t n_pieces;
    struct issued_credit issued;
    char credit_id[ID_MAX];
    const char *known_id; /* of the credit memo that has its number already, or NULL */
};

/* --- checks --- */

static bool is_code(const char *text)
{
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static int check_line(struct crediting *c, size_t i)
{
    const CancelledLine *line = c->req->cancelled[i];
    int64_t unit_minor;
    if (line->external_id[0] == '\0' && line->reason[0] == '\0')
        return rpc_fail_field(c->call, entry_field(c->call, LINES, i, "reason"), "FIELD_REQUIRED",
                              "what refers to no order needs a reason");
    if (!is_code(line->reason))
        return rpc_fail_field(c->call, entry_field(c->call, LINES, i, "reason"), "REASON_INVALID",
                              "a reason is a code of A-Z, 0-9 and _");
    int r = entry_price(c->call, c->req, LINES, i, line->unit_price, &unit_minor);
    if (r < 0)
        return r;
    c->items[i] = (struct item){ .sku = line->sku, .quantity = line->quantity, .unit_minor = unit_minor };
    return entry_add(c->call, LINES, i, unit_minor, line->quantity, &c->issued.total_minor);
}

static int check_lines(struct crediting *c)
{
    c->items = arena_alloc(c->txn->arena, c->req->n_cancelled * sizeof(*c->items));
    int r = c->items ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < c->req->n_cancelled; i++)
        r = check_line(c, i);
    return r;
}

static int check_external_id(struct crediting *c)
{
    struct rows rows;
    int r = txn_query(c->txn, &rows, "SELECT credit_id FROM credit WHERE channel = $1 AND external_id = $2",
                      T(c->req->channel), T(c->req->external_id));
    if (r < 0 || rows.n == 0)
        return r;
    c->known_id = row_text(&rows, 0, 0);
    r = rpc_fail(c->call, RPC_ALREADY_EXISTS, "CREDIT_EXISTS",
                 "this channel has given the number to another credit memo");
    rpc_error_meta(c->call, "external_id", c->req->external_id);
    rpc_error_resource(c->call, "credit", c->known_id);
    return r;
}

/* --- refund or credit --- */

static void add_piece(struct crediting *c, const struct piece *piece)
{
    c->pieces[c->n_pieces++] = *piece;
}

/* A piece ends a cancelled line, or uses up a line of an order. */
static int make_room(struct crediting *c)
{
    size_t max = c->req->n_cancelled + c->refunds.n_solds;
    c->pieces = arena_alloc(c->txn->arena, max * sizeof(*c->pieces));
    c->reasons = arena_alloc(c->txn->arena, c->req->n_cancelled * sizeof(*c->reasons));
    return c->pieces && c->reasons ? 0 : -ENOMEM;
}

static void know_item(struct item *item, const char *title, bool stocked)
{
    item->title = title;
    item->stocked = stocked;
}

static void judge_line(struct crediting *c, size_t i)
{
    const CancelledLine *line = c->req->cancelled[i];
    struct item *item = &c->items[i];
    struct refund refund;
    c->reasons[i] = line->external_id[0] ? refund_find(&c->refunds, line, item->unit_minor, &refund) : line->reason;
    if (c->reasons[i]) {
        add_piece(c, &(struct piece){ item, item->quantity, c->reasons[i], "", 0 });
        c->issued.credited++;
        return;
    }
    for (int64_t left = item->quantity, taken; left > 0; left -= taken) {
        const struct sold *sold = refund_take(&refund, item->unit_minor, left, &taken);
        know_item(item, sold->title, sold->stocked);
        add_piece(c, &(struct piece){ item, taken, line->reason, sold->sale->order_id, sold->place });
    }
    c->issued.refunded++;
}

/* What is no refund is known from the catalogue alone. */
static int look_up_credits(struct crediting *c)
{
    const char **skus = arena_alloc(c->txn->arena, c->req->n_cancelled * sizeof(*skus));
    struct price_list prices;
    size_t n = 0;
    if (!skus)
        return -ENOMEM;
    for (size_t i = 0; i < c->req->n_cancelled; i++) {
        if (c->reasons[i])
            skus[n++] = c->items[i].sku;
    }
    int r = n ? prices_read(c->txn, skus, n, &prices) : 0;
    for (size_t i = 0; r == 0 && i < c->req->n_cancelled; i++) {
        const struct price *known = c->reasons[i] ? prices_find(&prices, c->items[i].sku) : NULL;
        if (c->reasons[i] && !known)
            r = rpc_fail_field(c->call, entry_field(c->call, LINES, i, "sku"), "SKU_UNKNOWN",
                               "nothing with this SKU is sold");
        else if (known)
            know_item(&c->items[i], known->title, known->stocked);
    }
    return r;
}

static int judge(struct crediting *c)
{
    c->refunds = (struct refunds){ .txn = c->txn, .entry = c->req, .customer_id = c->head.customer_id };
    int r = refunds_read(&c->refunds);
    if (r == 0)
        r = make_room(c);
    for (size_t i = 0; r == 0 && i < c->req->n_cancelled; i++)
        judge_line(c, i);
    return r < 0 ? r : look_up_credits(c);
}

/* --- writing --- */

static const char *country_of(const struct crediting *c)
{
    return c->req->ship_to ? c->req->ship_to->country : "";
}

static int write_head(struct crediting *c)
{
    return txn_post(c->txn,
                    "INSERT INTO credit (credit_id, customer_id, currency, total_minor, lines, channel, external_id, "
                    "country, issued_by, issue_time_us, update_time_us) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                    T(c->credit_id), T(c->head.customer_id), T(c->req->currency_code), I(c->issued.total_minor),
                    I(c->n_pieces), T(c->req->channel), T(c->req->external_id), T(country_of(c)),
                    T(rpc_caller(c->call)->subject), I(c->head.time_us), I(c->txn->now_us));
}

static int write_lines(struct crediting *c)
{
    enum { COLUMNS = 9 };
    struct value *values = arena_alloc(c->txn->arena, c->n_pieces * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_pieces; i++) {
        const struct piece *p = &c->pieces[i];
        const struct value row[COLUMNS] = {
            T(c->credit_id),        I(i),         T(p->item->sku), T(p->item->title), I(p->quantity),
            I(p->item->unit_minor), T(p->reason), T(p->order_id),  I(p->order_place),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(c->txn,
                         "INSERT INTO credit_line (credit_id, place, sku, title, quantity, unit_minor, reason, "
                         "order_id, order_place) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                         c->n_pieces, COLUMNS, values);
}

static int write_refunds(struct crediting *c)
{
    return c->issued.refunded ? refunds_write(&c->refunds) : 0;
}

static int tell(struct crediting *c)
{
    CreditIssued payload = OMS__EVENT__V1__CREDIT_ISSUED__INIT;
    payload.credit_id = c->credit_id;
    payload.customer_id = (char *)c->head.customer_id;
    payload.total = money_to_wire(c->txn->arena, c->issued.total_minor, c->req->currency_code);
    payload.lines = c->n_pieces;
    payload.version = CREDIT_VERSION;
    if (!payload.total)
        return -ENOMEM;
    return log_append(c->txn, &(struct event){
                                  .type = OMS__EVENT__V1__EVENT_TYPE__CREDIT_ISSUED,
                                  .key = c->credit_id,
                                  .owner = c->head.customer_id,
                                  .audience = AUDIENCE_CREDIT,
                                  .payload = &payload.base,
                              });
}

/* The only order that it is about, or "". */
static const char *only_order(const struct crediting *c)
{
    for (size_t i = 1; i < c->n_pieces; i++) {
        if (strcmp(c->pieces[i].order_id, c->pieces[0].order_id) != 0)
            return "";
    }
    return c->pieces[0].order_id;
}

static int send(struct crediting *c)
{
    return document_send(c->txn, &(struct document){
                                     .id = c->credit_id,
                                     .order_id = only_order(c),
                                     .customer_id = c->head.customer_id,
                                     .country = country_of(c),
                                     .channel = c->req->channel,
                                     .currency = c->req->currency_code,
                                     .time_us = c->head.time_us,
                                     .credit = true,
                                     .items = c->items,
                                     .n = c->req->n_cancelled,
                                 });
}

static int run(struct crediting *c)
{
    static int (*const parts[])(struct crediting *) = {
        check_lines, check_external_id, judge, write_head, write_lines, write_refunds, tell, send,
    };
    int r = entry_check(c->call, c->txn, c->req, &c->head);
    for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
        r = parts[i](c);
    return r;
}

int credit_issue(struct rpc_call *call, struct txn *txn, const NewOrder *entry, struct issued_credit *ret_issued)
{
    struct crediting c = { .call = call, .txn = txn, .req = entry };
    id_make(store_port(txn->store), "crd", c.credit_id);
    int r = run(&c);
    const char *credit_id = r == 0 ? c.credit_id : c.known_id;
    *ret_issued = c.issued;
    ret_issued->credit_id = credit_id ? arena_copy(txn->arena, credit_id, strlen(credit_id)) : NULL;
    return credit_id && !ret_issued->credit_id ? -ENOMEM : r;
}
