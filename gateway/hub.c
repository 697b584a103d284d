/* The one tail: follows svc-order's log, keeps the last entries, finds who watches what they are about. */
#include "gateway/watch.h"

#include <errno.h>

#define BACKOFF_US     (50 * 1000)
#define BACKOFF_MAX_US (2 * 1000 * 1000)
#define MESSAGE_BUDGET (8 * 1024 * 1024)

static void follow(struct hub *hub);

static size_t bucket_of(const char *order_id)
{
    uint64_t h = 0xcbf29ce484222325;
    for (; *order_id; order_id++)
        h = (h ^ (uint8_t)*order_id) * 0x100000001b3;
    return (h ^ h >> 32) % HUB_BUCKETS;
}

void hub_add(struct hub *hub, struct watch *watch)
{
    struct watch **bucket = &hub->buckets[bucket_of(watch->order_id)];
    watch->prev = NULL;
    watch->next = *bucket;
    if (watch->next)
        watch->next->prev = watch;
    *bucket = watch;
}

void hub_remove(struct hub *hub, struct watch *watch)
{
    *(watch->prev ? &watch->prev->next : &hub->buckets[bucket_of(watch->order_id)]) = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
}

/* Every watch resumes, if its client likes: the log is another one now, or the gateway goes. */
static void end_all(struct hub *hub)
{
    for (size_t i = 0; i < HUB_BUCKETS; i++)
        while (hub->buckets[i])
            watch_resume_later(hub->buckets[i]);
}

static void forget_log(struct hub *hub)
{
    hub->incarnation[0] = '\0';
    window_reset(&hub->window, 0);
    alarm_stop(&hub->retry);
    if (hub->tail) {
        ask_cancel(hub->tail);
        hub->tail = NULL;
    }
}

/* --- the tail --- */

static void tell_all(struct hub *hub, const struct window_entry *entry)
{
    for (struct watch *watch = hub->buckets[bucket_of(entry->key)], *next; watch; watch = next) {
        next = watch->next;
        if (watch->state == WATCH_LIVE && strcmp(watch->order_id, entry->key) == 0)
            watch_tell(watch, entry);
    }
}

static void on_entries(struct ask *ask, struct bytes message)
{
    struct hub *hub = ask_owner(ask);
    struct arena arena;
    arena_init(&arena, MESSAGE_BUDGET);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    Mesh__V1__TailResponse *tail = mesh__v1__tail_response__unpack(&allocator, message.len, message.data);
    hub->backoff_us = BACKOFF_US;
    for (size_t i = 0; tail && i < tail->n_entries; i++) {
        if (tail->entries[i]->seq <= hub->window.seq)
            continue;
        const struct window_entry view = window_entry_of(tail->entries[i]);
        window_put(&hub->window, tail->entries[i]);
        tell_all(hub, &view);
    }
    bool good = tail && (!tail->position || strcmp(tail->position->incarnation, hub->incarnation) == 0);
    arena_finish(&arena);
    if (good)
        return;
    end_all(hub);
    forget_log(hub);
}

static void follow_again(struct alarm *alarm)
{
    follow((struct hub *)((char *)alarm - offsetof(struct hub, retry)));
}

static void on_tail_end(struct ask *ask, const struct rpc_status *status)
{
    struct hub *hub = ask_owner(ask);
    bool ours = hub->tail == ask;
    if (!ours || hub->leaving)
        return hub_ask_over(hub);
    hub->tail = NULL;
    hub_ask_over(hub);
    /* The log was restored, or has been cut before we came back: positions mean nothing any more. */
    if (status->code == RPC_FAILED_PRECONDITION || status->code == RPC_OUT_OF_RANGE) {
        end_all(hub);
        forget_log(hub);
        return;
    }
    alarm_start(&hub->gateway->reactor.wheel, &hub->retry, hub->backoff_us, follow_again);
    hub->backoff_us = hub->backoff_us * 2 < BACKOFF_MAX_US ? hub->backoff_us * 2 : BACKOFF_MAX_US;
}

static const struct ask_ops tail_ops = { on_entries, on_tail_end };

/* From where the window stands, so that nothing comes twice and nothing is missed. */
static void follow(struct hub *hub)
{
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    uint8_t packed[128];
    position.incarnation = hub->incarnation;
    position.seq = hub->window.seq;
    request.after = &position;
    request.follow = true;
    const struct ask_options options = {
        .peer = HUB_PEER,
        .method = "/mesh.v1.LogService/Tail",
        .request = { packed, mesh__v1__tail_request__pack(&request, packed) },
    };
    metric_add(hub->tails, 1);
    hub->tail = ask_start(hub->gateway->port, &options, &tail_ops, hub, hub);
    if (hub->tail)
        hub->n_asks++;
    else
        alarm_start(&hub->gateway->reactor.wheel, &hub->retry, BACKOFF_MAX_US, follow_again);
}

void hub_stands_at(struct hub *hub, const Mesh__V1__Position *position)
{
    if (strcmp(hub->incarnation, position->incarnation) == 0)
        return;
    if (hub->incarnation[0]) {
        end_all(hub);
        forget_log(hub);
    }
    snprintf(hub->incarnation, sizeof(hub->incarnation), "%s", position->incarnation);
    window_reset(&hub->window, position->seq);
    hub->backoff_us = BACKOFF_US;
    follow(hub);
}

/* --- life --- */

struct hub *hub_create(struct gateway *gateway)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return NULL;
    hub->gateway = gateway;
    hub->backoff_us = BACKOFF_US;
    hub->watches = metric_make(METRIC_GAUGE, "gateway_watches", "Watches that are open.", NULL);
    hub->told = metric_make(METRIC_COUNTER, "gateway_watch_updates_total", "Updates told to watches.", NULL);
    hub->tails = metric_make(METRIC_COUNTER, "gateway_tails_total", "Tails of logs that were begun.", NULL);
    return hub;
}

static void release(struct hub *hub)
{
    if (!hub->gone || hub->n_asks)
        return;
    void (*gone)(void *arg) = hub->gone;
    void *arg = hub->gone_arg;
    window_reset(&hub->window, 0);
    free(hub);
    gone(arg);
}

void hub_ask_over(struct hub *hub)
{
    hub->n_asks--;
    release(hub);
}

void hub_leave(struct hub *hub)
{
    hub->leaving = true;
    end_all(hub);
    forget_log(hub);
}

void hub_destroy(struct hub *hub, void (*gone)(void *arg), void *arg)
{
    if (!hub)
        return gone(arg);
    hub_leave(hub);
    hub->gone = gone;
    hub->gone_arg = arg;
    release(hub);
}
