/* case list, get, ack, resolve and message list: what people have to look at, and what customers were told. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <stdio.h>

static const char *enum_name(const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    return value ? value->name : "?";
}

static const char *kind_of(const Case *each)
{
    return enum_name(&oms__notify__v1__case__kind__descriptor, (int)each->kind);
}

static const char *state_of(const Case *each)
{
    return enum_name(&oms__notify__v1__case__state__descriptor, (int)each->state);
}

/* --- cases --- */

/* A flag that names a value of an enum; 0 without it. CTL_OK, or CTL_USAGE after one clear line. */
static int enum_flag(struct ctl *ctl, const char *flag, const ProtobufCEnumDescriptor *type, int *ret_number)
{
    const char *name = cli_flag(ctl, flag);
    const ProtobufCEnumValue *value = name ? protobuf_c_enum_descriptor_get_value_by_name(type, name) : NULL;
    if (name && !value)
        return cli_usage("--%s is no %s: '%s'", flag, flag, name);
    *ret_number = value ? value->value : 0;
    return CTL_OK;
}

static void case_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Case *each = (const Case *)item;
    const char *who = each->resolved_by[0] ? each->resolved_by : each->acknowledged_by;
    TABLE_ROW(table, each->case_id, text_time(arena, each->raise_time_us), kind_of(each), each->order_id, each->ref,
              each->detail, state_of(each), who);
}

int run_case_list(struct ctl *ctl)
{
    static const char *const heads[] = { "CASE", "RAISED", "KIND", "ORDER", "REF", "DETAIL", "STATE", "WHO", NULL };
    Oms__Notify__V1__ListCasesRequest request = OMS__NOTIFY__V1__LIST_CASES_REQUEST__INIT;
    const char *order = cli_flag(ctl, "order");
    int state = 0, kind = 0;
    if (enum_flag(ctl, "state", &oms__notify__v1__case__state__descriptor, &state) != CTL_OK ||
        enum_flag(ctl, "kind", &oms__notify__v1__case__kind__descriptor, &kind) != CTL_OK)
        return CTL_USAGE;
    request.state = (Oms__Notify__V1__Case__State)state;
    request.kind = (Oms__Notify__V1__Case__Kind)kind;
    if (order)
        request.order_id = (char *)order;
    struct listing listing = { .pages = { .method = ALERT_METHOD("ListCases"),
                                          .request = &request.base,
                                          .reply = &oms__notify__v1__list_cases_response__descriptor,
                                          .items = "cases" },
                               .heads = heads,
                               .row = case_row,
                               .nothing = "no cases" };
    return ask_listing(ctl, &listing);
}

static void show_case(struct arena *arena, const Case *each)
{
    printf("%s  %s  %s\norder %s · customer %s · %s %s\nraised %s · etag %s\n", each->case_id, kind_of(each),
           state_of(each), each->order_id, each->customer_id, each->ref, each->detail,
           text_time(arena, each->raise_time_us), each->etag);
    if (each->acknowledge_time_us)
        printf("acknowledged %s by %s\n", text_time(arena, each->acknowledge_time_us), each->acknowledged_by);
    if (each->resolve_time_us)
        printf("resolved %s by %s: %s\n", text_time(arena, each->resolve_time_us), each->resolved_by, each->resolution);
}

static int ask_case(struct ctl *ctl, const char *method, const ProtobufCMessage *request)
{
    Case *reply;
    int exit = ask(ctl, method, request, &oms__notify__v1__case__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&reply->base);
    else
        show_case(&ctl->arena, reply);
    return CTL_OK;
}

int run_case_get(struct ctl *ctl)
{
    Oms__Notify__V1__GetCaseRequest request = OMS__NOTIFY__V1__GET_CASE_REQUEST__INIT;
    request.case_id = ctl->args[0];
    return ask_case(ctl, ALERT_METHOD("GetCase"), &request.base);
}

int run_case_ack(struct ctl *ctl)
{
    if (!cli_client(ctl))
        return CTL_USAGE;
    Oms__Notify__V1__AcknowledgeCaseRequest request = OMS__NOTIFY__V1__ACKNOWLEDGE_CASE_REQUEST__INIT;
    const char *etag = cli_flag(ctl, "etag");
    request.request_id = ask_request_id(ctl);
    request.case_id = ctl->args[0];
    if (etag)
        request.etag = (char *)etag;
    return ask_case(ctl, ALERT_METHOD("AcknowledgeCase"), &request.base);
}

int run_case_resolve(struct ctl *ctl)
{
    const char *reason = cli_flag(ctl, "reason"), *etag = cli_flag(ctl, "etag");
    if (!reason)
        return cli_usage("why it is resolved must be said: --reason CODE");
    if (!cli_client(ctl))
        return CTL_USAGE;
    Oms__Notify__V1__ResolveCaseRequest request = OMS__NOTIFY__V1__RESOLVE_CASE_REQUEST__INIT;
    request.request_id = ask_request_id(ctl);
    request.case_id = ctl->args[0];
    request.reason = (char *)reason;
    if (etag)
        request.etag = (char *)etag;
    return ask_case(ctl, ALERT_METHOD("ResolveCase"), &request.base);
}

/* --- messages --- */

static void message_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Oms__Notify__V1__Message *message = (const Oms__Notify__V1__Message *)item;
    TABLE_ROW(table, text_time(arena, message->event_time_us), message->order_id, message->customer_id,
              message->subject, enum_name(&oms__notify__v1__message__state__descriptor, (int)message->state));
}

int run_message_list(struct ctl *ctl)
{
    static const char *const heads[] = { "HAPPENED", "ORDER", "CUSTOMER", "SUBJECT", "STATE", NULL };
    Oms__Notify__V1__ListMessagesRequest request = OMS__NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
    const char *order = cli_flag(ctl, "order"), *customer = cli_flag(ctl, "customer");
    if (order)
        request.order_id = (char *)order;
    if (customer)
        request.customer_id = (char *)customer;
    struct listing listing = { .pages = { .method = MESSAGE_METHOD("ListMessages"),
                                          .request = &request.base,
                                          .reply = &oms__notify__v1__list_messages_response__descriptor,
                                          .items = "messages" },
                               .heads = heads,
                               .row = message_row,
                               .nothing = "no messages" };
    return ask_listing(ctl, &listing);
}
