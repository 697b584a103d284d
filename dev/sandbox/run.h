/* What the main programs of both companies share: their book is opened and replayed, then they are served. */
#pragma once

#include "dev/sandbox/server.h"
#include "mesh/base/config.h"

/* Those that both have with the same defaults: book, fsync. */
extern struct option run_options[];

/* The journal of the company; it writes into the book that run opens. */
struct journal run_journal(void);
/* tables has run_options and the options listen and latency. Takes a company whose journal is run_journal. The exit
 * code. */
int run(struct option *const *tables, struct company *company, int (*replay)(void *self, struct bytes line));
