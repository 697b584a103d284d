/* Addresses of sixteen bytes, and prefixes of them. */
#include "gateway/network.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MAPPED_BITS 96

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static struct address of_ipv4(const void *address)
{
    struct address source;
    memcpy(source.bytes, mapped, sizeof(mapped));
    memcpy(source.bytes + sizeof(mapped), address, 4);
    return source;
}

struct address address_of(int fd)
{
    struct address source = { 0 };
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t len = sizeof(peer);
    if (getpeername(fd, &peer.any, &len) < 0)
        return source;
    if (peer.any.sa_family == AF_INET)
        return of_ipv4(&peer.v4.sin_addr);
    if (peer.any.sa_family == AF_INET6)
        memcpy(source.bytes, &peer.v6.sin6_addr, sizeof(source.bytes));
    return source;
}

void address_format(const struct address *source, char ret_text[ADDRESS_TEXT])
{
    if (memcmp(source->bytes, mapped, sizeof(mapped)) == 0)
        inet_ntop(AF_INET, source->bytes + sizeof(mapped), ret_text, ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, source->bytes, ret_text, ADDRESS_TEXT);
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;
    return memcmp(a, b, bits / 8) == 0 && (!rest || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0);
}

bool network_has(const struct network *network, const struct address *source)
{
    return same_prefix(network->address.bytes, source->bytes, network->bits);
}

/* One to three digits, at most max. */
static int read_bits(const char *text, unsigned max)
{
    unsigned bits = 0;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 3 || text[n])
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        bits = bits * 10 + (unsigned)(text[i] - '0');
    return bits <= max ? (int)bits : -EINVAL;
}

int network_parse(const char *text, struct network *ret_network)
{
    char address[ADDRESS_TEXT];
    struct in_addr v4;
    struct network network = { 0 };
    size_t len = strcspn(text, "/");
    if (len >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, len);
    address[len] = '\0';
    bool is_v4 = inet_pton(AF_INET, address, &v4) == 1;
    if (is_v4)
        network.address = of_ipv4(&v4);
    else if (inet_pton(AF_INET6, address, network.address.bytes) != 1)
        return -EINVAL;
    int bits = text[len] ? read_bits(text + len + 1, is_v4 ? 32 : 128) : is_v4 ? 32 : 128;
    if (bits < 0)
        return bits;
    network.bits = (uint8_t)(bits + (is_v4 ? MAPPED_BITS : 0));
    for (unsigned bit = network.bits; bit < 128; bit++)
        if (network.address.bytes[bit / 8] & 0x80 >> bit % 8)
            return -EINVAL;
    *ret_network = network;
    return 0;
}
