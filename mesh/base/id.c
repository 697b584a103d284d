/* ULIDs behind a prefix, written and read. */
#include "mesh/base/id.h"
#include "mesh/port.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define ULID_CHARS  26
#define TIME_CHARS  10
#define UUID_CHARS  36
#define PREFIX_MAX  8
#define CHANCE_SIZE 10

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void write_id(const char *prefix, uint64_t ms, const uint8_t chance[CHANCE_SIZE], char ret_id[ID_MAX])
{
    size_t len = strlen(prefix);
    assert(len <= PREFIX_MAX);

    memcpy(ret_id, prefix, len);
    char *at = ret_id + len;
    *at++ = '_';
    for (int i = TIME_CHARS - 1; i >= 0; i--)
        *at++ = digits[(ms & 0xffffffffffffull) >> (5 * i) & 31];
    for (int half = 0; half < CHANCE_SIZE; half += 5) {
        uint64_t bits = 0;
        for (int i = 0; i < 5; i++)
            bits = bits << 8 | chance[half + i];
        for (int i = 7; i >= 0; i--)
            *at++ = digits[bits >> (5 * i) & 31];
    }
    *at = '\0';
}

void id_make(struct port *port, const char *prefix, char ret_id[ID_MAX])
{
    uint8_t chance[CHANCE_SIZE];
    port->random(port, chance, sizeof(chance));
    write_id(prefix, (uint64_t)(port->wall_us(port) / 1000), chance, ret_id);
}

int id_derive(const char *prefix, int64_t time_us, const char *text, char ret_id[ID_MAX])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    write_id(prefix, (uint64_t)(time_us / 1000), digest, ret_id);
    return 0;
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c - 'A' + 'a');
    const char *p = c ? strchr(digits, c) : NULL;
    return p ? (int)(p - digits) : -1;
}

static int64_t ulid_time_ms(const char *ulid)
{
    int64_t ms = 0;
    for (int i = 0; i < ULID_CHARS; i++) {
        int digit = digit_of(ulid[i]);
        if (digit < 0 || (i == 0 && digit > 7))
            return -1;
        if (i < TIME_CHARS)
            ms = ms << 5 | digit;
    }
    return ms;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xxxxxxxx-xxxx-7xxx-vxxx-xxxxxxxxxxxx, v one of 8 9 a b; the first twelve digits are the time. */
static int64_t uuid_time_ms(const char *uuid)
{
    int64_t ms = 0;
    for (int i = 0, n = 0; i < UUID_CHARS; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = hex_of(uuid[i]);
        if (hyphen ? uuid[i] != '-' : digit < 0)
            return -1;
        if (!hyphen && n++ < 12)
            ms = ms << 4 | digit;
    }
    return uuid[14] == '7' && (hex_of(uuid[19]) & 0xc) == 0x8 ? ms : -1;
}

int64_t id_time_ms(const char *id)
{
    const char *last = strrchr(id, '_');
    const char *body = last ? last + 1 : id;
    size_t len = strlen(body);
    if (len == ULID_CHARS)
        return ulid_time_ms(body);
    return len == UUID_CHARS ? uuid_time_ms(body) : -1;
}
