/* One connection to every endpoint, kept alive and asked how it is; least loaded of two among those that are well. */
#include "gateway/balance.h"

#include "gateway/gateway.h"
#include "gateway/probe.h"
#include "gateway/pulse.h"
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>

#define ENDPOINTS_MAX  64          /* of one process */
#define BACKOFF_US     (50 * 1000) /* doubled up to */
#define BACKOFF_MAX_US (2 * 1000 * 1000)
#define PROBE_US       (1000 * 1000)     /* between two probes of one that is well */
#define PROBE_SICK_US  (50 * 1000)       /* and of one that is not */
#define PROBE_LATE_US  (2 * 1000 * 1000) /* without an answer the connection is given up */
#define LOOKUP_US      (10 * 1000 * 1000)
#define LOOKUP_SOON_US (1000 * 1000) /* between two lookups when connections are lost */

struct endpoint {
    struct balance *balance;
    struct endpoint *next;
    int process;
    const struct lookup *lookup; /* that named it; NULL: it was given as an address */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    char text[64];
    struct upstream *upstream; /* that takes calls, or tries to connect */
    struct probe probe;
    struct alarm alarm; /* to connect, to probe, or that the probe is late */
    struct pulse pulse;
    struct alarm parole; /* started while it is put aside */
    int64_t backoff_us;
    uint32_t refs; /* of the list, of connections */
    bool well;
    bool named; /* the last lookup had it */
    bool told;  /* that it cannot be reached */
};

struct lookup {
    struct balance *balance;
    struct lookup *next;
    int process;
    char host[256], port[8];
    uv_getaddrinfo_t request;
    struct alarm alarm;
    int64_t looked_us; /* up, the last time */
    bool running;
};

struct balance {
    struct gateway *gateway;
    SSL_CTX *context;
    struct endpoint *endpoints[PROCESSES_MAX];
    size_t n[PROCESSES_MAX];
    uint64_t wanted; /* bits of the processes that peers name */
    struct lookup *lookups;
    void (*changed)(void *arg);
    void *changed_arg;
    struct metric *connections, *aside, *ejections;
    uint32_t chance;
    uint32_t refs; /* of the gateway, of endpoints, of lookups under way */
    bool closing;
};

static void connect_now(struct alarm *alarm);
static void probe_now(struct alarm *alarm);

static struct endpoint *endpoint_of(struct alarm *alarm)
{
    return (struct endpoint *)((char *)alarm - offsetof(struct endpoint, alarm));
}

static struct wheel *wheel_of(struct endpoint *e)
{
    return &e->balance->gateway->reactor.wheel;
}

static void release(struct balance *balance)
{
    if (--balance->refs)
        return;
    SSL_CTX_free(balance->context);
    free(balance);
}

static void endpoint_unref(struct endpoint *e)
{
    if (--e->refs)
        return;
    release(e->balance);
    free(e);
}

static void set_well(struct endpoint *e, bool well)
{
    struct balance *balance = e->balance;
    if (e->well == well)
        return;
    e->well = well;
    if (well)
        pulse_begin(&e->pulse, wheel_now_us());
    metric_add(balance->connections, well ? 1 : -1);
    say(SAY_INFO, NULL, well ? "a process behind is well" : "a process behind is not well",
        SAY_T("peer", routes_processes()[e->process]), SAY_T("address", e->text));
    if (balance->changed && !balance->closing)
        balance->changed(balance->changed_arg);
}

static void release_aside(struct endpoint *e)
{
    if (e->parole.next)
        metric_add(e->balance->aside, -1);
    alarm_stop(&e->parole);
}

static void connect_later(struct endpoint *e)
{
    int64_t wait_us = e->backoff_us;
    e->backoff_us = e->backoff_us * 2 < BACKOFF_MAX_US ? e->backoff_us * 2 : BACKOFF_MAX_US;
    uint16_t jitter;
    gateway_random(e->balance->gateway, &jitter, sizeof(jitter));
    alarm_start(wheel_of(e), &e->alarm, wait_us / 2 + wait_us * jitter / 65536, connect_now);
}

/* --- health --- */

static void probe_late(struct alarm *alarm)
{
    struct endpoint *e = endpoint_of(alarm);
    set_well(e, false);
    upstream_close(e->upstream);
}

static void probed(struct probe *probe, enum probe_result result)
{
    struct endpoint *e = (struct endpoint *)((char *)probe - offsetof(struct endpoint, probe));
    if (!e->upstream || result == PROBE_LOST || result == PROBE_AGAIN)
        return; /* down or leaving sees to it */
    set_well(e, result == PROBE_WELL);
    alarm_start(wheel_of(e), &e->alarm, result == PROBE_WELL ? PROBE_US : PROBE_SICK_US, probe_now);
}

static void probe_now(struct alarm *alarm)
{
    struct endpoint *e = endpoint_of(alarm);
    if (e->probe.running || probe_start(&e->probe, e->upstream, routes_processes()[e->process], probed) < 0) {
        alarm_start(wheel_of(e), alarm, PROBE_SICK_US, probe_now);
        return;
    }
    alarm_start(wheel_of(e), alarm, PROBE_LATE_US, probe_late);
}

/* --- connections --- */

static void on_up(struct upstream *upstream)
{
    struct endpoint *e = upstream->owner_data;
    e->backoff_us = BACKOFF_US;
    e->told = false;
    probe_now(&e->alarm);
}

static void look_up(struct alarm *alarm);

/* Whoever was lost may have moved. */
static void look_up_soon(struct balance *balance, int process)
{
    for (struct lookup *l = balance->lookups; l; l = l->next) {
        int64_t wait_us = l->looked_us + LOOKUP_SOON_US - wheel_now_us();
        if (l->process == process && !l->running)
            alarm_start(&balance->gateway->reactor.wheel, &l->alarm, wait_us > 0 ? wait_us : 0, look_up);
    }
}

/* The endpoint gets another connection. */
static void part(struct endpoint *e)
{
    if (!e->balance->closing)
        look_up_soon(e->balance, e->process);
    e->upstream = NULL;
    alarm_stop(&e->alarm);
    set_well(e, false);
    if (!e->balance->closing && e->named)
        connect_later(e);
}

static void on_leaving(struct upstream *upstream)
{
    struct endpoint *e = upstream->owner_data;
    if (e->upstream == upstream)
        part(e);
}

static void tell(struct endpoint *e, int why)
{
    if (e->told || !why || e->balance->closing)
        return;
    e->told = true;
    say(SAY_WARN, NULL, "a process behind cannot be reached", SAY_T("peer", routes_processes()[e->process]),
        SAY_T("address", e->text),
        SAY_T("reason", why == -EKEYREJECTED ? "its certificate is not trusted" : strerror(-why)));
}

static void on_down(struct upstream *upstream, int why)
{
    struct endpoint *e = upstream->owner_data;
    if (e->upstream == upstream) {
        tell(e, why);
        part(e);
    }
    endpoint_unref(e);
}

static const struct upstream_owner owner = { on_up, on_leaving, on_down };

static void connect_now(struct alarm *alarm)
{
    struct endpoint *e = endpoint_of(alarm);
    struct balance *balance = e->balance;
    e->upstream = upstream_connect(&balance->gateway->reactor, &e->address.any, routes_processes()[e->process],
                                   balance->context, &owner, e);
    if (e->upstream)
        e->refs++;
    else
        connect_later(e);
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)a)->sin_port, &((const struct sockaddr_in *)b)->sin_port, 6) == 0;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a, *b6 = (const struct sockaddr_in6 *)b;
    return a6->sin6_port == b6->sin6_port && memcmp(&a6->sin6_addr, &b6->sin6_addr, 16) == 0;
}

static void add_endpoint(struct balance *balance, int process, const struct lookup *lookup,
                         const struct addrinfo *address)
{
    if (address->ai_addrlen > sizeof(((struct endpoint *)0)->address))
        return;
    for (struct endpoint *e = balance->endpoints[process]; e; e = e->next)
        if (same_address(&e->address.any, address->ai_addr)) {
            e->named = true;
            return;
        }
    struct endpoint *e = balance->n[process] < ENDPOINTS_MAX ? calloc(1, sizeof(*e)) : NULL;
    if (!e)
        return;
    char host[46] = "", port[8] = "";
    getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(e->text, sizeof(e->text), "%s:%s", host, port);
    memcpy(&e->address, address->ai_addr, address->ai_addrlen);
    e->balance = balance;
    e->process = process;
    e->lookup = lookup;
    e->backoff_us = BACKOFF_US;
    e->named = true;
    e->refs = 1;
    balance->refs++;
    e->next = balance->endpoints[process];
    balance->endpoints[process] = e;
    balance->n[process]++;
    connect_now(&e->alarm);
}

/* --- lookups --- */

/* Endpoints that the name no longer stands for finish their calls and go. */
static void drop_unnamed(struct balance *balance, int process)
{
    for (struct endpoint **at = &balance->endpoints[process], *e; (e = *at);) {
        if (e->named) {
            at = &e->next;
            continue;
        }
        struct upstream *upstream = e->upstream;
        *at = e->next;
        balance->n[process]--;
        release_aside(e);
        alarm_stop(&e->alarm);
        if (upstream)
            upstream_leave(upstream);
        endpoint_unref(e);
    }
}

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct lookup *lookup = request->data;
    struct balance *balance = lookup->balance;
    lookup->running = false;
    if (!balance->closing && status == 0 && list) {
        for (struct endpoint *e = balance->endpoints[lookup->process]; e; e = e->next)
            e->named = e->lookup != lookup;
        for (const struct addrinfo *a = list; a; a = a->ai_next)
            add_endpoint(balance, lookup->process, lookup, a);
        drop_unnamed(balance, lookup->process);
    }
    uv_freeaddrinfo(list);
    if (balance->closing) {
        free(lookup);
        release(balance);
        return;
    }
    release(balance);
    alarm_start(&balance->gateway->reactor.wheel, &lookup->alarm, status == 0 ? LOOKUP_US : LOOKUP_US / 10, look_up);
}

static void look_up(struct alarm *alarm)
{
    struct lookup *lookup = (struct lookup *)((char *)alarm - offsetof(struct lookup, alarm));
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    lookup->request.data = lookup;
    lookup->looked_us = wheel_now_us();
    lookup->running = uv_getaddrinfo(lookup->balance->gateway->reactor.loop, &lookup->request, looked_up, lookup->host,
                                     lookup->port, &hints) == 0;
    if (lookup->running)
        lookup->balance->refs++;
    else
        alarm_start(&lookup->balance->gateway->reactor.wheel, alarm, LOOKUP_US, look_up);
}

static int add_address(struct balance *balance, int process, const char *text, size_t len)
{
    static const char dns[] = "dns:///";
    if (len > sizeof(dns) - 1 && memcmp(text, dns, sizeof(dns) - 1) == 0) {
        text += sizeof(dns) - 1;
        len -= sizeof(dns) - 1;
    }
    const char *colon = memrchr(text, ':', len);
    char host[256], port[8];
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof(host) || len - (size_t)(colon + 1 - text) > 5)
        return -EINVAL;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    snprintf(port, sizeof(port), "%.*s", (int)(len - (size_t)(colon + 1 - text)), colon + 1);
    struct addrinfo *list;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    if (getaddrinfo(host, port, &hints, &list) == 0) {
        add_endpoint(balance, process, NULL, list);
        freeaddrinfo(list);
        return 0;
    }
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return -ENOMEM;
    lookup->balance = balance;
    lookup->process = process;
    strcpy(lookup->host, host);
    strcpy(lookup->port, port);
    lookup->next = balance->lookups;
    balance->lookups = lookup;
    look_up(&lookup->alarm);
    return 0;
}

/* --- peers --- */

static int add_peer(struct balance *balance, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len), *end = text + len;
    int process = equals ? routes_process(text, (size_t)(equals - text)) : -EINVAL;
    if (process < 0)
        return process;
    balance->wanted |= UINT64_C(1) << process;
    for (const char *at = equals + 1, *plus; at <= end; at = plus + 1) {
        plus = memchr(at, '+', (size_t)(end - at));
        if (!plus)
            plus = end;
        int r = add_address(balance, process, at, (size_t)(plus - at));
        if (r < 0)
            return r;
    }
    return 0;
}

struct balance *balance_create(struct gateway *gateway, const char *peers, SSL_CTX *context)
{
    struct balance *balance = calloc(1, sizeof(*balance));
    if (!balance)
        return NULL;
    balance->gateway = gateway;
    balance->context = context;
    balance->refs = 1;
    balance->connections =
        metric_make(METRIC_GAUGE, "gateway_backends", "Connections to processes behind that are well.", NULL);
    balance->aside =
        metric_make(METRIC_GAUGE, "gateway_backends_aside",
                    "Processes behind that get no calls for a while, as they failed again and again.", NULL);
    balance->ejections = metric_make(METRIC_COUNTER, "gateway_ejections_total",
                                     "Times that a process behind was put aside, as it failed again and again.", NULL);
    gateway_random(gateway, &balance->chance, sizeof(balance->chance));
    for (const char *at = peers; *at;) {
        size_t len = strcspn(at, ",");
        int r = add_peer(balance, at, len);
        if (r < 0) {
            say(SAY_ERROR, NULL, "peers cannot be understood", SAY_T("at", at),
                SAY_T("reason",
                      r == -ENOENT ? "there is no process of that name" : "it is not name=host:port+host:port"));
            balance_destroy(balance);
            return NULL;
        }
        at += len + (at[len] == ',');
    }
    return balance;
}

void balance_context(struct balance *balance, SSL_CTX *context)
{
    SSL_CTX_free(balance->context);
    balance->context = context;
}

static void destroy_endpoints(struct endpoint *e)
{
    for (struct endpoint *next; e; e = next) {
        next = e->next;
        struct upstream *upstream = e->upstream;
        set_well(e, false);
        release_aside(e);
        alarm_stop(&e->alarm);
        if (upstream)
            upstream_close(upstream);
        endpoint_unref(e);
    }
}

void balance_destroy(struct balance *balance)
{
    if (!balance)
        return;
    balance->closing = true;
    for (struct lookup *l = balance->lookups, *next; l; l = next) {
        next = l->next;
        alarm_stop(&l->alarm);
        if (l->running)
            uv_cancel((uv_req_t *)&l->request);
        else
            free(l);
    }
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        struct endpoint *list = balance->endpoints[i];
        balance->endpoints[i] = NULL; /* none is picked any more */
        destroy_endpoints(list);
    }
    release(balance);
}

/* --- choice --- */

static uint32_t chance(struct balance *balance)
{
    balance->chance = balance->chance * 1664525 + 1013904223;
    return balance->chance >> 8;
}

struct upstream *balance_pick(struct balance *balance, int process, const void *avoid)
{
    struct endpoint *well[ENDPOINTS_MAX], *spare = NULL;
    size_t n = 0;
    for (struct endpoint *e = balance->endpoints[process]; e; e = e->next) {
        if (!e->well || !e->upstream || !e->upstream->ready)
            continue;
        if (e->upstream == avoid || e->parole.next)
            spare = spare && e->upstream == avoid ? spare : e;
        else
            well[n++] = e;
    }
    if (n < 2)
        return n ? well[0]->upstream : spare ? spare->upstream : NULL;
    size_t a = chance(balance) % n, b = chance(balance) % (n - 1);
    b += b >= a;
    int64_t now_us = wheel_now_us();
    double load_a = pulse_load(&well[a]->pulse, well[a]->upstream->in_flight, now_us);
    double load_b = pulse_load(&well[b]->pulse, well[b]->upstream->in_flight, now_us);
    return load_a <= load_b ? well[a]->upstream : well[b]->upstream;
}

/* --- what calls tell of an endpoint --- */

void balance_heard(struct upstream *upstream, int64_t took_us, int64_t usual_us, int64_t now_us)
{
    pulse_heard(&((struct endpoint *)upstream->owner_data)->pulse, took_us, usual_us, now_us);
}

static void paroled(struct alarm *alarm)
{
    struct endpoint *e = (struct endpoint *)((char *)alarm - offsetof(struct endpoint, parole));
    metric_add(e->balance->aside, -1);
    pulse_begin(&e->pulse, wheel_now_us());
}

/* One more of the process may be put aside: there is another one for each. */
static bool may_lack(const struct endpoint *e)
{
    size_t well = 0, aside = 1;
    for (const struct endpoint *other = e->balance->endpoints[e->process]; other; other = other->next) {
        well += other->well;
        aside += other->parole.next != NULL;
    }
    return 2 * aside <= well;
}

void balance_judge(struct upstream *upstream, bool failed, int64_t now_us)
{
    struct endpoint *e = upstream->owner_data;
    if (e->parole.next || !e->named || e->balance->closing)
        return;
    if (failed && !may_lack(e))
        return;
    int64_t aside_us = pulse_judge(&e->pulse, failed, now_us);
    if (aside_us == 0)
        return;
    metric_add(e->balance->ejections, 1);
    metric_add(e->balance->aside, 1);
    alarm_start(wheel_of(e), &e->parole, aside_us, paroled);
    say(SAY_WARN, NULL, "a process behind fails again and again, and gets no calls for a while",
        SAY_T("peer", routes_processes()[e->process]), SAY_T("address", e->text), SAY_N("ms", aside_us / 1000));
}

size_t balance_count(const struct balance *balance, int process)
{
    size_t n = 0;
    for (const struct endpoint *e = balance->endpoints[process]; e; e = e->next)
        n += e->well;
    return n;
}

bool balance_well(const struct balance *balance, int process)
{
    return balance_count(balance, process) > 0;
}

bool balance_all_well(const struct balance *balance)
{
    for (int i = 0; i < PROCESSES_MAX; i++)
        if ((balance->wanted & UINT64_C(1) << i) && !balance_well(balance, i))
            return false;
    return balance->wanted != 0;
}

bool balance_encrypted(const struct balance *balance)
{
    return balance->context != NULL;
}

void balance_on_change(struct balance *balance, void (*changed)(void *arg), void *arg)
{
    balance->changed = changed;
    balance->changed_arg = arg;
}
