/* The table of cities. */
#include "dev/sandbox/cities.h"

#include <stddef.h>
#include <string.h>

static const struct manners cities[] = {
    { "", .journey = { { "IN_TRANSIT", 400000 }, { "DELIVERED", 1200000 } } },
    { "Delayton",
      .journey = { { "IN_TRANSIT", 400000 }, { "DELAYED", 800000, .later_us = 2000000 }, { "DELIVERED", 2400000 } } },
    { "Lostwick", .journey = { { "IN_TRANSIT", 400000 }, { "LOST", 1200000 } } },
    { "Returnham", .journey = { { "IN_TRANSIT", 400000 }, { "RETURNED", 1600000 } } },
    { "Errorby", .errors = 2, .journey = { { "IN_TRANSIT", 400000 }, { "DELIVERED", 1200000 } } },
    { "Silentham", .silences = 2, .journey = { { "IN_TRANSIT", 400000 }, { "DELIVERED", 1200000 } } },
    { "Twiceford", .twice = true, .journey = { { "IN_TRANSIT", 400000 }, { "DELIVERED", 1200000 } } },
    { "Refusal", .refuses = true },
};

const struct manners *manners_of(const char *city)
{
    for (size_t i = 1; i < sizeof(cities) / sizeof(cities[0]); i++)
        if (strcmp(city, cities[i].city) == 0)
            return &cities[i];
    return &cities[0];
}
