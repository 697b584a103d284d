/* Replies over HTTP/1.1: with a length if all of the reply is there when it begins, else in chunks, or until the
 * connection ends. */
#include "gateway/h1.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK     9  /* bytes of a chunk's size, CR LF */
#define CHUNK_END 7  /* CR LF, and 0 CR LF CR LF */
#define ROOM      64 /* for one line of the reply's head */

static bool is_named(const nghttp2_nv *nv, const char *name)
{
    return nv->namelen == strlen(name) && memcmp(nv->name, name, nv->namelen) == 0;
}

/* Lines of the reply's head but for the last ones, which put_head adds. What comes from processes behind is
 * believed, but not so far that it could end a line. */
void h1_reply_head(struct h1 *h1, const nghttp2_nv *nva, size_t n, bool body)
{
    size_t room = 3 * ROOM;
    int status = 500;
    for (size_t i = 0; i < n; i++)
        room += nva[i].namelen + nva[i].valuelen + 4;
    h1->head = room < LINK_OUT / 2 ? malloc(room) : NULL;
    if (!h1->head) {
        h1->broken = true;
        return;
    }
    if (n && is_named(&nva[0], ":status") && nva[0].valuelen == 3)
        status = (nva[0].value[0] - '0') * 100 + (nva[0].value[1] - '0') * 10 + nva[0].value[2] - '0';
    char *at =
        h1->head + snprintf(h1->head, ROOM, "HTTP/1.1 %d %s\r\n", status, http_status_str((enum http_status)status));
    for (size_t i = 0; i < n; i++) {
        if (nva[i].name[0] == ':' || !nghttp2_check_header_name(nva[i].name, nva[i].namelen) ||
            !nghttp2_check_header_value(nva[i].value, nva[i].valuelen))
            continue;
        if (is_named(&nva[i], "content-length")) {
            h1->framing = LENGTH;
            h1->reply_left = strtoull((const char *)nva[i].value, NULL, 10);
        }
        at = mempcpy(at, nva[i].name, nva[i].namelen);
        at = mempcpy(at, ": ", 2);
        at = mempcpy(at, nva[i].value, nva[i].valuelen);
        at = mempcpy(at, "\r\n", 2);
    }
    if (status == 204 || status == 304) /* they have neither a body nor a length */
        h1->framing = LENGTH;
    h1->head_len = (size_t)(at - h1->head);
    h1->body = body;
}

static size_t room_in(const struct outbuf *out)
{
    return sizeof(out->data) - out->len;
}

/* The last line of the head: how long the reply is, which is known if all of it is there. */
static void put_head(struct h1 *h1, const struct exchange *x, struct outbuf *out, bool whole, size_t n)
{
    bool silent = !h1->body || h1->headers_only;
    h1_put(out, h1->head, h1->head_len);
    free(h1->head);
    h1->head = NULL;
    if (!x->call.request_ended)
        h1->keep = false;
    if (!h1->keep)
        h1_put(out, "connection: close\r\n", 19);
    if (h1->framing == UNDECIDED && (whole || !h1->body)) {
        h1->framing = LENGTH;
        h1->reply_left = n;
        out->len += (size_t)snprintf((char *)out->data + out->len, ROOM, "content-length: %zu\r\n", n);
    } else if (h1->framing == UNDECIDED) {
        h1->framing = h1->old ? TO_THE_END : CHUNKED;
        if (h1->framing == CHUNKED)
            h1_put(out, "transfer-encoding: chunked\r\n", 28);
    }
    h1_put(out, "\r\n", 2);
    if (silent)
        h1->framing = LENGTH;
}

static void put_bytes(struct h1 *h1, struct exchange *x, struct outbuf *out, size_t n)
{
    size_t before = out->len;
    if (h1->framing == LENGTH)
        h1->reply_left -= n < h1->reply_left ? n : h1->reply_left;
    if (h1->framing == CHUNKED)
        out->len += (size_t)snprintf((char *)out->data + out->len, CHUNK + 1, "%zx\r\n", n);
    exchange_take(x, out, n);
    if (h1->framing == CHUNKED)
        h1_put(out, "\r\n", 2);
    if (h1->headers_only)
        out->len = before;
}

enum h1_reply h1_reply_put(struct h1 *h1, struct exchange *x, struct outbuf *out)
{
    if (h1->head && !h1->body) {
        put_head(h1, x, out, true, 0);
        return H1_GIVEN;
    }
    size_t lines = h1->head ? h1->head_len + 3 * ROOM : 0;
    while (room_in(out) > lines + CHUNK + CHUNK_END + 4096) {
        uint32_t flags = 0;
        h1->reading = true;
        ssize_t n = exchange_read(x, room_in(out) - lines - CHUNK - CHUNK_END, &flags);
        h1->reading = false;
        if (n < 0 && n != NGHTTP2_ERR_DEFERRED)
            return H1_BROKEN;
        bool end = n >= 0 && (flags & NGHTTP2_DATA_FLAG_EOF);
        if (h1->head)
            put_head(h1, x, out, end, n > 0 ? (size_t)n : 0);
        lines = 0;
        if (n == NGHTTP2_ERR_DEFERRED)
            return H1_WAITS;
        if (n > 0)
            put_bytes(h1, x, out, (size_t)n);
        if (!end)
            continue;
        if (h1->framing == LENGTH && h1->reply_left && !h1->headers_only)
            return H1_BROKEN;
        if (h1->framing == CHUNKED)
            h1_put(out, "0\r\n\r\n", 5);
        return H1_GIVEN;
    }
    return H1_MORE;
}
