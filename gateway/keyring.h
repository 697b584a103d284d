/* Where the keys for tokens come from, and how they stay fresh: a file, or the URL of an identity provider's JWK Set.
 *
 * A file is read when keyring_reload is called. A URL is fetched at the start, at an interval, and when a token names a
 * key that is not known, which is how keys are rotated, but then at most once in KEYRING_GAP_US, as strangers can name
 * any. While it cannot be fetched, or what comes is no set of keys, the keys that were there stay, and it is tried
 * again sooner. Loop lane. */
#pragma once

#include "gateway/key_set.h"

#define KEYRING_GAP_US     (5 * INT64_C(1000000))
#define KEYRING_TIMEOUT_US (5 * INT64_C(1000000))
#define KEYRING_BYTES_MAX  (256 * 1024)

struct port;
struct keyring;

struct keyring_options {
    const char *source;     /* a path, or http://… or https://…; must outlive the keyring */
    const char *algorithms; /* that are allowed: "ES256,RS256,EdDSA"; NULL: all three */
    int64_t refetch_us;     /* of a URL; 0: five minutes */
};

/* What port->fetch must know to fetch from the source: an entry for struct real_options, "" for a file. 0, or -EINVAL
 * after one clear line: no such URL, or one without TLS that is not of this machine. */
int keyring_outside(const char *source, char *ret_entry, size_t size);

/* NULL after one clear line: a file that cannot be used. A URL is not waited for. port may be NULL for a file. */
struct keyring *keyring_create(struct port *port, const struct keyring_options *options);
/* Reads the file again, or fetches now. 0, or -EINVAL after one clear line and nothing changed. */
int keyring_reload(struct keyring *ring);
/* A token has named a key that is not here. */
void keyring_want(struct keyring *ring);
/* NULL until a URL has been fetched. */
const struct key_set *keyring_keys(const struct keyring *ring);
/* Is another one whenever the keys are others. */
uint32_t keyring_generation(const struct keyring *ring);
/* NULL is harmless. What is still being fetched is forgotten when it comes. */
void keyring_destroy(struct keyring *ring);
