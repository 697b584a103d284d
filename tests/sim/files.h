/* The files of simulated disks: what the machine sees, and what it takes to go back to what is durable; shared by
 * disk.c and vfs.c. */
#pragma once

#include "tests/sim/disk.h"

#define SECTOR      512
#define SHM_REGIONS 64

struct image {
    bool exists;
    uint8_t *data;
    size_t len, capacity;
};

/* A sector as it was before it was first written after the last sync. */
struct before {
    size_t sector;
    uint8_t data[SECTOR];
};

struct file {
    char name[128];
    struct image now;
    bool durable; /* it exists durably, and so long */
    size_t durable_len;
    uint8_t *dirty; /* a flag a sector: written since the last sync */
    size_t dirty_capacity;
    struct before *befores; /* dirty sectors in the order they were first written */
    size_t n_befores, befores_capacity;
    bool touched;      /* length or existence may differ too */
    struct image fate; /* of a doomed disk's file that was touched then: what it will be */
    bool sealed;       /* it has one */

    const void *reserved, *pending; /* the handle that holds the lock */
    int readers;
    uint8_t *shm[SHM_REGIONS];
    int shm_users, shm_shared[16];
    uint16_t shm_exclusive;
    struct file *next;
};

struct disk {
    char name[64];
    uint32_t life; /* handles of an earlier one are dead */
    uint64_t chance, operations;
    uint32_t doom;
    bool doomed, full;
    struct file *files;
    struct disk *next;
};

struct disk *disk_of(const char *path);                                 /* NULL: no such disk */
struct file *disk_file(struct disk *disk, const char *path, bool make); /* NULL: it does not exist */
void disk_tick(struct disk *disk);                                      /* NULL is harmless */
void disk_sync(struct disk *disk, struct file *synced);                 /* NULL: only deletions */
struct file *file_make(const char *name);
void file_free(struct file *f);
void file_write(struct file *f, const void *data, size_t n, size_t at);
void file_truncate(struct file *f, size_t len);
void file_delete(struct file *f);
void file_forget_shm(struct file *f);
