/* A byte connection on the loop, TCP or TLS over TCP: what an HTTP/2 session reads from and writes to.
 *
 * What is to be sent is collected for a whole turn of the loop and written at once: whoever has something calls
 * link_wake, and between two polls the reactor asks every woken link's output. Everything here belongs to the loop
 * lane. */
#pragma once

#include "gateway/wheel.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#define LINK_IN  (64 * 1024) /* the most that is read at once */
#define LINK_OUT (96 * 1024) /* the most that is written at once */

struct link;

struct outbuf {
    uint8_t data[LINK_OUT];
    size_t len;
    bool full; /* there was more, but no room */
};

/* The loop as links share it: buffers, timers, and who has something to send. */
struct reactor {
    uv_loop_t *loop;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_idle_t again; /* runs while some link was left unfinished for the sake of the others */
    struct wheel wheel;
    struct link *woken, *later, *dead;
    size_t n_links; /* whose memory is not gone yet */
    uint8_t in[LINK_IN];
    struct outbuf out;
    void (*closed)(void *arg);
    void *closed_arg;
    int closing; /* handles */
};

void reactor_init(struct reactor *reactor, uv_loop_t *loop);
/* No link may be left. closed(arg) when nothing of it is left either. */
void reactor_finish(struct reactor *reactor, void (*closed)(void *arg), void *arg);

struct link_ops {
    /* The connection is made and, with TLS, the handshake is done. */
    void (*ready)(struct link *link);
    /* Bytes came; 0, or a negative errno that ends the link. */
    int (*input)(struct link *link, const uint8_t *data, size_t n);
    /* Appends what is to be sent, as far as there is room. 0: that was all; 1: there is more; a negative errno ends
     * the link. */
    int (*output)(struct link *link, struct outbuf *out);
    /* The connection is over, why as a negative errno (0: link_close). Once, never inside another callback. */
    void (*down)(struct link *link, int why);
    /* After down: nothing refers to the link any more and its memory may go. */
    void (*gone)(struct link *link);
};

/* PARTING: everything is said, and what the peer still says is dropped until it hangs up. */
enum link_state { LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN, LINK_PARTING, LINK_CLOSED };

/* Embedded in what uses it. */
struct link {
    struct reactor *reactor;
    const struct link_ops *ops;
    SSL *ssl;
    uv_poll_t poll;
    int fd, why;
    enum link_state state;
    uint8_t events;   /* what is polled for */
    bool woken;       /* in the reactor's list woken or later */
    bool unread;      /* bytes may wait inside the TLS layer */
    bool finishing;   /* close once everything is written */
    bool patient;     /* and only when the peer has hung up, too */
    bool paused;      /* do not read */
    bool deaf;        /* do not read while writing is blocked: for peers that may be hostile */
    uint8_t *backlog; /* what the kernel did not take */
    size_t backlog_len, backlog_at;
    uint64_t written; /* bytes, in all */
    struct link *next;
    struct link *next_dead;
};

/* Takes over the socket, which must be non-blocking; with ssl (taken over too) it does the handshake first. 0 or a
 * negative errno, and then fd and ssl are closed and no callback will come. */
int link_accept(struct link *link, struct reactor *reactor, const struct link_ops *ops, int fd, SSL *ssl);
int link_connect(struct link *link, struct reactor *reactor, const struct link_ops *ops, const struct sockaddr *address,
                 SSL *ssl);
void link_wake(struct link *link);
void link_close(struct link *link, int why);
/* Sends what there is, then closes. */
void link_finish(struct link *link);
/* The same for a peer that may still be sending: closed at once, what was sent last might be taken back by a reset (RFC
 * 9112, 9.6). Whoever asks for it has an alarm that closes the link if the peer does not. */
void link_part(struct link *link);
/* Stops reading, and goes on. A peer that hangs up is noticed all the same. */
void link_pause(struct link *link, bool paused);
