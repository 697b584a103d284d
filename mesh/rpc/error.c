/* Errors as handlers make them, and as google.rpc.Status details (AIP-193). */
#include "mesh/rpc/call.h"

#include "api.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define DOMAIN      "ordermesh"
#define TYPE_PREFIX "type.googleapis.com/"
#define REASON_MAX  64
#define MESSAGE_MAX 400
#define SUBJECT_MAX 200
#define VALUE_MAX   120
#define DETAILS_MAX 4 /* ErrorInfo, BadRequest or PreconditionFailure, ResourceInfo, RetryInfo */

static const char *const code_names[] = {
    [RPC_OK] = "OK",
    [RPC_CANCELLED] = "CANCELLED",
    [RPC_UNKNOWN] = "UNKNOWN",
    [RPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [RPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [RPC_NOT_FOUND] = "NOT_FOUND",
    [RPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [RPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [RPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [RPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [RPC_ABORTED] = "ABORTED",
    [RPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [RPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [RPC_INTERNAL] = "INTERNAL",
    [RPC_UNAVAILABLE] = "UNAVAILABLE",
    [RPC_DATA_LOSS] = "DATA_LOSS",
    [RPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *rpc_code_name(enum rpc_code code)
{
    return (unsigned)code < sizeof(code_names) / sizeof(code_names[0]) ? code_names[code] : "UNKNOWN";
}

void error_clear(struct rpc_call *call)
{
    call->error.code = RPC_OK;
    call->error.used = 0;
}

/* --- made --- */

/* A copy cut to max bytes and to what room there is, never within a character. */
static const char *keep(struct rpc_error *error, const char *text, size_t max)
{
    size_t room = sizeof(error->text) - error->used;
    size_t len = strlen(text);
    if (len > max)
        len = max;
    if (room == 0)
        return "";
    if (len > room - 1)
        len = room - 1;
    if (text[len] != '\0')
        while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
            len--;
    char *copy = error->text + error->used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    error->used += len + 1;
    return copy;
}

static int fail(struct rpc_call *call, enum rpc_code code, const char *reason, const char *subject, const char *format,
                va_list args)
{
    struct rpc_error *error = &call->error;
    char message[MESSAGE_MAX + 8];
    vsnprintf(message, sizeof(message), format, args);
    error->code = code;
    error->used = error->n_meta = 0;
    error->type = error->name = NULL;
    error->retry_us = 0;
    error->reason = keep(error, reason, REASON_MAX);
    error->message = keep(error, message, MESSAGE_MAX);
    error->subject = subject ? keep(error, subject, SUBJECT_MAX) : NULL;
    return -EPROTO;
}

int rpc_fail(struct rpc_call *call, enum rpc_code code, const char *reason, const char *format, ...)
{
    va_list args;
    assert(code != RPC_FAILED_PRECONDITION);
    va_start(args, format);
    int r = fail(call, code, reason, NULL, format, args);
    va_end(args);
    return r;
}

int rpc_fail_field(struct rpc_call *call, const char *field, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = fail(call, RPC_INVALID_ARGUMENT, reason, field, format, args);
    va_end(args);
    return r;
}

int rpc_fail_state(struct rpc_call *call, const char *subject, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = fail(call, RPC_FAILED_PRECONDITION, reason, subject, format, args);
    va_end(args);
    return r;
}

int rpc_refused(struct rpc_call *call, struct rpc_refusal *ret_refusal)
{
    const struct rpc_error *error = &call->error;
    if (error->code == RPC_OK)
        return -EINVAL;
    const char *field = error->subject && error->code == RPC_INVALID_ARGUMENT ? error->subject : "";
    struct rpc_refusal refusal = {
        .code = error->code,
        .reason = arena_copy(&call->arena, error->reason, strlen(error->reason)),
        .message = arena_copy(&call->arena, error->message, strlen(error->message)),
        .field = arena_copy(&call->arena, field, strlen(field)),
    };
    if (!refusal.reason || !refusal.message || !refusal.field)
        return -ENOMEM;
    error_clear(call);
    *ret_refusal = refusal;
    return 0;
}

/* "oms.inventory.v1.StockLocation" is refused as STOCK_LOCATION_NOT_FOUND. */
static void missing_reason(const char *type, char *reason, size_t size)
{
    const char *dot = strrchr(type, '.');
    size_t n = 0;
    for (const char *c = dot ? dot + 1 : type; *c && n + sizeof("_NOT_FOUND") + 2 < size; c++) {
        bool upper = *c >= 'A' && *c <= 'Z';
        if (upper && n > 0)
            reason[n++] = '_';
        reason[n++] = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    }
    snprintf(reason + n, size - n, "_NOT_FOUND");
}

int rpc_fail_missing(struct rpc_call *call, const char *type, const char *name)
{
    char reason[REASON_MAX];
    missing_reason(type, reason, sizeof(reason));
    int r = rpc_fail(call, RPC_NOT_FOUND, reason, "there is no %s \"%s\"", type, name);
    call->error.type = keep(&call->error, type, VALUE_MAX);
    call->error.name = keep(&call->error, name, VALUE_MAX);
    return r;
}

void rpc_error_resource(struct rpc_call *call, const char *type, const char *name)
{
    struct rpc_error *error = &call->error;
    if (error->code == RPC_OK)
        return;
    error->type = keep(error, type, VALUE_MAX);
    error->name = keep(error, name, VALUE_MAX);
}

void rpc_error_meta(struct rpc_call *call, const char *key, const char *value)
{
    struct rpc_error *error = &call->error;
    if (error->code == RPC_OK || error->n_meta == ERROR_META)
        return;
    error->meta[error->n_meta].key = keep(error, key, REASON_MAX);
    error->meta[error->n_meta++].value = keep(error, value, VALUE_MAX);
}

void rpc_error_retry(struct rpc_call *call, int64_t delay_us)
{
    call->error.retry_us = delay_us > 0 ? delay_us : 1;
}

/* --- told --- */

static void add_detail(struct arena *arena, Google__Rpc__Status *status, const ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof(*any));
    struct bytes packed = arena_pack(arena, message);
    char *url = arena_printf(arena, TYPE_PREFIX "%s", message->descriptor->name);
    if (!any || !packed.data || !url)
        return;
    google__protobuf__any__init(any);
    any->type_url = url;
    any->value = (ProtobufCBinaryData){ .len = packed.len, .data = (uint8_t *)packed.data };
    status->details[status->n_details++] = any;
}

static void add_error_info(struct arena *arena, Google__Rpc__Status *status, const struct rpc_error *error)
{
    Google__Rpc__ErrorInfo__MetadataEntry entries[ERROR_META], *pointers[ERROR_META];
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    for (size_t i = 0; i < error->n_meta; i++) {
        google__rpc__error_info__metadata_entry__init(&entries[i]);
        entries[i].key = (char *)error->meta[i].key;
        entries[i].value = (char *)error->meta[i].value;
        pointers[i] = &entries[i];
    }
    info.reason = (char *)error->reason;
    info.domain = (char *)DOMAIN;
    info.metadata = pointers;
    info.n_metadata = error->n_meta;
    add_detail(arena, status, &info.base);
}

static void add_bad_request(struct arena *arena, Google__Rpc__Status *status, const struct rpc_error *error)
{
    Google__Rpc__BadRequest__FieldViolation violation = GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = { &violation };
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    violation.field = (char *)error->subject;
    violation.description = (char *)error->message;
    violation.reason = (char *)error->reason;
    bad.field_violations = violations;
    bad.n_field_violations = 1;
    add_detail(arena, status, &bad.base);
}

static void add_precondition_failure(struct arena *arena, Google__Rpc__Status *status, const struct rpc_error *error)
{
    Google__Rpc__PreconditionFailure__Violation violation = GOOGLE__RPC__PRECONDITION_FAILURE__VIOLATION__INIT;
    Google__Rpc__PreconditionFailure__Violation *violations[] = { &violation };
    Google__Rpc__PreconditionFailure failure = GOOGLE__RPC__PRECONDITION_FAILURE__INIT;
    violation.type = (char *)error->reason;
    violation.subject = (char *)error->subject;
    violation.description = (char *)error->message;
    failure.violations = violations;
    failure.n_violations = 1;
    add_detail(arena, status, &failure.base);
}

static void add_resource_info(struct arena *arena, Google__Rpc__Status *status, const struct rpc_error *error)
{
    Google__Rpc__ResourceInfo info = GOOGLE__RPC__RESOURCE_INFO__INIT;
    info.resource_type = (char *)error->type;
    info.resource_name = (char *)error->name;
    add_detail(arena, status, &info.base);
}

static void add_retry_info(struct arena *arena, Google__Rpc__Status *status, const struct rpc_error *error)
{
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Rpc__RetryInfo info = GOOGLE__RPC__RETRY_INFO__INIT;
    delay.seconds = error->retry_us / 1000000;
    delay.nanos = (int32_t)(error->retry_us % 1000000 * 1000);
    info.retry_delay = &delay;
    add_detail(arena, status, &info.base);
}

static struct bytes pack_details(struct arena *arena, const struct rpc_error *error)
{
    Google__Protobuf__Any *details[DETAILS_MAX];
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;

    arena->budget = arena->used + 4 * ERROR_TEXT + 4096; /* a request that spent its own is told so, too */
    status.code = (int32_t)error->code;
    status.message = (char *)error->message;
    status.details = details;
    add_error_info(arena, &status, error);
    if (error->code == RPC_FAILED_PRECONDITION)
        add_precondition_failure(arena, &status, error);
    else if (error->subject)
        add_bad_request(arena, &status, error);
    if (error->type)
        add_resource_info(arena, &status, error);
    if (error->retry_us > 0)
        add_retry_info(arena, &status, error);
    return arena_pack(arena, &status.base);
}

struct bytes error_pack(struct rpc_call *call)
{
    return pack_details(&call->arena, &call->error);
}

struct rpc_status error_status(struct arena *arena, const struct rpc_error *error)
{
    const char *message = arena_copy(arena, error->message, strlen(error->message));
    return (struct rpc_status){ error->code, message ? message : "", pack_details(arena, error) };
}

/* --- read --- */

static Google__Rpc__ErrorInfo *error_info(struct arena *arena, const struct rpc_status *status)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Google__Rpc__Status *packed = google__rpc__status__unpack(&allocator, status->details.len, status->details.data);
    for (size_t i = 0; packed && i < packed->n_details; i++) {
        const Google__Protobuf__Any *any = packed->details[i];
        const char *slash = strrchr(any->type_url, '/');
        if (slash && strcmp(slash + 1, google__rpc__error_info__descriptor.name) == 0)
            return google__rpc__error_info__unpack(&allocator, any->value.len, any->value.data);
    }
    return NULL;
}

const char *rpc_status_reason(struct arena *arena, const struct rpc_status *status)
{
    const Google__Rpc__ErrorInfo *info = error_info(arena, status);
    return info ? info->reason : "";
}

const char *rpc_status_meta(struct arena *arena, const struct rpc_status *status, const char *key)
{
    const Google__Rpc__ErrorInfo *info = error_info(arena, status);
    for (size_t i = 0; info && i < info->n_metadata; i++)
        if (strcmp(info->metadata[i]->key, key) == 0)
            return info->metadata[i]->value;
    return "";
}
