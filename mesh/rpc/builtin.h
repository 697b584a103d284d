/* Health and reflection, which every server offers beside the dispatcher's methods. */
#pragma once

#include "mesh/rpc/served.h"

struct builtin;

struct builtin_method {
    const char *name;
    const struct call_kind *kind;
};
extern const struct builtin_method builtin_methods[]; /* ends with a row without name */

int builtin_create(struct rpc_server *server, struct builtin **ret_builtin);
void builtin_serving(struct builtin *builtin, bool serving); /* any lane */
/* Ends the streams that would last for ever. Rpc lane. */
void builtin_end(struct builtin *builtin);
void builtin_destroy(struct builtin *builtin);
