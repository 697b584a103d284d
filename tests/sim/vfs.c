/* The SQLite side of simulated disks: handles, locks and the write-ahead log's shared memory. */
#include "tests/sim/files.h"
#include "tests/sim/memory.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct handle {
    sqlite3_file base;
    struct file *file;
    struct disk *disk; /* NULL: a temporary file that no crash concerns */
    uint32_t life;
    int lock;
    uint16_t shm_shared, shm_exclusive;
    bool shm;
};

static uint64_t vfs_chance;

static bool dead(const struct handle *h)
{
    return h->disk && h->life != h->disk->life;
}

static int handle_close(sqlite3_file *base)
{
    struct handle *h = (struct handle *)base;

    if (dead(h))
        return SQLITE_OK;
    base->pMethods->xUnlock(base, SQLITE_LOCK_NONE);
    if (!h->disk)
        file_free(h->file);
    return SQLITE_OK;
}

static int handle_read(sqlite3_file *base, void *data, int n, sqlite3_int64 at)
{
    struct handle *h = (struct handle *)base;
    const struct image *now = &h->file->now;

    if (dead(h))
        return SQLITE_IOERR_READ;
    size_t there = (size_t)at < now->len ? now->len - (size_t)at : 0;
    if (there >= (size_t)n) {
        memcpy(data, now->data + at, (size_t)n);
        return SQLITE_OK;
    }
    if (there > 0)
        memcpy(data, now->data + at, there);
    memset((char *)data + there, 0, (size_t)n - there);
    return SQLITE_IOERR_SHORT_READ;
}

static int handle_write(sqlite3_file *base, const void *data, int n, sqlite3_int64 at)
{
    struct handle *h = (struct handle *)base;

    if (dead(h))
        return SQLITE_IOERR_WRITE;
    if (h->disk && h->disk->full && (size_t)at + (size_t)n > h->file->now.len)
        return SQLITE_FULL;
    file_write(h->file, data, (size_t)n, (size_t)at);
    disk_tick(h->disk);
    return SQLITE_OK;
}

static int handle_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct handle *h = (struct handle *)base;

    if (dead(h))
        return SQLITE_IOERR_TRUNCATE;
    file_truncate(h->file, (size_t)size);
    disk_tick(h->disk);
    return SQLITE_OK;
}

static int handle_sync(sqlite3_file *base, int flags)
{
    struct handle *h = (struct handle *)base;

    if (dead(h))
        return SQLITE_IOERR_FSYNC;
    disk_tick(h->disk);
    disk_sync(h->disk, h->file);
    return SQLITE_OK;
}

static int handle_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    struct handle *h = (struct handle *)base;

    if (dead(h))
        return SQLITE_IOERR_FSTAT;
    *ret_size = (sqlite3_int64)h->file->now.len;
    return SQLITE_OK;
}

static int handle_lock(sqlite3_file *base, int level)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;

    if (dead(h))
        return SQLITE_IOERR_LOCK;
    if (h->lock >= level)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (f->pending && f->pending != h)
            return SQLITE_BUSY;
        f->readers++;
    } else {
        if ((f->reserved && f->reserved != h) || (f->pending && f->pending != h))
            return SQLITE_BUSY;
        f->reserved = h;
        if (level >= SQLITE_LOCK_PENDING)
            f->pending = h;
        if (level == SQLITE_LOCK_EXCLUSIVE && f->readers > 1) {
            h->lock = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
    }
    h->lock = level;
    return SQLITE_OK;
}

static int handle_unlock(sqlite3_file *base, int level)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;

    if (dead(h) || h->lock <= level)
        return SQLITE_OK;
    if (f->reserved == h)
        f->reserved = NULL;
    if (f->pending == h)
        f->pending = NULL;
    if (level == SQLITE_LOCK_NONE)
        f->readers--;
    h->lock = level;
    return SQLITE_OK;
}

static int handle_check_reserved(sqlite3_file *base, int *ret_reserved)
{
    struct handle *h = (struct handle *)base;

    if (dead(h))
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    *ret_reserved = h->file->reserved != NULL;
    return SQLITE_OK;
}

/* The log is checkpointed when SQLite would by itself, which is after some hundred orders: what a database says about
 * that is kept from it. */
static int handle_control(sqlite3_file *base, int op, void *arg)
{
    char *const *pragma = arg; /* [1] is its name */

    return op == SQLITE_FCNTL_PRAGMA && strcmp(pragma[1], "wal_autocheckpoint") == 0 ? SQLITE_OK : SQLITE_NOTFOUND;
}

static int handle_sector_size(sqlite3_file *base)
{
    return 4096;
}

static int handle_device(sqlite3_file *base)
{
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int handle_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **ret_memory)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;

    if (dead(h) || region >= SHM_REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (!h->shm)
        f->shm_users++;
    h->shm = true;
    if (!f->shm[region] && extend)
        f->shm[region] = calloc(1, (size_t)size);
    *ret_memory = f->shm[region];
    return SQLITE_OK;
}

static int handle_shm_lock(sqlite3_file *base, int first, int n, int flags)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;
    uint16_t mask = (uint16_t)(((1u << n) - 1) << first);
    bool shared = flags & SQLITE_SHM_SHARED;

    if (dead(h))
        return SQLITE_IOERR_SHMLOCK;
    for (int i = first; i < first + n; i++) {
        uint16_t bit = (uint16_t)(1u << i);
        bool others_write = f->shm_exclusive & bit && !(h->shm_exclusive & bit);
        bool others_read = f->shm_shared[i] > (h->shm_shared & bit ? 1 : 0);
        if (flags & SQLITE_SHM_LOCK && (others_write || (!shared && others_read)))
            return SQLITE_BUSY;
    }
    for (int i = first; shared && i < first + n; i++) {
        uint16_t bit = (uint16_t)(1u << i);
        bool has = h->shm_shared & bit, wants = flags & SQLITE_SHM_LOCK;
        f->shm_shared[i] += wants - has;
    }
    uint16_t *mine = shared ? &h->shm_shared : &h->shm_exclusive;
    if (flags & SQLITE_SHM_LOCK)
        *mine |= mask;
    else
        *mine &= (uint16_t)~mask;
    if (!shared)
        f->shm_exclusive = (uint16_t)(flags & SQLITE_SHM_LOCK ? f->shm_exclusive | mask : f->shm_exclusive & ~mask);
    return SQLITE_OK;
}

static void handle_shm_barrier(sqlite3_file *base)
{
}

static int handle_shm_unmap(sqlite3_file *base, int delete)
{
    struct handle *h = (struct handle *)base;

    if (dead(h) || !h->shm)
        return SQLITE_OK;
    handle_shm_lock(base, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
        if (h->shm_exclusive & (1u << i))
            handle_shm_lock(base, i, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    h->shm = false;
    if (--h->file->shm_users == 0 || delete)
        file_forget_shm(h->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods handle_methods = {
    .iVersion = 2,
    .xClose = handle_close,
    .xRead = handle_read,
    .xWrite = handle_write,
    .xTruncate = handle_truncate,
    .xSync = handle_sync,
    .xFileSize = handle_size,
    .xLock = handle_lock,
    .xUnlock = handle_unlock,
    .xCheckReservedLock = handle_check_reserved,
    .xFileControl = handle_control,
    .xSectorSize = handle_sector_size,
    .xDeviceCharacteristics = handle_device,
    .xShmMap = handle_shm_map,
    .xShmLock = handle_shm_lock,
    .xShmBarrier = handle_shm_barrier,
    .xShmUnmap = handle_shm_unmap,
};

static int sim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    struct handle *h = (struct handle *)base;

    *h = (struct handle){ 0 };
    if (!path || flags & SQLITE_OPEN_DELETEONCLOSE) {
        h->file = file_make("");
    } else {
        h->disk = disk_of(path);
        if (!h->disk)
            return SQLITE_CANTOPEN;
        h->life = h->disk->life;
        h->file = disk_file(h->disk, path, flags & SQLITE_OPEN_CREATE);
        if (!h->file)
            return SQLITE_CANTOPEN;
    }
    base->pMethods = &handle_methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int sim_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
    struct disk *disk = disk_of(path);
    struct file *f = disk ? disk_file(disk, path, false) : NULL;

    if (!f)
        return SQLITE_IOERR_DELETE_NOENT;
    file_delete(f);
    disk_tick(disk);
    if (sync_directory)
        disk_sync(disk, NULL);
    return SQLITE_OK;
}

static int sim_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_there)
{
    struct disk *disk = disk_of(path);

    *ret_there = disk && disk_file(disk, path, false);
    return SQLITE_OK;
}

static int sim_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret_path)
{
    sqlite3_snprintf(n, ret_path, "%s", path);
    return SQLITE_OK;
}

static int sim_randomness(sqlite3_vfs *vfs, int n, char *ret_data)
{
    for (int i = 0; i < n; i++)
        ret_data[i] = (char)chance_next(&vfs_chance);
    return n;
}

static int sim_sleep(sqlite3_vfs *vfs, int us)
{
    return us;
}

/* No statement may ask SQLite for the time, so that one moment is as good as another. */
static int sim_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    *ret_ms = 212000000000000;
    return SQLITE_OK;
}

static int sim_time(sqlite3_vfs *vfs, double *ret_days)
{
    *ret_days = 212000000000000 / 86400000.0;
    return SQLITE_OK;
}

static int sim_last_error(sqlite3_vfs *vfs, int n, char *ret_text)
{
    return 0;
}

static sqlite3_vfs sim_vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(struct handle),
    .mxPathname = 256,
    .zName = "sim",
    .xOpen = sim_open,
    .xDelete = sim_delete,
    .xAccess = sim_access,
    .xFullPathname = sim_full_path,
    .xRandomness = sim_randomness,
    .xSleep = sim_sleep,
    .xCurrentTime = sim_time,
    .xGetLastError = sim_last_error,
    .xCurrentTimeInt64 = sim_time_ms,
};

void disk_init(uint64_t seed)
{
    vfs_chance = seed;
    /* Refused, and not needed, when SQLite has been used before. */
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    memory_init();
    sqlite3_vfs_register(&sim_vfs, 1);
    sqlite3_randomness(0, NULL);
}
