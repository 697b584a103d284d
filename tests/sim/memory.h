/* What SQLite allocates in the simulator, which is one thread: before SQLite is used; later it is refused, and
 * harmless. Under ASan nothing is changed, so that it sees each block. */
#pragma once

void memory_init(void);
