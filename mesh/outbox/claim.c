/* Claiming: pages of due heads, read on a snapshot and made parcels, each row once.
 *
 * A scan reads what is due, page by page as there is room for it, and the next one begins where it ended: nothing is
 * made due before the time of the transaction that makes it so (queue.h), and no other process writes here. It ends at
 * the last commit that was told before it began, as a later one may have been under way. Only when the clock was set
 * back, a row passed over or a parcel forgotten, the next one begins at the start. */
#include "mesh/base/say.h"
#include "mesh/outbox/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_ARENA \
    ((size_t)DESTINATIONS_MAX << 20) /* rows of OUTBOX_REQUEST_MAX are rare, and an -ENOMEM is retried */

static size_t bucket_of(const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key; key++)
        hash = (hash ^ (uint8_t)*key) * 16777619u;
    return hash % PARCEL_BUCKETS;
}

static void unlink_parcel(struct destination *to, struct parcel *parcel)
{
    struct parcel **at = &to->buckets[bucket_of(parcel->letter.key)];
    while (*at != parcel)
        at = &(*at)->in_bucket;
    *at = parcel->in_bucket;
    free(parcel);
}

void parcel_gone(struct destination *to, struct parcel *parcel)
{
    struct relay *relay = to->relay;
    to->dirty |= to->held_back;
    to->held_back = false;
    if (!relay->claim.running)
        return unlink_parcel(to, parcel);
    parcel->gone = true;
    parcel->next = relay->claim.gone;
    relay->claim.gone = parcel;
}

void parcel_put_back(struct destination *to, struct parcel *parcel)
{
    parcel->next = to->ready;
    to->ready = parcel;
    if (!parcel->next)
        to->ready_end = &parcel->next;
    to->n_ready++;
}

void parcels_drop_ready(struct destination *to)
{
    while (to->ready) {
        struct parcel *parcel = to->ready;
        to->ready = parcel->next;
        unlink_parcel(to, parcel);
    }
    to->ready_end = &to->ready;
    to->n_ready = 0;
}

void destination_free(struct destination *to)
{
    for (size_t i = 0; i < PARCEL_BUCKETS; i++)
        while (to->buckets[i]) {
            struct parcel *parcel = to->buckets[i];
            to->buckets[i] = parcel->in_bucket;
            free(parcel);
        }
    free((char *)to->place.key);
    free(to->name);
    free(to);
}

static struct destination *find_destination(struct relay *relay, const char *name)
{
    for (size_t i = 0; i < relay->n_destinations; i++)
        if (strcmp(relay->destinations[i]->name, name) == 0)
            return relay->destinations[i];
    return NULL;
}

static struct destination *make_destination(struct relay *relay, const char *name)
{
    struct destination *to = calloc(1, sizeof(*to));
    char *copy = strdup(name);
    if (!to || !copy) {
        free(to);
        free(copy);
        return NULL;
    }
    char labels[160];
    snprintf(labels, sizeof(labels), "destination=\"%.128s\"", *name ? name : "timers");
    to->relay = relay;
    to->name = copy;
    to->ready_end = &to->ready;
    to->next_due_us = INT64_MAX;
    to->whole = true;
    to->read = metric_make(METRIC_COUNTER, "mesh_outbox_read_total", "Rows read to be sent.", labels);
    to->delivered =
        metric_make(METRIC_COUNTER, "mesh_outbox_delivered_total", "Commands delivered, timers fired.", labels);
    to->failed = metric_make(METRIC_COUNTER, "mesh_outbox_failed_total", "Attempts that will be repeated.", labels);
    to->open = metric_make(METRIC_GAUGE, "mesh_outbox_circuit_open", "1 while only probes are sent.", labels);
    to->unknown =
        metric_make(METRIC_GAUGE, "mesh_outbox_unknown_kinds", "Rows of kinds this release does not know.", labels);
    relay->destinations[relay->n_destinations++] = to;
    return to;
}

static bool known_kind(const struct relay *relay, struct parcel *parcel)
{
    for (const struct deliverer *d = relay->deliverers; *parcel->letter.destination && d && d->method; d++)
        if (strcmp(d->method, parcel->letter.method) == 0)
            parcel->deliverer = d;
    for (const struct timer_row *t = relay->timers; !*parcel->letter.destination && t && t->name; t++)
        if (strcmp(t->name, parcel->letter.method) == 0)
            parcel->timer = t;
    return parcel->deliverer || parcel->timer;
}

static bool same_row(const struct letter *a, const struct letter *b)
{
    return strcmp(a->id, b->id) == 0 && a->next_us == b->next_us && a->attempts == b->attempts;
}

/* The same row again, or another of a queue that has one here already: that one has perhaps been settled, but nobody
 * here knows yet. */
static bool taken(struct destination *to, const struct letter *letter)
{
    for (struct parcel *p = to->buckets[bucket_of(letter->key)]; p; p = p->in_bucket) {
        if (strcmp(p->letter.key, letter->key) != 0)
            continue;
        if (same_row(&p->letter, letter))
            return true;
        if (!p->gone && (to->name[0] || strcmp(p->letter.id, letter->id) == 0))
            return to->held_back = true;
    }
    return false;
}

static struct parcel *make_parcel(struct destination *to, const struct letter *letter)
{
    const char *const from[] = { letter->key, letter->id, letter->method, letter->trace };
    size_t len[4], total = letter->request.len;
    for (size_t i = 0; i < 4; i++)
        total += len[i] = strlen(from[i]) + 1;
    struct parcel *parcel = malloc(sizeof(*parcel) + total);
    if (!parcel)
        return NULL;
    *parcel = (struct parcel){ .letter = *letter };
    const char **into[] = { &parcel->letter.key, &parcel->letter.id, &parcel->letter.method, &parcel->letter.trace };
    char *at = parcel->data;
    for (size_t i = 0; i < 4; at += len[i++])
        *into[i] = memcpy(at, from[i], len[i]);
    parcel->letter.destination = to->name;
    parcel->letter.request.data = memcpy(at, letter->request.data, letter->request.len);
    return parcel;
}

static bool accept_letter(struct destination *to, const struct letter *letter)
{
    if (taken(to, letter))
        return true;
    struct parcel *parcel = make_parcel(to, letter);
    if (!parcel)
        return false;
    if (!known_kind(to->relay, parcel)) {
        to->n_unknown++;
        to->dirty |= !to->whole; /* to count them all */
        free(parcel);
        return true;
    }
    parcel->alone = parcel->deliverer && parcel->deliverer->outside;
    struct parcel **bucket = &to->buckets[bucket_of(letter->key)];
    parcel->in_bucket = *bucket;
    *bucket = parcel;
    *to->ready_end = parcel;
    to->ready_end = &parcel->next;
    to->n_ready++;
    return true;
}

static void set_place(struct destination *to, const struct letter_place *place)
{
    char *key = place->key ? strdup(place->key) : NULL;
    free((char *)to->place.key);
    to->place = *place;
    to->place.key = key;
}

static void begin_scan(struct destination *to)
{
    to->horizon_us = atomic_load(&to->relay->committed_us);
    to->whole = to->dirty;
    if (to->whole)
        to->n_unknown = 0;
    set_place(to, &(struct letter_place){ .next_us = to->whole ? 0 : to->seen_us + 1 });
    to->dirty = to->news = false;
}

static void end_scan(struct destination *to)
{
    int64_t now_us = to->relay->claim.now_us;
    to->scanning = false;
    to->seen_us = to->horizon_us < now_us ? to->horizon_us : now_us;
    if (to->whole)
        metric_set(to->unknown, (int64_t)to->n_unknown);
}

/* A full page is followed by another one, once there is room; the last one ends the scan. */
static void accept_page(struct destination *to, const struct letter *letters, size_t n)
{
    size_t accepted = 0;
    metric_add(to->read, (int64_t)n);
    while (accepted < n && accept_letter(to, &letters[accepted]))
        accepted++;
    to->dirty |= accepted < n;
    to->scanning = accepted == CLAIM_MAX;
    if (!to->scanning)
        return end_scan(to);
    const struct letter *last = &letters[n - 1];
    set_place(to, &(struct letter_place){ last->next_us, last->n, last->key });
}

static int recall(struct txn *txn)
{
    return txn_post(txn, "UPDATE outbox SET next_us = $1 WHERE state = 0 AND attempts > 0 AND next_us > $1",
                    I(txn->now_us));
}

static const struct claim_ask *find_ask(const struct relay *relay, const char *name)
{
    for (size_t i = 0; i < relay->claim.n_asks; i++)
        if (strcmp(relay->claim.asks[i].name, name) == 0)
            return &relay->claim.asks[i];
    return NULL;
}

static int run_claim(struct txn *txn, void *arg)
{
    static const struct claim_ask everything = { .page = true };
    struct relay *relay = arg;
    int r = 0;
    relay->claim.n_answers = 0;
    relay->claim.now_us = txn->now_us;
    if (relay->claim.recall && ((r = lease_guard(txn, &relay->claim.hold)) < 0 || (r = recall(txn)) < 0))
        return r;

    const char *name = NULL;
    while (relay->claim.n_answers < DESTINATIONS_MAX && (r = letter_destination(txn, name, &name)) == 0 && name) {
        const struct claim_ask *ask = find_ask(relay, name);
        struct claim_answer *answer = &relay->claim.answers[relay->claim.n_answers++];
        *answer = (struct claim_answer){ .name = name, .n = -1 };
        if (!ask)
            ask = &everything;
        if (ask->page && (answer->n = letter_due(txn, name, &ask->place, CLAIM_MAX, &answer->letters)) < 0)
            return answer->n;
        if ((r = letter_next_due(txn, name, &answer->next_due_us)) < 0)
            return r;
    }
    return r;
}

static void claim_done(struct unit *unit, int result)
{
    struct relay *relay = OF(unit, struct relay, claim.unit);
    relay->claim.result = result;
    relay->port->post(relay->port, LANE_LOOP, &relay->claim.task);
}

static const struct claim_answer *find_answer(const struct relay *relay, const char *name)
{
    static const struct claim_answer nothing = { .next_due_us = INT64_MAX };
    for (size_t i = 0; i < relay->claim.n_answers; i++)
        if (strcmp(relay->claim.answers[i].name, name) == 0)
            return &relay->claim.answers[i];
    return &nothing;
}

static void apply_answers(struct relay *relay)
{
    for (size_t i = 0; i < relay->claim.n_answers && relay->n_destinations < DESTINATIONS_MAX; i++)
        if (!find_destination(relay, relay->claim.answers[i].name))
            make_destination(relay, relay->claim.answers[i].name);
    for (size_t i = 0; i < relay->n_destinations; i++) {
        struct destination *to = relay->destinations[i];
        const struct claim_ask *ask = find_ask(relay, to->name);
        const struct claim_answer *answer = find_answer(relay, to->name);
        to->next_due_us = answer->next_due_us;
        if (!ask || ask->page)
            accept_page(to, answer->letters, answer->n > 0 ? (size_t)answer->n : 0);
    }
}

static void claim_failed(struct relay *relay)
{
    say(SAY_WARN, NULL, "claiming from the outbox failed", SAY_N("errno", -relay->claim.result));
    claim_everything(relay);
    relay->claim.after_us = relay->port->mono_us(relay->port) + STORE_PAUSE_US;
}

void claim_news(struct relay *relay)
{
    relay->claim.wanted = true;
    for (size_t i = 0; i < relay->n_destinations; i++)
        relay->destinations[i]->news = true;
}

void claim_everything(struct relay *relay)
{
    relay->claim.wanted = true;
    for (size_t i = 0; i < relay->n_destinations; i++)
        relay->destinations[i]->dirty = true;
}

bool claim_pending(const struct destination *to)
{
    return to->scanning || to->dirty || to->news;
}

static void claim_end(struct task *task)
{
    struct relay *relay = OF(task, struct relay, claim.task);
    if (relay->claim.result == 0 && lease_held(&relay->lease) && !relay->stopping)
        apply_answers(relay);
    relay->claim.running = false;
    if (relay->claim.result == 0)
        relay->claim.recall = false;
    else
        claim_failed(relay);

    while (relay->claim.gone) {
        struct parcel *parcel = relay->claim.gone;
        relay->claim.gone = parcel->next;
        unlink_parcel(find_destination(relay, parcel->letter.destination), parcel);
    }
    arena_finish(&relay->claim.arena);
    relay_turn(relay);
}

void claim_start(struct relay *relay)
{
    int64_t mono = relay->port->mono_us(relay->port);
    if (relay->claim.running || mono < relay->claim.after_us)
        return;
    bool wanted = relay->claim.wanted;
    relay->claim.n_asks = 0;
    for (size_t i = 0; i < relay->n_destinations; i++) {
        struct destination *to = relay->destinations[i];
        bool open = !circuit_closed(&to->circuit);
        bool page = claim_pending(to) && to->n_ready < READY_LOW && !(open && mono < to->sweep_us);
        wanted |= page;
        if (page && open)
            to->sweep_us = mono + SWEEP_US;
        if (page && !to->scanning)
            begin_scan(to);
        relay->claim.asks[relay->claim.n_asks++] =
            (struct claim_ask){ .name = to->name, .page = page, .place = to->place };
    }
    if (!wanted)
        return;
    relay->claim.wanted = false;
    relay->claim.running = true;
    relay->claim.task.run = claim_end;
    relay->claim.hold = lease_hold(&relay->lease);
    arena_init(&relay->claim.arena, CLAIM_ARENA);
    relay->claim.unit =
        (struct unit){ .run = run_claim, .arg = relay, .arena = &relay->claim.arena, .done = claim_done };
    if (relay->claim.recall)
        store_write(relay->store, &relay->claim.unit);
    else
        store_read(relay->store, &relay->claim.unit);
}
