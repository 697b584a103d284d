/* Connections of clients, whatever is spoken on them: which protocol that is, silence, tokens that are refused, and
 * the end. */
#include "gateway/edge.h"

#include "gateway/tls.h"
#include "mesh/port.h"

#include <errno.h>
#include <unistd.h>

#define REFUSED_MAX 64 /* tokens on one connection: each costs a verification */

/* --- which protocol --- */

static const char preface[] = "PRI * HTTP/2.0"; /* and more, which the session looks at */

static int speak(struct edge *edge, const struct wire *wire)
{
    edge->wire = wire;
    edge->link.ops = &wire->link;
    edge->heard_us = wheel_now_us();
    return wire->open(edge);
}

/* TLS: what was agreed on in the handshake, and HTTP/1.1 if nothing was. In cleartext it is the first bytes that tell:
 * no method of HTTP/1.1 begins as the preface of HTTP/2 does (RFC 9113, 3.4). */
static void link_ready(struct link *link)
{
    struct edge *edge = (struct edge *)link;
    if (!link->ssl)
        return;
    int r = speak(edge, tls_is_h2(link->ssl) ? &edge_h2 : &edge_h1);
    if (r < 0)
        link_close(link, r);
}

static int first_bytes(struct link *link, const uint8_t *data, size_t n)
{
    struct edge *edge = (struct edge *)link;
    size_t before = edge->matched, at = 0;
    while (at < n && before + at < sizeof(preface) - 1 && data[at] == (uint8_t)preface[before + at])
        at++;
    edge->matched = (uint8_t)(before + at);
    bool whole = edge->matched == sizeof(preface) - 1;
    if (at == n && !whole)
        return 0;
    int r = speak(edge, whole ? &edge_h2 : &edge_h1);
    if (r == 0 && before)
        r = link->ops->input(link, (const uint8_t *)preface, before);
    return r < 0 ? r : link->ops->input(link, data, n);
}

static int nothing_to_say(struct link *link, struct outbuf *out)
{
    return 0;
}

static const struct link_ops unknown = { link_ready, first_bytes, nothing_to_say, edge_down, edge_gone };

/* --- calls --- */

struct exchange *edge_begin(struct edge *edge, int32_t stream)
{
    struct exchange *x = exchange_create(edge->gateway, edge, stream);
    if (!x)
        return NULL;
    x->prev = NULL;
    x->next = edge->exchanges;
    if (x->next)
        x->next->prev = x;
    edge->exchanges = x;
    edge->n_exchanges++;
    edge->used_us = x->begun_us;
    edge->used = true;
    return x;
}

void edge_end(struct edge *edge, struct exchange *x)
{
    if (x->prev)
        x->prev->next = x->next;
    else
        edge->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    edge->n_exchanges--;
    if (!edge->exchanges)
        edge->used_us = wheel_now_us();
    exchange_closed(x);
}

/* --- silence --- */

static void leave(struct edge *edge)
{
    if (edge->leaving || !edge->wire)
        return;
    edge->leaving = true;
    edge->wire->leave(edge);
}

static void cut(struct edge *edge, enum limit limit)
{
    limit_met(limit);
    link_close(&edge->link, -ETIMEDOUT);
}

/* From time to time: who does nothing goes, and so does who does not take what is sent. */
static void look(struct alarm *alarm)
{
    struct edge *edge = (struct edge *)((char *)alarm - offsetof(struct edge, watch));
    const struct gateway_limits *limits = &edge->gateway->limits;
    int64_t now_us = wheel_now_us(), unused_us = now_us - edge->used_us;
    bool idle = !edge->exchanges, blocked = edge->link.backlog != NULL;
    if (!progress_look(&edge->sent, blocked, edge->link.written, now_us, limits->stalled_us))
        return cut(edge, LIMIT_STALLED);
    if (!edge->used && unused_us >= limits->handshake_us)
        return cut(edge, edge->wire ? LIMIT_UNUSED : LIMIT_HANDSHAKE);
    bool old = limits->age_us && now_us - edge->since_us >= limits->age_us;
    if (edge->wire && !edge->leaving && (old || (idle && unused_us >= limits->idle_us))) {
        edge_watch(edge);
        return leave(edge);
    }
    int r = edge->wire ? edge->wire->look(edge, now_us) : 0;
    if (r < 0)
        return link_close(&edge->link, r);
    edge_watch(edge);
}

void edge_watch(struct edge *edge)
{
    alarm_start(&edge->link.reactor->wheel, &edge->watch, edge->gateway->look_us, look);
}

/* --- connections --- */

void edge_down(struct link *link, int why)
{
    struct edge *edge = (struct edge *)link;
    struct gateway *gateway = edge->gateway;
    alarm_stop(&edge->watch);
    while (edge->exchanges)
        edge_end(edge, edge->exchanges);
    if (edge->wire)
        edge->wire->close(edge);
    if (edge->token)
        nghttp2_rcbuf_decref(edge->token);
    principal_unref(edge->principal);
    principal_unref(edge->certified);
    source_leave(gateway->sources, edge->source);
    *(edge->prev ? &edge->prev->next : &gateway->edges) = edge->next;
    if (edge->next)
        edge->next->prev = edge->prev;
    gateway->n_edges--;
    metric_set(gateway->connections, (int64_t)gateway->n_edges);
}

void edge_gone(struct link *link)
{
    free((struct edge *)link);
}

static void refuse(int fd, enum limit limit)
{
    limit_met(limit);
    close(fd);
}

void edge_accept(struct gateway *gateway, int fd, const struct sockaddr *from, SSL_CTX *context)
{
    if (gateway->n_edges >= gateway->limits.connections)
        return refuse(fd, LIMIT_CONNECTIONS);
    struct source *source = source_enter(gateway->sources, from, gateway->limits.per_source);
    if (!source)
        return refuse(fd, LIMIT_SOURCE);
    struct edge *edge = calloc(1, sizeof(*edge));
    SSL *ssl = edge && context ? SSL_new(context) : NULL;
    if (!edge || (context && !ssl)) {
        free(edge);
        source_leave(gateway->sources, source);
        close(fd);
        return;
    }
    edge->gateway = gateway;
    edge->source = source;
    edge->link.deaf = true;
    edge->heard_us = edge->used_us = edge->since_us = wheel_now_us();
    edge->next = gateway->edges;
    if (edge->next)
        edge->next->prev = edge;
    gateway->edges = edge;
    gateway->n_edges++;
    metric_set(gateway->connections, (int64_t)gateway->n_edges);
    alarm_start(&gateway->reactor.wheel, &edge->watch, gateway->look_us, look);
    if (link_accept(&edge->link, &gateway->reactor, &unknown, fd, ssl) == 0)
        return;
    edge_down(&edge->link, 0);
    free(edge);
}

/* Who has not said anything yet has nothing to lose. */
void edges_leave(struct gateway *gateway)
{
    for (struct edge *edge = gateway->edges; edge; edge = edge->next)
        if (edge->wire)
            leave(edge);
        else
            link_close(&edge->link, 0);
}

void edges_close(struct gateway *gateway)
{
    for (struct edge *edge = gateway->edges; edge; edge = edge->next)
        link_close(&edge->link, 0);
}

/* --- who calls --- */

/* The account of the certificate that the client has shown; -ENOENT: none, or it is nobody's. */
static int authenticate_certificate(struct edge *edge, int64_t now_s, struct principal **ret_principal,
                                    struct refusal *ret_refusal)
{
    struct gateway *gateway = edge->gateway;
    X509 *certificate = edge->link.ssl && gateway->options.client_ca ? SSL_get0_peer_certificate(edge->link.ssl) : NULL;
    if (!certificate)
        return -ENOENT;
    if (!edge->certified || !auth_still_good(gateway->auth, edge->certified, now_s)) {
        struct principal *fresh;
        int r = auth_certificate(gateway->auth, certificate, now_s, &fresh, ret_refusal);
        if (r < 0)
            return r;
        principal_unref(edge->certified);
        edge->certified = fresh;
    }
    *ret_principal = principal_ref(edge->certified);
    return 0;
}

static int authenticate_text(struct edge *edge, nghttp2_rcbuf *authorization, int64_t now_s,
                             struct principal **ret_principal, struct refusal *ret_refusal)
{
    struct gateway *gateway = edge->gateway;
    if (edge->token == authorization && auth_still_good(gateway->auth, edge->principal, now_s)) {
        *ret_principal = principal_ref(edge->principal);
        return 0;
    }
    nghttp2_vec text = nghttp2_rcbuf_get_buf(authorization);
    int r = auth_check(gateway->auth, (const char *)text.base, text.len, now_s, ret_principal, ret_refusal);
    if (r < 0) {
        if (++edge->refused == REFUSED_MAX) {
            limit_met(LIMIT_TOKENS);
            edge->wire->calm(edge);
        }
        return r;
    }
    if (edge->token)
        nghttp2_rcbuf_decref(edge->token);
    nghttp2_rcbuf_incref(authorization);
    edge->token = authorization;
    principal_unref(edge->principal);
    edge->principal = principal_ref(*ret_principal);
    return 0;
}

static int refuse_principal(struct principal **principal, const char *reason, const char *message,
                            struct refusal *ret_refusal)
{
    principal_unref(*principal);
    *principal = NULL;
    *ret_refusal = (struct refusal){ reason, message };
    return -EACCES;
}

int edge_authenticate(struct edge *edge, nghttp2_rcbuf *authorization, struct principal **ret_principal,
                      struct refusal *ret_refusal)
{
    struct gateway *gateway = edge->gateway;
    int64_t now_s = gateway->port->wall_us(gateway->port) / 1000000;
    int r = authenticate_certificate(edge, now_s, ret_principal, ret_refusal);
    if (r == 0 && authorization)
        return refuse_principal(ret_principal, "SEVERAL_PROOFS", "an account's certificate stands alone", ret_refusal);
    if (r == -ENOENT && authorization)
        r = authenticate_text(edge, authorization, now_s, ret_principal, ret_refusal);
    else if (r == -ENOENT)
        return auth_check(gateway->auth, NULL, 0, now_s, ret_principal, ret_refusal);
    if (r < 0 || (*ret_principal)->n_from == 0)
        return r;
    struct address address = address_of(edge->link.fd);
    if (principal_may_come_from(*ret_principal, &address))
        return 0;
    return refuse_principal(ret_principal, "ACCOUNT_ELSEWHERE", "the account is not used from this address",
                            ret_refusal);
}

void edges_renew(struct gateway *gateway)
{
    static const struct answer changed = { RPC_UNAUTHENTICATED, "ACCOUNTS_CHANGED",
                                           "the accounts are others now: call again", 0 };
    int64_t now_s = gateway->port->wall_us(gateway->port) / 1000000;
    for (struct edge *edge = gateway->edges; edge; edge = edge->next)
        for (struct exchange *x = edge->exchanges, *next; x; x = next) {
            next = x->next;
            if (x->principal && x->principal->account && x->route->method->server_streaming &&
                !auth_still_good(gateway->auth, x->principal, now_s))
                exchange_fail(x, &changed);
        }
}
