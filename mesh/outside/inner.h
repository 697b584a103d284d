/* What the files of mesh/outside share. All on the loop lane. */
#pragma once

#include "mesh/base/metrics.h"
#include "mesh/outside/outside.h"

#include <stdbool.h>

struct errand;
struct peer;
struct transfer;
struct multi;

/* A way to reach peers. */
struct scheme {
    const char *prefix; /* "http://" */
    size_t most;        /* under way with one peer; more wait */
    /* Begins it, with so much time left; it ends in errand_end, not inside. 0 or a negative errno. */
    int (*begin)(struct errand *errand, int64_t left_us);
    void (*abandon)(struct errand *errand); /* what was begun; errand_end must not be called any more */
    void (*close)(struct peer *peer);       /* nothing is under way any more; NULL: nothing to free */
    bool folder;                            /* the base is the path of one */
};
/* The end of the list has no prefix. */
extern const struct scheme outside_schemes[];

struct peer {
    struct outside *outside;
    char name[64];
    const struct scheme *scheme;
    char *base; /* "http://127.0.0.1:7601", or the path of the folder; without a slash at its end */
    size_t under_way;
    struct errand *waiting, **waiting_end;
    void *idle; /* the scheme's: what can be used again */
    struct metric *duration, *failed;
};

/* One fetch, from outside_submit to its end. */
struct errand {
    struct peer *peer;
    struct fetch *fetch;
    int64_t begun_us, deadline_us; /* monotonic */
    bool begun;
    void *work; /* the scheme's */
    struct errand *next, **back;
    struct errand *next_waiting;
};

struct outside {
    struct uv_loop_s *loop;
    struct peer peers[OUTSIDE_PEERS_MAX];
    size_t n_peers;
    struct errand *errands; /* all of them */
    struct multi *multi;    /* NULL: not needed so far */
    bool stopped;
};

/* address.c: fills peers. */
int outside_parse(struct outside *outside, const char *peers);

/* outside.c */
/* Tells the end and forgets the errand. */
void errand_end(struct errand *errand, int result, int status, struct bytes body);
/* Printing characters without a space, at least one and at most max. */
bool outside_is_plain(const char *text, size_t max);

/* http.c */
int http_begin(struct errand *errand, int64_t left_us);
void http_abandon(struct errand *errand);
void http_close(struct peer *peer);
void http_over(struct transfer *transfer, int curl_code);

/* mail.c */
int mail_begin(struct errand *errand, int64_t left_us);
void mail_abandon(struct errand *errand);
void mail_close(struct peer *peer);

/* file.c */
int file_open_folder(const char *path);
int file_begin(struct errand *errand, int64_t left_us);
void file_abandon(struct errand *errand);

/* multi.c: libcurl's transfers on the loop. easy is a CURL *. */
int multi_create(struct uv_loop_s *loop, struct multi **ret_multi);
int multi_add(struct multi *multi, void *easy);
void multi_remove(struct multi *multi, void *easy);
void multi_destroy(struct multi *multi); /* takes NULL */
