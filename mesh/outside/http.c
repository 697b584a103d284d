/* A fetch over HTTP: one handle of curl, used again and again for the same peer. */
#include "mesh/base/say.h"
#include "mesh/outside/inner.h"
#include "mesh/outside/libcurl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX   2048
#define KEY_MAX   256
#define VERB_MAX  16
#define ROOM_KEPT (16 << 10) /* of an answer, for the next one */

struct transfer {
    struct peer *peer;
    struct errand *errand; /* NULL: idle */
    CURL *easy;
    uint8_t *body;
    size_t len, room;
    bool too_large;
    char url[URL_MAX], key[KEY_MAX + 32];
    struct curl_slist headers[2]; /* ours, so that no list is made */
    struct transfer *next;
};

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    t->too_large = n > OUTSIDE_ANSWER_MAX - t->len;
    if (t->too_large)
        return 0;
    if (t->len + n > t->room) {
        size_t room = 2 * (t->len + n);
        uint8_t *body = realloc(t->body, room);
        if (!body)
            return 0;
        t->body = body;
        t->room = room;
    }
    memcpy(t->body + t->len, data, n);
    t->len += n;
    return n;
}

static struct transfer *make(struct peer *peer)
{
    struct transfer *t = calloc(1, sizeof(*t));
    CURL *easy = t ? libcurl_easy("http,https") : NULL;
    if (!easy) {
        free(t);
        return NULL;
    }
    t->peer = peer;
    t->easy = easy;
    t->headers[0].data = t->key;
    t->headers[1].data = "Content-Type: application/json";
    libcurl.easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    libcurl.easy_setopt(easy, CURLOPT_USERAGENT, "ordermesh/" ORDERMESH_VERSION);
    libcurl.easy_setopt(easy, CURLOPT_PRIVATE, t);
    libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    libcurl.easy_setopt(easy, CURLOPT_WRITEDATA, t);
    return t;
}

static struct transfer *take(struct peer *peer)
{
    struct transfer *t = peer->idle;
    if (!t)
        return make(peer);
    peer->idle = t->next;
    return t;
}

static void give_back(struct transfer *t)
{
    t->errand = NULL;
    if (t->room > ROOM_KEPT) {
        free(t->body);
        t->body = NULL;
        t->room = 0;
    }
    t->next = t->peer->idle;
    t->peer->idle = t;
}

void http_close(struct peer *peer)
{
    while (peer->idle) {
        struct transfer *t = peer->idle;
        peer->idle = t->next;
        libcurl.easy_cleanup(t->easy);
        free(t->body);
        free(t);
    }
}

/* Nothing that could end a line or a word: all of it is put into a protocol of lines. */
static bool sayable(const struct fetch *fetch)
{
    return fetch->path[0] == '/' && outside_is_plain(fetch->path, URL_MAX) && outside_is_plain(fetch->verb, VERB_MAX) &&
           (!fetch->idempotency_key || outside_is_plain(fetch->idempotency_key, KEY_MAX));
}

static bool prepare(struct transfer *t, const struct fetch *fetch)
{
    CURL *easy = t->easy;
    bool keyed = fetch->idempotency_key != NULL, get = strcmp(fetch->verb, "GET") == 0;
    bool has_body = !get && fetch->body.len > 0;
    int n = sayable(fetch) ? snprintf(t->url, sizeof(t->url), "%s%s", t->peer->base, fetch->path) : -1;
    if (n < 0 || (size_t)n >= sizeof(t->url))
        return false;
    if (keyed)
        snprintf(t->key, sizeof(t->key), "Idempotency-Key: %s", fetch->idempotency_key);

    t->headers[0].next = has_body ? &t->headers[1] : NULL;
    libcurl.easy_setopt(easy, CURLOPT_URL, t->url);
    libcurl.easy_setopt(easy, CURLOPT_HTTPHEADER, keyed ? &t->headers[0] : t->headers[0].next);
    if (has_body) {
        libcurl.easy_setopt(easy, CURLOPT_POST, 1L);
        libcurl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body.len);
        libcurl.easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)fetch->body.data);
    } else {
        libcurl.easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    bool by_itself = get || (has_body && strcmp(fetch->verb, "POST") == 0);
    libcurl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, by_itself ? NULL : fetch->verb);
    return true;
}

int http_begin(struct errand *errand, int64_t left_us)
{
    struct outside *outside = errand->peer->outside;
    if (!outside->multi && multi_create(outside->loop, &outside->multi) < 0)
        return -EIO;
    struct transfer *t = take(errand->peer);
    if (!t)
        return -EIO;
    t->errand = errand;
    t->len = 0;
    t->too_large = false;
    errand->work = t;
    bool prepared = prepare(t, errand->fetch);
    if (!prepared)
        say(SAY_ERROR, NULL, "a fetch cannot be said", SAY_T("peer", errand->peer->name));
    libcurl.easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)((left_us + 999) / 1000));
    if (prepared && multi_add(outside->multi, t->easy) == 0)
        return 0;
    give_back(t);
    return -EIO;
}

void http_abandon(struct errand *errand)
{
    struct transfer *t = errand->work;
    multi_remove(errand->peer->outside->multi, t->easy);
    give_back(t);
}

void http_over(struct transfer *t, int curl_code)
{
    long status = 0;
    struct bytes body = { (const uint8_t *)"", 0 };
    int result = t->too_large ? -EMSGSIZE : libcurl_result(t->peer, (CURLcode)curl_code);
    if (result == 0)
        libcurl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result == 0 && t->len > 0)
        body = (struct bytes){ t->body, t->len };
    errand_end(t->errand, result, (int)status, body);
    give_back(t);
}
