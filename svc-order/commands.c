/* What follows from what has happened: commands to the other services. An operation's id follows from the order's or
 * the parcel's, so that whoever undoes it knows it, and a second time has no second effect. */
#include "svc-order/commands.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define PAYMENT_DEADLINE_US (15 * 60 * 1000000ll) /* for an answer of the processor */
#define RESERVATION_US      (25 * 3600 * 1000000ll)

static char *operation_id(const struct life *life, const char *id, const char *operation)
{
    return arena_printf(life->txn->arena, "%s-%s", id, operation);
}

static int send(struct life *life, const char *destination, const char *method, const ProtobufCMessage *request)
{
    return outbox_add(life->txn, &(struct command){ destination, method, life->order_id, request, 0 });
}

static void step(struct life *life, enum order_step step, enum step_state state)
{
    if (state > life->steps[step])
        life->steps[step] = state;
}

static bool is_held(const struct life *life, enum order_step step)
{
    return life->steps[step] == SENT || life->steps[step] == DONE;
}

/* --- stock --- */

int life_reserve(struct life *life, ReserveLine **lines, size_t n)
{
    ReserveStockRequest request = OMS__INVENTORY__V1__RESERVE_STOCK_REQUEST__INIT;
    request.request_id = operation_id(life, life->order_id, "reserve");
    if (!request.request_id)
        return -ENOMEM;
    request.order_id = (char *)life->order_id;
    request.lines = lines;
    request.n_lines = n;
    request.expire_time_us = life->txn->now_us + RESERVATION_US;
    step(life, STEP_RESERVE, SENT);
    return send(life, INVENTORY, RESERVE, &request.base);
}

static int release(struct life *life)
{
    ReleaseStockRequest request = OMS__INVENTORY__V1__RELEASE_STOCK_REQUEST__INIT;
    request.request_id = operation_id(life, life->order_id, "release");
    request.operation_id = operation_id(life, life->order_id, "reserve");
    if (!request.request_id || !request.operation_id)
        return -ENOMEM;
    step(life, STEP_RESERVE, UNDOING);
    return send(life, INVENTORY, RELEASE, &request.base);
}

/* One line of each SKU, as a reservation has them. */
static int reserved_lines(struct life *life, const char *location_id, const struct share *shares, size_t n,
                          ReservedLine ***ret_lines, size_t *ret_n)
{
    ReservedLine **lines = arena_alloc(life->txn->arena, n * sizeof(*lines));
    size_t n_lines = 0;
    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n_lines && strcmp(lines[k]->sku, shares[i].sku) != 0)
            k++;
        if (k == n_lines) {
            lines[k] = arena_message(life->txn->arena, &oms__inventory__v1__reserved_line__descriptor);
            if (!lines[k])
                return -ENOMEM;
            lines[k]->sku = (char *)shares[i].sku;
            lines[k]->location_id = (char *)location_id;
            n_lines++;
        }
        lines[k]->quantity += shares[i].quantity;
    }
    *ret_lines = lines;
    *ret_n = n_lines;
    return 0;
}

int life_commit_stock(struct life *life, const char *id, const char *location_id, const struct share *shares, size_t n)
{
    CommitStockRequest request = OMS__INVENTORY__V1__COMMIT_STOCK_REQUEST__INIT;
    request.request_id = operation_id(life, id, "commit");
    request.operation_id = operation_id(life, life->order_id, "reserve");
    if (!request.request_id || !request.operation_id)
        return -ENOMEM;
    int r = reserved_lines(life, location_id, shares, n, &request.lines, &request.n_lines);
    return r < 0 ? r : send(life, INVENTORY, COMMIT, &request.base);
}

int life_release_lines(struct life *life, const char *id, const char *location_id, const struct share *shares, size_t n)
{
    ReleaseStockRequest request = OMS__INVENTORY__V1__RELEASE_STOCK_REQUEST__INIT;
    if (n == 0)
        return 0; /* without lines it would be the whole reservation: of a parcel that had nothing left, say */
    request.request_id = operation_id(life, id, "release");
    request.operation_id = operation_id(life, life->order_id, "reserve");
    if (!request.request_id || !request.operation_id)
        return -ENOMEM;
    int r = reserved_lines(life, location_id, shares, n, &request.lines, &request.n_lines);
    return r < 0 ? r : send(life, INVENTORY, RELEASE, &request.base);
}

/* --- money --- */

static int authorize(struct life *life)
{
    AuthorizePaymentRequest request = OMS__PAYMENT__V1__AUTHORIZE_PAYMENT_REQUEST__INIT;
    if (life->payment_token[0] == '\0' || life->due_minor == 0)
        return life_happen(life, NOTHING_TO_PAY);
    request.request_id = operation_id(life, life->order_id, "authorize");
    request.amount = money_to_wire(life->txn->arena, life->due_minor, life->currency);
    if (!request.request_id || !request.amount)
        return -ENOMEM;
    request.order_id = (char *)life->order_id;
    request.customer_id = (char *)life->customer_id;
    request.payment_token = (char *)life->payment_token;
    life->payment_state = OMS__ORDER__V1__ORDER__PAYMENT_STATE__AUTHORIZING;
    step(life, STEP_AUTHORIZE, SENT);
    return send(life, PAYMENTS, AUTHORIZE_PAYMENT, &request.base);
}

static int void_payment(struct life *life)
{
    VoidPaymentRequest request = OMS__PAYMENT__V1__VOID_PAYMENT_REQUEST__INIT;
    request.request_id = operation_id(life, life->order_id, "void");
    request.operation_id = operation_id(life, life->order_id, "authorize");
    if (!request.request_id || !request.operation_id)
        return -ENOMEM;
    step(life, STEP_AUTHORIZE, UNDOING);
    return send(life, PAYMENTS, VOID_PAYMENT, &request.base);
}

int life_capture(struct life *life, const char *id, int64_t amount_minor)
{
    CapturePaymentRequest request = OMS__PAYMENT__V1__CAPTURE_PAYMENT_REQUEST__INIT;
    if (amount_minor == 0 || life->payment_id[0] == '\0')
        return 0;
    request.request_id = operation_id(life, id, "capture");
    request.amount = money_to_wire(life->txn->arena, amount_minor, life->currency);
    if (!request.request_id || !request.amount)
        return -ENOMEM;
    request.payment_id = (char *)life->payment_id;
    life->asked_minor += amount_minor;
    step(life, STEP_CAPTURE, SENT);
    return send(life, PAYMENTS, CAPTURE_PAYMENT, &request.base);
}

int life_refund(struct life *life, const char *id, int64_t amount_minor)
{
    RefundPaymentRequest request = OMS__PAYMENT__V1__REFUND_PAYMENT_REQUEST__INIT;
    if (amount_minor == 0 || life->payment_id[0] == '\0')
        return 0;
    request.request_id = operation_id(life, id, "refund");
    request.amount = money_to_wire(life->txn->arena, amount_minor, life->currency);
    if (!request.request_id || !request.amount)
        return -ENOMEM;
    request.payment_id = (char *)life->payment_id;
    life->returning_minor += amount_minor;
    request.reason = "ORDER_CANCELLED";
    return send(life, PAYMENTS, REFUND_PAYMENT, &request.base);
}

/* A deadline costs a row, so that only orders that wait for an answer have one. */
static int await_payment(struct life *life)
{
    return outbox_timer(life->txn, PAYMENT_DEADLINE, life->order_id, life->txn->now_us + PAYMENT_DEADLINE_US);
}

/* --- parcels --- */

static FulfillmentLine *fulfillment_line(struct arena *arena, const struct rows *rows, size_t row)
{
    FulfillmentLine *line = arena_message(arena, &oms__shipping__v1__fulfillment_line__descriptor);
    if (!line)
        return NULL;
    line->place = (int32_t)row_int(rows, row, 1);
    line->sku = (char *)row_text(rows, row, 2);
    line->quantity = row_int(rows, row, 3);
    return line;
}

/* The rows come by location. */
static int add_shares(struct life *life, const struct rows *rows, CreateFulfillmentRequest *request)
{
    struct arena *arena = life->txn->arena;
    Share *share = NULL;
    request->shares = arena_alloc(arena, rows->n * sizeof(Share *));
    if (!request->shares)
        return -ENOMEM;
    for (size_t i = 0; i < rows->n; i++) {
        if (!share || strcmp(share->location_id, row_text(rows, i, 0)) != 0) {
            share = arena_message(arena, &oms__shipping__v1__create_fulfillment_request__share__descriptor);
            if (!share || !(share->lines = arena_alloc(arena, (rows->n - i) * sizeof(FulfillmentLine *))))
                return -ENOMEM;
            share->location_id = (char *)row_text(rows, i, 0);
            request->shares[request->n_shares++] = share;
        }
        share->lines[share->n_lines] = fulfillment_line(arena, rows, i);
        if (!share->lines[share->n_lines++])
            return -ENOMEM;
    }
    return 0;
}

/* Without a parcel nothing will ever be shipped: what is due is due now. */
static int fulfil(struct life *life)
{
    CreateFulfillmentRequest request = OMS__SHIPPING__V1__CREATE_FULFILLMENT_REQUEST__INIT;
    struct rows rows;
    int r = txn_query(life->txn, &rows,
                      "SELECT location_id, place, sku, quantity FROM order_allocation WHERE order_id = $1 "
                      "ORDER BY location_id, place",
                      T(life->order_id));
    if (r < 0)
        return r;
    if (rows.n == 0)
        return life_capture(life, life->order_id, life->due_minor);
    request.request_id = operation_id(life, life->order_id, OPERATION_FULFIL);
    if (!request.request_id)
        return -ENOMEM;
    request.order_id = (char *)life->order_id;
    request.customer_id = (char *)life->customer_id;
    r = add_shares(life, &rows, &request);
    if (r < 0)
        return r;
    life->parcels = life->parcels_open = (int64_t)request.n_shares;
    step(life, STEP_FULFIL, SENT);
    return send(life, SHIPPING, CREATE_FULFILLMENT, &request.base);
}

static int undo(struct life *life);

static int stop_parcels(struct life *life)
{
    CancelFulfillmentRequest request = OMS__SHIPPING__V1__CANCEL_FULFILLMENT_REQUEST__INIT;
    if (!is_held(life, STEP_FULFIL))
        return undo(life);
    /* The order may be cancelled again after it was too late once. */
    request.request_id =
        arena_printf(life->txn->arena, "%s-cancel-%llu", life->order_id, (unsigned long long)life->version);
    request.operation_id = operation_id(life, life->order_id, OPERATION_FULFIL);
    if (!request.request_id || !request.operation_id)
        return -ENOMEM;
    step(life, STEP_FULFIL, UNDOING);
    return send(life, SHIPPING, CANCEL_FULFILLMENT, &request.base);
}

static int give_back(struct life *life)
{
    int64_t kept_minor = life->captured_minor - life->returning_minor;
    if (life->captured_minor != life->asked_minor)
        return 0; /* a capture is under way: its outcome leads here again */
    step(life, STEP_CAPTURE, life->captured_minor > life->refunded_minor ? UNDOING : UNDONE);
    /* What was captured after the last refund is another one. */
    const char *id = arena_printf(life->txn->arena, "%s-%llu", life->order_id, (unsigned long long)life->version);
    return id ? life_refund(life, id, kept_minor) : -ENOMEM;
}

/* A refund was refused, and what is left may be less now. */
static bool owes_refund(const struct life *life)
{
    return life->steps[STEP_CAPTURE] == UNDOING && life->returning_minor == life->refunded_minor;
}

/* Parcels first: until it is known what has left, stock and money stay. */
static int undo(struct life *life)
{
    int r = 0;
    if (is_held(life, STEP_FULFIL))
        return stop_parcels(life);
    if (life->steps[STEP_FULFIL] == UNDOING)
        return 0;
    if (is_held(life, STEP_RESERVE))
        r = release(life);
    if (r == 0 && (is_held(life, STEP_CAPTURE) || owes_refund(life)))
        r = give_back(life);
    if (r == 0 && is_held(life, STEP_AUTHORIZE))
        r = void_payment(life);
    return r;
}

static int free_rest(struct life *life)
{
    return is_held(life, STEP_AUTHORIZE) && life->captured_minor < life->total_minor ? void_payment(life) : 0;
}

int life_act(struct life *life, enum order_action action)
{
    static int (*const actions[])(struct life *) = {
        [AUTHORIZE] = authorize,       [FULFIL] = fulfil, [AWAIT_PAYMENT] = await_payment,
        [STOP_PARCELS] = stop_parcels, [UNDO] = undo,     [FREE_REST] = free_rest,
    };
    return action == NOTHING ? 0 : actions[action](life);
}
