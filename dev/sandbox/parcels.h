/* What the carrier keeps: parcels by key, and their journeys; inside the carrier only. */
#pragma once

#include "dev/sandbox/asked.h"
#include "dev/sandbox/carrier.h"
#include "dev/sandbox/cities.h"
#include "dev/sandbox/keys.h"

struct shipment {
    struct keyed keyed;
    struct parcel what;
    const struct manners *manners;
    uint64_t hash;            /* of the request, for another one under the same key */
    int64_t first_promise_us; /* as it was answered */
    size_t leg;               /* the next of its journey */
    size_t copies;            /* events of that leg so far */
    struct shipment *later;
    char tracking_number[24];
    char texts[];
};

/* What is to be written down and done. */
struct deed {
    enum { DEED_SHIPMENT, DEED_CANCEL, DEED_HANDOVER, DEED_EVENT } kind;
    const char *key;
    const char *reference, *city; /* of a shipment; city: only if it has a row of its own */
    int64_t weight_grams;
    uint64_t hash;
    const char *type; /* of an event */
    int64_t time_us, promise_time_us;
};

struct shipment *shipment_find(const struct carrier *c, const char *key);
/* Writes it down, then does it. 0; -ENOMEM (or more than OUTSIDER_MAX), or what the journal said: not done. */
int carrier_do(struct carrier *c, const struct deed *deed);
/* How long something takes at the speed there is. */
int64_t carrier_pace(const struct carrier *c, int64_t duration_us);
/* All of them in an array, in the order of their seq. */
uint64_t carrier_events(const struct carrier *c, const struct parcel_event **ret_events);
struct attempts shipment_asked(struct carrier *c, const char *key, int64_t now_us);
