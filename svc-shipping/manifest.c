/* One query reads the manifest, another its lines; at most three kinds of statement write it, however many there are.
 */
#include "svc-shipping/manifest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TRACKING_COLUMNS = 4 };

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return strcmp(x->told->fulfillment_id, y->told->fulfillment_id);
}

/* Each id once, as values of a statement. */
static struct value *sort_ids(struct arena *arena, const char *const *ids, size_t *n)
{
    const char **sorted = arena_alloc(arena, *n * sizeof(*sorted));
    struct value *values = arena_alloc(arena, *n * sizeof(*values));
    size_t kept = 0;
    if (!sorted || !values)
        return NULL;
    memcpy(sorted, ids, *n * sizeof(*sorted));
    qsort(sorted, *n, sizeof(*sorted), compare_texts);
    for (size_t i = 0; i < *n; i++) {
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
            values[kept++] = T(sorted[i]);
    }
    *n = kept;
    return values;
}

static int read_entries(struct manifest *m, const struct rows *rows)
{
    Fulfillment **fulfillments;
    int r = fulfillments_read(m->txn, rows, rows->n, &fulfillments);
    if (r < 0)
        return r;
    m->entries = arena_alloc(m->txn->arena, rows->n * sizeof(*m->entries));
    if (!m->entries)
        return -ENOMEM;
    for (m->n = 0; m->n < rows->n; m->n++) {
        m->entries[m->n] = (struct entry){
            .standing = (enum standing)row_int(rows, m->n, COLUMN_STANDING),
            .weight_grams = row_int(rows, m->n, COLUMN_WEIGHT),
            .told = fulfillments[m->n],
            .version_before = fulfillments[m->n]->version,
        };
    }
    qsort(m->entries, m->n, sizeof(*m->entries), compare_entries);
    return 0;
}

int manifest_open(struct txn *txn, const char *const *ids, size_t n, size_t max_steps, struct manifest *ret_manifest)
{
    struct manifest m = { .txn = txn, .max_events = max_steps };
    struct value *values = sort_ids(txn->arena, ids, &n);
    m.events = arena_alloc(txn->arena, max_steps * sizeof(*m.events));
    m.tracking = arena_alloc(txn->arena, max_steps * TRACKING_COLUMNS * sizeof(*m.tracking));
    if (!values || !m.events || !m.tracking)
        return -ENOMEM;

    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (id) AS (VALUES (CAST($1 AS TEXT))) SELECT " FULFILLMENT_COLUMNS
                           "FROM wanted CROSS JOIN fulfillment f WHERE f.fulfillment_id = wanted.id",
                           n, 1, values);
    if (r < 0)
        return r;
    r = read_entries(&m, &rows);
    if (r < 0)
        return r;
    *ret_manifest = m;
    return 0;
}

struct entry *manifest_find(const struct manifest *m, const char *fulfillment_id)
{
    Fulfillment told = OMS__SHIPPING__V1__FULFILLMENT__INIT;
    const struct entry wanted = { .told = &told };
    told.fulfillment_id = (char *)fulfillment_id;
    return bsearch(&wanted, m->entries, m->n, sizeof(wanted), compare_entries);
}

int manifest_event(struct txn *txn, int32_t type, const Fulfillment *f, struct event *ret_event)
{
    FulfillmentChanged *payload = arena_message(txn->arena, &oms__event__v1__fulfillment_changed__descriptor);
    if (!payload)
        return -ENOMEM;
    *payload = (FulfillmentChanged){
        .base = payload->base,
        .fulfillment_id = f->fulfillment_id,
        .order_id = f->order_id,
        .location_id = f->location_id,
        .state = f->state,
        .n_lines = f->n_lines,
        .lines = f->lines,
        .carrier = f->carrier,
        .tracking_number = f->tracking_number,
        .promise_time_us = f->promise_time_us,
        .version = f->version,
        .operation_id = f->operation_id,
        .n_missing = f->n_missing,
        .missing = f->missing,
    };
    *ret_event = (struct event){
        .type = type,
        .key = f->order_id,
        .owner = f->customer_id,
        .audience = AUDIENCE_FULFILLMENT,
        .payload = &payload->base,
    };
    return 0;
}

static const char *exception_of(enum standing standing, const struct news *news)
{
    switch (standing) {
    case REFUSED:
        return news->refused;
    case LOST:
        return "LOST";
    case RETURNED:
        return "RETURNED";
    default:
        return "";
    }
}

static void change(struct entry *entry, enum standing becomes, const struct news *news, int64_t now_us)
{
    Fulfillment *f = entry->told;
    entry->standing = becomes;
    f->state = standing_state(becomes);
    f->exception = (char *)exception_of(becomes, news);
    f->delayed = f->delayed || becomes == LATE;
    f->update_time_us = now_us;
    f->version++;
    if (news->tracking_number)
        f->tracking_number = (char *)news->tracking_number;
    if (news->promise_time_us)
        f->promise_time_us = news->promise_time_us;
}

int manifest_move(struct manifest *m, struct entry *entry, const struct fulfillment_step *step, const struct news *news)
{
    if (!step->becomes)
        return 0;
    assert(m->n_events < m->max_events && m->n_tracking < m->max_events);
    change(entry, step->becomes, news, m->txn->now_us);
    if (step->tracking) {
        const struct value row[TRACKING_COLUMNS] = { T(entry->told->fulfillment_id), I(entry->told->version),
                                                     I(step->tracking),
                                                     I(news->time_us ? news->time_us : m->txn->now_us) };
        memcpy(m->tracking + m->n_tracking++ * TRACKING_COLUMNS, row, sizeof(row));
    }
    int r = step->event ? manifest_event(m->txn, step->event, entry->told, &m->events[m->n_events++]) : 0;
    return r < 0 ? r : carrier_act(m->txn, step->action, entry->told);
}

/* The row decides a race: whoever comes second finds another version, and is run again on what is there now. */
static int write_entries(struct manifest *m)
{
    enum { COLUMNS = 10 };
    size_t n = 0;
    struct value *values = arena_alloc(m->txn->arena, m->n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (const struct entry *e = m->entries; e < m->entries + m->n; e++) {
        const Fulfillment *f = e->told;
        if (f->version == e->version_before)
            continue;
        const struct value row[COLUMNS] = {
            T(f->fulfillment_id),  I(e->version_before), I(e->standing),  I(e->weight_grams),   T(f->tracking_number),
            I(f->promise_time_us), I(f->delayed),        T(f->exception), I(f->update_time_us), I(f->version),
        };
        memcpy(values + n++ * COLUMNS, row, sizeof(row));
    }

    struct rows rows;
    int r = txn_query_each(m->txn, &rows,
                           "UPDATE fulfillment SET standing = $3, weight_grams = $4, tracking_number = $5, "
                           "promise_time_us = $6, delayed = $7, exception = $8, update_time_us = $9, version = $10 "
                           "WHERE fulfillment_id = $1 AND version = $2 RETURNING fulfillment_id",
                           n, COLUMNS, values);
    if (r < 0)
        return r;
    return rows.n == n ? 0 : -EAGAIN;
}

int manifest_close(struct manifest *m)
{
    int r = write_entries(m);
    if (r < 0)
        return r;
    r = txn_post_many(m->txn,
                      "INSERT INTO tracking_event (fulfillment_id, version, type, time_us) "
                      "VALUES ($1, $2, $3, $4)",
                      m->n_tracking, TRACKING_COLUMNS, m->tracking);
    return r < 0 ? r : log_append_many(m->txn, m->events, m->n_events);
}

int manifest_happened(struct txn *txn, const char *fulfillment_id, enum fulfillment_outcome outcome,
                      const struct news *news)
{
    struct manifest m;
    int r = manifest_open(txn, &fulfillment_id, 1, 1, &m);
    struct entry *entry = r < 0 ? NULL : manifest_find(&m, fulfillment_id);
    if (!entry)
        return r;
    r = manifest_move(&m, entry, fulfillment_happened(entry->standing, outcome), news);
    return r < 0 ? r : manifest_close(&m);
}
