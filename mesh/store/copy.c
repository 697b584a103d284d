/* SQLite's online backup into a file without a name. */
#include "mesh/store/copy.h"

#include "mesh/store/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define STEP_PAGES 64
#define LOG_ROOM   (64ull << 20) /* bytes that the disk must have left for what is written meanwhile */

static const char target_pragmas[] = "PRAGMA journal_mode = OFF;"
                                     "PRAGMA synchronous = OFF;"
                                     "PRAGMA cache_size = -1024;";

struct store_copy {
    struct store *store;
    struct connection source; /* holds the snapshot until the copy is whole */
    sqlite3 *target;
    sqlite3_backup *backup; /* NULL: it is whole */
    uint64_t size;
};

/* The first cell of the first row. */
static int ask(sqlite3 *db, const char *sql, char ret_text[64])
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (text)
        snprintf(ret_text, 64, "%s", text);
    sqlite3_finalize(statement);
    return text ? 0 : code == SQLITE_ROW ? -ENOMEM : error_of_sqlite(db, code);
}

/* The first look at the database is what takes the snapshot. */
static int open_source(struct store_copy *copy)
{
    const struct store_options *options = &copy->store->options;
    char size[64];
    int r = connection_open(&copy->source, options->path, options->vfs, true);
    if (r == 0)
        r = connection_verb(&copy->source, BEGIN_READ);
    if (r == 0)
        r = ask(copy->source.db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", size);
    if (r == 0)
        copy->size = strtoull(size, NULL, 10);
    return r;
}

/* A simulated disk has room. */
static int check_room(const struct store_copy *copy)
{
    struct statvfs disk;
    if (copy->store->options.vfs)
        return 0;
    if (statvfs(copy->store->options.path, &disk) < 0)
        return -EIO;
    return (uint64_t)disk.f_bavail * disk.f_frsize < copy->size + LOG_ROOM ? -ENOSPC : 0;
}

static int name_of(const char *path, char ret_name[PATH_BYTES])
{
    return (size_t)snprintf(ret_name, PATH_BYTES, "%s-copy", path) < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

/* Of a process that was killed in the moment in which it has a name. */
void copy_clear(const char *path)
{
    char name[PATH_BYTES];
    if (name_of(path, name) == 0)
        unlink(name);
}

static int open_target(struct store_copy *copy)
{
    const struct store_options *options = &copy->store->options;
    sqlite3_vfs *vfs = sqlite3_vfs_find(options->vfs);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    char path[PATH_BYTES];
    int r = name_of(options->path, path);
    if (r < 0)
        return r;
    vfs->xDelete(vfs, path, 0);
    r = error_of_sqlite(NULL, sqlite3_open_v2(path, &copy->target, flags, options->vfs));
    if (r == 0)
        r = error_of_sqlite(copy->target, sqlite3_exec(copy->target, target_pragmas, NULL, NULL, NULL));
    vfs->xDelete(vfs, path, 0);
    if (r < 0)
        return r;
    copy->backup = sqlite3_backup_init(copy->target, "main", copy->source.db, "main");
    return copy->backup ? 0 : error_of_sqlite(copy->target, sqlite3_errcode(copy->target));
}

int store_copy_begin(struct store *store, struct store_copy **ret_copy)
{
    if (atomic_exchange(&store->copying, true))
        return -EBUSY;
    struct store_copy *copy = calloc(1, sizeof(*copy));
    if (!copy) {
        atomic_store(&store->copying, false);
        return -ENOMEM;
    }
    copy->store = store;
    int r = open_source(copy);
    if (r == 0)
        r = check_room(copy);
    if (r == 0)
        r = open_target(copy);
    if (r < 0) {
        store_copy_destroy(copy);
        return r;
    }
    *ret_copy = copy;
    return 0;
}

uint64_t store_copy_size(const struct store_copy *copy)
{
    return copy->size;
}

int store_copy_ask(struct store_copy *copy, int (*run)(struct txn *txn, void *arg), void *arg, struct arena *arena)
{
    struct port *port = copy->store->port;
    struct inside inside = {
        .txn = { .store = copy->store, .arena = arena, .now_us = port->wall_us(port) },
        .connection = &copy->source,
    };
    int r = run(&inside.txn, arg);
    return r == 0 ? inside.txn.failed : r;
}

int store_copy_step(struct store_copy *copy)
{
    if (!copy->backup)
        return 0;
    int code = sqlite3_backup_step(copy->backup, STEP_PAGES);
    if (code == SQLITE_OK)
        return 1;
    int r = error_of_sqlite(NULL, code);
    int finished = error_of_sqlite(copy->target, sqlite3_backup_finish(copy->backup));
    copy->backup = NULL;
    connection_abandon(&copy->source);
    connection_close(&copy->source);
    return r < 0 ? r : finished;
}

int store_copy_read(struct store_copy *copy, uint64_t at, void *data, size_t n)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(copy->target, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code == SQLITE_OK)
        code = file->pMethods->xRead(file, data, (int)n, (sqlite3_int64)at);
    return error_of_sqlite(NULL, code);
}

void store_copy_destroy(struct store_copy *copy)
{
    if (!copy)
        return;
    if (copy->backup)
        sqlite3_backup_finish(copy->backup);
    sqlite3_close_v2(copy->target);
    if (copy->source.db)
        connection_abandon(&copy->source);
    connection_close(&copy->source);
    atomic_store(&copy->store->copying, false);
    free(copy);
}

/* A URI of SQLite's, on the heap: what means something in one is written as %HH, and a path that begins with // is none
 * that begins with an authority. Immutable: the file is neither locked nor given a log beside it. */
static char *immutable_uri(const char *path)
{
    static const char query[] = "?immutable=1";
    size_t size = sizeof("file://") + 3 * strlen(path) + sizeof(query);
    char *uri = malloc(size);
    if (!uri)
        return NULL;
    size_t n = (size_t)sprintf(uri, "file:%s", *path == '/' ? "//" : "");
    for (; *path; path++)
        n += (size_t)sprintf(uri + n, strchr("%?#", *path) ? "%%%02X" : "%c", (unsigned char)*path);
    memcpy(uri + n, query, sizeof(query));
    return uri;
}

int store_check(const char *path)
{
    sqlite3 *db = NULL;
    char said[64] = "";
    char *uri = immutable_uri(path);
    if (!uri)
        return -ENOMEM;
    int code = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    if (code == SQLITE_OK)
        ask(db, "PRAGMA quick_check(1)", said);
    sqlite3_close(db);
    free(uri);
    return strcmp(said, "ok") == 0 ? 0 : -EIO;
}
