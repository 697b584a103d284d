/* What a call and a dispatcher are, for the files that make them up: dispatch.c (in and out), stages.c (from one lane
 * to the next), stream.c, chunks.c, park.c (waiting for the log), idempotency.c, error.c.
 *
 * A call is owned by one lane at a time, and handed on with the task or unit it is in. Only hold is
 * looked at by others; who takes a waiting call out of its hold owns it from then on. */
#pragma once

#include "mesh/base/metrics.h"
#include "mesh/port.h"
#include "mesh/rpc/dispatch.h"
#include "mesh/rpc/error.h"
#include "mesh/store/store.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#define CALLS_MAX     1024u       /* in flight in one dispatcher */
#define POOL_MAX      256         /* idle calls kept, each with its first block */
#define DECODE_BUDGET (16u << 10) /* and 24 times the request */
#define REPLY_BUDGET  (8u << 20)
#define HASH_BYTES    16

/* A row of a service, with what the protos say of it. */
struct method {
    const struct rpc_method *row;
    const struct schema_method *rule;
    const struct schema_message *type;
    const ProtobufCMessageDescriptor *input, *output;
    const ProtobufCFieldDescriptor *request_id, *owner, *operation_id, *min_position; /* NULL: none */
    const struct method *undone; /* what this one undoes, or NULL */
    struct metric *duration;
    struct metric *_Atomic counts[RPC_UNAUTHENTICATED + 1];
};

/* Bits of rpc_call.hold. One word, so that whoever clears WAITING knows that the call is his, and nobody looks at a
 * call that may have ended. */
enum {
    HOLD_WAITING = 1,   /* a message is under way, and the call is nobody's */
    HOLD_WRITTEN = 2,   /* it has arrived before its sender came back */
    HOLD_CANCELLED = 4, /* the client is gone */
};
enum waits { WAITS_LOG, WAITS_KEY, WAITS_CONSUMER };
enum woken { WOKEN_BY_LOG, WOKEN_BY_DEADLINE, WOKEN_BY_CANCEL, WOKEN_BY_DRAIN };

struct rpc_call {
    struct dispatch *dispatch;
    const struct method *method; /* NULL: unknown */
    const struct rpc_transport *transport;
    void *transport_data;
    struct caller caller;
    struct trace trace;
    uint8_t parent_span[8]; /* all zero: none */
    int64_t begun_us, deadline_us;
    struct arena arena;
    struct arena_mark empty; /* of a pooled call */
    struct arena_mark mark;  /* what a page, or a settled unit, starts from */
    ProtobufCMessage *in, *out;
    struct spoiled {
        struct spoiled *next;
        size_t index;
        struct rpc_refusal refusal;
    } * spoiled;        /* items that are judged apart, the last one first */
    struct bytes reply; /* packed */
    struct rpc_error error;

    /* What the handler says beside its reply; forgotten before each run. */
    const char *resource, *defer_key; /* NULL: none */
    void (*at_end)(void *arg);
    void *at_end_arg;
    uint8_t *scratch; /* twice its size: as it is, and as it was before this run */
    size_t scratch_size;
    int step; /* what a page or a settled unit said: RPC_MORE … */
    bool empty_page;
    bool last_look; /* what the settled unit says now goes out, whatever it is */

    /* idempotency.c */
    EVP_MD_CTX *digest;
    char principal[CALLER_SUBJECT_MAX + 2];
    uint8_t hash[HASH_BYTES]; /* of the request */
    uint64_t id_hash;
    int result; /* of the attempt; PENDING: not known yet */
    bool fresh; /* its row is still to be written */

    /* behind.c */
    uint64_t moves;   /* of consumers, before the unit was submitted */
    uint64_t reached; /* of the log that min_position is of */
    bool foreign;     /* no such log is known here */

    struct unit unit;
    struct task task;
    atomic_int meeting; /* gather's return and rpc_gathered: the second one goes on */
    int gathered;
    atomic_int hold;

    /* park.c, under the dispatcher's lock */
    struct rpc_call *next, **link; /* link NULL: not parked */
    enum waits waits;              /* for any event, one of its key, or a consumer that moves */
    uint64_t key_hash;
    int64_t until_us; /* INT64_MAX: for ever */
    enum woken woken;
};

#define PARK_BUCKETS 256u /* a power of two */

struct dispatch {
    struct port *port;
    struct store *store;
    struct service *service;
    void *app;
    const struct rpc_service *const *services;
    struct method *methods;
    size_t n_methods, n_slots;
    struct method **slots; /* by full name; n_slots is a power of two */
    EVP_MD *sha256;
    atomic_size_t active; /* calls not released, and units and tasks of its own that are under way */

    pthread_mutex_t lock;
    struct rpc_call *pool;
    size_t n_pool;

    /* park.c */
    struct rpc_call *tails, *keyed[PARK_BUCKETS], *behind;
    atomic_size_t n_parked;
    size_t n_keyed;
    _Atomic uint64_t log_seq, moves; /* moves: times that a consumer has gone on */
    uint64_t swept_seq;              /* calls parked by key have been told of every event up to here */
    uint64_t passed_seq;             /* of those, nobody has looked at the ones up to here, as nobody waited */
    uint64_t told_seq[PARK_BUCKETS]; /* the last event of such a key */
    bool sweeping, arming;
    bool leaving; /* streams do not wait any more */
    struct unit sweep;
    struct arena sweep_arena;
    struct log_entry *swept;
    int64_t n_swept;
    int64_t armed_us; /* what the timer is started for; INT64_MAX: nothing */
    struct timer timer;
    struct task arm;

    /* chunks.c, on the rpc lane */
    struct chunks *streams;
    size_t n_streams;
};

/* dispatch.c */
/* The end, by what a stage or the store returned: 0 (call->reply), -EPROTO (call->error), or any negative errno. */
void call_end(struct rpc_call *call, int result);
/* -EPROTO with the error made, if the client is gone or the deadline has passed. */
int call_over(struct rpc_call *call);

/* stages.c */
void call_start(struct rpc_call *call);
/* As before a stage has ever run: reply, error, and what is said beside them. */
void call_reset(struct rpc_call *call);
int call_pack(struct rpc_call *call); /* out into reply; 0 or -ENOMEM */
/* Before a unit is submitted: its runs start from the scratch as it is now. */
void call_keep_scratch(struct rpc_call *call);
/* What was waited for has come, call->woken says what. */
void call_woken(struct rpc_call *call);
/* Its unit, once more. */
void call_submit(struct rpc_call *call);
/* How long a reply may be put off. */
int64_t call_wait_until(const struct rpc_call *call);

/* behind.c */
#define BEHIND (-ENODATA)
/* In the unit, before anything else: 0; BEHIND: the request's min_position is not reached here; or a negative errno. */
int behind_check(struct txn *txn, struct rpc_call *call);
/* The unit was BEHIND: runs it again when a consumer has gone on, or ends the call. */
void behind_wait(struct rpc_call *call);
void behind_woken(struct rpc_call *call);

/* stream.c */
void stream_page(struct rpc_call *call);
void stream_woken(struct rpc_call *call);

/* idempotency.c */
#define PENDING 1
/* At the beginning: principal and hash. 0, or -EPROTO: the id is too old. */
int request_begin(struct rpc_call *call, struct bytes request);
/* Runs a mutating method for calls of it, looking up and keeping their request rows around it. Sets each call's result;
 * -EALREADY: another one of these has the same id, and it must be run again behind it. Negative: nothing happened. */
int requests_run(struct txn *txn, struct rpc_call **calls, size_t n);

/* park.c */
void park_init(struct dispatch *d);
void park_destroy(struct dispatch *d);
/* Hands the call over until what it waits for has come - the log grows beyond its unit's log_seq, by any event or by
 * one of defer_key; a consumer has gone on since its unit was submitted - or until_us comes, it is cancelled, or, for
 * a stream, the process drains: then call_woken. False: one of it is already so, and call->woken says which; the call
 * is still the caller's. */
bool park(struct rpc_call *call, enum waits waits, int64_t until_us);
/* Takes a parked call out; false: it is not parked. */
bool unpark(struct rpc_call *call);

/* chunks.c */
/* The process drains: no stream of a client's is read from any more. */
void chunks_leave(struct dispatch *d);

/* error.c */
void error_clear(struct rpc_call *call);
/* The google.rpc.Status of call->error, packed, in the arena. */
struct bytes error_pack(struct rpc_call *call);
