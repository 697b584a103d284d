/* The tables of svc-shipping, wired. */
#include "svc-shipping/shipping.h"

#define CARRIER_POLL_US 500000

static const struct rpc_method methods[] = {
    { "CreateFulfillment", .batch = create_fulfillments },
    { "CancelFulfillment", .unit = cancel_fulfillment },
    { "PackFulfillment", .unit = pack_fulfillment, .settled = settle_pack_fulfillment },
    { "ShipFulfillment", .unit = ship_fulfillment },
    { "GetFulfillment", .unit = get_fulfillment },
    { "ListFulfillments", .unit = list_fulfillments },
    { "Track", .unit = track_fulfillment },
    {},
};
static const struct rpc_service fulfillment_rpc = {
    "oms.shipping.v1.FulfillmentService",
    &oms__shipping__v1__fulfillment_service__descriptor,
    methods,
};
static const struct rpc_service *const serves[] = { &fulfillment_rpc, NULL };

static const struct snapshot_kind snapshots[] = {
    { created_snapshot },
    { shipped_snapshot },
    { became_snapshot },
    {},
};

/* The number, too, as a service that is hosted without a command line has its defaults. */
static struct option options[] = {
    { "carrier-poll", OPTION_DURATION, "500ms", "how often the carrier is asked while parcels are on their way",
      CARRIER_POLL_US },
    {},
};

int64_t shipping_carrier_poll_us(void)
{
    return config_number((struct option *const[]){ options, NULL }, "carrier-poll");
}

const struct service_spec shipping_service = {
    .name = "svc-shipping",
    .about = "What leaves the warehouses: fulfilments, parcels, and where they are.",
    .options = options,
    .serves = serves,
    .deliverers = shipping_deliverers,
    .timers = shipping_timers,
    .snapshots = snapshots,
    .migrations = shipping_migrations,
};
