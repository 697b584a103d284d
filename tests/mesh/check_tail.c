/* Tests of LogService (mesh/log/tail.c, snapshot.c): from any position, in bounded messages, or a precise refusal. */
#include "mesh/base/say.h"
#include "mesh/log/log.h"
#include "tests/mesh/pair.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TAIL     "/mesh.v1.LogService/Tail"
#define SNAPSHOT "/mesh.v1.LogService/Snapshot"

static struct pair p;
static struct asked asked;
static char incarnation[INCARNATION_MAX];

static int find_incarnation(struct txn *txn, void *arg)
{
    struct log_position at;
    int r = log_position(txn, &at);
    strcpy(incarnation, at.incarnation);
    return r;
}

static void begin(uint64_t seed)
{
    say_init("check", SAY_ERROR + 1);
    pair_init(&p, seed);
    p.sender_spec.consumers = NULL;
    pair_start(&p);
    ck_assert_int_eq(pair_do(p.receiver, find_incarnation, NULL), 0);
}

static void tail(const char *of, uint64_t after, bool follow, uint32_t max, size_t replies)
{
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    position.incarnation = (char *)of;
    position.seq = after;
    request.after = &position;
    request.follow = follow;
    request.max_entries = max;
    pair_ask(&p, &asked, p.sender, "receiver", TAIL, &request.base, false, replies);
}

static Mesh__V1__TailResponse *reply(size_t i)
{
    ck_assert_uint_lt(i, asked.n);
    ProtobufCAllocator allocator = arena_protobuf(&asked.arena);
    return mesh__v1__tail_response__unpack(&allocator, asked.replies[i].len, asked.replies[i].data);
}

/* How many entries came, all in a row after the position. */
static size_t gapless_after(uint64_t seq)
{
    size_t n = 0;
    for (size_t i = 0; i < asked.n; i++)
        for (size_t k = 0; k < reply(i)->n_entries; k++, n++)
            ck_assert_uint_eq(reply(i)->entries[k]->seq, ++seq);
    return n;
}

START_TEST(a_tail_reads_from_any_position_to_the_head_and_ends)
{
    begin(1);
    pair_happen(&p, "a", 0, 30);
    for (uint64_t after = 0; after <= 30; after += 10) {
        tail(incarnation, after, false, 0, 0);
        ck_assert_int_eq(asked.code, RPC_OK);
        ck_assert_uint_eq(gapless_after(after), 30 - after);
        ck_assert_uint_eq(reply(asked.n - 1)->head, 30);
        ck_assert_uint_eq(reply(asked.n - 1)->position->seq, 30);
        ck_assert_str_eq(reply(asked.n - 1)->position->incarnation, incarnation);
        asked_finish(&asked);
    }
    pair_end(&p);
}
END_TEST

START_TEST(no_position_reads_from_the_floor)
{
    begin(2);
    pair_happen(&p, "a", 0, 5);
    tail("", 0, false, 0, 0);
    ck_assert_int_eq(asked.code, RPC_OK);
    ck_assert_uint_eq(gapless_after(0), 5);
    ck_assert_str_eq(reply(0)->entries[4]->key, "a");
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

START_TEST(a_message_has_at_most_as_many_entries_as_are_wanted)
{
    begin(3);
    pair_happen(&p, "a", 0, 25);
    tail(incarnation, 0, false, 10, 0);
    ck_assert_uint_eq(asked.n, 3);
    ck_assert_uint_eq(reply(0)->n_entries, 10);
    ck_assert_uint_eq(reply(0)->head, 25);
    ck_assert_uint_eq(gapless_after(0), 25);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

static int append_large(struct txn *txn, void *arg)
{
    Oms__Event__V1__AvailabilityChanged changed = OMS__EVENT__V1__AVAILABILITY_CHANGED__INIT;
    char *text = arena_zalloc(txn->arena, 100001);
    memset(text, 'x', 100000);
    changed.sku = text;
    const struct event event = {
        .type = OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED, .key = "k", .owner = "", .payload = &changed.base
    };
    return log_append(txn, &event);
}

START_TEST(a_message_has_at_most_256_kib)
{
    begin(4);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(pair_do(p.receiver, append_large, NULL), 0);
    tail(incarnation, 0, false, 0, 0);
    ck_assert_uint_eq(asked.n, 5);
    for (size_t i = 0; i < asked.n; i++)
        ck_assert_uint_le(asked.replies[i].len, (256 << 10) + 1024);
    ck_assert_uint_eq(gapless_after(0), 10);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

START_TEST(a_tail_that_follows_says_where_it_stands_and_sends_what_comes)
{
    begin(5);
    pair_happen(&p, "a", 0, 3);
    tail(incarnation, 3, true, 0, 1);
    ck_assert_uint_eq(reply(0)->n_entries, 0);
    ck_assert_uint_eq(reply(0)->position->seq, 3);
    pair_happen(&p, "b", 0, 2);
    pair_await_replies(&p, &asked, 2);
    ck_assert_uint_eq(gapless_after(3), 2);
    ck_assert(!asked.done);
    pair_cancel(&p, &asked, p.sender);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

static int prune_all(struct txn *txn, void *arg)
{
    int64_t n = log_prune(txn, -1, 7);
    return n < 0 ? (int)n : 0;
}

START_TEST(what_cannot_be_read_is_said_precisely)
{
    begin(6);
    pair_happen(&p, "a", 0, 10);
    ck_assert_int_eq(pair_do(p.receiver, prune_all, NULL), 0);

    tail(incarnation, 6, true, 0, 0);
    ck_assert_int_eq(asked.code, RPC_OUT_OF_RANGE);
    ck_assert_str_eq(asked.reason, "LOG_TRUNCATED");
    ck_assert_str_eq(asked.meta, "7");
    asked_finish(&asked);

    tail(incarnation, 7, false, 0, 0);
    ck_assert_int_eq(asked.code, RPC_OK);
    ck_assert_uint_eq(gapless_after(7), 3);
    asked_finish(&asked);

    tail(incarnation, 11, true, 0, 0);
    ck_assert_int_eq(asked.code, RPC_OUT_OF_RANGE);
    ck_assert_str_eq(asked.reason, "LOG_AHEAD");
    ck_assert_str_eq(asked.meta, "10");
    asked_finish(&asked);

    tail("foreign", 7, true, 0, 0);
    ck_assert_int_eq(asked.code, RPC_FAILED_PRECONDITION);
    ck_assert_str_eq(asked.reason, "FOREIGN_INCARNATION");
    ck_assert_str_eq(asked.meta, incarnation);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

/* --- snapshots --- */

static Mesh__V1__SnapshotResponse *snapshot(const char *token)
{
    Mesh__V1__SnapshotRequest request = MESH__V1__SNAPSHOT_REQUEST__INIT;
    request.page_token = (char *)token;
    pair_ask(&p, &asked, p.sender, "receiver", SNAPSHOT, &request.base, false, 0);
    if (asked.code != RPC_OK)
        return NULL;
    ProtobufCAllocator allocator = arena_protobuf(&asked.arena);
    return mesh__v1__snapshot_response__unpack(&allocator, asked.replies[0].len, asked.replies[0].data);
}

START_TEST(a_snapshot_tells_everything_once_and_where_the_tail_begins)
{
    char token[600] = "", last[64] = "";
    size_t n = 0, pages = 0;
    begin(7);
    for (int i = 0; i < 12; i++)
        pair_happen(&p, "k", 50 * i, 50);
    do {
        Mesh__V1__SnapshotResponse *page = snapshot(token);
        ck_assert_ptr_nonnull(page);
        ck_assert_uint_le(page->n_entries, 256);
        ck_assert_uint_eq(page->valid_at->seq, 600);
        ck_assert_str_eq(page->valid_at->incarnation, incarnation);
        for (size_t i = 0; i < page->n_entries; i++, n++) {
            Oms__Event__V1__AvailabilityChanged *changed = oms__event__v1__availability_changed__unpack(
                NULL, page->entries[i]->payload.len, page->entries[i]->payload.data);
            ck_assert_int_gt(strcmp(changed->sku, last), 0);
            strcpy(last, changed->sku);
            oms__event__v1__availability_changed__free_unpacked(changed, NULL);
        }
        pages++;
        strcpy(token, page->next_page_token);
        asked_finish(&asked);
        if (pages == 1)
            pair_happen(&p, "z", 0, 5); /* comes later, by the tail from valid_at */
    } while (token[0]);
    ck_assert_uint_ge(n, 600);
    ck_assert_uint_ge(pages, 3);
    pair_end(&p);
}
END_TEST

START_TEST(a_forged_page_token_is_refused)
{
    begin(8);
    ck_assert_ptr_null(snapshot("bm9uc2Vuc2U"));
    ck_assert_int_eq(asked.code, RPC_INVALID_ARGUMENT);
    ck_assert_str_eq(asked.reason, "PAGE_TOKEN_INVALID");
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

START_TEST(without_state_to_tell_a_snapshot_sends_to_the_floor)
{
    begin(9);
    Mesh__V1__SnapshotRequest request = MESH__V1__SNAPSHOT_REQUEST__INIT;
    pair_ask(&p, &asked, p.receiver, "sender", SNAPSHOT, &request.base, false, 0);
    ck_assert_int_eq(asked.code, RPC_OK);
    ProtobufCAllocator allocator = arena_protobuf(&asked.arena);
    Mesh__V1__SnapshotResponse *page =
        mesh__v1__snapshot_response__unpack(&allocator, asked.replies[0].len, asked.replies[0].data);
    ck_assert_uint_eq(page->n_entries, 0);
    ck_assert_uint_eq(page->valid_at->seq, 0);
    ck_assert_str_eq(page->next_page_token, "");
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

SUITE("tail", 60, a_tail_reads_from_any_position_to_the_head_and_ends, no_position_reads_from_the_floor,
      a_message_has_at_most_as_many_entries_as_are_wanted, a_message_has_at_most_256_kib,
      a_tail_that_follows_says_where_it_stands_and_sends_what_comes, what_cannot_be_read_is_said_precisely,
      a_snapshot_tells_everything_once_and_where_the_tail_begins, a_forged_page_token_is_refused,
      without_state_to_tell_a_snapshot_sends_to_the_floor)
