/* Plain HTTP's paths: which method a verb and a path ask for, and what of the request the path says. The templates are
 * the options google.api.http of the protos (AIP-127, AIP-131 to 136): segments that are literals or a {field}, at the
 * end perhaps ":verb". A literal goes before a field. A field takes one segment, never an empty one and, at the end,
 * none with a ":" that is not %3A. Immutable once made. */
#pragma once

#include "gateway/route.h"

#define REST_SEGMENTS 8
#define REST_ALLOW    16 /* room for what rest_allow says */

struct rest_routes;

struct rest_match {
    struct route *route;
    size_t n; /* fields of the request that the path says */
    struct {
        const char *field; /* its name in the proto: field_len bytes */
        size_t field_len;
        struct bytes value; /* percent-encoded still */
    } fields[REST_SEGMENTS];
};

/* NULL: no memory, or a template that is not understood, names no string of its request, or is another one's. */
struct rest_routes *rest_routes_create(const struct schema *schema, const struct routes *routes);
void rest_routes_destroy(struct rest_routes *routes);
/* The path without its query. Time is linear in it. False: nothing is there for this verb. */
bool rest_find(const struct rest_routes *routes, const char *verb, size_t verb_len, const char *path, size_t len,
               struct rest_match *ret_match);
/* The verbs that the path may be asked by, as the header allow has them; false: there is no such path. */
bool rest_allow(const struct rest_routes *routes, const char *path, size_t len, char ret_allow[REST_ALLOW]);
