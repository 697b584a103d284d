/* Where calls come in and go out: the table of methods, who may call them, decoding, and how a call ends. */
#include "mesh/base/say.h"
#include "mesh/base/span.h"
#include "mesh/rpc/call.h"
#include "mesh/rpc/types.h"
#include "mesh/v1/log.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US 100000

static struct metric in_flight = { .name = "mesh_rpc_in_flight",
                                   .help = "Calls begun and not ended.",
                                   .type = METRIC_GAUGE };
static const struct method unknown_method = { .rule = &(const struct schema_method){ .full_name = "unknown",
                                                                                     .name = "unknown" } };

static struct method **slot_of(const struct dispatch *d, const char *name, size_t len)
{
    size_t at = name_hash(name, len) & (d->n_slots - 1);
    while (d->slots[at] &&
           !(strncmp(d->slots[at]->rule->full_name, name, len) == 0 && d->slots[at]->rule->full_name[len] == '\0'))
        at = (at + 1) & (d->n_slots - 1);
    return &d->slots[at];
}

/* --- calls and their pool: each keeps its first block of memory and its digest --- */

static struct rpc_call *make_call(struct dispatch *d)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    if (!call || !(call->digest = EVP_MD_CTX_new()))
        abort();
    call->dispatch = d;
    arena_init(&call->arena, DECODE_BUDGET);
    if (!arena_alloc(&call->arena, 1))
        abort();
    call->empty = arena_mark(&call->arena);
    return call;
}

static struct rpc_call *take_call(struct dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    struct rpc_call *call = d->pool;
    if (call) {
        d->pool = call->next;
        d->n_pool--;
    }
    pthread_mutex_unlock(&d->lock);
    return call ? call : make_call(d);
}

static void free_call(struct rpc_call *call)
{
    EVP_MD_CTX_free(call->digest);
    arena_finish(&call->arena);
    free(call);
}

void dispatch_release(struct rpc_call *call)
{
    struct dispatch *d = call->dispatch;
    if (call->at_end)
        call->at_end(call->at_end_arg);
    call->at_end = NULL;
    free(call->scratch);
    call->scratch = NULL;
    arena_rewind(&call->arena, call->empty);
    call->arena.spent = false;

    pthread_mutex_lock(&d->lock);
    bool pooled = d->n_pool < POOL_MAX;
    if (pooled) {
        call->next = d->pool;
        d->pool = call;
        d->n_pool++;
    }
    pthread_mutex_unlock(&d->lock);
    if (!pooled)
        free_call(call);
    atomic_fetch_sub(&d->active, 1);
}

const struct rpc_service *const *dispatch_services(const struct dispatch *d)
{
    return d->services;
}

size_t dispatch_active(const struct dispatch *d)
{
    return atomic_load(&d->active);
}

void *rpc_transport_data(const struct rpc_call *call)
{
    return call->transport_data;
}

/* --- the end --- */

/* What the outside hears of an errno. Nothing else of it is told. */
static const struct {
    int result;
    enum rpc_code code;
    const char *reason, *message;
    int64_t retry_us;
} ends[] = {
    { -EAGAIN, RPC_RESOURCE_EXHAUSTED, "OVERLOADED", "too much is waiting to be stored", RETRY_US },
    { -ENOSPC, RPC_RESOURCE_EXHAUSTED, "STORAGE_FULL", "the storage is full", 0 },
    { -EIO, RPC_UNAVAILABLE, "STORAGE_FAILED", "the storage failed", 0 },
    { -ESHUTDOWN, RPC_UNAVAILABLE, "SHUTTING_DOWN", "this process is ending", 0 },
    { -ENOMEM, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_COSTLY", "the request takes more memory than it may", 0 },
    { -E2BIG, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "an event or command that it makes is too large", 0 },
};

static void make_error(struct rpc_call *call, int result)
{
    if (result == -EPROTO && call->error.code != RPC_OK)
        return;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i].result != result)
            continue;
        rpc_fail(call, ends[i].code, ends[i].reason, "%s", ends[i].message);
        if (ends[i].retry_us > 0)
            rpc_error_retry(call, ends[i].retry_us);
        return;
    }
    say(SAY_ERROR, &call->trace, "a call failed inside", SAY_T("method", call->method->rule->full_name),
        SAY_T("error", strerror(-result)));
    rpc_fail(call, RPC_INTERNAL, "INTERNAL", "something went wrong inside; the trace id finds it in the log");
}

static struct metric *count_of(struct method *method, enum rpc_code code)
{
    struct metric *count = atomic_load_explicit(&method->counts[code], memory_order_relaxed);
    if (count)
        return count;
    char labels[320];
    snprintf(labels, sizeof(labels), "method=\"%s\",code=\"%s\"", method->rule->full_name, rpc_code_name(code));
    count = metric_make(METRIC_COUNTER, "mesh_rpc_calls_total", "Calls ended, by method and code.", labels);
    atomic_store(&method->counts[code], count);
    return count;
}

static void keep_span(const struct rpc_call *call, enum rpc_code code, int64_t duration_us)
{
    struct port *port = call->dispatch->port;
    struct span span = { .trace = call->trace, .kind = SPAN_SERVER, .duration_us = duration_us, .code = (int)code };
    if (!span_wanted(&span.trace))
        return;
    span.end_us = port->wall_us(port);
    memcpy(span.parent, call->parent_span, sizeof(span.parent));
    span_keep(&span, call->method->rule->full_name);
}

void call_end(struct rpc_call *call, int result)
{
    struct port *port = call->dispatch->port;
    struct method *method = (struct method *)call->method;
    struct rpc_status status = { .code = RPC_OK, .message = "" };
    if (result < 0) {
        make_error(call, result);
        status = (struct rpc_status){ call->error.code, call->error.message, error_pack(call) };
        call->reply = (struct bytes){ 0 };
    }
    if (method != &unknown_method) {
        metric_add(count_of(method, status.code), 1);
        int64_t duration_us = port->mono_us(port) - call->begun_us;
        metric_time(method->duration, duration_us);
        keep_span(call, status.code, duration_us);
    }
    metric_add(&in_flight, -1);
    call->transport->finish(call, call->reply, &status); /* the call may be gone now */
}

int call_over(struct rpc_call *call)
{
    struct port *port = call->dispatch->port;
    if (atomic_load(&call->hold) & HOLD_CANCELLED)
        return rpc_fail(call, RPC_CANCELLED, "CANCELLED", "the caller gave up");
    if (call->deadline_us > 0 && port->mono_us(port) >= call->deadline_us)
        return rpc_fail(call, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline has passed");
    return 0;
}

/* --- the beginning --- */

static int refuse_role(struct rpc_call *call)
{
    char roles[256] = "";
    size_t at = 0;
    for (unsigned i = 0; i < mesh__v1__role__descriptor.n_values; i++) {
        const ProtobufCEnumValue *role = &mesh__v1__role__descriptor.values[i];
        if (role->value > 0 && caller_is(&call->caller, (Mesh__V1__Role)role->value) && at < sizeof(roles))
            at += (size_t)snprintf(roles + at, sizeof(roles) - at, "%s%s", at ? "," : "", role->name);
    }
    rpc_fail(call, RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "the caller's roles do not allow this");
    rpc_error_meta(call, "method", call->method->rule->full_name);
    rpc_error_meta(call, "roles", roles);
    return -EPROTO;
}

static int check_access(struct rpc_call *call, bool authentic)
{
    uint32_t allow = call->method->rule->allow;
    if (allow == SCHEMA_PUBLIC)
        return 0;
    if (!authentic)
        return rpc_fail(call, RPC_UNAUTHENTICATED, "PEER_NOT_PROVEN", "who calls is not proven");
    return (allow & call->caller.roles) ? 0 : refuse_role(call);
}

static char **text_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char **)((uint8_t *)message + field->offset);
}

/* A customer is the owner of what he asks for, whether he says so or not. */
static int check_owner(struct rpc_call *call)
{
    const char *owner = rpc_owner(call);
    if (!call->method->owner || *owner == '\0')
        return 0;
    char **named = text_field(call->in, call->method->owner);
    if (**named == '\0')
        *named = (char *)owner;
    if (strcmp(*named, owner) == 0)
        return 0;
    rpc_fail(call, RPC_PERMISSION_DENIED, "NOT_YOURS", "a customer may only name himself");
    rpc_error_meta(call, "field", call->method->owner->name);
    return -EPROTO;
}

static int decode(struct rpc_call *call, struct bytes request)
{
    const struct method *method = call->method;
    if (request.len > method->rule->max_request_bytes)
        return rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "%zu bytes, of which %zu are allowed",
                        request.len, method->rule->max_request_bytes);
    int r = schema_check(call, method->type, request);
    if (r < 0)
        return r;

    call->arena.budget += 24 * request.len;
    ProtobufCAllocator allocator = arena_protobuf(&call->arena);
    call->in = protobuf_c_message_unpack(method->input, &allocator, request.len, request.data);
    if (!call->in && !call->arena.spent)
        return rpc_fail(call, RPC_INVALID_ARGUMENT, "MALFORMED_REQUEST", "the request is not a message of its type");
    call->arena.budget = REPLY_BUDGET;
    call->out = call->in ? arena_alloc(&call->arena, method->output->sizeof_message) : NULL;
    return call->out ? 0 : -ENOMEM;
}

static const struct method *find_method(const struct dispatch *d, const struct rpc_begin *begin)
{
    const struct method *method = *slot_of(d, begin->method, begin->method_len);
    return method ? method : &unknown_method;
}

static int admit(struct rpc_call *call, bool authentic)
{
    if (call->method == &unknown_method)
        return rpc_fail(call, RPC_UNIMPLEMENTED, "METHOD_UNKNOWN", "this process does not serve the method");
    return check_access(call, authentic);
}

int dispatch_admit(struct dispatch *d, const struct rpc_begin *begin, struct arena *arena,
                   struct rpc_status *ret_status)
{
    struct rpc_call call = { .dispatch = d, .method = find_method(d, begin), .caller = begin->caller };
    int r = admit(&call, begin->authentic);
    if (r < 0)
        *ret_status = error_status(arena, &call.error);
    return r;
}

static int enter(struct rpc_call *call, const struct rpc_begin *begin, size_t active)
{
    if (active > CALLS_MAX) {
        rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "OVERLOADED", "too many calls are under way");
        rpc_error_retry(call, RETRY_US);
        return -EPROTO;
    }
    int r = admit(call, begin->authentic);
    if (r == 0)
        r = call_over(call);
    if (r == 0)
        r = decode(call, begin->request);
    if (r == 0)
        r = check_owner(call);
    if (r == 0 && call->method->rule->mutates)
        r = request_begin(call, begin->request);
    return r;
}

struct rpc_call *dispatch_begin(struct dispatch *d, const struct rpc_begin *begin)
{
    size_t active = atomic_fetch_add(&d->active, 1) + 1;
    struct rpc_call *call = take_call(d);
    call->method = find_method(d, begin);
    call->transport = begin->transport;
    call->transport_data = begin->transport_data;
    call->caller = begin->caller;
    call->deadline_us = begin->deadline_us;
    call->begun_us = d->port->mono_us(d->port);
    call->reply = (struct bytes){ 0 };
    call->resource = call->defer_key = NULL;
    call->spoiled = NULL;
    call->arena.budget = DECODE_BUDGET;
    atomic_store_explicit(&call->meeting, 0, memory_order_relaxed);
    atomic_store_explicit(&call->hold, 0, memory_order_relaxed);
    error_clear(call);
    trace_child(d->port, &begin->trace, &call->trace);
    memcpy(call->parent_span, begin->trace.span_id, sizeof(call->parent_span));
    metric_add(&in_flight, 1);

    int r = enter(call, begin, active);
    if (r < 0)
        call_end(call, r);
    else
        call_start(call);
    return call;
}

void dispatch_cancel(struct rpc_call *call)
{
    int hold = atomic_load(&call->hold);
    while (!atomic_compare_exchange_weak(&call->hold, &hold, (hold | HOLD_CANCELLED) & ~HOLD_WAITING))
        ;
    if (!(hold & HOLD_WAITING) && !unpark(call))
        return;
    call->woken = WOKEN_BY_CANCEL;
    call_woken(call);
}

/* --- the table --- */

static void __attribute__((noreturn, format(printf, 1, 2))) refuse_table(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("the table of methods is wrong: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

static const ProtobufCFieldDescriptor *text_field_of(const ProtobufCMessageDescriptor *type, const char *name)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, name);
    return field && field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED ? field : NULL;
}

static const ProtobufCFieldDescriptor *position_field_of(const ProtobufCMessageDescriptor *type)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, "min_position");
    return field && field->descriptor == &mesh__v1__position__descriptor ? field : NULL;
}

static const struct rpc_method *row_of(const struct rpc_service *service, const char *name)
{
    const struct rpc_method *row = service->methods;
    while (row->name && strcmp(row->name, name) != 0)
        row++;
    return row->name ? row : NULL;
}

static void check_row(const struct dispatch *d, const struct method *m)
{
    const struct rpc_method *row = m->row;
    const struct schema_method *rule = m->rule;
    int units = (row->unit != NULL) + (row->batch != NULL) + (row->page != NULL);
    if (rule->client_streaming && (!rule->server_streaming || row->settled))
        refuse_table("%s is a client's stream and does not acknowledge every chunk at once", rule->full_name);
    if ((rule->server_streaming && !rule->client_streaming) != (row->page != NULL))
        refuse_table("%s must have pages if and only if it is only a server's stream", rule->full_name);
    if (units > 1 || (units == 0 && (rule->mutates || !row->gather)))
        refuse_table("%s needs one of unit, batch and page", rule->full_name);
    if (units == 1 && !d->store)
        refuse_table("%s needs a store, and there is none", rule->full_name);
    if (rule->mutates && !m->request_id)
        refuse_table("%s mutates and its request has no request_id", rule->full_name);
    if (rule->mutates && row->page)
        refuse_table("%s mutates and cannot be a stream", rule->full_name);
    if (!rule->mutates && (row->batch || row->settled || row->replay))
        refuse_table("%s does not mutate, and batch, settled and replay are for those that do", rule->full_name);
    if (rule->owner && !m->owner)
        refuse_table("%s: the owner %s is no text field of its request", rule->full_name, rule->owner);
    if (m->min_position && !row->unit && !row->batch)
        refuse_table("%s has a min_position and no unit that could be behind it", rule->full_name);
    if (rule->undoes && !m->operation_id)
        refuse_table("%s undoes and its request has no operation_id", rule->full_name);
}

static void add_method(struct dispatch *d, const struct rpc_service *service, const struct schema_method *rule)
{
    const struct rpc_method *row = row_of(service, rule->name);
    const ProtobufCMethodDescriptor *types =
        protobuf_c_service_descriptor_get_method_by_name(service->descriptor, rule->name);
    if (!row || !types)
        refuse_table("%s has no row", rule->full_name);
    if (row->elsewhere)
        return;

    struct method *m = &d->methods[d->n_methods++];
    char label[300];
    snprintf(label, sizeof(label), "method=\"%s\"", rule->full_name);
    *m = (struct method){
        .row = row,
        .rule = rule,
        .type = schema_message(schema_builtin(), rule->input),
        .input = types->input,
        .output = types->output,
        .request_id = rule->mutates ? text_field_of(types->input, "request_id") : NULL,
        .owner = rule->owner ? text_field_of(types->input, rule->owner) : NULL,
        .min_position = position_field_of(types->input),
        .operation_id = rule->undoes ? text_field_of(types->input, "operation_id") : NULL,
        .duration =
            metric_make(METRIC_HISTOGRAM, "mesh_rpc_seconds", "Time of a call from its beginning to its end.", label),
    };
    check_row(d, m);
    struct method **slot = slot_of(d, rule->full_name, strlen(rule->full_name));
    if (*slot)
        refuse_table("%s is served twice", rule->full_name);
    *slot = m;
}

static void add_service(struct dispatch *d, const struct rpc_service *service)
{
    const struct schema_method *rules;
    size_t n = schema_methods(schema_builtin(), &rules), mine = 0, rows = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rules[i].service, service->name) != 0)
            continue;
        add_method(d, service, &rules[i]);
        mine++;
    }
    while (service->methods[rows].name)
        rows++;
    if (mine == 0 || rows != mine)
        refuse_table("%s has %zu methods and %zu rows", service->name, mine, rows);
}

static void link_undone(struct dispatch *d)
{
    for (size_t i = 0; i < d->n_methods; i++) {
        struct method *m = &d->methods[i];
        for (size_t k = 0; m->rule->undoes && k < d->n_methods; k++)
            if (strcmp(d->methods[k].rule->service, m->rule->service) == 0 &&
                strcmp(d->methods[k].rule->name, m->rule->undoes) == 0 && d->methods[k].rule->mutates)
                m->undone = &d->methods[k];
        if (m->rule->undoes && !m->undone)
            refuse_table("%s undoes %s, which is not served here", m->rule->full_name, m->rule->undoes);
    }
}

struct dispatch *dispatch_create(struct port *port, struct store *store, struct service *service, void *app,
                                 const struct rpc_service *const *services)
{
    const struct schema_method *rules;
    size_t n = schema_methods(schema_builtin(), &rules);
    struct dispatch *d = calloc(1, sizeof(*d));
    if (!d)
        abort();
    *d = (struct dispatch){
        .port = port, .store = store, .service = service, .app = app, .services = services, .n_slots = 64
    };
    while (d->n_slots < 2 * n)
        d->n_slots *= 2;
    d->methods = calloc(n, sizeof(*d->methods));
    d->slots = calloc(d->n_slots, sizeof(struct method *));
    d->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!d->methods || !d->slots || !d->sha256)
        abort();
    pthread_mutex_init(&d->lock, NULL);
    park_init(d);
    for (size_t i = 0; services[i]; i++)
        add_service(d, services[i]);
    link_undone(d);
    return d;
}

void dispatch_destroy(struct dispatch *d)
{
    if (!d)
        return;
    park_destroy(d);
    while (d->pool) {
        struct rpc_call *call = d->pool;
        d->pool = call->next;
        free_call(call);
    }
    pthread_mutex_destroy(&d->lock);
    EVP_MD_free(d->sha256);
    free(d->slots);
    free(d->methods);
    free(d);
}
