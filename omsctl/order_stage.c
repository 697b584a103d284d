/* The end of a staged import is decided by one call, and carried out by the server whatever becomes of us. */
#include "omsctl/order_stage.h"

#include "omsctl/ask.h"
#include "omsctl/patience.h"

#include <stdio.h>
#include <time.h>

#define POLL_US 200000

/* A chunk of one entry that cannot be taken is answered when everything up to the position is known. */
int order_stage_await(struct ctl *ctl, Mesh__V1__Position *catalogue)
{
    NewOrder nothing = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__ENTRY__INIT, *orders = &nothing;
    ImportOrdersRequest request = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__INIT;
    struct patience patience;
    int exit = CTL_OK;
    request.request_id = ask_request_id(ctl);
    request.orders = &orders;
    request.n_orders = 1;
    request.min_position = catalogue;
    patience_renew(&patience);
    for (bool go_on = true; go_on;) {
        struct client_call call = { .method = ORDER_METHOD("ImportOrders"),
                                    .request = arena_pack(&ctl->arena, &request.base) };
        client_open_stream(ctl->client, &call);
        client_say_end(&call);
        for (struct bytes ack; client_next(&call, &ack);)
            continue;
        go_on = call.status.code != RPC_OK && patience_try(&patience, call.status.code);
        if (call.status.code != RPC_OK && !go_on)
            exit = show_status(ctl, &call.status);
        client_finish(&call);
    }
    return exit;
}

/* --- its end --- */

/* The arena of the run would grow with every look. */
static int look(struct ctl *ctl, const char *import_id, struct arena *arena, ImportJob **ret_job)
{
    Oms__Order__V1__GetImportRequest request = OMS__ORDER__V1__GET_IMPORT_REQUEST__INIT;
    Oms__Order__V1__GetImportResponse *reply;
    struct patience patience;
    int exit = CTL_OK;
    request.import_id = (char *)import_id;
    patience_renew(&patience);
    for (bool go_on = true; go_on;) {
        struct client_call call = { 0 };
        enum rpc_code code = client_unary(ctl->client, &call, ORDER_METHOD("GetImport"), &request.base,
                                          &oms__order__v1__get_import_response__descriptor, arena, &reply);
        go_on = code != RPC_OK && patience_try(&patience, code);
        if (code == RPC_OK)
            *ret_job = reply->job;
        else if (!go_on)
            exit = show_status(ctl, &call.status);
        client_finish(&call);
    }
    return exit;
}

int order_stage_activate(struct ctl *ctl, const char *import_id, size_t entries)
{
    Oms__Order__V1__ActivateImportRequest request = OMS__ORDER__V1__ACTIVATE_IMPORT_REQUEST__INIT;
    Oms__Order__V1__ActivateImportResponse *reply;
    request.request_id = ask_request_id(ctl);
    request.import_id = (char *)import_id;
    request.entries = (int64_t)entries;
    int exit = ask(ctl, ORDER_METHOD("ActivateImport"), &request.base,
                   &oms__order__v1__activate_import_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    struct progress progress;
    bool active = reply->job->state == OMS__ORDER__V1__IMPORT_JOB__STATE__ACTIVE;
    progress_start(&progress, "invoices activated", (size_t)reply->job->staged);
    while (!active && exit == CTL_OK) {
        struct arena_mark mark = arena_mark(&ctl->arena);
        ImportJob *job = NULL;
        nanosleep(&(struct timespec){ .tv_nsec = POLL_US * 1000 }, NULL);
        exit = look(ctl, import_id, &ctl->arena, &job);
        if (exit == CTL_OK) {
            progress_add(&progress, (size_t)job->activated - progress.done);
            active = job->state == OMS__ORDER__V1__IMPORT_JOB__STATE__ACTIVE;
        }
        arena_rewind(&ctl->arena, mark);
    }
    progress_end(&progress);
    return exit;
}

int order_stage_discard(struct ctl *ctl, const char *import_id)
{
    Oms__Order__V1__DiscardImportRequest request = OMS__ORDER__V1__DISCARD_IMPORT_REQUEST__INIT;
    Oms__Order__V1__DiscardImportResponse *reply;
    request.request_id = ask_request_id(ctl);
    request.import_id = (char *)import_id;
    return ask(ctl, ORDER_METHOD("DiscardImport"), &request.base, &oms__order__v1__discard_import_response__descriptor,
               &reply);
}
