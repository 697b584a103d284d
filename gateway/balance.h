/* The processes behind: where they are, which of them are well, and which gets the next call. Loop lane. */
#pragma once

#include "gateway/upstream.h"

struct gateway;
struct balance;

/* peers: "svc-order=127.0.0.1:7101+127.0.0.1:7111,svc-inventory=dns:///inventory:7102". Names are looked up again every
 * ten seconds, and when a connection is lost. Every endpoint gets one connection, which is kept; it is used while its
 * health service says SERVING. context: mutual TLS, NULL: cleartext; taken over. NULL after one clear line. */
struct balance *balance_create(struct gateway *gateway, const char *peers, SSL_CTX *context);
/* Closes all connections; the loop must run until they are closed. NULL is harmless. */
void balance_destroy(struct balance *balance);
/* For connections to come. */
void balance_context(struct balance *balance, SSL_CTX *context);
/* Of two healthy connections to the process, chosen by chance, the one on which one more call would have to wait less,
 * by what is under way, and what replies took lately. Not the one to be avoided, and none that was put aside, unless
 * there is no other. NULL: there is none. */
struct upstream *balance_pick(struct balance *balance, int process, const void *avoid);
/* A reply took so long, which is usually usual_us. */
void balance_heard(struct upstream *upstream, int64_t took_us, int64_t usual_us, int64_t now_us);
/* A call has ended; failed: as if the endpoint were broken. One that fails again and again is put aside for a while,
 * but never more than half of those of its process. */
void balance_judge(struct upstream *upstream, bool failed, int64_t now_us);
/* Whether the process has a healthy connection. */
bool balance_well(const struct balance *balance, int process);
/* How many healthy connections it has. */
size_t balance_count(const struct balance *balance, int process);
bool balance_all_well(const struct balance *balance);
bool balance_encrypted(const struct balance *balance);
/* Called whenever the health of a process changes. */
void balance_on_change(struct balance *balance, void (*changed)(void *arg), void *arg);
