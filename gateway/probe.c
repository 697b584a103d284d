/* The smallest of calls: an empty HealthCheckRequest there, one byte of interest back. */
#include "gateway/probe.h"

#include "mesh/rpc/rpc.h"

#include "api.h"

static struct probe *probe_of(struct upcall *call)
{
    return (struct probe *)((char *)call - offsetof(struct probe, call));
}

static void on_field(struct upcall *call, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct probe *probe = probe_of(call);
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    if (n.len == 11 && memcmp(n.base, "grpc-status", 11) == 0)
        probe->status = atoi((const char *)v.base); /* nghttp2's buffers end with NUL */
}

static void on_head(struct upcall *call, bool end)
{
}

static void on_data(struct upcall *call, const uint8_t *data, size_t n)
{
    struct probe *probe = probe_of(call);
    size_t room = sizeof(probe->reply) - probe->reply_len;
    memcpy(probe->reply + probe->reply_len, data, n < room ? n : room);
    probe->reply_len += n < room ? n : room;
    upcall_consumed(call, n);
}

static void on_end(struct upcall *call)
{
}

static void on_taken(struct upcall *call, size_t n)
{
}

static bool says_serving(const struct probe *probe)
{
    if (probe->reply_len < 5 || probe->reply[4] > probe->reply_len - 5)
        return false;
    Grpc__Health__V1__HealthCheckResponse *reply =
        grpc__health__v1__health_check_response__unpack(NULL, probe->reply[4], probe->reply + 5);
    bool serving = reply && reply->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    if (reply)
        grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    return serving;
}

static void on_closed(struct upcall *call, uint32_t error_code, bool unprocessed)
{
    struct probe *probe = probe_of(call);
    pipe_finish(&call->request);
    probe->running = false;
    enum probe_result result = PROBE_SICK;
    if (error_code == UPCALL_LOST)
        result = PROBE_LOST;
    else if (error_code == NGHTTP2_REFUSED_STREAM)
        result = PROBE_AGAIN;
    else if (probe->status == RPC_UNIMPLEMENTED || (probe->status == RPC_OK && says_serving(probe)))
        result = PROBE_WELL;
    probe->done(probe, result);
}

static const struct upcall_ops ops = { on_field, on_head, on_data, on_end, on_taken, on_closed };

int probe_start(struct probe *probe, struct upstream *upstream, const char *process,
                void (*done)(struct probe *, enum probe_result))
{
    const nghttp2_nv fields[] = {
        H2_FIELD(":method", "POST"),
        H2_FIELD(":scheme", "https"),
        H2_FIELD(":path", "/grpc.health.v1.Health/Check"),
        H2_VALUE(":authority", process, strlen(process)),
        H2_FIELD("te", "trailers"),
        H2_FIELD("content-type", "application/grpc"),
    };
    memset(probe, 0, offsetof(struct probe, call));
    memset(&probe->call, 0, offsetof(struct upcall, request));
    pipe_init(&probe->call.request);
    pipe_put(&probe->call.request, (const uint8_t[5]){ 0 }, 5);
    probe->call.ops = &ops;
    probe->call.request_ended = true;
    probe->done = done;
    probe->status = -1;
    probe->reply_len = 0;
    int r = upcall_start(&probe->call, upstream, fields, sizeof(fields) / sizeof(fields[0]));
    if (r < 0)
        pipe_finish(&probe->call.request);
    probe->running = r == 0;
    return r;
}
