/* The people who see to parcels: warehouses pack and ship what is theirs, and customer service gives up what is lost.
 */
#include "oms/shipping/v1/fulfillment.pb-c.h"
#include "tests/sim/shop.h"

#include <stdio.h>
#include <string.h>

#define THINK_US  400000
#define IDLE_US   40000000 /* who can do nothing looks half as often, until it is as rarely as that */
#define PAGE      10
#define FORGETS   8  /* of so many times somebody looks for a new list before the old one is done */
#define SHORTAGES 30 /* of so many parcels one is short */
#define LIST      "/oms.shipping.v1.FulfillmentService/ListFulfillments"
#define PACK      "/oms.shipping.v1.FulfillmentService/PackFulfillment"
#define SHIP      "/oms.shipping.v1.FulfillmentService/ShipFulfillment"
#define CANCEL    "/oms.order.v1.OrderService/CancelOrder"

typedef Oms__Shipping__V1__Fulfillment Fulfillment;
typedef Oms__Shipping__V1__ListFulfillmentsRequest ListRequest;
typedef Oms__Shipping__V1__ListFulfillmentsResponse ListResponse;

static void rest(struct actor *actor, bool achieved)
{
    int64_t us = THINK_US / actor->shop->hurry << actor->idle;

    actor->idle = achieved ? 0 : actor->idle + (us < IDLE_US);
    actor_rest(actor, us);
}

/* It may have been cancelled, or moved on, since it was listed. */
static void check(struct actor *actor, const struct heard *answer)
{
    if (answer->code != RPC_OK && answer->code != RPC_FAILED_PRECONDITION && answer->code != RPC_ABORTED)
        shop_violation(actor->shop, "a parcel was answered %s %s", rpc_code_name(answer->code), answer->message);
}

static void drop_list(struct actor *actor)
{
    if (actor->list)
        oms__shipping__v1__list_fulfillments_response__free_unpacked(actor->list, NULL);
    actor->list = NULL;
}

static void done(struct actor *actor, const struct heard *answer)
{
    check(actor, answer);
    rest(actor, answer->code == RPC_OK);
}

/* What is lost stays lost, if there is nothing else to be cancelled. */
static void given_up(struct actor *actor, const struct heard *answer)
{
    check(actor, answer);
    actor_rest(actor, IDLE_US);
}

typedef Oms__Shipping__V1__PackFulfillmentRequest__Missing Missing;

/* Now and then a shelf has less than the books say. */
static bool is_short(struct actor *actor, const Fulfillment *f, Missing *ret_missing)
{
    const Oms__Shipping__V1__FulfillmentLine *line = f->lines[world_roll(actor->shop->w, f->n_lines)];

    oms__shipping__v1__pack_fulfillment_request__missing__init(ret_missing);
    ret_missing->sku = line->sku;
    ret_missing->quantity = 1 + (int64_t)world_roll(actor->shop->w, (uint64_t)line->quantity);
    return world_roll(actor->shop->w, SHORTAGES) == 0;
}

static void pack(struct actor *actor, const Fulfillment *f)
{
    Oms__Shipping__V1__PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    Missing one, *missing = &one;
    char id[ID_MAX];

    id_make(node_port(actor->shop->gateway), "pck", id);
    req.request_id = id;
    req.fulfillment_id = f->fulfillment_id;
    req.weight_grams = 100 + (int64_t)world_roll(actor->shop->w, 5000);
    req.missing = &missing;
    req.n_missing = is_short(actor, f, missing);
    actor_ask(actor, "svc-shipping", PACK, actor_pack(actor, &req), true, done);
}

static void cancel(struct actor *actor, const char *order_id, const char *reason,
                   void (*answered)(struct actor *actor, const struct heard *answer))
{
    Oms__Order__V1__CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    char id[ID_MAX];

    id_make(node_port(actor->shop->gateway), "csr", id);
    req.request_id = id;
    req.order_id = (char *)order_id;
    req.reason = (char *)reason;
    actor_ask(actor, "svc-order", CANCEL, actor_pack(actor, &req), true, answered);
}

/* Now and then it turns out as the door closes behind the parcel that its customer does not want it any more. */
static void shipped(struct actor *actor, const struct heard *answer)
{
    if (answer->code != RPC_OK || world_roll(actor->shop->w, 300) >= actor->shop->regret)
        done(actor, answer);
    else
        cancel(actor, actor->order_id, "CUSTOMER_REQUEST", done);
}

static void ship(struct actor *actor, const Fulfillment *f)
{
    Oms__Shipping__V1__ShipFulfillmentRequest req = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
    char id[ID_MAX];

    id_make(node_port(actor->shop->gateway), "shp", id);
    req.request_id = id;
    req.fulfillment_id = f->fulfillment_id;
    snprintf(actor->order_id, sizeof(actor->order_id), "%s", f->order_id);
    actor_ask(actor, "svc-shipping", SHIP, actor_pack(actor, &req), true, shipped);
}

static void give_up(struct actor *actor, const Fulfillment *f)
{
    cancel(actor, f->order_id, "PARCEL_LOST", given_up);
}

static const struct {
    Oms__Shipping__V1__Fulfillment__State state;
    void (*see_to)(struct actor *actor, const Fulfillment *f);
} chores[] = {
    { OMS__SHIPPING__V1__FULFILLMENT__STATE__ALLOCATED, pack },
    { OMS__SHIPPING__V1__FULFILLMENT__STATE__PACKED, ship },
    { OMS__SHIPPING__V1__FULFILLMENT__STATE__EXCEPTION, give_up },
};

/* One of the list, by chance, and it is struck out; false: there is none. */
static bool see_to_one(struct actor *actor)
{
    ListResponse *list = actor->list;

    if (!list || list->n_fulfillments == 0)
        return false;
    size_t at = world_roll(actor->shop->w, list->n_fulfillments);
    Fulfillment *f = list->fulfillments[at];
    list->fulfillments[at] = list->fulfillments[list->n_fulfillments - 1];
    list->fulfillments[--list->n_fulfillments] = f;
    for (size_t i = 0; i < sizeof(chores) / sizeof(chores[0]); i++)
        if (chores[i].state == f->state)
            chores[i].see_to(actor, f);
    oms__shipping__v1__fulfillment__free_unpacked(f, NULL);
    return true;
}

static void listed(struct actor *actor, const struct heard *answer)
{
    drop_list(actor);
    if (answer->code == RPC_OK)
        actor->list =
            oms__shipping__v1__list_fulfillments_response__unpack(NULL, answer->reply.len, answer->reply.data);
    if (!see_to_one(actor))
        rest(actor, false);
}

static void look(struct actor *actor, Oms__Shipping__V1__Fulfillment__State state, const char *location)
{
    ListRequest req = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;

    req.state = state;
    req.location_id = (char *)location;
    req.page_size = PAGE;
    actor_ask(actor, "svc-shipping", LIST, actor_pack(actor, &req), false, listed);
}

void warehouse_act(struct actor *actor)
{
    char location[16];

    if (world_roll(actor->shop->w, FORGETS) && see_to_one(actor))
        return;
    shop_location(actor->number % SHOP_LOCATIONS, location);
    look(actor, chores[world_roll(actor->shop->w, 2)].state, location);
}

void service_act(struct actor *actor)
{
    drop_list(actor);
    look(actor, OMS__SHIPPING__V1__FULFILLMENT__STATE__EXCEPTION, "");
}

void depot_finish(struct actor *actor)
{
    drop_list(actor);
}
