/* A line's outcome is the one that the rules give it, unless the server has refused its invoice, never answered, or
 * seen more than the file has. */
#include "omsctl/retail_report.h"

#include "mesh/base/money.h"
#include "omsctl/csv.h"
#include "omsctl/show.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define GROUPS_MAX 64 /* outcomes and reasons; what is beyond goes into the last one */

struct outcome {
    const char *word, *reason;
};

static struct outcome outcome_of(const struct retail_result *result, const struct retail_line *line)
{
    const struct retail_fate *fate = &result->fates[line->invoice];
    if (!retail_is_refused(line->outcome) && !fate->answered)
        return (struct outcome){ "unsent", "" };
    if (!retail_is_refused(line->outcome) && fate->refusal)
        return (struct outcome){ "refused", fate->refusal };
    const char *judged = result->judged[line - result->retail->lines];
    if (judged)
        return (struct outcome){ judged[0] ? "credited" : "refunded", judged };
    return (struct outcome){ retail_word(line->outcome), retail_reason(line->outcome) };
}

/* --- every line --- */

int retail_report_write(const struct retail_result *result, const char *path)
{
    const struct retail *retail = result->retail;
    FILE *file = fopen(path, "we");
    bool ok = file && fputs("line,invoice,code,outcome,reason\n", file) >= 0;
    for (size_t i = 0; ok && i < retail->n_lines; i++) {
        const struct retail_line *line = &retail->lines[i];
        struct outcome outcome = outcome_of(result, line);
        fprintf(file, "%" PRIu32 ",", line->line);
        csv_put(file, retail->numbers.texts[line->invoice], ',');
        csv_put(file, retail->codes.texts[line->code], ',');
        fprintf(file, "%s,%s\n", outcome.word, outcome.reason);
        ok = !ferror(file);
    }
    if (file && fclose(file) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "omsctl: the report cannot be written to %s: %s\n", path, strerror(errno));
    return ok ? 0 : -EINVAL;
}

/* --- sums --- */

struct group {
    struct outcome outcome;
    size_t lines;
    int64_t minor; /* of its lines; 0 of refused ones, whose amount means nothing */
};

struct groups {
    struct group all[GROUPS_MAX];
    size_t n;
};

static void count(struct groups *groups, struct outcome outcome, int64_t minor)
{
    size_t i = 0;
    while (i < groups->n && (strcmp(groups->all[i].outcome.word, outcome.word) != 0 ||
                             strcmp(groups->all[i].outcome.reason, outcome.reason) != 0))
        i++;
    if (i == groups->n && groups->n < GROUPS_MAX)
        groups->all[groups->n++] = (struct group){ .outcome = outcome };
    struct group *group = &groups->all[i < GROUPS_MAX ? i : GROUPS_MAX - 1];
    group->lines++;
    group->minor += minor;
}

/* By the rules' order of outcomes, behind them what the server has refused. */
static void sum(const struct retail_result *result, struct groups *groups)
{
    const struct retail *retail = result->retail;
    *groups = (struct groups){ 0 };
    for (int outcome = 0; outcome < RETAIL_OUTCOMES; outcome++)
        groups->all[groups->n++].outcome = (struct outcome){ retail_word(outcome), retail_reason(outcome) };
    for (size_t i = 0; i < retail->n_lines; i++) {
        const struct retail_line *line = &retail->lines[i];
        struct outcome outcome = outcome_of(result, line);
        bool counts = strcmp(outcome.word, "refused") != 0 && strcmp(outcome.word, "unsent") != 0;
        count(groups, outcome, counts ? line->price_minor * line->quantity : 0);
    }
}

static size_t lines_of(const struct groups *groups, const char *word)
{
    size_t n = 0;
    for (size_t i = 0; i < groups->n; i++)
        n += strcmp(groups->all[i].outcome.word, word) == 0 ? groups->all[i].lines : 0;
    return n;
}

static size_t invoices_of(const struct retail_result *result, bool refused)
{
    size_t n = 0;
    for (size_t i = 0; i < result->retail->n_sent; i++) {
        const struct retail_fate *fate = &result->fates[result->retail->sent[i]];
        n += fate->answered && !fate->refusal == !refused;
    }
    return n;
}

size_t retail_report_refused(const struct retail_result *result)
{
    struct groups groups;
    sum(result, &groups);
    return lines_of(&groups, "refused") + lines_of(&groups, "unsent");
}

json_t *retail_report_json(const struct retail_result *result)
{
    struct groups groups;
    json_t *outcomes = json_array();
    sum(result, &groups);
    for (size_t i = 0; i < groups.n; i++)
        if (groups.all[i].lines)
            json_array_append_new(outcomes,
                                  json_pack("{s:s, s:s, s:I, s:I}", "outcome", groups.all[i].outcome.word, "reason",
                                            groups.all[i].outcome.reason, "lines", (json_int_t)groups.all[i].lines,
                                            "minor", (json_int_t)groups.all[i].minor));
    size_t accepted = lines_of(&groups, "sold") + lines_of(&groups, "refunded");
    return json_pack("{s:s, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I}, s:o}", "currency",
                     result->retail->mapping->currency, "invoices", "sent", (json_int_t)result->retail->n_sent,
                     "accepted", (json_int_t)invoices_of(result, false), "refused",
                     (json_int_t)invoices_of(result, true), "lines", "read", (json_int_t)result->retail->n_lines,
                     "accepted", (json_int_t)accepted, "refused", (json_int_t)lines_of(&groups, "refused"), "credited",
                     (json_int_t)lines_of(&groups, "credited"), "unsent", (json_int_t)lines_of(&groups, "unsent"),
                     "outcomes", outcomes);
}

void retail_report_show(const struct retail_result *result)
{
    static const char *const heads[] = { "OUTCOME", "REASON", ">LINES", ">SUM", NULL };
    struct groups groups;
    struct arena arena;
    sum(result, &groups);
    arena_init(&arena, 1 << 20);
    struct table *table = table_create(heads);
    for (size_t i = 0; i < groups.n; i++) {
        const struct group *group = &groups.all[i];
        char amount[32] = "";
        if (group->minor)
            money_format(group->minor, result->retail->mapping->currency, amount);
        if (group->lines)
            TABLE_ROW(table, group->outcome.word, group->outcome.reason, text_number(&arena, (int64_t)group->lines),
                      amount);
    }
    printf("%zu lines, %zu of %zu invoices taken\n\n", result->retail->n_lines, invoices_of(result, false),
           result->retail->n_sent);
    table_show(table, "the file has no lines");
    arena_finish(&arena);
}
