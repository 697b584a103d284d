/* LogService.Snapshot: the service's present state told as events, kind by kind, in pages.
 *
 * Every page repeats the position of the first: what changed after that comes again through the tail. A service
 * without kinds has no state to tell, so that its log from the floor on is all there is. */
#include "mesh/log/serve.h"
#include "mesh/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ENTRIES 256
#define PAGE_BYTES   (256 << 10)
#define CHUNK        32

/* What a page token holds. */
enum { FIELD_KIND, FIELD_AFTER, FIELD_INCARNATION, FIELD_SEQ, FIELDS };

struct place {
    size_t kind;
    const char *after; /* "": from the kind's first */
    struct log_position valid_at;
};

static const struct snapshot_kind *kinds_of(struct rpc_call *call, size_t *ret_n)
{
    const struct snapshot_kind *kinds = service_spec_of(rpc_service_of(call))->snapshots;
    size_t n = 0;
    while (kinds && kinds[n].page)
        n++;
    *ret_n = n;
    return kinds;
}

static int begin(struct txn *txn, size_t n_kinds, struct place *ret_place)
{
    uint64_t floor;
    *ret_place = (struct place){ .after = "" };
    int r = log_range(txn, &ret_place->valid_at, &floor);
    if (n_kinds == 0)
        ret_place->valid_at.seq = floor;
    return r;
}

static int go_on(struct rpc_call *call, struct txn *txn, const char *token, size_t n_kinds, struct place *ret_place)
{
    const char *fields[FIELDS];
    int r = rpc_page_open(call, token, "snapshot", fields, FIELDS);
    if (r < 0)
        return r;
    if (!fields[FIELD_KIND])
        return begin(txn, n_kinds, ret_place);
    *ret_place = (struct place){ .kind = strtoul(fields[FIELD_KIND], NULL, 10), .after = fields[FIELD_AFTER] };
    ret_place->valid_at.seq = strtoull(fields[FIELD_SEQ], NULL, 10);
    snprintf(ret_place->valid_at.incarnation, INCARNATION_MAX, "%s", fields[FIELD_INCARNATION]);
    return 0;
}

static int make_entry(struct txn *txn, const struct event *event, Mesh__V1__LogEntry **ret_entry)
{
    const struct log_entry entry = {
        .key = event->key,
        .owner = event->owner,
        .audience = event->audience,
        .type = event->type,
        .time_us = txn->now_us,
        .trace = "",
        .payload = arena_pack(txn->arena, event->payload),
    };
    *ret_entry = entry.payload.data ? log_message(txn->arena, &entry) : NULL;
    return *ret_entry ? 0 : -ENOMEM;
}

/* Adds what fits of the kind's next entries, moves the place, and says whether there is room for more. */
static int add_chunk(struct txn *txn, const struct snapshot_kind *kind, struct place *place,
                     Mesh__V1__SnapshotResponse *response, size_t *bytes)
{
    struct event events[CHUNK];
    const char *keys[CHUNK];
    int n = kind->page(txn, place->after, CHUNK, events, keys);
    for (int i = 0; i < n; i++) {
        Mesh__V1__LogEntry **entry = &response->entries[response->n_entries];
        int r = make_entry(txn, &events[i], entry);
        if (r < 0)
            return r;
        *bytes += (*entry)->payload.len;
        if (*bytes > PAGE_BYTES && response->n_entries > 0)
            return 0;
        response->n_entries++;
        place->after = keys[i];
    }
    if (n >= 0 && n < CHUNK)
        *place = (struct place){ .kind = place->kind + 1, .after = "", .valid_at = place->valid_at };
    return n < 0 ? n : response->n_entries + CHUNK <= PAGE_ENTRIES;
}

static const char *token_of(struct rpc_call *call, const struct place *place)
{
    char kind[24], seq[24];
    snprintf(kind, sizeof(kind), "%zu", place->kind);
    snprintf(seq, sizeof(seq), "%" PRIu64, place->valid_at.seq);
    const char *const fields[FIELDS] = { kind, place->after, place->valid_at.incarnation, seq };
    return rpc_page_token(call, "snapshot", fields, FIELDS);
}

int log_snapshot(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Mesh__V1__SnapshotRequest *request = in;
    Mesh__V1__SnapshotResponse *response = out;
    size_t n_kinds, bytes = 0;
    const struct snapshot_kind *kinds = kinds_of(call, &n_kinds);
    struct place place;
    int r = go_on(call, txn, request->page_token, n_kinds, &place);
    if (r < 0)
        return r;

    response->entries = arena_alloc(rpc_arena(call), PAGE_ENTRIES * sizeof(*response->entries));
    response->valid_at = log_position_at(rpc_arena(call), place.valid_at.incarnation, place.valid_at.seq);
    if (!response->entries || !response->valid_at)
        return -ENOMEM;
    for (int more = 1; more && place.kind < n_kinds;)
        if ((more = add_chunk(txn, &kinds[place.kind], &place, response, &bytes)) < 0)
            return more;
    if (place.kind >= n_kinds)
        return 0;
    const char *token = token_of(call, &place);
    response->next_page_token = (char *)token;
    return token ? 0 : -ENOMEM;
}
