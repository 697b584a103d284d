/* The road of the bytes between a client that does not speak gRPC and a server that speaks nothing else. */
#include "gateway/dialect.h"

#include "gateway/edge.h"
#include "gateway/gzip.h"

#include <errno.h>

#define REQUEST_HELD (32 * 1024) /* bytes that the server has not taken, before the client's window stays closed */
#define DECODE_SLACK 1024        /* of a message that is longer in the client's words than packed: so much and */
#define DECODE_TIMES 8           /* so many times */
#define COMPRESSED   1           /* of a frame's flags */
#define TEXT_PIECE   3072        /* bytes that are put into base64 at once: whole groups */

static const struct answer full = { RPC_RESOURCE_EXHAUSTED, "GATEWAY_FULL", "the gateway holds too much already",
                                    100000 };
static const struct answer too_large = { RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE",
                                         "the message is larger than this method takes", 0 };
static const struct answer compressed = { RPC_UNIMPLEMENTED, "COMPRESSION_UNSUPPORTED",
                                          "messages must not be compressed", 0 };
static const struct answer not_gzip = { RPC_INVALID_ARGUMENT, "COMPRESSION_MALFORMED", "the message is not gzip", 0 };
static const struct answer cut_off = { RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "the last message is cut off", 0 };
static const struct answer not_base64 = { RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "the body is not base64", 0 };
static const struct answer broken = { RPC_INTERNAL, "BACKEND_BROKEN", "the process behind did not speak gRPC", 0 };
static const struct answer reply_too_large = { RPC_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                                               "the reply is larger than this protocol can be told: use gRPC", 0 };

static uint32_t frame_length(const uint8_t *p)
{
    return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
}

static void write_prefix(uint8_t *ret_prefix, uint8_t flags, size_t len)
{
    const uint8_t prefix[PREFIX] = { flags, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                     (uint8_t)len };
    memcpy(ret_prefix, prefix, PREFIX);
}

/* What is held counts as buffered; false: that is too much. */
static bool count(struct exchange *x)
{
    struct translation *t = x->translation;
    size_t held = pipe_held(&t->in) + pipe_held(&t->back);
    exchange_hold(x, (ptrdiff_t)held - (ptrdiff_t)t->counted);
    t->counted = held;
    return !exchange_is_full(x, 0);
}

static bool fail(struct exchange *x, const struct answer *answer)
{
    exchange_fail(x, answer);
    return false;
}

/* --- the request --- */

/* Of a message as the client says it. */
static size_t request_limit(const struct exchange *x)
{
    size_t packed = x->route->method->max_request_bytes;
    return x->translation->dialect->decode ? packed * DECODE_TIMES + DECODE_SLACK : packed;
}

static void open_window(struct exchange *x)
{
    struct translation *t = x->translation;
    if (!x->edge || !t->withheld || pipe_held(&x->call.request) > REQUEST_HELD)
        return;
    uint32_t n = t->withheld;
    t->withheld = 0;
    edge_consumed(x->edge, x->stream, n);
}

void translation_request_taken(struct exchange *x)
{
    open_window(x);
}

void translation_discard(struct exchange *x)
{
    struct translation *t = x->translation;
    if (x->edge && t->withheld)
        edge_consumed(x->edge, 0, t->withheld);
    t->withheld = 0;
    pipe_finish(&t->in);
    count(x);
}

/* What it is when it is not compressed; false: the answer says why not. */
static bool inflate_message(struct exchange *x, struct bytes *message, struct arena *arena, struct answer *ret_answer)
{
    int r = gzip_inflate(*message, request_limit(x), arena, message);
    *ret_answer = r == -EMSGSIZE ? too_large : r == -EINVAL ? not_gzip : full;
    return r == 0;
}

/* A message of the client's goes on as a frame of gRPC's. */
static bool turn_message(struct exchange *x, struct bytes message, bool gzip)
{
    const struct dialect *dialect = x->translation->dialect;
    struct arena arena;
    struct answer answer;
    arena_init(&arena, TURNED_MAX);
    bool good = !gzip || inflate_message(x, &message, &arena, &answer);
    if (good && dialect->decode)
        good = dialect->decode(x, message, &arena, &message, &answer) == 0;
    uint8_t *frame = good ? arena_alloc(&arena, PREFIX + message.len) : NULL;
    if (frame) {
        write_prefix(frame, 0, message.len);
        if (message.len)
            memcpy(frame + PREFIX, message.data, message.len);
        exchange_request(x, frame, PREFIX + message.len);
    } else {
        exchange_fail(x, good ? &full : &answer);
    }
    arena_finish(&arena);
    return x->state < REPLY_ENDED;
}

/* Whole messages go on; of what is there of the next one its length is looked at. */
static bool take_frames(struct exchange *x)
{
    struct pipe *in = &x->translation->in;
    while (pipe_held(in) >= PREFIX) {
        const uint8_t *p = pipe_peek(in);
        uint32_t len = frame_length(p);
        if (p[0] & ~(x->translation->inflates ? COMPRESSED : 0))
            return fail(x, &compressed);
        if (len > request_limit(x))
            return fail(x, &too_large);
        if (pipe_held(in) < PREFIX + len)
            break;
        if (!turn_message(x, (struct bytes){ p + PREFIX, len }, p[0] && len))
            return false;
        pipe_take(in, PREFIX + len);
    }
    return true;
}

bool dialect_ask(struct exchange *x, const void *data, size_t n)
{
    static const uint8_t room[PREFIX];
    struct pipe *in = &x->translation->in;
    if (pipe_held(in) == 0 && !pipe_put(in, room, PREFIX))
        return false;
    return pipe_put(in, data, (uint32_t)n) && count(x);
}

static bool take(struct exchange *x, const uint8_t *data, size_t n)
{
    struct translation *t = x->translation;
    const struct dialect *dialect = t->dialect;
    if (!dialect->bare && !dialect->decode && !t->inflates) {
        exchange_request(x, data, n);
        return x->state < REPLY_ENDED;
    }
    if (dialect->bare && pipe_held(&t->in) + n > request_limit(x) + PREFIX)
        return fail(x, &too_large);
    if (dialect->bare)
        return dialect_ask(x, data, n) || fail(x, &full);
    if (!pipe_put(&t->in, data, (uint32_t)n) || !count(x))
        return fail(x, &full);
    bool good = take_frames(x);
    count(x);
    return good;
}

static bool take_text(struct exchange *x, const uint8_t *data, size_t n)
{
    uint8_t decoded[TEXT_PIECE + 3];
    for (size_t at = 0; at < n; at += TEXT_PIECE) {
        size_t piece = n - at < TEXT_PIECE ? n - at : TEXT_PIECE;
        int64_t len = base64_decode(&x->translation->base64, (const char *)data + at, piece, decoded);
        if (len < 0)
            return fail(x, &not_base64);
        if (len > 0 && !take(x, decoded, (size_t)len))
            return false;
    }
    return true;
}

void translation_data(struct exchange *x, const uint8_t *data, size_t n)
{
    struct translation *t = x->translation;
    t->withheld += (uint32_t)n;
    if (x->state >= REPLY_ENDED)
        return translation_discard(x);
    if (t->dialect->text ? take_text(x, data, n) : take(x, data, n))
        open_window(x);
}

static void take_body(struct exchange *x)
{
    struct translation *t = x->translation;
    if (pipe_held(&t->in) == 0 && !take(x, NULL, 0))
        return;
    const uint8_t *p = pipe_peek(&t->in);
    size_t len = pipe_held(&t->in) - PREFIX;
    if (t->dialect->decode || (t->inflates && len)) {
        turn_message(x, (struct bytes){ p + PREFIX, len }, t->inflates && len);
    } else {
        write_prefix(t->in.data + t->in.at, 0, len);
        exchange_request(x, p, PREFIX + len);
    }
    pipe_finish(&t->in);
    count(x);
}

void translation_data_end(struct exchange *x)
{
    struct translation *t = x->translation;
    if (x->state >= REPLY_ENDED)
        return;
    if (t->dialect->bare)
        return take_body(x);
    if (!base64_whole(&t->base64) || pipe_held(&t->in))
        return exchange_fail(x, &cut_off);
    exchange_request_ended(x);
}

/* --- the reply --- */

/* ret_n: how many bytes that were. */
static bool say(struct exchange *x, const uint8_t *data, size_t n, uint32_t *ret_n)
{
    char text[BASE64_ROOM(TEXT_PIECE)];
    *ret_n = 0;
    if (!x->translation->dialect->text) {
        *ret_n = (uint32_t)n;
        return exchange_http_body(x, data, n);
    }
    for (size_t at = 0; at < n; at += TEXT_PIECE) {
        size_t len = base64_encode(data + at, n - at < TEXT_PIECE ? n - at : TEXT_PIECE, true, text);
        if (!exchange_http_body(x, text, len))
            return false;
        *ret_n += (uint32_t)len;
    }
    return true;
}

bool dialect_say(struct exchange *x, const void *data, size_t n)
{
    uint32_t said;
    return say(x, data, n, &said);
}

bool dialect_say_frame(struct exchange *x, uint8_t flags, struct bytes payload)
{
    uint8_t small[512], *frame = PREFIX + payload.len <= sizeof(small) ? small : malloc(PREFIX + payload.len);
    if (!frame)
        return false;
    write_prefix(frame, flags, payload.len);
    if (payload.len)
        memcpy(frame + PREFIX, payload.data, payload.len);
    bool said = dialect_say(x, frame, PREFIX + payload.len);
    if (frame != small)
        free(frame);
    return said;
}

void translation_head(struct exchange *x, const nghttp2_nv *nva, size_t n)
{
    const struct dialect *dialect = x->translation->dialect;
    nghttp2_nv more[FIELDS_MAX + 1];
    size_t n_more = 0;
    for (size_t i = 0; i < n && !dialect->bare; i++)
        if (dialect_is_metadata(&nva[i]))
            more[n_more++] = nva[i];
    if (x->translation->deflates)
        more[n_more++] = dialect_field(dialect->encoding, "gzip");
    if (!dialect->bare)
        dialect_head(x, "200", dialect->content, more, n_more, true);
}

/* How many of n bytes belong to the message that is under way; the rest is another one's. */
static size_t of_this_message(struct translation *t, const uint8_t *data, size_t n)
{
    size_t at = 0;
    while (t->n_prefix < PREFIX && at < n)
        t->prefix[t->n_prefix++] = data[at++];
    if (t->n_prefix < PREFIX)
        return at;
    if (at > 0)
        t->lacks = frame_length(t->prefix);
    size_t rest = n - at < t->lacks ? n - at : t->lacks;
    t->lacks -= (uint32_t)rest;
    return at + rest;
}

/* Frames as they are, but where one ends has to be known: nothing can be said in its middle. */
static bool pass_frames(struct exchange *x, const uint8_t *data, size_t n)
{
    struct translation *t = x->translation;
    while (n > 0) {
        size_t piece = of_this_message(t, data, n);
        uint32_t said;
        bool good = say(x, data, piece, &said);
        t->part += said;
        if (!good)
            return fail(x, &full);
        if (t->n_prefix == PREFIX && t->lacks == 0)
            t->n_prefix = t->part = 0;
        data += piece;
        n -= piece;
    }
    return true;
}

static bool encode_message(struct exchange *x, struct bytes message)
{
    const struct translation *t = x->translation;
    struct arena arena;
    arena_init(&arena, TURNED_MAX);
    bool good = !t->dialect->encode || t->dialect->encode(x, message, &arena, &message) == 0;
    bool worth = good && t->deflates && message.len >= DEFLATE_MIN && message.len <= DEFLATE_MAX;
    bool gzip = worth && gzip_deflate(message, &arena, &message) == 0;
    bool said = good && dialect_say_frame(x, gzip ? COMPRESSED : 0, message);
    arena_finish(&arena);
    return said || fail(x, good ? &full : &broken);
}

/* Whether frames need not be looked into. */
static bool passes(const struct translation *t)
{
    return !t->dialect->bare && !t->dialect->encode && !t->deflates;
}

static bool encode_frames(struct exchange *x)
{
    struct pipe *back = &x->translation->back;
    while (pipe_held(back) >= PREFIX) {
        const uint8_t *p = pipe_peek(back);
        uint32_t len = frame_length(p);
        if (p[0] != 0)
            return fail(x, &broken);
        if (len > REPLY_MESSAGE_MAX)
            return fail(x, &reply_too_large);
        if (pipe_held(back) < PREFIX + len)
            break;
        if (!encode_message(x, (struct bytes){ p + PREFIX, len }))
            return false;
        pipe_take(back, PREFIX + len);
    }
    return true;
}

static bool collect(struct exchange *x, const uint8_t *data, size_t n)
{
    struct translation *t = x->translation;
    if (pipe_held(&t->back) + n > REPLY_MESSAGE_MAX + LINK_IN)
        return fail(x, &reply_too_large);
    if (!pipe_put(&t->back, data, (uint32_t)n) || !count(x))
        return fail(x, &full);
    bool good = t->dialect->bare || encode_frames(x);
    count(x);
    return good;
}

bool translation_reply(struct exchange *x, const void *data, size_t n)
{
    struct translation *t = x->translation;
    if (!(passes(t) ? pass_frames(x, data, n) : collect(x, data, n)))
        return false;
    t->owed += (uint32_t)n;
    if (pipe_held(&x->reply) == 0 && x->server) {
        uint32_t owed = t->owed;
        t->owed = 0;
        x->server->taken(x, owed);
    }
    return true;
}

bool translation_message(struct exchange *x, struct bytes message)
{
    struct translation *t = x->translation;
    uint8_t prefix[PREFIX];
    if (!t->dialect->bare && !passes(t))
        return encode_message(x, message);
    if (!t->dialect->bare)
        return dialect_say_frame(x, 0, message) || fail(x, &full);
    write_prefix(prefix, 0, message.len);
    return collect(x, prefix, PREFIX) && collect(x, message.data, message.len);
}

/* In proportion: what the client takes has another length than what the server said. */
size_t translation_taken(struct exchange *x, size_t n)
{
    struct translation *t = x->translation;
    uint64_t left = pipe_held(&x->reply);
    uint32_t credit = n ? (uint32_t)((uint64_t)t->owed * n / (left + n)) : 0;
    t->owed -= credit;
    return credit;
}

/* A message that the server did not end is taken back, unless the client has begun to read it. */
static bool drop_part(struct exchange *x)
{
    struct translation *t = x->translation;
    if (t->part > pipe_held(&x->reply))
        return false;
    x->reply.len -= t->part;
    exchange_hold(x, -(ptrdiff_t)t->part);
    t->part = 0;
    return true;
}

/* The one message of a bare reply. */
static int only_message(struct exchange *x, struct arena *arena, struct bytes *ret_message)
{
    struct translation *t = x->translation;
    size_t held = pipe_held(&t->back);
    const uint8_t *p = pipe_peek(&t->back);
    if (held < PREFIX || p[0] != 0 || held != PREFIX + (size_t)frame_length(p))
        return -EPROTO;
    *ret_message = (struct bytes){ p + PREFIX, held - PREFIX };
    return t->dialect->encode ? t->dialect->encode(x, *ret_message, arena, ret_message) : 0;
}

bool translation_end(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n)
{
    struct translation *t = x->translation;
    struct arena arena;
    arena_init(&arena, TURNED_MAX);
    struct ending ending = { .status = answer_parse(&arena, code, nva, n), .fields = nva, .n = n, .arena = &arena };
    if (t->dialect->bare && ending.status.code == RPC_OK && only_message(x, &arena, &ending.message) < 0) {
        x->code = broken.code;
        ending = (struct ending){ .status = answer_status(&arena, &broken), .arena = &arena };
    }
    bool said = drop_part(x) && t->dialect->end(x, &ending);
    arena_finish(&arena);
    pipe_finish(&t->back);
    count(x);
    return said;
}
