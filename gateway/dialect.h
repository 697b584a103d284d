/* Clients that do not speak gRPC. What they send is made gRPC's frames, and what they are told is made of such frames;
 * whoever serves an exchange sees gRPC and nothing else.
 *
 * An exchange whose client speaks gRPC has no translation, and its bytes pass through. Every other has one, with the
 * dialect that its content type (dialect.c) chose when its headers were complete:
 *
 *                      requests                          replies
 *   framed, packed     gRPC's frames as they are         the same, and the end as one more frame
 *   framed, decode     frames of the client's messages   frames of its messages, and the end as one more
 *   framed, gzip       frames that may be compressed     frames that may be, and the end as one more
 *   bare               the body is one message           status, message or error
 *
 * Memory is bounded as it is without: the client's window is opened while the server has little to take, the server's
 * while the client has; a message that has to be whole before it can be turned has a limit, and counts as buffered.
 * Loop lane. */
#pragma once

#include "gateway/base64.h"
#include "gateway/exchange.h"

#define DEFLATE_MIN       1024               /* bytes of a message that are worth it */
#define DEFLATE_MAX       (1024 * 1024)      /* the loop waits for it */
#define REPLY_MESSAGE_MAX (4 * 1024 * 1024)  /* that is turned as a whole; gRPC's own default for clients */
#define TURNED_MAX        (64 * 1024 * 1024) /* memory for turning one message */

/* What a call ends with, as gRPC says it. */
struct ending {
    struct rpc_status status;
    const nghttp2_nv *fields; /* trailers, among them gRPC's own, which dialect_is_metadata leaves out */
    size_t n;
    struct bytes message; /* bare and RPC_OK: the reply, encoded */
    struct arena *arena;
};

struct dialect {
    const char *content;           /* type of replies that are no errors */
    bool bare;                     /* the body is one message, without a frame */
    bool text;                     /* frames are in base64 */
    const char *encoding, *accept; /* headers that say whether messages are gzip, and may be; NULL: they are not */
    enum { CALLS_ANY, CALLS_UNARY, CALLS_STREAMS } calls; /* methods that may be called by it: other ones are 415 */
    /* What the headers say of the body and the deadline: fills timeout_us in. 0, or -EINVAL with the answer. */
    int (*begin)(struct exchange *x, struct answer *ret_answer);
    /* The client's message (of a bare dialect: the body) packed; NULL: it is. 0, or a negative errno with the answer;
     * what either points to is in the arena. */
    int (*decode)(struct exchange *x, struct bytes message, struct arena *arena, struct bytes *ret_message,
                  struct answer *ret_answer);
    /* And the other way round. A negative errno when the message is not what it should be. */
    int (*encode)(struct exchange *x, struct bytes message, struct arena *arena, struct bytes *ret_message);
    /* Says how the call ended; bare: all of the reply. x->state tells whether there were headers. False: it cannot be
     * said. */
    bool (*end)(struct exchange *x, const struct ending *ending);
};

struct translation {
    const struct dialect *dialect;
    int64_t timeout_us; /* that the client asks for; ACCESS_NO_TIMEOUT; -EINVAL: it is malformed */
    char *origin;       /* of the page that asks, if it is one of ours; "*": anybody's; NULL: none */
    struct pipe in;     /* of the request, not a message yet; bare: behind room for a frame's prefix */
    struct pipe back;   /* of the reply, not a message yet; bare: all of it */
    struct base64 base64;
    bool inflates;     /* messages of the request may be, of a bare one are, gzip */
    bool deflates;     /* those of the reply may be */
    size_t counted;    /* of in and back as buffered */
    uint32_t withheld; /* of the body: the client's window is not opened for them */
    uint32_t owed;     /* of the reply: the server's window is not opened for them */
    uint32_t part;     /* of a message that is not whole, at the end of what is to be said */
    uint32_t lacks;    /* bytes that are still to come of it, once its prefix is there */
    uint8_t prefix[PREFIX], n_prefix;
};

/* --- for exchange.c and access.c --- */

/* Headers are complete, and are not gRPC's. False: the request is answered. */
bool translation_begin(struct exchange *x);
/* Its method is known, and may be called. False: the request is answered. */
bool translation_fits(struct exchange *x);
void translation_finish(struct exchange *x);
/* Bytes of the body came; it ended. */
void translation_data(struct exchange *x, const uint8_t *data, size_t n);
void translation_data_end(struct exchange *x);
/* The server took of the request; and it is not wanted any more. */
void translation_request_taken(struct exchange *x);
void translation_discard(struct exchange *x);
/* What the server says: headers, bytes of frames, a message, the end as gRPC's trailers. False: the exchange has
 * failed; of the end: it cannot be said. */
void translation_head(struct exchange *x, const nghttp2_nv *nva, size_t n);
bool translation_reply(struct exchange *x, const void *data, size_t n);
bool translation_message(struct exchange *x, struct bytes message);
bool translation_end(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n);
/* The client took n bytes of the reply: how many the server may send for it. */
size_t translation_taken(struct exchange *x, size_t n);

/* --- for dialects --- */

#define DIALECT_FIELDS (2 * FIELDS_MAX)

/* The value of a request's header that is passed on, or would be; len 0: there is none. */
nghttp2_vec dialect_header(const struct exchange *x, const char *name);
/* Whether a header or trailer of the server's is metadata that clients may see. */
bool dialect_is_metadata(const nghttp2_nv *field);
nghttp2_nv dialect_field(const char *name, const char *value);
/* The reply's headers: status, content type (NULL: none), what else is to be said, at most DIALECT_FIELDS, and which
 * pages may read it (cors.c). All is copied. A body follows, or it is the whole answer. */
void dialect_head(struct exchange *x, const char *status, const char *content, const nghttp2_nv *more, size_t n,
                  bool body);
/* Headers with the whole body, as gzip if the client takes that and it is worth it. False: there is no room. */
bool dialect_answer(struct exchange *x, const char *status, const char *content, const nghttp2_nv *more, size_t n,
                    struct bytes body, struct arena *arena);
/* Sets inflates by what an encoding is called; false with the answer: by an unknown one. */
bool dialect_inflates(struct exchange *x, nghttp2_vec encoding, struct answer *ret_answer);
/* Bytes of a bare request that do not stand in its body; false: no room. */
bool dialect_ask(struct exchange *x, const void *data, size_t n);
/* Bytes of the body, in the dialect's base64 if it has that; false: there is no room. */
bool dialect_say(struct exchange *x, const void *data, size_t n);
/* A frame of the body. */
bool dialect_say_frame(struct exchange *x, uint8_t flags, struct bytes payload);
