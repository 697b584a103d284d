/* What the companies outside the mesh, the card processor and the carrier, have in common.
 *
 * Each is pure logic: a request and the time go in, an answer comes out, and whatever was really done is handed to the
 * journal before there is an answer. No clocks, chance, threads or I/O, so that the processes (server.h), the
 * simulator and the tests are answered by the same code. What was told to a journal and is replayed, line by line,
 * makes the same company again; only how often somebody has asked in vain is forgotten. */
#pragma once

#include "mesh/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTSIDER_ID_MAX 128     /* keys, references, tokens: letters, digits and _ - . : */
#define OUTSIDER_MAX    8000000 /* operations, shipments or events that one company remembers */

struct answer {
    int status;
    char *body; /* JSON; the caller's, see answer_finish; NULL if there is none */
    size_t len;
    int64_t delay_us; /* it is given that much later */
    bool silent;      /* and then it is not given: the connection ends without an answer */
};
void answer_finish(struct answer *answer);
void answer_say(struct answer *ret, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void answer_error(struct answer *ret, int status, const char *code, const char *message);

/* Given one whole line, with its newline, of what is about to be done. Below zero: it cannot be kept, so it is not done
 * and the answer is 503. */
struct journal {
    int (*write)(void *arg, const char *line, size_t len); /* NULL: nothing is kept */
    void *arg;
};
int journal_line(const struct journal *journal, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replays whole lines. What follows the last newline was torn by the end of a process before it was answered: *ret_len
 * is where to cut. 0, or what a replay returned for a line that it does not understand (-EBADMSG). */
int outsider_replay(struct bytes book, int (*replay)(void *company, struct bytes line), void *company, size_t *ret_len);

/* Whether it is one to OUTSIDER_ID_MAX letters, digits and _ - . : and so needs no escape anywhere. */
bool outsider_is_id(const char *text);
/* What follows prefix in the path, up to a query; NULL if there is another prefix or nothing. */
const char *outsider_path_id(const char *path, const char *prefix, char ret_id[OUTSIDER_ID_MAX + 1]);
/* Whether the path, up to a query, is this one. */
bool outsider_path_is(const char *path, const char *wanted);
