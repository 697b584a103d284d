/* LogService: what every service serves of its log. */
#pragma once

#include "mesh/log/log.h"
#include "mesh/rpc/rpc.h"

extern const struct rpc_service log_service;

/* snapshot.c: the method, over the kinds of the service's spec. */
int log_snapshot(struct rpc_call *call, struct txn *txn, const void *in, void *out);

/* Whether this log can be read on after the position, of a request's field "after": 0; FAILED_PRECONDITION
 * (FOREIGN_INCARNATION); or OUT_OF_RANGE: LOG_TRUNCATED with the metadata "floor", LOG_AHEAD with "head". */
int log_check_after(struct rpc_call *call, const struct log_position *after, const struct log_position *head,
                    uint64_t floor);

/* Messages in the arena, pointing into the entry; NULL once the budget is spent. */
Mesh__V1__LogEntry *log_message(struct arena *arena, const struct log_entry *entry);
Mesh__V1__Position *log_position_at(struct arena *arena, const char *incarnation, uint64_t seq);
