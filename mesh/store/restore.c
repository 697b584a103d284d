/* The steps of a restore, each of which can be the last one of the process. */
#include "mesh/store/restore.h"

#include "mesh/base/say.h"
#include "mesh/store/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define MADE       "-new"      /* being made */
#define READY      "-restored" /* to be put in place */

struct store_restore {
    int lock_fd;
    char path[PATH_BYTES], made[PATH_BYTES];
};

static int name(char ret_name[PATH_BYTES], const char *path, const char *ending)
{
    return (size_t)snprintf(ret_name, PATH_BYTES, "%s%s", path, ending) < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int remove_file(const char *path, const char *ending)
{
    char gone[PATH_BYTES];
    int r = name(gone, path, ending);
    if (r == 0 && unlink(gone) < 0 && errno != ENOENT)
        r = -errno;
    return r;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int sync_directory_of(const char *path)
{
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (!slash)
        return sync_path(".", O_RDONLY | O_DIRECTORY);
    snprintf(directory, sizeof(directory), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return sync_path(directory, O_RDONLY | O_DIRECTORY);
}

static int rename_durably(const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : sync_directory_of(to);
}

static int remove_made(const char *path)
{
    static const char *const endings[] = { MADE "-wal", MADE "-shm", MADE "-lock", MADE };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(endings) / sizeof(endings[0]); i++)
        r = remove_file(path, endings[i]);
    return r;
}

static int complete(const char *path, const char *ready)
{
    int r = remove_file(path, "-wal");
    if (r == 0)
        r = remove_file(path, "-shm");
    if (r == 0)
        r = sync_directory_of(path);
    return r < 0 ? r : rename_durably(ready, path);
}

int restore_complete(const char *path)
{
    char ready[PATH_BYTES];
    int r = name(ready, path, READY);
    if (r == 0)
        r = remove_made(path);
    if (r < 0 || access(ready, F_OK) < 0)
        return r;
    r = complete(path, ready);
    say(r < 0 ? SAY_ERROR : SAY_INFO, NULL, r < 0 ? "a restore cannot be completed" : "a restore has been completed",
        SAY_T("path", path), SAY_T("error", strerror(-r)));
    return r;
}

int store_restore_begin(const char *path, struct store_restore **ret_restore)
{
    struct store_restore *restore = calloc(1, sizeof(*restore));
    if (!restore)
        return -ENOMEM;
    int r = name(restore->path, path, "");
    if (r == 0)
        r = name(restore->made, path, MADE);
    restore->lock_fd = r < 0 ? r : store_lock(path);
    r = restore->lock_fd < 0 ? restore->lock_fd : remove_made(path);
    if (r < 0) {
        store_restore_destroy(restore);
        return r;
    }
    *ret_restore = restore;
    return 0;
}

const char *store_restore_path(const struct store_restore *restore)
{
    return restore->made;
}

/* A log beside it would mean that not all is in the file. */
int store_restore_end(struct store_restore *restore)
{
    char log[PATH_BYTES], ready[PATH_BYTES];
    int r = name(log, restore->made, "-wal");
    if (r == 0)
        r = name(ready, restore->path, READY);
    if (r == 0 && access(log, F_OK) == 0)
        r = -EIO;
    if (r == 0)
        r = sync_path(restore->made, O_RDONLY);
    if (r == 0)
        r = rename_durably(restore->made, ready);
    return r < 0 ? r : complete(restore->path, ready);
}

void store_restore_destroy(struct store_restore *restore)
{
    if (!restore)
        return;
    if (restore->lock_fd >= 0) {
        remove_made(restore->path);
        close(restore->lock_fd);
    }
    free(restore);
}
