/* Looks into both books: ours by SQL, the processor's by walking it. */
#include "tests/svc-payment/till.h"

#include "dev/sandbox/processor.h"
#include "mesh/base/money.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* --- what is asked for --- */

static Money *pence(struct shop *s, int64_t minor)
{
    return money(s, "GBP", minor / 100, (int32_t)(minor % 100 * 10000000));
}

static char *id_of(struct shop *s, const char *id, const char *operation)
{
    return arena_printf(&s->arena, "%s-%s", id, operation);
}

struct asked *begin_authorize(struct shop *s, const char *order_id, int64_t minor, const char *token)
{
    AuthorizePaymentRequest req = OMS__PAYMENT__V1__AUTHORIZE_PAYMENT_REQUEST__INIT;
    req.request_id = id_of(s, order_id, "authorize");
    req.order_id = (char *)order_id;
    req.customer_id = (char *)anna.subject;
    req.amount = pence(s, minor);
    req.payment_token = (char *)token;
    return ask_begin(s, &order_process, "AuthorizePayment", &req);
}

struct asked *begin_capture(struct shop *s, const char *payment_id, const char *id, int64_t minor)
{
    CapturePaymentRequest req = OMS__PAYMENT__V1__CAPTURE_PAYMENT_REQUEST__INIT;
    req.request_id = id_of(s, id, "capture");
    req.payment_id = (char *)payment_id;
    req.amount = pence(s, minor);
    return ask_begin(s, &order_process, "CapturePayment", &req);
}

struct asked *begin_refund(struct shop *s, const char *payment_id, const char *id, int64_t minor)
{
    RefundPaymentRequest req = OMS__PAYMENT__V1__REFUND_PAYMENT_REQUEST__INIT;
    req.request_id = id_of(s, id, "refund");
    req.payment_id = (char *)payment_id;
    req.amount = pence(s, minor);
    req.reason = "GOODWILL";
    return ask_begin(s, &staff, "RefundPayment", &req);
}

struct asked *begin_void(struct shop *s, const char *order_id)
{
    VoidPaymentRequest req = OMS__PAYMENT__V1__VOID_PAYMENT_REQUEST__INIT;
    req.request_id = id_of(s, order_id, "void");
    req.operation_id = id_of(s, order_id, "authorize");
    return ask_begin(s, &order_process, "VoidPayment", &req);
}

static void *accepted(struct asked *a)
{
    ask_end(a);
    ck_assert_msg(a->code == RPC_OK, "%s %s %s", rpc_code_name(a->code), a->reason, a->message);
    return a->reply;
}

const char *authorize(struct shop *s, const char *order_id, int64_t minor, const char *token)
{
    const AuthorizePaymentResponse *ret = accepted(begin_authorize(s, order_id, minor, token));
    return ret->payment_id;
}

void capture(struct shop *s, const char *payment_id, const char *id, int64_t minor)
{
    accepted(begin_capture(s, payment_id, id, minor));
}

void refund(struct shop *s, const char *payment_id, const char *id, int64_t minor)
{
    accepted(begin_refund(s, payment_id, id, minor));
}

bool void_order(struct shop *s, const char *order_id)
{
    const VoidPaymentResponse *ret = accepted(begin_void(s, order_id));
    return ret->voiding;
}

const struct asked *resolve(struct shop *s, const char *operation_id, bool succeeded)
{
    ResolveOperationRequest req = OMS__PAYMENT__V1__RESOLVE_OPERATION_REQUEST__INIT;
    req.request_id = fresh(s);
    req.operation_id = (char *)operation_id;
    req.succeeded = succeeded;
    req.reason = "BANK_SAYS_SO";
    return ask(s, &staff, "ResolveOperation", &req);
}

const char *authorized(struct shop *s, const char *order_id, const char *token)
{
    const char *payment_id = authorize(s, order_id, 1000, token);
    await_payment(s, payment_id, PAYMENT_STATE(AUTHORIZED));
    return payment_id;
}

/* --- what has become of it --- */

const Payment *payment_now(struct shop *s, const char *payment_id)
{
    GetPaymentRequest req = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__INIT;
    req.by_case = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_PAYMENT_ID;
    req.payment_id = (char *)payment_id;
    return get(s, &staff, "GetPayment", &req);
}

const Operation *operation_named(const Payment *payment, const char *operation_id)
{
    for (size_t i = 0; i < payment->n_operations; i++)
        if (strcmp(payment->operations[i]->operation_id, operation_id) == 0)
            return payment->operations[i];
    return NULL;
}

void await_payment(struct shop *s, const char *payment_id, Oms__Payment__V1__Payment__State state)
{
    int64_t end_us = world_now(s->world) + TILL_PATIENCE_US;
    while (payment_now(s, payment_id)->state != state) {
        ck_assert_msg(world_now(s->world) < end_us, "%s is in state %d", payment_id, payment_now(s, payment_id)->state);
        world_run(s->world, 10000);
    }
}

#define COUNT(s, ...) shop_number(s, (s)->payment, arena_printf(&(s)->arena, __VA_ARGS__))

void await_operation(struct shop *s, const char *operation_id, Oms__Payment__V1__Operation__State state)
{
    int64_t end_us = world_now(s->world) + TILL_PATIENCE_US;
    const char *sql =
        arena_printf(&s->arena, "SELECT MAX(state) FROM payment_operation WHERE operation_id = '%s'", operation_id);
    while (shop_number(s, s->payment, sql) != (int64_t)state) {
        ck_assert_msg(world_now(s->world) < end_us, "%s is in state %d", operation_id,
                      (int)shop_number(s, s->payment, sql));
        world_run(s->world, 10000);
    }
}

void till_settle(struct shop *s)
{
    int64_t end_us = world_now(s->world) + 20 * TILL_PATIENCE_US;
    do {
        ck_assert_msg(world_now(s->world) < end_us, "the till does not come to rest");
        world_run(s->world, 50000);
    } while (!node_service(s->payment) ||
             NUMBER(s, s->payment, "SELECT COUNT(*) FROM outbox WHERE destination = 'processor'") > 0);
}

int64_t minor_of(const Money *money)
{
    int64_t minor = 0;
    ck_assert_int_eq(money_from_wire(money, &minor), 0);
    return minor;
}

/* --- what was told --- */

struct telling {
    struct shop *shop;
    struct unit unit;
    const char *order_id, *words;
    bool done;
};

static int read_words(struct txn *txn, void *arg)
{
    struct telling *t = arg;
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT type FROM event_log WHERE key = $1 ORDER BY seq", T(t->order_id));
    t->words = "";
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        const ProtobufCEnumValue *type =
            protobuf_c_enum_descriptor_get_value(&oms__event__v1__event_type__descriptor, (int)row_int(&rows, i, 0));
        t->words = arena_printf(&t->shop->arena, "%s%s%s", t->words, i ? " " : "", type->name + strlen("PAYMENT_"));
    }
    return r;
}

static void have_read(struct unit *unit, int result)
{
    ((struct telling *)unit->arg)->done = result == 0;
}

static bool is_read(void *arg)
{
    return ((struct telling *)arg)->done;
}

const char *told(struct shop *s, const char *order_id)
{
    struct telling t = { .shop = s, .order_id = order_id };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    t.unit = (struct unit){ .run = read_words, .arg = &t, .arena = &arena, .done = have_read };
    store_read(service_store(node_service(s->payment)), &t.unit);
    ck_assert(world_until(s->world, is_read, &t, TILL_PATIENCE_US));
    arena_finish(&arena);
    return t.words;
}

/* --- the books --- */

struct counting {
    const char *kind;
    int64_t n;
};

static void count(void *arg, const struct processed *operation)
{
    struct counting *c = arg;
    c->n += strcmp(operation->kind, c->kind) == 0 && strcmp(operation->status, "succeeded") == 0;
}

int64_t processed(struct shop *s, const char *kind)
{
    struct counting counting = { .kind = kind };
    processor_each(s->processor, count, &counting);
    return counting.n;
}

/* When it is voided we may not have heard yet, and then never hear, that the customer has acted. */
static void ck_operation(void *arg, const struct processed *operation)
{
    struct shop *s = arg;
    bool succeeded = strcmp(operation->status, "succeeded") == 0;
    int64_t n = COUNT(s,
                      "SELECT COUNT(*) FROM payment_operation o JOIN payment p ON p.payment_id = o.payment_id "
                      "WHERE o.operation_id = '%s' AND ((o.state = 2) = %d OR (o.kind = 1 AND p.voiding = 2))",
                      operation->key, succeeded);
    ck_assert_msg(n == 1, "%s %s %s", operation->kind, operation->key, operation->status);
    if (strcmp(operation->kind, "authorize") != 0)
        return;
    ck_assert_int_eq(COUNT(s,
                           "SELECT p.captured_minor FROM payment p JOIN payment_operation o "
                           "ON o.payment_id = p.payment_id WHERE o.operation_id = '%s'",
                           operation->key),
                     processor_captured(s->processor, operation->key));
    ck_assert_int_eq(COUNT(s,
                           "SELECT p.refunded_minor FROM payment p JOIN payment_operation o "
                           "ON o.payment_id = p.payment_id WHERE o.operation_id = '%s'",
                           operation->key),
                     processor_refunded(s->processor, operation->key));
}

void ck_ledger(struct shop *s)
{
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COUNT(*) FROM (SELECT entry_id FROM ledger_posting GROUP BY entry_id, currency "
                            "HAVING SUM(minor) <> 0 OR COUNT(*) <> 2)"),
                     0);
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COUNT(*) FROM ledger_entry WHERE entry_id NOT IN "
                            "(SELECT entry_id FROM ledger_posting)"),
                     0);
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COUNT(*) FROM ledger_entry e WHERE (lines, lines > 0) <> "
                            "(SELECT COUNT(*), COUNT(DISTINCT account) FROM ledger_line l "
                            "WHERE l.entry_id = e.entry_id)"),
                     0);
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COUNT(*) FROM (SELECT entry_id, account, SUM(minor) AS minor FROM ledger_line "
                            "GROUP BY entry_id, account) l LEFT JOIN ledger_posting p ON p.entry_id = l.entry_id "
                            "AND p.account = l.account WHERE p.minor IS NOT l.minor"),
                     0);
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COUNT(*) FROM ledger_balance b WHERE (minor, entries) <> "
                            "(SELECT SUM(minor), COUNT(*) FROM ledger_posting p "
                            "WHERE p.account = b.account AND p.currency = b.currency)"),
                     0);
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COALESCE((SELECT SUM(minor) FROM ledger_posting "
                            "WHERE account = 'PROCESSOR_RECEIVABLE'), 0) - "
                            "COALESCE((SELECT SUM(captured_minor - refunded_minor) FROM payment), 0)"),
                     0);
    ck_assert_int_eq(NUMBER(s, s->payment,
                            "SELECT COUNT(*) FROM payment p WHERE (captured_minor, capturing_minor, refunded_minor, "
                            "refunding_minor, open_operations, operations) <> "
                            "(SELECT COALESCE(SUM(amount_minor) FILTER (WHERE kind = 2 AND state = 2), 0), "
                            "COALESCE(SUM(amount_minor) FILTER (WHERE kind = 2 AND state IN (1, 5)), 0), "
                            "COALESCE(SUM(amount_minor) FILTER (WHERE kind = 4 AND state = 2), 0), "
                            "COALESCE(SUM(amount_minor) FILTER (WHERE kind = 4 AND state IN (1, 5)), 0), "
                            "COUNT(*) FILTER (WHERE state IN (4, 5)), COUNT(*) "
                            "FROM payment_operation o WHERE o.payment_id = p.payment_id)"),
                     0);
}

void ck_books(struct shop *s)
{
    ck_ledger(s);
    processor_each(s->processor, ck_operation, s);
    ck_assert_int_eq(NUMBER(s, s->payment, "SELECT COUNT(*) FROM payment_operation WHERE state IN (1, 4, 5)"), 0);
}
