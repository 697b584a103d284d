/* Filters asked: what one says of a resource, and what it lets a list look for. */
#include "mesh/rpc/filter_tree.h"

#include <string.h>

/* Between its parts anything may stand; the first begins the text, the last ends it. */
static bool fits(const struct filter_value *value, const char *text)
{
    const char *last = value->parts[value->n - 1];
    size_t first = strlen(value->parts[0]), end = strlen(last), len = strlen(text);
    if (len < first + end || memcmp(text, value->parts[0], first) != 0 || memcmp(text + len - end, last, end) != 0)
        return false;
    const char *at = text + first, *until = text + len - end;
    for (size_t i = 1; i + 1 < value->n; i++) {
        size_t n = strlen(value->parts[i]);
        at = memmem(at, (size_t)(until - at), value->parts[i], n);
        if (!at)
            return false;
        at += n;
    }
    return true;
}

static bool is_there(const struct filter *term, const struct filter_held *held)
{
    return term->row->type == FILTER_TEXT ? held->text[0] != '\0' : held->number != 0 || held->nanos != 0;
}

static int compare(const struct filter *term, const struct filter_held *held)
{
    const struct filter_held *with = &term->held;
    if (term->row->type == FILTER_TEXT)
        return strcmp(held->text, with->text);
    if (held->number != with->number)
        return held->number < with->number ? -1 : 1;
    return (held->nanos > with->nanos) - (held->nanos < with->nanos);
}

static bool is_true(const struct filter *term, const struct filter_held *held)
{
    if (term->op == FILTER_THERE)
        return is_there(term, held);
    if (term->row->type == FILTER_TEXT && term->value.n > 1)
        return fits(&term->value, held->text) != (term->op == FILTER_IS_NOT);
    int order = compare(term, held);
    switch (term->op) {
    case FILTER_IS_NOT:
        return order != 0;
    case FILTER_BELOW:
        return order < 0;
    case FILTER_AT_MOST:
        return order <= 0;
    case FILTER_ABOVE:
        return order > 0;
    case FILTER_AT_LEAST:
        return order >= 0;
    default:
        return order == 0;
    }
}

static enum filter_verdict judge_term(const struct filter *term, filter_get *get, const void *resource)
{
    struct filter_held held = { .text = "" };
    for (size_t i = 0;; i++) {
        int there = get(resource, term->field, i, &held);
        if (there <= 0)
            return there < 0 ? FILTER_MAYBE : FILTER_NO;
        if (is_true(term, &held))
            return FILTER_YES;
        if (!term->row->many)
            return FILTER_NO;
    }
}

enum filter_verdict filter_judge(const struct filter *filter, filter_get *get, const void *resource)
{
    if (!filter)
        return FILTER_YES;
    if (filter->kind == FILTER_TERM)
        return judge_term(filter, get, resource);
    if (filter->kind == FILTER_NOT)
        return FILTER_YES - filter_judge(filter->first, get, resource);
    /* The least of what all must be, the most of what any may be. */
    bool all = filter->kind == FILTER_ALL;
    enum filter_verdict verdict = all ? FILTER_YES : FILTER_NO, end = FILTER_YES - verdict;
    for (const struct filter *f = filter->first; f && verdict != end; f = f->next) {
        enum filter_verdict of = filter_judge(f, get, resource);
        if (all ? of < verdict : of > verdict)
            verdict = of;
    }
    return verdict;
}

/* --- what it lets a list look for --- */

bool filter_asks(const struct filter *filter, int field)
{
    if (!filter)
        return false;
    if (filter->kind == FILTER_TERM)
        return filter->field == field;
    for (const struct filter *f = filter->first; f; f = f->next)
        if (filter_asks(f, field))
            return true;
    return false;
}

const char *filter_only_text(const struct filter *filter, int field)
{
    if (!filter)
        return NULL;
    if (filter->kind == FILTER_TERM)
        return filter->field == field && (filter->op == FILTER_IS || filter->op == FILTER_HAS) && filter->value.n == 1
                   ? filter->held.text
                   : NULL;
    const char *only = NULL;
    for (const struct filter *f = filter->kind == FILTER_ALL ? filter->first : NULL; f && !only; f = f->next)
        only = filter_only_text(f, field);
    return only;
}

static void narrow(const struct filter *term, int64_t *min, int64_t *max)
{
    int64_t n = term->held.number;
    bool equal = term->op == FILTER_IS || term->op == FILTER_HAS;
    if ((equal || term->op == FILTER_AT_LEAST || term->op == FILTER_ABOVE) && n > *min)
        *min = n;
    if ((equal || term->op == FILTER_AT_MOST || term->op == FILTER_BELOW) && n < *max)
        *max = n;
}

/* What lies on the bound of < or > is looked at in vain. */
void filter_range(const struct filter *filter, int field, int64_t *min, int64_t *max)
{
    if (!filter)
        return;
    if (filter->kind == FILTER_TERM && filter->field == field)
        narrow(filter, min, max);
    for (const struct filter *f = filter->kind == FILTER_ALL ? filter->first : NULL; f; f = f->next)
        filter_range(f, field, min, max);
}
