/* stock list, adjust, availability, locations, movements, verify: what is there. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static void stock_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Stock *stock = (const Stock *)item;
    TABLE_ROW(table, stock->sku, stock->location_id, text_number(arena, stock->on_hand),
              text_number(arena, stock->reserved), text_number(arena, stock->available));
}

static const char *const stock_heads[] = { "SKU", "LOCATION", ">ON HAND", ">RESERVED", ">AVAILABLE", NULL };

int run_stock_list(struct ctl *ctl)
{
    Oms__Inventory__V1__ListStockRequest request = OMS__INVENTORY__V1__LIST_STOCK_REQUEST__INIT;
    const char *sku = cli_flag(ctl, "sku"), *location = cli_flag(ctl, "location");
    if (sku)
        request.sku = (char *)sku;
    if (location)
        request.location_id = (char *)location;
    struct listing listing = { .pages = { .method = INVENTORY_METHOD("ListStock"),
                                          .request = &request.base,
                                          .reply = &oms__inventory__v1__list_stock_response__descriptor,
                                          .items = "stock" },
                               .heads = stock_heads,
                               .row = stock_row,
                               .nothing = "no stock" };
    return ask_listing(ctl, &listing);
}

int run_stock_adjust(struct ctl *ctl)
{
    char *end;
    errno = 0;
    long long delta = strtoll(ctl->args[2], &end, 10);
    if (errno || end == ctl->args[2] || *end)
        return cli_usage("DELTA is a whole number, not '%s'", ctl->args[2]);
    if (!cli_client(ctl))
        return CTL_USAGE;
    const char *reason = cli_flag(ctl, "reason");
    Oms__Inventory__V1__AdjustStockRequest request = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    request.request_id = ask_request_id(ctl);
    request.sku = ctl->args[0];
    request.location_id = ctl->args[1];
    request.delta = delta;
    request.reason = (char *)(reason ? reason : "RECEIVED");
    Oms__Inventory__V1__AdjustStockResponse *reply;
    int exit = ask(ctl, INVENTORY_METHOD("AdjustStock"), &request.base,
                   &oms__inventory__v1__adjust_stock_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json) {
        show_message(&reply->base);
        return CTL_OK;
    }
    struct table *table = table_create(stock_heads);
    if (reply->stock)
        stock_row(&ctl->arena, table, &reply->stock->base);
    table_show(table, NULL);
    return CTL_OK;
}

int run_stock_availability(struct ctl *ctl)
{
    static const char *const heads[] = { "SKU", ">AVAILABLE", ">VERSION", NULL };
    Oms__Inventory__V1__BatchGetAvailabilityRequest request = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    request.n_skus = (size_t)ctl->n_args;
    request.skus = (char **)ctl->args;
    Oms__Inventory__V1__BatchGetAvailabilityResponse *reply;
    int exit = ask(ctl, INVENTORY_METHOD("BatchGetAvailability"), &request.base,
                   &oms__inventory__v1__batch_get_availability_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json) {
        show_message(&reply->base);
        return CTL_OK;
    }
    struct table *table = table_create(heads);
    for (size_t i = 0; i < reply->n_availability; i++)
        TABLE_ROW(table, reply->availability[i]->sku, text_number(&ctl->arena, reply->availability[i]->available),
                  text_number(&ctl->arena, (int64_t)reply->availability[i]->version));
    table_show(table, NULL);
    return CTL_OK;
}

int run_stock_locations(struct ctl *ctl)
{
    static const char *const heads[] = { "LOCATION", "TITLE", "COUNTRY", ">PRIORITY", NULL };
    Oms__Inventory__V1__ListLocationsRequest request = OMS__INVENTORY__V1__LIST_LOCATIONS_REQUEST__INIT;
    Oms__Inventory__V1__ListLocationsResponse *reply;
    int exit = ask(ctl, INVENTORY_METHOD("ListLocations"), &request.base,
                   &oms__inventory__v1__list_locations_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json) {
        show_message(&reply->base);
        return CTL_OK;
    }
    struct table *table = table_create(heads);
    for (size_t i = 0; i < reply->n_locations; i++)
        TABLE_ROW(table, reply->locations[i]->location_id, reply->locations[i]->title, reply->locations[i]->country,
                  text_number(&ctl->arena, reply->locations[i]->priority));
    table_show(table, "no locations");
    return CTL_OK;
}

static void movement_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Movement *m = (const Movement *)item;
    TABLE_ROW(table, m->sku, m->location_id, text_number(arena, (int64_t)m->version), text_number(arena, m->on_hand),
              text_number(arena, m->reserved), m->reason, m->document_id[0] ? m->document_id : m->ref,
              text_time(arena, m->effective_time_us), text_time(arena, m->time_us));
}

int run_stock_movements(struct ctl *ctl)
{
    static const char *const heads[] = { "SKU",    "LOCATION", ">VERSION", ">ON HAND", ">RESERVED",
                                         "REASON", "FOR",      "HAPPENED", "BOOKED",   NULL };
    Oms__Inventory__V1__ListMovementsRequest request = OMS__INVENTORY__V1__LIST_MOVEMENTS_REQUEST__INIT;
    const char *sku = cli_flag(ctl, "sku"), *location = cli_flag(ctl, "location"),
               *document = cli_flag(ctl, "document");
    if (sku)
        request.sku = (char *)sku;
    if (location)
        request.location_id = (char *)location;
    if (document)
        request.document_id = (char *)document;
    struct listing listing = { .pages = { .method = INVENTORY_METHOD("ListMovements"),
                                          .request = &request.base,
                                          .reply = &oms__inventory__v1__list_movements_response__descriptor,
                                          .items = "movements" },
                               .heads = heads,
                               .row = movement_row,
                               .nothing = "nothing has moved" };
    return ask_listing(ctl, &listing);
}

/* What all pages together have told. */
struct verified {
    int64_t skus, divergences, repaired;
    bool cache_read;
    struct table *table; /* one of the two */
    json_t *json;
};

static void add_page(struct ctl *ctl, struct verified *all, const VerifyInventoryResponse *page)
{
    all->skus += page->verified;
    all->cache_read &= page->cache_read;
    for (size_t i = 0; i < page->n_divergences; i++) {
        const Divergence *d = page->divergences[i];
        all->divergences++;
        all->repaired += d->repaired;
        if (all->json)
            json_array_append_new(all->json, message_json(&d->base));
        else
            TABLE_ROW(all->table, d->sku, d->location_id, d->what, text_number(&ctl->arena, d->expected),
                      text_number(&ctl->arena, d->found), d->repaired ? "yes" : "");
    }
}

static int verify_pages(struct ctl *ctl, struct verified *all)
{
    Oms__Inventory__V1__VerifyInventoryRequest request = OMS__INVENTORY__V1__VERIFY_INVENTORY_REQUEST__INIT;
    VerifyInventoryResponse *page;
    request.repair = cli_flag(ctl, "repair") != NULL;
    do {
        request.request_id = ask_request_id(ctl);
        int exit = ask(ctl, INVENTORY_METHOD("VerifyInventory"), &request.base,
                       &oms__inventory__v1__verify_inventory_response__descriptor, &page);
        if (exit != CTL_OK)
            return exit;
        add_page(ctl, all, page);
        request.after_sku = page->next_sku;
    } while (request.after_sku[0]);
    return CTL_OK;
}

int run_stock_verify(struct ctl *ctl)
{
    static const char *const heads[] = { "SKU", "LOCATION", "WHAT", ">EXPECTED", ">FOUND", "REPAIRED", NULL };
    if (!cli_client(ctl))
        return CTL_USAGE;
    struct verified all = { .cache_read = true };
    if (ctl->json)
        all.json = json_array();
    else
        all.table = table_create(heads);
    int exit = verify_pages(ctl, &all);
    if (exit == CTL_OK && ctl->json)
        show_json(json_pack("{s:I, s:b, s:O}", "verified", (json_int_t)all.skus, "cacheRead", all.cache_read,
                            "divergences", all.json));
    json_decref(all.json);
    table_show(all.table, exit == CTL_OK ? "the books agree" : NULL);
    if (exit != CTL_OK)
        return exit;
    if (!ctl->json)
        printf("%lld SKUs verified, %lld divergences, %lld repaired%s\n", (long long)all.skus,
               (long long)all.divergences, (long long)all.repaired,
               all.cache_read ? "" : "; the cache could not be read");
    return all.divergences == all.repaired ? CTL_OK : CTL_PARTLY;
}
