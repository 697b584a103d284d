/* What the processor keeps: operations by key, and what they have come to; inside the processor only. */
#pragma once

#include "dev/sandbox/asked.h"
#include "dev/sandbox/keys.h"
#include "dev/sandbox/processor.h"

/* The three words that a status can be: compared by their address. */
extern const char SUCCEEDED[], DECLINED[], REQUIRES_ACTION[];

struct operation {
    struct keyed keyed;
    struct processed what;
    const char *first_status, *first_reason; /* what the answer is, for ever */
    int64_t first_us;
    /* Of an authorization. */
    int64_t captured_minor, refunded_minor;
    bool voided;
    struct operation *later;       /* the next of all */
    struct operation *later_acted; /* the next whose customer is waited for */
    char texts[];
};

struct operation *operation_find(const struct processor *p, const char *key);
struct operation *authorization_find(const struct processor *p, const char *key);
/* Voided before it came. */
bool is_tombstone(const struct processor *p, const char *authorization);
/* Writes it down, then does it. 0; -ENOMEM (or more than OUTSIDER_MAX), or what the journal said: not done. */
int operation_do(struct processor *p, const struct processed *what, struct operation **ret_operation);

/* How often the operation was asked for. */
struct attempts operation_asked(struct processor *p, const char *key, int64_t now_us);
