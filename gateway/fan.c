/* Asks for the parts of a page, waits no longer than each may take, and puts together what came. */
#include "gateway/fan.h"

#include "gateway/ask.h"
#include "mesh/rpc/wire.h"

#include "api.h"

#include <errno.h>
#include <stdio.h>

#define FANS_MAX   200               /* at once: C core's queue is slow beyond a thousand operations */
#define PART_MAX   (1024 * 1024)     /* bytes of one part */
#define BUDGET     (4 * 1024 * 1024) /* of one page, its reply included */
#define RESERVE_US (20 * 1000)       /* of the call's deadline: for putting the page together, and its way back */

typedef Oms__Storefront__V1__MissingPart MissingPart;
typedef Oms__Storefront__V1__PartAsOf PartAsOf;

struct fans {
    struct gateway *gateway;
    size_t n_fans, n_asks; /* under way; asks outlive their fan */
    void (*gone)(void *arg);
    void *gone_arg;
};

enum part_state {
    PART_WAITS, /* for the part that it comes after */
    PART_ASKED,
    PART_HERE,
    PART_NONE, /* there is nothing to tell */
    PART_MISSING,
};

struct part {
    struct fan *fan;
    struct fan_part *row;
    enum part_state state;
    struct ask *ask;
    struct alarm late;
    int64_t asked_us, asked_wall_us;
    struct bytes reply;
    enum rpc_code code;
    const char *reason; /* in the arena, or a constant */
};

struct fan {
    struct fans *fans;
    struct exchange *x;
    const struct fan_page *page;
    struct arena arena;
    const ProtobufCMessage *request;
    size_t held; /* bytes of replies, which count as buffered */
    struct part parts[FAN_PARTS_MAX];
};

static void go_on(struct fan *fan);

const void *fan_request(const struct fan *fan)
{
    return fan->request;
}

struct arena *fan_arena(struct fan *fan)
{
    return &fan->arena;
}

struct bytes fan_reply(const struct fan *fan, int part)
{
    return fan->parts[part].reply;
}

/* --- the end --- */

static void drop(struct fan *fan)
{
    for (size_t i = 0; i < fan->page->n_parts; i++) {
        alarm_stop(&fan->parts[i].late);
        if (fan->parts[i].ask)
            ask_cancel(fan->parts[i].ask);
    }
    fan->fans->gateway->buffered -= fan->held;
    fan->fans->n_fans--;
    arena_finish(&fan->arena);
    free(fan);
}

void fan_abort(struct exchange *x)
{
    if (x->own)
        drop(x->own);
    x->own = NULL;
}

static void fail(struct exchange *x, enum rpc_code code, const char *reason, const char *message)
{
    bool again = code == RPC_UNAVAILABLE || code == RPC_RESOURCE_EXHAUSTED;
    exchange_fail(x, &(struct answer){ code, reason, message, again ? 100000 : 0 });
}

/* --- the reply --- */

/* Behind what is there; without out it is only counted. */
static size_t put_varint(uint8_t *out, size_t at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7, at++)
        if (out)
            out[at] = (uint8_t)(value | 0x80);
    if (out)
        out[at] = (uint8_t)value;
    return at + 1;
}

static size_t put(uint8_t *out, size_t at, uint32_t number, struct bytes data)
{
    at = put_varint(out, at, (uint64_t)number << 3 | WIRE_BYTES);
    at = put_varint(out, at, data.len);
    if (out && data.len)
        memcpy(out + at, data.data, data.len);
    return at + data.len;
}

static size_t put_part(uint8_t *out, size_t at, const struct part *part)
{
    if (part->row->whole)
        return put(out, at, part->row->whole, part->reply);
    struct wire_field field;
    for (struct bytes rest = part->reply; rest.len && wire_next(&rest, &field);)
        for (size_t i = 0; i < FAN_FIELDS_MAX; i++)
            if (field.type == WIRE_BYTES && field.number == part->row->fields[i].from)
                at = put(out, at, part->row->fields[i].to, field.data);
    return at;
}

static size_t put_missing(uint8_t *out, size_t at, const struct part *part)
{
    MissingPart missing = OMS__STOREFRONT__V1__MISSING_PART__INIT;
    missing.part = (char *)part->row->name;
    missing.code = (int32_t)part->code;
    missing.reason = (char *)part->reason;
    struct bytes packed = arena_pack(&part->fan->arena, &missing.base);
    return put(out, at, part->fan->page->missing, packed.data ? packed : (struct bytes){ 0 });
}

static Mesh__V1__Position *position_of(const struct part *part)
{
    ProtobufCAllocator allocator = arena_protobuf(&part->fan->arena);
    struct wire_field field;
    for (struct bytes rest = part->reply; part->row->position && rest.len && wire_next(&rest, &field);)
        if (field.type == WIRE_BYTES && field.number == part->row->position)
            return mesh__v1__position__unpack(&allocator, field.data.len, field.data.data);
    return NULL;
}

static size_t put_as_of(uint8_t *out, size_t at, const struct part *part)
{
    PartAsOf as_of = OMS__STOREFRONT__V1__PART_AS_OF__INIT;
    as_of.part = (char *)part->row->name;
    as_of.position = position_of(part);
    as_of.time_us = part->asked_wall_us;
    struct bytes packed = arena_pack(&part->fan->arena, &as_of.base);
    return put(out, at, part->fan->page->as_of, packed.data ? packed : (struct bytes){ 0 });
}

static size_t put_page(uint8_t *out, const struct fan *fan)
{
    size_t at = 0;
    for (size_t i = 0; i < fan->page->n_parts; i++)
        if (fan->parts[i].state == PART_HERE)
            at = put_part(out, at, &fan->parts[i]);
    for (size_t i = 0; i < fan->page->n_parts; i++)
        if (fan->parts[i].state == PART_MISSING)
            at = put_missing(out, at, &fan->parts[i]);
    for (size_t i = 0; i < fan->page->n_parts; i++)
        if (fan->parts[i].state == PART_HERE)
            at = put_as_of(out, at, &fan->parts[i]);
    return at;
}

static bool has_something(const struct fan *fan)
{
    for (size_t i = 0; i < fan->page->n_parts; i++)
        if (fan->parts[i].state == PART_HERE)
            return true;
    return false;
}

static void tell(struct fan *fan)
{
    struct exchange *x = fan->x;
    const struct part *first = &fan->parts[0];
    x->own = NULL;
    bool something = has_something(fan);
    uint8_t *page = something ? arena_alloc(&fan->arena, put_page(NULL, fan)) : NULL;
    if (!something)
        fail(x, first->code, first->reason[0] ? first->reason : "PARTS_MISSING", "no part of the page could be had");
    else if (!page)
        fail(x, RPC_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", "the page is larger than the gateway puts together");
    else if (exchange_put_message(x, (struct bytes){ page, put_page(page, fan) }))
        exchange_finish(x, RPC_OK);
    drop(fan);
}

/* --- parts --- */

static void count(struct part *part, enum rpc_code code)
{
    struct fan_part *row = part->row;
    char labels[128];
    if (!row->codes[code]) {
        snprintf(labels, sizeof(labels), "page=\"%s\",part=\"%s\",code=\"%s\"", part->fan->page->name, row->name,
                 rpc_code_name(code));
        row->codes[code] = metric_make(METRIC_COUNTER, "gateway_parts_total", "Parts of pages by outcome.", labels);
    }
    if (!row->time) {
        snprintf(labels, sizeof(labels), "page=\"%s\",part=\"%s\"", part->fan->page->name, row->name);
        row->time = metric_make(METRIC_HISTOGRAM, "gateway_part_seconds", "Time that parts of pages took.", labels);
    }
    metric_add(row->codes[code], 1);
    metric_time(row->time, wheel_now_us() - part->asked_us);
}

static void settle(struct part *part, enum part_state state)
{
    alarm_stop(&part->late);
    part->state = state;
    count(part, state == PART_MISSING ? part->code : RPC_OK);
}

/* What is still under way of it is not waited for. */
static void lack(struct part *part, enum rpc_code code, const char *reason)
{
    if (part->ask)
        ask_cancel(part->ask);
    part->ask = NULL;
    part->code = code;
    part->reason = reason;
    settle(part, PART_MISSING);
}

static void part_late(struct alarm *alarm)
{
    struct part *part = (struct part *)((char *)alarm - offsetof(struct part, late));
    lack(part, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    go_on(part->fan);
}

static void on_message(struct ask *ask, struct bytes message)
{
    struct part *part = ask_data(ask);
    struct gateway *gateway = part->fan->fans->gateway;
    bool fits = message.len <= PART_MAX && gateway->buffered + message.len <= gateway->limits.buffered;
    char *copy = fits ? arena_copy(&part->fan->arena, message.data, message.len) : NULL;
    if (!copy) {
        lack(part, RPC_RESOURCE_EXHAUSTED, "PART_TOO_LARGE");
        return go_on(part->fan);
    }
    part->reply = (struct bytes){ (const uint8_t *)copy, message.len };
    part->fan->held += message.len;
    gateway->buffered += message.len;
}

/* What is said of the request, and not of how its service fares. */
static bool is_verdict(enum rpc_code code)
{
    return code == RPC_INVALID_ARGUMENT || code == RPC_NOT_FOUND || code == RPC_PERMISSION_DENIED ||
           code == RPC_FAILED_PRECONDITION || code == RPC_OUT_OF_RANGE || code == RPC_UNAUTHENTICATED;
}

static bool is_well_formed(struct bytes message)
{
    struct wire_field field;
    while (message.len)
        if (!wire_next(&message, &field))
            return false;
    return true;
}

static void answered(struct part *part, const struct rpc_status *status)
{
    if (status->code == RPC_OK && part->reply.data && is_well_formed(part->reply))
        return settle(part, PART_HERE);
    if (status->code == RPC_OK)
        return lack(part, RPC_INTERNAL, "BACKEND_BROKEN");
    if (status->code == RPC_NOT_FOUND && part->row->may_be_none)
        return settle(part, PART_NONE);
    enum rpc_code code = status->code > RPC_UNAUTHENTICATED ? RPC_UNKNOWN : status->code;
    lack(part, code, rpc_status_reason(&part->fan->arena, status));
}

static void ask_over(struct fans *fans);

static void on_done(struct ask *ask, const struct rpc_status *status)
{
    struct fans *fans = ask_owner(ask);
    struct part *part = ask_data(ask);
    if (part) {
        struct fan *fan = part->fan;
        part->ask = NULL;
        answered(part, status);
        if (part->state == PART_MISSING && part->row->decides && is_verdict(status->code)) {
            struct exchange *x = fan->x;
            x->own = NULL;
            drop(fan);
            exchange_fail_status(x, status);
        } else {
            go_on(fan);
        }
    }
    ask_over(fans);
}

static const struct ask_ops ops = { on_message, on_done };

static int64_t time_for(const struct fan *fan, const struct fan_part *row)
{
    int64_t left_us = exchange_left_us(fan->x);
    if (left_us == INT64_MAX)
        return row->most_us;
    int64_t reserve_us = left_us / 20 > RESERVE_US ? left_us / 20 : RESERVE_US;
    left_us = reserve_us < left_us / 2 ? left_us - reserve_us : left_us / 2;
    left_us = left_us * row->share / 100;
    if (left_us > row->most_us)
        return row->most_us;
    return left_us > 0 ? left_us : 1;
}

static void ask_for(struct part *part)
{
    struct fan *fan = part->fan;
    struct gateway *gateway = fan->fans->gateway;
    struct ask_options options = {
        .peer = part->row->peer,
        .method = part->row->method,
        .timeout_us = time_for(fan, part->row),
        .caller = &fan->x->principal->caller,
    };
    part->asked_us = wheel_now_us();
    part->asked_wall_us = gateway->port->wall_us(gateway->port);
    part->state = PART_ASKED;
    int r = part->row->request(fan, &options.request);
    if (r == -ENOENT)
        return settle(part, PART_NONE);
    trace_parse(fan->x->trace_text, &options.trace);
    part->ask = r < 0 ? NULL : ask_start(gateway->port, &options, &ops, fan->fans, part);
    if (!part->ask)
        return lack(part, RPC_RESOURCE_EXHAUSTED, "GATEWAY_FULL");
    fan->fans->n_asks++;
    alarm_start(&gateway->reactor.wheel, &part->late, options.timeout_us, part_late);
}

/* Asks for what can be asked for now; when nothing is under way any more, the page is told, and the fan is gone. */
static void go_on(struct fan *fan)
{
    bool under_way = false;
    for (size_t i = 0; i < fan->page->n_parts; i++) {
        struct part *part = &fan->parts[i];
        const struct part *first = part->row->after >= 0 ? &fan->parts[part->row->after] : NULL;
        if (part->state == PART_WAITS && (!first || first->state == PART_HERE))
            ask_for(part);
        else if (part->state == PART_WAITS && first->state > PART_HERE)
            lack(part, first->code, first->reason);
        under_way |= part->state == PART_ASKED || part->state == PART_WAITS;
    }
    if (!under_way)
        tell(fan);
}

/* --- the beginning --- */

/* Of the request; 0 or -EINVAL: the exchange has failed. */
static int read_request(struct fan *fan, struct bytes message)
{
    struct exchange *x = fan->x;
    struct rpc_status status;
    const struct schema_message *type = schema_message(schema_builtin(), x->route->method->input);
    if (schema_judge(&fan->arena, type, message, &status) < 0) {
        exchange_fail_status(x, &status);
        return -EINVAL;
    }
    ProtobufCAllocator allocator = arena_protobuf(&fan->arena);
    fan->request = protobuf_c_message_unpack(fan->page->request, &allocator, message.len, message.data);
    if (fan->request)
        return 0;
    fail(x, RPC_INVALID_ARGUMENT, "MALFORMED_REQUEST", "no request of this method");
    return -EINVAL;
}

void fan_begin(struct exchange *x, const struct fan_page *page)
{
    struct fans *fans = x->gateway->fans;
    struct bytes message;
    int r = x->own ? 0 : exchange_message(x, &message);
    if (r < 0)
        return fail(x, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the message is larger than this method takes");
    if (r == 0)
        return;
    struct fan *fan = fans->n_fans < FANS_MAX ? calloc(1, sizeof(*fan)) : NULL;
    if (!fan)
        return fail(x, RPC_UNAVAILABLE, "OVERLOADED", "the gateway puts too many pages together at the moment");
    fans->n_fans++;
    fan->fans = fans;
    fan->x = x;
    fan->page = page;
    arena_init(&fan->arena, BUDGET);
    for (size_t i = 0; i < page->n_parts; i++) {
        fan->parts[i].fan = fan;
        fan->parts[i].row = &page->parts[i];
    }
    if (read_request(fan, message) < 0)
        return drop(fan);
    x->own = fan;
    go_on(fan);
}

/* --- life --- */

struct fans *fans_create(struct gateway *gateway)
{
    struct fans *fans = calloc(1, sizeof(*fans));
    if (fans)
        fans->gateway = gateway;
    return fans;
}

static void release(struct fans *fans)
{
    if (!fans->gone || fans->n_asks)
        return;
    void (*gone)(void *arg) = fans->gone;
    void *arg = fans->gone_arg;
    free(fans);
    gone(arg);
}

static void ask_over(struct fans *fans)
{
    fans->n_asks--;
    release(fans);
}

void fans_destroy(struct fans *fans, void (*gone)(void *arg), void *arg)
{
    if (!fans)
        return gone(arg);
    fans->gone = gone;
    fans->gone_arg = arg;
    release(fans);
}
