/* Where Redis is: [password@]host:port[/database] or [password@]/path. */
#pragma once

struct cache_address {
    char password[128];
    char host[256]; /* or the path of a socket, which begins with / */
    char port[8];   /* "" for a socket */
    char database[8];
};

/* 0 or -EINVAL. */
int cache_address_parse(const char *text, struct cache_address *ret_address);
