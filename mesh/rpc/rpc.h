/* What a handler sees: the call, who calls, and the one road to an error.
 *
 * A method's stages, each optional, in this order (mesh/rpc/dispatch.c):
 *   gather  what belongs to others is fetched; no transaction; loop lane
 *   work    pure CPU on the arena; work lane
 *   unit    the transaction: writer lane if the method's rule says mutates, else a snapshot on the reader lane
 * The request is decoded into the call's arena and checked against the field rules of the protos before any of
 * them: strings are valid UTF-8 without NUL and within their lengths, required fields are there, numbers in range.
 *
 * Idempotency: a mutating request carries request_id. (principal, method, request_id, hash, reply) is stored in the
 * handler's own transaction; a repeat gets the stored reply, another body under the same id INVALID_ARGUMENT with
 * reason REQUEST_ID_REUSED; a time-ordered id older than 7 days is refused
 * (REQUEST_ID_TOO_OLD), and so is one of more than a day ahead (REQUEST_ID_IN_THE_FUTURE). */
#pragma once

#include "mesh/base/arena.h"
#include "mesh/base/trace.h"
#include "mesh/v1/options.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct txn;
struct rpc_call;
struct service;
struct rows;

/* The codes of gRPC (https://grpc.io/docs/guides/status-codes), same numbers. */
enum rpc_code {
    RPC_OK,
    RPC_CANCELLED,
    RPC_UNKNOWN,
    RPC_INVALID_ARGUMENT,
    RPC_DEADLINE_EXCEEDED,
    RPC_NOT_FOUND,
    RPC_ALREADY_EXISTS,
    RPC_PERMISSION_DENIED,
    RPC_RESOURCE_EXHAUSTED,
    RPC_FAILED_PRECONDITION,
    RPC_ABORTED,
    RPC_OUT_OF_RANGE,
    RPC_UNIMPLEMENTED,
    RPC_INTERNAL,
    RPC_UNAVAILABLE,
    RPC_DATA_LOSS,
    RPC_UNAUTHENTICATED,
};
const char *rpc_code_name(enum rpc_code code); /* "INVALID_ARGUMENT" */

/* The end of a call as the other side sees it. details is a packed google.rpc.Status or empty. */
struct rpc_status {
    enum rpc_code code;
    const char *message; /* never NULL */
    struct bytes details;
};
/* The ErrorInfo reason in the details, or "" ; in the arena. */
const char *rpc_status_reason(struct arena *arena, const struct rpc_status *status);
/* The value of an ErrorInfo metadata key, or "". */
const char *rpc_status_meta(struct arena *arena, const struct rpc_status *status, const char *key);

#define CALLER_SUBJECT_MAX 128
/* Who calls. Handed from the gateway to services as the metadata x-mesh-caller (mesh/rpc/caller.c), which a service
 * believes only from a peer that proved itself by mTLS. */
struct caller {
    uint32_t roles; /* bits 1 << MESH__V1__ROLE__… */
    char subject[CALLER_SUBJECT_MAX];
};
#define ROLE_BIT(role) (1u << (role))
bool caller_is(const struct caller *caller, Mesh__V1__Role role);
/* The metadata value; false if the text is malformed. */
void caller_format(const struct caller *caller, char ret_text[CALLER_SUBJECT_MAX + 16]);
bool caller_parse(const char *text, struct caller *ret_caller);

/* A handler of any stage: 0, or the negative value of rpc_fail or of a txn_ function. in and out are the request
 * and the reply of the method; strings of the reply may point into the arena, the request or rows. */
typedef int rpc_unit(struct rpc_call *call, struct txn *txn, const void *in, void *out);
typedef int rpc_work(struct rpc_call *call, const void *in, void *out);
/* RPC_NOW: go on; RPC_LATER: rpc_gathered will be called; RPC_REPLY: the reply is complete, no unit is needed. */
enum { RPC_NOW = 0, RPC_LATER = 1, RPC_REPLY = 2 };
typedef int rpc_gather(struct rpc_call *call, const void *in, void *out);
/* All queued calls of one method in one transaction, first come first served. Each gets its own result; a call that
 * fails by rpc_fail writes nothing (the function itself must see to that); after a negative return nothing has
 * happened, and each is run again alone. */
struct rpc_item {
    struct rpc_call *call;
    const void *in;
    void *out;
    int result;
};
typedef int rpc_batch(struct txn *txn, struct rpc_item *items, size_t n);
/* A server stream is pages of a read unit: fill one message, move the cursor, and say RPC_MORE (call again at once when
 * the client has room), RPC_END, or RPC_WAIT (call again when the log has grown). Send nothing by setting *ret_empty.
 */
enum { RPC_MORE = 0, RPC_END = 1, RPC_WAIT = 2 };
typedef int rpc_page(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty);

/* Typed handlers become table rows through one line each: RPC_UNIT(place_order) makes place_order_row. */
#define RPC_UNIT(f) \
    static int f##_row(struct rpc_call *c, struct txn *t, const void *in, void *out) \
    { \
        return f(c, t, in, out); \
    }

struct rpc_method {
    const char *name; /* as in the proto; a service with an unknown or missing method does not start */
    rpc_unit *unit;
    rpc_gather *gather;
    rpc_work *work;
    rpc_batch *batch; /* instead of unit, for mutating methods */
    rpc_page *page;   /* instead of unit, for server streams */
    /* Deferred: if unit called rpc_defer, the reply waits until the log gets an event of that key, and then while this
     * read unit says RPC_WAIT; a repeat asks it at once. It starts from the reply that unit made and brings it up to
     * date. Shortly before the deadline (60 s without one) it is asked a last time, and the reply goes out as it is. */
    rpc_unit *settled;
    /* Replies with personal data are not stored: unit names what it made by rpc_made, and a repeat is answered by this.
     */
    rpc_unit *replay;
    bool elsewhere; /* this process does not serve it (the gateway does) */
};

struct rpc_service {
    const char *name; /* "oms.order.v1.OrderService" */
    const ProtobufCServiceDescriptor *descriptor;
    const struct rpc_method *methods; /* ends with a row without name */
};

/* --- the call, for handlers --- */

void *rpc_app(const struct rpc_call *call); /* the service's own state (struct service_spec.open) */
struct arena *rpc_arena(struct rpc_call *call);
struct service *rpc_service_of(const struct rpc_call *call);
const struct caller *rpc_caller(const struct rpc_call *call);
const struct trace *rpc_trace(const struct rpc_call *call);
/* The subject if the caller is only a CUSTOMER (bind it into every SQL predicate), "" for staff and services, and what
 * owns nothing for a GUEST. */
const char *rpc_owner(const struct rpc_call *call);
int64_t rpc_time_left_us(const struct rpc_call *call); /* INT64_MAX without a deadline */
/* State of a stream between pages, or from gather to unit: zeroed, its size fixed by the first call, put back when a
 * unit is run again. */
void *rpc_scratch(struct rpc_call *call, size_t size);
/* Once, when the call has ended, whichever way; any lane. One of these a call. */
void rpc_at_end(struct rpc_call *call, void (*end)(void *arg), void *arg);
void rpc_gathered(struct rpc_call *call, int result); /* after RPC_LATER: RPC_NOW, RPC_REPLY or negative; any lane */
/* Only if what is waited for has not happened in this unit. */
void rpc_defer(struct rpc_call *call, const char *key);
bool rpc_last_look(const struct rpc_call *call); /* in settled: it is not asked again */
void rpc_made(struct rpc_call *call, const char *resource);
const char *rpc_resource(const struct rpc_call *call); /* in replay and settled: what unit named */

/* --- errors: rolls the unit back and stores nothing ---
 * All return -EPROTO for the handler to return. Reasons are UPPER_SNAKE_CASE; messages are for people and never carry
 * personal data. google.rpc details are made of them (AIP-193, domain "ordermesh"). */
/* Any code but FAILED_PRECONDITION. */
int rpc_fail(struct rpc_call *call, enum rpc_code code, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* INVALID_ARGUMENT with BadRequest naming the field, a path such as lines[3].quantity. */
int rpc_fail_field(struct rpc_call *call, const char *field, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* FAILED_PRECONDITION with PreconditionFailure. The subject is what is not as it would have to be: an id, or the field
 * that says so. */
int rpc_fail_state(struct rpc_call *call, const char *subject, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* NOT_FOUND with ResourceInfo; also for what exists but belongs to somebody else. Reason is TYPE_NOT_FOUND. */
int rpc_fail_missing(struct rpc_call *call, const char *type, const char *name);
/* Adds to the error just made. */
void rpc_error_meta(struct rpc_call *call, const char *key, const char *value);
void rpc_error_resource(struct rpc_call *call, const char *type, const char *name); /* ResourceInfo */
void rpc_error_retry(struct rpc_call *call, int64_t delay_us);                      /* RetryInfo */

/* Takes the error just made off the call again, for a reply that tells of many things which of them are refused. Texts
 * are in the call's arena, "" without a field. 0, -ENOMEM, or -EINVAL: there is none. */
struct rpc_refusal {
    enum rpc_code code;
    const char *reason, *message, *field;
};
int rpc_refused(struct rpc_call *call, struct rpc_refusal *ret_refusal);

/* Of the request's field whose items are judged apart: what the rules say against the item, with the path within it;
 * NULL: nothing. What such an item holds may be anything. */
const struct rpc_refusal *rpc_item_refused(const struct rpc_call *call, size_t index);

/* --- paging (AIP-158): opaque tokens that hold a keyset and are refused when damaged or of another query ---
 * Whoever knows how they are made can make one, so that they give no rights: owner predicates stay in every query. */
/* 0 or rpc_fail_field("page_token", "PAGE_TOKEN_INVALID"). An empty token gives NULLs, any other n texts. */
int rpc_page_open(struct rpc_call *call, const char *token, const char *query, const char **ret_fields, size_t n);
const char *rpc_page_token(struct rpc_call *call, const char *query, const char *const *fields, size_t n);
