/* What is said to the carrier, and what is understood of its answers: JSON over HTTP, each parcel under its own key.
 *
 * All that is said of one fulfilment stands in one queue, so that a label is withdrawn behind the asking for it. What
 * is not understood is asked again under the same key, which is all the reconciling there is to do. */
#include "svc-shipping/manifest.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define SHIP        "/carrier/ship"
#define HANDOVER    "/carrier/handover"
#define WITHDRAWAL  "/carrier/cancel"
#define EVENTS      "/carrier/events"
#define EVENTS_KEY  "events"
#define TIMEOUT_US  10000000
#define TIME_MAX_US 4102444800000000 /* the year 2100 */

/* --- wanting --- */

static int want(struct txn *txn, const char *method, const char *fulfillment_id)
{
    CarrierRequest request = OMS__SHIPPING__V1__CARRIER_REQUEST__INIT;
    request.fulfillment_id = (char *)fulfillment_id;
    return outbox_add(txn, &(struct command){ CARRIER, method, fulfillment_id, &request.base, 0 });
}

static int hand_over(struct txn *txn, const Fulfillment *f)
{
    int r = want(txn, HANDOVER, f->fulfillment_id);
    if (r < 0)
        return r;
    r = tracking_await(txn, f);
    return r < 0 ? r : tracking_wake(txn, f->carrier);
}

int carrier_want_label(struct txn *txn, const char *fulfillment_id)
{
    return want(txn, SHIP, fulfillment_id);
}

/* Not before it is known where to: then it is asked for by what comes (address.c). */
static int ask_label(struct txn *txn, const Fulfillment *f)
{
    int r = address_there(txn, f->order_id);
    if (r < 0)
        return r;
    return r ? carrier_want_label(txn, f->fulfillment_id) : address_want(txn, f->order_id);
}

int carrier_act(struct txn *txn, enum fulfillment_action action, const Fulfillment *f)
{
    switch (action) {
    case NOTHING:
        return 0;
    case ASK_LABEL:
        return ask_label(txn, f);
    case HAND_OVER:
        return hand_over(txn, f);
    case WITHDRAW:
        return want(txn, WITHDRAWAL, f->fulfillment_id);
    }
    return -EINVAL;
}

int carrier_ask_events(struct txn *txn, const char *carrier, uint64_t seq, int64_t round)
{
    CarrierEventsRequest request = OMS__SHIPPING__V1__CARRIER_EVENTS_REQUEST__INIT;
    request.carrier = (char *)carrier;
    request.after = seq;
    request.round = round;
    return outbox_add(txn, &(struct command){ CARRIER, EVENTS, EVENTS_KEY, &request.base, 0 });
}

/* --- JSON --- */

/* The text of a member, in the arena; NULL: there is none. */
static char *member_text(struct arena *arena, const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);
    return json_is_string(text) ? arena_copy(arena, json_string_value(text), json_string_length(text)) : NULL;
}

static int64_t member_number(const json_t *object, const char *name)
{
    const json_t *number = json_object_get(object, name);
    return json_is_integer(number) ? json_integer_value(number) : -1;
}

static json_t *parse(struct bytes body)
{
    return json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
}

/* Takes the reference. */
static int body_of(struct arena *arena, json_t *json, struct bytes *ret_body)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    ret_body->data = text ? (uint8_t *)arena_copy(arena, text, len) : NULL;
    ret_body->len = len;
    free(text);
    json_decref(json);
    return ret_body->data ? 0 : -ENOMEM;
}

/* --- /carrier/ship --- */

enum { COLUMN_TO = 4, COLUMN_STREET = 5, STREETS = 4 };

static json_t *address_json(const struct rows *rows)
{
    json_t *street = json_array();
    for (size_t i = 0; i < STREETS; i++) {
        if (row_text(rows, 0, COLUMN_STREET + i)[0])
            json_array_append_new(street, json_string(row_text(rows, 0, COLUMN_STREET + i)));
    }
    return json_pack("{s:s, s:o, s:s, s:s, s:s}", "name", row_text(rows, 0, COLUMN_TO), "street", street, "city",
                     row_text(rows, 0, COLUMN_STREET + STREETS), "postal_code",
                     row_text(rows, 0, COLUMN_STREET + STREETS + 1), "country",
                     row_text(rows, 0, COLUMN_STREET + STREETS + 2));
}

/* One that was cancelled meanwhile is not said: what was perhaps said before is withdrawn by what stands behind. */
static int ask_ship(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    const CarrierRequest *req = request;
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT f.standing, f.order_id, f.location_id, f.weight_grams, a.name, a.street1, a.street2, "
                      "a.street3, a.street4, a.city, a.postal_code, a.country FROM fulfillment f "
                      "LEFT JOIN shipment_address a ON a.order_id = f.order_id WHERE f.fulfillment_id = $1",
                      T(req->fulfillment_id));
    if (r < 0)
        return r;
    if (rows.n == 0 || row_int(&rows, 0, 0) != PACKED)
        return -ECANCELED;
    ret_fetch->verb = "POST";
    ret_fetch->path = "/v1/shipments";
    ret_fetch->idempotency_key = req->fulfillment_id;
    return body_of(txn->arena,
                   json_pack("{s:s, s:s, s:o, s:I}", "reference", row_text(&rows, 0, 1), "from", row_text(&rows, 0, 2),
                             "to", address_json(&rows), "weight_grams", (json_int_t)row_int(&rows, 0, 3)),
                   &ret_fetch->body);
}

/* Whatever else stood there could be a person's. */
static bool is_code(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return len > 0 && len <= 64 && text[len] == '\0';
}

static enum rpc_code read_label(struct arena *arena, int status, const json_t *json, CarrierLabel *ret)
{
    if (status == 400 || status == 409 || status == 422) {
        const char *error = json_string_value(json_object_get(json, "error"));
        ret->refused = member_text(arena, json, "error");
        if (!error || !is_code(error))
            ret->refused = "SHIPMENT_REFUSED";
        return ret->refused ? RPC_OK : RPC_UNAVAILABLE;
    }
    char *number = member_text(arena, json, "tracking_number");
    int64_t promise_us = member_number(json, "promise_time_us");
    if (status != 200 || !number || !number[0] || promise_us <= 0 || promise_us > TIME_MAX_US)
        return RPC_UNAVAILABLE;
    ret->tracking_number = number;
    ret->promise_time_us = promise_us;
    return RPC_OK;
}

static enum rpc_code understand_ship(struct arena *arena, int status, struct bytes body, const void *request,
                                     void *reply)
{
    json_t *json = parse(body);
    enum rpc_code code = read_label(arena, status, json, reply);
    json_decref(json);
    return code;
}

static int ship_ended(struct txn *txn, const struct outcome *outcome)
{
    const CarrierLabel *label = outcome->reply;
    if (outcome->code != RPC_OK)
        return 0;
    if (label->refused[0])
        return manifest_happened(txn, outcome->key, LABEL_REFUSED, &(struct news){ .refused = label->refused });
    if (label->tracking_number[0] == '\0')
        return 0; /* it was not said */
    return manifest_happened(
        txn, outcome->key, LABEL_GIVEN,
        &(struct news){ .tracking_number = label->tracking_number, .promise_time_us = label->promise_time_us });
}

/* --- /carrier/handover and /carrier/cancel: a key of their own, as each is an operation of its own --- */

static int ask_about(struct txn *txn, const CarrierRequest *req, const char *verb, const char *below,
                     const char *operation, struct fetch *ret_fetch)
{
    ret_fetch->verb = verb;
    ret_fetch->path = arena_printf(txn->arena, "/v1/shipments/%s%s", req->fulfillment_id, below);
    ret_fetch->idempotency_key = arena_printf(txn->arena, "%s-%s", req->fulfillment_id, operation);
    return ret_fetch->path && ret_fetch->idempotency_key ? 0 : -ENOMEM;
}

static int ask_handover(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    return ask_about(txn, request, "POST", "/handover", "handover", ret_fetch);
}

static int ask_cancel(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    return ask_about(txn, request, "DELETE", "", "cancel", ret_fetch);
}

/* Their books say otherwise than ours: a person finds the letter parked. */
static enum rpc_code understand_done(struct arena *arena, int status, struct bytes body, const void *request,
                                     void *reply)
{
    switch (status) {
    case 200:
        return RPC_OK;
    case 404:
        return RPC_NOT_FOUND;
    case 409:
        return RPC_FAILED_PRECONDITION;
    default:
        return RPC_UNAVAILABLE;
    }
}

/* --- /carrier/events --- */

static int ask_events(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    const CarrierEventsRequest *req = request;
    ret_fetch->verb = "GET";
    ret_fetch->path =
        arena_printf(txn->arena, "/v1/events?after=%llu&limit=%d", (unsigned long long)req->after, CARRIER_PAGE);
    return ret_fetch->path ? 0 : -ENOMEM;
}

static Oms__Shipping__V1__TrackingEvent__Type type_of(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "type"));
    const ProtobufCEnumValue *value =
        name ? protobuf_c_enum_descriptor_get_value_by_name(&oms__shipping__v1__tracking_event__type__descriptor, name)
             : NULL;
    return value ? (Oms__Shipping__V1__TrackingEvent__Type)value->value : 0;
}

static int64_t time_of(const json_t *event, const char *name)
{
    int64_t time_us = member_number(event, name);
    return time_us > 0 && time_us <= TIME_MAX_US ? time_us : 0;
}

/* False: it is none that can be followed by another. */
static bool read_event(struct arena *arena, const json_t *json, uint64_t after, CarrierEvent *ret)
{
    int64_t seq = member_number(json, "seq");
    char *key = member_text(arena, json, "key");
    if (seq <= 0 || (uint64_t)seq <= after || !key)
        return false;
    ret->seq = (uint64_t)seq;
    ret->fulfillment_id = key;
    ret->type = type_of(json);
    ret->time_us = time_of(json, "time_us");
    ret->promise_time_us = time_of(json, "promise_time_us");
    return true;
}

static enum rpc_code read_events(struct arena *arena, const json_t *json, uint64_t after, CarrierEvents *ret)
{
    size_t n = json_array_size(json);
    if (!json_is_array(json) || n > CARRIER_PAGE)
        return RPC_UNAVAILABLE;
    ret->events = arena_alloc(arena, n * sizeof(CarrierEvent *));
    for (size_t i = 0; ret->events && i < n; i++) {
        CarrierEvent *event = arena_message(arena, &oms__shipping__v1__carrier_events__event__descriptor);
        if (!event || !read_event(arena, json_array_get(json, i), after, event))
            return RPC_UNAVAILABLE;
        after = event->seq;
        ret->events[ret->n_events++] = event;
    }
    return ret->events ? RPC_OK : RPC_UNAVAILABLE;
}

static enum rpc_code understand_events(struct arena *arena, int status, struct bytes body, const void *request,
                                       void *reply)
{
    const CarrierEventsRequest *req = request;
    json_t *json = status == 200 ? parse(body) : NULL;
    enum rpc_code code = read_events(arena, json_object_get(json, "events"), req->after, reply);
    json_decref(json);
    return code;
}

/* --- the table --- */

static const struct outside ship = { ask_ship, understand_ship, TIMEOUT_US };
static const struct outside handover = { ask_handover, understand_done, TIMEOUT_US };
static const struct outside cancel = { ask_cancel, understand_done, TIMEOUT_US };
static const struct outside events = { ask_events, understand_events, TIMEOUT_US };

/* None is ever given up: a parcel is in the world. */
const struct deliverer shipping_deliverers[] = {
    { "/oms.order.v1.OrderService/GetOrder", &oms__order__v1__get_order_request__descriptor,
      &oms__order__v1__get_order_response__descriptor, address_ended, GIVE_UP_PARK, 0, NULL },
    { SHIP, &oms__shipping__v1__carrier_request__descriptor, &oms__shipping__v1__carrier_label__descriptor, ship_ended,
      GIVE_UP_PARK, 0, &ship },
    { HANDOVER, &oms__shipping__v1__carrier_request__descriptor, &oms__shipping__v1__carrier_answer__descriptor, NULL,
      GIVE_UP_PARK, 0, &handover },
    { WITHDRAWAL, &oms__shipping__v1__carrier_request__descriptor, &oms__shipping__v1__carrier_answer__descriptor, NULL,
      GIVE_UP_PARK, 0, &cancel },
    { EVENTS, &oms__shipping__v1__carrier_events_request__descriptor, &oms__shipping__v1__carrier_events__descriptor,
      tracking_events_came, GIVE_UP_RAISE, 0, &events },
    {},
};
