/* The store that tests open, fill and throw away. */
#include "tests/mesh/store_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct migration migrations[] = {
    { 1, "a table",
      "CREATE TABLE t (\n"
      "  id {text} NOT NULL PRIMARY KEY,\n"
      "  n {int} NOT NULL CHECK (n >= 0),\n"
      "  body {blob}\n"
      ") {clustered};\n" },
    { 0 },
};

static void count_commit(void *arg, const struct commit *commit)
{
    struct fixture *f = arg;
    f->commits++;
    f->touched = commit->touched;
    f->head = commit->log_seq;
}

int fixture_open(struct fixture *f, const struct store_options *options)
{
    struct store_options o = options ? *options : (struct store_options){ 0 };
    o.path = f->path;
    int r = store_open(&f->port.port, &o, &f->store);
    if (r == 0)
        r = store_migrate(f->store, "test", migrations);
    if (r == 0)
        store_on_commit(f->store, count_commit, f);
    return r;
}

void fixture_init(struct fixture *f, const struct store_options *options)
{
    *f = (struct fixture){ .dir = "/tmp/check_store_XXXXXX" };
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
    steps_port_init(&f->port);
    ck_assert_int_eq(fixture_open(f, options), 0);
}

void fixture_finish(struct fixture *f)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-lock" };
    store_close(f->store);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(f->dir), 0);
}

static void remember(struct unit *unit, int result)
{
    struct job *job = (struct job *)unit;
    job->result = result;
    job->dones++;
}

void job_init(struct job *job, int (*run)(struct txn *, void *), const char *key, int64_t number)
{
    *job = (struct job){ .key = key, .number = number, .result = 1 };
    arena_init(&job->arena, 1 << 20);
    job->unit = (struct unit){ .run = run, .arg = job, .arena = &job->arena, .done = remember };
}

void job_finish(struct job *job)
{
    arena_finish(&job->arena);
}

int do_write(struct fixture *f, int (*run)(struct txn *, void *), void *arg)
{
    struct arena arena;
    arena_init(&arena, 16 << 20);
    struct unit unit = { .run = run, .arg = arg, .arena = &arena };
    int r = store_write_now(f->store, &unit);
    arena_finish(&arena);
    return r;
}

static int count_unit(struct txn *txn, void *arg)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT COUNT(*) FROM t");
    if (r == 0)
        *(int64_t *)arg = row_int(&rows, 0, 0);
    return r;
}

int64_t count_rows(struct fixture *f)
{
    int64_t n;
    ck_assert_int_eq(do_write(f, count_unit, &n), 0);
    return n;
}

int insert_row(struct txn *txn, void *arg)
{
    struct job *job = arg;
    job->runs++;
    return txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T(job->key), I(job->number));
}
