/* A PostgreSQL of Debian's for tests: a new cluster in a temporary directory, on a unix socket only, gone afterwards.
 */
#pragma once

#include <libpq-fe.h>

struct postgresql;

/* 0; -ENOENT: it is not installed; -EIO: it does not start. */
int postgresql_start(struct postgresql **ret_server);
/* The same, and what it has committed is on the disk, as in production. */
int postgresql_start_durable(struct postgresql **ret_server);
/* NULL when it is refused. The caller ends it with PQfinish. */
PGconn *postgresql_connect(struct postgresql *server);
/* Takes NULL. */
void postgresql_stop(struct postgresql *server);
