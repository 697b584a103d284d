/* Messages that are compressed on the wire between the gateway and a client of Connect. */
#include "gateway/gzip.h"
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define JSON    "application/json"
#define PROTO   "application/proto"
#define STREAMS "application/connect+json"

#define MESSAGE "{\"orderId\":\"ord_1\"}"
#define PACKED  "\x0a\x05ord_1"

static struct stage stage;
static uint8_t zeros[12 << 20];

static size_t gzip(const void *data, size_t n, uint8_t *ret_data, size_t room)
{
    z_stream z = {
        .next_in = (uint8_t *)data, .avail_in = (unsigned)n, .next_out = ret_data, .avail_out = (unsigned)room
    };
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

/* Of what came; NULL unless it is gzip. */
static struct bytes gunzip(struct arena *arena, struct bytes data)
{
    struct bytes out = { 0 };
    return gzip_inflate(data, 1 << 20, arena, &out) == 0 ? out : (struct bytes){ 0 };
}

static size_t reply_len;

/* An order whose id is so long, of one letter. */
static void answer(struct call *call)
{
    static uint8_t reply[8192];
    if (!call->ended || call->replied)
        return;
    size_t id = reply_len, order = id + 3, n = 0;
    reply[n++] = 0x0a;
    reply[n++] = (uint8_t)(order & 127) | 128;
    reply[n++] = (uint8_t)(order >> 7);
    reply[n++] = 0x0a;
    reply[n++] = (uint8_t)(id & 127) | 128;
    reply[n++] = (uint8_t)(id >> 7);
    memset(reply + n, 'i', id);
    call_reply(call, reply, n + id);
}

static struct call *ask(const char *path, const char *content, const char *more, const void *body, size_t n)
{
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s%s", stage_bearer(&stage, "sap", "\"erp\""), more);
    struct call *call = web_call(stage_client(&stage), path, content, extra);
    if (n)
        call_put(call, body, n);
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

static void expect_refused(const struct call *call, const char *http, const char *reason)
{
    ck_assert_str_eq(call_field(call, ":status"), http);
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, reason, strlen(reason)));
}

static void expect_asked(void)
{
    static const uint8_t frame[] = "\0\0\0\0\7" PACKED;
    const struct call *seen = web_request(&stage, &stage.order[0]);
    ck_assert_uint_eq(seen->body_len, sizeof(frame) - 1);
    ck_assert_mem_eq(seen->body, frame, sizeof(frame) - 1);
    ck_assert_str_eq(call_field(seen, "content-encoding"), "");
}

START_TEST(a_request_may_be_compressed)
{
    uint8_t body[128];
    stage_open(&stage, 0);
    reply_len = 200;
    stage.order[0].more = answer;
    size_t n = gzip(MESSAGE, sizeof(MESSAGE) - 1, body, sizeof(body));
    struct call *call = ask(GET, JSON, "content-encoding: gzip\naccept-encoding: br\n", body, n);
    ck_assert_str_eq(call_field(call, ":status"), "200");
    expect_asked();
    n = gzip(PACKED, sizeof(PACKED) - 1, body, sizeof(body));
    call = ask(GET, PROTO, "content-encoding: gzip\n", body, n);
    ck_assert_str_eq(call_field(call, ":status"), "200");
    expect_asked();
    call = ask(GET, PROTO, "content-encoding: gzip\n", "", 0); /* nothing is not decompressed */
    ck_assert_str_eq(call_field(call, ":status"), "200");
    call = ask(GET, JSON, "content-encoding: identity\n", MESSAGE, sizeof(MESSAGE) - 1);
    ck_assert_str_eq(call_field(call, ":status"), "200");
    stage_close(&stage);
}
END_TEST

START_TEST(what_is_no_gzip_is_refused)
{
    uint8_t body[128];
    stage_open(&stage, 0);
    size_t n = gzip(MESSAGE, sizeof(MESSAGE) - 1, body, sizeof(body));
    for (size_t cut = 1; cut < n; cut++)
        expect_refused(ask(GET, JSON, "content-encoding: gzip\n", body, cut), "400", "COMPRESSION_MALFORMED");
    body[n] = 'x';
    expect_refused(ask(GET, JSON, "content-encoding: gzip\n", body, n + 1), "400", "COMPRESSION_MALFORMED");
    body[n - 6] ^= 1; /* its checksum */
    expect_refused(ask(GET, JSON, "content-encoding: gzip\n", body, n), "400", "COMPRESSION_MALFORMED");
    expect_refused(ask(GET, JSON, "content-encoding: gzip\n", MESSAGE, sizeof(MESSAGE) - 1), "400",
                   "COMPRESSION_MALFORMED");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_bomb_bursts_at_the_methods_limit)
{
    static uint8_t bomb[64 * 1024];
    struct arena arena;
    struct bytes out;
    stage_open(&stage, 0);
    size_t n = gzip(zeros, sizeof(zeros), bomb, sizeof(bomb));
    expect_refused(ask(GET, JSON, "content-encoding: gzip\n", bomb, n), "429", "REQUEST_TOO_LARGE");
    expect_refused(ask(GET, PROTO, "content-encoding: gzip\n", bomb, n), "429", "REQUEST_TOO_LARGE");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    for (size_t max = 0; max <= 70000; max += max < 10 ? 1 : 4999) {
        arena_init(&arena, 1 << 20);
        n = gzip(zeros, max, bomb, sizeof(bomb));
        ck_assert_int_eq(gzip_inflate((struct bytes){ bomb, n }, max, &arena, &out), 0);
        ck_assert_uint_eq(out.len, max);
        n = gzip(zeros, max + 1, bomb, sizeof(bomb));
        ck_assert_int_eq(gzip_inflate((struct bytes){ bomb, n }, max, &arena, &out), -EMSGSIZE);
        ck_assert_uint_lt(arena.used,
                          6 * max + 128 * 1024); /* of both: no more than what they may become, and zlib's own */
        arena_finish(&arena);
    }
    stage_close(&stage);
}
END_TEST

static void expect_reply(const char *more, size_t len, bool compressed)
{
    struct arena arena;
    arena_init(&arena, 4 << 20);
    reply_len = len;
    struct call *call = ask(GET, JSON, more, "{}", 2);
    ck_assert_str_eq(call_field(call, ":status"), "200");
    ck_assert_str_eq(call_field(call, "content-encoding"), compressed ? "gzip" : "");
    struct bytes body = { call->body, call->kept };
    if (compressed) {
        ck_assert_uint_lt(call->kept, len / 2);
        body = gunzip(&arena, body);
    }
    ck_assert_uint_eq(body.len, strlen("{\"order\":{\"orderId\":\"\"}}") + len);
    ck_assert_mem_eq(body.data, "{\"order\":{\"orderId\":\"i", 22);
    arena_finish(&arena);
}

START_TEST(a_reply_is_compressed_when_it_is_worth_it_and_the_client_takes_it)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    expect_reply("accept-encoding: gzip\n", 4000, true);
    expect_reply("accept-encoding: br, gzip;q=0.5, *;q=0\n", 4000, true);
    expect_reply("accept-encoding: GZIP\n", 4000, true);
    expect_reply("accept-encoding: gzip\n", 900, false);
    expect_reply("", 4000, false);
    expect_reply("accept-encoding: br\n", 4000, false);
    expect_reply("accept-encoding: gzip;q=0\n", 4000, false);
    expect_reply("accept-encoding: gzip;q=0.0\n", 4000, false);
    expect_reply("accept-encoding: x-gzip\n", 4000, false);
    stage_close(&stage);
}
END_TEST

START_TEST(who_compresses_takes_it_too_unless_he_says_otherwise)
{
    uint8_t body[128];
    stage_open(&stage, 0);
    reply_len = 4000;
    stage.order[0].more = answer;
    size_t n = gzip(MESSAGE, sizeof(MESSAGE) - 1, body, sizeof(body));
    struct call *call = ask(GET, JSON, "content-encoding: gzip\n", body, n);
    ck_assert_str_eq(call_field(call, "content-encoding"), "gzip");
    call = ask(GET, JSON, "content-encoding: gzip\naccept-encoding: identity\n", body, n);
    ck_assert_str_eq(call_field(call, "content-encoding"), "");
    stage_close(&stage);
}
END_TEST

static size_t frame(uint8_t flags, const void *data, size_t n, uint8_t *ret_frame)
{
    const uint8_t prefix[] = { flags, 0, 0, (uint8_t)(n >> 8), (uint8_t)n };
    memcpy(ret_frame, prefix, PREFIX);
    memcpy(ret_frame + PREFIX, data, n);
    return PREFIX + n;
}

START_TEST(each_message_of_a_stream_may_be_compressed)
{
    static char token[3000];
    uint8_t body[256], packed[3100] = "\x22\xb8\x17"; /* page_token of 3000 */
    struct web_frame got;
    struct arena arena;
    arena_init(&arena, 4 << 20);
    memset(token, 't', sizeof(token));
    memcpy(packed + 3, token, sizeof(token));
    stage_open(&stage, 0);
    char extra[4096];
    snprintf(extra, sizeof(extra), "%sconnect-content-encoding: gzip\nconnect-accept-encoding: gzip\n",
             stage_bearer(&stage, "sap", "\"erp\""));
    for (size_t i = 0; i < 2; i++) {
        struct call *call = web_call(stage_client(&stage), EXPORT, i ? "application/connect+proto" : STREAMS, extra);
        uint8_t small[128];
        size_t n =
            i ? gzip("\x12\1p", 3, small, sizeof(small)) : gzip("{\"pageToken\":\"p\"}", 17, small, sizeof(small));
        call_put(call, body, frame(1, small, n, body));
        call_end(call);
        stage_until(&stage, stage.order[0].n_requests == (int)i + 1);
        struct call *seen = web_request(&stage, &stage.order[0]);
        stage_until(&stage, seen->ended);
        ck_assert_uint_eq(seen->body_len, 8);
        ck_assert_mem_eq(seen->body, "\0\0\0\0\3\x12\1p", 8);
        call_head(seen, NULL);
        call_put_message(seen, packed, 3003);
        call_put_message(seen, "", 0);
        call_trailers(seen, "grpc-status: 0\n");
        stage_until(&stage, call->closed);
        ck_assert_str_eq(call_field(call, "connect-content-encoding"), "gzip");
        ck_assert(web_frame(call, 0, &got));
        ck_assert_uint_eq(got.flags, 1);
        ck_assert_uint_lt(got.payload.len, 200);
        struct bytes whole = gunzip(&arena, got.payload);
        ck_assert_uint_eq(whole.len, i ? 3003 : 3000 + strlen("{\"pageToken\":\"\"}"));
        ck_assert(web_frame(call, 1, &got)); /* too small for it */
        ck_assert_uint_eq(got.flags, 0);
        ck_assert(web_frame(call, 2, &got));
        ck_assert_uint_eq(got.flags, 2);
    }
    arena_finish(&arena);
    stage_close(&stage);
}
END_TEST

START_TEST(a_compressed_message_needs_the_header_that_says_so)
{
    uint8_t body[256], small[128];
    stage_open(&stage, 0);
    size_t n = frame(1, small, gzip("{}", 2, small, sizeof(small)), body);
    struct call *call = ask(EXPORT, STREAMS, "", body, n);
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, "COMPRESSION_UNSUPPORTED", 23));
    call = ask(EXPORT, STREAMS, "connect-content-encoding: gzip\n", "\2\0\0\0\0", 5);
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, "COMPRESSION_UNSUPPORTED", 23));
    call = ask(GET, "application/grpc-web", "content-encoding: gzip\n", body, n);
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, "grpc-status: 12", 15));
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

SUITE("gzip", 60, a_request_may_be_compressed, what_is_no_gzip_is_refused, a_bomb_bursts_at_the_methods_limit,
      a_reply_is_compressed_when_it_is_worth_it_and_the_client_takes_it,
      who_compresses_takes_it_too_unless_he_says_otherwise, each_message_of_a_stream_may_be_compressed,
      a_compressed_message_needs_the_header_that_says_so)
