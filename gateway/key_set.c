/* Reads sets of keys. A doubt about one of them is a doubt about who may do what, so it is never settled in silence. */
#include "gateway/key_set.h"

#include "mesh/base/say.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* Takes the key over. 0, or -EINVAL: the set cannot be used. */
static int add(struct key_set *set, const struct jws_key *key, const char **ret_why)
{
    const char *why = set->n == KEYS_MAX ? "it holds more than 32 keys" : NULL;
    for (size_t i = 0; !why && key->kid[0] && i < set->n; i++)
        if (strcmp(set->keys[i].kid, key->kid) == 0)
            why = "two of its keys have the same kid";
    if (why) {
        *ret_why = why;
        EVP_PKEY_free(key->key);
        return -EINVAL;
    }
    set->keys[set->n++] = *key;
    return 0;
}

/* --- PEM --- */

/* The next block as a key; 0: there is none, -EINVAL: it is no public key. */
static int next_pem(BIO *bio, EVP_PKEY **ret_key)
{
    char *name, *header;
    unsigned char *data;
    long len;
    if (PEM_read_bio(bio, &name, &header, &data, &len) != 1)
        return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : -EINVAL;
    const unsigned char *at = data;
    *ret_key = strcmp(name, PEM_STRING_PUBLIC) == 0 ? d2i_PUBKEY(NULL, &at, len) : NULL;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, (size_t)len);
    return *ret_key ? 1 : -EINVAL;
}

static int read_pem(struct key_set *set, struct bytes text, uint32_t allowed, const char **ret_why)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    EVP_PKEY *read;
    struct jws_key key;
    int r = -ENOMEM;
    *ret_why = "what is in it is not a public key";
    while (bio && (r = next_pem(bio, &read)) > 0) {
        r = jws_key_init(&key, read, ret_why);
        if (r == 0 && !(allowed & 1u << key.algorithm)) {
            EVP_PKEY_free(key.key);
            *ret_why = "the algorithm of one of its keys is not allowed";
            r = -EINVAL;
        }
        if (r < 0 || (r = add(set, &key, ret_why)) < 0)
            break;
    }
    BIO_free(bio);
    ERR_clear_error();
    return r;
}

/* --- JWK Set --- */

static void leave_out(const json_t *jwk, const char *why)
{
    const char *kid = json_string_value(json_object_get(jwk, "kid"));
    say(SAY_WARN, NULL, "a key for tokens is left out", SAY_T("kid", kid), SAY_T("reason", why));
}

static int read_jwks(struct key_set *set, struct bytes text, uint32_t allowed, const char **ret_why)
{
    json_t *json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(json, "keys");
    int r = json_is_array(list) ? 0 : -EINVAL;
    *ret_why = "it is no JWK Set";
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const json_t *jwk = json_array_get(list, i);
        struct jws_key key;
        const char *why;
        if (jwk_read(jwk, &key, &why) < 0) {
            leave_out(jwk, why);
        } else if (!(allowed & 1u << key.algorithm)) {
            EVP_PKEY_free(key.key);
            leave_out(jwk, "its algorithm is not allowed");
        } else {
            r = add(set, &key, ret_why);
        }
    }
    json_decref(json);
    return r;
}

static bool is_json(struct bytes text)
{
    size_t i = 0;
    while (i < text.len && strchr(" \t\r\n", text.data[i]))
        i++;
    return i < text.len && text.data[i] == '{';
}

struct key_set *key_set_read(struct bytes text, uint32_t allowed, const char **ret_why)
{
    struct key_set *set = calloc(1, sizeof(*set));
    *ret_why = "there is no memory";
    if (!set)
        return NULL;
    int r = (is_json(text) ? read_jwks : read_pem)(set, text, allowed, ret_why);
    if (r == 0 && set->n)
        return set;
    if (r == 0)
        *ret_why = "there is no key in it that can be used";
    key_set_free(set);
    return NULL;
}

void key_set_free(struct key_set *set)
{
    for (size_t i = 0; set && i < set->n; i++)
        EVP_PKEY_free(set->keys[i].key);
    free(set);
}
