/* What most commands do: one call, or all pages of a list, and its result as table or JSON. */
#pragma once

#include "omsctl/show.h"

#include "mesh/v1/log.pb-c.h"

/* A unary call; the reply is in the run's arena. CTL_OK, or the exit code after the error was shown. */
int ask(struct ctl *ctl, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
        void *ret_reply);
/* A fresh id for one mutation, in the run's arena; --request-id wins. */
char *ask_request_id(struct ctl *ctl);

/* What --after says, a position of that process's log, which is asked for what it does not say; connects. CTL_OK, or
 * the exit code after the error was shown. */
int ask_after(struct ctl *ctl, const char *service, Mesh__V1__Position *position);

/* A list method of the API: page_size and page_token in the request, next_page_token and the items in the reply. */
struct pages {
    const char *method;
    ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *reply;
    const char *items; /* the reply's repeated field */
    int64_t limit;     /* 0: all */
};
/* Items live as long as the run. CTL_OK, or the exit code after the error was shown. */
int ask_pages(struct ctl *ctl, const struct pages *pages, void (*each)(void *arg, const ProtobufCMessage *item),
              void *arg);

/* The same as a table, or as one JSON document {"items": […]}; --limit counts. */
struct listing {
    struct pages pages;
    const char *const *heads;
    void (*row)(struct arena *arena, struct table *table, const ProtobufCMessage *item);
    const char *nothing;
};
int ask_listing(struct ctl *ctl, struct listing *listing);
