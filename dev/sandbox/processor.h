/* A card processor: authorizes, captures, refunds and voids, each operation once under its idempotency key.
 *
 * POST /v1/authorizations, /v1/captures, /v1/refunds, /v1/voids; GET /v1/operations/<key>. A repeated key with the same
 * request has the answer of the first; with another request it is a 409. What is wrong with a request is a 400 and
 * leaves no trace. The token says how it goes: see the table in processor.c. One thread. */
#pragma once

#include "dev/sandbox/outsider.h"

struct processor;

/* An operation as it stands now; also a line of the book. */
struct processed {
    const char *key;
    const char *kind;          /* "authorize", "capture", "refund", "void" */
    const char *authorization; /* the key of the authorize; its own, if it is one */
    int64_t amount_minor;      /* 0 of a void */
    const char *currency;      /* "" of a void */
    const char *status;        /* "succeeded", "declined", "requires_action" */
    const char *reason;        /* "" if it is not declined */
    const char *token;         /* "" of what is no authorize */
    const char *reference;     /* that of the authorize; "" if that has not come */
    int64_t time_us;
};

/* 0 or -ENOMEM. */
int processor_create(const struct journal *journal, struct processor **ret_processor);
void processor_destroy(struct processor *p); /* takes NULL */

/* Never fails: what goes wrong is an answer. path may have a query. */
void processor_answer(struct processor *p, int64_t now_us, const char *verb, const char *path,
                      const char *idempotency_key, struct bytes body, struct answer *ret);
/* Customers act who have been asked to; every answer begins with it. */
void processor_advance(struct processor *p, int64_t now_us);
/* When the next customer acts; INT64_MAX if none will. */
int64_t processor_next_us(const struct processor *p);

/* A line of the book, after processor_create and before the first answer. 0, -EBADMSG or -ENOMEM. */
int processor_replay(void *processor, struct bytes line);
/* Every operation, in the order in which they came. */
void processor_each(const struct processor *p, void (*each)(void *arg, const struct processed *operation), void *arg);
/* What has been taken and given back on an authorization; 0 if there is none. */
int64_t processor_captured(const struct processor *p, const char *authorization);
int64_t processor_refunded(const struct processor *p, const char *authorization);
