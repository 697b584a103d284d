/* The load of bench/growth: reads of orders that are there, through the gateway.
 *
 * bench_growth_load PORT TOKEN WHAT SECONDS STREAMS: TOKEN is staff's, WHAT a row of the table below, and standard
 * input has the names that its calls are for, one a line, each used in turn. Prints "begin" and "end" around what is
 * measured, and then one line: calls, failed, wall_us, p50_us, p99_us. */
#include "bench/gateway_bench.h"

#include "oms/order/v1/order.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_US 200000
#define PAGE    5 /* each customer has some ten orders, however many there are in all */

static struct {
    char **list;
    size_t n, next;
} names;

static char *next_name(void)
{
    return names.list[names.next++ % names.n];
}

static size_t pack(const ProtobufCMessage *message, uint8_t *buffer, size_t room)
{
    if (protobuf_c_message_get_packed_size(message) > room)
        abort();
    return protobuf_c_message_pack(message, buffer);
}

static size_t write_get(void *arg, uint8_t *buffer, size_t room)
{
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.order_id = next_name();
    return pack(&request.base, buffer, room);
}

static size_t write_lookup(void *arg, uint8_t *buffer, size_t room)
{
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.channel = "retail";
    request.external_id = next_name();
    return pack(&request.base, buffer, room);
}

static size_t write_list(void *arg, uint8_t *buffer, size_t room)
{
    Oms__Order__V1__ListOrdersRequest request = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    request.customer_id = next_name();
    request.page_size = PAGE;
    return pack(&request.base, buffer, room);
}

static const struct {
    const char *what, *path;
    size_t (*write)(void *arg, uint8_t *buffer, size_t room);
} loads[] = {
    { "get", "/oms.order.v1.OrderService/GetOrder", write_get },
    { "lookup", "/oms.order.v1.OrderService/GetOrder", write_lookup },
    { "list", "/oms.order.v1.OrderService/ListOrders", write_list },
    {},
};

static void read_names(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    for (ssize_t len; file && (len = getline(&line, &room, file)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        names.list = realloc(names.list, (names.n + 1) * sizeof(*names.list));
        if (!names.list)
            abort();
        names.list[names.n++] = strdup(line);
    }
    free(line);
    if (file)
        fclose(file);
}

static void measuring(void *arg, bool begins)
{
    puts(begins ? "begin" : "end");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct load_result result = { 0 };
    char bearer[4096], *token = bearer;
    struct tokens tokens = { .known = &token, .n_known = 1 };
    size_t i = 0;
    while (argc == 7 && loads[i].what && strcmp(loads[i].what, argv[3]) != 0)
        i++;
    if (argc != 7 || !loads[i].what) {
        fprintf(stderr, "bench_growth_load PORT TOKEN get|lookup|list SECONDS STREAMS NAMES\n");
        return EXIT_FAILURE;
    }
    read_names(argv[6]);
    if (names.n == 0)
        return EXIT_FAILURE;
    snprintf(bearer, sizeof(bearer), "Bearer %s", argv[2]);
    load_calls(&(struct load_call){ loads[i].path, (size_t)atoi(argv[5]), loads[i].write, NULL });
    load_run(atoi(argv[1]), &tokens, WARM_US, (int64_t)(atof(argv[4]) * 1e6), measuring, NULL, &result);
    printf("%zu %zu %lld %lld %lld\n", result.calls, result.failed, (long long)result.wall_us, (long long)result.p50_us,
           (long long)result.p99_us);
    return EXIT_SUCCESS;
}
