/* ledger balance and entries: the books of what was paid. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

int run_ledger_balance(struct ctl *ctl)
{
    static const char *const heads[] = { "ACCOUNT", ">AMOUNT", ">ENTRIES", NULL };
    Oms__Payment__V1__GetTrialBalanceRequest request = OMS__PAYMENT__V1__GET_TRIAL_BALANCE_REQUEST__INIT;
    const char *currency = cli_flag(ctl, "currency");
    if (currency)
        request.currency_code = (char *)currency;
    Oms__Payment__V1__GetTrialBalanceResponse *reply;
    int exit = ask(ctl, LEDGER_METHOD("GetTrialBalance"), &request.base,
                   &oms__payment__v1__get_trial_balance_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json) {
        show_message(&reply->base);
        return CTL_OK;
    }
    struct table *table = table_create(heads);
    for (size_t i = 0; i < reply->n_balances; i++)
        TABLE_ROW(table, reply->balances[i]->account, text_money(&ctl->arena, reply->balances[i]->amount),
                  text_number(&ctl->arena, reply->balances[i]->entries));
    for (size_t i = 0; i < reply->n_sums; i++)
        TABLE_ROW(table, "sum", text_money(&ctl->arena, reply->sums[i]), "");
    table_show(table, "nothing was posted");
    return CTL_OK;
}

/* A row for each posting; what they share stands in the first of them. */
static void entry_rows(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Oms__Payment__V1__LedgerEntry *entry = (const Oms__Payment__V1__LedgerEntry *)item;
    for (size_t i = 0; i < entry->n_postings; i++)
        TABLE_ROW(table, i ? "" : entry->entry_id, i ? "" : text_time(arena, entry->time_us), i ? "" : entry->order_id,
                  i ? "" : entry->operation_id, entry->postings[i]->account,
                  text_money(arena, entry->postings[i]->amount));
}

int run_ledger_entries(struct ctl *ctl)
{
    static const char *const heads[] = { "ENTRY", "POSTED", "ORDER", "OPERATION", "ACCOUNT", ">AMOUNT", NULL };
    Oms__Payment__V1__ListLedgerEntriesRequest request = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    const char *order = cli_flag(ctl, "order");
    if (order)
        request.order_id = (char *)order;
    struct listing listing = { .pages = { .method = LEDGER_METHOD("ListLedgerEntries"),
                                          .request = &request.base,
                                          .reply = &oms__payment__v1__list_ledger_entries_response__descriptor,
                                          .items = "entries" },
                               .heads = heads,
                               .row = entry_rows,
                               .nothing = "nothing was posted" };
    return ask_listing(ctl, &listing);
}
