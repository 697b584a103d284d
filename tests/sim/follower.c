/* Somebody outside who follows svc-order's log through every break, and writes down what it is told: nothing twice,
 * nothing missing, nothing before it is true. */
#include "mesh/v1/log.pb-c.h"
#include "oms/event/v1/event.pb-c.h"
#include "tests/sim/shop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL     "/mesh.v1.LogService/Tail"
#define AGAIN_US 1000000

struct follower {
    struct outcall call; /* first: the follower is its call */
    struct timer again, resume;
    struct shop *shop;
    struct caller caller;
    uint8_t *request;
    char incarnation[40];
    uint64_t seq;
    bool following, closing;
    struct told *told; /* in the order the log first told of them */
    size_t n_told, capacity;
};

static struct told *find(struct follower *f, const char *order_id)
{
    for (size_t i = f->n_told; i-- > 0;)
        if (strcmp(f->told[i].order_id, order_id) == 0)
            return &f->told[i];
    if (f->n_told == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 256;
        f->told = realloc(f->told, f->capacity * sizeof(*f->told));
        assert(f->told);
    }
    struct told *told = &f->told[f->n_told++];
    *told = (struct told){ 0 };
    snprintf(told->order_id, sizeof(told->order_id), "%s", order_id);
    return told;
}

static void entry(struct follower *f, const Mesh__V1__LogEntry *e)
{
    if (e->seq != f->seq + 1)
        shop_violation(f->shop, "the log told of %llu after %llu", (unsigned long long)e->seq,
                       (unsigned long long)f->seq);
    f->seq = e->seq;
    struct told *told = find(f, e->key);
    switch (e->type) {
    case OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED:
        told->placed++;
        break;
    case OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED:
        told->confirmed++;
        break;
    case OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED:
        told->rejected++;
        break;
    case OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLING:
        told->cancelling++;
        break;
    case OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLED:
        told->cancelled++;
        break;
    case OMS__EVENT__V1__EVENT_TYPE__ORDER_COMPLETED:
        told->completed++;
        break;
    }
}

static bool on_message(struct outcall *call, struct bytes message)
{
    struct follower *f = (struct follower *)call;
    struct port *port = node_port(f->shop->gateway);
    Mesh__V1__TailResponse *reply = mesh__v1__tail_response__unpack(NULL, message.len, message.data);

    if (!reply) {
        shop_violation(f->shop, "a message of the log's tail is garbage");
        return true;
    }
    for (size_t i = 0; i < reply->n_entries; i++)
        entry(f, reply->entries[i]);
    if (reply->position) {
        if (f->incarnation[0] && strcmp(f->incarnation, reply->position->incarnation) != 0)
            shop_violation(f->shop, "the log became another one");
        snprintf(f->incarnation, sizeof(f->incarnation), "%s", reply->position->incarnation);
        if (reply->position->seq != f->seq)
            shop_violation(f->shop, "the log says it stands at %llu and told up to %llu",
                           (unsigned long long)reply->position->seq, (unsigned long long)f->seq);
    }
    mesh__v1__tail_response__free_unpacked(reply, NULL);
    if (world_roll(f->shop->w, 20))
        return true;
    port->timer_start(port, &f->resume, (int64_t)world_roll(f->shop->w, AGAIN_US));
    return false;
}

static void on_done(struct outcall *call, const struct rpc_status *status)
{
    struct follower *f = (struct follower *)call;
    struct port *port = node_port(f->shop->gateway);

    f->following = false;
    port->timer_stop(port, &f->resume);
    if (status->code != RPC_UNAVAILABLE && status->code != RPC_CANCELLED && status->code != RPC_RESOURCE_EXHAUSTED)
        shop_violation(f->shop, "the log's tail ended with %s: %s", rpc_code_name(status->code), status->message);
    if (!f->closing)
        port->timer_start(port, &f->again, 1 + (int64_t)world_roll(f->shop->w, AGAIN_US));
}

static void resume(struct timer *timer)
{
    struct follower *f = (struct follower *)((char *)timer - offsetof(struct follower, resume));

    if (f->following)
        node_port(f->shop->gateway)->resume(node_port(f->shop->gateway), &f->call);
}

static void follow(struct timer *timer)
{
    struct follower *f = (struct follower *)((char *)timer - offsetof(struct follower, again));
    Mesh__V1__Position after = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest req = MESH__V1__TAIL_REQUEST__INIT;

    after.incarnation = f->incarnation;
    after.seq = f->seq;
    req.after = &after;
    req.follow = true;
    req.max_entries = 1 + (uint32_t)world_roll(f->shop->w, 64);
    free(f->request);
    f->request = malloc(mesh__v1__tail_request__get_packed_size(&req) + 1);
    assert(f->request);
    f->call = (struct outcall){
        .peer = "svc-order",
        .method = TAIL,
        .request = { f->request, mesh__v1__tail_request__pack(&req, f->request) },
        .caller = &f->caller,
        .message = on_message,
        .done = on_done,
    };
    f->following = true;
    node_port(f->shop->gateway)->call(node_port(f->shop->gateway), &f->call);
}

struct follower *follower_create(struct shop *shop)
{
    struct follower *f = calloc(1, sizeof(*f));

    assert(f);
    f->shop = shop;
    f->caller = (struct caller){ ROLE_BIT(MESH__V1__ROLE__OPERATOR), "follower" };
    f->again.fire = follow;
    f->resume.fire = resume;
    node_port(shop->gateway)->timer_start(node_port(shop->gateway), &f->again, 1);
    return f;
}

static bool at_rest(void *arg)
{
    return !((struct follower *)arg)->following;
}

void follower_destroy(struct follower *f)
{
    if (!f)
        return;
    struct port *port = node_port(f->shop->gateway);
    f->closing = true;
    port->timer_stop(port, &f->again);
    if (f->following)
        port->cancel(port, &f->call);
    world_until(f->shop->w, at_rest, f, AGAIN_US);
    port->timer_stop(port, &f->resume);
    free(f->request);
    free(f->told);
    free(f);
}

uint64_t follower_seq(const struct follower *f)
{
    return f->seq;
}

size_t follower_told(const struct follower *f, const struct told **ret_first)
{
    *ret_first = f->told;
    return f->n_told;
}
