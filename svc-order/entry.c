/* What is checked of an order and of a cancellation alike: whose it is, when it was, and what its amounts are. */
#include "svc-order/order.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

bool entry_from_erp(struct rpc_call *call)
{
    return caller_is(rpc_caller(call), MESH__V1__ROLE__ERP);
}

/* What a mail's header can carry, and no more is asked of it. */
static bool is_mail_address(const char *text)
{
    const char *at = strchr(text, '@');
    return at && at > text && at[1] && text[strcspn(text, " ,;<>()[]\"\\\t\r\n")] == '\0' && !strchr(at + 1, '@');
}

/* What was carried out elsewhere was also paid there. */
static int check_kind(struct rpc_call *call, const NewOrder *entry)
{
    bool elsewhere = entry->fulfilled || entry->n_cancelled;
    if (entry->n_lines == 0 && entry->n_cancelled == 0)
        return rpc_fail_field(call, "lines", "FIELD_REQUIRED", "an entry has lines, or cancelled ones");
    if (entry->n_lines && entry->n_cancelled)
        return rpc_fail_field(call, "cancelled", "FIELD_UNEXPECTED", "an entry has lines, or cancelled ones, not both");
    if (elsewhere && !entry_from_erp(call))
        return rpc_fail_field(call, entry->fulfilled ? "fulfilled" : "cancelled", "ELSEWHERE_NOT_YOURS",
                              "only an ERP says what was done elsewhere");
    if (elsewhere && entry->payment_token[0])
        return rpc_fail_field(call, "payment_token", "FIELD_UNEXPECTED", "what was done elsewhere is not paid here");
    return 0;
}

int entry_check(struct rpc_call *call, struct txn *txn, const NewOrder *entry, struct entry_head *ret_head)
{
    struct entry_head head = {
        .customer_id = entry->customer_id[0] ? entry->customer_id : rpc_owner(call),
        .time_us = entry->place_time_us ? entry->place_time_us : txn->now_us,
    };
    int r = check_kind(call, entry);
    if (r < 0)
        return r;
    if (head.customer_id[0] == '\0' && !entry_from_erp(call))
        return rpc_fail_field(call, "customer_id", "CUSTOMER_REQUIRED", "whose order it is must be said");
    if (entry->place_time_us && !entry_from_erp(call))
        return rpc_fail_field(call, "place_time_us", "PLACE_TIME_NOT_YOURS", "only an ERP says when it was placed");
    if (entry->email[0] && !is_mail_address(entry->email))
        return rpc_fail_field(call, "email", "EMAIL_INVALID", "no address that mail can be sent to");
    if (money_exponent(entry->currency_code) < 0)
        return rpc_fail_field(call, "currency_code", "CURRENCY_UNKNOWN", "no currency of ISO 4217");
    *ret_head = head;
    return 0;
}

int entry_id(const struct txn *txn, const NewOrder *entry, const struct entry_head *head, const char *prefix,
             char ret_id[ID_MAX])
{
    const char *number = arena_printf(txn->arena, "%s\n%s\n%s", prefix, entry->channel, entry->external_id);
    return number ? id_derive(prefix, head->time_us, number, ret_id) : -ENOMEM;
}

const char *entry_field(struct rpc_call *call, const char *list, size_t i, const char *name)
{
    const char *path = arena_printf(rpc_arena(call), "%s[%zu].%s", list, i, name);
    return path ? path : list;
}

static int fail_amount(struct rpc_call *call, const char *field, int error)
{
    if (error == -EDOM)
        return rpc_fail_field(call, field, "AMOUNT_NOT_WHOLE", "not a whole number of minor units");
    if (error == -ERANGE)
        return rpc_fail_field(call, field, "AMOUNT_OVERFLOW", "does not fit in 64 bits");
    return rpc_fail_field(call, field, "AMOUNT_INVALID", "no amount of a currency of ISO 4217");
}

int entry_price(struct rpc_call *call, const NewOrder *entry, const char *list, size_t i, const Money *named,
                int64_t *ret_minor)
{
    static const char name[] = "unit_price";
    int64_t minor;
    int r = money_from_wire(named, &minor);
    if (r < 0)
        return fail_amount(call, entry_field(call, list, i, name), r);
    if (strcmp(named->currency_code, entry->currency_code) != 0)
        return rpc_fail_field(call, entry_field(call, list, i, name), "CURRENCY_MISMATCH", "the order is in %s",
                              entry->currency_code);
    if (minor < 0)
        return rpc_fail_field(call, entry_field(call, list, i, name), "AMOUNT_NEGATIVE", "a price is not below zero");
    *ret_minor = minor;
    return 0;
}

int entry_add(struct rpc_call *call, const char *list, size_t i, int64_t unit_minor, int64_t quantity,
              int64_t *total_minor)
{
    int64_t line_minor;
    if (money_multiply(unit_minor, quantity, &line_minor) < 0 || money_add(*total_minor, line_minor, total_minor) < 0 ||
        *total_minor > TOTAL_MAX)
        return rpc_fail_field(call, entry_field(call, list, i, "quantity"), "AMOUNT_OVERFLOW",
                              "the amount is more than %lld minor units", (long long)TOTAL_MAX);
    return 0;
}
