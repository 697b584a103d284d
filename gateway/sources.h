/* Where connections come from, and how many from each: an address of IPv4, a /64 of IPv6, which is what one customer of
 * a provider has. Loop lane. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct source {
    struct source *next; /* in its bucket */
    uint64_t network[2]; /* address family, address */
    size_t connections;
};

struct sources;
struct sources *sources_create(void);          /* NULL: no memory */
void sources_destroy(struct sources *sources); /* NULL is harmless */
/* One connection more. NULL: it would be more than most, or there is no memory. */
struct source *source_enter(struct sources *sources, const struct sockaddr *address, size_t most);
void source_leave(struct sources *sources, struct source *source);
