/* An address, taken apart from its ends. */
#include "mesh/cache/address.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static int copy(char *to, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return -EINVAL;
    memcpy(to, from, len);
    to[len] = '\0';
    return 0;
}

static int copy_number(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    return len && strspn(from, "0123456789") == len ? copy(to, size, from, len) : -EINVAL;
}

int cache_address_parse(const char *text, struct cache_address *ret_address)
{
    struct cache_address address = { .database = "0" };
    const char *at = strrchr(text, '@');
    if (at && copy(address.password, sizeof(address.password), text, at - text) < 0)
        return -EINVAL;
    text = at ? at + 1 : text;

    if (text[0] == '/') {
        if (copy(address.host, sizeof(address.host), text, strlen(text)) < 0)
            return -EINVAL;
        *ret_address = address;
        return 0;
    }

    char rest[320];
    if (copy(rest, sizeof(rest), text, strlen(text)) < 0)
        return -EINVAL;
    char *slash = strchr(rest, '/');
    if (slash && copy_number(address.database, sizeof(address.database), slash + 1) < 0)
        return -EINVAL;
    if (slash)
        *slash = '\0';
    char *colon = strrchr(rest, ':');
    if (!colon || colon == rest || copy_number(address.port, sizeof(address.port), colon + 1) < 0 ||
        copy(address.host, sizeof(address.host), rest, colon - rest) < 0)
        return -EINVAL;
    *ret_address = address;
    return 0;
}
