/* Streams of clients: every chunk a unit, every unit an acknowledgement, a few of them ahead. */
#include "mesh/rpc/chunks.h"
#include "tests/mesh/calls.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

#define IMPORT    ORDER("ImportOrders")
#define CHUNK_MAX 4096

static struct world world;

/* A stream as its client sees it. */
struct stream {
    struct chunks *chunks;
    struct rpc_begin begin;
    bool wanted;  /* the server reads */
    bool hold;    /* the client does not listen */
    bool sending; /* an acknowledgement is under way, and held */
    size_t n;     /* acknowledgements */
    char acked[16][32];
    uint32_t run; /* in which the last one was made */
    int finished;
    enum rpc_code code;
    char reason[64];
    Mesh__V1__Position *min_position; /* of the chunks that are said next */
};
static struct stream s, t;

static void receive(void *data)
{
    struct stream *stream = data;
    ck_assert(!stream->wanted);
    ck_assert_int_eq(stream->finished, 0);
    stream->wanted = true;
}

static void send_ack(void *data, struct bytes ack)
{
    struct stream *stream = data;
    ck_assert(!stream->sending);
    ck_assert_int_eq(stream->finished, 0);
    Oms__Order__V1__ImportOrdersResponse *told =
        oms__order__v1__import_orders_response__unpack(NULL, ack.len, ack.data);
    ck_assert_ptr_nonnull(told);
    snprintf(stream->acked[stream->n++], sizeof(stream->acked[0]), "%s", told->request_id);
    stream->run = told->placed;
    oms__order__v1__import_orders_response__free_unpacked(told, NULL);
    ck_assert_int_gt(atomic_load(&world.commits), 0);
    stream->sending = stream->hold;
    if (!stream->hold)
        chunks_writable(stream->chunks);
}

static void finish(void *data, const struct rpc_status *status)
{
    struct stream *stream = data;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    ck_assert_int_eq(stream->finished++, 0);
    stream->code = status->code;
    snprintf(stream->reason, sizeof(stream->reason), "%s", rpc_status_reason(&arena, status));
    arena_finish(&arena);
}

static const struct chunks_transport transport = { receive, send_ack, finish };

static void open_as(struct stream *stream, uint32_t roles, bool authentic, int64_t timeout_us)
{
    *stream = (struct stream){ .hold = stream->hold };
    stream->begin = (struct rpc_begin){ .transport_data = stream,
                                        .method = IMPORT,
                                        .method_len = strlen(IMPORT),
                                        .caller = { .roles = roles, .subject = "erp" },
                                        .authentic = authentic,
                                        .deadline_us = timeout_us ? world.port->mono_us(world.port) + timeout_us : 0 };
    stream->chunks = chunks_begin(world.dispatch, &transport, &stream->begin);
}

static void open_stream(struct stream *stream)
{
    open_as(stream, ROLE_BIT(MESH__V1__ROLE__ERP), true, 0);
}

static void close_stream(struct stream *stream)
{
    ck_assert_int_eq(stream->finished, 1);
    chunks_release(stream->chunks);
    stream->hold = false;
}

static void say(struct stream *stream, const struct bytes *message)
{
    ck_assert(stream->wanted);
    stream->wanted = false;
    chunks_received(stream->chunks, message);
}

/* A chunk of n orders called as it is. */
static void say_chunk(struct stream *stream, const char *request_id, size_t n)
{
    Oms__Order__V1__ImportOrdersRequest request = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__INIT;
    Oms__Order__V1__ImportOrdersRequest__Entry entry = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__ENTRY__INIT;
    Oms__Order__V1__ImportOrdersRequest__Entry *entries[8];
    Oms__Order__V1__PlaceOrderRequest__Line line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT;
    Oms__Order__V1__PlaceOrderRequest__Line *lines[] = { &line };
    uint8_t packed[CHUNK_MAX];
    line.sku = (char *)"A";
    line.quantity = 1;
    entry.lines = lines;
    entry.n_lines = 1;
    entry.currency_code = (char *)"GBP";
    entry.channel = (char *)"erp";
    entry.external_id = (char *)request_id;
    request.min_position = stream->min_position;
    for (size_t i = 0; i < n; i++)
        entries[i] = &entry;
    request.request_id = (char *)request_id;
    request.orders = entries;
    request.n_orders = n;
    ck_assert_uint_le(protobuf_c_message_get_packed_size(&request.base), sizeof(packed));
    struct bytes bytes = { packed, protobuf_c_message_pack(&request.base, packed) };
    say(stream, &bytes);
}

static void ck_ended(const struct stream *stream, enum rpc_code code, const char *reason)
{
    ck_assert_int_eq(stream->finished, 1);
    ck_assert_str_eq(rpc_code_name(stream->code), rpc_code_name(code));
    ck_assert_str_eq(stream->reason, reason);
}

START_TEST(each_chunk_is_one_unit_and_acknowledged_after_its_commit)
{
    world_open(&world, false);
    open_stream(&s);
    atomic_store(&world.commits, 0);
    say_chunk(&s, "a", 3);
    ck_assert_uint_eq(s.n, 0);
    world_settle(&world);
    ck_assert_uint_eq(s.n, 1);
    ck_assert_int_eq(atomic_load(&world.commits), 1);
    ck_assert_int_eq(world_marks(&world, "a"), 3);
    say_chunk(&s, "b", 2);
    world_settle(&world);
    ck_assert_uint_eq(s.n, 2);
    ck_assert_int_eq(world_requests(&world), 2);
    say_chunk(&s, "c", 1);
    say(&s, NULL);
    ck_assert_int_eq(s.finished, 0);
    world_settle(&world);
    ck_assert_uint_eq(s.n, 3);
    ck_ended(&s, RPC_OK, "");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(a_stream_that_says_nothing_ends_well)
{
    world_open(&world, false);
    open_stream(&s);
    say(&s, NULL);
    ck_ended(&s, RPC_OK, "");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(what_was_not_acknowledged_is_sent_again_and_has_the_same_answer)
{
    world_open(&world, false);
    s.hold = true;
    open_stream(&s);
    say_chunk(&s, "a", 3);
    world_settle(&world); /* committed, and its acknowledgement is lost */
    uint32_t run = s.run;
    chunks_cancel(s.chunks);
    ck_ended(&s, RPC_CANCELLED, "CANCELLED");
    close_stream(&s);

    open_stream(&s);
    say_chunk(&s, "a", 3);
    world_settle(&world);
    ck_assert_str_eq(s.acked[0], "a");
    ck_assert_uint_eq(s.run, run);
    ck_assert_int_eq(world_marks(&world, "a"), 3);
    say_chunk(&s, "a", 2); /* another chunk under its id */
    world_settle(&world);
    ck_ended(&s, RPC_INVALID_ARGUMENT, "REQUEST_ID_REUSED");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(no_more_than_the_window_is_read_ahead)
{
    static const char *const ids[] = { "a", "b", "c", "d", "e", "f" };
    size_t said = 0;
    world_open(&world, false);
    s.hold = true;
    open_stream(&s);
    while (s.wanted)
        say_chunk(&s, ids[said++], 1);
    ck_assert_uint_eq(said, CHUNKS_AHEAD);
    world_settle(&world);
    ck_assert_int_eq(world_marks(&world, NULL), CHUNKS_AHEAD);
    ck_assert_uint_eq(s.n, 1); /* the client takes one acknowledgement at a time */
    ck_assert(!s.wanted);
    s.sending = false;
    chunks_writable(s.chunks);
    ck_assert(s.wanted);
    ck_assert_uint_eq(s.n, 2);
    for (size_t i = 1; i < CHUNKS_AHEAD; i++) {
        s.sending = false;
        chunks_writable(s.chunks);
    }
    for (size_t i = 0; i < CHUNKS_AHEAD; i++)
        ck_assert_str_eq(s.acked[i], ids[i]);
    say(&s, NULL);
    ck_ended(&s, RPC_OK, "");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(chunks_are_acknowledged_in_the_order_they_came_in)
{
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    position.incarnation = (char *)"catalogue";
    position.seq = 5;
    world_open(&world, false);
    world_consumer(&world, "prices", "catalogue", 4, false);
    open_stream(&s);
    s.min_position = &position;
    say_chunk(&s, "a", 1); /* waits */
    s.min_position = NULL;
    say_chunk(&s, "b", 1);
    say(&s, NULL);
    world_settle(&world);
    ck_assert_int_eq(world_marks(&world, "b"), 1);
    ck_assert_uint_eq(s.n, 0);
    world_consumer(&world, "prices", "catalogue", 5, false);
    world_settle(&world);
    ck_assert_uint_eq(s.n, 2);
    ck_assert_str_eq(s.acked[0], "a");
    ck_assert_str_eq(s.acked[1], "b");
    ck_ended(&s, RPC_OK, "");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(a_chunk_that_fails_ends_the_stream_behind_the_acknowledgements_before_it)
{
    world_open(&world, false);
    open_stream(&s);
    say_chunk(&s, "a", 1);
    say(&s, &(struct bytes){ (const uint8_t *)"\xff\xff\xff", 3 });
    ck_assert_int_eq(s.finished, 0);
    world_settle(&world);
    ck_assert_uint_eq(s.n, 1);
    ck_ended(&s, RPC_INVALID_ARGUMENT, "MALFORMED_REQUEST");
    close_stream(&s);

    open_stream(&s);
    say_chunk(&s, "b", 0);
    world_settle(&world);
    ck_ended(&s, RPC_INVALID_ARGUMENT, "FIELD_REQUIRED");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(whoever_may_not_call_it_is_told_before_he_says_anything)
{
    world_open(&world, false);
    open_as(&s, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), true, 0);
    ck_assert(!s.wanted);
    ck_ended(&s, RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED");
    close_stream(&s);
    open_as(&s, ROLE_BIT(MESH__V1__ROLE__ERP), false, 0);
    ck_assert(!s.wanted);
    ck_ended(&s, RPC_UNAUTHENTICATED, "PEER_NOT_PROVEN");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(when_the_client_goes_what_has_not_begun_does_not_begin)
{
    world_open(&world, false);
    open_stream(&s);
    say_chunk(&s, "a", 1);
    say_chunk(&s, "b", 1);
    chunks_cancel(s.chunks);
    ck_ended(&s, RPC_CANCELLED, "CANCELLED");
    close_stream(&s); /* while its chunks are still under way */
    ck_assert_int_eq(world_marks(&world, NULL), 0);
    ck_assert_uint_eq(s.n, 0);
    world_close(&world);
}
END_TEST

START_TEST(a_deadline_ends_the_stream)
{
    world_open(&world, false);
    open_as(&s, ROLE_BIT(MESH__V1__ROLE__ERP), true, 5000);
    say_chunk(&s, "a", 1);
    world_settle(&world);
    ck_assert_uint_eq(s.n, 1);
    steps_port_advance(&world.steps, 5000);
    chunks_cancel(s.chunks); /* as the transport does then */
    ck_ended(&s, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    close_stream(&s);
    world_close(&world);
}
END_TEST

START_TEST(a_process_that_drains_acknowledges_what_it_has_taken_and_takes_no_more)
{
    world_open(&world, false);
    t.hold = false;
    open_stream(&s);
    open_stream(&t);
    say_chunk(&s, "a", 1);
    say_chunk(&s, "b", 1);
    dispatch_leave(world.dispatch);
    ck_ended(&t, RPC_UNAVAILABLE, "DRAINING"); /* it has nothing under way */
    ck_assert_int_eq(s.finished, 0);
    say_chunk(&s, "c", 1); /* was on its way */
    world_settle(&world);
    ck_assert_uint_eq(s.n, 2);
    ck_ended(&s, RPC_UNAVAILABLE, "DRAINING");
    ck_assert_int_eq(world_marks(&world, "c"), 0);
    close_stream(&s);
    close_stream(&t);
    open_stream(&t);
    ck_ended(&t, RPC_UNAVAILABLE, "DRAINING");
    close_stream(&t);
    world_close(&world);
}
END_TEST

START_TEST(too_many_streams_are_turned_away)
{
    static struct stream many[CHUNKS_OPEN];
    world_open(&world, false);
    for (size_t i = 0; i < CHUNKS_OPEN; i++) {
        open_stream(&many[i]);
        ck_assert(many[i].wanted);
    }
    open_stream(&s);
    ck_ended(&s, RPC_RESOURCE_EXHAUSTED, "OVERLOADED");
    close_stream(&s);
    say(&many[0], NULL);
    open_stream(&s);
    ck_assert(s.wanted);
    say(&s, NULL);
    close_stream(&s);
    for (size_t i = 0; i < CHUNKS_OPEN; i++) {
        if (i > 0)
            say(&many[i], NULL);
        close_stream(&many[i]);
    }
    world_close(&world);
}
END_TEST

SUITE("chunks", 60, each_chunk_is_one_unit_and_acknowledged_after_its_commit, a_stream_that_says_nothing_ends_well,
      what_was_not_acknowledged_is_sent_again_and_has_the_same_answer, no_more_than_the_window_is_read_ahead,
      chunks_are_acknowledged_in_the_order_they_came_in,
      a_chunk_that_fails_ends_the_stream_behind_the_acknowledgements_before_it,
      whoever_may_not_call_it_is_told_before_he_says_anything, when_the_client_goes_what_has_not_begun_does_not_begin,
      a_deadline_ends_the_stream, a_process_that_drains_acknowledges_what_it_has_taken_and_takes_no_more,
      too_many_streams_are_turned_away)
