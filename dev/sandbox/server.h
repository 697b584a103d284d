/* HTTP/1.1 for one company, by libmicrohttpd: one thread that reads requests, asks the company, and holds each answer
 * back for as long as it says without holding anybody else up. GET /v1/book is the book, /healthz says that
 * it serves. */
#pragma once

#include "dev/sandbox/book.h"

struct company {
    void *self;
    void (*answer)(void *self, int64_t now_us, const char *verb, const char *path, const char *idempotency_key,
                   struct bytes body, struct answer *ret);
    void (*advance)(void *self, int64_t now_us);
    int64_t (*next_us)(const void *self); /* when there is something to advance; INT64_MAX if never */
    int64_t latency_us;                   /* before any answer */
};

/* Serves until SIGTERM or SIGINT; answers that wait are given then. 0 or a negative errno after one clear line. */
int server_run(const char *listen, const struct company *company, struct book *book);
