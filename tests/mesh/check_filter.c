/* Filters: what is read and what is refused, and where; verdicts beside those of an evaluator of its own; any bytes. */
#include "mesh/rpc/call.h"
#include "mesh/rpc/filter.h"
#include "tests/suite.h"

#include "oms/order/v1/order.pb-c.h"

#include <stdio.h>
#include <string.h>

static struct rpc_call *call;

static void begin(void)
{
    call = calloc(1, sizeof(*call));
    arena_init(&call->arena, 8 << 20);
}

static void end(void)
{
    arena_finish(&call->arena);
    free(call);
}

/* --- a thing that has one field of each type --- */

enum { NAME, TAGS, COUNT, PRICE, TIME, STATE, LIT, PARTS, GONE };

static const struct filter_field fields[] = {
    [NAME] = { "name", FILTER_TEXT, .bare = true },
    [TAGS] = { "tags.text", FILTER_TEXT, .many = true, .bare = true },
    [COUNT] = { "count", FILTER_NUMBER },
    [PRICE] = { "price", FILTER_AMOUNT },
    [TIME] = { "make_time", FILTER_TIME },
    [STATE] = { "state", FILTER_ENUM, .names = &oms__order__v1__order__state__descriptor },
    [LIT] = { "lit", FILTER_BOOL },
    [PARTS] = { "parts.count", FILTER_NUMBER, .many = true },
    [GONE] = { "gone.name", FILTER_TEXT },
    {},
};

struct thing {
    const char *name, *tags[4];
    size_t n_tags, n_parts;
    int64_t count, units, time_us, state, parts[4];
    int32_t nanos;
    bool lit;
    bool unread; /* tags and parts are not known */
};

static int get(const void *resource, int field, size_t i, struct filter_held *ret)
{
    const struct thing *thing = resource;
    if (thing->unread && fields[field].many)
        return -1;
    switch (field) {
    case NAME:
        ret->text = thing->name;
        return 1;
    case TAGS:
        ret->text = i < thing->n_tags ? thing->tags[i] : "";
        return i < thing->n_tags;
    case COUNT:
        ret->number = thing->count;
        return 1;
    case PRICE:
        ret->number = thing->units;
        ret->nanos = thing->nanos;
        return 1;
    case TIME:
        ret->number = thing->time_us;
        return 1;
    case STATE:
        ret->number = thing->state;
        return 1;
    case LIT:
        ret->number = thing->lit;
        return 1;
    case PARTS:
        ret->number = i < thing->n_parts ? thing->parts[i] : 0;
        return i < thing->n_parts;
    }
    return 0; /* nothing is gone by name */
}

static const struct thing lamp = {
    .name = "Lamp *2 \"Nora\"",
    .tags = { "light", "brass" },
    .n_tags = 2,
    .parts = { 3, 0 },
    .n_parts = 2,
    .count = 7,
    .units = -12,
    .nanos = -500000000,
    .time_us = 1323435000000001, /* 2011-12-09T12:50:00.000001Z */
    .state = OMS__ORDER__V1__ORDER__STATE__CONFIRMED,
};

static const struct filter *read(const char *text)
{
    const struct filter *filter = NULL;
    int r = filter_parse(call, text, fields, &filter);
    ck_assert_msg(r == 0, "%s: %s", text, call->error.message);
    return filter;
}

/* Y and N stand for what is true and false of the lamp. */
#define Y "count=7"
#define N "count=8"

START_TEST(a_filter_says_what_is_so)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {
        { "", true },
        { " \t\r\n", true },
        /* texts */
        { "name = 'Lamp *2 \"Nora\"'", true }, /* an asterisk fits any text, itself too */
        { "name = 'Lamp \\*2 \"Nora\"'", true },
        { "name = \"Lamp \\*2 \\\"Nora\\\"\"", true },
        { "name = 'lamp*'", false },
        { "name = Lamp*", true },
        { "name=Lamp*", true },
        { "name=*Nora\\*", false }, /* only quotes have escapes */
        { "name = '*Nora\"'", true },
        { "name = *Nora*", true },
        { "name = L*2*N*a*", true },
        { "name = L*N*2*", false },
        { "name = Lamp*Lamp*", false },
        { "name = 'Lamp \\*2 \"Nor*ora\"'", false }, /* what begins and what ends do not overlap */
        { "name = *", true },
        { "name != Lamp*", false },
        { "name != Lamp", true },
        { "name > Lamp", true },
        { "name > Lamq", false },
        { "name < Lamq", true },
        { "name <= 'Lamp \\*2 \"Nora\"'", true },
        { "name >= 'Lamp \\*2 \"Nora\"'", true },
        { "name > 'Lamp \\*2 \"Nora\"'", false },
        { "name:Lamp*", true },
        { "name:*", true },
        /* a value alone */
        { "Lamp*", true },
        { "brass", true },
        { "'brass'", true },
        { "bras", false },
        { "-brass", false },
        { "light brass", true },
        { "light silver", false },
        { "light OR silver", true },
        { "2011-12-09", false },
        /* repeated ones */
        { "tags.text:brass", true },
        { "tags.text:silver", false },
        { "-tags.text:silver", true },
        { "tags.text:(light brass)", true },
        { "tags.text:(light AND silver)", false },
        { "tags.text:(silver OR brass)", true },
        { "tags.text:*", true },
        { "parts.count:3", true },
        { "parts.count:4", false },
        { "parts.count:*", true },
        { "tags.text:br*", true },
        /* numbers */
        { "count = 7", true },
        { "count = '7'", true },
        { "count != 7", false },
        { "count < 7", false },
        { "count <= 7", true },
        { "count > 6", true },
        { "count>=8", false },
        { "count:7", true },
        { "count:*", true },
        { "count > -9223372036854775808", true },
        { "count < 9223372036854775807", true },
        { "count = (8 OR 7)", true },
        { "count = (-7 OR 8)", false },
        { "count = (NOT 7)", false },
        /* amounts */
        { "price = -12.5", true },
        { "price = -12.50", true },
        { "price = -12.500000001", false },
        { "price < -12.499999999", true },
        { "price > -13", true },
        { "price < -12", true },
        { "price < 0", true },
        { "price:*", true },
        { "price > 0.000000001", false },
        /* times */
        { "make_time = 2011-12-09T12:50:00.000001Z", true },
        { "make_time = \"2011-12-09T14:50:00.000001+02:00\"", true },
        { "make_time > 2011-12-09T12:50:00Z", true },
        { "make_time < 2011-12-09T12:50:00.000002-00:00", true },
        { "make_time >= 2011-12-09", true },
        { "make_time < 2011-12-09", false },
        { "make_time < 2011-12-10", true },
        /* enums */
        { "state = CONFIRMED", true },
        { "state = 'CONFIRMED'", true },
        { "state:CONFIRMED", true },
        { "state != PENDING", true },
        { "state = (PENDING OR CONFIRMED)", true },
        { "state = STATE_UNSPECIFIED", false },
        { "-state = (PENDING OR REJECTED)", true },
        { "state:*", true },
        { "lit = false", true },
        { "lit != true", true },
        { "lit:true", false },
        { "lit:*", false },
        { "-lit = true", true },
        /* what is not there at all is like nothing */
        { "gone.name = x", false },
        { "gone.name != x", false },
        { "NOT gone.name = x", true },
        { "gone.name:*", false },
        /* AND, OR and NOT */
        { N " AND " Y " OR " Y, false },
        { Y " OR " Y " AND " N, false },
        { "(" N " AND " Y ") OR " Y, true },
        { Y " OR " N " " N, false },
        { N " OR " N " OR " Y " AND " Y " " Y " OR " N, true },
        { Y " " Y " AND " Y " " N, false },
        { "NOT " N " OR " N, true },
        { "NOT (" Y " OR " N ")", false },
        { "-(" Y " AND " N ")", true },
        { "NOT(" N ")", true },
        { "NOT " N " AND " Y, true },
        { "-count = 8", true },
        { "  ( ( " Y " ) )  ", true },
        { Y "\tAND\n" Y, true },
        { "ANDY OR NOTHING OR brass", true },
        { "\"AND\" OR brass", true },
    };
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum filter_verdict verdict = filter_judge(read(cases[i].text), get, &lamp);
        ck_assert_msg(verdict == (cases[i].is ? FILTER_YES : FILTER_NO), "%s", cases[i].text);
    }
    end();
}
END_TEST

START_TEST(what_is_no_filter_is_refused_saying_where_and_why)
{
    static const struct {
        const char *text;
        int at;
        const char *why;
    } cases[] = {
        { "size = 3", 1, "there is no such field; there are name, tags.text, count, price" },
        { Y " AND\n size = 3", 14, "no such field" },
        { "K\xc3\xb6ln size = 3", 6, "no such field" },
        { "count.x = 3", 1, "no such field" },
        { "tags:light", 1, "no such field" },
        { "tags.0.text:light", 1, "no such field" },
        { "count = x", 9, "a whole number is expected" },
        { "count = 7.5", 9, "a whole number is expected" },
        { "count = +7", 9, "a whole number is expected" },
        { "count = 7x", 9, "a whole number is expected" },
        { "count = -", 9, "a whole number is expected" },
        { "count = ''", 9, "a whole number is expected" },
        { "count = 9223372036854775808", 9, "does not fit in 64 bits" },
        { "count = 7*", 9, "only texts have wildcards" },
        { "count = *", 9, "only texts have wildcards" },
        { "price = 1e3", 9, "an amount is expected" },
        { "price = 1.", 9, "an amount is expected" },
        { "price = .5", 9, "an amount is expected" },
        { "price = 1.0000000001", 9, "at most 9 digits" },
        { "price = 12345678901234567890", 9, "too large" },
        { "make_time = yesterday", 13, "a time is expected" },
        { "make_time = 2011-02-29", 13, "a time is expected" },
        { "make_time = 2011-12-09T12:50:00", 13, "a time is expected" },
        { "make_time = 2011-12-09T24:00:00Z", 13, "a time is expected" },
        { "make_time = 2011-12-09T12:50:00.0000001Z", 13, "whole microseconds" },
        { "state = confirmed", 9, "one of these is expected: STATE_UNSPECIFIED, PENDING, CONFIRMED" },
        { "state = 2", 9, "one of these is expected" },
        { "state > PENDING", 7, "state has no order" },
        { "lit = TRUE", 7, "true or false is expected" },
        { "lit = 1", 7, "true or false is expected" },
        { "lit < true", 5, "lit has no order" },
        { "tags.text = light", 11, "tags.text may have several values" },
        { "tags.text != light", 11, "tags.text may have several values" },
        { "name < L*", 8, "no order" },
        { "count > (7 OR 8)", 9, "several values are asked for with" },
        { "count != (7 OR 8)", 10, "several values are asked for with" },
        { "count = (7 OR count = 8)", 15, "a whole number is expected" },
        { "name = (a = b)", 11, "a value is expected" },
        { "count = (7 OR x)", 15, "a whole number is expected" },
        { "'count' = 7", 1, "the name of a field has no quotes" },
        { "count =", 8, "a value is expected" },
        { "count = AND", 9, "a value is expected" },
        { "count = = 7", 9, "a value is expected" },
        { "count == 7", 8, "a value is expected" },
        { "= 7", 1, "a field or a value is expected" },
        { "!count", 1, "a field or a value is expected" },
        { Y " AND", 12, "a field or a value is expected" },
        { Y " OR", 11, "a field or a value is expected" },
        { "AND " Y, 1, "a field or a value is expected" },
        { Y " AND AND " Y, 13, "a field or a value is expected" },
        { Y " AND OR " Y, 13, "a field or a value is expected" },
        { "NOT", 4, "a field or a value is expected" },
        { "NOT NOT " Y, 5, "a field or a value is expected" },
        { "--" Y, 2, "a field or a value is expected" },
        { "NOT -" Y, 5, "a field or a value is expected" },
        { "- " Y, 2, "a field or a value is expected" },
        { "()", 2, "a field or a value is expected" },
        { "(" Y, 1, "not closed" },
        { Y ")", 8, "no parenthesis is open" },
        { "(" Y "))", 10, "no parenthesis is open" },
        { "(" Y ")(" Y ")", 10, "a space is expected" },
        { "'a''b'", 4, "a space is expected" },
        { "'a'b", 4, "a space is expected" },
        { Y "," Y, 8, "a space is expected" },
        { "name = 'x", 8, "the quote is not closed" },
        { "name = 'x\\'", 8, "the quote is not closed" },
        { "name = 'x\\", 8, "the quote is not closed" },
        { "\"x'", 1, "the quote is not closed" },
        { "regex(name, 'x')", 1, "there are no functions" },
        { "name = lower(x)", 8, "there are no functions" },
    };
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct filter *filter = NULL;
        ck_assert_msg(filter_parse(call, cases[i].text, fields, &filter) == -EPROTO, "%s", cases[i].text);
        ck_assert_ptr_null(filter);
        ck_assert_int_eq(call->error.code, RPC_INVALID_ARGUMENT);
        ck_assert_str_eq(call->error.reason, "FILTER_INVALID");
        ck_assert_str_eq(call->error.subject, "filter");
        ck_assert_msg(strstr(call->error.message, cases[i].why), "%s: %s", cases[i].text, call->error.message);
        ck_assert_str_eq(call->error.meta[0].key, "position");
        ck_assert_msg(atoi(call->error.meta[0].value) == cases[i].at, "%s: at %s", cases[i].text,
                      call->error.meta[0].value);
    }
    end();
}
END_TEST

/* The text n times, then what stands behind all of them. */
static const char *times(const char *text, int n, const char *behind)
{
    char *all = arena_alloc(&call->arena, strlen(text) * (size_t)n + strlen(behind) + 1);
    *all = '\0';
    for (int i = 0; i < n; i++)
        strcat(all, text);
    return strcat(all, behind);
}

static void ck_too_much(const char *text, const char *why)
{
    const struct filter *filter;
    ck_assert_int_eq(filter_parse(call, text, fields, &filter), -EPROTO);
    ck_assert_msg(strstr(call->error.message, why), "%s", call->error.message);
}

START_TEST(what_is_too_much_is_refused)
{
    begin();
    char closed[2 * FILTER_DEPTH + 32];
    memset(closed, ')', sizeof(closed));
    snprintf(closed, sizeof(closed), "%s%.*s", Y, FILTER_DEPTH, "))))))))))))))))))))))))))))))))");
    ck_assert_int_eq(filter_judge(read(times("(", FILTER_DEPTH, closed)), get, &lamp), FILTER_YES);
    ck_too_much(times("(", FILTER_DEPTH + 1, Y), "parentheses deep");
    ck_too_much(times("-(", FILTER_DEPTH + 1, Y), "parentheses deep");
    ck_assert_int_eq(filter_judge(read(times(Y " ", FILTER_TERMS, "")), get, &lamp), FILTER_YES);
    ck_too_much(times(Y " ", FILTER_TERMS + 1, ""), "comparisons");
    ck_too_much(times("light ", FILTER_TERMS / 2 + 1, ""), "comparisons"); /* each is looked for in two fields */
    ck_assert_ptr_null(read(times(" ", FILTER_LENGTH, "")));
    ck_too_much(times(" ", FILTER_LENGTH + 1, ""), "bytes");
    end();
}
END_TEST

START_TEST(without_what_is_repeated_it_may_be_that_nothing_else_is_wanted)
{
    static const struct {
        const char *text;
        enum filter_verdict verdict;
    } cases[] = {
        { "tags.text:brass", FILTER_MAYBE },        { "-tags.text:brass", FILTER_MAYBE },
        { "tags.text:brass " Y, FILTER_MAYBE },     { "tags.text:brass " N, FILTER_NO },
        { "tags.text:brass OR " Y, FILTER_YES },    { "tags.text:brass OR " N, FILTER_MAYBE },
        { "-(tags.text:brass " N ")", FILTER_YES }, { Y, FILTER_YES },
    };
    struct thing unread = lamp;
    unread.unread = true;
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(filter_judge(read(cases[i].text), get, &unread) == cases[i].verdict, "%s", cases[i].text);
    end();
}
END_TEST

START_TEST(what_can_be_looked_for_is_told)
{
    static const struct {
        const char *text, *name;
        int64_t min, max;
    } cases[] = {
        { "", NULL, INT64_MIN, INT64_MAX },
        { "name = a", "a", INT64_MIN, INT64_MAX },
        { "name:a count > 3", "a", 3, INT64_MAX },
        { "count >= 3 AND (count < 9 AND name = 'a b')", "a b", 3, 9 },
        { "count = 5", NULL, 5, 5 },
        { "((count:5))", NULL, 5, 5 },
        { "count > 3 count > 4 count < 9 count <= 8", NULL, 4, 8 },
        { "name = a*", NULL, INT64_MIN, INT64_MAX },
        { "name != a", NULL, INT64_MIN, INT64_MAX },
        { "name < a", NULL, INT64_MIN, INT64_MAX },
        { "name:*", NULL, INT64_MIN, INT64_MAX },
        { "-name = a", NULL, INT64_MIN, INT64_MAX },
        { "-(name = a count = 5)", NULL, INT64_MIN, INT64_MAX },
        { "name = a OR count = 5", NULL, INT64_MIN, INT64_MAX },
        { "name = (a OR b)", NULL, INT64_MIN, INT64_MAX },
        { "count != 5", NULL, INT64_MIN, INT64_MAX },
    };
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct filter *filter = read(cases[i].text);
        const char *name = filter_only_text(filter, NAME);
        int64_t min = INT64_MIN, max = INT64_MAX;
        filter_range(filter, COUNT, &min, &max);
        ck_assert_msg(min == cases[i].min && max == cases[i].max, "%s: %lld to %lld", cases[i].text, (long long)min,
                      (long long)max);
        ck_assert_msg(cases[i].name ? name && strcmp(name, cases[i].name) == 0 : !name, "%s: %s", cases[i].text, name);
        ck_assert_int_eq(filter_asks(filter, COUNT), strstr(cases[i].text, "count") != NULL);
    }
    end();
}
END_TEST

/* --- chance --- */

static uint64_t seed;

static uint32_t roll(uint32_t below)
{
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(seed >> 33) % below;
}

/* Writes a filter and judges it at the same time, by rules of its own: no tree, no parser. */
struct writer {
    const struct thing *thing;
    char text[FILTER_LENGTH + 1];
    size_t len;
    int terms;
};

static void put(struct writer *w, const char *text)
{
    size_t n = strlen(text);
    ck_assert_uint_lt(w->len + n, sizeof(w->text));
    memcpy(w->text + w->len, text, n + 1);
    w->len += n;
}

static const char *const words[] = { "a", "b", "ab", "ba", "aab", "" };
#define WORDS (sizeof(words) / sizeof(words[0]))

static bool holds(const char *op, int order)
{
    return strcmp(op, "=") == 0 || strcmp(op, ":") == 0 ? order == 0
           : strcmp(op, "!=") == 0                      ? order != 0
           : op[0] == '<'                               ? order < 0 || (op[1] && order == 0)
                                                        : order > 0 || (op[1] && order == 0);
}

static const char *const operators[] = { "=", "!=", "<", "<=", ">", ">=", ":" };

static bool write_text(struct writer *w)
{
    const char *word = words[roll(WORDS)], *op = operators[roll(7)];
    switch (roll(4)) {
    case 0: { /* begins with it */
        bool same = roll(2);
        put(w, same ? "name = '" : "name != '");
        put(w, word);
        put(w, "*'");
        return (strncmp(w->thing->name, word, strlen(word)) == 0) == same;
    }
    case 1: /* has it */
        put(w, "name:\"*");
        put(w, word);
        put(w, "*\"");
        return strstr(w->thing->name, word) != NULL;
    case 2: {
        put(w, "tags.text:'");
        put(w, word);
        put(w, "'");
        bool has = false;
        for (size_t i = 0; i < w->thing->n_tags; i++)
            has |= strcmp(w->thing->tags[i], word) == 0;
        return has;
    }
    }
    put(w, "name");
    put(w, roll(2) ? " " : "");
    put(w, op);
    put(w, "'");
    put(w, word);
    put(w, "'");
    return holds(op, strcmp(w->thing->name, word));
}

static bool write_number(struct writer *w)
{
    char number[48];
    const char *op = operators[roll(7)];
    int n = (int)roll(7) - 3;
    switch (roll(4)) {
    case 0: {
        int64_t us = w->thing->time_us - 1323435000000000;
        snprintf(number, sizeof(number), "make_time %s 2011-12-09T12:50:00.00000%dZ", op, n + 3);
        put(w, number);
        return holds(op, (us > n + 3) - (us < n + 3));
    }
    case 1: {
        int64_t tenths = w->thing->units * 10 + w->thing->nanos / 100000000;
        snprintf(number, sizeof(number), "price%s%s0.%d", op, n < 0 ? "-" : "", abs(n));
        put(w, number);
        return holds(op, (tenths > n) - (tenths < n));
    }
    case 2: {
        bool state = roll(2), other = roll(2);
        put(w, state ? "state = (CONFIRMED" : "state:(REJECTED");
        put(w, other ? " OR PENDING)" : ")");
        int64_t is = w->thing->state;
        return is == (state ? OMS__ORDER__V1__ORDER__STATE__CONFIRMED : OMS__ORDER__V1__ORDER__STATE__REJECTED) ||
               (other && is == OMS__ORDER__V1__ORDER__STATE__PENDING);
    }
    }
    snprintf(number, sizeof(number), "count %s %d", op, n);
    put(w, number);
    return holds(op, (w->thing->count > n) - (w->thing->count < n));
}

static bool write_all(struct writer *w, int depth);

static bool write_term(struct writer *w, int depth)
{
    bool negated = roll(4) == 0, is;
    if (negated)
        put(w, roll(2) ? "-" : "NOT ");
    if (depth > 0 && w->terms < FILTER_TERMS / 2 && roll(3) == 0) {
        put(w, "(");
        is = write_all(w, depth - 1);
        put(w, ")");
    } else {
        w->terms += 2;
        is = roll(2) ? write_text(w) : write_number(w);
    }
    return is != negated;
}

static bool write_any(struct writer *w, int depth)
{
    bool is = write_term(w, depth);
    while (roll(3) == 0 && w->terms < FILTER_TERMS / 2) {
        put(w, " OR ");
        is |= write_term(w, depth);
    }
    return is;
}

static bool write_all(struct writer *w, int depth)
{
    bool is = write_any(w, depth);
    while (roll(3) == 0 && w->terms < FILTER_TERMS / 2) {
        put(w, roll(2) ? " " : " AND ");
        is &= write_any(w, depth);
    }
    return is;
}

static struct thing some_thing(void)
{
    struct thing thing = {
        .name = words[roll(WORDS)],
        .n_tags = roll(3),
        .count = (int64_t)roll(7) - 3,
        .time_us = 1323435000000000 + roll(7),
        .state = 1 + roll(3),
    };
    for (size_t i = 0; i < thing.n_tags; i++)
        thing.tags[i] = words[roll(WORDS)];
    thing.nanos = ((int32_t)roll(7) - 3) * 100000000;
    return thing;
}

START_TEST(verdicts_are_those_of_an_evaluator_that_shares_nothing)
{
    int yes = 0;
    begin();
    for (int i = 0; i < 20000; i++) {
        struct thing thing = some_thing();
        struct writer w = { .thing = &thing };
        struct arena_mark mark = arena_mark(&call->arena);
        bool is = write_all(&w, 4);
        ck_assert_msg(filter_judge(read(w.text), get, &thing) == (is ? FILTER_YES : FILTER_NO), "%s", w.text);
        arena_rewind(&call->arena, mark);
        yes += is;
    }
    ck_assert_int_gt(yes, 4000);
    ck_assert_int_lt(yes, 16000);
    end();
}
END_TEST

/* Either it is read and can be judged, or it is refused within the text. */
static void ck_survives(const char *text)
{
    const struct filter *filter = NULL;
    struct arena_mark mark = arena_mark(&call->arena);
    int r = filter_parse(call, text, fields, &filter);
    if (r < 0) {
        ck_assert_int_eq(r, -EPROTO);
        ck_assert_str_eq(call->error.reason, "FILTER_INVALID");
        ck_assert_int_ge(atoi(call->error.meta[0].value), 1);
        ck_assert_int_le(atoi(call->error.meta[0].value), (int)strlen(text) + 1);
    } else {
        int64_t min = INT64_MIN, max = INT64_MAX;
        filter_judge(filter, get, &lamp);
        filter_only_text(filter, NAME);
        filter_range(filter, COUNT, &min, &max);
    }
    arena_rewind(&call->arena, mark);
}

START_TEST(whatever_bytes_come_nothing_breaks)
{
    static const char *const pieces[] = {
        "name", "count", "state", "tags.text", "(", ")",  " ",     "AND",  "OR",   "NOT",       "-",         "=",
        ":",    "<=",    "!=",    "*",         "'", "\"", "\\",    "7",    "12.5", "PENDING",   "2011",      "price",
        ".",    ",",     "\n",    "\xc3\xb6",  "!", ">",  " AND ", " OR ", "x",    "make_time", "2011-12-09"
    };
    begin();
    for (int i = 0; i < 8000; i++) {
        char text[128];
        size_t n = roll(sizeof(text));
        for (size_t k = 0; k < n; k++)
            text[k] = (char)(1 + roll(255));
        text[n] = '\0';
        ck_survives(text);
    }
    for (int i = 0; i < 20000; i++) {
        struct writer w = { 0 };
        for (uint32_t n = roll(24); n > 0; n--)
            put(&w, pieces[roll(sizeof(pieces) / sizeof(pieces[0]))]);
        ck_survives(w.text);
    }
    for (int i = 0; i < 8000; i++) { /* a good one, of which a byte is another */
        struct thing thing = some_thing();
        struct writer w = { .thing = &thing };
        write_all(&w, 3);
        w.text[roll((uint32_t)w.len)] = roll(2) ? pieces[roll(20)][0] : (char)(1 + roll(255));
        ck_survives(w.text);
    }
    end();
}
END_TEST

SUITE("filter", 60, a_filter_says_what_is_so, what_is_no_filter_is_refused_saying_where_and_why,
      what_is_too_much_is_refused, without_what_is_repeated_it_may_be_that_nothing_else_is_wanted,
      what_can_be_looked_for_is_told, verdicts_are_those_of_an_evaluator_that_shares_nothing,
      whatever_bytes_come_nothing_breaks)
