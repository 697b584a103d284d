/* bench/reserve: everybody wants one SKU. svc-inventory as it runs in production, over mutual TLS, on a real disk,
 * beside the row lock that one would write without thinking about it. */
#include "bench/calls.h"
#include "bench/reserve_bench.h"
#include "mesh/rpc/rpc.h"
#include "svc-inventory/inventory.h"
#include "tests/mesh/certs.h"

#include <grpc/grpc.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS   2 /* of everything in turn, so that what else the machine does weighs on all alike */
#define PLENTY   1000000000
#define LAST     5000
#define BATCH    64 /* commands in a delivery, and deliveries under way, as a relay has them */
#define BATCHES  4
#define CATALOG  "/oms.catalog.v1.CatalogService/"
#define STOCK    "/oms.inventory.v1.InventoryService/"
#define HOT_SKU  "HOT"
#define LAST_SKU "LAST"

static const char *dir;

/* --- what there is --- */

static ProtobufCMessage *ask(const struct server *server, const char *method, const ProtobufCMessage *request,
                             const ProtobufCMessageDescriptor *reply)
{
    char caller[CALLER_SUBJECT_MAX + 16];
    caller_format(&(struct caller){ ROLE_BIT(MESH__V1__ROLE__ADMIN) | ROLE_BIT(MESH__V1__ROLE__ERP), "bench" }, caller);
    return calls_ask(dir, server, caller, method, request, reply);
}

static void add_location(const struct server *server)
{
    Location location = OMS__INVENTORY__V1__LOCATION__INIT;
    UpsertLocationRequest request = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
    location.location_id = (char *)"MAIN";
    location.title = (char *)"the only one";
    request.request_id = (char *)"location";
    request.location = &location;
    protobuf_c_message_free_unpacked(
        ask(server, STOCK "UpsertLocation", &request.base, &oms__inventory__v1__location__descriptor), NULL);
}

static void add_stock(const struct server *server, const char *sku, int64_t quantity)
{
    Money price = GOOGLE__TYPE__MONEY__INIT;
    Variant variant = OMS__CATALOG__V1__VARIANT__INIT, *variants[] = { &variant };
    Product product = OMS__CATALOG__V1__PRODUCT__INIT;
    UpsertProductRequest upsert = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    AdjustStockRequest adjust = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    price.currency_code = (char *)"GBP";
    price.units = 1;
    variant.sku = product.product_id = product.title = (char *)sku;
    variant.price = &price;
    variant.stocked = true;
    product.variants = variants;
    product.n_variants = 1;
    upsert.request_id = adjust.request_id = (char *)sku;
    upsert.product = &product;
    protobuf_c_message_free_unpacked(
        ask(server, CATALOG "UpsertProduct", &upsert.base, &oms__catalog__v1__upsert_product_response__descriptor),
        NULL);
    adjust.sku = (char *)sku;
    adjust.location_id = (char *)"MAIN";
    adjust.delta = quantity;
    adjust.reason = (char *)"RECEIVED";
    protobuf_c_message_free_unpacked(
        ask(server, STOCK "AdjustStock", &adjust.base, &oms__inventory__v1__adjust_stock_response__descriptor), NULL);
}

static int64_t reserved(const struct server *server, const char *sku)
{
    ListStockRequest request = OMS__INVENTORY__V1__LIST_STOCK_REQUEST__INIT;
    request.sku = (char *)sku;
    ListStockResponse *reply = (ListStockResponse *)ask(server, STOCK "ListStock", &request.base,
                                                        &oms__inventory__v1__list_stock_response__descriptor);
    int64_t n = reply->n_stock == 1 ? reply->stock[0]->reserved : -1;
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return n;
}

/* --- contenders --- */

static const struct contender {
    const char *name, *sku;
    int outstanding, batch; /* of svc-inventory; outstanding 0: a naive one */
} contenders[] = {
    { "svc-inventory, 64 calls at once", HOT_SKU, 64, 0 },
    { "svc-inventory, 256 calls at once", HOT_SKU, 256, 0 },
    { "svc-inventory, deliveries of 64", HOT_SKU, BATCHES, BATCH },
    { "a row lock each, SQLite", NULL, 0, 0 },
    { "a row lock each, PostgreSQL, 16 at once", NULL, 0, 1 },
    { "svc-inventory, the last 5000", LAST_SKU, 256, 0 },
};
enum { CALLS_64, CALLS_256, DELIVERIES, NAIVE_SQLITE, NAIVE_POSTGRESQL, SOLD_OUT, N_CONTENDERS };

static void run(const struct contender *c, struct load *load, const struct server *server, double seconds,
                struct cost *cost)
{
    char *path = path_in(dir, "naive.db");
    double cpu = machine_now_s(server->cpu);
    if (c->outstanding)
        load_run(load, c->sku, c->outstanding, c->batch, seconds, cost);
    else if (c->batch == 0)
        naive_sqlite(path, seconds, cost);
    else if (!naive_postgresql(seconds, cost))
        printf("PostgreSQL is not installed\n");
    if (c->outstanding)
        cost->cpu_s += machine_now_s(server->cpu) - cpu;
    free(path);
}

static double per_second(const struct cost *cost)
{
    return cost->requests ? (double)cost->requests / cost->wall_s : 0;
}

static void tell(const struct cost *costs)
{
    for (int i = 0; i < N_CONTENDERS; i++) {
        const struct cost *c = &costs[i];
        if (c->requests == 0)
            continue;
        printf("%-42s %8.0f/s", contenders[i].name, per_second(c));
        if (c->cpu_s > 0)
            printf("  %5.1f us of CPU each", c->cpu_s / (double)c->requests * 1e6);
        printf("  (%ld granted, %ld sold out, %ld failed)\n", c->granted, c->refused, c->failed);
    }
}

/* What more was promised than there is, or otherwise than the books say. 0: nothing. */
static int64_t oversold(const struct server *server, const struct cost *costs)
{
    int64_t hot = costs[CALLS_64].granted + costs[CALLS_256].granted + costs[DELIVERIES].granted;
    int64_t last = costs[SOLD_OUT].granted, booked_hot = reserved(server, HOT_SKU),
            booked_last = reserved(server, LAST_SKU);
    printf("promised %lld of %lld, the books say %lld; of the last %lld promised %lld, the books say %lld\n",
           (long long)hot, (long long)PLENTY, (long long)booked_hot, (long long)LAST, (long long)last,
           (long long)booked_last);
    return llabs(hot - booked_hot) + llabs(last - booked_last) + (last > LAST ? last - LAST : 0);
}

static void compare(const struct server *server, double seconds)
{
    struct cost costs[N_CONTENDERS] = { 0 }, warm = { 0 };
    struct load *load = load_open(dir, server);
    add_location(server);
    add_stock(server, HOT_SKU, PLENTY);
    add_stock(server, LAST_SKU, LAST);
    add_stock(server, "WARM", PLENTY);
    load_run(load, "WARM", 64, 0, 0.3, &warm);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < N_CONTENDERS; i++)
            run(&contenders[i], load, server, seconds / ROUNDS / N_CONTENDERS, &costs[i]);
    load_close(load);
    tell(costs);

    int64_t over = oversold(server, costs);
    long failed = 0;
    for (int i = 0; i < N_CONTENDERS; i++)
        failed += costs[i].failed;
    printf("\nfigure: reserve_hot_per_second %.0f 1/s\n", per_second(&costs[DELIVERIES]));
    printf("figure: reserve_hot_calls_per_second %.0f 1/s\n", per_second(&costs[CALLS_256]));
    printf("figure: reserve_vs_naive %.1f x\n", per_second(&costs[DELIVERIES]) / per_second(&costs[NAIVE_SQLITE]));
    if (costs[NAIVE_POSTGRESQL].requests)
        printf("figure: reserve_vs_naive_postgresql %.1f x\n",
               per_second(&costs[DELIVERIES]) / per_second(&costs[NAIVE_POSTGRESQL]));
    printf("figure: reserve_cpu_us %.1f us\n", costs[DELIVERIES].cpu_s / (double)costs[DELIVERIES].requests * 1e6);
    printf("figure: reserve_call_cpu_us %.1f us\n", costs[CALLS_256].cpu_s / (double)costs[CALLS_256].requests * 1e6);
    printf("figure: reserve_oversold %lld orders\n", (long long)over);
    if (failed || over)
        exit(EXIT_FAILURE);
}

static void make_dir(void)
{
    dir = machine_scratch("reserve");
    certs_authority(dir, "ca");
    certs_issue(dir, "ca", "svc-inventory");
    certs_issue(dir, "ca", "svc-order");
    certs_issue(dir, "ca", "gateway");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "service") == 0)
        return service_main(&inventory_service, argc - 1, argv + 1);
    double seconds = argc == 3 && strcmp(argv[1], "--seconds") == 0 ? atof(argv[2]) : argc == 1 ? 24 : 0;
    if (seconds <= 0) {
        fprintf(stderr, "usage: bench/reserve [--seconds N]\n");
        return 2;
    }
    make_dir();
    machine_print(dir);
    printf("fdatasync of one page: %.0f us (median of 100); mutual TLS, one thread of load\n\n", machine_sync_us(dir));

    char *ca = path_in(dir, "ca.pem"), *cert = path_in(dir, "svc-inventory.pem"),
         *key = path_in(dir, "svc-inventory.key"), *db = path_in(dir, "inventory.db");
    struct server server;
    server_start(&server, NULL,
                 (char *[]){ argv[0], (char *)"service", (char *)"--store-path", db, (char *)"--tls-ca", ca,
                             (char *)"--tls-cert", cert, (char *)"--tls-key", key, NULL });
    grpc_init();
    compare(&server, seconds);
    server_stop(&server);
    grpc_shutdown_blocking();
    free(ca);
    free(cert);
    free(key);
    free(db);
    return EXIT_SUCCESS;
}
