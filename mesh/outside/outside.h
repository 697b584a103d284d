/* Whoever is outside the mesh: card processors, carriers and a collector of traces over HTTP/1.1, mail servers,
 * folders; what is behind port->fetch in a real process (mesh/run/real.c).
 *
 * Peers are given by their addresses:
 *
 * - http://host:port[/base], https://…: verified by the system's CAs; the path of a fetch is put behind the base.
 *
 * - smtp://host[:port], smtps://…: PUT hands in a mail, whose lines end with CRLF. What the server refuses for good is
 *   status 400, what it refuses for now 503.
 *
 * - file:///folder: PUT makes the file of that name or puts another in its place, whole and synced: nobody sees half of
 *   one. Other verbs are status 405.
 *
 * Connections are kept and used again; redirects are not followed; proxies of the environment are not used. libcurl is
 * started by the first fetch that needs it. */
#pragma once

#include "mesh/port.h"

struct outside;
struct uv_loop_s;

#define OUTSIDE_PEERS_MAX 16
/* Fetches under way with one peer; more wait, in their own time. */
#define OUTSIDE_CONNECTIONS_MAX 256 /* HTTP */
#define OUTSIDE_MAILS_MAX       4   /* as many as libuv has threads */
#define OUTSIDE_FILES_MAX       64
#define OUTSIDE_ANSWER_MAX      (1 << 20) /* bytes */

/* peers: "processor=http://127.0.0.1:7601,mail=file:///var/spool/mails", or "". Folders are made, but not what they lie
 * in. 0; -EINVAL after one clear line; -ENOMEM. */
int outside_create(struct uv_loop_s *loop, const char *peers, struct outside **ret_outside);
/* Whether somebody said where that is. */
bool outside_knows(const struct outside *outside, const char *peer);
/* Loop lane. done may be called inside. */
void outside_submit(struct outside *outside, struct fetch *fetch);
/* Loop lane. What is under way, and all that is submitted later, ends with -ECONNRESET. */
void outside_stop(struct outside *outside);
/* Stops. The loop must run once more, to close its handles. Takes NULL. */
void outside_destroy(struct outside *outside);
