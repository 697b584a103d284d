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

/* What it was booked for: an operation of a payment, or a document. */
static const char *cause(struct arena *arena, const Oms__Payment__V1__LedgerEntry *entry)
{
    if (entry->document_id[0] == '\0')
        return entry->operation_id;
    return arena_printf(arena, "%s %s",
                        text_enum(&oms__payment__v1__book_invoice_request__kind__descriptor, (int)entry->kind),
                        entry->document_id);
}

/* A row for each posting; what they share stands in the first of them. */
static void entry_rows(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Oms__Payment__V1__LedgerEntry *entry = (const Oms__Payment__V1__LedgerEntry *)item;
    for (size_t i = 0; i < entry->n_postings; i++) {
        const Oms__Payment__V1__Posting *posting = entry->postings[i];
        const char *quantity = posting->quantity ? text_number(arena, posting->quantity) : "";
        if (i == 0)
            TABLE_ROW(table, entry->entry_id, text_time(arena, entry->effective_time_us), entry->order_id,
                      cause(arena, entry), entry->channel, entry->country, posting->account, posting->sku, quantity,
                      text_money(arena, posting->amount));
        else
            TABLE_ROW(table, "", "", "", "", "", "", posting->account, posting->sku, quantity,
                      text_money(arena, posting->amount));
    }
}

int run_ledger_entries(struct ctl *ctl)
{
    static const char *const heads[] = { "ENTRY",   "EFFECTIVE", "ORDER", "FOR",     "CHANNEL", "COUNTRY",
                                         "ACCOUNT", "SKU",       ">QTY",  ">AMOUNT", NULL };
    Oms__Payment__V1__ListLedgerEntriesRequest request = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    const char *order = cli_flag(ctl, "order"), *document = cli_flag(ctl, "document");
    if (order)
        request.order_id = (char *)order;
    if (document)
        request.document_id = (char *)document;
    struct listing listing = { .pages = { .method = LEDGER_METHOD("ListLedgerEntries"),
                                          .request = &request.base,
                                          .reply = &oms__payment__v1__list_ledger_entries_response__descriptor,
                                          .items = "entries" },
                               .heads = heads,
                               .row = entry_rows,
                               .nothing = "nothing was posted" };
    return ask_listing(ctl, &listing);
}
