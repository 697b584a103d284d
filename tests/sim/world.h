/* A world on one thread that a seed decides: machines with lanes, clocks, disks and a network between them, and what
 * befalls them.
 *
 * Each step runs one task of one lane, chosen by chance, so that the seed chooses every interleaving and every batch
 * size; when no lane has anything, time jumps to what comes next. Nothing depends on the real clock or on addresses:
 * one seed, one history, told by world_trace.
 *
 * What a crashed machine had in memory is never touched again and stays where it is (a list keeps it reachable, so that
 * LeakSanitizer goes on looking at everything else). */
#pragma once

#include "mesh/port.h"
#include "mesh/rpc/rpc.h"
#include "tests/sim/disk.h"

struct world;
struct node;
struct dispatch;
struct service;
struct service_spec;
struct service_options;

/* Chances in millionths. All zero, as a new world has them: nothing goes wrong, but everything takes its time. */
struct faults {
    /* per call, message or fetch */
    uint32_t request_lost, request_twice, reply_lost, late, stream_broken;
    /* per call that finds nobody: its sender is told so, but something in between keeps it, and it arrives once there
     * is somebody again */
    uint32_t held_up;
    /* per step */
    uint32_t crash, crash_in_write, outage, disk_full, stall, partition, wall_jump;
    /* per operation of the cache */
    uint32_t cache_late, cache_refused;
    /* per step */
    uint32_t cache_flushed, cache_set_back;
    uint32_t cache_saved; /* per write: before it */
    int64_t outage_us;    /* the longest; a crash is down for two seconds */
    int64_t commit_us;    /* the longest that a writer is busy with one transaction: no fault, but the way of disks */
};

struct world *world_create(uint64_t seed);
void world_destroy(struct world *w); /* what tests made in nodes must be gone or crashed */
struct faults *world_faults(struct world *w);
uint64_t world_faults_seen(const struct world *w); /* how often something went wrong on purpose */
uint64_t world_trace(const struct world *w);       /* a hash of everything that has been decided and said so far */
uint64_t world_steps(const struct world *w);
int64_t world_now(const struct world *w);             /* microseconds since the world began */
uint64_t world_roll(struct world *w, uint64_t below); /* the seed's own dice */
bool world_chance(struct world *w, uint32_t millionths);

/* One task, or one jump in time. False: nothing will ever happen again. */
bool world_step(struct world *w);
void world_run(struct world *w, int64_t us);
/* Until it is true, but no longer than at_most_us; the last word of the condition. */
bool world_until(struct world *w, bool (*condition)(void *arg), void *arg, int64_t at_most_us);
/* Faults end, links heal, the cache and whoever is outside answer; who is down gets up when it would have. */
void world_quiet(struct world *w);
/* For so long nothing befalls the machines that does not already; messages still get lost. */
void world_hush(struct world *w, int64_t us);
/* Requests are on their way whose senders have given them up. */
bool world_belated(const struct world *w);

/* --- machines --- */

/* What answers calls to a node: mesh's dispatcher (node_serve, serve.c), or a test's own. All on the rpc lane; leg goes
 * back to the world through node_send and node_finish, which are told the transport's data. */
struct server_ops {
    /* Starts a call; everything given is valid until it returns. Returns the server's own handle. */
    void *(*begin)(struct node *node, void *leg, const struct outcall *call, const struct caller *caller,
                   int64_t deadline_us);
    bool (*streams)(const char *method); /* the server's side is a stream */
    void (*writable)(void *call);
    void (*cancel)(void *call);
    void (*release)(void *call);
};
void node_send(void *leg, struct bytes message);
void node_finish(void *leg, void *call, struct bytes reply, const struct rpc_status *status);

/* A machine that is up and does nothing but what its port is told. Its disk is called as it is: files are NAME/FILE. */
struct node *node_create(struct world *w, const char *name);
struct node *world_node(struct world *w, const char *name); /* NULL: there is none */
struct port *node_port(struct node *node);
struct disk *node_disk(struct node *node);
struct world *node_world(struct node *node);
const char *node_name(const struct node *node);
bool node_up(const struct node *node);
uint64_t node_lives(const struct node *node);                                    /* those that crashes have ended */
void node_answer(struct node *node, const struct server_ops *ops, void *server); /* ops NULL: refuses calls */
void *node_server(const struct node *node);
/* boot runs on a machine that starts anew after a crash, and says whether it came up; if not, it is tried again. */
void node_on_boot(struct node *node, bool (*boot)(struct node *node, void *arg), void *arg);
/* Between two tasks: queued tasks, timers and calls vanish, unsynced writes are lost or torn; the peers notice sooner
 * or later. It boots again after down_us (negative: by chance, within two seconds). */
void node_crash(struct node *node, int64_t down_us);
/* The lanes of the node stand still, the world goes on: a long pause, a stopped process. */
void node_stall(struct node *node, int64_t us);
/* Its disk is full for so long. */
void node_disk_full(struct node *node, int64_t us);
void node_wall_offset(struct node *node, int64_t offset_us);
/* No message between the two arrives until heal. */
void world_partition(struct world *w, struct node *a, struct node *b, int64_t us);

/* --- machines of the mesh (serve.c) --- */

/* Calls to the node go through the dispatcher; NULL: no longer. */
void node_serve(struct node *node, struct dispatch *dispatch);
/* Makes the service on the node and starts it, and again after every crash. options->store_path and vfs are set here.
 * False if it did not come up at the first attempt. spec must outlive the node. */
bool node_host(struct node *node, const struct service_spec *spec, const struct service_options *options);
struct service *node_service(struct node *node); /* NULL while it is down */
/* Stops and destroys it in good order; no boot makes it again. */
void node_retire(struct node *node);

/* --- outside the mesh --- */

struct outside_answer {
    int status;        /* 200 unless changed */
    struct bytes body; /* copied at once */
    int64_t delay_us;  /* how long they take over it */
    bool silent;       /* there is no answer, ever: the fetch waits until its time is over */
    bool dropped;      /* the connection is closed without an answer */
};
/* One request as it came, perhaps for the second time; what they do, they do now. fetch holds copies. */
typedef void world_outside_fn(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret_answer);
/* port->fetch of every machine to that peer goes there from now on; other peers are -ENOSYS. */
void world_outside(struct world *w, const char *name, world_outside_fn *answer, void *arg);
/* Refuses connections until it is up again. */
void world_outside_down(struct world *w, const char *name, bool down);

/* --- Redis --- */

struct cached {
    const char *key, *epoch;
    uint64_t version;
    int64_t value;
};
/* Every key there is, in no order that matters. */
void world_cached(struct world *w, void (*each)(void *arg, const struct cached *cached), void *arg);
void world_cache_flush(struct world *w);
/* It knows again what it knew when it was saved, by chance before one of the writes; if never, nothing. */
void world_cache_set_back(struct world *w);
/* Refuses connections until it is there again. */
void world_cache_absent(struct world *w, bool absent);
