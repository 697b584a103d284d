/* Loading libcurl, what every handle is told, and what its results mean. */
#include "mesh/outside/libcurl.h"

#include "mesh/base/say.h"
#include "mesh/outside/inner.h"

#include <dlfcn.h>
#include <errno.h>

#define BUFFER_BYTES (16L << 10) /* a larger answer comes in pieces */

struct libcurl libcurl;

bool libcurl_load(void)
{
    static void *library;
    if (library)
        return true;
    library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    bool complete = library != NULL;
#define LOAD(name) complete = complete && (libcurl.name = (__typeof__(libcurl.name))dlsym(library, "curl_" #name));
    LIBCURL_FUNCTIONS(LOAD)
#undef LOAD
    if (complete && libcurl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        return true;
    say(SAY_ERROR, NULL, "libcurl cannot be used", SAY_T("error", complete ? "it does not start" : dlerror()));
    if (library)
        dlclose(library);
    library = NULL;
    return false;
}

CURL *libcurl_easy(const char *protocols)
{
    CURL *easy = libcurl_load() ? libcurl.easy_init() : NULL;
    if (!easy)
        return NULL;
    libcurl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
    libcurl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    libcurl.easy_setopt(easy, CURLOPT_NOPROXY, "*");
    libcurl.easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    libcurl.easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    return easy;
}

int libcurl_result(const struct peer *peer, CURLcode code)
{
    static const struct {
        CURLcode code;
        int result;
    } results[] = {
        { CURLE_OK, 0 },
        { CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
        { CURLE_COULDNT_CONNECT, -ECONNREFUSED },
        { CURLE_COULDNT_RESOLVE_HOST, -ECONNREFUSED },
        { CURLE_SEND_ERROR, -ECONNRESET },
        { CURLE_RECV_ERROR, -ECONNRESET },
        { CURLE_GOT_NOTHING, -ECONNRESET },
        { CURLE_PARTIAL_FILE, -ECONNRESET },
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (results[i].code == code)
            return results[i].result;
    say(SAY_WARN, NULL, "a fetch failed", SAY_T("peer", peer->name), SAY_T("error", libcurl.easy_strerror(code)));
    return -EIO;
}
