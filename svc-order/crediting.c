/* A cancellation that another system tells of, as a credit memo: each of its lines is a refund of the order that it
 * refers to, if that holds, and else a credit with the reason why. Everything is checked before anything is written. */
#include "svc-order/credit.h"

#include <errno.h>
#include <string.h>

#define LINES "cancelled" /* the field */

struct crediting {
    struct rpc_call *call;
    struct txn *txn;
    const NewOrder *req;
    const char *import_id; /* it is staged with; "": it takes effect at once */
    struct entry_head head;
    struct item *items; /* as many as req has cancelled lines */
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
    int r = txn_query(c->txn, &rows, "SELECT credit_id, draft FROM credit WHERE channel = $1 AND external_id = $2",
                      T(c->req->channel), T(c->req->external_id));
    if (r < 0 || rows.n == 0)
        return r;
    if (row_int(&rows, 0, 1)) {
        r = rpc_fail(c->call, RPC_ALREADY_EXISTS, "CREDIT_STAGED", "an import that is staged holds the number");
        rpc_error_meta(c->call, "external_id", c->req->external_id);
        return r;
    }
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
    return c->pieces ? 0 : -ENOMEM;
}

static void judge_line(struct crediting *c, size_t i)
{
    const CancelledLine *line = c->req->cancelled[i];
    struct item item = c->items[i];
    struct refund refund;
    const char *why = line->external_id[0] ? refund_find(&c->refunds, line, item.unit_minor, &refund) : line->reason;
    if (why) {
        add_piece(c, &(struct piece){ item, why, "", (int64_t)i });
        c->issued.credited++;
        return;
    }
    for (int64_t left = c->items[i].quantity; left > 0; left -= item.quantity) {
        const struct sold *sold = refund_take(&refund, item.unit_minor, left, &item.quantity);
        item.title = sold->title;
        item.stocked = sold->stocked;
        add_piece(c, &(struct piece){ item, line->reason, sold->sale->order_id, sold->place });
    }
    c->issued.refunded++;
}

/* What is no refund is known from the catalogue alone. Until then a credit's place is that of its cancelled line. */
static int look_up_credits(struct crediting *c)
{
    const char **skus = arena_alloc(c->txn->arena, c->n_pieces * sizeof(*skus));
    struct price_list prices;
    size_t n = 0;
    if (!skus)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_pieces; i++) {
        if (c->pieces[i].order_id[0] == '\0')
            skus[n++] = c->pieces[i].item.sku;
    }
    int r = n ? prices_read(c->txn, skus, n, &prices) : 0;
    for (size_t i = 0; r == 0 && i < c->n_pieces; i++) {
        struct piece *piece = &c->pieces[i];
        if (piece->order_id[0])
            continue;
        const struct price *known = prices_find(&prices, piece->item.sku);
        if (!known)
            return rpc_fail_field(c->call, entry_field(c->call, LINES, (size_t)piece->order_place, "sku"),
                                  "SKU_UNKNOWN", "nothing with this SKU is sold");
        piece->item.title = known->title;
        piece->item.stocked = known->stocked;
        piece->order_place = 0;
    }
    return r;
}

static int judge(struct crediting *c)
{
    c->refunds = (struct refunds){
        .txn = c->txn, .entry = c->req, .customer_id = c->head.customer_id, .import_id = c->import_id
    };
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

static bool is_staged(const struct crediting *c)
{
    return c->import_id[0] != '\0';
}

static int write_head(struct crediting *c)
{
    return txn_post(c->txn,
                    "INSERT INTO credit (credit_id, customer_id, currency, total_minor, lines, channel, external_id, "
                    "country, issued_by, issue_time_us, update_time_us, import_id, draft) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                    T(c->credit_id), T(c->head.customer_id), T(c->req->currency_code), I(c->issued.total_minor),
                    I(c->n_pieces), T(c->req->channel), T(c->req->external_id), T(country_of(c)),
                    T(rpc_caller(c->call)->subject), I(c->head.time_us), I(c->txn->now_us), T(c->import_id),
                    I(is_staged(c)));
}

static int write_lines(struct crediting *c)
{
    enum { COLUMNS = 10 };
    struct value *values = arena_alloc(c->txn->arena, c->n_pieces * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_pieces; i++) {
        const struct piece *p = &c->pieces[i];
        const struct value row[COLUMNS] = {
            T(c->credit_id),       I(i),         T(p->item.sku), T(p->item.title),  I(p->item.quantity),
            I(p->item.unit_minor), T(p->reason), T(p->order_id), I(p->order_place), I(p->item.stocked),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(c->txn,
                         "INSERT INTO credit_line (credit_id, place, sku, title, quantity, unit_minor, reason, "
                         "order_id, order_place, stocked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                         c->n_pieces, COLUMNS, values);
}

static int hold(struct crediting *c)
{
    return c->issued.refunded ? credit_hold(c->txn, c->credit_id) : 0;
}

static int begin(struct crediting *c)
{
    if (is_staged(c))
        return 0;
    return credit_begin(&(struct new_credit){
        .txn = c->txn,
        .credit_id = c->credit_id,
        .customer_id = c->head.customer_id,
        .channel = c->req->channel,
        .country = country_of(c),
        .currency = c->req->currency_code,
        .issue_time_us = c->head.time_us,
        .total_minor = c->issued.total_minor,
        .pieces = c->pieces,
        .n = c->n_pieces,
    });
}

static int run(struct crediting *c)
{
    static int (*const parts[])(struct crediting *) = {
        check_lines, check_external_id, judge, write_head, write_lines, hold, begin,
    };
    int r = entry_check(c->call, c->txn, c->req, &c->head);
    if (r == 0)
        r = entry_id(c->txn, c->req, &c->head, "crd", c->credit_id);
    for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
        r = parts[i](c);
    return r;
}

int credit_issue(struct rpc_call *call, struct txn *txn, const NewOrder *entry, const char *import_id,
                 struct issued_credit *ret_issued)
{
    struct crediting c = { .call = call, .txn = txn, .req = entry, .import_id = import_id };
    int r = run(&c);
    const char *credit_id = r == 0 ? c.credit_id : c.known_id;
    *ret_issued = c.issued;
    ret_issued->credit_id = credit_id ? arena_copy(txn->arena, credit_id, strlen(credit_id)) : NULL;
    return credit_id && !ret_issued->credit_id ? -ENOMEM : r;
}
