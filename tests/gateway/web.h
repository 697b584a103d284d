/* Clients in tests that do not speak gRPC: what came in the body, taken apart. */
#pragma once

#include "gateway/exchange.h"
#include "tests/gateway/stage.h"

#define GET    "/oms.order.v1.OrderService/GetOrder"
#define EXPORT "/oms.order.v1.OrderService/ExportOrders"

/* A call of the content type; extra as in peer_call. */
struct call *web_call(struct peer *peer, const char *path, const char *content, const char *extra);
/* The newest request of the backend's that is no probe; waits for it. */
struct call *web_request(struct stage *stage, struct backend *backend);
/* The i-th frame of the body, of which only what has come is looked at. False: it has not come. */
struct web_frame {
    uint8_t flags;
    struct bytes payload;
};
bool web_frame(const struct call *call, size_t i, struct web_frame *ret_frame);
/* The body, if it is in base64, decoded in place; call once. */
void web_untext(struct call *call);
/* The trailers frame of gRPC-Web, which must be the i-th and the last, put where call_field and its kin look. */
void web_trailers(struct call *call, size_t i);
