/* A table of chains. Its hash has a secret, as who owns a few networks must not be able to choose ones that collide. */
#include "gateway/sources.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKET_BITS 12

struct sources {
    uint64_t secret[2];
    struct source *buckets[1 << BUCKET_BITS];
};

struct sources *sources_create(void)
{
    struct sources *sources = calloc(1, sizeof(*sources));
    if (sources && getrandom(sources->secret, sizeof(sources->secret), 0) != sizeof(sources->secret))
        abort();
    return sources;
}

void sources_destroy(struct sources *sources)
{
    free(sources);
}

static void network_of(const struct sockaddr *address, uint64_t ret_network[2])
{
    ret_network[0] = AF_INET;
    ret_network[1] = 0;
    if (address->sa_family == AF_INET) {
        memcpy(&ret_network[1], &((const struct sockaddr_in *)address)->sin_addr, 4);
        return;
    }
    const struct in6_addr *a = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        memcpy(&ret_network[1], &a->s6_addr[12], 4);
        return;
    }
    ret_network[0] = AF_INET6;
    memcpy(&ret_network[1], a, 8);
}

static struct source **bucket_of(struct sources *sources, const uint64_t network[2])
{
    uint64_t mixed = (network[1] ^ sources->secret[0]) * (sources->secret[1] | 1);
    mixed = (mixed ^ mixed >> 32 ^ network[0]) * (sources->secret[0] | 1);
    return &sources->buckets[mixed >> (64 - BUCKET_BITS)];
}

struct source *source_enter(struct sources *sources, const struct sockaddr *address, size_t most)
{
    uint64_t network[2];
    network_of(address, network);
    struct source **bucket = bucket_of(sources, network), *source = *bucket;
    while (source && memcmp(source->network, network, sizeof(network)) != 0)
        source = source->next;
    if (source && source->connections >= most)
        return NULL;
    if (!source) {
        source = calloc(1, sizeof(*source));
        if (!source)
            return NULL;
        memcpy(source->network, network, sizeof(network));
        source->next = *bucket;
        *bucket = source;
    }
    source->connections++;
    source_keep(source);
    return source;
}

void source_leave(struct sources *sources, struct source *source)
{
    source->connections--;
    source_drop(sources, source);
}

void source_keep(struct source *source)
{
    source->refs++;
}

void source_drop(struct sources *sources, struct source *source)
{
    if (--source->refs)
        return;
    struct source **at = bucket_of(sources, source->network);
    while (*at != source)
        at = &(*at)->next;
    *at = source->next;
    free(source);
}
