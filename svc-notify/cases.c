/* Cases raised and settled by what happens: a page of events is raised and settled at once, but where a matter that has
 * ended begins again. */
#include "svc-notify/notify.h"

#include "mesh/base/id.h"

#include <errno.h>
#include <string.h>

static const char *kind_name(int64_t kind)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&oms__notify__v1__case__kind__descriptor, (int)kind);
    return value ? value->name : "";
}

static const char *event_name(int32_t type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&oms__event__v1__event_type__descriptor, type);
    return value ? value->name : "";
}

int case_tell(struct txn *txn, int32_t type, const char *case_id, int64_t kind, const char *order_id, uint64_t version)
{
    CaseChanged payload = OMS__EVENT__V1__CASE_CHANGED__INIT;
    payload.case_id = (char *)case_id;
    payload.kind = (char *)kind_name(kind);
    payload.order_id = (char *)order_id;
    payload.version = version;
    return log_append(txn, &(struct event){
                               .type = type,
                               .key = case_id,
                               .owner = "",
                               .audience = AUDIENCE_STAFF,
                               .payload = &payload.base,
                           });
}

/* Rows of (case_id, kind, order_id, version, ref), each told as the work of the news that changed it. */
static int tell_rows(struct txn *txn, int32_t type, const struct rows *rows, const struct news *news, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        for (size_t k = 0; k < n; k++)
            if (strcmp(news[k].ref, row_text(rows, i, 4)) == 0)
                txn->trace = &news[k].trace;
        r = case_tell(txn, type, row_text(rows, i, 0), row_int(rows, i, 1), row_text(rows, i, 2), row_int(rows, i, 3));
        txn->trace = NULL;
    }
    return r;
}

static int raise_cases(struct txn *txn, const struct news *news, size_t n)
{
    enum { COLUMNS = 8 };
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    size_t raised = 0;
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (news[i].raises == NO_CASE)
            continue;
        char *id = arena_alloc(txn->arena, ID_MAX);
        if (!id)
            return -ENOMEM;
        id_make(store_port(txn->store), "cas", id);
        const struct value row[COLUMNS] = {
            T(id),          I(news[i].raises), T(news[i].order_id), T(news[i].customer_id),
            T(news[i].ref), T(news[i].detail), I(txn->now_us),      I(news[i].entry->snapshot),
        };
        memcpy(values + raised++ * COLUMNS, row, sizeof(row));
    }
    if (raised == 0)
        return 0;

    struct rows rows;
    int r = txn_query_many(
        txn, &rows,
        "WITH v (case_id, kind, order_id, customer_id, ref, detail, now_us, snapshot) AS (VALUES (CAST($1 AS TEXT), "
        "CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT), "
        "CAST($7 AS BIGINT), CAST($8 AS BIGINT))) "
        "INSERT INTO alert_case (case_id, kind, state, order_id, customer_id, ref, detail, raise_time_us, "
        "acknowledge_time_us, acknowledged_by, resolve_time_us, resolved_by, resolution, version) "
        "SELECT v.case_id, v.kind, 1, v.order_id, v.customer_id, v.ref, v.detail, v.now_us, 0, '', 0, '', '', 1 FROM v "
        "WHERE v.snapshot = 0 OR NOT EXISTS (SELECT 1 FROM alert_case c WHERE c.order_id = v.order_id "
        "AND c.ref = v.ref AND c.kind = v.kind) "
        "ON CONFLICT (ref, kind) WHERE state <> 3 DO NOTHING RETURNING case_id, kind, order_id, version, ref",
        raised, COLUMNS, values);
    return r < 0 ? r : tell_rows(txn, OMS__EVENT__V1__EVENT_TYPE__CASE_RAISED, &rows, news, n);
}

static int settle_cases(struct txn *txn, const struct news *news, size_t n)
{
    enum { COLUMNS = 5 };
    size_t max = 0, settled = 0;
    for (size_t i = 0; i < n; i++)
        max += (size_t)__builtin_popcount(news[i].settles);
    if (max == 0)
        return 0;
    struct value *values = arena_alloc(txn->arena, max * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        for (int kind = 1; kind < CASE_KINDS; kind++) {
            if (!(news[i].settles & 1u << kind))
                continue;
            const struct value row[COLUMNS] = { I(kind), T(news[i].ref), T(event_name(news[i].entry->type)),
                                                T(notify_service.name), I(txn->now_us) };
            memcpy(values + settled++ * COLUMNS, row, sizeof(row));
        }

    struct rows rows;
    int r = txn_query_each(txn, &rows,
                           "UPDATE alert_case SET state = 3, resolution = $3, resolved_by = $4, resolve_time_us = $5, "
                           "version = version + 1 WHERE kind = $1 AND ref = $2 AND state <> 3 "
                           "RETURNING case_id, kind, order_id, version, ref",
                           settled, COLUMNS, values);
    return r < 0 ? r : tell_rows(txn, OMS__EVENT__V1__EVENT_TYPE__CASE_RESOLVED, &rows, news, n);
}

static int apply(struct txn *txn, const struct news *news, size_t n)
{
    int r = raise_cases(txn, news, n);
    return r < 0 ? r : settle_cases(txn, news, n);
}

static bool settled_before(const struct news *news, size_t from, size_t at)
{
    for (size_t i = from; i < at; i++)
        if (news[i].settles & 1u << news[at].raises && strcmp(news[i].ref, news[at].ref) == 0)
            return true;
    return false;
}

/* All that is raised, then all that is settled: the order is wrong only for what is settled first and raised then. */
int cases_follow(struct txn *txn, const struct news *news, size_t n)
{
    size_t from = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (news[i].raises == NO_CASE || !settled_before(news, from, i))
            continue;
        r = apply(txn, news + from, i - from);
        from = i;
    }
    return r < 0 ? r : apply(txn, news + from, n - from);
}

int case_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    static const int32_t events[] = {
        [OPEN] = OMS__EVENT__V1__EVENT_TYPE__CASE_RAISED,
        [ACKNOWLEDGED] = OMS__EVENT__V1__EVENT_TYPE__CASE_ACKNOWLEDGED,
        [RESOLVED] = OMS__EVENT__V1__EVENT_TYPE__CASE_RESOLVED,
    };
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT case_id, kind, order_id, version, state FROM alert_case WHERE case_id > $1 "
                      "ORDER BY case_id LIMIT $2",
                      T(after ? after : ""), I(max));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        CaseChanged *changed = arena_message(txn->arena, &oms__event__v1__case_changed__descriptor);
        if (!changed)
            return -ENOMEM;
        changed->case_id = (char *)row_text(&rows, i, 0);
        changed->kind = (char *)kind_name(row_int(&rows, i, 1));
        changed->order_id = (char *)row_text(&rows, i, 2);
        changed->version = row_int(&rows, i, 3);
        ret_events[i] = (struct event){
            .type = events[row_int(&rows, i, 4)],
            .key = changed->case_id,
            .owner = "",
            .audience = AUDIENCE_STAFF,
            .payload = &changed->base,
        };
        ret_keys[i] = changed->case_id;
    }
    return (int)rows.n;
}
