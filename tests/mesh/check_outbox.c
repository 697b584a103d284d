/* Tests of mesh/outbox/outbox.c: the rows and their order, without a relay. */
#include "mesh/base/say.h"
#include "mesh/outbox/queue.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define METHOD    "/oms.inventory.v1.InventoryService/ReleaseStock"
#define SECOND_US 1000000ll

static struct fixture f;

static void begin(void)
{
    say_init("check", SAY_ERROR + 1);
    const char *rerun = getenv("MESH_RERUN");
    fixture_init(&f, &(struct store_options){ .rerun_always = rerun && strcmp(rerun, "always") == 0 });
    ck_assert_int_eq(store_migrate(f.store, "outbox", outbox_migrations), 0);
}

struct adding {
    const char *destination, *key, *id;
    int64_t due_us;
    size_t size;
    int then; /* what the unit returns */
};

static int add(struct txn *txn, void *arg)
{
    const struct adding *adding = arg;
    Oms__Inventory__V1__ReleaseStockRequest request = OMS__INVENTORY__V1__RELEASE_STOCK_REQUEST__INIT;
    char *large = arena_zalloc(txn->arena, adding->size + 1);
    memset(large, 'x', adding->size);
    request.request_id = (char *)adding->id;
    request.operation_id = large;
    const struct command command = {
        .destination = adding->destination,
        .method = METHOD,
        .key = adding->key,
        .request = &request.base,
        .due_us = adding->due_us,
    };
    int r = outbox_add(txn, &command);
    return r < 0 ? r : adding->then;
}

static int add_now(const char *destination, const char *key, const char *id, int64_t due_us)
{
    struct adding adding = { destination, key, id, due_us, 0, 0 };
    return do_write(&f, add, &adding);
}

#define MANY 150

static int add_batch(struct txn *txn, void *arg)
{
    struct command commands[MANY];
    Oms__Inventory__V1__ReleaseStockRequest requests[MANY];
    for (int i = 0; i < MANY; i++) {
        oms__inventory__v1__release_stock_request__init(&requests[i]);
        requests[i].request_id = arena_printf(txn->arena, "m%d", i);
        commands[i] = (struct command){
            .destination = "x",
            .method = METHOD,
            .key = arena_printf(txn->arena, "k%d", i % 3),
            .request = &requests[i].base,
        };
    }
    return outbox_add_many(txn, commands, MANY);
}

struct timing {
    const char *key;
    int64_t due_us;
};

static int add_timer(struct txn *txn, void *arg)
{
    const struct timing *timing = arg;
    return outbox_timer(txn, "remind", timing->key, timing->due_us);
}

/* The ids of what is due, joined by spaces; the first of them is taken if asked for. */
struct due {
    const char *destination;
    size_t max;
    bool take;
    char ids[256];
    int taken;
};

static int find_due(struct txn *txn, void *arg)
{
    struct due *due = arg;
    struct letter *letters;
    struct letter_place place = { 0 };
    due->ids[0] = '\0';
    int n;
    do {
        n = letter_due(txn, due->destination, &place, due->max, &letters);
        for (int i = 0; i < n; i++) {
            ProtobufCAllocator allocator = arena_protobuf(txn->arena);
            Oms__Inventory__V1__ReleaseStockRequest *request = oms__inventory__v1__release_stock_request__unpack(
                &allocator, letters[i].request.len, letters[i].request.data);
            strcat(due->ids, due->ids[0] ? " " : "");
            strcat(due->ids, *due->destination ? request->request_id : letters[i].key);
            ck_assert_int_ge(letters[i].next_us, letters[i].created_us);
            place = (struct letter_place){ letters[i].next_us, letters[i].n, letters[i].key };
            if (due->take) {
                const struct letter *twice[] = { &letters[i], &letters[i] };
                bool taken[2];
                int r = letters_take(txn, twice, 2, taken);
                ck_assert(!taken[1]);
                due->taken = taken[0];
                return r;
            }
        }
    } while (n == (int)due->max);
    return n < 0 ? n : 0;
}

static const char *due_now(const char *destination)
{
    static struct due due;
    due = (struct due){ .destination = destination, .max = 2 };
    ck_assert_int_eq(do_write(&f, find_due, &due), 0);
    return due.ids;
}

static void take_first(const char *destination)
{
    struct due due = { .destination = destination, .max = 1, .take = true };
    ck_assert_int_eq(do_write(&f, find_due, &due), 0);
    ck_assert_int_eq(due.taken, 1);
}

START_TEST(only_the_head_of_a_queue_is_due)
{
    begin();
    ck_assert_int_eq(add_now("x", "k", "1", 0), 0);
    ck_assert_int_eq(add_now("x", "k", "2", 0), 0);
    ck_assert_int_eq(add_now("x", "k", "3", 0), 0);
    ck_assert_int_eq(add_now("y", "k", "4", 0), 0);
    ck_assert_str_eq(due_now("x"), "1");
    ck_assert_str_eq(due_now("y"), "4");
    fixture_finish(&f);
}
END_TEST

/* One queue has a row already; of each only the head is due, whichever statement brought the rest. */
START_TEST(many_are_added_as_if_one_after_the_other)
{
    begin();
    add_now("x", "k0", "first", 0);
    ck_assert_int_eq(do_write(&f, add_batch, NULL), 0);
    ck_assert_str_eq(due_now("x"), "first m1 m2");
    take_first("x");
    for (int key = 0; key < 3; key++) {
        for (int i = key; i < MANY; i += 3) {
            char head[16];
            int n = snprintf(head, sizeof(head), "m%d", i);
            const char *due = due_now("x");
            ck_assert_msg(strncmp(due, head, (size_t)n) == 0 && (due[n] == ' ' || !due[n]), "%s, not %s", due, head);
            take_first("x");
        }
    }
    ck_assert_str_eq(due_now("x"), "");
    fixture_finish(&f);
}
END_TEST

START_TEST(what_is_taken_lets_the_next_one_move_up)
{
    begin();
    add_now("x", "k", "1", 0);
    add_now("x", "k", "2", 0);
    take_first("x");
    ck_assert_str_eq(due_now("x"), "2");
    add_now("x", "k", "3", 0);
    take_first("x");
    ck_assert_str_eq(due_now("x"), "3");
    take_first("x");
    ck_assert_str_eq(due_now("x"), "");
    add_now("x", "k", "4", 0);
    ck_assert_str_eq(due_now("x"), "4");
    fixture_finish(&f);
}
END_TEST

START_TEST(a_head_that_is_not_due_holds_what_stands_behind_it)
{
    begin();
    add_now("x", "k", "1", f.port.now_us + SECOND_US);
    add_now("x", "k", "2", 0);
    ck_assert_str_eq(due_now("x"), "");
    f.port.now_us += SECOND_US;
    ck_assert_str_eq(due_now("x"), "1");
    fixture_finish(&f);
}
END_TEST

START_TEST(nothing_is_due_before_it_was_written)
{
    begin();
    f.port.now_us += SECOND_US;
    add_now("x", "k", "1", 1);
    ck_assert_str_eq(due_now("x"), "1");
    fixture_finish(&f);
}
END_TEST

START_TEST(a_clock_set_back_changes_no_order)
{
    begin();
    add_now("x", "k", "1", 0);
    f.port.now_us -= 3600 * SECOND_US;
    add_now("x", "k", "2", 0);
    f.port.now_us += 3600 * SECOND_US;
    ck_assert_str_eq(due_now("x"), "1");
    fixture_finish(&f);
}
END_TEST

START_TEST(heads_of_many_queues_come_page_by_page_the_oldest_first)
{
    static const char *const keys[] = { "e", "d", "c", "b", "a" };
    begin();
    for (int i = 0; i < 5; i++)
        add_now("x", keys[i], keys[i], f.port.now_us - i * SECOND_US);
    ck_assert_str_eq(due_now("x"), "a b c d e");
    fixture_finish(&f);
}
END_TEST

START_TEST(timers_of_one_key_do_not_wait_for_each_other)
{
    begin();
    struct timing late = { "k", f.port.now_us + SECOND_US }, soon = { "k", f.port.now_us };
    ck_assert_int_eq(do_write(&f, add_timer, &late), 0);
    ck_assert_int_eq(do_write(&f, add_timer, &soon), 0);
    ck_assert_str_eq(due_now(""), "k");
    f.port.now_us += SECOND_US;
    ck_assert_str_eq(due_now(""), "k k");
    fixture_finish(&f);
}
END_TEST

START_TEST(what_is_rolled_back_was_never_wanted)
{
    begin();
    struct adding adding = { "x", "k", "1", 0, 0, -EINVAL };
    ck_assert_int_eq(do_write(&f, add, &adding), -EINVAL);
    ck_assert_str_eq(due_now("x"), "");
    fixture_finish(&f);
}
END_TEST

START_TEST(a_command_that_is_too_large_is_refused)
{
    begin();
    struct adding adding = { "x", "k", "1", 0, OUTBOX_REQUEST_MAX, 0 };
    ck_assert_int_eq(do_write(&f, add, &adding), -E2BIG);
    ck_assert_str_eq(due_now("x"), "");
    fixture_finish(&f);
}
END_TEST

static int walk(struct txn *txn, void *arg)
{
    char *text = arg;
    const char *name = NULL;
    int64_t due_us;
    int r;
    text[0] = '\0';
    while ((r = letter_destination(txn, name, &name)) == 0 && name) {
        r = letter_next_due(txn, name, &due_us);
        sprintf(text + strlen(text), "[%s %lld]", name,
                due_us == INT64_MAX ? -1ll : (long long)((due_us - txn->now_us) / SECOND_US));
    }
    return r;
}

START_TEST(destinations_say_when_their_next_row_is_due)
{
    char text[128];
    begin();
    struct timing timer = { "k", f.port.now_us + 7 * SECOND_US };
    add_now("b", "k", "1", 0);
    add_now("a", "k", "1", 0);
    add_now("a", "l", "2", f.port.now_us + 9 * SECOND_US);
    add_now("a", "m", "3", f.port.now_us + 5 * SECOND_US);
    do_write(&f, add_timer, &timer);
    ck_assert_int_eq(do_write(&f, walk, text), 0);
    ck_assert_str_eq(text, "[ 7][a 5][b -1]");
    fixture_finish(&f);
}
END_TEST

SUITE("outbox", 60, only_the_head_of_a_queue_is_due, many_are_added_as_if_one_after_the_other,
      what_is_taken_lets_the_next_one_move_up, a_head_that_is_not_due_holds_what_stands_behind_it,
      nothing_is_due_before_it_was_written, a_clock_set_back_changes_no_order,
      heads_of_many_queues_come_page_by_page_the_oldest_first, timers_of_one_key_do_not_wait_for_each_other,
      what_is_rolled_back_was_never_wanted, a_command_that_is_too_large_is_refused,
      destinations_say_when_their_next_row_is_due)
