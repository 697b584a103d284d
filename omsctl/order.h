/* What the commands about orders share: how an order looks, and following one. */
#pragma once

#include "omsctl/api_names.h"
#include "omsctl/cli.h"

void order_show(struct arena *arena, const Order *order);
/* The reply's order, as JSON or as people read it. */
void order_show_reply(struct ctl *ctl, const ProtobufCMessage *reply, const Order *order);

/* "AUTHORIZED", and "" for what was not told. */
const char *order_state_name(Oms__Order__V1__Order__State state);
const char *order_payment_name(Oms__Order__V1__Order__PaymentState state);
const char *order_fulfillment_name(Oms__Order__V1__Order__FulfillmentState state);
/* No step of its life is still to come. */
bool order_is_over(Oms__Order__V1__Order__State state);

struct order_watch {
    struct ctl *ctl;
    const char *order_id;
    Mesh__V1__Position *after; /* NULL: the order as it is, then changes */
    bool settled;              /* end when it has left PENDING, not with its life */
    int64_t start_us;          /* monotonic: show what has passed since; 0: show wall clock times */
};

int64_t order_watch_now_us(struct ctl *ctl); /* for start_us */
/* One line: when, the order's, the payment's and the parcels' state, and what there is to say. */
void order_watch_line(const struct order_watch *watch, int64_t time_us, const char *state, const char *payment,
                      const char *fulfillment, const char *detail);
/* Until the order's life has ended, or it is settled; an exit code. */
int order_watch(struct order_watch *watch);
