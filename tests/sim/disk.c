/* Disks in memory: what is durable, what is only seen, and what a crash makes of the difference. */
#include "tests/sim/files.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct disk *disks;

static void *grow(void *data, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return data;
    size_t n = *capacity ? *capacity : 64;
    while (n < wanted)
        n *= 2;
    uint8_t *grown = realloc(data, n * size);
    assert(grown);
    memset(grown + *capacity * size, 0, (n - *capacity) * size);
    *capacity = n;
    return grown;
}

/* Bytes behind the length are always zero. */
static void image_length(struct image *image, size_t len)
{
    if (len < image->len)
        memset(image->data + len, 0, image->len - len);
    image->data = grow(image->data, &image->capacity, len, 1);
    image->len = len;
}

static void image_copy(struct image *to, const struct image *from)
{
    image_length(to, from->len);
    if (from->len)
        memcpy(to->data, from->data, from->len);
    to->exists = from->exists;
}

static void remember(struct file *f, size_t sector)
{
    size_t at = sector * SECTOR, n = at < f->now.len ? f->now.len - at : 0;

    if (f->n_befores == f->befores_capacity) {
        f->befores_capacity = f->befores_capacity ? 2 * f->befores_capacity : 64;
        f->befores = realloc(f->befores, f->befores_capacity * sizeof(*f->befores));
        assert(f->befores);
    }
    struct before *before = &f->befores[f->n_befores++];
    before->sector = sector;
    n = n < SECTOR ? n : SECTOR;
    if (n > 0)
        memcpy(before->data, f->now.data + at, n);
    memset(before->data + n, 0, SECTOR - n);
}

/* Before something changes from there to there. */
static void mark(struct file *f, size_t from, size_t to)
{
    f->touched = true;
    if (to > from)
        f->dirty = grow(f->dirty, &f->dirty_capacity, (to - 1) / SECTOR + 1, 1);
    for (size_t s = from / SECTOR; s * SECTOR < to; s++) {
        if (!f->dirty[s])
            remember(f, s);
        f->dirty[s] = 1;
    }
}

/* What the machine sees is durable. */
static void clean(struct file *f)
{
    for (size_t i = 0; i < f->n_befores; i++)
        f->dirty[f->befores[i].sector] = 0;
    f->n_befores = 0;
    f->touched = false;
    f->durable = f->now.exists;
    f->durable_len = f->now.len;
}

struct file *file_make(const char *name)
{
    struct file *f = calloc(1, sizeof(*f));

    assert(f && strlen(name) < sizeof(f->name));
    snprintf(f->name, sizeof(f->name), "%s", name);
    f->now.exists = true;
    f->touched = true;
    return f;
}

void file_free(struct file *f)
{
    file_forget_shm(f);
    free(f->now.data);
    free(f->fate.data);
    free(f->dirty);
    free(f->befores);
    free(f);
}

void file_write(struct file *f, const void *data, size_t n, size_t at)
{
    if (n == 0)
        return;
    mark(f, at < f->now.len ? at : f->now.len, at + n);
    if (at + n > f->now.len)
        image_length(&f->now, at + n);
    memcpy(f->now.data + at, data, n);
}

void file_truncate(struct file *f, size_t len)
{
    if (len < f->now.len)
        mark(f, len, f->now.len);
    f->touched = true;
    image_length(&f->now, len);
}

void file_delete(struct file *f)
{
    file_truncate(f, 0);
    f->now.exists = false;
}

void file_forget_shm(struct file *f)
{
    for (int i = 0; i < SHM_REGIONS; i++) {
        free(f->shm[i]);
        f->shm[i] = NULL;
    }
}

/* How a disk loses what it has in its cache: nothing, everything, what came after some moment, or here and there. */
enum mood { KEEP_ALL, KEEP_NONE, KEEP_FIRST, KEEP_SOME, MOODS };

/* What of a sector has not reached the disk is in the image as it was before; the first n bytes have. */
static void go_back(struct image *image, const struct before *before, size_t now_len, size_t n)
{
    size_t at = before->sector * SECTOR, reached = at + n < now_len ? at + n : now_len;
    size_t from = reached > at ? reached - at : 0;

    if (at + from < image->len)
        memcpy(image->data + at + from, before->data + from,
               image->len - at < SECTOR ? image->len - at - from : SECTOR - from);
}

/* Makes of the image, which is what the machine sees, what a crash now makes of it. */
static void decide(struct disk *disk, struct file *f, struct image *image)
{
    uint64_t *chance = &disk->chance;
    enum mood mood = (enum mood)(chance_next(chance) % MOODS);
    size_t first = f->n_befores ? chance_next(chance) % (f->n_befores + 1) : 0;
    uint64_t odds = 5 + chance_next(chance) % 90;
    size_t now_len = f->now.len, len = f->durable_len, lens[] = { len, now_len, len };

    if (!f->touched)
        return;
    if (now_len > len)
        lens[2] += chance_next(chance) % (now_len - len);
    image->exists = mood == KEEP_ALL          ? f->now.exists
                    : mood == KEEP_NONE       ? f->durable
                    : chance_next(chance) % 2 ? f->now.exists
                                              : f->durable;
    len = mood == KEEP_ALL ? now_len : mood == KEEP_NONE ? len : lens[chance_next(chance) % 3];
    image_length(image, len > now_len ? len : now_len);
    for (size_t i = 0; i < f->n_befores; i++) {
        uint64_t dice = mood == KEEP_NONE ? 0 : chance_next(chance) % 100;
        bool keep = mood == KEEP_ALL || (mood == KEEP_FIRST ? i < first : mood == KEEP_SOME && dice < odds);
        go_back(image, &f->befores[i], now_len, keep ? SECTOR : dice > 95 ? dice * 4 : 0);
    }
    image_length(image, image->exists ? len : 0);
}

void disk_tick(struct disk *disk)
{
    if (!disk)
        return;
    disk->operations++;
    if (disk->doom == 0 || disk->doomed || --disk->doom > 0)
        return;
    disk->doomed = true;
    for (struct file *f = disk->files; f; f = f->next) {
        f->sealed = f->touched;
        if (f->sealed)
            image_copy(&f->fate, &f->now);
        decide(disk, f, &f->fate);
    }
}

/* Journaling file systems keep the order of what they know about files: a deletion is durable once anything is synced
 * later. Nothing is any more on a disk whose fate is decided. */
void disk_sync(struct disk *disk, struct file *synced)
{
    for (struct file *f = disk && !disk->doomed ? disk->files : NULL; f; f = f->next)
        if (f->touched && (f == synced || !f->now.exists))
            clean(f);
}

/* Of a doomed disk: nothing of what was written since has reached it. */
static void meet_fate(struct file *f)
{
    struct image now = f->now;

    if (f->sealed) {
        f->now = f->fate;
        f->fate = now;
        f->sealed = false;
        return;
    }
    f->now.exists = f->durable;
    if (f->durable_len > now.len)
        image_length(&f->now, f->durable_len);
    for (size_t i = 0; i < f->n_befores; i++)
        go_back(&f->now, &f->befores[i], now.len, 0);
    image_length(&f->now, f->durable_len);
}

void disk_crash(struct disk *disk)
{
    for (struct file *f = disk->files; f; f = f->next) {
        if (!disk->doomed)
            decide(disk, f, &f->now);
        else
            meet_fate(f);
        clean(f);
        file_forget_shm(f);
        f->reserved = f->pending = NULL;
        f->readers = f->shm_users = 0;
        f->shm_exclusive = 0;
        memset(f->shm_shared, 0, sizeof(f->shm_shared));
    }
    disk->doom = 0;
    disk->doomed = false;
    disk->life++;
}

void disk_copy(struct disk *disk, const char *from, const char *to)
{
    static const struct image nothing;
    const struct file *source = disk_file(disk, from, false);
    struct file *target = disk_file(disk, to, true);

    image_copy(&target->now, source ? &source->now : &nothing);
    clean(target);
}

void disk_doom(struct disk *disk, uint32_t operations)
{
    if (!disk->doomed)
        disk->doom = operations;
}

bool disk_doomed(const struct disk *disk)
{
    return disk->doomed;
}

void disk_full(struct disk *disk, bool full)
{
    disk->full = full;
}

uint64_t disk_operations(const struct disk *disk)
{
    return disk->operations;
}

struct disk *disk_of(const char *path)
{
    for (struct disk *d = disks; d; d = d->next) {
        size_t n = strlen(d->name);
        if (strncmp(path, d->name, n) == 0 && path[n] == '/')
            return d;
    }
    return NULL;
}

/* A file whose deletion is not durable yet keeps its old image; whoever makes it anew starts empty. */
struct file *disk_file(struct disk *disk, const char *path, bool make)
{
    struct file *f = disk->files;

    while (f && strcmp(f->name, path) != 0)
        f = f->next;
    if (f && f->now.exists)
        return f;
    if (!make)
        return NULL;
    if (!f) {
        f = file_make(path);
        f->next = disk->files;
        disk->files = f;
    }
    f->now.exists = true;
    f->touched = true;
    return f;
}

struct disk *disk_create(const char *name, uint64_t seed)
{
    struct disk *d = calloc(1, sizeof(*d));

    assert(d && strlen(name) < sizeof(d->name));
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->chance = seed;
    d->next = disks;
    disks = d;
    return d;
}

void disk_destroy(struct disk *disk)
{
    if (!disk)
        return;
    struct disk **at = &disks;
    while (*at != disk)
        at = &(*at)->next;
    *at = disk->next;
    while (disk->files) {
        struct file *f = disk->files;
        disk->files = f->next;
        file_free(f);
    }
    free(disk);
}
