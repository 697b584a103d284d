/* What people and scripts see: tables, JSON, errors, a progress line. */
#pragma once

#include "omsctl/cli.h"
#include "omsctl/text.h"

/* --- tables: rows are kept until shown, so that columns fit. A head that begins with '>' is aligned right --- */
struct table;
struct table *table_create(const char *const *heads); /* ends with NULL */
/* As many texts as there are heads, copied; NULL is empty. */
void table_row(struct table *table, const char *const *cells);
#define TABLE_ROW(table, ...) table_row(table, (const char *const[]){ __VA_ARGS__ })
/* Prints it to stdout and frees it. An empty one says `nothing`, if that is not NULL. Takes NULL. */
void table_show(struct table *table, const char *nothing);
/* The same as one JSON document: an array of objects, named by the heads. */
void table_show_json(struct table *table);

/* --- JSON, as protobuf maps it, on stdout: a document, or a line of a stream --- */
struct json_t;
struct json_t *message_json(const ProtobufCMessage *message); /* a new reference; NULL if it cannot be shown */
void show_message(const ProtobufCMessage *message);
void show_message_line(const ProtobufCMessage *message);
void show_json(struct json_t *json); /* takes the reference */

/* --- the end of a call that did not end well: code, reason, message, violated fields, on stderr --- */
/* Returns CTL_REFUSED or CTL_UNREACHED. */
int show_status(struct ctl *ctl, const struct rpc_status *status);
/* CTL_OK, CTL_REFUSED or CTL_UNREACHED. */
int exit_of(enum rpc_code code);
/* "CODE REASON: message (field: what is wrong; …)" in the arena. */
const char *status_line(struct arena *arena, const struct rpc_status *status);

/* --- progress of long work on stderr: one line that changes on a terminal, else a line now and then --- */
struct progress {
    const char *what; /* "orders" */
    size_t total /* 0: nobody knows */, done, refused;
    int64_t start_us, shown_us;
    bool terminal;
};
void progress_start(struct progress *progress, const char *what, size_t total);
void progress_step(struct progress *progress, bool refused);
void progress_add(struct progress *progress, size_t done);
void progress_end(struct progress *progress);
