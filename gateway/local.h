/* What the gateway answers itself: health and reflection, for everything that is behind it. Loop lane. */
#pragma once

#include "gateway/exchange.h"

extern const struct server local_check, local_watch, local_reflect;

/* NULL: no memory. */
struct local *local_create(struct gateway *gateway);
void local_destroy(struct local *local); /* NULL is harmless; no exchange may be left */
/* Health has changed: watches are told. */
void local_changed(struct local *local);
/* Ends the streams that would last for ever. */
void local_leave(struct local *local);
