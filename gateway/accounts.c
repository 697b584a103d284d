/* Reads accounts, and finds the one that a key or a certificate is of. */
#include "gateway/accounts.h"

#include "gateway/auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS_MAX 8

struct accounts {
    size_t n;
    struct account list[];
};

/* --- what stands behind = --- */

static int read_subject(char *text, struct account *account)
{
    if (!auth_subject_fits(text))
        return -EINVAL;
    strcpy(account->caller.subject, text);
    return 0;
}

static int read_roles(char *text, struct account *account)
{
    for (char *role; (role = strsep(&text, ","));) {
        uint32_t bit = auth_role(role);
        if (!bit)
            return -EINVAL;
        account->caller.roles |= bit;
    }
    return 0;
}

static int read_expires(char *text, struct account *account)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && *end)
        end = strptime(end, "T%H:%M:%SZ", &tm);
    if (!end || *end)
        return -EINVAL;
    account->expires_s = timegm(&tm);
    return 0;
}

static int read_from(char *text, struct account *account)
{
    for (char *one; (one = strsep(&text, ","));)
        if (account->n_from == ACCOUNT_FROM_MAX || network_parse(one, &account->from[account->n_from++]) < 0)
            return -EINVAL;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(char *text, struct account *account);
    const char *why;
} fields[] = {
    { "subject=", read_subject, "subject is 1 to 127 visible ASCII characters" },
    { "roles=", read_roles, "roles are of customer, csr, warehouse, erp, operator and admin" },
    { "expires=", read_expires, "expires is a day such as 2027-01-31, or 2027-01-31T12:00:00Z" },
    { "from=", read_from, "from is up to 16 networks such as 192.0.2.0/24" },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* NULL, or why not. */
static const char *read_field(char *word, struct account *account, bool *seen)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        size_t len = strlen(fields[i].name);
        if (strncmp(word, fields[i].name, len) != 0)
            continue;
        if (seen[i])
            return "a word stands twice";
        seen[i] = true;
        return fields[i].read(word + len, account) < 0 ? fields[i].why : NULL;
    }
    return "there is a word that is unknown";
}

/* --- lines --- */

static bool read_digest(const char *text, uint8_t ret_digest[32])
{
    size_t len = 0;
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64 &&
           OPENSSL_hexstr2buf_ex(ret_digest, 32, &len, text, '\0') == 1 && len == 32;
}

static bool id_fits(const char *id)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(id);
    return len && len < ACCOUNT_ID_MAX && strspn(id, chars) == len;
}

/* How many words begin the fields; 0 and why not. */
static size_t read_name(char **words, size_t n, struct account *account, const char **ret_why)
{
    account->certificate = n > 1 && strcmp(words[0], "certificate") == 0;
    if (!account->certificate && (n < 3 || strcmp(words[0], "key") != 0))
        *ret_why = "a line begins with key ID SHA256, or certificate NAME";
    else if (account->certificate && (!words[1][0] || strlen(words[1]) >= ACCOUNT_NAME_MAX))
        *ret_why = "a certificate's NAME is 1 to 255 bytes";
    else if (!account->certificate && !id_fits(words[1]))
        *ret_why = "a key's ID is 1 to 63 letters, digits, - and _";
    else if (!account->certificate && !read_digest(words[2], account->digest))
        *ret_why = "a key's SHA256 is 64 digits in hex, in small letters";
    if (*ret_why)
        return 0;
    strcpy(account->name, words[1]);
    return account->certificate ? 2 : 3;
}

/* Words apart by blanks; a quoted one goes on to the next quote. How many, WORDS_MAX + 1: more. */
static size_t split(char *line, char *ret_words[WORDS_MAX])
{
    size_t n = 0;
    for (char *at = line + strspn(line, " \t\r"); *at && *at != '#'; at += strspn(at, " \t\r")) {
        bool quoted = *at == '"';
        at += quoted;
        if (n == WORDS_MAX)
            return WORDS_MAX + 1;
        ret_words[n++] = at;
        at += strcspn(at, quoted ? "\"" : " \t\r");
        if (*at)
            *at++ = '\0';
    }
    return n;
}

static const char *read_line(char *line, struct accounts *accounts)
{
    char *words[WORDS_MAX];
    bool seen[N_FIELDS] = { false };
    const char *why = NULL;
    size_t n = split(line, words);
    if (n == 0)
        return NULL;
    if (n > WORDS_MAX || accounts->n == ACCOUNTS_MAX)
        return n > WORDS_MAX ? "there are too many words" : "there are more than 1024 accounts";
    struct account *account = &accounts->list[accounts->n];
    *account = (struct account){ .expires_s = ACCOUNT_NEVER };
    for (size_t i = read_name(words, n, account, &why); !why && i < n; i++)
        why = read_field(words[i], account, seen);
    if (why)
        return why;
    if (!seen[0] || !seen[1])
        return "subject= and roles= are needed";
    for (size_t i = 0; i < accounts->n; i++) {
        const struct account *other = &accounts->list[i];
        if (other->certificate == account->certificate &&
            (strcmp(other->name, account->name) == 0 ||
             (!account->certificate && memcmp(other->digest, account->digest, 32) == 0)))
            return "it stands twice";
    }
    accounts->n++;
    return NULL;
}

struct accounts *accounts_read(struct bytes text, char ret_why[128])
{
    char *copy = strndup((const char *)text.data, text.len);
    size_t lines = 1, number = 0;
    for (char *c = copy; c && *c; c++)
        lines += *c == '\n';
    if (lines > 16 * ACCOUNTS_MAX)
        lines = 16 * ACCOUNTS_MAX;
    size_t room = lines < ACCOUNTS_MAX ? lines : ACCOUNTS_MAX;
    struct accounts *accounts = copy ? calloc(1, sizeof(*accounts) + room * sizeof(struct account)) : NULL;
    const char *why = accounts ? NULL : "there is no memory";
    if (!why && strlen(copy) != text.len)
        why = "it is no text";
    for (char *at = copy, *line; !why && (line = strsep(&at, "\n"));) {
        number++;
        why = read_line(line, accounts);
    }
    free(copy);
    if (!why)
        return accounts;
    snprintf(ret_why, 128, "line %zu: %s", number, why);
    accounts_free(accounts);
    return NULL;
}

void accounts_free(struct accounts *accounts)
{
    free(accounts);
}

size_t accounts_count(const struct accounts *accounts)
{
    return accounts->n;
}

/* --- finding --- */

static const struct account *find(const struct accounts *accounts, bool certificate, const char *name, size_t len)
{
    for (size_t i = 0; accounts && i < accounts->n; i++) {
        const struct account *account = &accounts->list[i];
        if (account->certificate == certificate && strlen(account->name) == len &&
            memcmp(account->name, name, len) == 0)
            return account;
    }
    return NULL;
}

const struct account *accounts_of_key(const struct accounts *accounts, const char *key, size_t len)
{
    static const char prefix[] = ACCOUNT_KEY_PREFIX;
    const size_t n = sizeof(prefix) - 1;
    uint8_t digest[32];
    const char *dot = len > n && memcmp(key, prefix, n) == 0 ? memchr(key + n, '.', len - n) : NULL;
    if (!dot || EVP_Digest(key, len, digest, NULL, EVP_sha256(), NULL) != 1)
        return NULL;
    const struct account *account = find(accounts, false, key + n, (size_t)(dot - key) - n);
    return account && CRYPTO_memcmp(digest, account->digest, sizeof(digest)) == 0 ? account : NULL;
}

static const struct account *of_uri(const struct accounts *accounts, X509 *certificate)
{
    const struct account *account = NULL;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; !account && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        account = find(accounts, true, (const char *)ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
    }
    GENERAL_NAMES_free(names);
    return account;
}

const struct account *accounts_of_certificate(const struct accounts *accounts, X509 *certificate)
{
    const struct account *account = of_uri(accounts, certificate);
    if (account)
        return account;
    char *subject = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        long len = BIO_get_mem_data(bio, &subject);
        account = len > 0 ? find(accounts, true, subject, (size_t)len) : NULL;
    }
    BIO_free(bio);
    return account;
}
