/* svc-notify: who is told what.
 *
 * Serves  oms.notify.v1.NotificationService                      messages.c
 *         oms.notify.v1.AlertService                             alerts.c
 * Calls   svc-order: BatchGetOrders                               contacts.c
 *         a mail server, or a folder                             mail.c
 * Feeds   on svc-order, svc-payment, svc-shipping                follow.c, by its tables
 * Stores  message                                                messages.c
 *         contact (personal)                                     contacts.c
 *         alert_case                                             cases.c, alerts.c
 * Tells   CASE_RAISED, CASE_ACKNOWLEDGED, CASE_RESOLVED
 */
#include "svc-notify/notify.h"

int main(int argc, char **argv)
{
    return service_main(&notify_service, argc, argv);
}
