/* Tables, JSON and errors as people and scripts read them. */
#include "omsctl/show.h"

#include "mesh/rpc/schema.h"

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
    const char *const *heads;
    size_t columns, n, room;
    char **cells;
};

struct table *table_create(const char *const *heads)
{
    struct table *table = calloc(1, sizeof(*table));
    if (!table)
        abort();
    table->heads = heads;
    while (heads[table->columns])
        table->columns++;
    return table;
}

void table_row(struct table *table, const char *const *cells)
{
    if (table->n == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->cells = realloc(table->cells, table->room * table->columns * sizeof(char *));
        if (!table->cells)
            abort();
    }
    for (size_t i = 0; i < table->columns; i++)
        table->cells[table->n * table->columns + i] = strdup(cells[i] ? cells[i] : "");
    table->n++;
}

static void table_destroy(struct table *table)
{
    for (size_t i = 0; i < table->n * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

/* Characters, not bytes: what UTF-8 continues does not count. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

/* Control characters of what others wrote must not reach the terminal. */
static void put_clean(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
}

static void put_cell(const char *text, int width, bool right, bool last)
{
    int pad = width - width_of(text);
    if (right)
        printf("%*s", pad, "");
    put_clean(text);
    if (!right && !last)
        printf("%*s", pad, "");
    fputs(last ? "\n" : "  ", stdout);
}

void table_show(struct table *table, const char *nothing)
{
    if (!table)
        return;
    if (table->n == 0 && nothing)
        puts(nothing);
    int *widths = calloc(table->columns, sizeof(*widths));
    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = width_of(table->heads[c] + (table->heads[c][0] == '>'));
        for (size_t r = 0; r < table->n; r++) {
            int width = width_of(table->cells[r * table->columns + c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t c = 0; c < table->columns && table->n; c++) {
        bool right = table->heads[c][0] == '>';
        put_cell(table->heads[c] + right, widths[c], right, c + 1 == table->columns);
    }
    for (size_t i = 0; i < table->n * table->columns; i++) {
        size_t c = i % table->columns;
        put_cell(table->cells[i], widths[c], table->heads[c][0] == '>', c + 1 == table->columns);
    }
    free(widths);
    table_destroy(table);
}

void table_show_json(struct table *table)
{
    json_t *rows = json_array();
    for (size_t r = 0; r < table->n; r++) {
        json_t *row = json_object();
        for (size_t c = 0; c < table->columns; c++) {
            char name[64];
            snprintf(name, sizeof(name), "%s", table->heads[c] + (table->heads[c][0] == '>'));
            for (char *at = name; *at; at++)
                *at = (char)tolower(*at);
            json_object_set_new(row, name, json_string(table->cells[r * table->columns + c]));
        }
        json_array_append_new(rows, row);
    }
    show_json(rows);
    table_destroy(table);
}

struct json_t *message_json(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(len + 1);
    if (!packed)
        abort();
    protobuf_c_message_pack(message, packed);
    char *error = NULL;
    json_t *json = schema_to_json(schema_builtin(), message->descriptor->name, (struct bytes){ packed, len }, &error);
    if (!json)
        fprintf(stderr, "omsctl: %s\n", error ? error : "not shown");
    free(error);
    free(packed);
    return json;
}

static void dump_json(json_t *json, size_t flags)
{
    if (!json)
        return;
    json_dumpf(json, stdout, flags | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
    json_decref(json);
}

void show_message(const ProtobufCMessage *message)
{
    dump_json(message_json(message), JSON_INDENT(2));
}

void show_message_line(const ProtobufCMessage *message)
{
    dump_json(message_json(message), JSON_COMPACT);
}

void show_json(struct json_t *json)
{
    dump_json(json, JSON_INDENT(2));
}

int exit_of(enum rpc_code code)
{
    if (code == RPC_OK)
        return CTL_OK;
    return code == RPC_UNAVAILABLE || code == RPC_DEADLINE_EXCEEDED || code == RPC_CANCELLED ? CTL_UNREACHED
                                                                                             : CTL_REFUSED;
}

/* The BadRequest of a status, or NULL. */
static const Google__Rpc__BadRequest *bad_request(struct arena *arena, const struct rpc_status *status)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Google__Rpc__Status *all = google__rpc__status__unpack(&allocator, status->details.len, status->details.data);
    for (size_t i = 0; all && i < all->n_details; i++) {
        const char *name = strrchr(all->details[i]->type_url, '/');
        if (name && strcmp(name, "/google.rpc.BadRequest") == 0)
            return google__rpc__bad_request__unpack(&allocator, all->details[i]->value.len,
                                                    all->details[i]->value.data);
    }
    return NULL;
}

/* The field, and what is wrong with it unless the message has said so. */
static const char *violation(struct arena *arena, const Google__Rpc__BadRequest__FieldViolation *v,
                             const struct rpc_status *status)
{
    bool said = strcmp(v->description, status->message) == 0;
    const char *text = arena_printf(arena, "%s%s%s", v->field, said ? "" : ": ", said ? "" : v->description);
    return text ? text : v->field;
}

const char *status_line(struct arena *arena, const struct rpc_status *status)
{
    const char *reason = rpc_status_reason(arena, status);
    char *line =
        arena_printf(arena, "%s%s%s: %s", rpc_code_name(status->code), reason[0] ? " " : "", reason, status->message);
    const Google__Rpc__BadRequest *bad = bad_request(arena, status);
    for (size_t i = 0; line && bad && i < bad->n_field_violations; i++)
        line = arena_printf(arena, "%s%s%s", line, i ? "; " : " (", violation(arena, bad->field_violations[i], status));
    if (line && bad && bad->n_field_violations)
        line = arena_printf(arena, "%s)", line);
    return line ? line : status->message;
}

static void show_status_json(struct arena *arena, const struct rpc_status *status)
{
    json_t *fields = json_array();
    const Google__Rpc__BadRequest *bad = bad_request(arena, status);
    for (size_t i = 0; bad && i < bad->n_field_violations; i++)
        json_array_append_new(fields, json_pack("{s:s, s:s}", "field", bad->field_violations[i]->field, "description",
                                                bad->field_violations[i]->description));
    json_t *error = json_pack("{s:{s:s, s:s, s:s, s:o}}", "error", "code", rpc_code_name(status->code), "reason",
                              rpc_status_reason(arena, status), "message", status->message, "fields", fields);
    if (error) {
        json_dumpf(error, stderr, JSON_COMPACT);
        fputc('\n', stderr);
    }
    json_decref(error);
}

int show_status(struct ctl *ctl, const struct rpc_status *status)
{
    fflush(stdout);
    if (ctl->json) {
        show_status_json(&ctl->arena, status);
        return exit_of(status->code);
    }
    const char *reason = rpc_status_reason(&ctl->arena, status);
    fprintf(stderr, "omsctl: %s%s%s: %s\n", rpc_code_name(status->code), reason[0] ? " " : "", reason, status->message);
    const Google__Rpc__BadRequest *bad = bad_request(&ctl->arena, status);
    for (size_t i = 0; bad && i < bad->n_field_violations; i++)
        fprintf(stderr, "  %s\n", violation(&ctl->arena, bad->field_violations[i], status));
    return exit_of(status->code);
}
