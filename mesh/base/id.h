/* Ids that people can read and databases can cluster by: a prefix and 26 characters of
 * Crockford base32, 48 bits of milliseconds first, then 80 bits of chance (the ULID layout),
 * such as ord_01hf3k9v2m8q4w6x0c5r7t1n3p. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ID_MAX 40 /* with its NUL */

struct port;

/* ret_id gets prefix, '_' and 26 characters. The prefix has at most 8. Any lane. */
void id_make(struct port *port, const char *prefix, char ret_id[ID_MAX]);
/* The same for the same prefix, time and text, instead of chance: for what is known by a number elsewhere, so that it
 * has its id again when we have forgotten it. 0, or -ENOMEM. */
int id_derive(const char *prefix, int64_t time_us, const char *text, char ret_id[ID_MAX]);
/* The time inside an id, a ULID or a UUIDv7, in milliseconds; -1 if it holds none (a UUIDv4, any other text). */
int64_t id_time_ms(const char *id);
