/* Operations: what is kept of them, what they come to, and how they come back from the book. */
#include "dev/sandbox/accounts.h"
#include "dev/sandbox/tokens.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ACTION_US 300000

const char SUCCEEDED[] = "succeeded", DECLINED[] = "declined", REQUIRES_ACTION[] = "requires_action";

/* An authorization that was voided before it came. */
struct tombstone {
    struct keyed keyed;
    struct tombstone *later;
    char key[];
};

struct processor {
    struct journal journal;
    struct keys operations, tombstones;
    struct asked asked;
    struct operation *first, **last;
    struct operation *first_acted, **last_acted;
    struct tombstone *first_tombstone;
};

/* --- life --- */

int processor_create(const struct journal *journal, struct processor **ret_processor)
{
    struct processor *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->journal = *journal;
    p->last = &p->first;
    p->last_acted = &p->first_acted;
    *ret_processor = p;
    return 0;
}

void processor_destroy(struct processor *p)
{
    if (!p)
        return;
    for (struct operation *o = p->first, *later; o; o = later) {
        later = o->later;
        free(o);
    }
    for (struct tombstone *t = p->first_tombstone, *later; t; t = later) {
        later = t->later;
        free(t);
    }
    keys_finish(&p->operations);
    keys_finish(&p->tombstones);
    asked_finish(&p->asked);
    free(p);
}

/* --- finding --- */

struct operation *operation_find(const struct processor *p, const char *key)
{
    return (struct operation *)keys_find(&p->operations, key);
}

struct operation *authorization_find(const struct processor *p, const char *key)
{
    struct operation *operation = operation_find(p, key);
    return operation && operation->what.token[0] != '\0' ? operation : NULL;
}

bool is_tombstone(const struct processor *p, const char *authorization)
{
    return keys_find(&p->tombstones, authorization) != NULL;
}

int64_t processor_captured(const struct processor *p, const char *authorization)
{
    const struct operation *operation = authorization_find(p, authorization);
    return operation ? operation->captured_minor : 0;
}

int64_t processor_refunded(const struct processor *p, const char *authorization)
{
    const struct operation *operation = authorization_find(p, authorization);
    return operation ? operation->refunded_minor : 0;
}

void processor_each(const struct processor *p, void (*each)(void *arg, const struct processed *operation), void *arg)
{
    for (const struct operation *operation = p->first; operation; operation = operation->later)
        each(arg, &operation->what);
}

struct attempts operation_asked(struct processor *p, const char *key, int64_t now_us)
{
    return asked_add(&p->asked, key, now_us);
}

/* --- doing --- */

static const char *keep(char **at, const char *text)
{
    const char *kept = *at;
    *at = stpcpy(*at, text) + 1;
    return kept;
}

static const char *const kind_names[] = { "authorize", "capture", "refund", "void" };
static const char *const statuses[] = { SUCCEEDED, DECLINED, REQUIRES_ACTION };

/* The word of the list, or NULL. */
static const char *one_of(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return words[i];
    return NULL;
}

static struct operation *make(const struct processed *what)
{
    size_t size = strlen(what->key) + strlen(what->authorization) + strlen(what->currency) + strlen(what->reason) +
                  strlen(what->token) + strlen(what->reference) + 6;
    struct operation *operation = calloc(1, sizeof(*operation) + size);
    if (!operation)
        return NULL;
    char *at = operation->texts;
    operation->what = (struct processed){
        .key = keep(&at, what->key),
        .kind = one_of(kind_names, 4, what->kind),
        .authorization = keep(&at, what->authorization),
        .amount_minor = what->amount_minor,
        .currency = keep(&at, what->currency),
        .status = what->status,
        .reason = keep(&at, what->reason),
        .token = keep(&at, what->token),
        .reference = keep(&at, what->reference),
        .time_us = what->time_us,
    };
    operation->keyed.key = operation->what.key;
    operation->first_status = operation->what.status;
    operation->first_reason = operation->what.reason;
    operation->first_us = what->time_us;
    return operation;
}

/* For an authorization that is not there yet and was not voided before, else NULL. */
static int make_tombstone(struct processor *p, const struct operation *operation, struct tombstone **ret_tombstone)
{
    const char *key = operation->what.authorization;
    struct tombstone *tombstone = NULL;
    if (operation->what.token[0] == '\0' && !authorization_find(p, key) && !is_tombstone(p, key)) {
        tombstone = calloc(1, sizeof(*tombstone) + strlen(key) + 1);
        if (!tombstone || keys_reserve(&p->tombstones) < 0) {
            free(tombstone);
            return -ENOMEM;
        }
        tombstone->keyed.key = strcpy(tombstone->key, key);
    }
    *ret_tombstone = tombstone;
    return 0;
}

static void come_to(struct operation *on, const struct processed *what)
{
    if (what->status != SUCCEEDED)
        return;
    if (strcmp(what->kind, "capture") == 0)
        on->captured_minor += what->amount_minor;
    else if (strcmp(what->kind, "refund") == 0)
        on->refunded_minor += what->amount_minor;
    else
        on->voided = true;
    if (on->voided && on->what.status == REQUIRES_ACTION) {
        on->what.status = DECLINED;
        on->what.reason = "VOIDED";
    }
}

static int write_down(const struct journal *journal, const struct processed *what)
{
    return journal_line(journal,
                        "{\"key\":\"%s\",\"kind\":\"%s\",\"authorization\":\"%s\",\"amount_minor\":%" PRId64
                        ",\"currency\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\",\"token\":\"%s\","
                        "\"reference\":\"%s\",\"time_us\":%" PRId64 "}",
                        what->key, what->kind, what->authorization, what->amount_minor, what->currency, what->status,
                        what->reason, what->token, what->reference, what->time_us);
}

static void link_tombstone(struct processor *p, struct tombstone *tombstone)
{
    keys_add(&p->tombstones, &tombstone->keyed);
    tombstone->later = p->first_tombstone;
    p->first_tombstone = tombstone;
}

static void link_operation(struct processor *p, struct operation *operation)
{
    struct operation *on = authorization_find(p, operation->what.authorization);
    if (on)
        come_to(on, &operation->what);
    keys_add(&p->operations, &operation->keyed);
    *p->last = operation;
    p->last = &operation->later;
    if (operation->what.status == REQUIRES_ACTION && behaviour_of(operation->what.token)->action != ACTION_NEVER) {
        *p->last_acted = operation;
        p->last_acted = &operation->later_acted;
    }
}

/* Whatever can fail comes before it is written down. */
static int keep_operation(struct processor *p, const struct processed *what, const struct journal *journal,
                          struct operation **ret_operation)
{
    struct operation *operation = p->operations.n < OUTSIDER_MAX ? make(what) : NULL;
    struct tombstone *tombstone = NULL;
    int r = operation ? keys_reserve(&p->operations) : -ENOMEM;
    if (r == 0)
        r = make_tombstone(p, operation, &tombstone);
    if (r == 0 && journal)
        r = write_down(journal, &operation->what);
    if (r < 0) {
        free(operation);
        free(tombstone);
        return r;
    }
    if (tombstone)
        link_tombstone(p, tombstone);
    link_operation(p, operation);
    *ret_operation = operation;
    return 0;
}

int operation_do(struct processor *p, const struct processed *what, struct operation **ret_operation)
{
    return keep_operation(p, what, &p->journal, ret_operation);
}

/* --- customers --- */

static void forget_acted(struct processor *p)
{
    p->first_acted = p->first_acted->later_acted;
    if (!p->first_acted)
        p->last_acted = &p->first_acted;
}

void processor_advance(struct processor *p, int64_t now_us)
{
    struct operation *operation;
    while ((operation = p->first_acted)) {
        if (operation->what.status == REQUIRES_ACTION) {
            if (operation->first_us + ACTION_US > now_us)
                return;
            bool fails = behaviour_of(operation->what.token)->action == ACTION_FAILS;
            struct processed what = operation->what;
            what.status = fails ? DECLINED : SUCCEEDED;
            what.reason = fails ? "AUTHENTICATION_FAILED" : "";
            what.time_us = operation->first_us + ACTION_US;
            if (write_down(&p->journal, &what) < 0)
                return;
            operation->what = what;
        }
        forget_acted(p);
    }
}

int64_t processor_next_us(const struct processor *p)
{
    const struct operation *operation = p->first_acted;
    while (operation && operation->what.status != REQUIRES_ACTION)
        operation = operation->later_acted;
    return operation ? operation->first_us + ACTION_US : INT64_MAX;
}

/* --- the book --- */

static const char *text_of(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "";
}

/* A customer has acted. */
static int apply_again(struct operation *operation, const struct processed *what)
{
    if (operation->what.status != REQUIRES_ACTION || what->status == REQUIRES_ACTION)
        return -EBADMSG;
    operation->what.status = what->status;
    operation->what.reason = what->status == DECLINED ? "AUTHENTICATION_FAILED" : "";
    operation->what.time_us = what->time_us;
    return 0;
}

static int replay(struct processor *p, const json_t *line)
{
    struct processed what = {
        .key = text_of(line, "key"),
        .kind = one_of(kind_names, 4, text_of(line, "kind")),
        .authorization = text_of(line, "authorization"),
        .amount_minor = json_integer_value(json_object_get(line, "amount_minor")),
        .currency = text_of(line, "currency"),
        .status = one_of(statuses, 3, text_of(line, "status")),
        .reason = text_of(line, "reason"),
        .token = text_of(line, "token"),
        .reference = text_of(line, "reference"),
        .time_us = json_integer_value(json_object_get(line, "time_us")),
    };
    if (!what.kind || !what.status || !outsider_is_id(what.key) || !outsider_is_id(what.authorization))
        return -EBADMSG;
    struct operation *operation = operation_find(p, what.key);
    if (operation)
        return apply_again(operation, &what);
    return keep_operation(p, &what, NULL, &operation);
}

int processor_replay(void *processor, struct bytes line)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &error);
    int r = json_is_object(json) ? replay(processor, json) : -EBADMSG;
    json_decref(json);
    return r;
}
