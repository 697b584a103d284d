/* payment get, list, refund, resolve: what is paid, and what the card processor was asked. */
#include "mesh/base/money.h"
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <stdio.h>
#include <string.h>

static const char *state_name(const Payment *payment)
{
    return text_enum(&oms__payment__v1__payment__state__descriptor, (int)payment->state);
}

/* --- one --- */

static void show_operations(struct arena *arena, const Payment *payment)
{
    static const char *const heads[] = {
        "OPERATION", "KIND", ">AMOUNT", "STATE", "REASON", "DECIDED BY", "SINCE", NULL
    };
    struct table *table = table_create(heads);
    for (size_t i = 0; i < payment->n_operations; i++) {
        const Operation *o = payment->operations[i];
        TABLE_ROW(table, o->operation_id, text_enum(&oms__payment__v1__operation__kind__descriptor, (int)o->kind),
                  text_money(arena, o->amount),
                  text_enum(&oms__payment__v1__operation__state__descriptor, (int)o->state), o->reason, o->decided_by,
                  text_time(arena, o->update_time_us));
    }
    table_show(table, "no operations");
}

static void show_payment(struct arena *arena, const Payment *payment)
{
    printf("%s  %s  %s\norder %s · customer %s · since %s\n", payment->payment_id, state_name(payment),
           text_money(arena, payment->amount), payment->order_id, payment->customer_id,
           text_time(arena, payment->create_time_us));
    if (payment->decline_reason[0])
        printf("declined: %s\n", payment->decline_reason);
    if (payment->action_url[0])
        printf("the customer proves himself at %s\n", payment->action_url);
    printf("authorized %s · captured %s · refunded %s\n\n", text_money(arena, payment->authorized),
           text_money(arena, payment->captured), text_money(arena, payment->refunded));
    show_operations(arena, payment);
}

static int get(struct ctl *ctl, const char *id, Payment **ret_payment)
{
    Oms__Payment__V1__GetPaymentRequest request = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__INIT;
    bool by_order = strncmp(id, "ord_", 4) == 0;
    request.by_case = by_order ? OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_ORDER_ID
                               : OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_PAYMENT_ID;
    *(by_order ? &request.order_id : &request.payment_id) = (char *)id;
    return ask(ctl, PAYMENT_METHOD("GetPayment"), &request.base, &oms__payment__v1__payment__descriptor, ret_payment);
}

int run_payment_get(struct ctl *ctl)
{
    Payment *payment;
    int exit = get(ctl, ctl->args[0], &payment);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&payment->base);
    else
        show_payment(&ctl->arena, payment);
    return CTL_OK;
}

/* --- many --- */

static void payment_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Payment *payment = (const Payment *)item;
    TABLE_ROW(table, payment->payment_id, text_time(arena, payment->create_time_us), payment->order_id,
              payment->customer_id, text_money(arena, payment->amount), text_money(arena, payment->captured),
              text_money(arena, payment->refunded), state_name(payment), payment->decline_reason);
}

int run_payment_list(struct ctl *ctl)
{
    static const char *const heads[] = { "PAYMENT",   "BEGUN",     "ORDER", "CUSTOMER", ">AMOUNT",
                                         ">CAPTURED", ">REFUNDED", "STATE", "REASON",   NULL };
    Oms__Payment__V1__ListPaymentsRequest request = OMS__PAYMENT__V1__LIST_PAYMENTS_REQUEST__INIT;
    const char *customer = cli_flag(ctl, "customer");
    if (customer)
        request.customer_id = (char *)customer;
    request.open = cli_flag(ctl, "open") != NULL;
    struct listing listing = { .pages = { .method = PAYMENT_METHOD("ListPayments"),
                                          .request = &request.base,
                                          .reply = &oms__payment__v1__list_payments_response__descriptor,
                                          .items = "payments" },
                               .heads = heads,
                               .row = payment_row,
                               .nothing = "no payments" };
    return ask_listing(ctl, &listing);
}

/* --- what people do --- */

static int show_changed(struct ctl *ctl, const ProtobufCMessage *reply, const Payment *payment)
{
    if (ctl->json)
        show_message(reply);
    else if (payment)
        show_payment(&ctl->arena, payment);
    return CTL_OK;
}

/* The amount is in the payment's currency, which is read first. */
int run_payment_refund(struct ctl *ctl)
{
    Payment *payment;
    int64_t minor;
    if (!cli_client(ctl))
        return CTL_USAGE;
    int exit = get(ctl, ctl->args[0], &payment);
    if (exit != CTL_OK)
        return exit;
    const char *currency = payment->amount ? payment->amount->currency_code : "", *reason = cli_flag(ctl, "reason");
    if (amount_parse(ctl->args[1], currency, &minor) < 0)
        return cli_usage("'%s' is no amount in %s", ctl->args[1], currency);
    Oms__Payment__V1__RefundPaymentRequest request = OMS__PAYMENT__V1__REFUND_PAYMENT_REQUEST__INIT;
    Oms__Payment__V1__RefundPaymentResponse *reply;
    request.request_id = ask_request_id(ctl);
    request.payment_id = payment->payment_id;
    request.amount = money_to_wire(&ctl->arena, minor, currency);
    request.reason = (char *)(reason ? reason : "GOODWILL");
    exit = ask(ctl, PAYMENT_METHOD("RefundPayment"), &request.base,
               &oms__payment__v1__refund_payment_response__descriptor, &reply);
    return exit == CTL_OK ? show_changed(ctl, &reply->base, reply->payment) : exit;
}

int run_payment_resolve(struct ctl *ctl)
{
    const char *reason = cli_flag(ctl, "reason");
    Oms__Payment__V1__ResolveOperationRequest request = OMS__PAYMENT__V1__RESOLVE_OPERATION_REQUEST__INIT;
    request.succeeded = strcmp(ctl->args[1], "succeeded") == 0;
    if (!request.succeeded && strcmp(ctl->args[1], "declined") != 0)
        return cli_usage("an operation has succeeded or declined, not '%s'", ctl->args[1]);
    if (!reason)
        return cli_usage("--reason is needed: a code that tells how you know");
    if (!cli_client(ctl))
        return CTL_USAGE;
    request.request_id = ask_request_id(ctl);
    request.operation_id = ctl->args[0];
    request.reason = (char *)reason;
    Oms__Payment__V1__ResolveOperationResponse *reply;
    int exit = ask(ctl, PAYMENT_METHOD("ResolveOperation"), &request.base,
                   &oms__payment__v1__resolve_operation_response__descriptor, &reply);
    return exit == CTL_OK ? show_changed(ctl, &reply->base, reply->payment) : exit;
}
