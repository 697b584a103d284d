/* host:port as people write it, [::1]:7001 included. */
#pragma once

#include <sys/socket.h>

/* The first address of it. 0; -EINVAL: no host:port; -EADDRNOTAVAIL: no such host. */
int address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len);
/* Whether one could listen there now: 0, -EADDRINUSE, -EACCES and the like. */
int address_try(const char *text);
