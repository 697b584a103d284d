/* How a mail is written: RFC 5322 (headers, addresses), RFC 2047 (what is not ASCII in a header), RFC 2045 (a text
 * body).
 *
 * Whatever the texts hold, no function makes a line end that was not meant: controls in headers become spaces. All
 * results are in the arena; NULL once its budget is spent. Texts are UTF-8. */
#pragma once

#include "mesh/base/arena.h"

/* An address that can be put into an envelope and a header as it is: one @, printable ASCII, no special characters. */
bool mime_is_address(const char *text);
/* A header's text, such as a subject: as it is, or as encoded words on lines of their own. */
char *mime_words(struct arena *arena, const char *text);
/* "Ann Lee" <ann@example.org>, or the address alone if there is no name. */
char *mime_mailbox(struct arena *arena, const char *name, const char *address);
/* Wed, 25 Nov 2026 09:41:00 +0000 */
char *mime_date(struct arena *arena, int64_t time_us);
/* Quoted-printable; lines of the text end with \n, those of the result with \r\n. */
char *mime_quoted_printable(struct arena *arena, const char *text);
