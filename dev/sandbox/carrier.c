/* The requests to the carrier. What is kept is in parcels.c. */
#include "dev/sandbox/carrier.h"
#include "dev/sandbox/parcels.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMISE_US       3000000 /* from label to door, at a speed of 100 percent */
#define EVENTS_MAX       1000    /* of one answer */
#define EVENTS_USUAL     100
#define EVENT_BYTES_MAX  512
#define WEIGHT_GRAMS_MAX 100000000

/* --- shipments --- */

struct order {
    struct deed deed;
    const struct manners *manners;
};

static uint64_t hash_text(const json_t *text, uint64_t seed)
{
    return keys_hash(json_string_value(text), json_string_length(text) + 1, seed);
}

/* The address, without keeping a letter of it. */
static bool hash_address(const json_t *to, uint64_t *hash)
{
    static const char *const names[] = { "name", "city", "postal_code", "country" };
    const json_t *street = json_object_get(to, "street"), *line;
    size_t i;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *text = json_object_get(to, names[i]);
        if (!json_is_string(text))
            return false;
        *hash = hash_text(text, *hash);
    }
    if (!json_is_array(street))
        return false;
    json_array_foreach(street, i, line)
    {
        if (!json_is_string(line))
            return false;
        *hash = hash_text(line, *hash);
    }
    return true;
}

/* NULL, or the code of what is wrong with it. */
static const char *read_order(const json_t *body, struct order *ret)
{
    const json_t *from = json_object_get(body, "from"), *to = json_object_get(body, "to");
    const json_t *weight = json_object_get(body, "weight_grams");
    ret->deed.reference = json_string_value(json_object_get(body, "reference"));
    ret->deed.weight_grams = json_integer_value(weight);
    if (!json_is_object(body))
        return "BODY_INVALID";
    if (!outsider_is_id(ret->deed.reference))
        return "REFERENCE_INVALID";
    if (!json_is_string(from))
        return "FROM_INVALID";
    if (!json_is_integer(weight) || ret->deed.weight_grams < 0 || ret->deed.weight_grams > WEIGHT_GRAMS_MAX)
        return "WEIGHT_INVALID";

    uint64_t hash = keys_hash(ret->deed.reference, strlen(ret->deed.reference) + 1, 0);
    hash = keys_hash(&ret->deed.weight_grams, sizeof(ret->deed.weight_grams), hash_text(from, hash));
    if (!hash_address(to, &hash))
        return "ADDRESS_INVALID";
    ret->deed.hash = hash;
    ret->manners = manners_of(json_string_value(json_object_get(to, "city")));
    ret->deed.city = ret->manners->city;
    return ret->manners->refuses ? "ADDRESS_REFUSED" : NULL;
}

static void tell_label(const struct shipment *shipment, struct answer *ret)
{
    answer_say(ret, 200, "{\"tracking_number\":\"%s\",\"label\":\"SANDBOX %s\",\"promise_time_us\":%" PRId64 "}",
               shipment->tracking_number, shipment->tracking_number, shipment->first_promise_us);
}

static void ship(struct carrier *c, struct order *order, struct answer *ret)
{
    struct attempts attempts = { 1, 0 };
    if (order->manners->errors || order->manners->silences)
        attempts = shipment_asked(c, order->deed.key, order->deed.time_us);
    const struct shipment *shipment = shipment_find(c, order->deed.key);
    if (attempts.n <= order->manners->errors)
        answer_error(ret, 503, "TRY_AGAIN", "the carrier is not well");
    else if (shipment && shipment->tracking_number[0] == '\0')
        answer_error(ret, 409, "CANCELLED", "it was cancelled before it came");
    else if (shipment && shipment->hash != order->deed.hash)
        answer_error(ret, 409, "KEY_REUSED", "another request was made under this key");
    else if (!shipment && carrier_do(c, &order->deed) < 0)
        answer_error(ret, 503, "BOOK_UNAVAILABLE", "it cannot be written down, and is not done");
    else
        tell_label(shipment_find(c, order->deed.key), ret);
    ret->silent = attempts.n <= order->manners->silences;
}

static void answer_ship(struct carrier *c, int64_t now_us, const char *key, struct bytes body, struct answer *ret)
{
    struct order order = { .deed = { .kind = DEED_SHIPMENT, .key = key, .time_us = now_us } };
    order.deed.promise_time_us = now_us + carrier_pace(c, PROMISE_US);
    json_error_t error;
    json_t *json = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &error);
    const char *fault = outsider_is_id(key) ? read_order(json, &order) : "KEY_INVALID";
    if (fault)
        answer_error(ret, 400, fault, "see dev/sandbox/carrier.c for what a shipment looks like");
    else
        ship(c, &order, ret);
    json_decref(json);
}

/* --- cancelling and handing over --- */

static void do_simple(struct carrier *c, const struct deed *deed, const char *status, struct answer *ret)
{
    if (carrier_do(c, deed) < 0)
        answer_error(ret, 503, "BOOK_UNAVAILABLE", "it cannot be written down, and is not done");
    else
        answer_say(ret, 200, "{\"status\":\"%s\"}", status);
}

static void answer_cancel(struct carrier *c, int64_t now_us, const char *key, struct answer *ret)
{
    const struct shipment *shipment = shipment_find(c, key);
    if (shipment && shipment->what.state == PARCEL_HANDED_OVER)
        answer_error(ret, 409, "HANDED_OVER", "it is on its way");
    else if (shipment && shipment->what.state == PARCEL_CANCELLED)
        answer_say(ret, 200, "{\"status\":\"cancelled\"}");
    else
        do_simple(c, &(struct deed){ .kind = DEED_CANCEL, .key = key, .time_us = now_us }, "cancelled", ret);
}

static void answer_handover(struct carrier *c, int64_t now_us, const char *key, struct answer *ret)
{
    const struct shipment *shipment = shipment_find(c, key);
    if (!shipment)
        answer_error(ret, 404, "UNKNOWN_SHIPMENT", "there is no label under this key");
    else if (shipment->what.state == PARCEL_CANCELLED)
        answer_error(ret, 409, "CANCELLED", "it was cancelled");
    else if (shipment->what.state == PARCEL_HANDED_OVER)
        answer_say(ret, 200, "{\"status\":\"handed_over\"}");
    else
        do_simple(c, &(struct deed){ .kind = DEED_HANDOVER, .key = key, .time_us = now_us }, "handed_over", ret);
}

/* --- events --- */

/* The number behind name= in the query; usual if there is none, -1 if it is no number. */
static int64_t number_of(const char *path, const char *name, int64_t usual)
{
    size_t n = strlen(name);
    for (const char *at = strchr(path, '?'); at; at = strchr(at, '&')) {
        at++;
        if (strncmp(at, name, n) != 0 || at[n] != '=')
            continue;
        size_t digits = strspn(at + n + 1, "0123456789");
        char end = at[n + 1 + digits];
        return digits == 0 || digits > 18 || (end != '\0' && end != '&') ? -1 : strtoll(at + n + 1, NULL, 10);
    }
    return usual;
}

static void answer_events(struct carrier *c, const char *path, struct answer *ret)
{
    const struct parcel_event *events;
    uint64_t n = carrier_events(c, &events);
    int64_t after = number_of(path, "after", 0), limit = number_of(path, "limit", EVENTS_USUAL);
    if (after < 0 || limit < 1 || limit > EVENTS_MAX) {
        answer_error(ret, 400, "PAGE_INVALID", "after is a seq, limit one to 1000");
        return;
    }
    uint64_t first = (uint64_t)after < n ? (uint64_t)after : n;
    uint64_t end = n - first < (uint64_t)limit ? n : first + (uint64_t)limit;
    char *body = malloc((end - first + 1) * EVENT_BYTES_MAX);
    if (!body) {
        answer_error(ret, 503, "TRY_AGAIN", "there is no memory");
        return;
    }
    char *at = stpcpy(body, "{\"events\":[");
    for (uint64_t i = first; i < end; i++)
        at += sprintf(at,
                      "%s{\"seq\":%" PRIu64 ",\"key\":\"%s\",\"tracking_number\":\"%s\",\"type\":\"%s\","
                      "\"time_us\":%" PRId64 ",\"promise_time_us\":%" PRId64 "}",
                      i == first ? "" : ",", events[i].seq, events[i].parcel->key, events[i].parcel->tracking_number,
                      events[i].type, events[i].time_us, events[i].promise_time_us);
    at = stpcpy(at, "]}");
    ret->status = 200;
    ret->body = body;
    ret->len = (size_t)(at - body);
}

void carrier_answer(struct carrier *c, int64_t now_us, const char *verb, const char *path, const char *idempotency_key,
                    struct bytes body, struct answer *ret)
{
    char key[OUTSIDER_ID_MAX + 1];
    const char *rest = outsider_path_id(path, "/v1/shipments/", key);
    bool is_post = strcmp(verb, "POST") == 0;
    *ret = (struct answer){ 0 };
    carrier_advance(c, now_us);
    if (is_post && strcmp(path, "/v1/shipments") == 0)
        answer_ship(c, now_us, idempotency_key, body, ret);
    else if (strcmp(verb, "DELETE") == 0 && rest && rest[0] == '\0')
        answer_cancel(c, now_us, key, ret);
    else if (is_post && rest && strcmp(rest, "/handover") == 0)
        answer_handover(c, now_us, key, ret);
    else if (strcmp(verb, "GET") == 0 && outsider_path_is(path, "/v1/events"))
        answer_events(c, path, ret);
    else
        answer_error(ret, 404, "NOT_FOUND", "there is no such thing to be done");
}
