/* events, deadletters, status: what an operator asks of one process. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/event_types.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- events --- */

static json_t *payload_json(const Mesh__V1__LogEntry *entry)
{
    const ProtobufCMessageDescriptor *type = event_payload(entry->type);
    ProtobufCMessage *payload =
        type ? protobuf_c_message_unpack(type, NULL, entry->payload.len, entry->payload.data) : NULL;
    json_t *json = payload ? message_json(payload) : NULL;
    if (payload)
        protobuf_c_message_free_unpacked(payload, NULL);
    return json ? json : json_object();
}

static void show_entry(struct ctl *ctl, const Mesh__V1__LogEntry *entry, const char *incarnation)
{
    json_t *payload = payload_json(entry);
    if (ctl->json) {
        json_t *line =
            json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:O}", "incarnation", incarnation, "seq",
                      (json_int_t)entry->seq, "timeUs", (json_int_t)entry->time_us, "type", event_name(entry->type),
                      "key", entry->key, "owner", entry->owner, "trace", entry->trace, "payload", payload);
        json_dumpf(line, stdout, JSON_COMPACT);
        json_decref(line);
        putchar('\n');
    } else {
        char *text = json_dumps(payload, JSON_COMPACT);
        printf("%8" PRIu64 "  %s  %-20s %-30s %s\n", entry->seq, text_time(&ctl->arena, entry->time_us),
               event_name(entry->type), entry->key, text ? text : "");
        free(text);
    }
    json_decref(payload);
}

int run_events(struct ctl *ctl)
{
    Mesh__V1__Position after = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    const char *service = cli_flag(ctl, "service");
    service = service ? service : "svc-order";
    int exit = ask_after(ctl, service, &after);
    if (exit != CTL_OK)
        return exit;
    request.after = after.seq ? &after : NULL;
    request.follow = cli_flag(ctl, "follow") != NULL;
    struct client_call call = { .method = LOG_METHOD("Tail"),
                                .request = arena_pack(&ctl->arena, &request.base),
                                .service = service };
    client_stream(ctl->client, &call);
    struct arena_mark mark = arena_mark(&ctl->arena);
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    for (struct bytes message; client_next(&call, &message); arena_rewind(&ctl->arena, mark)) {
        Mesh__V1__TailResponse *page = mesh__v1__tail_response__unpack(&allocator, message.len, message.data);
        const char *incarnation = page && page->position ? page->position->incarnation : "";
        for (size_t i = 0; page && i < page->n_entries; i++)
            show_entry(ctl, page->entries[i], incarnation);
        fflush(stdout);
    }
    exit = call.status.code == RPC_OK ? CTL_OK : show_status(ctl, &call.status);
    client_finish(&call);
    return exit;
}

/* --- dead letters --- */

static bool service_given(struct ctl *ctl)
{
    if (cli_flag(ctl, "service"))
        return true;
    cli_usage("which process? --service svc-order, for instance");
    return false;
}

static void letter_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Mesh__V1__DeadLetter *letter = (const Mesh__V1__DeadLetter *)item;
    const char *method = strrchr(letter->method, '/');
    TABLE_ROW(table, letter->id, text_time(arena, letter->give_up_time_us), letter->destination,
              method ? method + 1 : letter->method, letter->key, text_number(arena, letter->attempts),
              rpc_code_name((enum rpc_code)letter->last_code), letter->last_reason,
              text_number(arena, letter->waiting_behind));
}

int run_deadletters_list(struct ctl *ctl)
{
    static const char *const heads[] = { "ID",        "GIVEN UP", "TO",     "METHOD",  "KEY",
                                         ">ATTEMPTS", "CODE",     "REASON", ">BEHIND", NULL };
    Mesh__V1__ListDeadLettersRequest request = MESH__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
    struct listing listing = { .pages = { .method = ADMIN_METHOD("ListDeadLetters"),
                                          .request = &request.base,
                                          .reply = &mesh__v1__list_dead_letters_response__descriptor,
                                          .items = "dead_letters" },
                               .heads = heads,
                               .row = letter_row,
                               .nothing = "no dead letters" };
    return service_given(ctl) ? ask_listing(ctl, &listing) : CTL_USAGE;
}

static int show_letter(struct ctl *ctl, const char *method, const ProtobufCMessage *request)
{
    Mesh__V1__DeadLetter *letter;
    int exit = ask(ctl, method, request, &mesh__v1__dead_letter__descriptor, &letter);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json) {
        show_message(&letter->base);
        return CTL_OK;
    }
    printf("%s  %s%s  key %s\ngiven up %s after %u attempts: %s %s\n%s\n", letter->id, letter->destination,
           letter->method, letter->key, text_time(&ctl->arena, letter->give_up_time_us), letter->attempts,
           rpc_code_name((enum rpc_code)letter->last_code), letter->last_reason, letter->explanation);
    return CTL_OK;
}

int run_deadletters_explain(struct ctl *ctl)
{
    Mesh__V1__ExplainDeadLetterRequest request = MESH__V1__EXPLAIN_DEAD_LETTER_REQUEST__INIT;
    request.id = ctl->args[0];
    return service_given(ctl) ? show_letter(ctl, ADMIN_METHOD("ExplainDeadLetter"), &request.base) : CTL_USAGE;
}

int run_deadletters_retry(struct ctl *ctl)
{
    if (!service_given(ctl) || !cli_client(ctl))
        return CTL_USAGE;
    Mesh__V1__RetryDeadLetterRequest request = MESH__V1__RETRY_DEAD_LETTER_REQUEST__INIT;
    request.id = ctl->args[0];
    request.request_id = ask_request_id(ctl);
    return show_letter(ctl, ADMIN_METHOD("RetryDeadLetter"), &request.base);
}

int run_deadletters_discard(struct ctl *ctl)
{
    const char *reason = cli_flag(ctl, "reason");
    if (!reason)
        return cli_usage("why may it be forgotten? --reason TEXT");
    if (!service_given(ctl) || !cli_client(ctl))
        return CTL_USAGE;
    Mesh__V1__DiscardDeadLetterRequest request = MESH__V1__DISCARD_DEAD_LETTER_REQUEST__INIT;
    request.id = ctl->args[0];
    request.reason = (char *)reason;
    request.request_id = ask_request_id(ctl);
    return show_letter(ctl, ADMIN_METHOD("DiscardDeadLetter"), &request.base);
}

/* --- status --- */

static void show_queues(struct arena *arena, const Mesh__V1__GetStatusResponse *status)
{
    static const char *const heads[] = { "QUEUE TO", ">WAITING", ">PARKED", ">OLDEST", "CIRCUIT", NULL };
    struct table *table = table_create(heads);
    for (size_t i = 0; i < status->n_queues; i++) {
        const Mesh__V1__GetStatusResponse__Queue *q = status->queues[i];
        TABLE_ROW(table, q->destination, text_number(arena, (int64_t)q->waiting),
                  text_number(arena, (int64_t)q->parked), arena_printf(arena, "%.1f s", (double)q->oldest_age_us / 1e6),
                  q->circuit);
    }
    table_show(table, "no commands wait");
}

static void show_cursors(struct arena *arena, const Mesh__V1__GetStatusResponse *status)
{
    static const char *const heads[] = { "CURSOR", "OF", ">AT", ">BEHIND", "STATE", NULL };
    struct table *table = table_create(heads);
    for (size_t i = 0; i < status->n_cursors; i++) {
        const Mesh__V1__GetStatusResponse__Cursor *c = status->cursors[i];
        TABLE_ROW(table, c->consumer, c->source, text_number(arena, c->position ? (int64_t)c->position->seq : 0),
                  text_number(arena, (int64_t)c->behind), c->state);
    }
    table_show(table, NULL);
}

static void show_leases(struct arena *arena, const Mesh__V1__GetStatusResponse *status)
{
    static const char *const heads[] = { "LEASE", "OWNER", ">TERM", "MINE", NULL };
    struct table *table = table_create(heads);
    for (size_t i = 0; i < status->n_leases; i++) {
        const Mesh__V1__GetStatusResponse__Lease *l = status->leases[i];
        TABLE_ROW(table, l->name, l->owner, text_number(arena, (int64_t)l->term), l->mine ? "yes" : "no");
    }
    table_show(table, NULL);
}

int run_status(struct ctl *ctl)
{
    Mesh__V1__GetStatusRequest request = MESH__V1__GET_STATUS_REQUEST__INIT;
    Mesh__V1__GetStatusResponse *status;
    if (!service_given(ctl))
        return CTL_USAGE;
    int exit = ask(ctl, ADMIN_METHOD("GetStatus"), &request.base, &mesh__v1__get_status_response__descriptor, &status);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json) {
        show_message(&status->base);
        return CTL_OK;
    }
    printf("%s %s · log %s:%" PRIu64 " (from %" PRIu64 ") · says from %s up\n\n", status->service, status->version,
           status->head ? status->head->incarnation : "", status->head ? status->head->seq : 0, status->floor,
           status->log_level);
    show_queues(&ctl->arena, status);
    show_cursors(&ctl->arena, status);
    show_leases(&ctl->arena, status);
    return CTL_OK;
}
