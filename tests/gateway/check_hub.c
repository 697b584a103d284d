/* Watches: one tail for all of them, nothing missed, nothing told twice. */
#include "gateway/hub.h"
#include "tests/gateway/behind.h"
#include "tests/suite.h"

START_TEST(a_watch_tells_the_order_and_then_what_happens_to_it)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    ck_assert_str_eq(the_read()->caller->subject, "ann");
    answer_read("ord_1", PENDING, 7);
    expect_update(call, 0, PENDING, 7, true);
    struct outcall *tail = find_tail(true);
    ck_assert_uint_eq(tail_after(tail), 7);
    ck_assert_ptr_null(tail->caller);
    send_entry(tail, 8, "ord_2", COMPLETED_EVENT);
    send_entry(tail, 9, "ord_1", COMPLETED_EVENT);
    expect_update(call, 1, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 2);
    close_stage();
}
END_TEST

START_TEST(who_may_not_read_the_order_may_not_watch_it)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    end_call(the_read(), RPC_NOT_FOUND, "there is no order \"ord_1\"");
    expect_end(call, RPC_NOT_FOUND, "");
    ck_assert_str_eq(call_field(call, "grpc-message"), "there is no order \"ord_1\"");
    ck_assert_ptr_null(find_tail(true));
    close_stage();
}
END_TEST

START_TEST(all_watches_share_one_tail)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    struct call *second = watch(client, "ord_2", 0);
    answer_read("ord_2", PENDING, 7);
    struct call *third = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    ck_assert_uint_eq(behind.n, 1);
    send_entry(find_tail(true), 8, "ord_1", COMPLETED_EVENT);
    send_entry(find_tail(true), 9, "ord_2", REJECTED_EVENT);
    expect_update(first, 1, COMPLETED, 8, false);
    expect_update(third, 1, COMPLETED, 8, false);
    expect_update(second, 1, REJECTED, 9, false);
    close_stage();
}
END_TEST

START_TEST(what_the_tail_saw_between_read_and_reply_is_not_missed)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    struct call *call = watch(client, "ord_1", 0);
    the_read();
    send_entry(find_tail(true), 8, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    answer_read("ord_1", PENDING, 8);
    expect_update(call, 0, PENDING, 8, true);
    expect_update(call, 1, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(first), 1);
    close_stage();
}
END_TEST

START_TEST(what_the_read_already_told_is_not_told_again)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    struct call *call = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 9);
    send_entry(find_tail(true), 8, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 10, "ord_1", REJECTED_EVENT);
    expect_update(call, 1, REJECTED, 10, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 2);
    close_stage();
}
END_TEST

START_TEST(an_order_in_its_last_state_ends_the_watch)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    answer_read("ord_1", REJECTED, 7);
    expect_update(call, 0, REJECTED, 7, true);
    expect_end(call, RPC_OK, "");
    close_stage();
}
END_TEST

START_TEST(a_resumed_watch_gets_what_the_window_still_has)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    struct call *call = watch(client, "ord_1", 8);
    answer_read("ord_1", COMPLETED, 9);
    expect_update(call, 0, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 1);
    close_stage();
}
END_TEST

START_TEST(a_watch_resumed_after_the_last_event_ends_at_once)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_1", COMPLETED_EVENT);
    struct call *call = watch(client, "ord_1", 8);
    answer_read("ord_1", COMPLETED, 8);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 0);
    close_stage();
}
END_TEST

START_TEST(a_watch_resumed_from_before_the_window_is_replayed)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *call = watch(client, "ord_1", 3);
    answer_read("ord_1", PENDING, 7);
    struct outcall *replay = find_tail(false);
    ck_assert_ptr_nonnull(replay);
    ck_assert_uint_eq(tail_after(replay), 3);
    send_entry(replay, 4, "ord_9", PLACED_EVENT);
    send_entry(replay, 5, "ord_1", PLACED_EVENT);
    send_entry(replay, 8, "ord_9", PLACED_EVENT);
    send_entry(find_tail(true), 8, "ord_9", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    end_call(replay, RPC_OK, "");
    expect_update(call, 0, PENDING, 5, false);
    expect_update(call, 1, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 2);
    close_stage();
}
END_TEST

START_TEST(a_position_of_another_incarnation_is_refused)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 3);
    answer_read_in("b2", "ord_1", PENDING, 7);
    expect_end(call, RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION");
    ck_assert_str_eq(call_violation(call), "after.incarnation");
    close_stage();
}
END_TEST

START_TEST(a_position_ahead_of_the_log_is_refused)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 8);
    answer_read("ord_1", PENDING, 7);
    expect_end(call, RPC_OUT_OF_RANGE, "LOG_AHEAD");
    close_stage();
}
END_TEST

START_TEST(a_lost_tail_goes_on_where_it_was)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_2", PLACED_EVENT);
    end_call(find_tail(true), RPC_UNAVAILABLE, "gone");
    stage_until(&stage, find_tail(true) != NULL);
    ck_assert_uint_eq(tail_after(find_tail(true)), 8);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    expect_update(call, 1, COMPLETED, 9, false);
    close_stage();
}
END_TEST

START_TEST(a_log_that_was_restored_ends_every_watch)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    end_call(find_tail(true), RPC_FAILED_PRECONDITION, "foreign");
    expect_end(first, RPC_UNAVAILABLE, "WATCH_RESUME");
    ck_assert_ptr_null(find_tail(true));
    struct call *second = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 2);
    struct call *third = watch(client, "ord_1", 0);
    answer_read_in("b2", "ord_1", PENDING, 1);
    expect_end(second, RPC_UNAVAILABLE, "WATCH_RESUME");
    expect_update(third, 0, PENDING, 1, true);
    close_stage();
}
END_TEST

START_TEST(a_watcher_that_does_not_read_is_let_go)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    for (uint64_t seq = 8; !call->closed; seq++) {
        ck_assert_uint_lt(seq, 20000);
        send_entry(find_tail(true), seq, "ord_1", PLACED_EVENT);
        if (seq % 64 == 0)
            stage_turn(&stage, INT64_MAX);
    }
    expect_end(call, RPC_UNAVAILABLE, "WATCH_RESUME");
    ck_assert_int_gt(call_retry_us(call), 0);
    ck_assert_uint_lt(stage.gateway->buffered, 1024);
    close_stage();
}
END_TEST

START_TEST(a_watcher_that_leaves_is_forgotten)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_1", 0);
    the_read();
    call_reset(first, NGHTTP2_CANCEL);
    stage_until(&stage, behind.n == 0);
    run_posted();
    struct call *second = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    expect_update(second, 0, PENDING, 7, true);
    call_reset(second, NGHTTP2_CANCEL);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    send_entry(find_tail(true), 8, "ord_1", COMPLETED_EVENT);
    close_stage();
}
END_TEST

START_TEST(a_gateway_that_drains_sends_watchers_elsewhere)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *call = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    gateway_drain(stage.gateway, 10000, 5000000, behind_true, &stage.drained);
    expect_end(call, RPC_UNAVAILABLE, "WATCH_RESUME");
    stage_until(&stage, stage.drained);
    ck_assert(client->got_goaway);
    close_stage();
}
END_TEST

SUITE("hub", 60, a_watch_tells_the_order_and_then_what_happens_to_it, who_may_not_read_the_order_may_not_watch_it,
      all_watches_share_one_tail, what_the_tail_saw_between_read_and_reply_is_not_missed,
      what_the_read_already_told_is_not_told_again, an_order_in_its_last_state_ends_the_watch,
      a_resumed_watch_gets_what_the_window_still_has, a_watch_resumed_after_the_last_event_ends_at_once,
      a_watch_resumed_from_before_the_window_is_replayed, a_position_of_another_incarnation_is_refused,
      a_position_ahead_of_the_log_is_refused, a_lost_tail_goes_on_where_it_was,
      a_log_that_was_restored_ends_every_watch, a_watcher_that_does_not_read_is_let_go,
      a_watcher_that_leaves_is_forgotten, a_gateway_that_drains_sends_watchers_elsewhere)
