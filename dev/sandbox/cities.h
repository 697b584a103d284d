/* How it goes with a parcel, by the city of its address. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define JOURNEY_MAX 4

/* What happens to a parcel, that long after it was handed over at a speed of 100 percent. */
struct leg {
    const char *type; /* NULL: the journey is over */
    int64_t after_us;
    int64_t later_us; /* by so much the promise moves */
};

/* How it goes with a city: a row. */
struct manners {
    const char *city;
    int64_t errors, silences; /* so many times at first: 503 · done, and no answer */
    bool refuses, twice;      /* no such address, it says · every event comes twice */
    struct leg journey[JOURNEY_MAX + 1];
};
const struct manners *manners_of(const char *city); /* never NULL */
