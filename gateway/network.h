/* Where a connection comes from, and networks that it may be in: IPv4 as IPv6 has it (RFC 4291, 2.5.5.2), so that there
 * is one kind of address. */
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

struct address {
    uint8_t bytes[16];
};

#define ADDRESS_TEXT INET6_ADDRSTRLEN

struct network {
    struct address address;
    uint8_t bits; /* of 128 */
};

/* Of the other end of a socket; all zeroes if it has none. */
struct address address_of(int fd);
/* "192.0.2.7" or "2001:db8::1". */
void address_format(const struct address *source, char ret_text[ADDRESS_TEXT]);
/* "192.0.2.0/24", "2001:db8::/32" or one address. What is behind the bits must be zero. 0 or -EINVAL. */
int network_parse(const char *text, struct network *ret_network);
bool network_has(const struct network *network, const struct address *source);
