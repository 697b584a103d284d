/* The tables of svc-order, wired. */
#include "svc-order/order.h"

static const struct rpc_method methods[] = {
    { "PlaceOrder", .unit = place_order, .settled = settle_place_order, .replay = replay_place_order },
    { "ImportOrders", .unit = import_orders },
    { "ActivateImport", .unit = activate_import },
    { "DiscardImport", .unit = discard_import },
    { "GetImport", .unit = get_import },
    { "CancelOrder", .unit = cancel_order, .settled = settle_cancel_order, .replay = replay_cancel_order },
    { "ExplainOrder", .unit = explain_order },
    { "ListStuckOrders", .unit = list_stuck_orders },
    { "GetOrder", .unit = get_order },
    { "BatchGetOrders", .unit = batch_get_orders },
    { "ListOrders", .unit = list_orders },
    { "ExportOrders", .page = export_orders },
    { "GetCredit", .unit = get_credit },
    { "ListCredits", .unit = list_credits },
    { "WatchOrder", .elsewhere = true },
    {},
};
static const struct rpc_service order_rpc = {
    "oms.order.v1.OrderService",
    &oms__order__v1__order_service__descriptor,
    methods,
};
static const struct rpc_service *const serves[] = { &order_rpc, NULL };

static const struct snapshot_kind snapshots[] = {
    { came_snapshot },
    { changed_snapshot },
    { credits_snapshot },
    {},
};

const struct service_spec order_service = {
    .name = "svc-order",
    .about = "What is ordered: placed once, priced by us, carried through its steps.",
    .serves = serves,
    .deliverers = order_deliverers,
    .timers = order_timers,
    .consumers = order_consumers,
    .snapshots = snapshots,
    .migrations = order_migrations,
};
