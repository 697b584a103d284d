/* Reads or fetches, and keeps what was good until something better comes. */
#include "gateway/keyring.h"

#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEER       "token-keys"
#define REFETCH_US (300 * INT64_C(1000000))
#define SOON_US    (1 * INT64_C(1000000)) /* after a fetch that failed; doubled each time */
#define LATE_US    (60 * INT64_C(1000000))

struct keyring {
    struct port *port;
    struct keyring_options options;
    uint32_t allowed;
    struct key_set *set; /* NULL: none yet */
    uint8_t digest[32];  /* of the text they were read from */
    uint32_t generation;
    /* of a URL */
    const char *path; /* NULL: it is a file */
    struct fetch fetch;
    struct timer timer;
    int64_t fetched_us, patience_us;
    bool fetching, closing;
};

/* --- addresses --- */

/* Behind http:// or https://; NULL: it is a file. */
static const char *authority_of(const char *source)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < 2; i++)
        if (strncmp(source, schemes[i], strlen(schemes[i])) == 0)
            return source + strlen(schemes[i]);
    return NULL;
}

static bool is_here(const char *authority, size_t len)
{
    char host[64];
    struct in_addr address;
    size_t n = authority[0] == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":/");
    if (n > len || n >= sizeof(host) || !strchr(":/", authority[n]))
        return false;
    memcpy(host, authority, n);
    host[n] = '\0';
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

int keyring_outside(const char *source, char *ret_entry, size_t size)
{
    const char *authority = authority_of(source), *why = NULL;
    *ret_entry = '\0';
    if (!authority)
        return 0;
    size_t len = strcspn(authority, "/"), whole = (size_t)(authority - source) + len;
    if (!len || !authority[len] || memchr(authority, '@', len) || memchr(authority, ',', len))
        why = "it is not https://HOST/PATH";
    else if (source[4] != 's' && !is_here(authority, len))
        why = "without TLS only this machine is asked, as whoever is between could say any key";
    else if ((size_t)snprintf(ret_entry, size, PEER "=%.*s", (int)whole, source) >= size)
        why = "it is too long";
    if (!why)
        return 0;
    say(SAY_ERROR, NULL, "the keys for tokens cannot be fetched", SAY_T("url", source), SAY_T("reason", why));
    return -EINVAL;
}

/* --- what was read --- */

static void count(const char *result)
{
    char labels[32];
    snprintf(labels, sizeof(labels), "result=\"%s\"", result);
    metric_add(
        metric_make(METRIC_COUNTER, "gateway_key_reads_total", "Sets of keys for tokens, read or fetched.", labels), 1);
}

static int refuse(const struct keyring *ring, const char *why)
{
    count("failed");
    say(SAY_ERROR, NULL, "the keys for tokens cannot be used", SAY_T("from", ring->options.source),
        SAY_T("reason", why));
    return -EINVAL;
}

/* The text of last time says nothing new: tokens that are known stay so. */
static int take(struct keyring *ring, struct bytes text)
{
    uint8_t digest[32];
    const char *why;
    if (EVP_Digest(text.data, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return refuse(ring, "there is no memory");
    if (ring->set && memcmp(digest, ring->digest, sizeof(digest)) == 0) {
        count("unchanged");
        return 0;
    }
    struct key_set *set = key_set_read(text, ring->allowed, &why);
    if (!set)
        return refuse(ring, why);
    key_set_free(ring->set);
    ring->set = set;
    ring->generation++;
    memcpy(ring->digest, digest, sizeof(digest));
    count("taken");
    say(SAY_INFO, NULL, "keys for tokens", SAY_T("from", ring->options.source), SAY_N("keys", (int64_t)set->n));
    return 0;
}

static int read_file(struct keyring *ring)
{
    FILE *file = fopen(ring->options.source, "re");
    uint8_t *text = file ? malloc(KEYRING_BYTES_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, KEYRING_BYTES_MAX + 1, file) : 0;
    int r = !text || ferror(file)   ? refuse(ring, "it cannot be read")
            : n > KEYRING_BYTES_MAX ? refuse(ring, "it is larger than 256 KiB")
                                    : take(ring, (struct bytes){ text, n });
    free(text);
    if (file)
        fclose(file);
    return r;
}

/* --- fetching --- */

static void begin(struct keyring *ring);

static void on_timer(struct timer *timer)
{
    begin((struct keyring *)((char *)timer - offsetof(struct keyring, timer)));
}

static const char *why_not(int result, int status, struct bytes body)
{
    if (result < 0)
        return strerror(-result);
    if (status != 200)
        return "the answer is another one than 200";
    return body.len > KEYRING_BYTES_MAX ? "it is larger than 256 KiB" : NULL;
}

static void fetched(struct fetch *fetch, int result, int status, struct bytes body)
{
    struct keyring *ring = (struct keyring *)((char *)fetch - offsetof(struct keyring, fetch));
    ring->fetching = false;
    if (ring->closing) {
        free(ring);
        return;
    }
    const char *why = why_not(result, status, body);
    int r = why ? refuse(ring, why) : take(ring, body);
    int64_t next_us = ring->options.refetch_us;
    if (r == 0) {
        ring->patience_us = SOON_US;
    } else {
        next_us = ring->patience_us < next_us ? ring->patience_us : next_us;
        ring->patience_us = ring->patience_us < LATE_US / 2 ? ring->patience_us * 2 : LATE_US;
    }
    ring->port->timer_start(ring->port, &ring->timer, next_us);
}

static void begin(struct keyring *ring)
{
    if (ring->fetching)
        return;
    ring->port->timer_stop(ring->port, &ring->timer);
    ring->fetching = true;
    ring->fetched_us = ring->port->mono_us(ring->port);
    ring->fetch = (struct fetch){
        .peer = PEER, .verb = "GET", .path = ring->path, .timeout_us = KEYRING_TIMEOUT_US, .done = fetched
    };
    ring->port->fetch(ring->port, &ring->fetch);
}

void keyring_want(struct keyring *ring)
{
    if (ring->path && ring->port->mono_us(ring->port) - ring->fetched_us >= KEYRING_GAP_US)
        begin(ring);
}

int keyring_reload(struct keyring *ring)
{
    if (!ring->path)
        return read_file(ring);
    begin(ring);
    return 0;
}

/* --- life --- */

const struct key_set *keyring_keys(const struct keyring *ring)
{
    return ring->set;
}

uint32_t keyring_generation(const struct keyring *ring)
{
    return ring->generation;
}

struct keyring *keyring_create(struct port *port, const struct keyring_options *options)
{
    struct keyring *ring = calloc(1, sizeof(*ring));
    if (!ring)
        return NULL;
    const char *authority = authority_of(options->source);
    *ring = (struct keyring){ .port = port, .options = *options, .patience_us = SOON_US, .timer.fire = on_timer };
    if (!ring->options.refetch_us)
        ring->options.refetch_us = REFETCH_US;
    ring->path = authority ? strchr(authority, '/') : NULL;
    ring->allowed = options->algorithms ? jws_algorithms(options->algorithms) : (1u << JWS_ALGORITHMS) - 1;
    if (ring->allowed && keyring_reload(ring) == 0)
        return ring;
    if (!ring->allowed)
        say(SAY_ERROR, NULL, "algorithms for tokens are of ES256, RS256 and EdDSA",
            SAY_T("algorithms", options->algorithms));
    keyring_destroy(ring);
    return NULL;
}

void keyring_destroy(struct keyring *ring)
{
    if (!ring)
        return;
    key_set_free(ring->set);
    ring->set = NULL;
    if (ring->path)
        ring->port->timer_stop(ring->port, &ring->timer);
    ring->closing = true;
    if (!ring->fetching)
        free(ring);
}
