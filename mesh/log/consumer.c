/* A consumer's life: cursor, snapshot if need be, then the tail; after any trouble the same again. */
#include "mesh/log/consumer.h"
#include "mesh/base/say.h"
#include "mesh/log/reader.h"
#include "mesh/outbox/circuit.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_METHOD         "/mesh.v1.LogService/Tail"
#define SNAPSHOT_METHOD     "/mesh.v1.LogService/Snapshot"
#define SNAPSHOT_TIMEOUT_US 30000000
#define READER_ARENA        (64 << 20)  /* a message unpacked, and its payloads */
#define WINDOW_BYTES        (128 << 10) /* what comes while a unit is away, for the next one */
#define RETRY_FIRST_US      100000
#define RETRY_LONGEST_US    5000000

struct consumers {
    size_t n;
    struct reader *readers;
    bool stopping;
    void (*on_stopped)(void *);
    void *on_stopped_arg;
};

/* --- beginning and ending --- */

static void forget_message(struct reader *reader)
{
    arena_finish(&reader->arena);
    arena_init(&reader->arena, READER_ARENA);
    reader->tail = NULL;
    reader->page = NULL;
}

static void forget_incoming(struct reader *reader)
{
    for (struct arrival *a = atomic_exchange(&reader->arrivals, NULL), *next; a; a = next) {
        next = a->next;
        free(a);
    }
    free(reader->incoming);
    reader->incoming = NULL;
    reader->incoming_len = 0;
    atomic_store(&reader->waiting, 0);
}

static void end_if_idle(struct consumers *all)
{
    if (!all->on_stopped)
        return;
    for (size_t i = 0; i < all->n; i++)
        if (all->readers[i].calling || all->readers[i].applying)
            return;
    void (*stopped)(void *) = all->on_stopped;
    all->on_stopped = NULL;
    stopped(all->on_stopped_arg);
}

static void again(struct timer *timer)
{
    reader_load(OF(timer, struct reader, timer));
}

/* Both call and unit have ended. */
static void rest(struct reader *reader)
{
    forget_message(reader);
    forget_incoming(reader);
    if (reader->stopped_by) {
        reader->phase = READER_STOPPED;
        lease_release(&reader->lease);
    } else if (reader->all->stopping || !lease_held(&reader->lease)) {
        reader->phase = READER_OFF;
    } else {
        reader->phase = READER_PAUSED;
        reader->port->timer_start(reader->port, &reader->timer, reader->delay_us);
    }
    end_if_idle(reader->all);
}

void reader_restart(struct reader *reader, const char *trouble, bool at_once)
{
    if (reader->phase != READER_ENDING) {
        uint32_t chance;
        reader->port->random(reader->port, &chance, sizeof(chance));
        reader->delay_us = at_once ? 0 : backoff_us(reader->attempts++, RETRY_FIRST_US, RETRY_LONGEST_US, chance);
        snprintf(reader->trouble, sizeof(reader->trouble), "%s", trouble ? trouble : "");
        reader->phase = READER_ENDING;
        if (reader->calling)
            reader->port->cancel(reader->port, &reader->call);
    }
    if (!reader->calling && !reader->applying)
        rest(reader);
}

/* An older release must not pass over what it does not know: another process may know it, and a person is told. */
void reader_stop_at(struct reader *reader, int32_t type)
{
    say(SAY_ERROR, NULL, "a consumer stops at an event it does not know", SAY_T("consumer", reader->row->name),
        SAY_N("event_type", type), SAY_N("after", (int64_t)reader->cursor.at.seq));
    reader->unknown_type = type;
    reader->stopped_by = true;
    metric_set(reader->stopped, 1);
    reader_restart(reader, NULL, true);
}

void reader_load(struct reader *reader)
{
    if (!lease_held(&reader->lease) || reader->all->stopping) {
        reader->phase = READER_OFF;
        return;
    }
    reader->phase = READER_LOADING;
    apply_load(reader);
}

static void lease_changed(struct lease *lease, bool held)
{
    struct reader *reader = OF(lease, struct reader, lease);
    if (held && reader->phase == READER_OFF)
        reader_load(reader);
    else if (!held && reader->phase != READER_OFF && reader->phase != READER_PAUSED)
        reader_restart(reader, "the lease is lost", true);
}

/* --- calls --- */

static void came(struct task *task);
static void ended(struct task *task);

static bool got_message(struct outcall *call, struct bytes message)
{
    struct reader *reader = OF(call, struct reader, call);
    struct arrival *arrival = malloc(sizeof(*arrival) + message.len);
    if (!arrival)
        abort();
    arrival->len = message.len;
    memcpy(arrival->data, message.data, message.len);
    arrival->next = atomic_load(&reader->arrivals);
    while (!atomic_compare_exchange_weak(&reader->arrivals, &arrival->next, arrival))
        ;
    size_t waiting = atomic_fetch_add(&reader->waiting, message.len) + message.len;
    if (!arrival->next)
        reader->port->post(reader->port, LANE_LOOP, &reader->came);
    return waiting < WINDOW_BYTES;
}

static void call_done(struct outcall *call, const struct rpc_status *status)
{
    struct reader *reader = OF(call, struct reader, call);
    struct arena arena;
    arena_init(&arena, 64 << 10);
    reader->code = status->code;
    const char *reason = rpc_status_reason(&arena, status);
    snprintf(reader->reason, sizeof(reader->reason), "%s", reason && *reason ? reason : rpc_code_name(status->code));
    arena_finish(&arena);
    reader->port->post(reader->port, LANE_LOOP, &reader->ended);
}

static void start_call(struct reader *reader, const char *method, const ProtobufCMessage *request, int64_t timeout_us)
{
    forget_message(reader);
    forget_incoming(reader);
    arena_finish(&reader->request_arena);
    arena_init(&reader->request_arena, 64 << 10);
    reader->calling = true;
    reader->over = false;
    reader->came.run = came;
    reader->ended.run = ended;
    reader->call = (struct outcall){
        .peer = reader->row->source,
        .method = method,
        .request = arena_pack(&reader->request_arena, request),
        .timeout_us = timeout_us,
        .message = got_message,
        .done = call_done,
    };
    trace_child(reader->port, NULL, &reader->call.trace);
    reader->port->call(reader->port, &reader->call);
}

static void fetch_page(struct reader *reader)
{
    Mesh__V1__SnapshotRequest request = MESH__V1__SNAPSHOT_REQUEST__INIT;
    request.page_token = reader->cursor.page_token;
    reader->phase = READER_PAGING;
    start_call(reader, SNAPSHOT_METHOD, &request.base, SNAPSHOT_TIMEOUT_US);
}

static void open_tail(struct reader *reader)
{
    Mesh__V1__Position after = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    after.incarnation = reader->cursor.at.incarnation;
    after.seq = reader->cursor.at.seq;
    request.after = &after;
    request.follow = true;
    reader->phase = READER_TAILING;
    start_call(reader, TAIL_METHOD, &request.base, 0);
}

void reader_begin(struct reader *reader)
{
    if (reader->cursor.booting)
        fetch_page(reader);
    else
        open_tail(reader);
}

/* --- what comes --- */

static bool same_incarnation(const struct reader *reader)
{
    const Mesh__V1__Position *position = reader->tail->position;
    return position && strcmp(position->incarnation, reader->cursor.at.incarnation) == 0;
}

/* Whatever has come by now is one unit's work. */
static void take_tail(struct reader *reader)
{
    ProtobufCAllocator allocator = arena_protobuf(&reader->arena);
    forget_message(reader);
    reader->tail = mesh__v1__tail_response__unpack(&allocator, reader->incoming_len, reader->incoming);
    reader->incoming_len = 0;
    if (atomic_exchange(&reader->waiting, 0) >= WINDOW_BYTES && reader->calling)
        reader->port->resume(reader->port, &reader->call);
    if (!reader->tail || !same_incarnation(reader))
        return reader_restart(reader, "the tail is malformed", false);
    apply_tail(reader);
}

static void append(struct reader *reader, const struct arrival *arrival)
{
    reader->incoming = realloc(reader->incoming, reader->incoming_len + arrival->len + 1);
    if (!reader->incoming)
        abort();
    memcpy(reader->incoming + reader->incoming_len, arrival->data, arrival->len);
    reader->incoming_len += arrival->len;
}

static void came(struct task *task)
{
    struct reader *reader = OF(task, struct reader, came);
    struct arrival *first = NULL, *next;
    for (struct arrival *a = atomic_exchange(&reader->arrivals, NULL); a; a = next) {
        next = a->next;
        a->next = first;
        first = a;
    }
    for (; first; first = next) {
        next = first->next;
        append(reader, first);
        free(first);
    }
    /* A page is looked at when its call has ended well. */
    if (reader->phase == READER_TAILING && !reader->applying)
        take_tail(reader);
}

/* The cursor means nothing there any more, or what follows it is gone: the state itself is fetched. */
static bool wants_bootstrap(const struct reader *reader)
{
    static const char *const reasons[] = { "LOG_TRUNCATED", "FOREIGN_INCARNATION", "LOG_AHEAD" };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(reader->reason, reasons[i]) == 0)
            return true;
    return reader->phase == READER_PAGING && reader->code == RPC_INVALID_ARGUMENT && reader->cursor.page_token[0];
}

static bool take_page(struct reader *reader)
{
    if (reader->phase != READER_PAGING || reader->code != RPC_OK)
        return false;
    ProtobufCAllocator allocator = arena_protobuf(&reader->arena);
    reader->page = mesh__v1__snapshot_response__unpack(&allocator, reader->incoming_len, reader->incoming);
    return reader->page;
}

static void look_at_end(struct reader *reader)
{
    if (take_page(reader))
        return apply_page(reader);
    if (!wants_bootstrap(reader))
        return reader_restart(reader, reader->reason, false);
    say(SAY_WARN, NULL, "a consumer starts from a snapshot", SAY_T("consumer", reader->row->name),
        SAY_T("reason", reader->reason));
    apply_bootstrap(reader);
}

static void ended(struct task *task)
{
    struct reader *reader = OF(task, struct reader, ended);
    reader->calling = false;
    reader->over = true;
    if (reader->phase == READER_ENDING)
        reader_restart(reader, NULL, false);
    else if (!reader->applying)
        look_at_end(reader);
}

void reader_go_on(struct reader *reader)
{
    if (reader->incoming_len > 0)
        take_tail(reader);
    else if (reader->over)
        look_at_end(reader);
}

/* --- all of them --- */

static void init_reader(struct reader *reader, struct port *port, struct store *store, const struct consumer *row)
{
    char labels[LEASE_NAME_MAX + 16];
    snprintf(labels, sizeof(labels), "consumer=\"%s\"", row->name);
    reader->port = port;
    reader->store = store;
    reader->row = row;
    reader->timer.fire = again;
    reader->lag = metric_make(METRIC_GAUGE, "mesh_consumer_lag", "Events between the cursor and the head.", labels);
    reader->applied_events = metric_make(METRIC_COUNTER, "mesh_consumer_events_total", "Events applied.", labels);
    reader->stopped =
        metric_make(METRIC_GAUGE, "mesh_consumer_stopped", "1: it has met an event that it does not know.", labels);
    arena_init(&reader->arena, READER_ARENA);
    snprintf(reader->lease.name, sizeof(reader->lease.name), "consumer/%s", row->name);
    reader->lease.changed = lease_changed;
}

int consumers_create(struct port *port, struct store *store, const struct consumer *rows, struct leases *leases,
                     struct consumers **ret_consumers)
{
    struct consumers *all = calloc(1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    while (rows && rows[all->n].name)
        all->n++;
    all->readers = calloc(all->n + 1, sizeof(*all->readers));
    if (!all->readers) {
        free(all);
        return -ENOMEM;
    }
    for (size_t i = 0; i < all->n; i++) {
        all->readers[i].all = all;
        init_reader(&all->readers[i], port, store, &rows[i]);
        leases_add(leases, &all->readers[i].lease);
    }
    *ret_consumers = all;
    return 0;
}

void consumers_stop(struct consumers *all, void (*stopped)(void *), void *arg)
{
    all->stopping = true;
    for (size_t i = 0; i < all->n; i++) {
        struct reader *reader = &all->readers[i];
        reader->port->timer_stop(reader->port, &reader->timer);
        if (reader->calling || reader->applying)
            reader_restart(reader, "the process stops", true);
        else if (reader->phase == READER_PAUSED)
            reader->phase = READER_OFF;
    }
    all->on_stopped = stopped;
    all->on_stopped_arg = arg;
    end_if_idle(all);
}

void consumers_destroy(struct consumers *all)
{
    if (!all)
        return;
    for (size_t i = 0; i < all->n; i++) {
        struct reader *reader = &all->readers[i];
        arena_finish(&reader->arena);
        arena_finish(&reader->request_arena);
        forget_incoming(reader);
    }
    free(all->readers);
    free(all);
}

size_t consumers_count(const struct consumers *all)
{
    return all->n;
}

static void state_text(const struct reader *reader, char *ret_text, size_t size)
{
    if (reader->stopped_by)
        snprintf(ret_text, size, "STOPPED: unknown event type %d", reader->unknown_type);
    else if (reader->phase == READER_OFF)
        snprintf(ret_text, size, "WAITING: the lease is held elsewhere");
    else if (reader->phase == READER_PAUSED || reader->phase == READER_ENDING)
        snprintf(ret_text, size, "RETRYING: %s", reader->trouble);
    else
        snprintf(ret_text, size, reader->cursor.booting ? "BOOTSTRAPPING" : "RUNNING");
}

void consumers_state(const struct consumers *all, size_t i, struct consumer_state *ret_state)
{
    assert(i < all->n);
    const struct reader *reader = &all->readers[i];
    *ret_state = (struct consumer_state){
        .name = reader->row->name,
        .source = reader->row->source,
        .position = reader->cursor.at,
        .behind = reader->head > reader->cursor.at.seq ? reader->head - reader->cursor.at.seq : 0,
    };
    state_text(reader, ret_state->state, sizeof(ret_state->state));
}
