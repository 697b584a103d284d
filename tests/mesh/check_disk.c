/* Tests of mesh/store on a disk that fails: nothing is half written, nothing acknowledged that is not there, and all is
 * well again when the disk is. */
#include "mesh/base/say.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

/* --- a VFS over the system's, whose files fail on demand --- */

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *system;
    struct methods {
        sqlite3_io_methods ours;
        const sqlite3_io_methods *real;
    } methods[8]; /* databases and logs have different ones */
    int write_error, sync_error;
    int64_t writable; /* bytes until write_error */
    int syncs;
} disk;

static const sqlite3_io_methods *real_of(sqlite3_file *file)
{
    return ((const struct methods *)file->pMethods)->real;
}

static int disk_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    if (disk.write_error && (disk.writable -= n) < 0)
        return disk.write_error;
    return real_of(file)->xWrite(file, data, n, at);
}

static int disk_sync(sqlite3_file *file, int flags)
{
    disk.syncs++;
    return disk.sync_error ? disk.sync_error : real_of(file)->xSync(file, flags);
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    int code = disk.system->xOpen(disk.system, name, file, flags, ret_flags);
    if (code != SQLITE_OK || !file->pMethods)
        return code;
    struct methods *m = disk.methods;
    while (m->real && m->real != file->pMethods)
        m++;
    m->real = file->pMethods;
    m->ours = *m->real;
    m->ours.xWrite = disk_write;
    m->ours.xSync = disk_sync;
    file->pMethods = &m->ours;
    return SQLITE_OK;
}

static const struct store_options on_disk = { .vfs = "disk" };

static void disk_init(struct fixture *f, const struct store_options *options)
{
    disk.system = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.system;
    disk.vfs.zName = "disk";
    disk.vfs.xOpen = disk_open;
    sqlite3_vfs_register(&disk.vfs, 0);
    say_init("test", SAY_ERROR + 1);
    fixture_init(f, options);
}

static void run_jobs(struct fixture *f, struct job *jobs, size_t n, int (*run)(struct txn *, void *), char first)
{
    static char keys[32][8];
    for (size_t i = 0; i < n; i++) {
        keys[i][0] = (char)(first + (char)i);
        job_init(&jobs[i], run, keys[i], 1);
        store_write(f->store, &jobs[i].unit);
    }
    steps_port_run(&f->port);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(jobs[i].dones, 1);
        job_finish(&jobs[i]);
    }
}

START_TEST(one_commit_is_one_fsync)
{
    struct fixture f;
    struct job jobs[8];
    disk_init(&f, &on_disk);
    run_jobs(&f, jobs, 1, insert_row, 'A');
    int before = disk.syncs;
    run_jobs(&f, jobs, 8, insert_row, 'a');
    ck_assert_int_eq(disk.syncs - before, 1);
    run_jobs(&f, jobs, 1, insert_row, 'k');
    ck_assert_int_eq(disk.syncs - before, 2);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_full_disk_is_refused_and_well_again_with_room)
{
    struct fixture f;
    struct job jobs[4];
    disk_init(&f, &on_disk);
    run_jobs(&f, jobs, 2, insert_row, 'a');
    disk.write_error = SQLITE_FULL;
    for (int64_t room = 0; room < 4000; room += 500) {
        disk.writable = room;
        run_jobs(&f, jobs, 4, insert_row, 'k');
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(jobs[i].result, -ENOSPC);
        if (room == 0)
            ck_assert_int_eq(count_rows(&f), 2);
    }
    disk.write_error = 0;
    ck_assert_int_eq(count_rows(&f), 2);
    run_jobs(&f, jobs, 4, insert_row, 'k');
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(jobs[i].result, 0);
    store_close(f.store);
    ck_assert_int_eq(fixture_open(&f, &on_disk), 0);
    ck_assert_int_eq(count_rows(&f), 6);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_failed_fsync_acknowledges_nothing)
{
    struct fixture f;
    struct job jobs[3];
    disk_init(&f, &on_disk);
    store_set_log_seq(f.store, 5);
    f.head = 5;
    disk.sync_error = SQLITE_IOERR_FSYNC;
    size_t commits = f.commits;
    run_jobs(&f, jobs, 3, insert_row, 'a');
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(jobs[i].result, -EIO);
    ck_assert_uint_eq(f.commits, commits);
    disk.sync_error = 0;
    ck_assert_int_eq(count_rows(&f), 0);
    run_jobs(&f, jobs, 3, insert_row, 'a');
    ck_assert_int_eq(jobs[2].result, 0);
    ck_assert_uint_eq(jobs[2].unit.log_seq, 5);
    ck_assert_int_eq(count_rows(&f), 3);
    fixture_finish(&f);
}
END_TEST

/* --- the whole transaction is lost in the middle --- */

static int limit_pages(struct txn *txn, void *pages)
{
    struct rows rows;
    return pages ? txn_query(txn, &rows, "PRAGMA max_page_count = 12")
                 : txn_query(txn, &rows, "PRAGMA max_page_count = 100000");
}

static int insert_large(struct txn *txn, void *arg)
{
    struct job *job = arg;
    struct bytes body = { .data = arena_zalloc(txn->arena, 200000), .len = 200000 };
    txn->log_seq++;
    return txn_post(txn, "INSERT INTO t (id, n, body) VALUES ($1, $2, $3)", T(job->key), I(job->number), B(body));
}

static int insert_event(struct txn *txn, void *arg)
{
    txn->log_seq++;
    return insert_row(txn, arg);
}

static void one_large_among_small(bool rerun)
{
    struct fixture f;
    struct job jobs[4];
    disk_init(&f, &(struct store_options){ .vfs = "disk", .rerun_always = rerun });
    ck_assert_int_eq(do_write(&f, limit_pages, &f), 0);
    job_init(&jobs[0], insert_event, "a", 1);
    job_init(&jobs[1], insert_large, "b", 1);
    job_init(&jobs[2], insert_event, "c", 1);
    job_init(&jobs[3], insert_event, "a", 1);
    for (int i = 0; i < 4; i++)
        store_write(f.store, &jobs[i].unit);
    steps_port_run(&f.port);
    static const int expected[] = { 0, -ENOSPC, 0, -EEXIST };
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(jobs[i].result, expected[i]);
        ck_assert_int_eq(jobs[i].dones, 1);
    }
    ck_assert_uint_eq(jobs[0].unit.log_seq, 1);
    ck_assert_uint_eq(jobs[2].unit.log_seq, 2);
    ck_assert_int_eq(count_rows(&f), 2);
    ck_assert_int_eq(do_write(&f, limit_pages, NULL), 0);
    store_write(f.store, &jobs[1].unit);
    steps_port_run(&f.port);
    ck_assert_int_eq(jobs[1].result, 0);
    ck_assert_uint_eq(jobs[1].unit.log_seq, 3);
    for (int i = 0; i < 4; i++)
        job_finish(&jobs[i]);
    fixture_finish(&f);
}

START_TEST(a_unit_that_does_not_fit_does_not_refuse_its_neighbours)
{
    unsetenv("MESH_RERUN");
    one_large_among_small(false);
}
END_TEST

START_TEST(nor_does_it_when_units_run_twice)
{
    one_large_among_small(true);
}
END_TEST

SUITE("disk", 60, one_commit_is_one_fsync, a_full_disk_is_refused_and_well_again_with_room,
      a_failed_fsync_acknowledges_nothing, a_unit_that_does_not_fit_does_not_refuse_its_neighbours,
      nor_does_it_when_units_run_twice)
