/* Following parcels: what the carrier tells is applied once each and in order, whoever dies, and asking for it never
 * ends and never doubles. */
#include "tests/suite.h"
#include "tests/svc-shipping/yard.h"

#include <string.h>

static struct shop s;

enum { SECOND = 1000000 };
#define EVENTS(type) NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM event_log WHERE type = " #type)
#define CURSOR       NUMBER(&s, s.shipping, "SELECT seq FROM carrier_cursor")
/* Links of the chain that counts, and of any. */
#define CHAINS \
    NUMBER(&s, s.shipping, \
           "SELECT COUNT(*) FROM outbox o, carrier_cursor c WHERE (o.method = '/carrier/events' AND o.destination = " \
           "'carrier') OR (o.method = 'poll' AND o.key = 'carrier/' || c.round)")
#define LINKS NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM outbox WHERE method IN ('poll', '/carrier/events')")

/* --- what is told --- */

START_TEST(a_delay_is_told_with_the_new_promise_and_the_parcel_comes)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "Delayton");
    int64_t promised_us = fulfillment_of(&s, id)->promise_time_us;
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    const Fulfillment *f = fulfillment_of(&s, id);
    ck_assert(f->delayed);
    ck_assert_int_gt(f->promise_time_us, promised_us);
    ck_assert_str_eq(tracking_of(&s, id), "HANDED_OVER IN_TRANSIT DELAYED DELIVERED");
    ck_assert_int_eq(EVENTS(54), 1);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_lost_or_comes_back_is_an_exception)
{
    yard_open(&s, 1);
    const char *lost = send_to(&s, "Lostwick"), *returned = send_to(&s, "Returnham");
    await_state(&s, lost, FULFILLMENT_STATE(EXCEPTION));
    await_state(&s, returned, FULFILLMENT_STATE(EXCEPTION));
    ck_assert_str_eq(fulfillment_of(&s, lost)->exception, "LOST");
    ck_assert_str_eq(fulfillment_of(&s, returned)->exception, "RETURNED");
    ck_assert_str_eq(tracking_of(&s, lost), "HANDED_OVER IN_TRANSIT LOST");
    ck_assert_str_eq(tracking_of(&s, returned), "HANDED_OVER IN_TRANSIT RETURNED");
    ck_assert_int_eq(EVENTS(56), 1);
    ck_assert_int_eq(EVENTS(57), 1);
    shop_close(&s);
}
END_TEST

START_TEST(events_that_come_twice_have_one_effect)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "Twiceford");
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    world_run(s.world, 10 * (int64_t)SECOND);
    ck_assert_int_eq(book_events(&s), 4);
    ck_assert_int_eq(CURSOR, 4);
    ck_assert_str_eq(tracking_of(&s, id), "HANDED_OVER IN_TRANSIT DELIVERED");
    ck_assert_int_eq(EVENTS(53), 1);
    ck_assert_int_eq(EVENTS(55), 1);
    shop_close(&s);
}
END_TEST

/* As after a backup of theirs, or of ours. */
START_TEST(events_that_are_told_all_over_again_have_no_second_effect)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "Delayton");
    for (int i = 0; EVENTS(54) == 0; i++) {
        ck_assert_int_lt(i, 100);
        world_run(s.world, 100000);
    }
    uint64_t version = fulfillment_of(&s, id)->version;
    WRITE(&s, s.shipping, "UPDATE carrier_cursor SET seq = 0");
    world_run(s.world, 700000);
    ck_assert_int_eq(CURSOR, 2);
    ck_assert_int_eq(fulfillment_of(&s, id)->version, version);
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    WRITE(&s, s.shipping, "UPDATE carrier_cursor SET seq = 0");
    world_run(s.world, 10 * (int64_t)SECOND);
    ck_assert_int_eq(CURSOR, 3);
    ck_assert_str_eq(tracking_of(&s, id), "HANDED_OVER IN_TRANSIT DELAYED DELIVERED");
    ck_assert_int_eq(EVENTS(54), 1);
    ck_assert_int_eq(EVENTS(55), 1);
    shop_close(&s);
}
END_TEST

START_TEST(events_about_what_is_not_ours_are_counted_and_passed_over)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "York"), *ours = send_to(&s, "York");
    WRITE(&s, s.shipping,
          "UPDATE tracking_event SET fulfillment_id = (SELECT MAX(fulfillment_id) FROM fulfillment), "
          "version = 100 WHERE fulfillment_id = (SELECT MIN(fulfillment_id) FROM fulfillment)");
    WRITE(&s, s.shipping,
          "DELETE FROM fulfillment_line WHERE fulfillment_id = (SELECT MIN(fulfillment_id) FROM fulfillment)");
    WRITE(&s, s.shipping,
          "DELETE FROM fulfillment WHERE fulfillment_id = (SELECT MIN(fulfillment_id) FROM fulfillment)");
    await_state(&s, strcmp(id, ours) < 0 ? ours : id, FULFILLMENT_STATE(DELIVERED));
    ck_assert_int_eq(CURSOR, 4);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT unknown FROM carrier_cursor"), 2);
    shop_close(&s);
}
END_TEST

/* --- the promise --- */

static void pass_days(int days)
{
    node_wall_offset(s.shipping, days * 86400 * (int64_t)SECOND);
    world_run(s.world, 10 * (int64_t)SECOND);
}

/* The carrier tells nothing any more. */
START_TEST(what_is_a_day_late_is_told_once)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "York");
    world_run(s.world, 100000);
    world_outside_down(s.world, "carrier", true);
    world_run(s.world, 10 * (int64_t)SECOND);
    ck_assert_int_eq(EVENTS(54), 0);
    pass_days(1);
    ck_assert_int_eq(EVENTS(54), 1);
    ck_assert(fulfillment_of(&s, id)->delayed);
    pass_days(3);
    ck_assert_int_eq(EVENTS(54), 1);
    world_outside_down(s.world, "carrier", false);
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    ck_assert_str_eq(tracking_of(&s, id), "HANDED_OVER DELAYED DELIVERED");
    shop_close(&s);
}
END_TEST

START_TEST(what_was_delivered_is_never_late)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "York");
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM outbox WHERE method = 'promise'"), 1);
    pass_days(2);
    ck_assert_int_eq(EVENTS(54), 0);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM outbox WHERE method = 'promise'"), 0);
    shop_close(&s);
}
END_TEST

/* --- the chain --- */

START_TEST(nobody_is_asked_before_something_has_left)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    packed(&s, id);
    await_label(&s, id);
    ck_assert_int_eq(LINKS, 0);
    shipped(&s, id);
    ck_assert_int_eq(LINKS, 1);
    shop_close(&s);
}
END_TEST

static int64_t asked_in(int64_t us)
{
    uint64_t polls = s.carrier_asked;
    world_run(s.world, us);
    return (int64_t)(s.carrier_asked - polls);
}

START_TEST(asking_rests_while_nothing_is_on_its_way)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "Delayton");
    int64_t busy = asked_in(2 * SECOND);
    ck_assert_int_ge(busy, 3);
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    world_run(s.world, 5 * SECOND);
    ck_assert_int_le(asked_in(60 * SECOND), 13);
    ck_assert_int_eq(CHAINS, 1);
    send_to(&s, "York");
    ck_assert_int_eq(CHAINS, 1);
    ck_assert_int_ge(asked_in(SECOND), 1);
    world_run(s.world, 10 * SECOND);
    ck_assert_int_eq(LINKS, 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_carrier_that_is_away_is_asked_again_when_it_is_back)
{
    yard_open(&s, 1);
    const char *id = send_to(&s, "York");
    world_outside_down(s.world, "carrier", true);
    world_run(s.world, 600 * (int64_t)SECOND);
    ck_assert_int_eq(CHAINS, 1);
    world_outside_down(s.world, "carrier", false);
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    ck_assert_int_eq(CHAINS, 1);
    shop_close(&s);
}
END_TEST

/* More than a page at once, as they come after a night of silence. */
START_TEST(many_events_come_page_by_page)
{
    enum { PARCELS = 30 };
    const char *ids[PARCELS];
    yard_open(&s, 1);
    for (int i = 0; i < PARCELS; i++)
        packed(&s, ids[i] = create(&s, order_to(&s, "Twiceford")));
    for (int i = 0; i < PARCELS; i++)
        await_label(&s, ids[i]);
    for (int i = 0; i < PARCELS; i++)
        shipped(&s, ids[i]);
    world_outside_down(s.world, "carrier", true);
    world_run(s.world, 600 * (int64_t)SECOND);
    world_outside_down(s.world, "carrier", false);
    world_run(s.world, 60 * (int64_t)SECOND);
    ck_assert_int_eq(book_events(&s), 4 * PARCELS);
    ck_assert_int_eq(CURSOR, 4 * PARCELS);
    ck_assert_int_eq(EVENTS(55), PARCELS);
    ck_assert_int_eq(CHAINS, 1);
    shop_close(&s);
}
END_TEST

/* --- whoever dies --- */

static void ck_exact(const char *id, Oms__Shipping__V1__Fulfillment__State state, const char *tracking)
{
    const Fulfillment *f = fulfillment_of(&s, id);
    ck_assert_int_eq(f->state, state);
    ck_assert_str_eq(tracking_of(&s, id), tracking);
    /* Each version but that of the packing was told, once. */
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM event_log WHERE type BETWEEN 50 AND 59") +
                         NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM fulfillment WHERE version > 1"),
                     NUMBER(&s, s.shipping, "SELECT SUM(version) FROM fulfillment"));
    ck_assert_int_eq(CURSOR, book_events(&s));
    ck_assert_int_eq(CHAINS, 1);
}

/* The same parcel again and again, svc-shipping dying a few steps later each time. */
START_TEST(dying_between_any_two_steps_applies_each_event_once)
{
    int before = 0;
    for (int steps = 1; before < 2; steps += 1 + steps / 32) {
        yard_open(&s, 7);
        const char *id = create(&s, order_to(&s, "Twiceford"));
        packed(&s, id);
        shipped(&s, id);
        for (int i = 0; i < steps; i++)
            world_step(s.world);
        before += fulfillment_of(&s, id)->state == FULFILLMENT_STATE(DELIVERED);
        node_crash(s.shipping, 100000);
        world_run(s.world, 30 * (int64_t)SECOND);
        ck_exact(id, FULFILLMENT_STATE(DELIVERED), "HANDED_OVER IN_TRANSIT DELIVERED");
        shop_close(&s);
    }
}
END_TEST

START_TEST(whoever_dies_each_parcel_comes_to_its_end_and_each_event_counts_once)
{
    static const struct {
        const char *city, *tracking;
        Oms__Shipping__V1__Fulfillment__State state;
    } ends[] = {
        { "York", "HANDED_OVER IN_TRANSIT DELIVERED", FULFILLMENT_STATE(DELIVERED) },
        { "Twiceford", "HANDED_OVER IN_TRANSIT DELIVERED", FULFILLMENT_STATE(DELIVERED) },
        { "Delayton", "HANDED_OVER IN_TRANSIT DELAYED DELIVERED", FULFILLMENT_STATE(DELIVERED) },
        { "Lostwick", "HANDED_OVER IN_TRANSIT LOST", FULFILLMENT_STATE(EXCEPTION) },
        { "Silentham", "HANDED_OVER IN_TRANSIT DELIVERED", FULFILLMENT_STATE(DELIVERED) },
        { "Errorby", "HANDED_OVER IN_TRANSIT DELIVERED", FULFILLMENT_STATE(DELIVERED) },
    };
    enum { PARCELS = sizeof(ends) / sizeof(ends[0]) };
    for (uint64_t seed = 1; seed <= 25; seed++) {
        const char *ids[PARCELS];
        yard_open(&s, seed);
        for (int i = 0; i < PARCELS; i++)
            ids[i] = create(&s, order_to(&s, ends[i].city));
        struct faults *faults = world_faults(s.world);
        faults->request_lost = faults->reply_lost = faults->request_twice = 50000;
        for (int i = 0; i < PARCELS; i++) {
            packed(&s, ids[i]);
            node_crash(s.shipping, (int64_t)world_roll(s.world, SECOND));
            shipped(&s, ids[i]);
            world_run(s.world, (int64_t)world_roll(s.world, SECOND));
            node_crash(s.shipping, (int64_t)world_roll(s.world, SECOND));
            world_run(s.world, (int64_t)world_roll(s.world, 3 * SECOND));
        }
        world_quiet(s.world);
        world_run(s.world, 120 * (int64_t)SECOND);
        for (int i = 0; i < PARCELS; i++)
            ck_exact(ids[i], ends[i].state, ends[i].tracking);
        ck_assert_int_eq(book_parcels(&s), PARCELS);
        shop_close(&s);
    }
}
END_TEST

SUITE("tracking", 180, a_delay_is_told_with_the_new_promise_and_the_parcel_comes,
      what_is_lost_or_comes_back_is_an_exception, events_that_come_twice_have_one_effect,
      events_that_are_told_all_over_again_have_no_second_effect,
      events_about_what_is_not_ours_are_counted_and_passed_over, what_is_a_day_late_is_told_once,
      what_was_delivered_is_never_late, nobody_is_asked_before_something_has_left,
      asking_rests_while_nothing_is_on_its_way, a_carrier_that_is_away_is_asked_again_when_it_is_back,
      many_events_come_page_by_page, dying_between_any_two_steps_applies_each_event_once,
      whoever_dies_each_parcel_comes_to_its_end_and_each_event_counts_once)
