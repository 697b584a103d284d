/* What must hold: sentences, each with the query that finds what offends them. Tables of svc-inventory have their own
 * names; those of svc-order the schema o, of svc-payment p, of svc-shipping s, of svc-notify n. What people remember,
 * and what stands in the books outside, is in judge.c. */
#pragma once

#define LAWS_MAX 96

struct law {
    /* OVER: at rest, too, and needs nobody's memory, so that it is asked until it holds. AT_OPENING: only by its
     * sentence, before the first order. */
    enum { ALWAYS, AT_REST, OVER, AT_OPENING } when;
    const char *sentence;
    const char *offenders; /* the first column names them */
};

extern const struct law laws[]; /* ends with one without sentence */
