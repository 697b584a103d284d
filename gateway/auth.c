/* The memory of verified tokens: found by a keyed 128-bit hash (SipHash-2-4, https://www.aumasson.jp/siphash), whose
 * key nobody outside knows, so that a token cannot be made to collide with another. Least recently used goes first. */
#include "gateway/auth.h"

#include "gateway/accounts.h"
#include "gateway/jwt.h"
#include "gateway/keyring.h"
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"

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
    struct accounts *accounts; /* NULL: there are none */
    uint32_t accounts_generation;
    uint64_t secret[2];
    struct principal guest;
    struct known **buckets;
    size_t n_buckets; /* a power of two */
    struct known *newest, *oldest;
    struct auth_counts counts;
    struct metric *hits, *verified, *refused, *accounts_known;
};

/* --- names --- */

uint32_t auth_role(const char *name)
{
    static const struct {
        const char *name;
        Mesh__V1__Role role;
    } roles[] = {
        { "customer", MESH__V1__ROLE__CUSTOMER },   { "csr", MESH__V1__ROLE__CSR },
        { "warehouse", MESH__V1__ROLE__WAREHOUSE }, { "erp", MESH__V1__ROLE__ERP },
        { "operator", MESH__V1__ROLE__OPERATOR },   { "admin", MESH__V1__ROLE__ADMIN },
    };
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (name && strcmp(roles[i].name, name) == 0)
            return ROLE_BIT(roles[i].role);
    return 0;
}

bool auth_subject_fits(const char *subject)
{
    size_t n = 0;
    for (; subject[n]; n++)
        if (subject[n] <= ' ' || subject[n] > '~' || n + 1 == CALLER_SUBJECT_MAX)
            return false;
    return n > 0;
}

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

static uint32_t generation(const struct auth *auth)
{
    return keyring_generation(auth->keyring) + auth->accounts_generation;
}

static int no_memory(struct refusal *ret_refusal)
{
    *ret_refusal = (struct refusal){ "OUT_OF_MEMORY", "the gateway has no memory for another caller" };
    return -EACCES;
}

/* NULL: no memory. */
static struct principal *principal_of(const struct auth *auth, const struct caller *caller, int64_t expires_s,
                                      const struct account *account)
{
    size_t n_from = account ? account->n_from : 0;
    struct principal *principal = malloc(sizeof(*principal) + n_from * sizeof(struct network));
    if (!principal)
        return NULL;
    principal_init(principal, caller, expires_s);
    principal->generation = generation(auth);
    principal->account = account != NULL;
    principal->n_from = (uint8_t)n_from;
    if (n_from)
        principal->from = memcpy(principal + 1, account->from, n_from * sizeof(struct network));
    return principal;
}

bool principal_may_come_from(const struct principal *principal, const struct address *address)
{
    bool may = principal->n_from == 0;
    for (size_t i = 0; i < principal->n_from; i++)
        may |= network_has(&principal->from[i], address);
    return may;
}

/* Accounts have no grace: their clock is ours. */
static int of_account(const struct auth *auth, const struct account *account, int64_t now_s,
                      struct principal **ret_principal, struct refusal *ret_refusal)
{
    if (account->expires_s <= now_s) {
        *ret_refusal = (struct refusal){ "ACCOUNT_EXPIRED", "the account's time is over" };
        return -EACCES;
    }
    int64_t expires_s = account->expires_s == ACCOUNT_NEVER ? INT64_MAX : account->expires_s - AUTH_SKEW_S - 1;
    *ret_principal = principal_of(auth, &account->caller, expires_s, account);
    return *ret_principal ? 0 : no_memory(ret_refusal);
}

static int verify_key(const struct auth *auth, const char *key, size_t len, int64_t now_s,
                      struct principal **ret_principal, struct refusal *ret_refusal)
{
    const struct account *account = accounts_of_key(auth->accounts, key, len);
    if (account)
        return of_account(auth, account, now_s, ret_principal, ret_refusal);
    *ret_refusal = (struct refusal){ "API_KEY_UNKNOWN", "there is no such API key" };
    return -EACCES;
}

static int verify_token(struct auth *auth, const char *token, size_t len, int64_t now_s,
                        struct principal **ret_principal, struct refusal *ret_refusal)
{
    const struct jwt_rules rules = { keyring_keys(auth->keyring), auth->options.issuer, auth->options.audience };
    struct caller caller;
    int64_t expires_s;
    int r = jwt_verify(&rules, token, len, now_s, &caller, &expires_s, ret_refusal);
    if (r == -ENOKEY)
        keyring_want(auth->keyring);
    if (r < 0)
        return -EACCES;
    *ret_principal = principal_of(auth, &caller, expires_s, NULL);
    return *ret_principal ? 0 : no_memory(ret_refusal);
}

static int verify(struct auth *auth, bool is_key, const char *text, size_t len, const uint64_t hash[2], int64_t now_s,
                  struct principal **ret_principal, struct refusal *ret_refusal)
{
    struct principal *principal;
    int r = is_key ? verify_key(auth, text, len, now_s, &principal, ret_refusal)
                   : verify_token(auth, text, len, now_s, &principal, ret_refusal);
    if (r < 0) {
        refused(auth);
        return r;
    }
    remember(auth, hash, principal);
    auth->counts.verified++;
    metric_add(auth->verified, 1);
    *ret_principal = principal;
    return 0;
}

int auth_certificate(struct auth *auth, X509 *certificate, int64_t now_s, struct principal **ret_principal,
                     struct refusal *ret_refusal)
{
    const struct account *account = accounts_of_certificate(auth->accounts, certificate);
    int r = account ? of_account(auth, account, now_s, ret_principal, ret_refusal) : -ENOENT;
    if (r == -EACCES)
        refused(auth);
    return r;
}

bool auth_still_good(const struct auth *auth, const struct principal *principal, int64_t now_s)
{
    return principal->generation == generation(auth) && principal->expires_s >= now_s - AUTH_SKEW_S;
}

/* How long what stands before the proof is, and which it is; 0 and no key: neither. */
static size_t scheme_of(const char *text, size_t len, bool *ret_is_key)
{
    static const struct {
        const char *name;
        bool is_key;
        bool skip;
    } schemes[] = { { "Bearer ", false, true }, { "ApiKey ", true, true }, { ACCOUNT_KEY_PREFIX, true, false } };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t n = strlen(schemes[i].name);
        *ret_is_key = schemes[i].is_key;
        if (len >= n && strncasecmp(text, schemes[i].name, n) == 0)
            return schemes[i].skip ? n : 0;
    }
    *ret_is_key = false;
    return 0;
}

int auth_check(struct auth *auth, const char *authorization, size_t len, int64_t now_s,
               struct principal **ret_principal, struct refusal *ret_refusal)
{
    if (!authorization) {
        *ret_principal = principal_ref(&auth->guest);
        return 0;
    }
    const char *text = authorization;
    bool is_key = true;
    size_t scheme = scheme_of(authorization, len, &is_key);
    if (scheme == 0 && !is_key) {
        refused(auth);
        *ret_refusal = (struct refusal){ "TOKEN_MALFORMED", "authorization must be Bearer and a token, or an API key" };
        return -EACCES;
    }
    text += scheme;
    len -= scheme;
    uint64_t hash[2];
    hash_token(auth->secret, text, len, hash);
    hash[1] ^= is_key; /* the one is never taken for the other */
    struct known *k = *find(auth, hash);
    if (k && !auth_still_good(auth, k->principal, now_s)) {
        forget(auth, k);
        k = NULL;
    }
    if (!k)
        return verify(auth, is_key, text, len, hash, now_s, ret_principal, ret_refusal);
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

#define ACCOUNTS_BYTES_MAX (1024 * 1024)

static int refuse_accounts(const struct auth *auth, const char *why)
{
    say(SAY_ERROR, NULL, "the accounts cannot be used", SAY_T("file", auth->options.accounts), SAY_T("reason", why));
    return -EINVAL;
}

static int reload_accounts(struct auth *auth)
{
    const char *path = auth->options.accounts;
    if (!path || !*path)
        return 0;
    FILE *file = fopen(path, "re");
    uint8_t *text = file ? malloc(ACCOUNTS_BYTES_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, ACCOUNTS_BYTES_MAX + 1, file) : 0;
    char why[128] = "it cannot be read, or is larger than 1 MiB";
    bool whole = text && !ferror(file) && n <= ACCOUNTS_BYTES_MAX;
    struct accounts *accounts = whole ? accounts_read((struct bytes){ text, n }, why) : NULL;
    free(text);
    if (file)
        fclose(file);
    if (!accounts)
        return refuse_accounts(auth, why);
    accounts_free(auth->accounts);
    auth->accounts = accounts;
    auth->accounts_generation++;
    metric_set(auth->accounts_known, (int64_t)accounts_count(accounts));
    return 0;
}

int auth_reload(struct auth *auth)
{
    int keys = keyring_reload(auth->keyring), accounts = reload_accounts(auth);
    return keys < 0 ? keys : accounts;
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
    auth->accounts_known = metric_make(METRIC_GAUGE, "gateway_accounts", "Accounts of machines.", NULL);
    if (RAND_bytes((uint8_t *)auth->secret, sizeof(auth->secret)) == 1 && grow(auth) &&
        (auth->keyring = keyring_create(port, &keys)) && reload_accounts(auth) == 0)
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
    accounts_free(auth->accounts);
    free(auth->buckets);
    free(auth);
}
