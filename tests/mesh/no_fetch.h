/* The fetch of ports that know nobody outside: each ends with -ENOSYS. */
#pragma once

#include "mesh/port.h"

void no_fetch(struct port *port, struct fetch *fetch);
