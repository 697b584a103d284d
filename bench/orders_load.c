/* The load of bench/orders: customers place orders through the gateway and wait until each is confirmed.
 *
 * bench_orders_load PORT TOKEN_KEY SECONDS STREAMS SKUS PLAN: prints "begin" and "end" around what is measured, and
 * then one line: calls, failed, wall_us, p50_us, p99_us. PLAN is "-", and then orders have one to five lines, or a file
 * of invoices that are ordered again and again (bench/plan.h). */
#include "bench/gateway_bench.h"
#include "bench/plan.h"

#include "oms/order/v1/order.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

#define CUSTOMERS 2000
#define FRESH     20000
#define LINES_MAX 5 /* without a plan */
#define ROOM_MAX  1000
#define WARM_US   2000000

typedef Oms__Order__V1__PlaceOrderRequest PlaceOrderRequest;
typedef Oms__Order__V1__PlaceOrderRequest__Line PlaceLine;

struct shopping {
    uint64_t chance, n;
    int skus;
    char run[17];
    struct plan plan; /* n 0: none */
    PlaceLine lines[ROOM_MAX], *pointers[ROOM_MAX];
    char skus_made[LINES_MAX][16];
};

static uint64_t chance(struct shopping *s)
{
    s->chance ^= s->chance << 13;
    s->chance ^= s->chance >> 7;
    s->chance ^= s->chance << 17;
    return s->chance;
}

static void put_line(struct shopping *s, size_t i, const char *sku, int64_t quantity)
{
    s->lines[i] = (PlaceLine)OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT;
    s->lines[i].sku = (char *)sku;
    s->lines[i].quantity = quantity;
    s->pointers[i] = &s->lines[i];
}

static size_t fill_basket(struct shopping *s)
{
    size_t n = 1 + chance(s) % LINES_MAX;
    for (size_t i = 0; i < n; i++) {
        snprintf(s->skus_made[i], sizeof(s->skus_made[i]), "B%05d", (int)(chance(s) % (uint64_t)s->skus));
        put_line(s, i, s->skus_made[i], 1 + (int64_t)(chance(s) % 3));
    }
    return n;
}

static size_t fill_planned(struct shopping *s)
{
    const struct plan_invoice *invoice = &s->plan.invoices[chance(s) % s->plan.n];
    size_t n = invoice->n_lines < ROOM_MAX ? invoice->n_lines : ROOM_MAX;
    for (size_t i = 0; i < n; i++)
        put_line(s, i, invoice->lines[i].sku, invoice->lines[i].quantity);
    return n;
}

static size_t write_order(void *arg, uint8_t *buffer, size_t room)
{
    struct shopping *s = arg;
    PlaceOrderRequest request = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char id[64];

    snprintf(id, sizeof(id), "bench-%s-%llu", s->run, (unsigned long long)s->n++);
    request.n_lines = s->plan.n ? fill_planned(s) : fill_basket(s);
    address.name = "A Customer";
    address.city = "York";
    address.postal_code = "YO1 7HH";
    address.country = "United Kingdom";
    request.request_id = id;
    request.lines = s->pointers;
    request.currency_code = "GBP";
    request.channel = "bench";
    request.ship_to = &address;
    request.payment_token = "tok_ok";
    request.email = "customer@example.com";
    request.wait = true;
    if (oms__order__v1__place_order_request__get_packed_size(&request) > room)
        abort();
    return oms__order__v1__place_order_request__pack(&request, buffer);
}

static void measuring(void *arg, bool begins)
{
    puts(begins ? "begin" : "end");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct load_result result = { 0 };
    struct tokens tokens;
    if (argc != 7) {
        fprintf(stderr, "bench_orders_load PORT TOKEN_KEY SECONDS STREAMS SKUS PLAN\n");
        return EXIT_FAILURE;
    }
    static struct shopping shopping; /* large */
    shopping = (struct shopping){ .chance = 0x9e3779b97f4a7c15, .skus = atoi(argv[5]) };
    snprintf(shopping.run, sizeof(shopping.run), "%llx", (unsigned long long)wheel_now_us());
    if (strcmp(argv[6], "-") != 0)
        plan_read(&shopping.plan, argv[6]);
    tokens_make(&tokens, argv[2], CUSTOMERS, FRESH);
    load_calls(
        &(struct load_call){ "/oms.order.v1.OrderService/PlaceOrder", (size_t)atoi(argv[4]), write_order, &shopping });
    load_run(atoi(argv[1]), &tokens, WARM_US, (int64_t)(atof(argv[3]) * 1e6), measuring, NULL, &result);
    printf("%zu %zu %lld %lld %lld\n", result.calls, result.failed, (long long)result.wall_us, (long long)result.p50_us,
           (long long)result.p99_us);
    tokens_drop(&tokens);
    plan_drop(&shopping.plan);
    return EXIT_SUCCESS;
}
