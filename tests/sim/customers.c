/* Customers: they order, retry, repeat, change their minds under an old request id, look, and look at what is not
 * theirs. */
#include "tests/sim/shop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRESH        64 /* orders */
#define THINK_US     300000
#define AT_EASE_US   60000000
#define PLACE_ORDER  "/oms.order.v1.OrderService/PlaceOrder"
#define GET_ORDER    "/oms.order.v1.OrderService/GetOrder"
#define LIST_ORDERS  "/oms.order.v1.OrderService/ListOrders"
#define CANCEL_ORDER "/oms.order.v1.OrderService/CancelOrder"
#define AVAILABILITY "/oms.inventory.v1.InventoryService/BatchGetAvailability"

typedef Oms__Order__V1__PlaceOrderRequest PlaceOrderRequest;
typedef Oms__Order__V1__PlaceOrderRequest__Line PlaceLine;
typedef Oms__Order__V1__PlaceOrderResponse PlaceOrderResponse;
typedef Oms__Order__V1__Order Order;

static int64_t minor(const Google__Type__Money *money)
{
    return money ? money->units * 100 + money->nanos / 10000000 : -1;
}

/* When everything that was wanted is ordered, nobody hurries any more. */
static void ponder(struct actor *actor)
{
    const struct shop *shop = actor->shop;

    actor_rest(actor, shop->n_intentions == shop->wanted ? AT_EASE_US : THINK_US / shop->hurry);
}

/* --- placing --- */

/* What the processor does with the card, and the carrier with the address, by weight. */
struct choice {
    unsigned weight;
    const char *what;
};
static const struct choice tokens[] = {
    { 60, "tok_ok" },           { 5, "tok_declined" },  { 3, "tok_poor" },  { 6, "tok_3ds" },
    { 2, "tok_3ds_fails" },     { 1, "tok_3ds_never" }, { 5, "tok_slow" },  { 3, "tok_late" },
    { 5, "tok_silent" },        { 3, "tok_mute" },      { 4, "tok_error" }, { 1, "tok_refund_fails" },
    { 2, "tok_capture_fails" },
};
static const struct choice cities[] = {
    { 76, "Somewhere" }, { 5, "Delayton" },  { 3, "Lostwick" },  { 3, "Returnham" },
    { 4, "Errorby" },    { 4, "Silentham" }, { 4, "Twiceford" }, { 1, "Refusal" },
};

static const char *choose(struct world *w, const struct choice *choices)
{
    uint64_t dice = world_roll(w, 100);

    while (dice >= choices->weight)
        dice -= choices++->weight;
    return choices->what;
}

/* Packs the intention; spoiled: another body under the same id. */
static struct bytes pack(struct actor *actor, const struct intention *in, bool spoiled, bool priced)
{
    PlaceOrderRequest req = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    PlaceLine lines[SHOP_LINES], *pointers[SHOP_LINES];
    Google__Type__Money prices[SHOP_LINES];
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char skus[SHOP_LINES][16];

    for (size_t i = 0; i < in->n_lines; i++) {
        shop_sku(in->lines[i].sku, skus[i]);
        lines[i] = (PlaceLine)OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT;
        lines[i].sku = skus[i];
        lines[i].quantity = in->lines[i].quantity + (spoiled && i == 0);
        int64_t price = actor->shop->price_minor[in->lines[i].sku];
        prices[i] = (Google__Type__Money)GOOGLE__TYPE__MONEY__INIT;
        prices[i].currency_code = "EUR";
        prices[i].units = price / 100;
        prices[i].nanos = (int32_t)(price % 100) * 10000000;
        lines[i].unit_price = priced ? &prices[i] : NULL;
        pointers[i] = &lines[i];
    }
    address.name = "Somebody";
    address.city = (char *)in->city;
    req.request_id = (char *)in->request_id;
    req.lines = pointers;
    req.n_lines = in->n_lines;
    req.currency_code = "EUR";
    req.channel = (char *)in->channel;
    req.ship_to = &address;
    req.payment_token = (char *)in->token;
    req.email = "somebody@example.com";
    req.wait = in->channel[strlen(in->channel) - 1] % 4 == 0;
    return actor_pack(actor, &req);
}

static void check_content(struct shop *shop, const struct intention *in, const Order *order)
{
    int64_t wanted[SHOP_SKUS] = { 0 }, there[SHOP_SKUS] = { 0 }, total = 0;

    for (size_t i = 0; i < in->n_lines; i++)
        wanted[in->lines[i].sku] += in->lines[i].quantity;
    for (size_t i = 0; i < order->n_lines; i++) {
        int sku = atoi(order->lines[i]->sku + 4);
        if (sku >= 0 && sku < SHOP_SKUS)
            there[sku] += order->lines[i]->quantity;
        total += order->lines[i]->quantity * minor(order->lines[i]->unit_price);
    }
    if (memcmp(wanted, there, sizeof(wanted)) != 0)
        shop_violation(shop, "order %s has other lines than were ordered", order->order_id);
    if (total != minor(order->total))
        shop_violation(shop, "order %s costs %lld, its lines %lld", order->order_id, (long long)minor(order->total),
                       (long long)total);
    if (strcmp(order->customer_id, in->customer) != 0 || strcmp(order->channel, in->channel) != 0)
        shop_violation(shop, "order %s is of another customer or channel", order->order_id);
}

/* The first acknowledgement is remembered; every later one must say the same. */
static void acknowledge(struct shop *shop, struct intention *in, const Order *order)
{
    if (!order) {
        shop_violation(shop, "%s was acknowledged without an order", in->request_id);
        return;
    }
    check_content(shop, in, order);
    if (in->fate != ACKNOWLEDGED) {
        shop->acknowledged++;
        snprintf(in->order_id, sizeof(in->order_id), "%s", order->order_id);
        in->total_minor = minor(order->total);
        in->fate = ACKNOWLEDGED;
    } else if (strcmp(in->order_id, order->order_id) != 0 || in->total_minor != minor(order->total)) {
        shop_violation(shop, "%s was acknowledged as %s, and then as %s", in->request_id, in->order_id,
                       order->order_id);
    }
}

static void placed(struct actor *actor, const struct heard *answer)
{
    struct shop *shop = actor->shop;
    struct intention *in = actor->intention;
    bool first = in->fate == OPEN;

    if (answer->code == RPC_OK) {
        PlaceOrderResponse *reply =
            oms__order__v1__place_order_response__unpack(NULL, answer->reply.len, answer->reply.data);
        acknowledge(shop, in, reply ? reply->order : NULL);
        if (reply)
            oms__order__v1__place_order_response__free_unpacked(reply, NULL);
    } else if (in->fate == ACKNOWLEDGED) {
        shop_violation(shop, "%s was acknowledged as %s, and then refused: %s", in->request_id, in->order_id,
                       answer->message);
    } else {
        in->fate = REFUSED;
        shop->refused++;
        if (strcmp(answer->reason, "REQUEST_ID_REUSED") == 0)
            shop_violation(shop, "%s was refused as reused when it was not", in->request_id);
    }
    shop->n_open -= first;
    ponder(actor);
}

static void place(struct actor *actor)
{
    struct shop *shop = actor->shop;
    struct world *w = shop->w;

    if (shop->closing || shop->n_intentions == shop->wanted) {
        ponder(actor);
        return;
    }
    struct intention *in = &shop->intentions[shop->n_intentions];
    snprintf(in->channel, sizeof(in->channel), "c%zu", shop->n_intentions++);
    snprintf(in->customer, sizeof(in->customer), "%s", actor->caller.subject);
    if (world_roll(w, 2))
        id_make(node_port(shop->gateway), "req", in->request_id);
    else
        snprintf(in->request_id, sizeof(in->request_id), "phone-%d-%s", actor->number, in->channel);
    in->token = choose(w, tokens);
    in->city = choose(w, cities);
    in->n_lines = 1 + world_roll(w, SHOP_LINES);
    for (size_t i = 0; i < in->n_lines; i++) {
        in->lines[i].sku = world_roll(w, 10) < 3 ? SHOP_HOT_SKU : (int)world_roll(w, SHOP_SKUS);
        in->lines[i].quantity = 1 + (int64_t)world_roll(w, 3);
    }
    shop->n_open++;
    actor->intention = in;
    struct bytes packed = pack(actor, in, false, world_roll(w, 4) == 0);
    uint8_t *kept = malloc(packed.len + 1);
    assert(kept);
    memcpy(kept, packed.data, packed.len);
    in->request = (struct bytes){ kept, packed.len };
    actor_ask(actor, "svc-order", PLACE_ORDER, in->request, true, placed);
}

/* One of his own that is done with, perhaps of the last few; NULL: by chance there is none. */
static struct intention *own(struct actor *actor, enum fate fate)
{
    struct shop *shop = actor->shop;

    size_t among = shop->n_intentions;

    if (among > FRESH && world_roll(shop->w, 2))
        among = FRESH;
    for (int i = 0; i < 10 && among; i++) {
        struct intention *in = &shop->intentions[shop->n_intentions - 1 - world_roll(shop->w, among)];
        if (in->fate == fate && strcmp(in->customer, actor->caller.subject) == 0)
            return in;
    }
    return NULL;
}

static void repeat(struct actor *actor)
{
    actor->intention = own(actor, ACKNOWLEDGED);
    if (!actor->intention) {
        place(actor);
        return;
    }
    actor->shop->repeated++;
    actor_ask(actor, "svc-order", PLACE_ORDER, actor->intention->request, true, placed);
}

static void spoiled(struct actor *actor, const struct heard *answer)
{
    if (answer->code != RPC_INVALID_ARGUMENT || strcmp(answer->reason, "REQUEST_ID_REUSED") != 0)
        shop_violation(actor->shop, "another body under %s was answered %s %s", actor->intention->request_id,
                       rpc_code_name(answer->code), answer->reason);
    ponder(actor);
}

static void spoil(struct actor *actor)
{
    actor->intention = own(actor, ACKNOWLEDGED);
    if (!actor->intention)
        place(actor);
    else
        actor_ask(actor, "svc-order", PLACE_ORDER, pack(actor, actor->intention, true, false), true, spoiled);
}

/* --- changing one's mind --- */

static void cancelled(struct actor *actor, const struct heard *answer)
{
    if (answer->code == RPC_OK)
        actor->intention->cancelled = true;
    else if (answer->code != RPC_FAILED_PRECONDITION && answer->code != RPC_ABORTED) /* somebody is at it already */
        shop_violation(actor->shop, "cancelling %s was answered %s %s", actor->intention->order_id,
                       rpc_code_name(answer->code), answer->reason);
    ponder(actor);
}

static void cancel(struct actor *actor)
{
    Oms__Order__V1__CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    char id[ID_MAX];

    actor->intention = own(actor, ACKNOWLEDGED);
    if (!actor->intention) {
        place(actor);
        return;
    }
    actor->shop->cancels++;
    id_make(node_port(actor->shop->gateway), "cnc", id);
    req.request_id = id;
    req.order_id = actor->intention->order_id;
    req.reason = "CUSTOMER_REQUEST";
    req.wait = world_roll(actor->shop->w, 2);
    actor_ask(actor, "svc-order", CANCEL_ORDER, actor_pack(actor, &req), true, cancelled);
}

/* --- looking --- */

static void got(struct actor *actor, const struct heard *answer)
{
    Oms__Order__V1__GetOrderResponse *reply = NULL;

    if (answer->code == RPC_OK)
        reply = oms__order__v1__get_order_response__unpack(NULL, answer->reply.len, answer->reply.data);
    if (reply && reply->order)
        acknowledge(actor->shop, actor->intention, reply->order);
    else
        shop_violation(actor->shop, "%s cannot be read by its customer: %s", actor->intention->order_id,
                       answer->message);
    if (reply)
        oms__order__v1__get_order_response__free_unpacked(reply, NULL);
    ponder(actor);
}

static struct bytes get_request(struct actor *actor)
{
    Oms__Order__V1__GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;

    req.order_id = actor->intention->order_id;
    return actor_pack(actor, &req);
}

static void get(struct actor *actor)
{
    actor->intention = own(actor, ACKNOWLEDGED);
    if (!actor->intention)
        place(actor);
    else
        actor_ask(actor, "svc-order", GET_ORDER, get_request(actor), true, got);
}

static void pried(struct actor *actor, const struct heard *answer)
{
    if (answer->code != RPC_NOT_FOUND)
        shop_violation(actor->shop, "somebody else's order %s was answered %s", actor->intention->order_id,
                       rpc_code_name(answer->code));
    ponder(actor);
}

static void pry(struct actor *actor)
{
    struct shop *shop = actor->shop;
    struct intention *in = shop->n_intentions ? &shop->intentions[world_roll(shop->w, shop->n_intentions)] : NULL;

    if (!in || in->fate != ACKNOWLEDGED || strcmp(in->customer, actor->caller.subject) == 0) {
        place(actor);
        return;
    }
    actor->intention = in;
    actor_ask(actor, "svc-order", GET_ORDER, get_request(actor), true, pried);
}

static void listed(struct actor *actor, const struct heard *answer)
{
    Oms__Order__V1__ListOrdersResponse *reply = NULL;

    if (answer->code == RPC_OK)
        reply = oms__order__v1__list_orders_response__unpack(NULL, answer->reply.len, answer->reply.data);
    for (size_t i = 0; reply && i < reply->n_orders; i++)
        if (strcmp(reply->orders[i]->customer_id, actor->caller.subject) != 0)
            shop_violation(actor->shop, "%s was listed %s", actor->caller.subject, reply->orders[i]->order_id);
    if (reply)
        oms__order__v1__list_orders_response__free_unpacked(reply, NULL);
    ponder(actor);
}

static void list(struct actor *actor)
{
    Oms__Order__V1__ListOrdersRequest req = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;

    req.page_size = 5;
    actor_ask(actor, "svc-order", LIST_ORDERS, actor_pack(actor, &req), false, listed);
}

static void seen(struct actor *actor, const struct heard *answer)
{
    Oms__Inventory__V1__BatchGetAvailabilityResponse *reply = NULL;

    if (answer->code == RPC_OK)
        reply =
            oms__inventory__v1__batch_get_availability_response__unpack(NULL, answer->reply.len, answer->reply.data);
    if (answer->code == RPC_OK && (!reply || reply->n_availability != 2))
        shop_violation(actor->shop, "two SKUs were asked for, and not answered");
    for (size_t i = 0; reply && i < reply->n_availability; i++)
        if (reply->availability[i]->available < 0)
            shop_violation(actor->shop, "%s has negative availability", reply->availability[i]->sku);
    if (reply)
        oms__inventory__v1__batch_get_availability_response__free_unpacked(reply, NULL);
    ponder(actor);
}

static void look(struct actor *actor)
{
    Oms__Inventory__V1__BatchGetAvailabilityRequest req = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    char skus[2][16], *pointers[] = { skus[0], skus[1] };

    shop_sku(SHOP_HOT_SKU, skus[0]);
    shop_sku((int)world_roll(actor->shop->w, SHOP_SKUS), skus[1]);
    req.skus = pointers;
    req.n_skus = 2;
    actor_ask(actor, "svc-inventory", AVAILABILITY, actor_pack(actor, &req), false, seen);
}

static const struct {
    unsigned weight;
    void (*begin)(struct actor *actor);
} habits[] = {
    { 66, place }, { 7, repeat }, { 3, spoil }, { 6, get }, { 2, pry }, { 3, list }, { 9, look }, { 4, cancel },
};

void customer_act(struct actor *actor)
{
    uint64_t dice = world_roll(actor->shop->w, 100);

    if (actor->shop->closing)
        return;
    if (dice < actor->shop->regret) {
        cancel(actor);
        return;
    }
    dice = world_roll(actor->shop->w, 100);
    for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++) {
        if (dice < habits[i].weight) {
            habits[i].begin(actor);
            return;
        }
        dice -= habits[i].weight;
    }
}
