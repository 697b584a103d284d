/* Tests of mesh/store/store.c and group.c: many units in one commit, and what becomes of each. */
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "tests/mesh/store_fixture.h"
#include "tests/mesh/threads_port.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void submit(struct fixture *f, struct job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_write(f->store, &jobs[i].unit);
}

static void finish_jobs(struct job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        job_finish(&jobs[i]);
}

/* --- commits --- */

START_TEST(what_queues_together_commits_together)
{
    static const char *const keys[] = { "a", "b", "c", "d", "e" };
    struct fixture f;
    struct job jobs[5];
    fixture_init(&f, NULL);
    for (int i = 0; i < 5; i++)
        job_init(&jobs[i], insert_row, keys[i], i);
    submit(&f, jobs, 4);
    ck_assert_uint_eq(store_queued(f.store), 4);
    ck_assert_uint_eq(f.commits, 0);
    steps_port_run(&f.port);
    ck_assert_uint_eq(f.commits, 1);
    submit(&f, &jobs[4], 1);
    steps_port_run(&f.port);
    ck_assert_uint_eq(f.commits, 2);
    ck_assert_uint_eq(store_queued(f.store), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(jobs[i].result, 0);
        ck_assert_int_eq(jobs[i].dones, 1);
    }
    ck_assert_int_eq(count_rows(&f), 5);
    finish_jobs(jobs, 5);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_group_has_a_limit)
{
    static const char *const keys[] = { "a", "b", "c", "d", "e" };
    struct fixture f;
    struct job jobs[5];
    fixture_init(&f, &(struct store_options){ .max_group = 2 });
    for (int i = 0; i < 5; i++)
        job_init(&jobs[i], insert_row, keys[i], i);
    submit(&f, jobs, 5);
    steps_port_run(&f.port);
    ck_assert_uint_eq(f.commits, 3);
    ck_assert_int_eq(count_rows(&f), 5);
    finish_jobs(jobs, 5);
    fixture_finish(&f);
}
END_TEST

static int insert_and_refuse(struct txn *txn, void *job)
{
    int r = insert_row(txn, job);
    return r < 0 ? r : -EPERM;
}

START_TEST(a_failing_unit_leaves_its_neighbours)
{
    struct fixture f;
    struct job jobs[4];
    fixture_init(&f, NULL);
    job_init(&jobs[0], insert_row, "a", 1);
    job_init(&jobs[1], insert_and_refuse, "b", 2);
    job_init(&jobs[2], insert_row, "a", 3);
    job_init(&jobs[3], insert_row, "b", 4);
    submit(&f, jobs, 4);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[0].result, 0);
    ck_assert_int_eq(jobs[1].result, -EPERM);
    ck_assert_int_eq(jobs[2].result, -EEXIST);
    ck_assert_int_eq(jobs[3].result, 0);
    ck_assert_uint_eq(f.commits, 1);
    ck_assert_int_eq(count_rows(&f), 2);
    finish_jobs(jobs, 4);
    fixture_finish(&f);
}
END_TEST

static int overlook_an_error(struct txn *txn, void *arg)
{
    struct job *job = arg;
    txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T("first"), I(1));
    txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T("first"), I(2));
    job->number = txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T("second"), I(3));
    return 0;
}

START_TEST(a_unit_whose_statement_failed_cannot_commit)
{
    struct fixture f;
    struct job job;
    fixture_init(&f, NULL);
    job_init(&job, overlook_an_error, NULL, 0);
    submit(&f, &job, 1);
    steps_port_run(&f.port);
    ck_assert_int_eq(job.result, -EEXIST);
    ck_assert_int_eq(job.number, -EEXIST);
    ck_assert_int_eq(count_rows(&f), 0);
    job_finish(&job);
    fixture_finish(&f);
}
END_TEST

static struct fixture *watched;
static size_t commits_when_done;
static void note_commits(struct unit *unit, int result)
{
    commits_when_done += watched->commits;
}

START_TEST(results_are_told_after_the_commit)
{
    struct fixture f;
    struct job jobs[2];
    fixture_init(&f, NULL);
    watched = &f;
    job_init(&jobs[0], insert_row, "a", 1);
    job_init(&jobs[1], insert_and_refuse, "b", 1);
    jobs[0].unit.done = jobs[1].unit.done = note_commits;
    submit(&f, jobs, 2);
    steps_port_run(&f.port);
    ck_assert_uint_eq(commits_when_done, 2);
    finish_jobs(jobs, 2);
    fixture_finish(&f);
}
END_TEST

static int append_event(struct txn *txn, void *arg)
{
    struct job *job = arg;
    txn->log_seq += 2;
    txn->touched |= job->number < 0 ? TOUCHED_OUTBOX : TOUCHED_LOG;
    return job->number < 0 ? (int)job->number : 0;
}

START_TEST(the_heads_place_is_rolled_back_with_its_unit)
{
    struct fixture f;
    struct job jobs[3];
    fixture_init(&f, NULL);
    store_set_log_seq(f.store, 40);
    job_init(&jobs[0], append_event, NULL, 0);
    job_init(&jobs[1], append_event, NULL, -EPERM);
    job_init(&jobs[2], append_event, NULL, 0);
    submit(&f, jobs, 3);
    steps_port_run(&f.port);
    ck_assert_uint_eq(jobs[0].unit.log_seq, 42);
    ck_assert_uint_eq(jobs[2].unit.log_seq, 44);
    ck_assert_uint_eq(f.head, 44);
    ck_assert_uint_eq(f.touched, TOUCHED_LOG);
    finish_jobs(jobs, 3);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_full_queue_is_refused)
{
    struct fixture f;
    struct job jobs[4];
    fixture_init(&f, &(struct store_options){ .max_queued = 2 });
    for (int i = 0; i < 3; i++)
        job_init(&jobs[i], insert_row, (const char *[]){ "a", "b", "c" }[i], i);
    submit(&f, jobs, 3);
    ck_assert_int_eq(jobs[2].result, -EAGAIN);
    ck_assert_int_eq(jobs[0].dones, 0);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[0].result, 0);
    ck_assert_int_eq(jobs[1].result, 0);
    ck_assert_int_eq(jobs[2].dones, 1);
    ck_assert_int_eq(count_rows(&f), 2);
    job_init(&jobs[3], insert_row, "d", 1);
    submit(&f, &jobs[3], 1);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[3].result, 0);
    finish_jobs(jobs, 4);
    fixture_finish(&f);
}
END_TEST

START_TEST(what_waits_at_the_close_is_told)
{
    struct fixture f;
    struct job jobs[2];
    fixture_init(&f, NULL);
    job_init(&jobs[0], insert_row, "a", 1);
    job_init(&jobs[1], insert_row, "b", 1);
    submit(&f, &jobs[0], 1);
    store_read(f.store, &jobs[1].unit);
    fixture_finish(&f);
    ck_assert_int_eq(jobs[0].result, -ESHUTDOWN);
    ck_assert_int_eq(jobs[1].result, -ESHUTDOWN);
    ck_assert_int_eq(jobs[0].runs + jobs[1].runs, 0);
    finish_jobs(jobs, 2);
}
END_TEST

/* --- run again --- */

static int insert_what_is_counted(struct txn *txn, void *arg)
{
    struct job *job = arg;
    struct rows rows;
    job->runs++;
    int r = txn_query(txn, &rows, "SELECT COUNT(*), CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM t");
    if (r < 0)
        return r;
    txn->log_seq++;
    ck_assert_ptr_nonnull(arena_alloc(txn->arena, 600 << 10));
    r = txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T(job->key),
                 I(row_int(&rows, 0, 0) * 10 + row_int(&rows, 0, 1)));
    return r < 0 ? r : (int)job->number;
}

static int dump(struct txn *txn, void *ret_text)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT id, n FROM t ORDER BY id");
    char *at = ret_text;
    *at = '\0';
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        at += sprintf(at, "%s=%d ", row_text(&rows, i, 0), (int)row_int(&rows, i, 1));
    return r;
}

static uint64_t run_workload(bool rerun, char *ret_dump, int *ret_runs)
{
    struct fixture f;
    struct job jobs[4];
    fixture_init(&f, &(struct store_options){ .rerun_always = rerun });
    job_init(&jobs[0], insert_what_is_counted, "a", 0);
    job_init(&jobs[1], insert_what_is_counted, "b", -EPERM);
    job_init(&jobs[2], insert_what_is_counted, "c", 0);
    job_init(&jobs[3], insert_what_is_counted, "a", 0);
    submit(&f, jobs, 4);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[0].result, 0);
    ck_assert_int_eq(jobs[1].result, -EPERM);
    ck_assert_int_eq(jobs[2].result, 0);
    ck_assert_int_eq(jobs[3].result, -EEXIST);
    *ret_runs = jobs[0].runs;
    ck_assert_int_eq(do_write(&f, dump, ret_dump), 0);
    uint64_t head = f.head;
    finish_jobs(jobs, 4);
    fixture_finish(&f);
    return head;
}

START_TEST(a_unit_run_twice_leaves_the_same_database)
{
    char once[256], twice[256];
    int runs_once, runs_twice;
    unsetenv("MESH_RERUN");
    uint64_t head_once = run_workload(false, once, &runs_once);
    uint64_t head_twice = run_workload(true, twice, &runs_twice);
    ck_assert_int_eq(runs_once, 2); /* as one of them failed after it had written */
    ck_assert_int_eq(runs_twice, 2);
    ck_assert_str_eq(once, "a=0 c=10 ");
    ck_assert_str_eq(twice, once);
    ck_assert_uint_eq(head_twice, head_once);
}
END_TEST

START_TEST(the_environment_asks_for_a_second_run_too)
{
    char text[256];
    int runs;
    setenv("MESH_RERUN", "always", 1);
    run_workload(false, text, &runs);
    ck_assert_int_eq(runs, 2);
}
END_TEST

static int refuse_at_once(struct txn *txn, void *arg)
{
    struct job *job = arg;
    job->runs++;
    return -EPERM;
}

START_TEST(who_fails_before_writing_makes_nobody_run_again)
{
    struct fixture f;
    struct job jobs[3];
    unsetenv("MESH_RERUN");
    fixture_init(&f, NULL);
    job_init(&jobs[0], insert_what_is_counted, "a", 0);
    job_init(&jobs[1], refuse_at_once, NULL, 0);
    job_init(&jobs[2], insert_what_is_counted, "b", 0);
    submit(&f, jobs, 3);
    steps_port_run(&f.port);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(jobs[i].runs, 1);
        ck_assert_int_eq(jobs[i].result, i == 1 ? -EPERM : 0);
    }
    ck_assert_int_eq(count_rows(&f), 2);
    finish_jobs(jobs, 3);
    fixture_finish(&f);
}
END_TEST

START_TEST(who_fails_after_writing_leaves_nothing_and_takes_nothing_along)
{
    struct fixture f;
    struct job jobs[3];
    unsetenv("MESH_RERUN");
    fixture_init(&f, NULL);
    job_init(&jobs[0], insert_what_is_counted, "a", 0);
    job_init(&jobs[1], insert_and_refuse, "b", 0);
    job_init(&jobs[2], insert_what_is_counted, "c", 0);
    submit(&f, jobs, 3);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[0].result, 0);
    ck_assert_int_eq(jobs[1].result, -EPERM);
    ck_assert_int_eq(jobs[2].result, 0);
    ck_assert_uint_eq(f.commits, 1);
    ck_assert_uint_eq(f.head, 2);
    ck_assert_int_eq(count_rows(&f), 2);
    finish_jobs(jobs, 3);
    fixture_finish(&f);
}
END_TEST

/* --- batches --- */

static const char stock[] = "stock", ledger[] = "ledger";
static char batch_story[256];

static int take_batch(struct txn *txn, struct unit **units, size_t n, int *results)
{
    char *at = batch_story + strlen(batch_story);
    *at++ = '(';
    for (size_t i = 0; i < n; i++) {
        struct job *job = (struct job *)units[i];
        job->runs++;
        *at++ = *job->key;
        results[i] = (int)job->number < 0 ? (int)job->number : 0;
        if (results[i] == 0 && insert_row(txn, job) < 0)
            return -EEXIST;
    }
    strcpy(at, ")");
    txn->log_seq++;
    return 0;
}

static void job_batch(struct job *job, const char *key, int64_t number, const void *group)
{
    job_init(job, NULL, key, number);
    job->unit.gather = take_batch;
    job->unit.group = group;
}

START_TEST(units_of_a_batch_run_as_one_call)
{
    struct fixture f;
    struct job jobs[6];
    unsetenv("MESH_RERUN");
    fixture_init(&f, NULL);
    job_batch(&jobs[0], "a", 1, stock);
    job_init(&jobs[1], insert_row, "b", 1);
    job_batch(&jobs[2], "c", -EPERM, stock);
    job_batch(&jobs[3], "d", 1, ledger);
    job_batch(&jobs[4], "e", 1, stock);
    job_batch(&jobs[5], "f", 1, ledger);
    submit(&f, jobs, 6);
    steps_port_run(&f.port);
    ck_assert_str_eq(batch_story, "(ace)(df)");
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(jobs[i].result, i == 2 ? -EPERM : 0);
    ck_assert_uint_eq(jobs[0].unit.log_seq, 1);
    ck_assert_uint_eq(jobs[4].unit.log_seq, 1);
    ck_assert_uint_eq(jobs[5].unit.log_seq, 2);
    ck_assert_uint_eq(f.commits, 1);
    ck_assert_int_eq(count_rows(&f), 5);
    finish_jobs(jobs, 6);
    fixture_finish(&f);
}
END_TEST

START_TEST(of_a_failing_batch_only_those_fail_that_fail_alone)
{
    struct fixture f;
    struct job jobs[4];
    fixture_init(&f, &(struct store_options){ .rerun_always = true });
    job_init(&jobs[0], insert_row, "b", 1);
    job_batch(&jobs[1], "a", 1, stock);
    job_batch(&jobs[2], "b", 1, stock);
    job_init(&jobs[3], insert_row, "c", 1);
    submit(&f, jobs, 4);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[0].result, 0);
    ck_assert_int_eq(jobs[1].result, 0);
    ck_assert_int_eq(jobs[2].result, -EEXIST);
    ck_assert_int_eq(jobs[3].result, 0);
    ck_assert_uint_eq(jobs[1].unit.log_seq, 1);
    ck_assert_int_eq(count_rows(&f), 3);
    finish_jobs(jobs, 4);
    fixture_finish(&f);
}
END_TEST

/* --- reads --- */

struct two_reads {
    sem_t read_once, written;
    int64_t before, after;
};

static int count_now(struct txn *txn, int64_t *ret_n)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT COUNT(*) FROM t");
    if (r == 0)
        *ret_n = row_int(&rows, 0, 0);
    return r;
}

static struct two_reads reads;

static int read_twice(struct txn *txn, void *arg)
{
    int r = count_now(txn, &reads.before);
    sem_post(&reads.read_once);
    sem_wait(&reads.written);
    return r < 0 ? r : count_now(txn, &reads.after);
}

static void told(struct unit *unit, int result)
{
    ((struct job *)unit)->result = result;
    sem_post(&reads.written);
}

START_TEST(a_long_read_sees_one_state_and_keeps_no_writer_waiting)
{
    struct fixture f;
    struct job reader, writer;
    unsetenv("MESH_RERUN");
    fixture_init(&f, NULL);
    store_close(f.store);
    struct port *port = threads_port_create();
    ck_assert_int_eq(store_open(port, &(struct store_options){ .path = f.path }, &f.store), 0);
    sem_init(&reads.read_once, 0, 0);
    sem_init(&reads.written, 0, 0);
    job_init(&reader, read_twice, NULL, 0);
    job_init(&writer, insert_row, "a", 1);
    writer.unit.done = told;
    store_read(f.store, &reader.unit);
    sem_wait(&reads.read_once);
    store_write(f.store, &writer.unit);
    threads_port_destroy(port);
    ck_assert_int_eq(writer.result, 0);
    ck_assert_int_eq(reader.result, 0);
    ck_assert_int_eq(reads.before, 0);
    ck_assert_int_eq(reads.after, 0);
    job_finish(&reader);
    job_finish(&writer);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_read_cannot_write)
{
    struct fixture f;
    struct job job;
    fixture_init(&f, NULL);
    say_level_set("error");
    job_init(&job, insert_row, "a", 1);
    store_read(f.store, &job.unit);
    steps_port_run(&f.port);
    ck_assert_int_eq(job.result, -EINVAL);
    ck_assert_int_eq(count_rows(&f), 0);
    job_finish(&job);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_read_sees_what_was_told_before)
{
    static const char *const keys[] = { "a", "b", "c" };
    static const char *const seen[] = { "a=0 ", "a=0 b=1 ", "a=0 b=1 c=2 " };
    struct fixture f;
    fixture_init(&f, NULL);
    store_set_log_seq(f.store, 7);
    for (int i = 0; i < 3; i++) {
        struct job write[2], read;
        char text[64];
        job_init(&write[0], append_event, NULL, 0);
        job_init(&write[1], insert_row, keys[i], i);
        submit(&f, write, 2);
        steps_port_run(&f.port);
        job_init(&read, dump, NULL, 0);
        read.unit.arg = text;
        store_read(f.store, &read.unit);
        ck_assert_uint_eq(store_queued(f.store), 1);
        steps_port_run(&f.port);
        ck_assert_int_eq(read.result, 0);
        ck_assert_uint_eq(read.unit.log_seq, 7 + 2 * (i + 1));
        ck_assert_str_eq(text, seen[i]);
        finish_jobs(write, 2);
        job_finish(&read);
    }
    fixture_finish(&f);
}
END_TEST

/* --- many lanes, crashes, other processes --- */

struct submitter {
    struct job job;
    struct store *store;
    char key[32];
    int id, round;
    atomic_int *ended;
};

static int insert_round(struct txn *txn, void *arg)
{
    struct submitter *s = arg;
    return txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T(s->key), I(s->round));
}

static void next_round(struct unit *unit, int result)
{
    struct submitter *s = (struct submitter *)unit;
    ck_assert_int_eq(result, 0);
    if (++s->round == 50) {
        atomic_fetch_add(s->ended, 1);
        return;
    }
    snprintf(s->key, sizeof(s->key), "%02d-%02d", s->id, s->round);
    store_write(s->store, unit);
}

static void start_submitters(struct store *store, struct submitter *s, int n, atomic_int *ended)
{
    for (int i = 0; i < n; i++) {
        job_init(&s[i].job, insert_round, NULL, 0);
        s[i].job.unit.arg = &s[i];
        s[i].job.unit.done = next_round;
        s[i].store = store;
        s[i].ended = ended;
        s[i].id = i;
        snprintf(s[i].key, sizeof(s[i].key), "%02d-%02d", i, 0);
        store_write(store, &s[i].job.unit);
    }
}

START_TEST(submitters_at_once_share_commits)
{
    struct fixture f;
    static struct submitter s[64];
    atomic_int ended = 0;
    fixture_init(&f, NULL);
    store_close(f.store);
    struct port *port = threads_port_create();
    ck_assert_int_eq(store_open(port, &(struct store_options){ .path = f.path }, &f.store), 0);
    start_submitters(f.store, s, 64, &ended);
    threads_port_settle(port);
    ck_assert_int_eq(ended, 64);
    ck_assert_int_eq(count_rows(&f), 64 * 50);
    char *text = metrics_render(&(size_t){ 0 });
    const char *commits = strstr(text, "\nmesh_store_commits_total ");
    ck_assert_ptr_nonnull(commits);
    ck_assert_int_lt(atoi(commits + strlen("\nmesh_store_commits_total ")), 64 * 50 / 8);
    free(text);
    for (int i = 0; i < 64; i++)
        job_finish(&s[i].job);
    fixture_finish(&f);
    threads_port_destroy(port);
}
END_TEST

static int acknowledgements;
static void acknowledge(struct unit *unit, int result)
{
    struct submitter *s = (struct submitter *)unit;
    if (result == 0 && write(acknowledgements, s->key, sizeof(s->key)) < 0)
        _exit(1);
    s->round++;
    snprintf(s->key, sizeof(s->key), "%02d-%06d", s->id, s->round);
    store_write(s->store, unit);
}

static void write_until_killed(const char *path, int round)
{
    static struct submitter s[16];
    struct port *port = threads_port_create();
    struct store *store;
    if (store_open(port, &(struct store_options){ .path = path }, &store) < 0)
        _exit(1);
    for (int i = 0; i < 16; i++) {
        job_init(&s[i].job, insert_round, NULL, 0);
        s[i].job.unit.arg = &s[i];
        s[i].job.unit.done = acknowledge;
        s[i].store = store;
        s[i].id = i;
        s[i].round = round * 100000;
        snprintf(s[i].key, sizeof(s[i].key), "%02d-%06d", i, s[i].round);
        store_write(store, &s[i].job.unit);
    }
    pause();
}

static int has_key(struct txn *txn, void *key)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT n FROM t WHERE id = $1", T(key));
    return r < 0 ? r : rows.n == 1 ? 0 : -ENOENT;
}

/* --- pacing, on the machine's clock: a pace of a minute is never waited for --- */

#define MINUTE_US 60000000

struct paced {
    struct fixture f;
    struct port *port;
    atomic_int commits;
};

static void count_commit(void *arg, const struct commit *commit)
{
    atomic_fetch_add(&((struct paced *)arg)->commits, 1);
}

/* A store that has used up what it may commit out of turn. */
static void begin_paced(struct paced *p)
{
    struct job job;
    fixture_init(&p->f, NULL);
    store_close(p->f.store);
    p->port = threads_port_create();
    atomic_init(&p->commits, 0);
    ck_assert_int_eq(
        store_open(p->port, &(struct store_options){ .path = p->f.path, .pace_us = MINUTE_US }, &p->f.store), 0);
    store_on_commit(p->f.store, count_commit, p);
    for (int i = 1; i <= 16; i++) {
        job_init(&job, insert_row, (char[]){ (char)('A' + i), 0 }, i);
        store_write(p->f.store, &job.unit);
        threads_port_settle(p->port);
        ck_assert_int_eq(job.result, 0);
        ck_assert_int_eq(p->commits, i);
        job_finish(&job);
    }
}

START_TEST(who_commits_seldom_waits_for_nobody)
{
    struct paced p;
    begin_paced(&p);
    threads_port_destroy(p.port);
    fixture_finish(&p.f);
}
END_TEST

START_TEST(under_load_a_commit_waits_for_company)
{
    struct paced p;
    static struct job jobs[64];
    static char keys[64][4];
    begin_paced(&p);
    for (int i = 0; i < 64; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%d", i);
        job_init(&jobs[i], insert_row, keys[i], i);
        store_write(p.f.store, &jobs[i].unit);
    }
    threads_port_settle(p.port);
    ck_assert_int_eq(p.commits, 17);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(jobs[i].result, 0);
    finish_jobs(jobs, 64);
    threads_port_destroy(p.port);
    fixture_finish(&p.f);
}
END_TEST

START_TEST(a_killed_process_loses_nothing_it_acknowledged)
{
    struct fixture f;
    fixture_init(&f, NULL);
    for (int round = 0; round < 4; round++) {
        store_close(f.store);
        int fds[2];
        ck_assert_int_eq(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            acknowledgements = fds[1];
            write_until_killed(f.path, round);
        }
        close(fds[1]);
        static char keys[4000][32];
        size_t n = 0;
        while (n < 3000 && read(fds[0], keys[n], sizeof(keys[0])) == sizeof(keys[0]))
            if (++n == 150u + 700u * (unsigned)round)
                kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        close(fds[0]);
        ck_assert_uint_ge(n, 150u);
        ck_assert_int_eq(fixture_open(&f, NULL), 0);
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(do_write(&f, has_key, keys[i]), 0);
        ck_assert_int_ge(count_rows(&f), (int64_t)n);
    }
    fixture_finish(&f);
}
END_TEST

START_TEST(a_second_process_is_refused)
{
    struct fixture f;
    fixture_init(&f, NULL);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        say_init("test", SAY_ERROR + 1);
        _exit(store_open(&f.port.port, &(struct store_options){ .path = f.path }, &store) == -EBUSY ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    store_close(f.store);
    ck_assert_int_eq(fixture_open(&f, NULL), 0);
    fixture_finish(&f);
}
END_TEST

START_TEST(what_is_no_database_is_refused)
{
    struct fixture f;
    fixture_init(&f, NULL);
    store_close(f.store);
    say_init("test", SAY_ERROR + 1);
    int fd = open(f.path, O_WRONLY | O_TRUNC);
    ck_assert_int_eq(write(fd, "this is a shopping list, not a database at all\n", 47), 47);
    close(fd);
    ck_assert_int_eq(fixture_open(&f, NULL), -EIO);
    f.store = NULL;
    strcpy(f.path + strlen(f.dir), "/none/db");
    ck_assert_int_eq(fixture_open(&f, NULL), -EIO);
    strcpy(f.path + strlen(f.dir), "/db");
    fixture_finish(&f);
}
END_TEST

static int be_slow(struct txn *txn, void *arg)
{
    watched->port.now_us += 6000;
    return 0;
}

START_TEST(a_slow_unit_is_counted)
{
    struct fixture f;
    fixture_init(&f, NULL);
    say_level_set("error");
    watched = &f;
    unsetenv("MESH_RERUN");
    store_close(f.store);
    ck_assert_int_eq(fixture_open(&f, NULL), 0);
    ck_assert_int_eq(do_write(&f, be_slow, NULL), 0);
    char *text = metrics_render(&(size_t){ 0 });
    ck_assert_ptr_nonnull(strstr(text, "\nmesh_store_slow_units_total 1\n"));
    free(text);
    fixture_finish(&f);
}
END_TEST

SUITE("store", 60, what_queues_together_commits_together, a_group_has_a_limit, a_failing_unit_leaves_its_neighbours,
      a_unit_whose_statement_failed_cannot_commit, results_are_told_after_the_commit,
      the_heads_place_is_rolled_back_with_its_unit, a_full_queue_is_refused, what_waits_at_the_close_is_told,
      a_unit_run_twice_leaves_the_same_database, the_environment_asks_for_a_second_run_too,
      who_fails_before_writing_makes_nobody_run_again, who_fails_after_writing_leaves_nothing_and_takes_nothing_along,
      units_of_a_batch_run_as_one_call, of_a_failing_batch_only_those_fail_that_fail_alone,
      a_long_read_sees_one_state_and_keeps_no_writer_waiting, a_read_cannot_write, a_read_sees_what_was_told_before,
      submitters_at_once_share_commits, who_commits_seldom_waits_for_nobody, under_load_a_commit_waits_for_company,
      a_killed_process_loses_nothing_it_acknowledged, a_second_process_is_refused, what_is_no_database_is_refused,
      a_slow_unit_is_counted)
