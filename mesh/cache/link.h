/* The connection to Redis: made, authenticated, kept, and made again with backoff. Loop lane. */
#pragma once

#include <stdbool.h>

struct redisAsyncContext;
struct uv_loop_s;
struct cache_link;

/* 0, -EINVAL (the address), -ENOMEM. It begins to connect by itself. */
int link_create(struct uv_loop_s *loop, const char *address, struct cache_link **ret_link);
/* NULL while there is no usable connection. */
struct redisAsyncContext *link_redis(const struct cache_link *link);
/* Gives the connection up, as Redis does not answer: all its commands end with a NULL reply. Another one follows. */
void link_drop(struct cache_link *link);
/* The same, for good; the loop must run once more. Takes NULL. */
void link_destroy(struct cache_link *link);
