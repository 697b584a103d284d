/* A call of a client that is several calls of the gateway's own, side by side: a page and its parts.
 *
 * Parts are asked for on the caller's behalf, so that each service decides itself what the caller may see. Each has a
 * deadline of its own, within the call's; what has not come by then, or was refused, is named as missing, and the rest
 * is told without it. Bytes pass through: of a part's reply the fields become fields of the page, undecoded. What is
 * held of all parts counts as the gateway's buffered bytes, and pages under way are limited. Loop lane. */
#pragma once

#include "gateway/exchange.h"

#define FAN_PARTS_MAX  4
#define FAN_FIELDS_MAX 2

struct fan;
struct fans;

struct fan_part {
    const char *name; /* as missing and as_of have it */
    const char *peer, *method;
    int64_t most_us; /* its deadline, or */
    int share;       /* so many per cent of what is left of the call's, whichever is sooner */
    int after;       /* asked for when this part is here; FAN_AT_ONCE */
    /* The request, in the fan's arena. 0, -ENOMEM, or -ENOENT: there is nothing to ask for. */
    int (*request)(struct fan *fan, struct bytes *ret_request);
    uint32_t whole; /* the page's field that the reply is; 0: its fields are */
    struct fan_field {
        uint32_t from, to;
    } fields[FAN_FIELDS_MAX]; /* strings and messages; unused ones are 0 */
    uint32_t position;        /* the field of the reply that is a mesh.v1.Position; 0: none */
    bool decides;             /* what it says of the request (NOT_FOUND …) is said of the whole */
    bool may_be_none;         /* NOT_FOUND: there is none, and it is not missing */
    struct metric *codes[RPC_UNAUTHENTICATED + 1], *time; /* made when first counted */
};
#define FAN_AT_ONCE (-1)

/* The first part is the one whose error is told if no part is there at all. */
struct fan_page {
    const char *name;
    const ProtobufCMessageDescriptor *request;
    uint32_t missing, as_of; /* the page's fields for oms.storefront.v1.MissingPart and PartAsOf */
    struct fan_part *parts;
    size_t n_parts;
};

/* For servers: begin and more; abort. */
void fan_begin(struct exchange *x, const struct fan_page *page);
void fan_abort(struct exchange *x);

/* --- for a part's request --- */
const void *fan_request(const struct fan *fan); /* the client's, unpacked */
struct arena *fan_arena(struct fan *fan);
struct bytes fan_reply(const struct fan *fan, int part); /* of one that is here */

/* NULL: no memory. */
struct fans *fans_create(struct gateway *gateway);
/* No exchange may be left; gone(arg) when no call is under way any more and its memory is free. NULL: at once. */
void fans_destroy(struct fans *fans, void (*gone)(void *arg), void *arg);
