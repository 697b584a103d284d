/* Filters read: the grammar of AIP-160, by recursive descent. */
#include "mesh/rpc/filter_tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SPACES " \t\r\n"

struct parser {
    struct rpc_call *call;
    const struct filter_field *fields;
    const char *text, *at;
    const struct filter *asked; /* the field and operator whose values stand in parentheses */
    int depth, terms;
};

/* --- errors --- */

static int __attribute__((format(printf, 3, 4))) fail(struct parser *p, const char *at, const char *format, ...)
{
    char position[24];
    size_t n = 1;
    for (const char *c = p->text; c < at; c++)
        n += ((unsigned char)*c & 0xc0) != 0x80;
    snprintf(position, sizeof(position), "%zu", n);
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(rpc_arena(p->call), format, args);
    va_end(args);
    if (!message)
        return -ENOMEM;
    int r = rpc_fail_field(p->call, "filter", "FILTER_INVALID", "at %s: %s", position, message);
    rpc_error_meta(p->call, "position", position);
    return r;
}

static const char *names_of(struct parser *p)
{
    const char *names = p->fields->name;
    for (const struct filter_field *f = p->fields + 1; names && f->name; f++)
        names = arena_printf(rpc_arena(p->call), "%s, %s", names, f->name);
    return names ? names : "";
}

/* --- words --- */

static bool skip_spaces(struct parser *p)
{
    size_t n = strspn(p->at, SPACES);
    p->at += n;
    return n > 0;
}

static bool is_end(char c)
{
    return c == '\0' || c == '(' || c == ')' || strchr(SPACES, c);
}

/* AND, OR or NOT, which is a word of its own. */
static bool is_keyword(const struct parser *p, const char *keyword)
{
    size_t n = strlen(keyword);
    return strncmp(p->at, keyword, n) == 0 && is_end(p->at[n]);
}

static bool take_keyword(struct parser *p, const char *keyword)
{
    bool is = is_keyword(p, keyword);
    if (is)
        p->at += strlen(keyword);
    return is;
}

static bool is_any_keyword(const struct parser *p)
{
    return is_keyword(p, "AND") || is_keyword(p, "OR") || is_keyword(p, "NOT");
}

/* Cuts n bytes at their wildcards; an escape stands before what has no meaning of its own. */
static int cut(struct parser *p, const char *from, size_t n, bool escapes, struct filter_value *ret_value)
{
    struct arena *arena = rpc_arena(p->call);
    size_t stars = 0;
    for (size_t i = 0; i < n; i++)
        stars += from[i] == '*';
    char *out = arena_alloc(arena, n + 1);
    const char **parts = arena_alloc(arena, (stars + 1) * sizeof(*parts));
    if (!out || !parts)
        return -ENOMEM;

    *ret_value = (struct filter_value){ 1, parts };
    parts[0] = out;
    for (size_t i = 0; i < n; i++) {
        if (from[i] == '*') {
            *out++ = '\0';
            parts[ret_value->n++] = out;
            continue;
        }
        i += escapes && from[i] == '\\';
        *out++ = from[i];
    }
    *out = '\0';
    return 0;
}

static int take_quoted(struct parser *p, struct filter_value *ret_value)
{
    const char *open = p->at, *c = open + 1;
    for (; *c != *open; c++) {
        if (*c == '\\')
            c++;
        if (*c == '\0')
            return fail(p, open, "the quote is not closed");
    }
    p->at = c + 1;
    return cut(p, open + 1, (size_t)(c - open - 1), true, ret_value);
}

/* How long the word is that begins here: a value's may have a colon, as times do. */
static size_t word_length(const char *at, bool is_value)
{
    return strcspn(at, is_value ? SPACES "()\"',=!<>" : SPACES "()\"',=!<>:");
}

static int take_value(struct parser *p, struct filter_value *ret_value)
{
    if (*p->at == '"' || *p->at == '\'')
        return take_quoted(p, ret_value);
    const char *word = p->at;
    size_t n = word_length(word, true);
    if (n == 0 || is_any_keyword(p))
        return fail(p, word, "a value is expected");
    if (word[n] == '(')
        return fail(p, word, "there are no functions");
    p->at += n;
    return cut(p, word, n, false, ret_value);
}

static bool take_operator(struct parser *p, enum filter_operator *ret_op)
{
    static const struct {
        const char *text;
        enum filter_operator op;
    } operators[] = {
        { "<=", FILTER_AT_MOST }, { ">=", FILTER_AT_LEAST }, { "!=", FILTER_IS_NOT }, { "<", FILTER_BELOW },
        { ">", FILTER_ABOVE },    { "=", FILTER_IS },        { ":", FILTER_HAS },
    };
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t n = strlen(operators[i].text);
        if (strncmp(p->at, operators[i].text, n) != 0)
            continue;
        p->at += n;
        *ret_op = operators[i].op;
        return true;
    }
    return false;
}

/* --- terms --- */

static struct filter *new_node(struct parser *p, enum filter_kind kind)
{
    struct filter *node = arena_zalloc(rpc_arena(p->call), sizeof(*node));
    if (node)
        node->kind = kind;
    return node;
}

/* What has one operand is what that is. */
static void alone(struct filter **node)
{
    if ((*node)->first && !(*node)->first->next)
        *node = (*node)->first;
}

static int make_term(struct parser *p, const struct filter *asked, const char *at, const struct filter_value *value,
                     struct filter **ret_term)
{
    if (++p->terms > FILTER_TERMS)
        return fail(p, at, "more than %d comparisons", FILTER_TERMS);
    struct filter *term = *ret_term = new_node(p, FILTER_TERM);
    if (!term)
        return -ENOMEM;
    term->row = asked->row;
    term->field = asked->field;
    term->op = asked->op;
    term->value = *value;
    bool is_star = value->n == 2 && value->parts[0][0] == '\0' && value->parts[1][0] == '\0';
    if (asked->op == FILTER_HAS && is_star) {
        term->op = FILTER_THERE;
        return 0;
    }
    bool has_order = asked->op >= FILTER_BELOW && asked->op <= FILTER_AT_LEAST;
    if (has_order && value->n > 1)
        return fail(p, at, "what has a wildcard has no order");
    const char *wrong = filter_read_value(rpc_arena(p->call), term->row, value, &term->held);
    return wrong ? fail(p, at, "%s", wrong) : 0;
}

/* In any of the fields that such values are looked for. */
static int make_bare(struct parser *p, const char *at, const struct filter_value *value, struct filter **ret_node)
{
    struct filter **last, *any = *ret_node = new_node(p, FILTER_ANY);
    if (!any)
        return -ENOMEM;
    last = &any->first;
    for (const struct filter_field *f = p->fields; f->name; f++) {
        const struct filter asked = { .row = f, .field = (int)(f - p->fields), .op = FILTER_IS };
        int r = f->bare ? make_term(p, &asked, at, value, last) : 0;
        if (r < 0)
            return r;
        if (*last)
            last = &(*last)->next;
    }
    alone(ret_node);
    return any->first ? 0 : fail(p, at, "a value needs a field: %s", names_of(p));
}

static const struct filter_field *find_field(const struct parser *p, const char *name, size_t n)
{
    for (const struct filter_field *f = p->fields; f->name; f++)
        if (strncmp(f->name, name, n) == 0 && f->name[n] == '\0')
            return f;
    return NULL;
}

static int check_operator(struct parser *p, const char *at, const struct filter *asked)
{
    if (asked->row->many && asked->op != FILTER_HAS)
        return fail(p, at, "%s may have several values: ask for one with \":\"", asked->row->name);
    bool is_name = asked->row->type == FILTER_ENUM || asked->row->type == FILTER_BOOL;
    if (is_name && asked->op >= FILTER_BELOW && asked->op <= FILTER_AT_LEAST)
        return fail(p, at, "%s has no order: ask with \"=\" or \"!=\"", asked->row->name);
    return 0;
}

static int parse_composite(struct parser *p, struct filter **ret_node);

/* What stands behind an operator. */
static int parse_argument(struct parser *p, const struct filter *asked, struct filter **ret_node)
{
    const char *at = p->at;
    struct filter_value value;
    if (*at == '(') {
        if (asked->op != FILTER_IS && asked->op != FILTER_HAS)
            return fail(p, at, "several values are asked for with \"=\" or \":\"");
        p->asked = asked;
        int r = parse_composite(p, ret_node);
        p->asked = NULL;
        return r;
    }
    int r = take_value(p, &value);
    return r < 0 ? r : make_term(p, asked, at, &value, ret_node);
}

static int parse_quoted(struct parser *p, struct filter **ret_node)
{
    const char *at = p->at;
    enum filter_operator op;
    struct filter_value value;
    int r = take_quoted(p, &value);
    if (r < 0)
        return r;
    const char *end = p->at;
    skip_spaces(p);
    if (take_operator(p, &op))
        return fail(p, at, "the name of a field has no quotes");
    p->at = end;
    return make_bare(p, at, &value, ret_node);
}

static int parse_restriction(struct parser *p, struct filter **ret_node)
{
    const char *at = p->at;
    if (p->asked)
        return parse_argument(p, p->asked, ret_node);
    if (*at == '"' || *at == '\'')
        return parse_quoted(p, ret_node);
    size_t n = word_length(at, false);
    if (n == 0 || *at == '-' || is_any_keyword(p))
        return fail(p, at, "a field or a value is expected");
    if (at[n] == '(')
        return fail(p, at, "there are no functions");

    struct filter asked = { .row = find_field(p, at, n) };
    p->at += n;
    skip_spaces(p);
    const char *op_at = p->at;
    if (!take_operator(p, &asked.op)) {
        struct filter_value value;
        p->at = at + n;
        int r = cut(p, at, n, false, &value);
        return r < 0 ? r : make_bare(p, at, &value, ret_node);
    }
    if (!asked.row)
        return fail(p, at, "there is no such field; there are %s", names_of(p));
    asked.field = (int)(asked.row - p->fields);
    int r = check_operator(p, op_at, &asked);
    skip_spaces(p);
    return r < 0 ? r : parse_argument(p, &asked, ret_node);
}

/* --- what is made of them --- */

/* Of values in parentheses a - is the first character: -5 is a number there. */
static int parse_term(struct parser *p, struct filter **ret_node)
{
    bool minus = *p->at == '-' && !p->asked, negated = minus || take_keyword(p, "NOT");
    struct filter **inner = ret_node;
    if (minus)
        p->at++;
    else
        skip_spaces(p);
    if (negated) {
        *ret_node = new_node(p, FILTER_NOT);
        if (!*ret_node)
            return -ENOMEM;
        inner = &(*ret_node)->first;
    }
    return *p->at == '(' ? parse_composite(p, inner) : parse_restriction(p, inner);
}

/* term { OR term } */
static int parse_factor(struct parser *p, struct filter **ret_node)
{
    struct filter **last, *any = *ret_node = new_node(p, FILTER_ANY);
    if (!any)
        return -ENOMEM;
    last = &any->first;
    for (;;) {
        int r = parse_term(p, last);
        if (r < 0)
            return r;
        last = &(*last)->next;
        const char *end = p->at;
        if (!skip_spaces(p) || !take_keyword(p, "OR")) {
            p->at = end;
            alone(ret_node);
            return 0;
        }
        skip_spaces(p);
    }
}

/* factor { [AND] factor } */
static int parse_expression(struct parser *p, struct filter **ret_node)
{
    struct filter **last, *all = *ret_node = new_node(p, FILTER_ALL);
    if (!all)
        return -ENOMEM;
    last = &all->first;
    for (;;) {
        int r = parse_factor(p, last);
        if (r < 0)
            return r;
        last = &(*last)->next;
        bool apart = skip_spaces(p);
        if (*p->at == '\0' || *p->at == ')') {
            alone(ret_node);
            return 0;
        }
        if (!apart)
            return fail(p, p->at, "a space is expected");
        if (take_keyword(p, "AND"))
            skip_spaces(p);
    }
}

static int parse_composite(struct parser *p, struct filter **ret_node)
{
    const char *open = p->at++;
    if (++p->depth > FILTER_DEPTH)
        return fail(p, open, "more than %d parentheses deep", FILTER_DEPTH);
    skip_spaces(p);
    int r = parse_expression(p, ret_node);
    if (r < 0)
        return r;
    if (*p->at != ')')
        return fail(p, open, "the parenthesis is not closed");
    p->at++;
    p->depth--;
    return 0;
}

int filter_parse(struct rpc_call *call, const char *text, const struct filter_field *fields,
                 const struct filter **ret_filter)
{
    struct parser p = { .call = call, .fields = fields, .text = text, .at = text };
    struct filter *filter = NULL;
    if (strnlen(text, FILTER_LENGTH + 1) > FILTER_LENGTH)
        return fail(&p, text, "longer than %d bytes", FILTER_LENGTH);
    skip_spaces(&p);
    int r = *p.at ? parse_expression(&p, &filter) : 0;
    if (r == 0 && *p.at == ')')
        r = fail(&p, p.at, "no parenthesis is open");
    if (r == 0)
        *ret_filter = filter;
    return r;
}
