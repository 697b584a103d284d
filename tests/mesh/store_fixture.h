/* A store in a directory of its own for tests, on a port of steps, and units of work for it. */
#pragma once

#include "mesh/store/store.h"
#include "tests/mesh/steps_port.h"

struct fixture {
    char dir[64], path[80];
    struct steps_port port;
    struct store *store;
    size_t commits; /* counted by the commit hook */
    uint32_t touched;
    uint64_t head;
};

/* A unit that remembers what became of it. */
struct job {
    struct unit unit;
    struct arena arena;
    const char *key;
    int64_t number;
    int runs, dones, result;
};

/* Makes the directory and opens the store with one table: t (id, n CHECK (n >= 0), body). */
void fixture_init(struct fixture *f, const struct store_options *options);
/* Opens or opens again; options' path is ignored, NULL: the defaults. */
int fixture_open(struct fixture *f, const struct store_options *options);
/* Closes the store and removes the directory. */
void fixture_finish(struct fixture *f);

void job_init(struct job *job, int (*run)(struct txn *, void *), const char *key, int64_t number);
void job_finish(struct job *job);
/* Runs the function in a write unit, alone; its result. */
int do_write(struct fixture *f, int (*run)(struct txn *, void *), void *arg);
/* How many rows t has. */
int64_t count_rows(struct fixture *f);
/* run for a job: inserts (key, number). */
int insert_row(struct txn *txn, void *job);
