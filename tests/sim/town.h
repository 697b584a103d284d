/* Who the simulated mesh deals with outside: a card processor and a carrier, which are the sandbox's own logic, and a
 * post office. Their books are what the mesh's are judged by. */
#pragma once

#include "tests/sim/world.h"

struct processed;
struct parcel;

struct town;

/* A mail as it lies in the post office: under its path, however often it was brought. */
struct posted {
    const char *path, *mail_to;
    struct bytes content; /* of the last time */
    int times;
};

/* Registers them with the world. Their clocks agree with the node's as it is now. */
struct town *town_create(struct world *w, struct node *node);
void town_destroy(struct town *town); /* after the world; takes NULL */

void town_each_operation(const struct town *town, void (*each)(void *arg, const struct processed *operation),
                         void *arg);
void town_each_parcel(const struct town *town, void (*each)(void *arg, const struct parcel *parcel), void *arg);
void town_each_mail(const struct town *town, void (*each)(void *arg, const struct posted *mail), void *arg);
