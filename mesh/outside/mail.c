/* A fetch that hands in a mail. In libuv's threads, as curl waits on its thread for a mail server's last word. */
#include "mesh/base/say.h"
#include "mesh/outside/inner.h"
#include "mesh/outside/libcurl.h"

#include "mesh/run/timers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#define MAILBOX_MAX  320
#define WORD_MAX_S   30L /* a server's word; after a refusal curl waits for one more, beyond the time of the fetch */
#define UPLOAD_BYTES (16L << 10)

/* A handle of curl and the mail it carries. The mail is a copy: its fetch may be told the end before. */
struct postman {
    uv_work_t work;
    struct peer *peer;
    struct errand *errand; /* NULL: abandoned */
    atomic_bool abandoned;
    CURL *easy;
    CURLcode code;
    int64_t deadline_us;
    char from[MAILBOX_MAX + 1], to[MAILBOX_MAX + 1];
    struct curl_slist recipient;
    uint8_t *text;
    size_t len, sent;
    struct postman *next;
};

static size_t on_text(char *data, size_t size, size_t n, void *arg)
{
    struct postman *p = arg;
    size_t left = p->len - p->sent, take = left < size * n ? left : size * n;
    memcpy(data, p->text + p->sent, take);
    p->sent += take;
    return take;
}

static size_t on_word(char *data, size_t size, size_t n, void *arg)
{
    return size * n;
}

/* At least once a second. */
static int on_progress(void *arg, curl_off_t in_all, curl_off_t in, curl_off_t out_all, curl_off_t out)
{
    return atomic_load(&((struct postman *)arg)->abandoned);
}

static struct postman *make(struct peer *peer)
{
    struct postman *p = calloc(1, sizeof(*p));
    CURL *easy = p ? libcurl_easy("smtp,smtps") : NULL;
    if (!easy) {
        free(p);
        return NULL;
    }
    p->peer = peer;
    p->easy = easy;
    p->recipient.data = p->to;
    libcurl.easy_setopt(easy, CURLOPT_URL, peer->base);
    libcurl.easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, WORD_MAX_S);
    libcurl.easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    libcurl.easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
    libcurl.easy_setopt(easy, CURLOPT_READFUNCTION, on_text);
    libcurl.easy_setopt(easy, CURLOPT_READDATA, p);
    libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_word);
    libcurl.easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    libcurl.easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    libcurl.easy_setopt(easy, CURLOPT_XFERINFODATA, p);
    return p;
}

/* curl would say QUIT and wait for what is said to that. */
static void hang_up(struct postman *p)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (libcurl.easy_getinfo(p->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
        shutdown(fd, SHUT_RDWR);
}

static void postman_free(struct postman *p)
{
    hang_up(p);
    libcurl.easy_cleanup(p->easy);
    free(p->text);
    free(p);
}

static struct postman *take(struct peer *peer)
{
    struct postman *p = peer->idle;
    if (!p)
        return make(peer);
    peer->idle = p->next;
    return p;
}

static void give_back(struct postman *p)
{
    struct peer *peer = p->peer;
    free(p->text);
    p->text = NULL;
    p->next = peer->idle;
    peer->idle = p;
}

void mail_close(struct peer *peer)
{
    while (peer->idle)
        postman_free(take(peer));
}

static void run_mail(uv_work_t *work)
{
    struct postman *p = (struct postman *)work;
    int64_t left_us = p->deadline_us - timers_now_us();
    p->code = CURLE_OPERATION_TIMEDOUT;
    if (left_us <= 0 || atomic_load(&p->abandoned))
        return;
    libcurl.easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)((left_us + 999) / 1000));
    libcurl.easy_setopt(p->easy, CURLOPT_MAIL_FROM, p->from);
    libcurl.easy_setopt(p->easy, CURLOPT_MAIL_RCPT, &p->recipient);
    libcurl.easy_setopt(p->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)p->len);
    p->code = libcurl.easy_perform(p->easy);
}

/* What a server says no to is an answer: 550 … 554 are about this mail (RFC 5321, 4.2.3), unless they are its greeting;
 * other codes are about the server, and may pass. 0: there is no answer. */
static int status_of(const struct postman *p)
{
    long said = 0;
    libcurl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &said);
    bool greeting = p->code == CURLE_WEIRD_SERVER_REPLY && p->sent == 0;
    if (p->code == CURLE_OK)
        return 200;
    if (p->code == CURLE_OPERATION_TIMEDOUT || said < 400)
        return 0;
    return said >= 550 && said <= 554 && !greeting ? 400 : 503;
}

static void mail_over(uv_work_t *work, int cancelled)
{
    struct postman *p = (struct postman *)work;
    struct errand *errand = p->errand;
    if (!errand)
        return postman_free(p);
    int status = status_of(p), result = status ? 0 : libcurl_result(p->peer, p->code);
    give_back(p);
    errand_end(errand, result, status, (struct bytes){ (const uint8_t *)"", 0 });
}

static bool is_mailbox(const char *text)
{
    return text && outside_is_plain(text, MAILBOX_MAX) && !strpbrk(text, "<>");
}

int mail_begin(struct errand *errand, int64_t left_us)
{
    const struct fetch *fetch = errand->fetch;
    if (!is_mailbox(fetch->mail_from) || !is_mailbox(fetch->mail_to)) {
        say(SAY_ERROR, NULL, "a mail has no envelope", SAY_T("peer", errand->peer->name));
        return -EIO;
    }
    struct postman *p = take(errand->peer);
    uint8_t *text = p ? malloc(fetch->body.len + 1) : NULL;
    if (!text) {
        if (p)
            give_back(p);
        return -EIO;
    }
    if (fetch->body.len)
        memcpy(text, fetch->body.data, fetch->body.len);
    snprintf(p->from, sizeof(p->from), "%s", fetch->mail_from);
    snprintf(p->to, sizeof(p->to), "%s", fetch->mail_to);
    p->text = text;
    p->len = fetch->body.len;
    p->sent = 0;
    p->deadline_us = errand->deadline_us;
    p->errand = errand;
    errand->work = p;
    return uv_queue_work(errand->peer->outside->loop, &p->work, run_mail, mail_over);
}

void mail_abandon(struct errand *errand)
{
    struct postman *p = errand->work;
    p->errand = NULL;
    atomic_store(&p->abandoned, true);
    uv_cancel((uv_req_t *)&p->work);
}
