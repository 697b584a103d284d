/* Fetches from their beginning to their end, whatever way they take. */
#include "mesh/outside/inner.h"

#include "mesh/run/timers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct bytes nothing = { (const uint8_t *)"", 0 };

int outside_create(struct uv_loop_s *loop, const char *peers, struct outside **ret_outside)
{
    struct outside *outside = calloc(1, sizeof(*outside));
    if (!outside)
        return -ENOMEM;
    outside->loop = loop;
    int r = outside_parse(outside, peers);
    if (r < 0) {
        outside_destroy(outside);
        return r;
    }
    *ret_outside = outside;
    return 0;
}

bool outside_is_plain(const char *text, size_t max)
{
    size_t n = 0;
    for (; text[n]; n++)
        if ((unsigned char)text[n] <= ' ' || text[n] == 0x7f || n >= max)
            return false;
    return n > 0;
}

static struct peer *find_peer(struct outside *outside, const char *name)
{
    for (size_t i = 0; i < outside->n_peers; i++)
        if (strcmp(outside->peers[i].name, name) == 0)
            return &outside->peers[i];
    return NULL;
}

bool outside_knows(const struct outside *outside, const char *peer)
{
    return find_peer((struct outside *)outside, peer);
}

static void begin(struct errand *errand)
{
    int64_t left_us = errand->deadline_us - timers_now_us();
    errand->begun = true;
    errand->peer->under_way++;
    int r = left_us > 0 ? errand->peer->scheme->begin(errand, left_us) : -ETIMEDOUT;
    if (r < 0)
        errand_end(errand, r, 0, nothing);
}

static void begin_waiting(struct peer *peer)
{
    while (peer->waiting && peer->under_way < peer->scheme->most) {
        struct errand *errand = peer->waiting;
        peer->waiting = errand->next_waiting;
        if (!peer->waiting)
            peer->waiting_end = &peer->waiting;
        begin(errand);
    }
}

static void forget(struct errand *errand)
{
    *errand->back = errand->next;
    if (errand->next)
        errand->next->back = errand->back;
    errand->peer->under_way -= errand->begun;
    free(errand);
}

void errand_end(struct errand *errand, int result, int status, struct bytes body)
{
    struct peer *peer = errand->peer;
    struct fetch *fetch = errand->fetch;
    metric_time(peer->duration, timers_now_us() - errand->begun_us);
    metric_add(peer->failed, result < 0);
    forget(errand);
    fetch->done(fetch, result, status, body);
    if (!peer->outside->stopped)
        begin_waiting(peer);
}

void outside_submit(struct outside *outside, struct fetch *fetch)
{
    struct peer *peer = find_peer(outside, fetch->peer);
    if (!peer)
        return fetch->done(fetch, -ENOSYS, 0, nothing);
    if (outside->stopped)
        return fetch->done(fetch, -ECONNRESET, 0, nothing);
    struct errand *errand = malloc(sizeof(*errand));
    if (!errand)
        return fetch->done(fetch, -EIO, 0, nothing);

    int64_t now_us = timers_now_us();
    *errand = (struct errand){ .peer = peer, .fetch = fetch, .begun_us = now_us };
    errand->deadline_us = now_us + fetch->timeout_us;
    errand->next = outside->errands;
    errand->back = &outside->errands;
    if (errand->next)
        errand->next->back = &errand->next;
    outside->errands = errand;

    *peer->waiting_end = errand;
    peer->waiting_end = &errand->next_waiting;
    begin_waiting(peer);
}

void outside_stop(struct outside *outside)
{
    outside->stopped = true;
    while (outside->errands) {
        struct errand *errand = outside->errands;
        struct fetch *fetch = errand->fetch;
        if (errand->begun)
            errand->peer->scheme->abandon(errand);
        forget(errand);
        fetch->done(fetch, -ECONNRESET, 0, nothing);
    }
    for (size_t i = 0; i < outside->n_peers; i++)
        outside->peers[i].waiting = NULL;
}

void outside_destroy(struct outside *outside)
{
    if (!outside)
        return;
    outside_stop(outside);
    for (size_t i = 0; i < outside->n_peers; i++) {
        if (outside->peers[i].scheme->close)
            outside->peers[i].scheme->close(&outside->peers[i]);
        free(outside->peers[i].base);
    }
    multi_destroy(outside->multi);
    free(outside);
}
