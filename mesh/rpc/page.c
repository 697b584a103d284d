/* Page tokens: a keyset, the query it belongs to and a checksum, in base64url. */
#include "mesh/rpc/rpc.h"
#include "mesh/rpc/wire.h"

#include <errno.h>

#define TOKEN_MAX 512
#define HASH_LEN  8

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint64_t hash(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccd;
    return h ^ h >> 33;
}

static char *encode(struct arena *arena, const uint8_t *data, size_t len)
{
    char *text = arena_alloc(arena, (len * 8 + 5) / 6 + 1), *out = text;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; text && i < len; i++) {
        bits = bits << 8 | data[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = alphabet[bits >> (held - 6) & 63];
    }
    if (text && held > 0)
        *out++ = alphabet[bits << (6 - held) & 63];
    if (text)
        *out = '\0';
    return text;
}

/* -1: not in the alphabet. */
static int digit_of(char c)
{
    const char *at = memchr(alphabet, c, sizeof(alphabet));
    return at ? (int)(at - alphabet) : -1;
}

/* How many bytes came out, or -EINVAL: what does not encode to the very same text is refused. */
static int decode(const char *text, uint8_t *data)
{
    uint32_t bits = 0;
    unsigned held = 0;
    int len = 0;
    for (; *text; text++) {
        int digit = digit_of(*text);
        if (digit < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        data[len++] = (uint8_t)(bits >> held);
    }
    return held >= 6 || (bits & ((1u << held) - 1)) != 0 ? -EINVAL : len;
}

/* Each field as its two bytes of length, itself and a NUL. */
static int read_fields(struct arena *arena, struct bytes in, const char **ret_fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = in.len < 3 ? SIZE_MAX : (size_t)in.data[0] << 8 | in.data[1];
        if (in.len < 3 || len > in.len - 3)
            return -EINVAL;
        struct bytes field = { in.data + 2, len };
        if (memchr(field.data, '\0', len) || !utf8_valid(field))
            return -EINVAL;
        ret_fields[i] = arena_copy(arena, field.data, field.len);
        if (!ret_fields[i])
            return -ENOMEM;
        in = (struct bytes){ in.data + len + 3, in.len - len - 3 };
    }
    return in.len == 0 ? 0 : -EINVAL;
}

int rpc_page_open(struct rpc_call *call, const char *token, const char *query, const char **ret_fields, size_t n)
{
    uint8_t raw[TOKEN_MAX];
    uint64_t of_query = hash(query, strlen(query)), sum;
    if (*token == '\0') {
        memset(ret_fields, 0, n * sizeof(*ret_fields));
        return 0;
    }
    int len = strlen(token) < TOKEN_MAX ? decode(token, raw) : -EINVAL;
    if (len < 2 * HASH_LEN)
        goto refuse;
    sum = hash(raw, (size_t)len - HASH_LEN);
    if (memcmp(raw + len - HASH_LEN, &sum, HASH_LEN) != 0 || memcmp(raw, &of_query, HASH_LEN) != 0)
        goto refuse;
    int r = read_fields(rpc_arena(call), (struct bytes){ raw + HASH_LEN, (size_t)len - 2 * HASH_LEN }, ret_fields, n);
    if (r != -EINVAL)
        return r;
refuse:
    return rpc_fail_field(call, "page_token", "PAGE_TOKEN_INVALID", "not a token that this query gave");
}

const char *rpc_page_token(struct rpc_call *call, const char *query, const char *const *fields, size_t n)
{
    struct arena *arena = rpc_arena(call);
    size_t size = 2 * HASH_LEN;
    for (size_t i = 0; i < n; i++)
        size += strlen(fields[i]) + 3;
    uint8_t *raw = arena_alloc(arena, size), *out = raw;
    if (!raw)
        return NULL;

    uint64_t h = hash(query, strlen(query));
    memcpy(out, &h, HASH_LEN);
    out += HASH_LEN;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(fields[i]);
        *out++ = (uint8_t)(len >> 8);
        *out++ = (uint8_t)len;
        memcpy(out, fields[i], len + 1);
        out += len + 1;
    }
    h = hash(raw, size - HASH_LEN);
    memcpy(out, &h, HASH_LEN);
    return encode(arena, raw, size);
}
