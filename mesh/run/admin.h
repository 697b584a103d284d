/* The admin port of a process, HTTP/1.1 for probes and Prometheus: /healthz and /metrics. */
#pragma once

#include <stdbool.h>

struct admin;

/* healthy is asked on a thread of its own. listen_on is host:port, port 0 picks one. 0 or a negative errno after one
 * clear line. */
int admin_create(const char *listen_on, bool (*healthy)(void *arg), void *arg, struct admin **ret_admin);
int admin_port(const struct admin *admin);
void admin_destroy(struct admin *admin); /* NULL is harmless */
