/* Request rows around the units of mutating methods, one by one or for a whole batch in a few statements. */
#include "mesh/rpc/idempotency.h"
#include "mesh/base/id.h"
#include "mesh/rpc/call.h"
#include "mesh/rpc/types.h"

#include <stdio.h>
#include <string.h>

const struct migration rpc_migrations[] = {
    { 1, "requests and their replies",
      "CREATE TABLE rpc_request (\n"
      "  id {text} NOT NULL,\n"
      "  method {text} NOT NULL,\n"
      "  principal {text} NOT NULL,\n"
      "  hash {blob} NOT NULL,\n" /* empty: a tombstone */
      "  reply {blob},\n"         /* null: rebuilt from the resource */
      "  resource {text} NOT NULL,\n"
      "  defer_key {text} NOT NULL,\n"
      "  service {int} NOT NULL CHECK (service IN (0, 1)),\n"
      "  create_time_us {int} NOT NULL,\n"
      "  PRIMARY KEY (id, method, principal)\n"
      ") {clustered};\n"
      "CREATE INDEX rpc_request_by_age ON rpc_request (service, create_time_us);\n" },
    {}
};

static const char *text_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return *(char *const *)((const uint8_t *)message + field->offset);
}

static const char *id_of(const struct rpc_call *call)
{
    return text_of(call->in, call->method->request_id);
}

static bool of_service(const struct rpc_call *call)
{
    return caller_is(&call->caller, MESH__V1__ROLE__SERVICE);
}

int request_begin(struct rpc_call *call, struct bytes request)
{
    struct dispatch *d = call->dispatch;
    const char *id = id_of(call);
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (*id == '\0')
        return rpc_fail_field(call, call->method->request_id->name, "FIELD_REQUIRED", "must be given");

    int64_t made_ms = id_time_ms(id);
    int64_t keep_us = of_service(call) ? COMMAND_KEEP_US : REQUEST_KEEP_US;
    int64_t age_us = made_ms >= 0 ? d->port->wall_us(d->port) - made_ms * 1000 : 0;
    /* It would outlive its own row, and then be carried out again. */
    if (age_us < -REQUEST_AHEAD_US)
        return rpc_fail_field(call, call->method->request_id->name, "REQUEST_ID_IN_THE_FUTURE",
                              "was made more than a day from now");
    if (age_us > keep_us)
        return rpc_fail_state(call, id, "REQUEST_ID_TOO_OLD",
                              "the request id is older than replies are kept, so that it may have been carried out");

    if (EVP_DigestInit_ex2(call->digest, d->sha256, NULL) != 1 ||
        EVP_DigestUpdate(call->digest, request.data, request.len) != 1 ||
        EVP_DigestFinal_ex(call->digest, digest, NULL) != 1)
        return -ENOMEM;
    memcpy(call->hash, digest, HASH_BYTES);
    call->id_hash = name_hash(id, strlen(id));
    snprintf(call->principal, sizeof(call->principal), "%c:%s", of_service(call) ? 's' : 'u', call->caller.subject);
    return 0;
}

/* --- what is known --- */

enum { ROW_ID, ROW_PRINCIPAL, ROW_HASH, ROW_REPLY, ROW_RESOURCE, ROW_DEFER_KEY };
#define COLUMNS "r.id, r.principal, r.hash, r.reply, r.resource, r.defer_key"

static char *kept_text(struct rpc_call *call, const struct rows *rows, size_t row, size_t column)
{
    const char *text = row_text(rows, row, column);
    return *text ? arena_copy(&call->arena, text, strlen(text)) : NULL;
}

/* Copies, as the rows of a batch belong to another call. */
static int answer_stored(struct txn *txn, struct rpc_call *call, const struct rows *rows, size_t row)
{
    const struct rpc_method *handlers = call->method->row;
    struct bytes hash = row_blob(rows, row, ROW_HASH), reply = row_blob(rows, row, ROW_REPLY);
    if (hash.len == 0)
        return rpc_fail_state(call, id_of(call), "OPERATION_UNDONE", "the operation was undone before it came");
    if (hash.len != HASH_BYTES || memcmp(hash.data, call->hash, HASH_BYTES) != 0)
        return rpc_fail_field(call, call->method->request_id->name, "REQUEST_ID_REUSED",
                              "another request has had this id");
    call->resource = kept_text(call, rows, row, ROW_RESOURCE);
    call->defer_key = kept_text(call, rows, row, ROW_DEFER_KEY);
    if (!row_null(rows, row, ROW_REPLY)) {
        const char *copy = arena_copy(&call->arena, reply.data, reply.len);
        call->reply = (struct bytes){ (const uint8_t *)copy, reply.len };
        return copy ? 0 : -ENOMEM;
    }
    int r = handlers->replay ? handlers->replay(call, txn, call->in, call->out) : -EINVAL;
    return r < 0 ? r : call_pack(call);
}

static int find_one(struct txn *txn, struct rpc_call *call)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " COLUMNS " FROM rpc_request r WHERE r.id = $1 AND r.method = $2 AND r.principal = $3",
                      T(id_of(call)), T(call->method->rule->full_name), T(call->principal));
    if (r < 0)
        return r;
    if (rows.n > 0)
        call->result = answer_stored(txn, call, &rows, 0);
    return 0;
}

static int find_many(struct txn *txn, struct rpc_call **calls, size_t n)
{
    struct rows rows;
    struct value *values = arena_alloc(txn->arena, n * 3 * sizeof(*values)), *v = values;
    for (size_t i = 0; values && i < n; i++) {
        *v++ = T(id_of(calls[i]));
        *v++ = T(calls[i]->method->rule->full_name);
        *v++ = T(calls[i]->principal);
    }
    int r =
        !values
            ? -ENOMEM
            : txn_query_many(txn, &rows,
                             "WITH asked (id, method, principal) AS (VALUES ($1, $2, $3)) SELECT " COLUMNS
                             " FROM asked CROSS JOIN rpc_request r WHERE r.id = asked.id AND r.method = asked.method"
                             " AND r.principal = asked.principal",
                             n, 3, values);
    for (size_t row = 0; r == 0 && row < rows.n; row++)
        for (size_t i = 0; i < n; i++)
            if (calls[i]->result == PENDING && strcmp(row_text(&rows, row, ROW_ID), id_of(calls[i])) == 0 &&
                strcmp(row_text(&rows, row, ROW_PRINCIPAL), calls[i]->principal) == 0)
                calls[i]->result = answer_stored(txn, calls[i], &rows, row);
    return r;
}

/* Of several with one id the first is run, and the others again behind it. */
static int part_repeats(struct txn *txn, struct rpc_call **calls, size_t n)
{
    uint64_t *seen = arena_alloc(txn->arena, n * sizeof(*seen));
    if (!seen)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        seen[i] = calls[i]->id_hash;
        for (size_t k = 0; k < i && calls[i]->result == PENDING; k++)
            if (seen[k] == seen[i] && calls[k]->result == PENDING && strcmp(id_of(calls[k]), id_of(calls[i])) == 0 &&
                strcmp(calls[k]->principal, calls[i]->principal) == 0)
                calls[i]->result = -EALREADY;
    }
    return 0;
}

static int find(struct txn *txn, struct rpc_call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        call_reset(calls[i]);
        int over = call_over(calls[i]);
        calls[i]->result = over < 0 ? over : PENDING;
        calls[i]->fresh = false;
    }
    if (n == 1)
        return calls[0]->result == PENDING ? find_one(txn, calls[0]) : 0;
    int r = find_many(txn, calls, n);
    return r < 0 ? r : part_repeats(txn, calls, n);
}

/* --- undo before do --- */

static const char *undone_id(const struct rpc_call *call)
{
    return text_of(call->in, call->method->operation_id);
}

/* An id may be made of another one, such as ord_…-reserve. */
static int64_t made_us(const char *id)
{
    char root[ID_MAX];
    snprintf(root, sizeof(root), "%.*s", (int)strcspn(id, "-"), id);
    int64_t ms = id_time_ms(id);
    ms = ms >= 0 ? ms : id_time_ms(root);
    return ms >= 0 ? ms * 1000 : INT64_MAX;
}

/* The row of what was done so long ago is gone: the unit sees for itself. */
static bool is_forgotten(const struct txn *txn, const struct rpc_call *call)
{
    return made_us(undone_id(call)) < txn->now_us - (of_service(call) ? COMMAND_KEEP_US : REQUEST_KEEP_US);
}

static int find_undone(struct txn *txn, struct rpc_call **undoing, size_t n, struct rows *ret_rows)
{
    struct value *values = arena_alloc(txn->arena, n * 4 * sizeof(*values)), *v = values;
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        *v++ = I((int64_t)i);
        *v++ = T(undone_id(undoing[i]));
        *v++ = T(undoing[i]->method->undone->rule->full_name);
        *v++ = T(undoing[i]->principal);
    }
    return txn_query_many(txn, ret_rows,
                          "WITH asked (place, id, method, principal) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT),"
                          " CAST($3 AS TEXT), CAST($4 AS TEXT))) SELECT asked.place, r.hash FROM asked"
                          " CROSS JOIN rpc_request r WHERE r.id = asked.id AND r.method = asked.method"
                          " AND r.principal = asked.principal",
                          n, 4, values);
}

static int leave_tombstone(struct txn *txn, const struct rpc_call *call)
{
    return txn_post(txn,
                    "INSERT INTO rpc_request (id, method, principal, hash, reply, resource, defer_key, service,"
                    " create_time_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
                    " ON CONFLICT (id, method, principal) DO NOTHING",
                    T(undone_id(call)), T(call->method->undone->rule->full_name), T(call->principal),
                    B(((struct bytes){ (const uint8_t *)"", 0 })), T(NULL), T(""), T(""), I(of_service(call)),
                    I(txn->now_us));
}

/* Those whose operation was done stay pending: the unit undoes it. The others are over. */
static int undo_unknowns(struct txn *txn, struct rpc_call **calls, size_t n)
{
    enum { UNKNOWN, TOMBSTONE, DONE } *known = arena_zalloc(txn->arena, n * sizeof(*known));
    struct rpc_call **undoing = arena_alloc(txn->arena, n * sizeof(struct rpc_call *));
    struct rows rows;
    size_t n_undoing = 0;
    if (!known || !undoing)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (calls[i]->result == PENDING && calls[i]->method->undone)
            undoing[n_undoing++] = calls[i];
    int r = n_undoing ? find_undone(txn, undoing, n_undoing, &rows) : 0;
    for (size_t row = 0; n_undoing && r == 0 && row < rows.n; row++)
        known[row_int(&rows, row, 0)] = row_blob(&rows, row, 1).len > 0 ? DONE : TOMBSTONE;

    for (size_t i = 0; r == 0 && i < n_undoing; i++) {
        if (known[i] == DONE || (known[i] == UNKNOWN && is_forgotten(txn, undoing[i])))
            continue;
        undoing[i]->result = 0;
        undoing[i]->fresh = true;
        if (known[i] == UNKNOWN)
            r = leave_tombstone(txn, undoing[i]);
    }
    return r;
}

/* --- what is done now --- */

static int perform_batch(struct txn *txn, struct rpc_call **calls, size_t n, rpc_batch *batch)
{
    struct rpc_item *items = arena_alloc(txn->arena, n * sizeof(*items));
    size_t n_items = 0;
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (calls[i]->result == PENDING)
            items[n_items++] = (struct rpc_item){ .call = calls[i], .in = calls[i]->in, .out = calls[i]->out };
    int r = n_items > 0 ? batch(txn, items, n_items) : 0;
    for (size_t i = 0; r >= 0 && i < n_items; i++) {
        items[i].call->result = items[i].result < 0 ? items[i].result : 0;
        items[i].call->fresh = items[i].result >= 0;
    }
    return r < 0 ? r : 0;
}

/* Those whose request is ahead of what is known here are not run. */
static void part_behind(struct txn *txn, struct rpc_call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = calls[i]->result == PENDING ? behind_check(txn, calls[i]) : 0;
        if (r < 0)
            calls[i]->result = r;
    }
}

static int perform(struct txn *txn, struct rpc_call **calls, size_t n)
{
    const struct rpc_method *row = calls[0]->method->row;
    if (calls[0]->method->min_position)
        part_behind(txn, calls, n);
    if (row->batch)
        return perform_batch(txn, calls, n, row->batch);
    for (size_t i = 0; i < n; i++) {
        if (calls[i]->result != PENDING)
            continue;
        int r = row->unit(calls[i], txn, calls[i]->in, calls[i]->out);
        calls[i]->result = r < 0 ? r : 0;
        calls[i]->fresh = r >= 0;
    }
    return 0;
}

#define KEEP_COLUMNS 9

static void fill_row(const struct txn *txn, const struct rpc_call *call, struct value *v)
{
    bool rebuilt = call->method->row->replay && call->resource;
    v[0] = T(id_of(call));
    v[1] = T(call->method->rule->full_name);
    v[2] = T(call->principal);
    v[3] = B(((struct bytes){ call->hash, HASH_BYTES }));
    v[4] = rebuilt ? T(NULL) : B(call->reply);
    v[5] = T(call->resource ? call->resource : "");
    v[6] = T(call->defer_key ? call->defer_key : "");
    v[7] = I(of_service(call));
    v[8] = I(txn->now_us);
}

/* Replies are packed now: those of a batch may point into rows that belong to another call. */
static int keep(struct txn *txn, struct rpc_call **calls, size_t n)
{
    struct value *values = arena_alloc(txn->arena, n * KEEP_COLUMNS * sizeof(*values));
    size_t rows = 0;
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (!calls[i]->fresh)
            continue;
        if (call_pack(calls[i]) < 0)
            return -ENOMEM;
        fill_row(txn, calls[i], values + rows++ * KEEP_COLUMNS);
    }
    if (rows == 0)
        return 0;
    return txn_post_many(txn,
                         "INSERT INTO rpc_request (id, method, principal, hash, reply, resource, defer_key, service,"
                         " create_time_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                         rows, KEEP_COLUMNS, values);
}

int requests_run(struct txn *txn, struct rpc_call **calls, size_t n)
{
    int r = find(txn, calls, n);
    if (r == 0)
        r = undo_unknowns(txn, calls, n);
    if (r == 0)
        r = perform(txn, calls, n);
    return r < 0 ? r : keep(txn, calls, n);
}

/* --- forgetting --- */

static int64_t prune(struct txn *txn, bool service, int64_t age_us, size_t n)
{
    return txn_exec(txn,
                    "DELETE FROM rpc_request WHERE (id, method, principal) IN (SELECT id, method, principal"
                    " FROM rpc_request WHERE service = $1 AND create_time_us < $2 ORDER BY create_time_us LIMIT $3)",
                    I(service), I(txn->now_us - age_us), I((int64_t)n));
}

int64_t rpc_prune_requests(struct txn *txn, int64_t max_age_us, size_t n)
{
    int64_t people = prune(txn, false, max_age_us, n);
    if (people < 0)
        return people;
    int64_t services = prune(txn, true, max_age_us > COMMAND_KEEP_US ? max_age_us : COMMAND_KEEP_US, n);
    return services < 0 ? services : people + services;
}
