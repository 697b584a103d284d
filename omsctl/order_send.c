/* Orders as chunks of ImportOrders: a few on their way at a time. */
#include "omsctl/order_send.h"

#include "mesh/base/id.h"
#include "omsctl/show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AHEAD        8 /* chunks sent and not acknowledged; the service reads some of them ahead */
#define CHUNK_ORDERS 50
#define CHUNK_BYTES  (64u << 10) /* a chunk ends with the order that makes it larger */
#define ARENA_BUDGET (1u << 20)
#define ATTEMPTS     8 /* streams that broke one after the other without an acknowledgement */
#define BACKOFF_US   50000

struct chunk {
    size_t first, n; /* orders */
    uint8_t *packed; /* sent again as it is, under its request id */
    size_t len;
};

struct sending {
    const struct order_sending *what;
    struct ctl *ctl;
    struct chunk chunks[AHEAD]; /* a ring: made and not acknowledged */
    size_t oldest, n, made;     /* made: orders in chunks so far */
    struct progress progress;
};

/* --- chunks --- */

static void make_chunk(struct sending *s)
{
    struct chunk *chunk = &s->chunks[(s->oldest + s->n++) % AHEAD];
    NewOrder orders[CHUNK_ORDERS], *list[CHUNK_ORDERS];
    ImportOrdersRequest request = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__INIT;
    char request_id[ID_MAX];
    struct arena arena;
    size_t bytes = 0, n = 0;
    arena_init(&arena, ARENA_BUDGET);
    for (; n < CHUNK_ORDERS && s->made + n < s->what->n && bytes < CHUNK_BYTES; n++) {
        list[n] = &orders[n];
        oms__order__v1__import_orders_request__entry__init(&orders[n]);
        s->what->order(s->what->arg, s->made + n, &arena, &orders[n]);
        bytes += protobuf_c_message_get_packed_size(&orders[n].base);
    }
    id_make(client_port(s->ctl->client), "req", request_id);
    request.request_id = request_id;
    request.orders = list;
    request.n_orders = n;
    request.min_position = s->what->after;
    *chunk = (struct chunk){ .first = s->made, .n = n };
    chunk->packed = malloc(protobuf_c_message_get_packed_size(&request.base));
    if (!chunk->packed)
        abort();
    chunk->len = protobuf_c_message_pack(&request.base, chunk->packed);
    s->made += n;
    arena_finish(&arena);
}

/* The i-th that is not acknowledged; NULL: there is none, and none to be made. */
static const struct chunk *chunk_at(struct sending *s, size_t i)
{
    if (i == AHEAD)
        return NULL;
    if (i == s->n && s->made < s->what->n)
        make_chunk(s);
    return i < s->n ? &s->chunks[(s->oldest + i) % AHEAD] : NULL;
}

/* False: it is no acknowledgement of the oldest chunk. */
static bool acknowledge(struct sending *s, struct bytes message)
{
    struct chunk *chunk = &s->chunks[s->oldest % AHEAD];
    ProtobufCAllocator allocator = arena_protobuf(&s->ctl->arena);
    const ImportOrdersResponse *ack =
        oms__order__v1__import_orders_response__unpack(&allocator, message.len, message.data);
    if (!ack || s->n == 0 || ack->n_results != chunk->n)
        return false;
    for (size_t i = 0; i < chunk->n; i++) {
        s->what->ended(s->what->arg, chunk->first + i, ack->results[i]);
        progress_step(&s->progress, ack->results[i]->refusal && !ack->results[i]->order_id[0]);
    }
    free(chunk->packed);
    s->oldest++;
    s->n--;
    return true;
}

/* --- streams --- */

static struct bytes bytes_of(const struct chunk *chunk)
{
    return (struct bytes){ chunk->packed, chunk->len };
}

/* One stream, from the oldest chunk that is not acknowledged to the end, or until it breaks. */
static void run_stream(struct sending *s, struct client_call *call)
{
    size_t said = 1;
    bool open = true;
    *call = (struct client_call){ .method = ORDER_METHOD("ImportOrders"), .request = bytes_of(chunk_at(s, 0)) };
    client_open_stream(s->ctl->client, call);
    for (;;) {
        const struct chunk *next = open ? chunk_at(s, said) : NULL;
        struct bytes message;
        if (next) {
            open = client_say(call, bytes_of(next));
            said++;
            continue;
        }
        if (open && s->made == s->what->n && said == s->n) {
            client_say_end(call);
            open = false;
        }
        if (!client_next(call, &message))
            return;
        if (acknowledge(s, message))
            said--;
        else
            client_cancel(call);
    }
}

/* A stream that broke goes on elsewhere, after a pause that grows while nothing is acknowledged. */
static bool may_go_on(const struct client_call *call, unsigned *attempts, bool progressed)
{
    *attempts = progressed ? 1 : *attempts + 1;
    if (call->status.code != RPC_UNAVAILABLE || *attempts > ATTEMPTS)
        return false;
    int64_t pause_us = (int64_t)BACKOFF_US << (*attempts - 1);
    struct timespec pause = { pause_us / 1000000, pause_us % 1000000 * 1000 };
    nanosleep(&pause, NULL);
    return true;
}

int order_send(const struct order_sending *sending)
{
    struct sending s = { .what = sending, .ctl = sending->ctl };
    unsigned attempts = 0;
    int exit = CTL_OK;
    progress_start(&s.progress, "orders", sending->n);
    for (bool go_on = true; go_on && chunk_at(&s, 0);) {
        struct client_call call;
        size_t before = s.oldest;
        run_stream(&s, &call);
        bool done = call.status.code == RPC_OK && !chunk_at(&s, 0);
        go_on = !done && may_go_on(&call, &attempts, s.oldest > before);
        if (!done && !go_on)
            exit = show_status(s.ctl, &call.status);
        client_finish(&call);
    }
    progress_end(&s.progress);
    for (; s.n > 0; s.n--, s.oldest++)
        free(s.chunks[s.oldest % AHEAD].packed);
    return exit;
}
