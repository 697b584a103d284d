/* A carrier: labels for parcels, and what becomes of them as time goes by.
 *
 * POST /v1/shipments (the idempotency key is the parcel's), DELETE /v1/shipments/<key>, POST
 * /v1/shipments/<key>/handover, GET /v1/events?after=N&limit=L. The city of the address says how it goes: see the
 * tables in parcels.c. Its book has no names and no addresses. One thread. */
#pragma once

#include "dev/sandbox/outsider.h"

struct carrier;

enum parcel_state { PARCEL_LABELLED, PARCEL_CANCELLED, PARCEL_HANDED_OVER };

/* A parcel as it stands now; one that was cancelled before it came has no tracking number. */
struct parcel {
    const char *key, *reference, *tracking_number;
    enum parcel_state state;
    int64_t weight_grams, promise_time_us, time_us;
    int64_t handed_over_us; /* 0: not yet */
};
struct parcel_event {
    uint64_t seq; /* from 1, gapless */
    const struct parcel *parcel;
    const char *type; /* "IN_TRANSIT", "DELAYED", "DELIVERED", "LOST", "RETURNED" */
    int64_t time_us, promise_time_us;
};

/* speed_percent: 100 is that of the table of journeys, 200 twice as fast. 0, -EINVAL or -ENOMEM. */
int carrier_create(const struct journal *journal, int64_t speed_percent, struct carrier **ret_carrier);
void carrier_destroy(struct carrier *c); /* takes NULL */

/* Never fails: what goes wrong is an answer. path may have a query; only POST /v1/shipments needs the key. */
void carrier_answer(struct carrier *c, int64_t now_us, const char *verb, const char *path, const char *idempotency_key,
                    struct bytes body, struct answer *ret);
/* Parcels move; every answer begins with it. */
void carrier_advance(struct carrier *c, int64_t now_us);
/* When the next one moves; INT64_MAX if none will. */
int64_t carrier_next_us(const struct carrier *c);

/* A line of the book, after carrier_create and before the first answer. 0, -EBADMSG or -ENOMEM. */
int carrier_replay(void *carrier, struct bytes line);
/* Every parcel, in the order in which they came, and every event. */
void carrier_each(const struct carrier *c, void (*each)(void *arg, const struct parcel *parcel), void *arg);
void carrier_each_event(const struct carrier *c, void (*each)(void *arg, const struct parcel_event *event), void *arg);
