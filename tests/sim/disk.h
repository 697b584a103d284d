/* The disks of simulated machines: an SQLite VFS named "sim" whose files live in memory and whose unsynced writes are
 * lost or torn when the machine stops.
 *
 * A file keeps what its sectors of 512 bytes were before they were first written, until a sync. At a crash each of them
 * is old or new or torn, by the seed. A path is DISK/FILE. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;

/* splitmix64: the next number of a seed's sequence. */
static inline uint64_t chance_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Makes "sim" a VFS, and the one that SQLite takes its randomness from, which starts again from the seed. */
void disk_init(uint64_t seed);
struct disk *disk_create(const char *name, uint64_t seed);
void disk_destroy(struct disk *disk); /* NULL is harmless; no handle may be used afterwards */

/* The machine stops: handles are dead and locks gone, and what was not synced is kept, lost or torn. */
void disk_crash(struct disk *disk);
/* The fate of the disk is decided at that many writes, syncs and truncations from now, in the middle of whatever goes
 * on there; what is written later is lost when disk_crash comes. 0: not any more. */
void disk_doom(struct disk *disk, uint32_t operations);
bool disk_doomed(const struct disk *disk); /* it has been decided */
/* FILE to becomes what FILE from is, durably; if there is none, to goes. Of a machine that is down: a person puts files
 * where they belong. */
void disk_copy(struct disk *disk, const char *from, const char *to);
/* No file can grow. */
void disk_full(struct disk *disk, bool full);
/* What reached the disk so far, for the trace of a run. */
uint64_t disk_operations(const struct disk *disk);
