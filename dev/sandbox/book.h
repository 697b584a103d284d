/* The book on disk: lines of JSON in a file that only grows. A line is in the file before its deed is answered, so the
 * end of a process loses nothing of it; the end of the machine only with fsync. One thread; one process at a time. */
#pragma once

#include "dev/sandbox/outsider.h"

struct book;

/* Replays what is there, and cuts off a torn end. 0; -EBUSY: another process has it; -EBADMSG: a line makes no sense;
 * or another negative errno. */
int book_open(const char *path, bool fsync, int (*replay)(void *company, struct bytes line), void *company,
              struct book **ret_book);
void book_close(struct book *book); /* takes NULL */
/* For the company; a line that cannot be written whole is taken back. */
int book_write(void *book, const char *line, size_t len);
/* All its lines so far: a descriptor of its own, the caller's, and how long it is. */
int book_read(const struct book *book, uint64_t *ret_len);
