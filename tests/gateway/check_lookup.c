/* Processes behind that are known by a name, which stands for others as they come and go. */
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>

#define GET "/oms.order.v1.OrderService/GetOrder"

static struct stage stage;

/* --- what stands before the C library's: looked up on a thread of libuv's --- */

static atomic_int named; /* bits of the backends of svc-order that the name stands for; 0: the lookup fails */
static atomic_int lookups;

static struct addrinfo *address_at(int port, struct addrinfo *next)
{
    struct addrinfo *info = calloc(1, sizeof(*info));
    struct sockaddr_in *address = calloc(1, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)port);
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *info = (struct addrinfo){
        .ai_family = AF_INET, .ai_addrlen = sizeof(*address), .ai_addr = (struct sockaddr *)address, .ai_next = next
    };
    return info;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (strcmp(host, "orders.test") != 0 || (hints->ai_flags & AI_NUMERICHOST)) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(host, service, hints, ret_list);
    }
    struct addrinfo *list = NULL;
    for (int i = 0; i < STAGE_BACKENDS; i++)
        if (named & 1 << i)
            list = address_at(stage.order[i].port, list);
    lookups++;
    *ret_list = list;
    return list ? 0 : EAI_AGAIN;
}

void freeaddrinfo(struct addrinfo *list)
{
    void (*real)(struct addrinfo *);
    if (list && list->ai_canonname == NULL && list->ai_socktype == 0) {
        for (struct addrinfo *next; list; list = next) {
            next = list->ai_next;
            free(list->ai_addr);
            free(list);
        }
        return;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
    if (list)
        real(list);
}

/* --- calls --- */

static void echo(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, call->body + 5, call->body_len - 5);
}

static struct call *get(struct peer *client)
{
    struct call *call = peer_call(client, GET, stage.bearer);
    call_put_message(call, "x", 1);
    call_end(call);
    return call;
}

static void get_many(struct peer *client, int n)
{
    for (int i = 0; i < n; i++) {
        struct call *call = get(client);
        stage_until(&stage, call->closed);
        ck_assert_int_eq(call_status(call), 0);
    }
}

static void open_named(int how, int backends)
{
    named = backends;
    lookups = 0;
    stage_open(&stage, STAGE_NAMED | how);
}

/* The stage's clock stands still while libuv's thread looks up: a turn more or less is no matter. */
static void await_lookup(void)
{
    int before = lookups;
    for (int64_t us = 0; lookups == before; us += 100000) {
        ck_assert_int_lt(us, 20000000);
        stage_for(&stage, 100000);
    }
}

START_TEST(who_the_name_comes_to_stand_for_is_used)
{
    open_named(0, 1);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = stage.order[1].more = echo;
    get_many(client, 5);
    ck_assert_int_eq(stage.order[0].n_requests, 5);
    named = 3;
    await_lookup();
    stage_until(&stage, balance_count(stage.gateway->balance, 0) == 2);
    stage_for(&stage, 6000000);
    get_many(client, 40);
    ck_assert_int_gt(stage.order[1].n_requests, 5);
    stage_close(&stage);
}
END_TEST

START_TEST(who_the_name_does_not_stand_for_any_more_finishes_what_he_has_begun)
{
    open_named(0, 1);
    struct peer *client = stage_client(&stage);
    struct call *call = get(client), *seen;
    stage_until(&stage, stage.order[0].n_requests == 1);
    named = 2;
    await_lookup();
    stage_until(&stage, stage.order[1].n_connections == 1);
    stage_until(&stage, balance_count(stage.gateway->balance, 0) == 1);
    stage.order[1].more = echo;
    get_many(client, 10);
    ck_assert_int_eq(stage.order[1].n_requests, 10);
    ck_assert(!call->closed);
    for (seen = stage.order[0].peers->calls; !seen->begun; seen = seen->next)
        ;
    echo(seen);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_until(&stage, seen->peer->down);
    stage_close(&stage);
}
END_TEST

START_TEST(a_lost_connection_has_its_name_looked_up_soon)
{
    open_named(0, 1);
    stage_for(&stage, 1500000);
    named = 2;
    int before = lookups;
    int64_t lost_us = wheel_now_us();
    backend_kill(&stage.order[0]);
    stage_until(&stage, lookups > before);
    stage_until(&stage, gateway_serving(stage.gateway));
    ck_assert_int_lt(wheel_now_us() - lost_us, 2500000);
    stage_close(&stage);
}
END_TEST

START_TEST(a_name_that_cannot_be_looked_up_stands_for_what_it_did)
{
    open_named(0, 1);
    stage.order[0].more = echo;
    named = 0;
    await_lookup();
    stage_for(&stage, 500000);
    get_many(stage_client(&stage), 5);
    stage_close(&stage);
}
END_TEST

START_TEST(an_address_beside_a_name_stays)
{
    open_named(STAGE_TWO, 2);
    await_lookup();
    stage_for(&stage, 500000);
    ck_assert_uint_eq(balance_count(stage.gateway->balance, 0), 2);
    stage_close(&stage);
}
END_TEST

SUITE("lookup", 100, who_the_name_comes_to_stand_for_is_used,
      who_the_name_does_not_stand_for_any_more_finishes_what_he_has_begun,
      a_lost_connection_has_its_name_looked_up_soon, a_name_that_cannot_be_looked_up_stands_for_what_it_did,
      an_address_beside_a_name_stays)
