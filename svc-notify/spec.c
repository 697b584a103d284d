/* The tables of svc-notify, wired, and its options. */
#include "svc-notify/notify.h"

#include "mesh/base/say.h"
#include "svc-notify/mime.h"

#include <errno.h>

static const struct rpc_method notification_methods[] = {
    { "ListMessages", .unit = list_messages },
    { "GetMessage", .unit = get_message },
    {},
};
static const struct rpc_service notification_rpc = {
    "oms.notify.v1.NotificationService",
    &oms__notify__v1__notification_service__descriptor,
    notification_methods,
};

static const struct rpc_method alert_methods[] = {
    { "ListCases", .unit = list_cases },
    { "GetCase", .unit = get_case },
    { "AcknowledgeCase", .unit = acknowledge_case },
    { "ResolveCase", .unit = resolve_case },
    {},
};
static const struct rpc_service alert_rpc = {
    "oms.notify.v1.AlertService",
    &oms__notify__v1__alert_service__descriptor,
    alert_methods,
};

static const struct rpc_service *const serves[] = { &notification_rpc, &alert_rpc, NULL };

static const struct deliverer deliverers[] = {
    { ORDERS_GET, &oms__order__v1__batch_get_orders_request__descriptor,
      &oms__order__v1__batch_get_orders_response__descriptor, contacts_answered, GIVE_UP_RAISE, MAIL_PATIENCE_US },
    { MAIL_SEND, &oms__notify__v1__send_mail_request__descriptor, &oms__notify__v1__send_mail_response__descriptor,
      mail_ended, GIVE_UP_RAISE, MAIL_PATIENCE_US, &mail_outside },
    {},
};

static const struct snapshot_kind snapshots[] = { { case_snapshot }, {} };

static struct option options[] = {
    { "mail-from", OPTION_TEXT, "orders@ordermesh.example", "the address that mails come from" },
    { "shop-name", OPTION_TEXT, "OrderMesh", "the name that mails come from and are signed with" },
    {},
};

const char *notify_mail_from(void)
{
    return config_text((struct option *const[]){ options, NULL }, "mail-from");
}

const char *notify_shop_name(void)
{
    return config_text((struct option *const[]){ options, NULL }, "shop-name");
}

static int open_notify(struct service *service, void **ret_app)
{
    *ret_app = NULL;
    if (mime_is_address(notify_mail_from()))
        return 0;
    say(SAY_ERROR, NULL, "--mail-from is no mail address", SAY_T("mail-from", notify_mail_from()));
    return -EINVAL;
}

const struct service_spec notify_service = {
    .name = "svc-notify",
    .about = "What customers are told by mail, and what people have to look at before they ask.",
    .options = options,
    .serves = serves,
    .deliverers = deliverers,
    .consumers = notify_consumers,
    .snapshots = snapshots,
    .migrations = notify_migrations,
    .open = open_notify,
};
