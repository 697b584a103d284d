/* An error as it is made, and as the google.rpc.Status details that everybody sees (AIP-193, domain "ordermesh"). */
#pragma once

#include "mesh/rpc/rpc.h"

#define ERROR_TEXT 2048
#define ERROR_META 8

struct rpc_error {
    enum rpc_code code; /* RPC_OK: none */
    const char *reason, *message;
    const char *subject;     /* of PreconditionFailure; with any other code the field of BadRequest; or NULL */
    const char *type, *name; /* ResourceInfo, or NULL */
    int64_t retry_us;        /* RetryInfo, or 0 */
    size_t n_meta, used;
    struct {
        const char *key, *value;
    } meta[ERROR_META];
    char text[ERROR_TEXT]; /* what a handler says, cut so that the details stay under 4 KiB */
};

/* The whole status, in an arena that outlives the call; its details are packed. */
struct rpc_status error_status(struct arena *arena, const struct rpc_error *error);
