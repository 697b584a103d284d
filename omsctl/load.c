/* A window of calls: each that ends makes room for the next. */
#include "omsctl/load.h"

#include "omsctl/show.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW         64
#define REQUEST_BUDGET (1 << 20)

struct slot {
    struct client_call call;
    struct arena arena;
    size_t item;
};

static void start(struct client *client, const struct load *load, struct slot *slot, size_t item)
{
    arena_init(&slot->arena, REQUEST_BUDGET);
    slot->item = item;
    slot->call = (struct client_call){ .method = load->method, .user = slot };
    slot->call.request = load->request(load->arg, item, &slot->arena);
    client_start(client, &slot->call);
}

static void finish(const struct load *load, struct slot *slot, struct load_result *result)
{
    enum rpc_code code = slot->call.status.code;
    if (exit_of(code) == CTL_UNREACHED) {
        if (result->exit != CTL_UNREACHED)
            fprintf(stderr, "\nomsctl: %s\n", status_line(&slot->arena, &slot->call.status));
        result->exit = CTL_UNREACHED;
    } else if (code != RPC_OK) {
        result->refused++;
        if (result->exit == CTL_OK)
            result->exit = CTL_PARTLY;
        if (!load->ended)
            fprintf(stderr, "\nomsctl: %s %zu: %s\n", load->what, slot->item + 1,
                    status_line(&slot->arena, &slot->call.status));
    } else {
        result->accepted++;
    }
    if (load->ended)
        load->ended(load->arg, slot->item, &slot->call);
    client_finish(&slot->call);
    arena_finish(&slot->arena);
}

struct load_result load_run(struct ctl *ctl, const struct load *load)
{
    struct load_result result = { .exit = CTL_OK };
    struct client *client = cli_client(ctl);
    struct slot *slots = calloc(WINDOW, sizeof(*slots));
    if (!client || !slots) {
        free(slots);
        result.exit = CTL_USAGE;
        return result;
    }
    struct progress progress;
    progress_start(&progress, load->what, load->n);
    size_t started = 0;
    for (; started < load->n && started < WINDOW; started++)
        start(client, load, &slots[started], started);
    for (struct client_call *call; (call = client_ended(client));) {
        struct slot *slot = call->user;
        bool refused = call->status.code != RPC_OK;
        finish(load, slot, &result);
        progress_step(&progress, refused);
        if (started < load->n && result.exit != CTL_UNREACHED)
            start(client, load, slot, started++);
    }
    progress_end(&progress);
    free(slots);
    return result;
}
