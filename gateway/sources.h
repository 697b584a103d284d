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
    size_t calls;    /* under way on these */
    size_t buffered; /* bytes held for calls, also of connections that are gone */
    size_t refs;
};

struct sources;
struct sources *sources_create(void);          /* NULL: no memory */
void sources_destroy(struct sources *sources); /* NULL is harmless */
/* One connection more. NULL: it would be more than most, or there is no memory. */
struct source *source_enter(struct sources *sources, const struct sockaddr *address, size_t most);
void source_leave(struct sources *sources, struct source *source);
/* For calls that outlive their connection. */
void source_keep(struct source *source);
void source_drop(struct sources *sources, struct source *source);
