/* What a watch tells of each event, to whom, and when it ends. */
#include "tests/gateway/behind.h"
#include "tests/suite.h"

#include <string.h>

#define ACTION_REQUIRED OMS__ORDER__V1__ORDER__PAYMENT_STATE__ACTION_REQUIRED
#define AUTHORIZING     OMS__ORDER__V1__ORDER__PAYMENT_STATE__AUTHORIZING
#define AUTHORIZED      OMS__ORDER__V1__ORDER__PAYMENT_STATE__AUTHORIZED
#define UNFULFILLED     OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__UNFULFILLED
#define SHIPPED         OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__SHIPPED

static void send_changed(uint64_t seq, int type, int state, int payment, int fulfillment)
{
    Oms__Event__V1__OrderStateChanged changed = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    changed.state = (Oms__Order__V1__Order__State)state;
    changed.payment_state = (Oms__Order__V1__Order__PaymentState)payment;
    changed.fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)fulfillment;
    send_payload(find_tail(true), seq, "ord_1", type, CUSTOMERS_AND_CSR, &changed.base);
}

static void expect_states(struct call *call, size_t i, int state, int payment, int fulfillment)
{
    stage_until(&stage, n_updates(call) > i);
    Update *update = update_at(call, i);
    ck_assert_int_eq(update->state, state);
    ck_assert_int_eq(update->payment_state, payment);
    ck_assert_int_eq(update->fulfillment_state, fulfillment);
    oms__order__v1__order_update__free_unpacked(update, NULL);
}

static struct call *watch_of(struct peer *client, const char *subject, const char *roles)
{
    char bearer[1024];
    strcpy(bearer, stage_bearer(&stage, subject, roles));
    struct call *call = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    return call;
}

START_TEST(the_watch_of_a_confirmed_order_goes_on)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    answer_read("ord_1", CONFIRMED, 7);
    expect_update(call, 0, CONFIRMED, 7, true);
    send_changed(8, CONFIRMED_EVENT, CONFIRMED, AUTHORIZED, UNFULFILLED);
    send_changed(9, PROGRESSED_EVENT, CONFIRMED, AUTHORIZED, SHIPPED);
    expect_states(call, 2, CONFIRMED, AUTHORIZED, SHIPPED);
    ck_assert(!call->closed);
    send_changed(10, COMPLETED_EVENT, COMPLETED, AUTHORIZED, SHIPPED);
    expect_update(call, 3, COMPLETED, 10, false);
    expect_end(call, RPC_OK, "");
    close_stage();
}
END_TEST

START_TEST(payment_and_parcels_are_told_on_the_way)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    send_changed(8, PROGRESSED_EVENT, PENDING, ACTION_REQUIRED, UNFULFILLED);
    send_changed(9, CONFIRMED_EVENT, CONFIRMED, AUTHORIZED, UNFULFILLED);
    expect_states(call, 1, PENDING, ACTION_REQUIRED, UNFULFILLED);
    expect_states(call, 2, CONFIRMED, AUTHORIZED, UNFULFILLED);
    close_stage();
}
END_TEST

START_TEST(a_replayed_beginning_tells_how_the_order_is_paid)
{
    open_stage();
    Oms__Event__V1__OrderPlaced placed = OMS__EVENT__V1__ORDER_PLACED__INIT;
    placed.payment_state = AUTHORIZING;
    struct call *call = watch(stage_client(&stage), "ord_1", 3);
    answer_read("ord_1", PENDING, 7);
    send_payload(find_tail(false), 5, "ord_1", PLACED_EVENT, CUSTOMERS_AND_CSR, &placed.base);
    expect_states(call, 0, PENDING, AUTHORIZING, 0);
    close_stage();
}
END_TEST

static void expect_reason_text(struct call *call, size_t i, const char *text)
{
    stage_until(&stage, n_updates(call) > i);
    Update *update = update_at(call, i);
    ck_assert_int_eq(update->state, REJECTED);
    ck_assert_str_eq(update->reject_reason, text);
    oms__order__v1__order_update__free_unpacked(update, NULL);
}

START_TEST(a_payload_is_told_only_to_its_audience)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *owner = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    char bearer[1024];
    strcpy(bearer, stage_bearer(&stage, "eve", "\"customer\""));
    struct call *other = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    strcpy(bearer, stage_bearer(&stage, "will", "\"warehouse\""));
    struct call *warehouse = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    strcpy(bearer, stage_bearer(&stage, "carl", "\"csr\""));
    struct call *csr = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_1", REJECTED_EVENT);
    expect_reason_text(owner, 1, "sold out");
    expect_reason_text(csr, 1, "sold out");
    expect_reason_text(other, 1, "");
    expect_reason_text(warehouse, 1, "");
    close_stage();
}
END_TEST

START_TEST(progress_is_not_told_to_who_may_not_see_it)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *owner = watch_of(client, "ann", "\"customer\"");
    struct call *other = watch_of(client, "eve", "\"customer\"");
    struct call *warehouse = watch_of(client, "will", "\"warehouse\"");
    send_changed(8, PROGRESSED_EVENT, PENDING, ACTION_REQUIRED, UNFULFILLED);
    send_changed(9, CONFIRMED_EVENT, CONFIRMED, AUTHORIZED, UNFULFILLED);
    expect_states(owner, 1, PENDING, ACTION_REQUIRED, UNFULFILLED);
    expect_states(owner, 2, CONFIRMED, AUTHORIZED, UNFULFILLED);
    expect_update(other, 1, CONFIRMED, 9, false);
    expect_states(other, 1, CONFIRMED, 0, 0);
    expect_states(warehouse, 1, CONFIRMED, 0, 0);
    close_stage();
}
END_TEST

SUITE("update", 60, the_watch_of_a_confirmed_order_goes_on, payment_and_parcels_are_told_on_the_way,
      a_replayed_beginning_tells_how_the_order_is_paid, a_payload_is_told_only_to_its_audience,
      progress_is_not_told_to_who_may_not_see_it)
