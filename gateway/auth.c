/* The memory of verified tokens: found by a keyed 128-bit hash (SipHash-2-4, https://www.aumasson.jp/siphash), whose
 * key nobody outside knows, so that a token cannot be made to collide with another. Least recently used goes first. */
#include "gateway/auth.h"

#include "gateway/jwt.h"
#include "gateway/keyring.h"
#include "mesh/base/metrics.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known {
    uint64_t hash[2];
    struct principal *principal;
    struct known *newer, *older; /* by last use */
    struct known *next;          /* of the same bucket */
};

struct auth {
    struct auth_options options;
    struct keyring *keyring;
    uint64_t secret[2];
    struct principal guest;
    struct known **buckets;
    size_t n_buckets; /* a power of two */
    struct known *newest, *oldest;
    struct auth_counts counts;
    struct metric *hits, *verified, *refused;
};

/* --- SipHash-2-4 with 128 bits of output --- */

static uint64_t rotate(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static void round_of(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    round_of(v);
    round_of(v);
    v[0] ^= word;
}

static uint64_t squeeze(uint64_t v[4])
{
    for (int i = 0; i < 4; i++)
        round_of(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void hash_token(const uint64_t secret[2], const char *text, size_t len, uint64_t ret_hash[2])
{
    uint64_t v[4] = { 0x736f6d6570736575 ^ secret[0], 0x646f72616e646f6d ^ secret[1] ^ 0xee,
                      0x6c7967656e657261 ^ secret[0], 0x7465646279746573 ^ secret[1] };
    uint64_t word;
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        memcpy(&word, text + at, 8);
        absorb(v, word);
    }
    word = 0;
    memcpy(&word, text + at, len - at);
    absorb(v, word | (uint64_t)len << 56);
    v[2] ^= 0xee;
    ret_hash[0] = squeeze(v);
    v[1] ^= 0xdd;
    ret_hash[1] = squeeze(v);
}

/* --- principals --- */

struct principal *principal_ref(struct principal *principal)
{
    principal->refs++;
    return principal;
}

void principal_unref(struct principal *principal)
{
    if (principal && --principal->refs == 0)
        free(principal);
}

static void principal_init(struct principal *p, const struct caller *caller, int64_t expires_s)
{
    *p = (struct principal){ .caller = *caller, .refs = 1, .expires_s = expires_s };
    caller_format(caller, p->text);
    p->text_len = (uint16_t)strlen(p->text);
}

/* --- what is known --- */

static struct known **bucket_of(struct auth *auth, const uint64_t hash[2])
{
    return &auth->buckets[hash[0] & (auth->n_buckets - 1)];
}

static struct known **find(struct auth *auth, const uint64_t hash[2])
{
    struct known **at = bucket_of(auth, hash);
    while (*at && ((*at)->hash[0] != hash[0] || (*at)->hash[1] != hash[1]))
        at = &(*at)->next;
    return at;
}

static void age_unlink(struct auth *auth, struct known *k)
{
    *(k->newer ? &k->newer->older : &auth->newest) = k->older;
    *(k->older ? &k->older->newer : &auth->oldest) = k->newer;
}

static void age_newest(struct auth *auth, struct known *k)
{
    k->newer = NULL;
    k->older = auth->newest;
    *(k->older ? &k->older->newer : &auth->oldest) = k;
    auth->newest = k;
}

static void forget(struct auth *auth, struct known *k)
{
    *find(auth, k->hash) = k->next;
    age_unlink(auth, k);
    principal_unref(k->principal);
    free(k);
    auth->counts.remembered--;
}

static bool grow(struct auth *auth)
{
    size_t n = auth->n_buckets ? auth->n_buckets * 2 : 64;
    struct known **old = auth->buckets, **buckets = calloc(n, sizeof(*buckets));
    if (!buckets)
        return false;
    auth->buckets = buckets;
    auth->n_buckets = n;
    for (struct known *k = auth->newest; k; k = k->older) {
        struct known **at = bucket_of(auth, k->hash);
        k->next = *at;
        *at = k;
    }
    free(old);
    return true;
}

static void remember(struct auth *auth, const uint64_t hash[2], struct principal *principal)
{
    if (auth->counts.remembered >= auth->options.remember)
        forget(auth, auth->oldest);
    struct known *k = malloc(sizeof(*k));
    if (!k || (auth->counts.remembered >= auth->n_buckets && !grow(auth))) {
        free(k);
        return;
    }
    struct known **at = bucket_of(auth, hash);
    *k = (struct known){ .hash = { hash[0], hash[1] }, .principal = principal_ref(principal), .next = *at };
    *at = k;
    age_newest(auth, k);
    auth->counts.remembered++;
}

static void refused(struct auth *auth)
{
    auth->counts.refused++;
    metric_add(auth->refused, 1);
}

static int verify(struct auth *auth, const char *token, size_t len, const uint64_t hash[2], int64_t now_s,
                  struct principal **ret_principal, struct refusal *ret_refusal)
{
    const struct jwt_rules rules = { keyring_keys(auth->keyring), auth->options.issuer, auth->options.audience };
    struct caller caller;
    int64_t expires_s;
    int r = jwt_verify(&rules, token, len, now_s, &caller, &expires_s, ret_refusal);
    if (r == -ENOKEY)
        keyring_want(auth->keyring);
    if (r < 0) {
        refused(auth);
        return -EACCES;
    }
    struct principal *principal = malloc(sizeof(*principal));
    if (!principal) {
        *ret_refusal = (struct refusal){ "OUT_OF_MEMORY", "the gateway has no memory for another caller" };
        return -EACCES;
    }
    principal_init(principal, &caller, expires_s);
    principal->generation = keyring_generation(auth->keyring);
    remember(auth, hash, principal);
    auth->counts.verified++;
    metric_add(auth->verified, 1);
    *ret_principal = principal;
    return 0;
}

bool auth_still_good(const struct auth *auth, const struct principal *principal, int64_t now_s)
{
    return principal->generation == keyring_generation(auth->keyring) && principal->expires_s >= now_s - AUTH_SKEW_S;
}

int auth_check(struct auth *auth, const char *authorization, size_t len, int64_t now_s,
               struct principal **ret_principal, struct refusal *ret_refusal)
{
    if (!authorization) {
        *ret_principal = principal_ref(&auth->guest);
        return 0;
    }
    if (len < 7 || strncasecmp(authorization, "Bearer ", 7) != 0) {
        refused(auth);
        *ret_refusal = (struct refusal){ "TOKEN_MALFORMED", "authorization must be Bearer and a token" };
        return -EACCES;
    }
    uint64_t hash[2];
    hash_token(auth->secret, authorization + 7, len - 7, hash);
    struct known *k = *find(auth, hash);
    if (k && !auth_still_good(auth, k->principal, now_s)) {
        forget(auth, k);
        k = NULL;
    }
    if (!k)
        return verify(auth, authorization + 7, len - 7, hash, now_s, ret_principal, ret_refusal);
    if (auth->newest != k) {
        age_unlink(auth, k);
        age_newest(auth, k);
    }
    auth->counts.hits++;
    metric_add(auth->hits, 1);
    *ret_principal = principal_ref(k->principal);
    return 0;
}

struct auth_counts auth_counts(const struct auth *auth)
{
    return auth->counts;
}

/* --- life --- */

int auth_reload(struct auth *auth)
{
    return keyring_reload(auth->keyring);
}

bool auth_ready(const struct auth *auth)
{
    return keyring_keys(auth->keyring);
}

static struct metric *count(const char *result)
{
    char labels[32];
    snprintf(labels, sizeof(labels), "result=\"%s\"", result);
    return metric_make(METRIC_COUNTER, "gateway_tokens_total", "Tokens by what became of them.", labels);
}

struct auth *auth_create(struct port *port, const struct auth_options *options)
{
    const struct keyring_options keys = { options->keys, options->algorithms, options->refetch_us };
    struct auth *auth = calloc(1, sizeof(*auth));
    if (!auth)
        return NULL;
    auth->options = *options;
    if (!auth->options.remember)
        auth->options.remember = 16384;
    principal_init(&auth->guest, &(struct caller){ .roles = ROLE_BIT(MESH__V1__ROLE__GUEST) }, INT64_MAX);
    auth->hits = count("hit");
    auth->verified = count("verified");
    auth->refused = count("refused");
    if (RAND_bytes((uint8_t *)auth->secret, sizeof(auth->secret)) == 1 && grow(auth) &&
        (auth->keyring = keyring_create(port, &keys)))
        return auth;
    auth_destroy(auth);
    return NULL;
}

void auth_destroy(struct auth *auth)
{
    if (!auth)
        return;
    while (auth->oldest)
        forget(auth, auth->oldest);
    keyring_destroy(auth->keyring);
    free(auth->buckets);
    free(auth);
}
