/* Imports that take effect as a whole or not at all: staged under a name, then activated or discarded. */
#pragma once

#include "omsctl/api_names.h"
#include "omsctl/cli.h"

/* Returns when what is in the catalogue up to the position is known to those who price orders, so that chunks need not
 * say it: the position means nothing any more once svc-inventory is put back from a backup. An exit code. */
int order_stage_await(struct ctl *ctl, Mesh__V1__Position *catalogue);
/* Returns when all of it has begun, showing how far it is; an exit code. It may be activated already. It is refused,
 * and stays as it is, unless it has so many entries. */
int order_stage_activate(struct ctl *ctl, const char *import_id, size_t entries);
/* An exit code. */
int order_stage_discard(struct ctl *ctl, const char *import_id);
