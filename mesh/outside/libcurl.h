/* libcurl, loaded by the first fetch that needs it: it brings 27 libraries, 4 MB and 5 ms, which a process that never
 * fetches shall not pay. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

struct peer;

/* The functions that are used, without their prefix: libcurl.easy_init() is curl_easy_init(). */
#define LIBCURL_FUNCTIONS(F) \
    F(global_init) \
    F(easy_init) \
    F(easy_setopt) \
    F(easy_getinfo) \
    F(easy_perform) \
    F(easy_strerror) \
    F(easy_cleanup) \
    F(multi_init) \
    F(multi_setopt) \
    F(multi_add_handle) \
    F(multi_remove_handle) \
    F(multi_socket_action) \
    F(multi_info_read) \
    F(multi_cleanup)

struct libcurl {
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
    LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};
extern struct libcurl libcurl;

/* Loop lane. False: it is not there, which was said. */
bool libcurl_load(void);
/* A new handle with what all of them are told; NULL: no memory, or libcurl_load is false. Loop lane. */
CURL *libcurl_easy(const char *protocols);
/* 0, or what fetch->done is told. */
int libcurl_result(const struct peer *peer, CURLcode code);
