/* Deny by default: what is not a known method, by a caller in one of its roles, goes no further. */
#include "gateway/access.h"

#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/limited.h"
#include "mesh/port.h"

#include <errno.h>
#include <string.h>

#define TIMEOUT_LONGEST_US (7 * 86400 * INT64_C(1000000))

int64_t access_timeout(const char *text, size_t len)
{
    static const struct {
        char unit;
        int64_t factor, divisor;
    } units[] = { { 'H', 3600000000, 1 }, { 'M', 60000000, 1 }, { 'S', 1000000, 1 },
                  { 'm', 1000, 1 },       { 'u', 1, 1 },        { 'n', 1, 1000 } };
    if (len < 2 || len > 9)
        return -EINVAL;
    int64_t n = 0;
    for (size_t i = 0; i < len - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        n = n * 10 + (text[i] - '0');
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[len - 1] != units[i].unit)
            continue;
        int64_t us = (n + units[i].divisor - 1) / units[i].divisor * units[i].factor;
        return us < TIMEOUT_LONGEST_US ? us : TIMEOUT_LONGEST_US;
    }
    return -EINVAL;
}

int64_t access_grpc_timeout(const struct exchange *x)
{
    if (!x->timeout)
        return ACCESS_NO_TIMEOUT;
    nghttp2_vec text = nghttp2_rcbuf_get_buf(x->timeout);
    return access_timeout((const char *)text.base, text.len);
}

static int deny(struct answer *ret_answer, enum rpc_code code, const char *reason, const char *message)
{
    *ret_answer = (struct answer){ code, reason, message, 0 };
    return -EACCES;
}

/* Who has many calls under way, or much in them, leaves room for others. */
static int check_room(struct exchange *x, struct answer *ret_answer)
{
    if (x->source->calls > x->gateway->limits.source_calls) {
        limit_met(LIMIT_CALLS);
        return deny(ret_answer, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_CALLS",
                    "too many calls of this address are under way");
    }
    if (exchange_is_full(x, 0))
        return deny(ret_answer, RPC_RESOURCE_EXHAUSTED, "GATEWAY_FULL", "the gateway holds too much already");
    return 0;
}

static int find_route(struct exchange *x, struct answer *ret_answer)
{
    if (x->fields_many || x->header_bytes > HEADERS_MAX)
        return deny(ret_answer, RPC_RESOURCE_EXHAUSTED, "HEADERS_TOO_LARGE", "the metadata is larger than 16 KiB");
    nghttp2_vec path = nghttp2_rcbuf_get_buf(x->path);
    if (!x->route) /* a dialect may have found it already */
        x->route = routes_find(x->gateway->routes, (const char *)path.base, path.len);
    if (!x->route)
        return deny(ret_answer, RPC_UNIMPLEMENTED, "METHOD_UNKNOWN", "there is no such method");
    return 0;
}

static int find_process(struct exchange *x, struct answer *ret_answer)
{
    x->process = (int8_t)x->route->process;
    if (x->process != ROUTE_ANY_PROCESS)
        return 0;
    nghttp2_vec name = x->target ? nghttp2_rcbuf_get_buf(x->target) : (nghttp2_vec){ 0 };
    int process = name.len ? routes_process((const char *)name.base, name.len) : -ENOENT;
    if (process < 0)
        return deny(ret_answer, RPC_INVALID_ARGUMENT, "MESH_SERVICE_REQUIRED",
                    "every process has this service: the metadata mesh-service must name one, such as svc-order");
    x->process = (int8_t)process;
    return 0;
}

static int check_rate(struct rates *rates, enum limit limit, const void *key, size_t len, const struct exchange *x,
                      struct answer *ret_answer)
{
    int64_t wait_us = rates ? rates_take(rates, key, len, x->begun_us) : 0;
    if (wait_us == 0)
        return 0;
    limit_met(limit);
    *ret_answer = (struct answer){ RPC_RESOURCE_EXHAUSTED, "RATE_LIMITED", "this is called too often", wait_us };
    return -EACCES;
}

/* Before anything is looked at that costs. */
static int check_source(struct exchange *x, struct answer *ret_answer)
{
    const struct source *source = x->edge->source;
    return check_rate(x->gateway->by_source, LIMIT_RATE_SOURCE, source->network, sizeof(source->network), x,
                      ret_answer);
}

/* Guests are known by nothing but their source. */
static int check_principal(struct exchange *x, struct answer *ret_answer)
{
    const struct principal *p = x->principal;
    if (p->caller.roles == ROLE_BIT(MESH__V1__ROLE__GUEST))
        return 0;
    return check_rate(x->gateway->by_principal, LIMIT_RATE_PRINCIPAL, p->caller.subject, strlen(p->caller.subject), x,
                      ret_answer);
}

static int find_caller(struct exchange *x, struct answer *ret_answer)
{
    struct refusal refusal;
    if (x->proofs_many)
        return deny(ret_answer, RPC_UNAUTHENTICATED, "SEVERAL_PROOFS", "who calls is said more than once");
    if (edge_authenticate(x->edge, x->authorization, &x->principal, &refusal) < 0)
        return deny(ret_answer, RPC_UNAUTHENTICATED, refusal.reason, refusal.message);
    return 0;
}

static int check_role(struct exchange *x, struct answer *ret_answer)
{
    uint32_t roles = x->principal->caller.roles;
    if (x->route->method->allow == SCHEMA_PUBLIC || (x->route->method->allow & roles))
        return 0;
    if (roles == ROLE_BIT(MESH__V1__ROLE__GUEST))
        return deny(ret_answer, RPC_UNAUTHENTICATED, "TOKEN_REQUIRED", "this method needs a token");
    return deny(ret_answer, RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "none of the caller's roles may call this");
}

static int find_deadline(struct exchange *x, struct answer *ret_answer)
{
    const struct schema_method *method = x->route->method;
    bool unary = !method->client_streaming && !method->server_streaming;
    int64_t us = unary ? x->gateway->limits.call_timeout_us : 0;
    int64_t asked = x->translation ? x->translation->timeout_us : access_grpc_timeout(x);
    if (asked == -EINVAL)
        return deny(ret_answer, RPC_INVALID_ARGUMENT, "TIMEOUT_MALFORMED", "the timeout is malformed");
    if (asked == 0)
        return deny(ret_answer, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline has passed");
    if (asked != ACCESS_NO_TIMEOUT && (us == 0 || asked < us))
        us = asked;
    x->deadline_us = us ? x->begun_us + us : 0;
    x->ends_us = x->deadline_us;
    return 0;
}

/* A stream does not outlive its caller's token. */
static int find_end(struct exchange *x, struct answer *ret_answer)
{
    const struct schema_method *method = x->route->method;
    struct port *port = x->gateway->port;
    if ((!method->client_streaming && !method->server_streaming) || x->principal->expires_s == INT64_MAX)
        return 0;
    int64_t left_s = x->principal->expires_s + AUTH_SKEW_S - port->wall_us(port) / 1000000;
    if (left_s > TIMEOUT_LONGEST_US / 1000000)
        left_s = TIMEOUT_LONGEST_US / 1000000;
    int64_t expires_us = x->begun_us + (left_s > 0 ? left_s : 0) * 1000000;
    if (!x->ends_us || expires_us < x->ends_us)
        x->ends_us = expires_us;
    return 0;
}

int access_check(struct exchange *x, struct answer *ret_answer)
{
    static int (*const steps[])(struct exchange *, struct answer *) = { check_room,   check_source,    find_route,
                                                                        find_caller,  check_principal, check_role,
                                                                        find_process, find_deadline,   find_end };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i](x, ret_answer);
        if (r < 0 && (ret_answer->code == RPC_UNAUTHENTICATED || ret_answer->code == RPC_PERMISSION_DENIED ||
                      ret_answer->code == RPC_RESOURCE_EXHAUSTED))
            audit_refused(&x->gateway->audit, x, ret_answer);
        if (r < 0)
            return r;
    }
    return 0;
}
