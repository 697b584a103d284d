/* Parcels: what is kept of them, how time moves them, and how they come back from the book. */
#include "dev/sandbox/parcels.h"
#include "dev/sandbox/moves.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct carrier {
    struct journal journal;
    int64_t speed_percent;
    struct keys shipments;
    struct asked asked;
    struct shipment *first, **last;
    uint64_t labels;
    struct parcel_event *events;
    size_t n_events, max_events;
    struct moves moves;
};

int carrier_create(const struct journal *journal, int64_t speed_percent, struct carrier **ret_carrier)
{
    if (speed_percent < 1 || speed_percent > 1000000)
        return -EINVAL;
    struct carrier *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->journal = *journal;
    c->speed_percent = speed_percent;
    c->last = &c->first;
    *ret_carrier = c;
    return 0;
}

void carrier_destroy(struct carrier *c)
{
    if (!c)
        return;
    for (struct shipment *shipment = c->first, *later; shipment; shipment = later) {
        later = shipment->later;
        free(shipment);
    }
    keys_finish(&c->shipments);
    asked_finish(&c->asked);
    free(c->events);
    moves_finish(&c->moves);
    free(c);
}

struct shipment *shipment_find(const struct carrier *c, const char *key)
{
    return (struct shipment *)keys_find(&c->shipments, key);
}

struct attempts shipment_asked(struct carrier *c, const char *key, int64_t now_us)
{
    return asked_add(&c->asked, key, now_us);
}

int64_t carrier_pace(const struct carrier *c, int64_t duration_us)
{
    return duration_us * 100 / c->speed_percent;
}

uint64_t carrier_events(const struct carrier *c, const struct parcel_event **ret_events)
{
    *ret_events = c->events;
    return c->n_events;
}

void carrier_each(const struct carrier *c, void (*each)(void *arg, const struct parcel *parcel), void *arg)
{
    for (const struct shipment *shipment = c->first; shipment; shipment = shipment->later)
        each(arg, &shipment->what);
}

void carrier_each_event(const struct carrier *c, void (*each)(void *arg, const struct parcel_event *event), void *arg)
{
    for (size_t i = 0; i < c->n_events; i++)
        each(arg, &c->events[i]);
}

static void await_leg(struct carrier *c, struct shipment *shipment)
{
    const struct leg *leg = &shipment->manners->journey[shipment->leg];
    if (leg->type)
        moves_push(&c->moves, shipment->what.handed_over_us + carrier_pace(c, leg->after_us), shipment, shipment->leg);
}

/* --- deeds --- */

static const char *keep(char **at, const char *text)
{
    const char *kept = *at;
    *at = stpcpy(*at, text) + 1;
    return kept;
}

static struct shipment *make(const struct deed *deed)
{
    const char *reference = deed->reference ? deed->reference : "";
    struct shipment *shipment = calloc(1, sizeof(*shipment) + strlen(deed->key) + strlen(reference) + 2);
    if (!shipment)
        return NULL;
    char *at = shipment->texts;
    shipment->what = (struct parcel){
        .key = keep(&at, deed->key),
        .reference = keep(&at, reference),
        .tracking_number = shipment->tracking_number,
        .weight_grams = deed->weight_grams,
        .promise_time_us = deed->promise_time_us,
        .time_us = deed->time_us,
    };
    shipment->keyed.key = shipment->what.key;
    shipment->manners = manners_of(deed->city ? deed->city : "");
    shipment->hash = deed->hash;
    shipment->first_promise_us = deed->promise_time_us;
    return shipment;
}

/* The parts of a deed: what can fail, and what cannot. */
static int prepare_shipment(struct carrier *c, const struct deed *deed, struct shipment **shipment)
{
    if (*shipment)
        return -EBADMSG;
    *shipment = c->shipments.n < OUTSIDER_MAX ? make(deed) : NULL;
    if (!*shipment || keys_reserve(&c->shipments) < 0)
        return -ENOMEM;
    if (deed->kind == DEED_SHIPMENT)
        snprintf((*shipment)->tracking_number, sizeof((*shipment)->tracking_number), "SB%010" PRIu64, c->labels + 1);
    return 0;
}

static int prepare_cancel(struct carrier *c, const struct deed *deed, struct shipment **shipment)
{
    return *shipment ? 0 : prepare_shipment(c, deed, shipment);
}

static int prepare_handover(struct carrier *c, const struct deed *deed, struct shipment **shipment)
{
    if (!*shipment || (*shipment)->what.state != PARCEL_LABELLED)
        return -EBADMSG;
    return moves_reserve(&c->moves);
}

static int reserve_event(struct carrier *c)
{
    if (c->n_events < c->max_events)
        return 0;
    size_t max = c->max_events ? 2 * c->max_events : 64;
    struct parcel_event *events = c->n_events < OUTSIDER_MAX ? realloc(c->events, max * sizeof(*events)) : NULL;
    if (!events)
        return -ENOMEM;
    c->events = events;
    c->max_events = max;
    return 0;
}

static int prepare_event(struct carrier *c, const struct deed *deed, struct shipment **shipment)
{
    if (!*shipment || !(*shipment)->manners->journey[(*shipment)->leg].type ||
        strcmp((*shipment)->manners->journey[(*shipment)->leg].type, deed->type) != 0)
        return -EBADMSG;
    int r = reserve_event(c);
    return r < 0 ? r : moves_reserve(&c->moves);
}

static void link_shipment(struct carrier *c, struct shipment *shipment)
{
    keys_add(&c->shipments, &shipment->keyed);
    *c->last = shipment;
    c->last = &shipment->later;
    c->labels += shipment->tracking_number[0] != '\0';
}

static void apply_shipment(struct carrier *c, const struct deed *deed, struct shipment *shipment)
{
    link_shipment(c, shipment);
}

static void apply_cancel(struct carrier *c, const struct deed *deed, struct shipment *shipment)
{
    if (!shipment_find(c, deed->key))
        link_shipment(c, shipment);
    shipment->what.state = PARCEL_CANCELLED;
}

static void apply_handover(struct carrier *c, const struct deed *deed, struct shipment *shipment)
{
    shipment->what.state = PARCEL_HANDED_OVER;
    shipment->what.handed_over_us = deed->time_us;
    await_leg(c, shipment);
}

static void apply_event(struct carrier *c, const struct deed *deed, struct shipment *shipment)
{
    const struct leg *leg = &shipment->manners->journey[shipment->leg];
    shipment->what.promise_time_us = deed->promise_time_us;
    c->events[c->n_events] =
        (struct parcel_event){ c->n_events + 1, &shipment->what, leg->type, deed->time_us, deed->promise_time_us };
    c->n_events++;
    if (++shipment->copies < (shipment->manners->twice ? 2 : 1))
        return;
    shipment->copies = 0;
    shipment->leg++;
    await_leg(c, shipment);
}

static const struct {
    const char *name, *status; /* status NULL: the event's type */
    int (*prepare)(struct carrier *c, const struct deed *deed, struct shipment **shipment);
    void (*apply)(struct carrier *c, const struct deed *deed, struct shipment *shipment);
} deeds[] = {
    [DEED_SHIPMENT] = { "shipment", "labelled", prepare_shipment, apply_shipment },
    [DEED_CANCEL] = { "cancel", "cancelled", prepare_cancel, apply_cancel },
    [DEED_HANDOVER] = { "handover", "handed_over", prepare_handover, apply_handover },
    [DEED_EVENT] = { "event", NULL, prepare_event, apply_event },
};
#define DEEDS (sizeof(deeds) / sizeof(deeds[0]))

static int write_down(const struct carrier *c, const struct deed *deed, const struct shipment *shipment)
{
    return journal_line(&c->journal,
                        "{\"key\":\"%s\",\"kind\":\"%s\",\"status\":\"%s\",\"reference\":\"%s\",\"tracking_number\":"
                        "\"%s\",\"city\":\"%s\",\"weight_grams\":%" PRId64 ",\"hash\":\"%016" PRIx64
                        "\",\"seq\":%zu,\"time_us\":%" PRId64 ",\"promise_time_us\":%" PRId64 "}",
                        deed->key, deeds[deed->kind].name,
                        deeds[deed->kind].status ? deeds[deed->kind].status : deed->type, shipment->what.reference,
                        shipment->tracking_number, shipment->manners->city, shipment->what.weight_grams, shipment->hash,
                        deed->kind == DEED_EVENT ? c->n_events + 1 : 0, deed->time_us, deed->promise_time_us);
}

static int keep_deed(struct carrier *c, const struct deed *deed, bool written)
{
    struct shipment *known = shipment_find(c, deed->key), *shipment = known;
    int r = deeds[deed->kind].prepare(c, deed, &shipment);
    if (r == 0 && !written)
        r = write_down(c, deed, shipment);
    if (r == 0)
        deeds[deed->kind].apply(c, deed, shipment);
    else if (shipment != known)
        free(shipment);
    return r;
}

int carrier_do(struct carrier *c, const struct deed *deed)
{
    return keep_deed(c, deed, false);
}

/* --- time --- */

void carrier_advance(struct carrier *c, int64_t now_us)
{
    const struct move *move;
    while ((move = moves_first(&c->moves)) && move->due_us <= now_us) {
        const struct shipment *shipment = move->shipment;
        const struct leg *leg = &shipment->manners->journey[move->leg];
        int64_t later_us = shipment->copies == 0 ? carrier_pace(c, leg->later_us) : 0;
        if (shipment->leg != move->leg) {
            moves_pop(&c->moves);
            continue;
        }
        struct deed deed = { .kind = DEED_EVENT, .key = shipment->what.key, .type = leg->type };
        deed.time_us = move->due_us;
        deed.promise_time_us = shipment->what.promise_time_us + later_us;
        if (carrier_do(c, &deed) < 0)
            return;
    }
}

int64_t carrier_next_us(const struct carrier *c)
{
    const struct move *move = moves_first(&c->moves);
    return move ? move->due_us : INT64_MAX;
}

/* --- the book --- */

static const char *text_of(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "";
}

static int replay(struct carrier *c, const json_t *line)
{
    struct deed deed = {
        .key = text_of(line, "key"),
        .reference = text_of(line, "reference"),
        .city = text_of(line, "city"),
        .weight_grams = json_integer_value(json_object_get(line, "weight_grams")),
        .hash = strtoull(text_of(line, "hash"), NULL, 16),
        .type = text_of(line, "status"),
        .time_us = json_integer_value(json_object_get(line, "time_us")),
        .promise_time_us = json_integer_value(json_object_get(line, "promise_time_us")),
    };
    size_t kind = 0;
    while (kind < DEEDS && strcmp(deeds[kind].name, text_of(line, "kind")) != 0)
        kind++;
    if (kind == DEEDS || !outsider_is_id(deed.key))
        return -EBADMSG;
    deed.kind = kind;
    return keep_deed(c, &deed, true);
}

int carrier_replay(void *carrier, struct bytes line)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &error);
    int r = json_is_object(json) ? replay(carrier, json) : -EBADMSG;
    json_decref(json);
    return r;
}
