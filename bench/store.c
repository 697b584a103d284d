/* What a unit of work costs: 'place order' of eight inserts, through the store with commits shared and not, beside
 * SQLite driven by one bare loop: bench/store [--seconds N]. */
#include "mesh/store/store.h"
#include "bench/machine.h"
#include "mesh/base/id.h"
#include "mesh/base/say.h"
#include "tests/mesh/threads_port.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define LINES          5
#define COMMAND_BYTES  400
#define MAX_SUBMITTERS 512
#define ROUNDS         2 /* of every contender in turn, so that a noisy neighbour meets them all */

static atomic_bool interrupted;

struct result {
    double txns, wall_s, cpu_s;
};

static const struct migration migrations[] = {
    { 1, "orders",
      "CREATE TABLE request (id {text} PRIMARY KEY, hash {int} NOT NULL, made_us {int} NOT NULL) {clustered};\n"
      "CREATE TABLE orders (id {text} PRIMARY KEY, customer {text} NOT NULL, total {int} NOT NULL,\n"
      "  state {int} NOT NULL, made_us {int} NOT NULL) {clustered};\n"
      "CREATE TABLE order_line (order_id {text} NOT NULL, line {int} NOT NULL, sku {text} NOT NULL,\n"
      "  quantity {int} NOT NULL, price {int} NOT NULL, PRIMARY KEY (order_id, line)) {clustered};\n"
      "CREATE TABLE command (id {text} PRIMARY KEY, destination {text} NOT NULL, body {blob} NOT NULL) "
      "{clustered};\n" },
    { 0 },
};

/* --- one order, the same for both --- */

struct order {
    char request[ID_MAX], id[ID_MAX], command[ID_MAX];
    uint8_t body[COMMAND_BYTES];
};
static const char *const skus[LINES] = { "mug-blue", "mug-red", "lamp-desk", "bag-jute", "card-blank" };

static void make_order(struct port *port, struct order *order)
{
    id_make(port, "req", order->request);
    id_make(port, "ord", order->id);
    id_make(port, "cmd", order->command);
}

static int place_order(struct txn *txn, void *arg)
{
    const struct order *o = arg;
    struct value lines[LINES * 5];
    for (int i = 0; i < LINES; i++)
        memcpy(&lines[i * 5], (struct value[]){ T(o->id), I(i), T(skus[i]), I(i + 1), I(995) }, 5 * sizeof(*lines));

    int r = txn_post(txn, "INSERT INTO request (id, hash, made_us) VALUES ($1, $2, $3)", T(o->request), I(4711),
                     I(txn->now_us));
    if (r == 0)
        r = txn_post(txn, "INSERT INTO orders (id, customer, total, state, made_us) VALUES ($1, $2, $3, $4, $5)",
                     T(o->id), T("cus_17"), I(14925), I(1), I(txn->now_us));
    if (r == 0)
        r = txn_post_many(txn,
                          "INSERT INTO order_line (order_id, line, sku, quantity, price) VALUES ($1, $2, $3, $4, $5)",
                          LINES, 5, lines);
    if (r == 0)
        r = txn_post(txn, "INSERT INTO command (id, destination, body) VALUES ($1, $2, $3)", T(o->command),
                     T("svc-inventory"), B(((struct bytes){ .data = o->body, .len = COMMAND_BYTES })));
    return r;
}

/* --- through the store --- */

struct bench;

struct submitter {
    struct unit unit;
    struct bench *bench;
    struct arena arena;
    struct order order;
    struct submitter *next;
};

/* Who has an answer is handed from the writer to the rpc lane in one wake a commit, as calls are. */
struct bench {
    struct port *port;
    struct store *store;
    pthread_mutex_t lock;
    struct submitter *answered;
    struct task task;
    bool posted;
    atomic_bool ending;
    atomic_long placed;
    struct submitter *submitters;
};

static void submit(struct submitter *s)
{
    arena_finish(&s->arena);
    arena_init(&s->arena, 64 << 10);
    make_order(s->bench->port, &s->order);
    store_write(s->bench->store, &s->unit);
}

static void submit_answered(struct task *task)
{
    struct bench *b = (struct bench *)((char *)task - offsetof(struct bench, task));
    pthread_mutex_lock(&b->lock);
    struct submitter *s = b->answered;
    b->answered = NULL;
    b->posted = false;
    pthread_mutex_unlock(&b->lock);
    while (s && !atomic_load(&b->ending)) {
        struct submitter *next = s->next;
        submit(s);
        s = next;
    }
}

static void placed(struct unit *unit, int result)
{
    struct submitter *s = (struct submitter *)unit;
    struct bench *b = s->bench;
    if (result < 0) {
        fprintf(stderr, "an order was refused: %s\n", strerror(-result));
        exit(1);
    }
    atomic_fetch_add_explicit(&b->placed, 1, memory_order_relaxed);
    pthread_mutex_lock(&b->lock);
    s->next = b->answered;
    b->answered = s;
    bool post = !b->posted;
    b->posted = true;
    pthread_mutex_unlock(&b->lock);
    if (post)
        b->port->post(b->port, LANE_RPC, &b->task);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void wait_s(double seconds)
{
    double end = machine_now_s(CLOCK_MONOTONIC) + seconds;
    while (machine_now_s(CLOCK_MONOTONIC) < end && !atomic_load(&interrupted))
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench/store: %s failed\n", what);
    exit(1);
}

static void remove_database(const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-lock", "-journal" };
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char name[512];
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static void run_store(const char *path, double seconds, size_t n_submitters, size_t max_group, struct result *result)
{
    struct bench b = { .port = threads_port_create(), .task.run = submit_answered };
    pthread_mutex_init(&b.lock, NULL);
    must(store_open(b.port, &(struct store_options){ .path = path, .max_group = max_group }, &b.store) == 0,
         "store_open");
    must(store_migrate(b.store, "bench", migrations) == 0, "store_migrate");
    b.submitters = calloc(n_submitters, sizeof(*b.submitters));
    must(b.submitters != NULL, "calloc");

    double cpu = cpu_s(), wall = machine_now_s(CLOCK_MONOTONIC);
    for (size_t i = 0; i < n_submitters; i++) {
        struct submitter *s = &b.submitters[i];
        s->bench = &b;
        s->unit = (struct unit){ .run = place_order, .arg = &s->order, .arena = &s->arena, .done = placed };
        submit(s);
    }
    wait_s(seconds);
    result->txns += (double)atomic_load(&b.placed);
    result->wall_s += machine_now_s(CLOCK_MONOTONIC) - wall;
    result->cpu_s += cpu_s() - cpu;

    atomic_store(&b.ending, true);
    threads_port_settle(b.port);
    store_close(b.store);
    threads_port_destroy(b.port);
    for (size_t i = 0; i < n_submitters; i++)
        arena_finish(&b.submitters[i].arena);
    free(b.submitters);
    pthread_mutex_destroy(&b.lock);
    remove_database(path);
}

/* --- the peer: SQLite, its statements, one loop, so many orders a commit --- */

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) == SQLITE_OK, sql);
    return s;
}

static void step(sqlite3_stmt *s)
{
    int code = sqlite3_step(s);
    must(code == SQLITE_DONE, "sqlite3_step");
    sqlite3_reset(s);
}

static void text(sqlite3_stmt *s, int at, const char *value)
{
    sqlite3_bind_text(s, at, value, -1, SQLITE_STATIC);
}

enum { REQUEST, ORDER, LINE, COMMAND, BEGIN, COMMIT, N_STATEMENTS };

static void place_bare(sqlite3_stmt **s, const struct order *o, int64_t now_us)
{
    text(s[REQUEST], 1, o->request);
    sqlite3_bind_int64(s[REQUEST], 2, 4711);
    sqlite3_bind_int64(s[REQUEST], 3, now_us);
    step(s[REQUEST]);
    text(s[ORDER], 1, o->id);
    text(s[ORDER], 2, "cus_17");
    sqlite3_bind_int64(s[ORDER], 3, 14925);
    sqlite3_bind_int64(s[ORDER], 4, 1);
    sqlite3_bind_int64(s[ORDER], 5, now_us);
    step(s[ORDER]);
    for (int i = 0; i < LINES; i++) {
        text(s[LINE], 1, o->id);
        sqlite3_bind_int64(s[LINE], 2, i);
        text(s[LINE], 3, skus[i]);
        sqlite3_bind_int64(s[LINE], 4, i + 1);
        sqlite3_bind_int64(s[LINE], 5, 995);
        step(s[LINE]);
    }
    text(s[COMMAND], 1, o->command);
    text(s[COMMAND], 2, "svc-inventory");
    sqlite3_bind_blob(s[COMMAND], 3, o->body, COMMAND_BYTES, SQLITE_STATIC);
    step(s[COMMAND]);
}

static const char bare_schema[] =
    "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -65536;"
    "CREATE TABLE request (id TEXT PRIMARY KEY, hash INTEGER NOT NULL, made_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, total INTEGER NOT NULL,"
    "  state INTEGER NOT NULL, made_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE order_line (order_id TEXT NOT NULL, line INTEGER NOT NULL, sku TEXT NOT NULL,"
    "  quantity INTEGER NOT NULL, price INTEGER NOT NULL, PRIMARY KEY (order_id, line)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE command (id TEXT PRIMARY KEY, destination TEXT NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID;";

static void run_bare(const char *path, double seconds, size_t orders_per_commit, size_t unused, struct result *result)
{
    sqlite3 *db;
    struct port *port = threads_port_create();
    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
             SQLITE_OK,
         "sqlite3_open");
    must(sqlite3_exec(db, bare_schema, NULL, NULL, NULL) == SQLITE_OK, "the schema");
    sqlite3_stmt *s[N_STATEMENTS] = {
        [REQUEST] = prepare(db, "INSERT INTO request VALUES (?, ?, ?)"),
        [ORDER] = prepare(db, "INSERT INTO orders VALUES (?, ?, ?, ?, ?)"),
        [LINE] = prepare(db, "INSERT INTO order_line VALUES (?, ?, ?, ?, ?)"),
        [COMMAND] = prepare(db, "INSERT INTO command VALUES (?, ?, ?)"),
        [BEGIN] = prepare(db, "BEGIN IMMEDIATE"),
        [COMMIT] = prepare(db, "COMMIT"),
    };

    struct order *order = calloc(1, sizeof(*order));
    double cpu = cpu_s(), wall = machine_now_s(CLOCK_MONOTONIC), end = wall + seconds;
    while (machine_now_s(CLOCK_MONOTONIC) < end && !atomic_load(&interrupted)) {
        step(s[BEGIN]);
        for (size_t i = 0; i < orders_per_commit; i++) {
            make_order(port, order);
            place_bare(s, order, 1);
        }
        step(s[COMMIT]);
        result->txns += (double)orders_per_commit;
    }
    result->wall_s += machine_now_s(CLOCK_MONOTONIC) - wall;
    result->cpu_s += cpu_s() - cpu;

    free(order);
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s[i]);
    sqlite3_close(db);
    threads_port_destroy(port);
    remove_database(path);
}

/* --- contenders --- */

static const struct contender {
    const char *name;
    void (*run)(const char *, double, size_t, size_t, struct result *);
    size_t a, b;
} contenders[] = {
    { "store, 64 submitters, commits shared", run_store, 64, 0 },
    { "store, 512 submitters, commits shared", run_store, 512, 0 },
    { "store, 64 submitters, a commit each", run_store, 64, 1 },
    { "bare SQLite loop, 64 orders a commit", run_bare, 64, 0 },
    { "bare SQLite loop, 512 orders a commit", run_bare, 512, 0 },
};
#define N_CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

static double per_second(const struct result *r)
{
    return r->txns / r->wall_s;
}

static double cpu_us(const struct result *r)
{
    return r->cpu_s / r->txns * 1e6;
}

static void interrupt(int number)
{
    atomic_store(&interrupted, true);
}

int main(int argc, char **argv)
{
    double seconds = argc == 3 && strcmp(argv[1], "--seconds") == 0 ? atof(argv[2]) : argc == 1 ? 25 : 0;
    if (seconds <= 0) {
        fprintf(stderr, "usage: bench/store [--seconds N]\n");
        return 2;
    }
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    say_init("bench", SAY_ERROR);

    const char *tmp = getenv("TMPDIR");
    char dir[256], path[300];
    snprintf(dir, sizeof(dir), "%s/bench-store-XXXXXX", tmp ? tmp : "/var/tmp");
    must(mkdtemp(dir) != NULL, dir);
    snprintf(path, sizeof(path), "%s/db", dir);
    machine_print(dir);
    double sync_us = machine_sync_us(dir);
    printf("fdatasync of one page: %.0f us (median of 100)\n\n", sync_us);

    struct result results[N_CONTENDERS] = { 0 };
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < N_CONTENDERS && !atomic_load(&interrupted); i++)
            contenders[i].run(path, seconds / ROUNDS / N_CONTENDERS, contenders[i].a, contenders[i].b, &results[i]);
    remove_database(path);
    rmdir(dir);
    if (atomic_load(&interrupted))
        return 130;

    for (size_t i = 0; i < N_CONTENDERS; i++)
        printf("%-40s %8.0f orders/s  %6.1f us of CPU each\n", contenders[i].name, per_second(&results[i]),
               cpu_us(&results[i]));
    printf("\nfigure: fsync %.0f us\n", sync_us);
    printf("figure: store_txns_per_second %.0f 1/s\n", per_second(&results[0]));
    printf("figure: store_txns_per_second_512 %.0f 1/s\n", per_second(&results[1]));
    printf("figure: store_cpu_us_per_txn %.1f us\n", cpu_us(&results[0]));
    printf("figure: store_vs_single_commit %.2f x\n", per_second(&results[0]) / per_second(&results[2]));
    printf("figure: store_cpu_vs_bare_sqlite %.2f x\n", cpu_us(&results[0]) / cpu_us(&results[3]));
    printf("figure: store_rate_vs_bare_sqlite %.2f x\n", per_second(&results[0]) / per_second(&results[3]));
    return 0;
}
