/* Everything through the API, but for the carrier's book. */
#include "tests/svc-shipping/yard.h"

#include "dev/sandbox/carrier.h"

#include <check.h>
#include <string.h>

#define A_WHILE_US 200000

void yard_open(struct shop *s, uint64_t seed)
{
    shop_open(s, seed);
    open_locations(s);
    Product *post = product(s, "POST", 3, 0);
    post->variants[0]->stocked = false;
    upsert(s, post);
    shop_settle(s);
}

static const char *place(struct shop *s, const char *customer_id, const char *city)
{
    Oms__Order__V1__PlaceOrderRequest req = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__PlaceOrderRequest__Line line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT,
                                            *lines[] = { &line };
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char *street[] = { "1 Canary Street", "Flat 2" };
    line.sku = "POST";
    line.quantity = 1;
    address.name = "Canary Bird";
    address.street = street;
    address.n_street = 2;
    address.city = (char *)city;
    address.postal_code = "CB1 2RD";
    address.country = "GB";
    req.request_id = fresh(s);
    req.customer_id = (char *)customer_id;
    req.lines = lines;
    req.n_lines = 1;
    req.currency_code = "GBP";
    req.channel = "erp";
    req.ship_to = &address;
    return ((Oms__Order__V1__PlaceOrderResponse *)get(s, &erp, "PlaceOrder", &req))->order->order_id;
}

const char *order_to(struct shop *s, const char *city)
{
    return place(s, "cus_anna", city);
}

const char *guest_order_to(struct shop *s, const char *city)
{
    return place(s, "", city);
}

/* --- methods --- */

static FulfillmentLine *line_of(struct shop *s, int place)
{
    FulfillmentLine *line = arena_message(&s->arena, &oms__shipping__v1__fulfillment_line__descriptor);
    line->place = place;
    line->sku = arena_printf(&s->arena, "S%d", place);
    line->quantity = place + 1;
    return line;
}

CreateFulfillmentRequest *shares_of(struct shop *s, const char *order_id, int n)
{
    CreateFulfillmentRequest *req =
        arena_message(&s->arena, &oms__shipping__v1__create_fulfillment_request__descriptor);
    req->request_id = fresh(s);
    req->order_id = (char *)order_id;
    req->customer_id = "cus_anna";
    req->shares = arena_alloc(&s->arena, n * sizeof(Share *));
    for (int i = 0; i < n; i++) {
        Share *share = arena_message(&s->arena, &oms__shipping__v1__create_fulfillment_request__share__descriptor);
        share->location_id = i % 2 ? "L2" : "L1";
        share->lines = arena_alloc(&s->arena, 2 * sizeof(FulfillmentLine *));
        for (share->n_lines = 0; share->n_lines < 2; share->n_lines++)
            share->lines[share->n_lines] = line_of(s, 2 * i + (int)share->n_lines);
        req->shares[req->n_shares++] = share;
    }
    return req;
}

const char *create(struct shop *s, const char *order_id)
{
    const CreateFulfillmentResponse *made = get(s, &order_process, "CreateFulfillment", shares_of(s, order_id, 1));
    return made->fulfillment_ids[0];
}

const CancelFulfillmentResponse *cancel(struct shop *s, const char *operation_id)
{
    CancelFulfillmentRequest req = OMS__SHIPPING__V1__CANCEL_FULFILLMENT_REQUEST__INIT;
    req.request_id = fresh(s);
    req.operation_id = (char *)operation_id;
    return get(s, &order_process, "CancelFulfillment", &req);
}

static const struct asked *ask_pack(struct shop *s, const char *request_id, const char *fulfillment_id)
{
    PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    req.request_id = (char *)request_id;
    req.fulfillment_id = (char *)fulfillment_id;
    req.weight_grams = 750;
    return ask(s, &depot, "PackFulfillment", &req);
}

static const struct asked *ask_ship(struct shop *s, const char *request_id, const char *fulfillment_id)
{
    ShipFulfillmentRequest req = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
    req.request_id = (char *)request_id;
    req.fulfillment_id = (char *)fulfillment_id;
    return ask(s, &depot, "ShipFulfillment", &req);
}

const struct asked *try_pack(struct shop *s, const char *fulfillment_id)
{
    return ask_pack(s, fresh(s), fulfillment_id);
}

const struct asked *try_pack_without(struct shop *s, const char *fulfillment_id, const int64_t missing[2])
{
    PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    Missing wanted[2], *lines[2];
    for (int place = 0; place < 2; place++) {
        oms__shipping__v1__pack_fulfillment_request__missing__init(&wanted[place]);
        wanted[place].sku = place ? "S1" : "S0";
        wanted[place].quantity = missing[place];
        if (missing[place])
            lines[req.n_missing++] = &wanted[place];
    }
    req.request_id = fresh(s);
    req.wait = true;
    req.fulfillment_id = (char *)fulfillment_id;
    req.missing = lines;
    return ask(s, &depot, "PackFulfillment", &req);
}

const struct asked *try_pack_and_wait(struct shop *s, const char *fulfillment_id)
{
    PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    req.request_id = fresh(s);
    req.fulfillment_id = (char *)fulfillment_id;
    req.wait = true;
    return ask(s, &depot, "PackFulfillment", &req);
}

const struct asked *try_ship(struct shop *s, const char *fulfillment_id)
{
    return ask_ship(s, fresh(s), fulfillment_id);
}

static const Fulfillment *insist(struct shop *s,
                                 const struct asked *(*attempt)(struct shop *, const char *, const char *),
                                 const char *id, const char *not_there)
{
    const char *request_id = fresh(s);
    for (int64_t waited_us = 0; waited_us < YARD_PATIENCE_US; waited_us += A_WHILE_US) {
        const struct asked *a = attempt(s, request_id, id);
        if (a->code == RPC_OK)
            return ((FulfillmentResponse *)a->reply)->fulfillment;
        if (a->code != RPC_UNAVAILABLE && a->code != RPC_DEADLINE_EXCEEDED)
            ck_refused(a, RPC_FAILED_PRECONDITION, not_there, "");
        world_run(s->world, A_WHILE_US);
    }
    ck_abort_msg("%s never came", not_there);
}

const Fulfillment *packed(struct shop *s, const char *fulfillment_id)
{
    return insist(s, ask_pack, fulfillment_id, "");
}

const Fulfillment *shipped(struct shop *s, const char *fulfillment_id)
{
    return insist(s, ask_ship, fulfillment_id, "LABEL_NOT_THERE");
}

const Fulfillment *fulfillment_of(struct shop *s, const char *fulfillment_id)
{
    GetFulfillmentRequest req = OMS__SHIPPING__V1__GET_FULFILLMENT_REQUEST__INIT;
    req.fulfillment_id = (char *)fulfillment_id;
    return ((FulfillmentResponse *)get(s, &staff, "GetFulfillment", &req))->fulfillment;
}

void await_label(struct shop *s, const char *fulfillment_id)
{
    for (int64_t waited_us = 0; waited_us < YARD_PATIENCE_US; waited_us += A_WHILE_US) {
        const Fulfillment *f = fulfillment_of(s, fulfillment_id);
        if (f->tracking_number[0] || f->state == FULFILLMENT_STATE(EXCEPTION))
            return;
        world_run(s->world, A_WHILE_US);
    }
    ck_abort_msg("the carrier never gave a label");
}

void await_state(struct shop *s, const char *fulfillment_id, Oms__Shipping__V1__Fulfillment__State state)
{
    for (int64_t waited_us = 0; waited_us < YARD_PATIENCE_US; waited_us += A_WHILE_US) {
        if (fulfillment_of(s, fulfillment_id)->state == state)
            return;
        world_run(s->world, A_WHILE_US);
    }
    ck_assert_int_eq(fulfillment_of(s, fulfillment_id)->state, state);
}

const char *send_to(struct shop *s, const char *city)
{
    const char *id = create(s, order_to(s, city));
    packed(s, id);
    shipped(s, id);
    return id;
}

const char *tracking_of(struct shop *s, const char *fulfillment_id)
{
    const Fulfillment *f = fulfillment_of(s, fulfillment_id);
    char *text = "";
    for (size_t i = 0; i < f->n_tracking; i++)
        text = arena_printf(&s->arena, "%s%s%s", text, i ? " " : "",
                            protobuf_c_enum_descriptor_get_value(&oms__shipping__v1__tracking_event__type__descriptor,
                                                                 f->tracking[i]->type)
                                ->name);
    return text;
}

/* --- the carrier's book --- */

struct looking {
    const char *key, *state;
    uint64_t n;
};

static void look(void *arg, const struct parcel *parcel)
{
    static const char *const names[] = {
        [PARCEL_LABELLED] = "LABELLED", [PARCEL_CANCELLED] = "CANCELLED", [PARCEL_HANDED_OVER] = "HANDED_OVER"
    };
    struct looking *looking = arg;
    looking->n += parcel->tracking_number[0] != '\0';
    if (looking->key && strcmp(looking->key, parcel->key) == 0)
        looking->state = names[parcel->state];
}

const char *book_says(struct shop *s, const char *fulfillment_id)
{
    struct looking looking = { .key = fulfillment_id, .state = "" };
    carrier_each(s->carrier, look, &looking);
    return looking.state;
}

uint64_t book_parcels(struct shop *s)
{
    struct looking looking = { 0 };
    carrier_each(s->carrier, look, &looking);
    return looking.n;
}

static void count(void *arg, const struct parcel_event *event)
{
    *(uint64_t *)arg = event->seq;
}

uint64_t book_events(struct shop *s)
{
    uint64_t n = 0;
    carrier_each_event(s->carrier, count, &n);
    return n;
}
