/* Listening addresses: parsed, and tried, to tell a person what is wrong with one. */
#include "mesh/rpc/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
    char host[128];
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[';
    if (!colon || colon - text <= 2 * bracketed || (size_t)(colon - text) >= sizeof(host))
        return -EINVAL;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * bracketed, text + bracketed);

    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    memcpy(ret_address, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int address_try(const char *text)
{
    struct sockaddr_storage address;
    socklen_t len;
    int r = address_parse(text, &address, &len);
    if (r < 0)
        return r;

    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 1) < 0)
        r = -errno;
    close(fd);
    return r;
}
