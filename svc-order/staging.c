/* Imports that take effect as a whole or not at all: opened by their first chunk, then activated or discarded, some of
 * their drafts at a time (activate.c). A timer goes on with it after every transaction, and so after every crash. */
#include "svc-order/commands.h"

#include <errno.h>

#define EXPIRE_US (7 * 24 * 3600 * 1000000ll)

enum import_state {
    STAGED = OMS__ORDER__V1__IMPORT_JOB__STATE__STAGED,
    ACTIVATING = OMS__ORDER__V1__IMPORT_JOB__STATE__ACTIVATING,
    ACTIVE = OMS__ORDER__V1__IMPORT_JOB__STATE__ACTIVE,
    DISCARDING = OMS__ORDER__V1__IMPORT_JOB__STATE__DISCARDING,
    DISCARDED = OMS__ORDER__V1__IMPORT_JOB__STATE__DISCARDED,
};

/* NULL: there is no such import. */
static int read_job(struct txn *txn, const char *import_id, ImportJob **ret_job)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT state, staged, refused, activated, created_by, create_time_us, update_time_us "
                      "FROM import_job WHERE import_id = $1",
                      T(import_id));
    *ret_job = NULL;
    if (r < 0 || rows.n == 0)
        return r;
    ImportJob *job = arena_message(txn->arena, &oms__order__v1__import_job__descriptor);
    if (!job)
        return -ENOMEM;
    job->import_id = (char *)import_id;
    job->state = (Oms__Order__V1__ImportJob__State)row_int(&rows, 0, 0);
    job->staged = row_int(&rows, 0, 1);
    job->refused = row_int(&rows, 0, 2);
    job->activated = row_int(&rows, 0, 3);
    job->created_by = (char *)row_text(&rows, 0, 4);
    job->create_time_us = row_int(&rows, 0, 5);
    job->update_time_us = row_int(&rows, 0, 6);
    if ((enum import_state)job->state == STAGED)
        job->expire_time_us = job->create_time_us + EXPIRE_US;
    *ret_job = job;
    return 0;
}

static const char *state_name(const ImportJob *job)
{
    return protobuf_c_enum_descriptor_get_value(&oms__order__v1__import_job__state__descriptor, (int)job->state)->name;
}

static int set_state(struct txn *txn, const char *import_id, enum import_state state)
{
    return txn_post(txn, "UPDATE import_job SET state = $2, update_time_us = $3 WHERE import_id = $1", T(import_id),
                    I(state), I(txn->now_us));
}

/* --- chunks --- */

int import_open(struct rpc_call *call, struct txn *txn, const char *import_id)
{
    int64_t made = txn_exec(txn,
                            "INSERT INTO import_job (import_id, state, staged, refused, activated, created_by, "
                            "create_time_us, update_time_us) VALUES ($1, $2, 0, 0, 0, $3, $4, $4) "
                            "ON CONFLICT (import_id) DO NOTHING",
                            T(import_id), I(STAGED), T(rpc_caller(call)->subject), I(txn->now_us));
    if (made)
        return made < 0 ? (int)made : outbox_timer(txn, IMPORT_EXPIRY, import_id, txn->now_us + EXPIRE_US);
    ImportJob *job;
    int r = read_job(txn, import_id, &job);
    if (r < 0 || (enum import_state)job->state == STAGED)
        return r;
    return rpc_fail_state(call, import_id, "IMPORT_CLOSED", "an import that is %s takes nothing more", state_name(job));
}

int import_count(struct txn *txn, const char *import_id, uint32_t staged, uint32_t refused)
{
    return txn_post(txn,
                    "UPDATE import_job SET staged = staged + $2, refused = refused + $3, update_time_us = $4 "
                    "WHERE import_id = $1",
                    T(import_id), I(staged), I(refused), I(txn->now_us));
}

/* --- what becomes of them --- */

static int go_on_at_once(struct txn *txn, const char *import_id)
{
    return outbox_timer(txn, IMPORT_STEP, import_id, txn->now_us);
}

/* NULL is missing. */
static int check_state(struct rpc_call *call, const char *import_id, const ImportJob *job, enum import_state on_its_way,
                       enum import_state end)
{
    if (!job)
        return rpc_fail_missing(call, "import", import_id);
    enum import_state state = (enum import_state)job->state;
    if (state == STAGED || state == on_its_way || state == end)
        return 0;
    return rpc_fail_state(call, import_id, "IMPORT_STATE", "it is %s", state_name(job));
}

/* entries: as many as it should have, or 0. What it has does not change any more once it begins. */
static int check_whole(struct rpc_call *call, const ImportJob *job, int64_t entries)
{
    if (job->refused > 0)
        return rpc_fail_state(call, job->import_id, "IMPORT_INCOMPLETE", "%lld of its entries were refused",
                              (long long)job->refused);
    if (entries && entries != job->staged)
        return rpc_fail_state(call, job->import_id, "IMPORT_INCOMPLETE", "it has %lld entries, and should have %lld",
                              (long long)job->staged, (long long)entries);
    return 0;
}

/* From STAGED on its way to the end, on which it may be already. */
static int decide(struct txn *txn, enum import_state on_its_way, ImportJob **job)
{
    const char *import_id = (*job)->import_id;
    if ((enum import_state)(*job)->state != STAGED)
        return 0;
    int r = set_state(txn, import_id, on_its_way);
    if (r == 0)
        r = go_on_at_once(txn, import_id);
    return r < 0 ? r : read_job(txn, import_id, job);
}

int activate_import(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ActivateImportRequest *req = in;
    ActivateImportResponse *ret = out;
    int r = read_job(txn, req->import_id, &ret->job);
    if (r == 0)
        r = check_state(call, req->import_id, ret->job, ACTIVATING, ACTIVE);
    if (r == 0)
        r = check_whole(call, ret->job, req->entries);
    return r < 0 ? r : decide(txn, ACTIVATING, &ret->job);
}

int discard_import(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const DiscardImportRequest *req = in;
    DiscardImportResponse *ret = out;
    int r = read_job(txn, req->import_id, &ret->job);
    if (r == 0)
        r = check_state(call, req->import_id, ret->job, DISCARDING, DISCARDED);
    return r < 0 ? r : decide(txn, DISCARDING, &ret->job);
}

int get_import(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetImportRequest *req = in;
    GetImportResponse *ret = out;
    int r = read_job(txn, req->import_id, &ret->job);
    if (r < 0)
        return r;
    return ret->job ? 0 : rpc_fail_missing(call, "import", req->import_id);
}

/* --- timers --- */

static int count_activated(struct txn *txn, const char *import_id, int n)
{
    return txn_post(txn, "UPDATE import_job SET activated = activated + $2, update_time_us = $3 WHERE import_id = $1",
                    T(import_id), I(n), I(txn->now_us));
}

int import_step(struct txn *txn, const char *import_id, int64_t due_us)
{
    ImportJob *job;
    int r = read_job(txn, import_id, &job);
    if (r < 0 || !job)
        return r;
    bool activates = (enum import_state)job->state == ACTIVATING;
    if (!activates && (enum import_state)job->state != DISCARDING)
        return 0;
    int n = activates ? import_activate(txn, import_id) : import_discard(txn, import_id);
    if (n <= 0)
        return n < 0 ? n : set_state(txn, import_id, activates ? ACTIVE : DISCARDED);
    r = activates ? count_activated(txn, import_id, n) : 0;
    return r < 0 ? r : go_on_at_once(txn, import_id);
}

int import_expired(struct txn *txn, const char *import_id, int64_t due_us)
{
    ImportJob *job;
    int r = read_job(txn, import_id, &job);
    if (r < 0 || !job || (enum import_state)job->state != STAGED)
        return r;
    r = set_state(txn, import_id, DISCARDING);
    return r < 0 ? r : go_on_at_once(txn, import_id);
}
