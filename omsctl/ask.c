/* One call or many pages, generic over the API's messages by their descriptors. */
#include "omsctl/ask.h"

#include "mesh/base/id.h"
#include "omsctl/api_names.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int ask(struct ctl *ctl, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
        void *ret_reply)
{
    struct client *client = cli_client(ctl);
    if (!client)
        return CTL_USAGE;
    struct client_call call = { 0 };
    int exit = CTL_OK;
    if (client_unary(client, &call, method, request, reply, &ctl->arena, ret_reply) != RPC_OK)
        exit = show_status(ctl, &call.status);
    client_finish(&call);
    return exit;
}

char *ask_request_id(struct ctl *ctl)
{
    const char *given = cli_flag(ctl, "request-id");
    char id[ID_MAX];
    if (!given)
        id_make(client_port(ctl->client), "req", id);
    return arena_printf(&ctl->arena, "%s", given ? given : id);
}

/* SEQ or INCARNATION:SEQ. */
static int parse_after(struct ctl *ctl, Mesh__V1__Position *position)
{
    const char *text = cli_flag(ctl, "after");
    if (!text)
        return 0;
    const char *colon = strchr(text, ':'), *digits = colon ? colon + 1 : text;
    char *end;
    errno = 0;
    position->seq = strtoull(digits, &end, 10);
    if (errno || end == digits || *end || digits[0] == '-')
        return -EINVAL;
    if (colon)
        position->incarnation = arena_printf(&ctl->arena, "%.*s", (int)(colon - text), text);
    return 0;
}

/* A bare SEQ means the log as it is now: its incarnation is asked for. */
static int complete_after(struct ctl *ctl, const char *service, Mesh__V1__Position *position)
{
    if (position->seq == 0 || position->incarnation[0])
        return CTL_OK;
    Mesh__V1__GetStatusRequest request = MESH__V1__GET_STATUS_REQUEST__INIT;
    Mesh__V1__GetStatusResponse *reply;
    struct client_call call = { .service = service };
    int exit = CTL_OK;
    if (client_unary(ctl->client, &call, ADMIN_METHOD("GetStatus"), &request.base,
                     &mesh__v1__get_status_response__descriptor, &ctl->arena, &reply) != RPC_OK)
        exit = show_status(ctl, &call.status);
    else if (reply->head)
        position->incarnation = reply->head->incarnation;
    client_finish(&call);
    return exit;
}

int ask_after(struct ctl *ctl, const char *service, Mesh__V1__Position *position)
{
    if (parse_after(ctl, position) < 0)
        return cli_usage("--after is SEQ or INCARNATION:SEQ, not '%s'", cli_flag(ctl, "after"));
    return cli_client(ctl) ? complete_after(ctl, service, position) : CTL_USAGE;
}

static void *field_of(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    return field ? (char *)message + field->offset : NULL;
}

static size_t items_of(const ProtobufCMessage *reply, const char *name, ProtobufCMessage ***ret_items)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, name);
    *ret_items = *(ProtobufCMessage ***)((char *)reply + field->offset);
    return *(const size_t *)((const char *)reply + field->quantifier_offset);
}

int ask_pages(struct ctl *ctl, const struct pages *pages, void (*each)(void *arg, const ProtobufCMessage *item),
              void *arg)
{
    int32_t *size = field_of(pages->request, "page_size");
    const char **token = field_of(pages->request, "page_token");
    for (int64_t left = pages->limit ? pages->limit : LIMIT_MAX; left > 0;) {
        *size = left < PAGE_MAX ? (int32_t)left : PAGE_MAX;
        ProtobufCMessage *reply, **items;
        int exit = ask(ctl, pages->method, pages->request, pages->reply, &reply);
        if (exit != CTL_OK)
            return exit;
        size_t n = items_of(reply, pages->items, &items);
        for (size_t i = 0; i < n; i++)
            each(arg, items[i]);
        left -= (int64_t)n;
        *token = *(const char **)field_of(reply, "next_page_token");
        if (!(*token)[0])
            break;
    }
    return CTL_OK;
}

struct shown {
    struct ctl *ctl;
    const struct listing *listing;
    struct table *table;
    json_t *json;
};

static void show_item(void *arg, const ProtobufCMessage *item)
{
    struct shown *shown = arg;
    if (shown->json)
        json_array_append_new(shown->json, message_json(item));
    else
        shown->listing->row(&shown->ctl->arena, shown->table, item);
}

int ask_listing(struct ctl *ctl, struct listing *listing)
{
    if (cli_number(ctl, "limit", 0, LIMIT_MAX, LIMIT_DEFAULT, &listing->pages.limit) < 0 || !cli_client(ctl))
        return CTL_USAGE;
    struct shown shown = { .ctl = ctl, .listing = listing };
    if (ctl->json)
        shown.json = json_array();
    else
        shown.table = table_create(listing->heads);
    int exit = ask_pages(ctl, &listing->pages, show_item, &shown);
    if (shown.json && exit == CTL_OK)
        show_json(json_pack("{s:O}", listing->pages.items, shown.json));
    json_decref(shown.json);
    table_show(shown.table, exit == CTL_OK ? listing->nothing : NULL);
    return exit;
}
