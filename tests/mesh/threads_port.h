/* A port of real threads for tests: one a lane, the machine's clocks and chance; timers that never
 * fire, no calls or cache, and nobody outside. */
#pragma once

#include "mesh/port.h"

struct port *threads_port_create(void);
/* Waits until no lane has anything left to do; not on a lane. */
void threads_port_settle(struct port *port);
/* Settles, then ends the threads. Takes NULL. */
void threads_port_destroy(struct port *port);
