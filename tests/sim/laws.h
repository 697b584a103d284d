/* What must hold: sentences, each with the query that finds what offends them. Tables of svc-inventory have their own
 * names; those of svc-order the schema o, of svc-payment p, of svc-shipping s, of svc-notify n. What people remember,
 * and what stands in the books outside, is in judge.c. */
#pragma once

struct law {
    enum { ALWAYS, AT_REST } when;
    const char *sentence;
    const char *offenders; /* the first column names them */
};

extern const struct law laws[]; /* ends with one without sentence */
