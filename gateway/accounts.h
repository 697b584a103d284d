/* Accounts of machines, such as an ERP: who has this API key, or a certificate of this name. Loop lane.
 *
 * They stand in a file, one a line, words apart by blanks, with quotes around a word that has some; # begins a comment:
 *
 *   key ID SHA256 subject=SUBJECT roles=ROLE,… [expires=2027-01-31] [from=NETWORK,…]
 *   certificate NAME subject=SUBJECT roles=ROLE,… [expires=…] [from=…]
 *
 * An API key is omk_ID.SECRET, SECRET being 32 random bytes in base64url. Of it the file has the SHA-256, in hex, of
 * the whole text: what cannot be guessed needs no slow hash. NAME is a URI that the certificate is for (SAN), such as
 * spiffe://partner.example/erp, or its subject as RFC 2253 writes it, as in "CN=erp,O=Partner". expires is the first
 * moment in UTC at which it is no good, a day or 2027-01-31T12:00:00Z. from are networks that it is used from. */
#pragma once

#include "gateway/network.h"
#include "mesh/base/arena.h"
#include "mesh/rpc/rpc.h"

#include <openssl/x509.h>

#define ACCOUNTS_MAX       1024
#define ACCOUNT_ID_MAX     64 /* bytes, with the end */
#define ACCOUNT_NAME_MAX   256
#define ACCOUNT_FROM_MAX   16
#define ACCOUNT_KEY_PREFIX "omk_"
#define ACCOUNT_NEVER      INT64_MAX

struct account {
    char name[ACCOUNT_NAME_MAX]; /* ID, or the certificate's NAME */
    bool certificate;
    uint8_t digest[32]; /* of a key */
    struct caller caller;
    int64_t expires_s; /* ACCOUNT_NEVER */
    size_t n_from;     /* 0: from anywhere */
    struct network from[ACCOUNT_FROM_MAX];
};

struct accounts;

/* NULL and why, with the line: something is not as it is said above, or an ID, NAME or hash stands twice. */
struct accounts *accounts_read(struct bytes text, char ret_why[128]);
void accounts_free(struct accounts *accounts); /* NULL is harmless */
size_t accounts_count(const struct accounts *accounts);

/* All return NULL if there is none. accounts NULL: there are none. */
const struct account *accounts_of_key(const struct accounts *accounts, const char *key, size_t len);
const struct account *accounts_of_certificate(const struct accounts *accounts, X509 *certificate);
