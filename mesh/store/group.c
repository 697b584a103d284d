/* Many units in one commit: one fsync for all, and only then their results.
 *
 * Few units fail, and most of those before they have written anything, so that a group begins without savepoints: they
 * cost a copy of each page that is written to. A unit that fails and has written makes the group be run again, with a
 * savepoint for each. A full or failing disk may take the whole transaction away in the middle of a unit. Then
 * nothing of it has happened, and its units are run again one by one: those that still fail are refused, the others
 * are not. */
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/store/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define NOT_RUN              1
#define SPOILT               2 /* a unit has failed and left something behind */
#define LOST                 3 /* SQLite has rolled back the whole transaction by itself */
#define COMPLAIN_INTERVAL_US 1000000

#define COUNTER(n, h) \
    { \
        .name = (n), .help = (h), .type = METRIC_COUNTER \
    }
static struct metric units_run = COUNTER("mesh_store_units_total", "Units of work run.");
static struct metric units_failed = COUNTER("mesh_store_units_failed_total", "Units that did not commit.");
static struct metric units_slow = COUNTER("mesh_store_slow_units_total", "Units that took longer than 5 ms.");
static struct metric commits = COUNTER("mesh_store_commits_total", "Write transactions committed.");
static struct metric groups_spoilt =
    COUNTER("mesh_store_spoilt_groups_total", "Groups run again, as a unit failed after it had written.");
static struct metric commits_failed = COUNTER("mesh_store_commits_failed_total", "Write transactions lost.");
static struct metric unit_time = { .name = "mesh_store_unit_seconds",
                                   .help = "Time of a unit inside its transaction.",
                                   .type = METRIC_HISTOGRAM };
static struct metric commit_time = { .name = "mesh_store_commit_seconds",
                                     .help = "Time of a commit with its fsync.",
                                     .type = METRIC_HISTOGRAM };

/* Commits by how many units they took. */
static struct {
    size_t least;
    struct metric metric;
} group_sizes[] = {
#define GROUPS(n, l) \
    { \
        n, \
        { \
            .name = "mesh_store_groups_total", .help = "Commits by size.", .labels = l, .type = METRIC_COUNTER \
        } \
    }
    GROUPS(64, "units=\"64+\""),
    GROUPS(8, "units=\"8-63\""),
    GROUPS(2, "units=\"2-7\""),
    GROUPS(0, "units=\"1\""),
};

struct group {
    struct store *store;
    struct inside inside;
    bool savepoints;
    int64_t now_us;
    uint64_t log_seq; /* so far; each unit starts from its predecessor's */
    uint32_t touched;
};

/* One unit, or all of a batch, from a clean slate. */
static int attempt(struct group *g, struct unit **units, size_t n, int *results)
{
    struct txn *txn = &g->inside.txn;
    *txn = (struct txn){ .store = g->store,
                         .arena = units[0]->arena,
                         .now_us = g->now_us,
                         .trace = units[0]->trace,
                         .log_seq = g->log_seq };
    for (size_t i = 0; i < n; i++) {
        arena_rewind(units[i]->arena, units[i]->mark);
        results[i] = 0;
    }

    struct port *port = g->store->port;
    int64_t start_us = port->mono_us(port);
    int r = units[0]->gather ? units[0]->gather(txn, units, n, results) : units[0]->run(txn, units[0]->arg);
    int64_t took_us = port->mono_us(port) - start_us;

    metric_time(&unit_time, took_us);
    if (took_us > STORE_SLOW_US) {
        metric_add(&units_slow, 1);
        say(SAY_WARN, units[0]->trace, "a unit was slow", SAY_N("us", took_us), SAY_N("units", (int64_t)n));
    }
    assert(r <= 0);
    return r == 0 ? txn->failed : r;
}

static bool is_lost(struct connection *c)
{
    return sqlite3_get_autocommit(c->db);
}

/* In a savepoint of its own; the transaction may be lost afterwards. */
static int run_savepoint(struct group *g, struct unit **units, size_t n, int *results)
{
    struct connection *c = g->inside.connection;
    int r = connection_verb(c, SAVEPOINT);
    if (r == 0 && g->store->options.rerun_always) {
        int first = attempt(g, units, n, results);
        r = is_lost(c) ? first : connection_verb(c, ROLLBACK_TO);
    }
    if (r == 0)
        r = attempt(g, units, n, results);
    if (r < 0)
        connection_verb(c, ROLLBACK_TO);
    int released = connection_verb(c, RELEASE);
    return r < 0 ? r : released;
}

/* SPOILT: what it has written can only be undone with all the others have written. */
static int run_bare(struct group *g, struct unit **units, size_t n, int *results)
{
    sqlite3 *db = g->inside.connection->db;
    int64_t before = sqlite3_total_changes64(db);
    int r = attempt(g, units, n, results);
    return r < 0 && sqlite3_total_changes64(db) != before ? SPOILT : r;
}

/* Negative: all of them have failed, and the transaction may be lost. */
static int run_units(struct group *g, struct unit **units, size_t n, int *results)
{
    int r = (g->savepoints ? run_savepoint : run_bare)(g, units, n, results);
    if (r == 0) {
        g->log_seq = g->inside.txn.log_seq;
        g->touched |= g->inside.txn.touched;
    }
    for (size_t i = 0; i < n; i++) {
        results[i] = r < 0 ? r : results[i];
        units[i]->log_seq = g->log_seq;
    }
    return r;
}

/* Takes the unit at i together with those behind it that want to be run as one. When that fails one of them may be the
 * reason, or only their number: the others shall not suffer from it. */
static int run_batch(struct group *g, struct unit **units, size_t n, int *results, size_t i)
{
    struct store *store = g->store;
    size_t taken = 0;
    for (size_t k = i; k < n; k++)
        if (results[k] == NOT_RUN && units[k]->gather == units[i]->gather && units[k]->group == units[i]->group)
            store->batch[taken++] = units[k];
    int r = run_units(g, store->batch, taken, store->batch_results);
    bool singly = r < 0 && taken > 1;
    for (size_t k = 0; singly && r != SPOILT && k < taken && !is_lost(&store->writer); k++)
        r = run_units(g, &store->batch[k], 1, &store->batch_results[k]);
    for (size_t k = i, at = 0; at < taken; k++)
        if (units[k] == store->batch[at])
            results[k] = store->batch_results[at++];
    return r;
}

static void refuse_all(int *results, size_t n, int r)
{
    for (size_t i = 0; i < n; i++)
        if (results[i] >= 0)
            results[i] = r;
}

static void complain(struct store *store, int r)
{
    metric_add(&commits_failed, 1);
    int64_t now_us = store->port->mono_us(store->port);
    if (store->complained_us && now_us - store->complained_us < COMPLAIN_INTERVAL_US)
        return;
    store->complained_us = now_us;
    say(SAY_ERROR, NULL, "nothing can be stored", SAY_T("path", store->options.path), SAY_T("error", strerror(-r)),
        SAY_T("detail", sqlite3_errmsg(store->writer.db)));
}

static int commit(struct store *store)
{
    struct port *port = store->port;
    int64_t start_us = port->mono_us(port);
    int r = connection_verb(&store->writer, COMMIT);
    metric_time(&commit_time, port->mono_us(port) - start_us);
    return r;
}

static int run_group(struct group *g, struct unit **units, size_t n, int *results)
{
    struct connection *c = g->inside.connection;
    for (size_t i = 0; i < n; i++) {
        if (results[i] != NOT_RUN)
            continue;
        int r = units[i]->gather ? run_batch(g, units, n, results, i) : run_units(g, &units[i], 1, &results[i]);
        if (is_lost(c))
            return LOST;
        if (r == SPOILT)
            return SPOILT;
    }
    return 0;
}

/* One transaction over all of them. 0: every unit has its result; LOST: nothing has happened, and they must be run
 * again singly; SPOILT: the same, with savepoints, which a single unit may be, too. */
static int commit_units(struct store *store, struct unit **units, size_t n, int *results, bool savepoints)
{
    struct group g = { .store = store,
                       .inside.connection = &store->writer,
                       .savepoints = savepoints,
                       .now_us = store->port->wall_us(store->port),
                       .log_seq = atomic_load(&store->log_seq) };
    for (size_t i = 0; i < n; i++)
        results[i] = NOT_RUN;
    int r = connection_verb(&store->writer, BEGIN_WRITE);
    if (r == 0)
        r = run_group(&g, units, n, results);
    if (r == SPOILT || (r == LOST && n > 1)) {
        connection_abandon(&store->writer);
        return r;
    }
    if (r == LOST)
        r = results[0] < 0 ? results[0] : -EIO;
    if (r == 0)
        r = commit(store);
    if (r < 0) {
        complain(store, r);
        connection_abandon(&store->writer);
        refuse_all(results, n, r);
        return 0;
    }

    atomic_store(&store->log_seq, g.log_seq);
    metric_add(&commits, 1);
    if (store->hook)
        store->hook(store->hook_arg, &(struct commit){ g.touched, g.log_seq, g.now_us });
    return 0;
}

static void tell(struct unit *unit, int result)
{
    metric_add(&units_run, 1);
    if (result < 0)
        metric_add(&units_failed, 1);
    if (unit->done)
        unit->done(unit, result);
}

static void count_group(size_t n)
{
    size_t i = 0;
    while (n < group_sizes[i].least)
        i++;
    metric_add(&group_sizes[i].metric, 1);
}

void group_write(struct store *store, size_t n)
{
    struct unit **units = store->group;
    int *results = store->results;
    int r = commit_units(store, units, n, results, store->options.rerun_always);
    if (r == SPOILT) {
        metric_add(&groups_spoilt, 1);
        r = commit_units(store, units, n, results, true);
    }
    for (size_t i = 0; r == LOST && i < n; i++)
        commit_units(store, &units[i], 1, &results[i], true);
    count_group(n);
    for (size_t i = 0; i < n; i++)
        tell(store->group[i], store->results[i]);
}

/* The head is read before the snapshot is taken, so that it never tells of more than the snapshot holds. */
void group_read(struct store *store, struct unit *const *units, size_t n)
{
    int results[STORE_MAX_READS];
    struct group g = { .store = store,
                       .inside.connection = &store->reader,
                       .now_us = store->port->wall_us(store->port),
                       .log_seq = atomic_load(&store->log_seq) };

    int begun = connection_verb(&store->reader, BEGIN_READ);
    for (size_t i = 0; i < n; i++) {
        struct unit *unit = units[i];
        assert(!unit->gather);
        int r = begun;
        if (r == 0 && store->options.rerun_always)
            attempt(&g, &unit, 1, &results[i]);
        if (r == 0)
            r = attempt(&g, &unit, 1, &results[i]);
        results[i] = r;
        unit->log_seq = g.log_seq;
    }
    connection_abandon(&store->reader);
    for (size_t i = 0; i < n; i++)
        tell(units[i], results[i]);
}
