/* The Connect protocol (https://connectrpc.com/docs/protocol): unary calls are bare messages with an HTTP status,
 * application/proto or application/json; streams are frames, application/connect+proto or +json, and the last one, with
 * bit 2 of its flags set, is JSON that says how it ended. Methods that change nothing may be asked by GET with the
 * message in the query. Where the protocol leaves it open: version 1 is taken for granted, timeouts are cut to
 * the gateway's own, and JSON with unknown fields is refused. */
#pragma once

#include "gateway/dialect.h"

extern const struct dialect connect_proto, connect_json, connect_streams_proto, connect_streams_json;

/* Of a GET: the dialect that its query names, with x->route found; NULL: it asks for no such method. */
const struct dialect *connect_get(struct exchange *x);
