/* The head of an HTTP/1.1 request (RFC 9112), read as strictly as it is written: whatever two readers could understand
 * differently is refused, because that is how requests are smuggled past whoever stands before us. */
#pragma once

#include "gateway/h2.h"

#define H1_LINES_MAX (FIELDS_MAX + 16) /* header lines: those that are passed on, and those that are not */

/* What is answered instead: a status, and a sentence for people. */
struct h1_refusal {
    const char *status; /* three digits */
    const char *text;   /* static */
};

struct h1_head {
    nghttp2_nv fields[4 + H1_LINES_MAX]; /* as mint_head takes them; they point into the text */
    size_t n;
    uint64_t length; /* of the body, unless it is chunked */
    bool chunked;
    bool keep_alive;   /* the client would send more on this connection */
    bool old;          /* HTTP/1.0 */
    bool expects;      /* 100-continue */
    bool headers_only; /* the method is HEAD: the answer has no body */
    bool grpc;         /* gRPC itself, which needs HTTP/2 */
};

/* Where the head ends that begins at data: > 0; 0: not within n bytes, and *line is where the next call goes on from
 * (at first 0); -EPROTO: there is a line that does not end in CR LF, or goes on in the next. */
ssize_t h1_head_end(const uint8_t *data, size_t n, size_t *line);
/* A whole head; names are put into lower case in place. False with the refusal. */
bool h1_head_read(uint8_t *text, size_t len, bool encrypted, struct h1_head *ret_head, struct h1_refusal *ret_refusal);
