/* Mails: one for each thing that happens, whoever dies meanwhile; nothing personal but in contacts and in the mail. */
#include "tests/suite.h"
#include "tests/svc-notify/stage.h"

#include <stdio.h>
#include <string.h>

#define STEPS_AFTER 40 /* until the answer to the last mail is stored, and more */

#define E(event)     OMS__EVENT__V1__EVENT_TYPE__##event
#define MAIL_OF(...) stage_mail(&s, __VA_ARGS__)

#define ANN  "Ann Canary-Lee"
#define MAIL "canary.lee@example.org"

static struct stage s;

static void open_stage(void)
{
    stage_open(&s, 1);
    stage_order(&s, "ord_1", ANN, MAIL);
}

#define STATES(state) NUMBER(&s, "SELECT COUNT(*) FROM message WHERE state = " #state)
#define QUEUED_NOW    STATES(1)
#define SENT_NOW      STATES(2)
#define NOWHERE_NOW   STATES(3)
#define FAILED_NOW    STATES(4)

START_TEST(a_confirmed_order_is_told_by_mail)
{
    open_stage();
    order_event(&s, E(ORDER_PLACED), "ord_1", "");
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 1);
    const struct mail *mail = MAIL_OF("ord_1-confirmed");
    ck_assert_ptr_nonnull(mail);
    ck_assert_int_eq(mail->times, 1);
    ck_assert_str_eq(mail->to, MAIL);
    ck_assert_ptr_nonnull(strstr(mail->body, "\r\nFrom: \"OrderMesh\" <orders@ordermesh.example>\r\n"
                                             "To: \"" ANN "\" <" MAIL ">\r\n"
                                             "Subject: Your order ord_1 is confirmed\r\n"
                                             "Message-ID: <ord_1-confirmed@ordermesh>\r\n"));
    ck_assert_int_eq(strncmp(mail->body, "Date: ", 6), 0);
    ck_assert_ptr_nonnull(
        strstr(mail->body, "\r\n\r\nHello " ANN ",\r\n\r\nthank you for your order ord_1 over 12.30 GBP."));
    ck_assert_int_eq(SENT_NOW, 1);
    stage_close(&s);
}
END_TEST

START_TEST(each_event_that_matters_to_the_customer_is_one_mail)
{
    open_stage();
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    payment_event(&s, E(PAYMENT_ACTION_REQUIRED), "ord_1", "ord_1-authorize", 2);
    payment_event(&s, E(PAYMENT_AUTHORIZED), "ord_1", "ord_1-authorize", 3);
    parcel_event(&s, E(FULFILLMENT_SHIPPED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_SHIPPED), "ord_1", "ful_2");
    parcel_event(&s, E(FULFILLMENT_IN_TRANSIT), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELIVERED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_LOST), "ord_1", "ful_2");
    parcel_event(&s, E(FULFILLMENT_RETURNED), "ord_1", "ful_2");
    payment_event(&s, E(PAYMENT_REFUNDED), "ord_1", "ful_2-refund", 8);
    payment_event(&s, E(PAYMENT_REFUNDED), "ord_1", "../../etc", 9);
    order_event(&s, E(ORDER_PROGRESSED), "ord_1", "");
    order_event(&s, E(ORDER_PROGRESSED), "ord_1", "CANCEL_TOO_LATE");
    order_event(&s, E(ORDER_COMPLETED), "ord_1", "");
    order_event(&s, E(ORDER_REJECTED), "ord_2", "OUT_OF_STOCK");
    order_event(&s, E(ORDER_CANCELLED), "ord_3", "");
    stage_settle(&s);
    static const char *const names[] = {
        "ord_1-confirmed",  "pay_ord_1-action",     "ful_1-shipped",   "ful_2-shipped",
        "ful_1-delayed",    "ful_1-delivered",      "ful_2-lost",      "ful_2-returned",
        "ord_1-7-too-late", "pay_ord_1-8-refunded", "ord_1-completed", "pay_ord_1-9-refunded",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_msg(MAIL_OF(names[i]) != NULL, "%s", names[i]);
        ck_assert_int_eq(MAIL_OF(names[i])->times, 1);
    }
    ck_assert_int_eq(s.n_mails, sizeof(names) / sizeof(names[0]));
    ck_assert_ptr_nonnull(strstr(MAIL_OF("ful_1-shipped")->body, "SB123."));
    ck_assert_ptr_nonnull(strstr(MAIL_OF("pay_ord_1-8-refunded")->body, "Subject: 4.00 GBP for your order ord_1"));
    /* of orders that svc-order does not know */
    ck_assert_int_eq(FAILED_NOW, 2);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM contact"), 1);
    stage_close(&s);
}
END_TEST

START_TEST(what_happens_twice_is_told_once)
{
    open_stage();
    for (int i = 0; i < 3; i++) {
        world_partition(s.world, s.notify, s.shipping, SECOND_US); /* so that they come in pages, too */
        parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
        parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
        stage_settle(&s);
    }
    ck_assert_int_eq(s.n_mails, 1);
    ck_assert_int_eq(s.mails[0].times, 1);
    stage_close(&s);
}
END_TEST

START_TEST(a_page_of_many_orders_is_told_to_each)
{
    open_stage();
    for (int i = 0; i < 150; i++)
        stage_order(&s, arena_printf(&s.arena, "ord_a%d", i), ANN, i % 3 ? MAIL : "");
    world_partition(s.world, s.notify, s.order, 20 * SECOND_US);
    for (int i = 0; i < 150; i++) {
        order_event(&s, E(ORDER_CONFIRMED), arena_printf(&s.arena, "ord_a%d", i), "");
        order_event(&s, E(ORDER_COMPLETED), arena_printf(&s.arena, "ord_a%d", i), "");
    }
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 200);
    ck_assert_int_eq(SENT_NOW, 200);
    ck_assert_int_eq(NOWHERE_NOW, 100);
    for (int i = 0; i < s.n_mails; i++)
        ck_assert_int_eq(s.mails[i].times, 1);
    /* what comes later finds the address known */
    order_event(&s, E(ORDER_CANCELLED), "ord_a0", "");
    order_event(&s, E(ORDER_CANCELLED), "ord_a1", "");
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 201);
    ck_assert_int_eq(NOWHERE_NOW, 101);
    stage_close(&s);
}
END_TEST

START_TEST(the_customer_is_asked_for_once_and_only_if_there_is_something_to_tell)
{
    open_stage();
    world_partition(s.world, s.notify, s.payment, 10 * SECOND_US);
    payment_event(&s, E(PAYMENT_REFUNDED), "ord_1", "r1", 2);
    order_event(&s, E(ORDER_PLACED), "ord_1", "");
    order_event(&s, E(ORDER_PROGRESSED), "ord_1", "");
    world_run(s.world, 5 * SECOND_US);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM contact"), 0);
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    AWAIT(&s, "SELECT COUNT(*) FROM message WHERE state = 2", 1);
    node_crash(s.order, 2 * MINUTE_US); /* nobody could be asked again */
    AWAIT(&s, "SELECT COUNT(*) FROM message WHERE state = 2", 2);
    ck_assert_int_eq(s.n_mails, 2);
    stage_close(&s);
}
END_TEST

static void ck_went_in_order(const char *first)
{
    world_outside_down(s.world, "mail", false);
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 3);
    ck_assert_str_eq(s.mails[0].path, first);
    ck_assert_str_eq(s.mails[1].path, "/ful_1-shipped.eml");
    ck_assert_str_eq(s.mails[2].path, "/ful_1-delivered.eml");
    stage_close(&s);
}

START_TEST(mails_of_an_order_go_in_the_order_in_which_things_happened)
{
    open_stage();
    world_outside_down(s.world, "mail", true);
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    AWAIT(&s, "SELECT COUNT(*) FROM outbox WHERE destination = 'mail'", 1);
    parcel_event(&s, E(FULFILLMENT_SHIPPED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELIVERED), "ord_1", "ful_1");
    world_run(s.world, MINUTE_US);
    ck_assert_int_eq(QUEUED_NOW, 3);
    ck_went_in_order("/ord_1-confirmed.eml");
}
END_TEST

/* Also if it is heard of in another one. */
START_TEST(what_waits_for_an_address_goes_in_that_order_too)
{
    open_stage();
    world_partition(s.world, s.notify, s.order, MINUTE_US);
    world_partition(s.world, s.notify, s.payment, 5 * SECOND_US);
    payment_event(&s, E(PAYMENT_REFUNDED), "ord_1", "r1", 2);
    world_run(s.world, SECOND_US);
    parcel_event(&s, E(FULFILLMENT_SHIPPED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELIVERED), "ord_1", "ful_1");
    AWAIT(&s, "SELECT COUNT(*) FROM message WHERE state = 1", 3);
    ck_assert_int_eq(s.n_mails, 0);
    ck_went_in_order("/pay_ord_1-2-refunded.eml");
}
END_TEST

/* stage.c compares what comes again. */
START_TEST(a_mail_that_nobody_confirmed_is_written_over_by_the_same)
{
    open_stage();
    s.dropped = 3;
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 1);
    ck_assert_int_eq(s.mails[0].times, 4);
    ck_assert_int_eq(SENT_NOW, 1);
    stage_close(&s);
}
END_TEST

/* Two things happen at once; svc-notify dies before that step. Returns how many steps it took. */
static uint64_t tell_story(uint64_t crash_at)
{
    stage_open(&s, 5);
    stage_order(&s, "ord_1", ANN, MAIL);
    order_event_begin(&s, E(ORDER_CONFIRMED), "ord_1");
    order_event_begin(&s, E(ORDER_REJECTED), "ord_1");
    uint64_t steps = 0;
    for (int after = 0; after < STEPS_AFTER; steps++) {
        if (steps == crash_at)
            node_crash(s.notify, 50000);
        ck_assert(world_step(s.world));
        after += s.n_mails == 2;
    }
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 2);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM message"), 2);
    ck_assert_int_eq(SENT_NOW, 2);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM alert_case"), 0);
    stage_close(&s);
    return steps;
}

START_TEST(svc_notify_may_die_between_any_two_steps)
{
    uint64_t steps = tell_story(UINT64_MAX);
    ck_assert_uint_gt(steps, STEPS_AFTER + 20);
    for (uint64_t at = 0; at < steps; at++)
        tell_story(at);
}
END_TEST

START_TEST(whatever_goes_wrong_every_event_is_one_mail)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        stage_open(&s, seed);
        for (int i = 0; i < 20; i++)
            stage_order(&s, arena_printf(&s.arena, "ord_w%d", i), ANN, MAIL);
        struct faults *faults = world_faults(s.world);
        faults->request_lost = faults->reply_lost = faults->request_twice = faults->stream_broken = 30000;
        faults->late = 100000;
        for (int i = 0; i < 20; i++) {
            char *order = arena_printf(&s.arena, "ord_w%d", i);
            order_event(&s, E(ORDER_CONFIRMED), order, "");
            parcel_event(&s, E(FULFILLMENT_SHIPPED), order, arena_printf(&s.arena, "ful_w%d", i));
            world_run(s.world, (int64_t)world_roll(s.world, 30000));
            s.dropped += i % 4 == 1;
            if (i % 5 == 2)
                node_crash(s.notify, 100000);
        }
        world_run(s.world, 10 * SECOND_US);
        world_quiet(s.world);
        world_run(s.world, 3 * SECOND_US);
        stage_settle(&s);
        ck_assert_int_eq(s.n_mails, 40);
        ck_assert_int_eq(SENT_NOW, 40);
        stage_close(&s);
    }
}
END_TEST

START_TEST(an_order_without_an_address_is_told_nothing)
{
    open_stage();
    stage_order(&s, "ord_none", ANN, "");
    stage_order(&s, "ord_odd", ANN, "canary@example.org\r\nBcc: eve@example.org");
    order_event(&s, E(ORDER_CONFIRMED), "ord_none", "");
    order_event(&s, E(ORDER_CONFIRMED), "ord_odd", "");
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 0);
    ck_assert_int_eq(NOWHERE_NOW, 2);
    stage_close(&s);
}
END_TEST

START_TEST(a_name_can_hold_anything_but_a_header)
{
    open_stage();
    stage_order(&s, "ord_2", "Zo\xc3\xab \xe6\x9d\x8e\r\nBcc: eve@example.org", MAIL);
    stage_order(&s, "ord_3", "Ann\nX-Evil: yes", MAIL);
    order_event(&s, E(ORDER_CONFIRMED), "ord_2", "");
    order_event(&s, E(ORDER_CONFIRMED), "ord_3", "");
    stage_settle(&s);
    const char *encoded = MAIL_OF("ord_2-confirmed")->body, *plain = MAIL_OF("ord_3-confirmed")->body;
    ck_assert_ptr_null(strstr(encoded, "\nBcc"));
    ck_assert_ptr_nonnull(
        strstr(encoded, "\r\nTo: =?UTF-8?B?Wm/DqyDmnY4gIEJjYzogZXZlQGV4YW1wbGUub3Jn?=\r\n <" MAIL ">"));
    ck_assert_ptr_nonnull(strstr(encoded, "\r\nHello Zo=C3=AB =E6=9D=8E  Bcc: eve@example.org,\r\n"));
    ck_assert_ptr_null(strstr(plain, "\nX-Evil"));
    ck_assert_ptr_nonnull(strstr(plain, "\r\nTo: \"Ann X-Evil: yes\" <" MAIL ">\r\n"));
    stage_close(&s);
}
END_TEST

START_TEST(a_refused_mail_has_failed_and_holds_up_nothing)
{
    open_stage();
    s.status = 400;
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    stage_settle(&s);
    ck_assert_int_eq(FAILED_NOW, 1);
    s.status = 0;
    order_event(&s, E(ORDER_COMPLETED), "ord_1", "");
    stage_settle(&s);
    ck_assert_int_eq(SENT_NOW, 1);
    stage_close(&s);
}
END_TEST

START_TEST(a_mail_is_given_up_after_two_days)
{
    open_stage();
    world_outside_down(s.world, "mail", true);
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    AWAIT(&s, "SELECT COUNT(*) FROM outbox WHERE destination = 'mail'", 1);
    node_wall_offset(s.notify, 47 * HOUR_US);
    world_run(s.world, 5 * MINUTE_US);
    ck_assert_int_eq(QUEUED_NOW, 1);
    node_wall_offset(s.notify, 49 * HOUR_US);
    world_run(s.world, 5 * MINUTE_US);
    ck_assert_int_eq(FAILED_NOW, 1);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM outbox"), 0);
    stage_close(&s);
}
END_TEST

START_TEST(what_was_erased_is_not_written_to_any_more)
{
    open_stage();
    world_outside_down(s.world, "mail", true);
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    AWAIT(&s, "SELECT COUNT(*) FROM outbox WHERE destination = 'mail'", 1);
    stage_write(&s, SQL("UPDATE contact SET name = '', email = ''"));
    world_outside_down(s.world, "mail", false);
    stage_settle(&s);
    ck_assert_int_eq(s.n_mails, 0);
    ck_assert_int_eq(NOWHERE_NOW, 1);
    stage_close(&s);
}
END_TEST

START_TEST(a_snapshot_is_no_news)
{
    s.snapshot_type = E(FULFILLMENT_DELIVERED);
    s.n_snapshot = 5;
    stage_open(&s, 1);
    stage_settle(&s);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM message"), 0);
    stage_close(&s);
}
END_TEST

START_TEST(an_event_that_nobody_here_knows_stops_the_consumer)
{
    open_stage();
    order_event(&s, E(RESERVATION_EXPIRED), "ord_1", "");
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    parcel_event(&s, E(FULFILLMENT_SHIPPED), "ord_1", "ful_1");
    world_run(s.world, MINUTE_US);
    ck_assert_int_eq(s.n_mails, 1);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM consumer_cursor WHERE name = 'notify-orders' AND seq = 0"), 1);
    stage_close(&s);
}
END_TEST

/* Tables with text, but the one that is personal. */
START_TEST(nothing_personal_stands_anywhere_but_in_contacts)
{
    open_stage();
    world_outside_down(s.world, "mail", true);
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
    AWAIT(&s, "SELECT COUNT(*) FROM outbox WHERE destination = 'mail' AND attempts > 1", 1);
#define CANARIES(table, text) NUMBER(&s, "SELECT COUNT(*) FROM " table " WHERE " text " LIKE '%anary%'")
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(CANARIES("outbox", "key || id || CAST(request AS TEXT) || last_reason"), 0);
        ck_assert_int_eq(CANARIES("dead_letter", "key || CAST(request AS TEXT) || last_reason"), 0);
        ck_assert_int_eq(CANARIES("event_log", "key || owner || CAST(payload AS TEXT)"), 0);
        ck_assert_int_eq(CANARIES("rpc_request", "CAST(reply AS TEXT)"), 0);
        ck_assert_int_eq(CANARIES("message", "message_id || customer_id || reason || tracking_number || amount"), 0);
        ck_assert_int_eq(CANARIES("alert_case", "customer_id || ref || detail || resolution"), 0);
        ck_assert_int_eq(CANARIES("contact", "name || email"), 1);
        world_outside_down(s.world, "mail", false);
        stage_settle(&s);
    }
    ck_assert_ptr_nonnull(strstr(s.mails[0].body, "anary"));
    stage_close(&s);
}
END_TEST

/* --- reading --- */

static const ListMessagesResponse *list(const struct caller *who, ListMessagesRequest request)
{
    char **const texts[] = { &request.order_id, &request.customer_id, &request.page_token };
    for (size_t i = 0; i < 3; i++)
        *texts[i] = *texts[i] ? *texts[i] : "";
    struct answer a = ask_messages(&s, who, "ListMessages", &request.base);
    ck_assert_int_eq(a.code, RPC_OK);
    return a.reply;
}
#define LIST(who, ...) \
    list(who, (ListMessagesRequest){ PROTOBUF_C_MESSAGE_INIT(&oms__notify__v1__list_messages_request__descriptor) \
                                         __VA_OPT__(, ) __VA_ARGS__ })

static struct answer get_one(const struct caller *who, const char *id)
{
    GetMessageRequest request = OMS__NOTIFY__V1__GET_MESSAGE_REQUEST__INIT;
    request.message_id = (char *)id;
    return ask_messages(&s, who, "GetMessage", &request.base);
}

START_TEST(messages_are_read_by_staff_and_by_whose_they_are)
{
    open_stage();
    order_event(&s, E(ORDER_CONFIRMED), "ord_1", "");
    order_event(&s, E(ORDER_CONFIRMED), "ord_2", "");
    stage_settle(&s);
    parcel_event(&s, E(FULFILLMENT_SHIPPED), "ord_1", "ful_1");
    stage_settle(&s);

    const Message *message = get_one(&carla, "ful_1-shipped").reply;
    ck_assert_str_eq(message->subject, "A parcel of your order ord_1 is on its way");
    ck_assert_int_eq(message->state, OMS__NOTIFY__V1__MESSAGE__STATE__SENT);
    ck_assert_str_eq(message->customer_id, "cus_ord_1");
    ck_assert_int_eq(get_one(&ann, "ful_1-shipped").code, RPC_OK);
    ck_assert_int_eq(get_one(&ann, "ord_2-confirmed").code, RPC_NOT_FOUND);
    ck_assert_str_eq(get_one(&carla, "nothing").reason, "MESSAGE_NOT_FOUND");
    ck_assert_int_eq(get_one(&walter, "ful_1-shipped").code, RPC_PERMISSION_DENIED);

    ck_assert_uint_eq(LIST(&carla)->n_messages, 3);
    ck_assert_str_eq(LIST(&carla)->messages[0]->message_id, "ful_1-shipped");
    ck_assert_uint_eq(LIST(&ann)->n_messages, 2);
    ck_assert_uint_eq(LIST(&carla, .order_id = "ord_2")->n_messages, 1);
    ck_assert_uint_eq(LIST(&ann, .order_id = "ord_2")->n_messages, 0);
    ck_assert_uint_eq(LIST(&carla, .customer_id = "cus_ord_2")->n_messages, 1);

    size_t n = 0;
    const ListMessagesResponse *page = LIST(&carla, .page_size = 2);
    for (;; page = LIST(&carla, .page_size = 2, .page_token = page->next_page_token)) {
        n += page->n_messages;
        if (page->next_page_token[0] == '\0')
            break;
    }
    ck_assert_uint_eq(n, 3);
    ListMessagesRequest other = OMS__NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
    other.page_token = LIST(&carla, .page_size = 1)->next_page_token;
    ck_assert_str_eq(ask_messages(&s, &ann, "ListMessages", &other.base).reason, "PAGE_TOKEN_INVALID");
    other.page_token = "";
    other.customer_id = "cus_ord_2";
    ck_assert_int_eq(ask_messages(&s, &ann, "ListMessages", &other.base).code, RPC_PERMISSION_DENIED);
    stage_close(&s);
}
END_TEST

SUITE("messages", 280, a_confirmed_order_is_told_by_mail, each_event_that_matters_to_the_customer_is_one_mail,
      what_happens_twice_is_told_once, a_page_of_many_orders_is_told_to_each,
      the_customer_is_asked_for_once_and_only_if_there_is_something_to_tell,
      mails_of_an_order_go_in_the_order_in_which_things_happened, what_waits_for_an_address_goes_in_that_order_too,
      a_mail_that_nobody_confirmed_is_written_over_by_the_same, svc_notify_may_die_between_any_two_steps,
      whatever_goes_wrong_every_event_is_one_mail, an_order_without_an_address_is_told_nothing,
      a_name_can_hold_anything_but_a_header, a_refused_mail_has_failed_and_holds_up_nothing,
      a_mail_is_given_up_after_two_days, what_was_erased_is_not_written_to_any_more, a_snapshot_is_no_news,
      an_event_that_nobody_here_knows_stops_the_consumer, nothing_personal_stands_anywhere_but_in_contacts,
      messages_are_read_by_staff_and_by_whose_they_are)
