/* The texts of the mails. Placeholders: {order_id} {name} {total} {tracking_number} {reason} {amount} {shop}. */
#pragma once

#include "svc-notify/api.h"

#include <stdbool.h>

struct arena;

struct mail_template {
    enum message_template template;
    const char *word;    /* ends the message's id: "confirmed" */
    const char *subject; /* names nothing personal: neither {name} nor {total} */
    const char *body;    /* between the greeting and the signature */
    bool repeats;        /* can be told of the same thing again: the version is part of the message's id */
};

/* What stands for the placeholders. */
struct mail_fields {
    const char *order_id, *name, *total, *tracking_number, *reason, *amount, *shop;
};

const struct mail_template *template_find(enum message_template template); /* NULL: no such template */
/* The text with the fields put in, each on one line: their control characters become spaces. In the arena; NULL once
 * its budget is spent. A placeholder that is none of the fields is a programmer's mistake: it aborts. */
char *template_fill(struct arena *arena, const char *text, const struct mail_fields *fields);
/* The whole body: greeting, text, signature. */
char *template_body(struct arena *arena, const struct mail_template *template, const struct mail_fields *fields);
