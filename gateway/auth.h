/* Who a client is: verifies JWTs (gateway/jwt.h) and remembers those it has verified, because a verification costs
 * fifty times a proxied call. Loop lane.
 *
 * A token is signed with ES256, RS256 or EdDSA, whichever its key is for. exp is required; nbf, iss and aud are
 * checked; clocks may differ by 30 s. There is one issuer, because keys belong to one. sub is at most 127 visible ASCII
 * characters. roles is an array of customer, csr, warehouse, erp, operator, admin: SERVICE is proven by a certificate
 * and GUEST by having no token. */
#pragma once

#include "gateway/network.h"
#include "mesh/rpc/rpc.h"

#include <openssl/x509.h>

#define AUTH_SKEW_S 30

struct auth;

struct auth_options {
    const char *keys;       /* a file of public keys or a URL: gateway/keyring.h */
    const char *issuer;     /* iss must be it */
    const char *audience;   /* aud must be or contain it; with commas, one of them */
    size_t remember;        /* verified tokens at most; 0: 16384 */
    const char *algorithms; /* that are allowed, with commas; NULL: all */
    int64_t refetch_us;     /* of a URL; 0: five minutes */
    const char *accounts;   /* a file of API keys and certificates: gateway/accounts.h; NULL or "": there are none */
};

/* A verified caller; immutable, counted. */
struct principal {
    struct caller caller;
    char text[CALLER_SUBJECT_MAX + 16]; /* caller_format: x-mesh-caller */
    uint16_t text_len;
    uint32_t refs;
    uint32_t generation; /* of keys and accounts it was verified with */
    int64_t expires_s;   /* INT64_MAX: never */
    bool account;        /* of a machine, by an API key or a certificate */
    uint8_t n_from;      /* 0: from anywhere */
    const struct network *from;
};

/* Why a token was refused: status UNAUTHENTICATED with this reason. */
struct refusal {
    const char *reason, *message; /* constants */
};

struct port;

/* NULL after one clear line. port is for fetching keys; NULL: they are in a file. */
struct auth *auth_create(struct port *port, const struct auth_options *options);
void auth_destroy(struct auth *auth);
/* The keys are read again, or fetched; if they are others, every token is verified anew.
 * 0, or -EINVAL after one clear line and nothing changed. */
int auth_reload(struct auth *auth);
/* Whether there are keys, which a URL may not have given yet: until then whoever has a token is refused. */
bool auth_ready(const struct auth *auth);
/* authorization is the header's value: Bearer and a token, or an API key, with ApiKey before it or not. NULL without
 * one: then the caller is a GUEST. 0 with a reference, or -EACCES
 * with the refusal. now_s is the wall clock. */
int auth_check(struct auth *auth, const char *authorization, size_t len, int64_t now_s,
               struct principal **ret_principal, struct refusal *ret_refusal);
/* The account of a client's certificate, whose chain was verified. 0 with a reference; -ENOENT: no account is of it;
 * -EACCES with the refusal. */
int auth_certificate(struct auth *auth, X509 *certificate, int64_t now_s, struct principal **ret_principal,
                     struct refusal *ret_refusal);
bool principal_may_come_from(const struct principal *principal, const struct address *address);
/* Whether the principal of a token that was checked before may still be taken for it. */
bool auth_still_good(const struct auth *auth, const struct principal *principal, int64_t now_s);
struct principal *principal_ref(struct principal *principal);
void principal_unref(struct principal *principal); /* NULL is harmless */

struct auth_counts {
    uint64_t hits, verified, refused; /* also counted as gateway_tokens_total */
    size_t remembered;
};
struct auth_counts auth_counts(const struct auth *auth);

/* What a role is called in tokens and accounts; 0: none that these can give. */
uint32_t auth_role(const char *name);
/* 1 to 127 visible ASCII characters, which is what travels as metadata. */
bool auth_subject_fits(const char *subject);
