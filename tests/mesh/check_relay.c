/* Tests of mesh/outbox's relay: order, exactly one effect, circuits, giving up, timers; and all of it through crashes.
 */
#include "mesh/outbox/circuit.h"
#include "tests/mesh/pair.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct pair p;

/* At the receiver every operation once, and those of one key in their order. */
#define DISORDER \
    "SELECT COUNT(*) FROM done a JOIN done b ON a.key = b.key AND a.at < b.at" \
    " AND CAST(SUBSTR(a.op, LENGTH(a.key) + 2) AS BIGINT) >= CAST(SUBSTR(b.op, LENGTH(b.key) + 2) AS BIGINT)"
#define TWICE "SELECT COUNT(*) FROM outcome WHERE times <> 1"

static void nothing_is_wrong(int64_t commands)
{
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done"), commands);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, DISORDER), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outcome"), commands);
    ck_assert_int_eq(PAIR_COUNT(p.sender, TWICE), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
}

START_TEST(a_command_is_carried_out_and_its_outcome_comes_back)
{
    pair_init(&p, 1);
    pair_start(&p);
    pair_send(&p, "one", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 0 AND gave_up = 0", 1);
    nothing_is_wrong(1);
    pair_end(&p);
}
END_TEST

START_TEST(commands_of_one_key_keep_their_order)
{
    pair_init(&p, 2);
    pair_start(&p);
    for (int i = 0; i < 20; i++) {
        pair_send(&p, "a", 3 * i, 3);
        pair_send(&p, "b", 3 * i, 3);
    }
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome", 120);
    nothing_is_wrong(120);
    pair_end(&p);
}
END_TEST

START_TEST(a_long_queue_travels_in_batches)
{
    pair_init(&p, 3);
    pair_start(&p);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        pair_sending(&p, key, 1, 1);
    }
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome", 1000);
    nothing_is_wrong(1000);
    pair_end(&p);
}
END_TEST

SUITE("relay", 120, a_command_is_carried_out_and_its_outcome_comes_back, commands_of_one_key_keep_their_order,
      a_long_queue_travels_in_batches)
