/* Cases as people see them, take them and resolve them. */
#include "svc-notify/notify.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT 50

#define CASE_COLUMNS \
    "case_id, kind, state, order_id, customer_id, ref, detail, raise_time_us, acknowledge_time_us, acknowledged_by, " \
    "resolve_time_us, resolved_by, resolution, version "

static int read_case(struct txn *txn, const struct rows *rows, size_t row, Case *ret_case)
{
    int r = row_message(rows, row, &ret_case->base);
    if (r < 0)
        return r;
    ret_case->etag = arena_printf(txn->arena, "v%llu", (unsigned long long)ret_case->version);
    return ret_case->etag ? 0 : -ENOMEM;
}

int get_case(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetCaseRequest *req = in;
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT " CASE_COLUMNS "FROM alert_case WHERE case_id = $1", T(req->case_id));
    if (r < 0)
        return r;
    return rows.n ? read_case(txn, &rows, 0, out) : rpc_fail_missing(call, "case", req->case_id);
}

/* --- taking and resolving --- */

/* Locks the case and reads it as it was; its version is the one that it will have. */
static int open_case(struct rpc_call *call, struct txn *txn, const char *case_id, const char *etag, Case *ret_case)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows, "UPDATE alert_case SET version = version + 1 WHERE case_id = $1 RETURNING " CASE_COLUMNS,
                  T(case_id));
    if (r < 0)
        return r;
    if (rows.n == 0)
        return rpc_fail_missing(call, "case", case_id);
    r = read_case(txn, &rows, 0, ret_case);
    if (r < 0)
        return r;

    const char *current = arena_printf(txn->arena, "v%llu", (unsigned long long)ret_case->version - 1);
    if (!current)
        return -ENOMEM;
    if (etag[0] == '\0' || strcmp(etag, current) == 0)
        return 0;
    r = rpc_fail(call, RPC_ABORTED, "ETAG_MISMATCH", "the case has changed since it was read");
    rpc_error_meta(call, "etag", current);
    return r;
}

static int fail_state(struct rpc_call *call, const Case *found, const char *reason, const char *message)
{
    const ProtobufCEnumValue *state =
        protobuf_c_enum_descriptor_get_value(&oms__notify__v1__case__state__descriptor, (int)found->state);
    int r = rpc_fail_state(call, found->case_id, reason, "%s", message);
    rpc_error_meta(call, "state", state ? state->name : "");
    return r;
}

int acknowledge_case(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const AcknowledgeCaseRequest *req = in;
    Case *ret = out;
    int r = open_case(call, txn, req->case_id, req->etag, ret);
    if (r < 0)
        return r;
    if (ret->state != (Oms__Notify__V1__Case__State)OPEN)
        return fail_state(call, ret, "CASE_NOT_OPEN", "somebody has it already, or it is resolved");

    ret->state = (Oms__Notify__V1__Case__State)ACKNOWLEDGED;
    ret->acknowledge_time_us = txn->now_us;
    ret->acknowledged_by = (char *)rpc_caller(call)->subject;
    r = txn_post(txn,
                 "UPDATE alert_case SET state = 2, acknowledge_time_us = $2, acknowledged_by = $3 WHERE case_id = $1",
                 T(ret->case_id), I(ret->acknowledge_time_us), T(ret->acknowledged_by));
    return r < 0 ? r
                 : case_tell(txn, OMS__EVENT__V1__EVENT_TYPE__CASE_ACKNOWLEDGED, ret->case_id, ret->kind, ret->order_id,
                             ret->version);
}

static bool is_code(const char *text)
{
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

int resolve_case(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ResolveCaseRequest *req = in;
    Case *ret = out;
    if (!is_code(req->reason))
        return rpc_fail_field(call, "reason", "REASON_INVALID", "a reason is a code of A-Z, 0-9 and _");
    int r = open_case(call, txn, req->case_id, req->etag, ret);
    if (r < 0)
        return r;
    if (ret->state == (Oms__Notify__V1__Case__State)RESOLVED)
        return fail_state(call, ret, "CASE_RESOLVED", "it is resolved already");

    ret->state = (Oms__Notify__V1__Case__State)RESOLVED;
    ret->resolve_time_us = txn->now_us;
    ret->resolved_by = (char *)rpc_caller(call)->subject;
    ret->resolution = req->reason;
    r = txn_post(txn,
                 "UPDATE alert_case SET state = 3, resolve_time_us = $2, resolved_by = $3, resolution = $4 "
                 "WHERE case_id = $1",
                 T(ret->case_id), I(ret->resolve_time_us), T(ret->resolved_by), T(ret->resolution));
    return r < 0 ? r
                 : case_tell(txn, OMS__EVENT__V1__EVENT_TYPE__CASE_RESOLVED, ret->case_id, ret->kind, ret->order_id,
                             ret->version);
}

/* --- lists --- */

/* Newest first, which the ids are made for. Three statements, as each has an index of its own to walk. */
static int query_list(struct txn *txn, const ListCasesRequest *req, const char *before, size_t max,
                      struct rows *ret_rows)
{
    if (req->order_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " CASE_COLUMNS "FROM alert_case WHERE order_id = $3 AND case_id < $1 "
                         "AND ($4 = 0 OR state = $4) AND ($5 = 0 OR kind = $5) ORDER BY case_id DESC LIMIT $2",
                         T(before), I(max), T(req->order_id), I(req->state), I(req->kind));
    if (req->state)
        return txn_query(txn, ret_rows,
                         "SELECT " CASE_COLUMNS "FROM alert_case WHERE state = $3 AND case_id < $1 "
                         "AND ($4 = 0 OR kind = $4) ORDER BY case_id DESC LIMIT $2",
                         T(before), I(max), I(req->state), I(req->kind));
    return txn_query(txn, ret_rows,
                     "SELECT " CASE_COLUMNS "FROM alert_case WHERE case_id < $1 "
                     "AND ($3 = 0 OR kind = $3) ORDER BY case_id DESC LIMIT $2",
                     T(before), I(max), I(req->kind));
}

static int fill_list(struct txn *txn, const struct rows *rows, size_t n, ListCasesResponse *ret)
{
    ret->cases = arena_alloc(txn->arena, n * sizeof(Case *));
    if (!ret->cases)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        Case *each = arena_message(txn->arena, &oms__notify__v1__case__descriptor);
        int r = each ? read_case(txn, rows, i, each) : -ENOMEM;
        if (r < 0)
            return r;
        ret->cases[ret->n_cases++] = each;
    }
    return 0;
}

int list_cases(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListCasesRequest *req = in;
    ListCasesResponse *ret = out;
    size_t max = req->page_size ? req->page_size : PAGE_DEFAULT;
    const char *before[1],
        *query = arena_printf(rpc_arena(call), "cases %d %d\n%s", (int)req->state, (int)req->kind, req->order_id);
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, before, 1);
    if (r < 0)
        return r;

    struct rows rows;
    r = query_list(txn, req, before[0] ? before[0] : "\U0010ffff", max + 1, &rows);
    if (r < 0)
        return r;
    size_t n = rows.n < max ? rows.n : max;
    r = fill_list(txn, &rows, n, ret);
    if (r < 0 || n == rows.n)
        return r;
    const char *last[] = { ret->cases[n - 1]->case_id };
    ret->next_page_token = (char *)rpc_page_token(call, query, last, 1);
    return ret->next_page_token ? 0 : -ENOMEM;
}
