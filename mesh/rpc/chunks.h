/* A client's stream: each of its messages is a chunk, carried out as a call of its own - decoded, checked, one unit,
 * remembered under its request id - and acknowledged by one message after its commit, in the order the chunks came in.
 *
 * At most CHUNKS_AHEAD chunks are read and not acknowledged yet, so that a client that does not listen is not listened
 * to either. The first chunk that fails ends the stream with its status, after the acknowledgements before it; what
 * came behind it may have been carried out all the same, and has the same answer when it is sent again. A process that
 * drains reads no more, acknowledges what it has taken, and ends the stream with UNAVAILABLE, reason DRAINING.
 *
 * All of it on the rpc lane. */
#pragma once

#include "mesh/rpc/dispatch.h"

#define CHUNKS_AHEAD 4u
#define CHUNKS_OPEN  32u /* streams in one dispatcher; more are RESOURCE_EXHAUSTED */

struct chunks;

/* How the other side is told; data is rpc_begin's transport_data. Each may come within the functions below. */
struct chunks_transport {
    void (*receive)(void *data);                /* one at a time: the next message, to chunks_received */
    void (*send)(void *data, struct bytes ack); /* one at a time, valid until chunks_writable */
    void (*finish)(void *data, const struct rpc_status *status); /* the end; the status is valid during the call */
};

/* Always ends in transport->finish, if need be at once: for whom may not call this, when too many are open, while the
 * process drains. begin's method must outlive the stream; it has no request, and its transport is not looked at. */
struct chunks *chunks_begin(struct dispatch *d, const struct chunks_transport *transport,
                            const struct rpc_begin *begin);
void chunks_received(struct chunks *s, const struct bytes *message); /* NULL: the client has said everything */
void chunks_writable(struct chunks *s);                              /* another acknowledgement can be sent */
void chunks_cancel(struct chunks *s); /* the client is gone or the deadline has passed: finish comes within */
/* Once, after finish, when the transport does not touch it any more. */
void chunks_release(struct chunks *s);
