/* The state of all fulfilments told as events: each was created, was perhaps handed over, and what it has become since.
 *
 * Up to the handover there is one way only, so that what was told then is known: version 1 was created, 2 packed, 3
 * labelled and 4 handed over. */
#include "svc-shipping/manifest.h"

#include <errno.h>

#define VERSION_CREATED 1
#define VERSION_SHIPPED 4

/* As it was when it stood there first; standing 0: as it is. */
static int tell(struct txn *txn, Fulfillment *f, enum standing now, enum standing then, uint64_t version,
                struct event *ret_event)
{
    if (then) {
        f->state = standing_state(then);
        f->version = version;
    }
    if (then == ALLOCATED) {
        f->tracking_number = "";
        f->promise_time_us = 0;
    }
    return manifest_event(txn, standing_event(then ? then : now), f, ret_event);
}

static int tell_page(struct txn *txn, const struct rows *rows, enum standing then, uint64_t version,
                     struct event *ret_events, const char **ret_keys)
{
    Fulfillment **fulfillments;
    int r = fulfillments_read(txn, rows, rows->n, &fulfillments);
    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        ret_keys[i] = fulfillments[i]->fulfillment_id;
        r = tell(txn, fulfillments[i], (enum standing)row_int(rows, i, COLUMN_STANDING), then, version, &ret_events[i]);
    }
    return r < 0 ? r : (int)rows->n;
}

int created_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f "
                      "WHERE f.fulfillment_id > $1 ORDER BY f.fulfillment_id LIMIT $2",
                      T(after ? after : ""), I(max));
    return r < 0 ? r : tell_page(txn, &rows, ALLOCATED, VERSION_CREATED, ret_events, ret_keys);
}

/* Everything that has left: on its way, delivered, lost or returned. */
int shipped_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f "
                      "WHERE f.fulfillment_id > $1 AND f.standing IN (4, 5, 6, 7, 9, 10) "
                      "ORDER BY f.fulfillment_id LIMIT $2",
                      T(after ? after : ""), I(max));
    return r < 0 ? r : tell_page(txn, &rows, SHIPPED, VERSION_SHIPPED, ret_events, ret_keys);
}

/* What has been told by the two above is not told again. */
int became_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " FULFILLMENT_COLUMNS "FROM fulfillment f "
                      "WHERE f.fulfillment_id > $1 AND f.standing NOT IN (1, 2, 4) "
                      "ORDER BY f.fulfillment_id LIMIT $2",
                      T(after ? after : ""), I(max));
    return r < 0 ? r : tell_page(txn, &rows, 0, 0, ret_events, ret_keys);
}
