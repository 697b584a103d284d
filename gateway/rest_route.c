/* Paths cut into segments, compared with templates that are cut likewise and stand in the order of preference. */
#include "gateway/rest_route.h"

#include "mesh/rpc/types.h"

#include <stdlib.h>
#include <string.h>

struct segment {
    const char *text;
    size_t len;
    bool field;
};

struct cut {
    struct segment segments[REST_SEGMENTS];
    size_t n;
    struct segment verb; /* len 0: none */
};

struct row {
    struct route *route;
    struct cut cut;
};

struct rest_routes {
    struct row *rows;
    size_t n;
};

/* False: it does not begin with "/", or has too many segments. */
static bool cut_path(const char *path, size_t len, struct cut *ret_cut)
{
    const char *end = path + len;
    *ret_cut = (struct cut){ 0 };
    while (path < end && *path == '/') {
        const char *slash = memchr(path + 1, '/', (size_t)(end - path - 1)), *to = slash ? slash : end;
        if (ret_cut->n == REST_SEGMENTS)
            return false;
        ret_cut->segments[ret_cut->n++] = (struct segment){ path + 1, (size_t)(to - path - 1), false };
        path = to;
    }
    if (ret_cut->n == 0 || path < end)
        return false;
    struct segment *last = &ret_cut->segments[ret_cut->n - 1];
    const char *colon = memrchr(last->text, ':', last->len);
    if (!colon)
        return true;
    ret_cut->verb = (struct segment){ colon, (size_t)(last->text + last->len - colon), false };
    last->len = (size_t)(colon - last->text);
    return !memchr(last->text, ':', last->len);
}

static bool same(const struct segment *a, const struct segment *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

static bool matches(const struct cut *template, const struct cut *path)
{
    if (template->n != path->n || !same(&template->verb, &path->verb))
        return false;
    for (size_t i = 0; i < path->n; i++)
        if (template->segments[i].field ? path->segments[i].len == 0
                                        : !same(&template->segments[i], &path->segments[i]))
            return false;
    return true;
}

/* --- making them --- */

static bool is_literal(const struct segment *segment)
{
    for (size_t i = 0; i < segment->len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:", segment->text[i]))
            return false;
    return segment->len > 0;
}

static bool is_string_of(const struct schema_message *type, const struct segment *segment)
{
    for (size_t i = 0; type && i < type->n_fields; i++) {
        const struct schema_field *field = &type->fields[i];
        if (strlen(field->name) == segment->len && memcmp(field->name, segment->text, segment->len) == 0)
            return field->type == TYPE_STRING && !field->repeated;
    }
    return false;
}

static bool cut_template(const struct schema *schema, const struct schema_method *method, struct cut *ret_cut)
{
    if (!cut_path(method->http_path, strlen(method->http_path), ret_cut))
        return false;
    for (size_t i = 0; i < ret_cut->n; i++) {
        struct segment *segment = &ret_cut->segments[i];
        segment->field = segment->len > 2 && segment->text[0] == '{' && segment->text[segment->len - 1] == '}';
        if (segment->field) {
            segment->text++;
            segment->len -= 2;
        }
        if (segment->field ? !is_string_of(schema_message(schema, method->input), segment) : !is_literal(segment))
            return false;
    }
    return ret_cut->verb.len == 0 || (ret_cut->verb.len > 1 && is_literal(&ret_cut->verb));
}

/* Literals first, from the left; 0: the same paths match both. */
static int compare(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->cut.n != y->cut.n)
        return x->cut.n < y->cut.n ? -1 : 1;
    for (size_t i = 0; i < x->cut.n; i++) {
        const struct segment *s = &x->cut.segments[i], *t = &y->cut.segments[i];
        if (s->field != t->field)
            return s->field ? 1 : -1;
        if (s->field || same(s, t))
            continue;
        int r = memcmp(s->text, t->text, s->len < t->len ? s->len : t->len);
        return r ? r : s->len < t->len ? -1 : 1;
    }
    if (!same(&x->cut.verb, &y->cut.verb)) {
        const struct segment *s = &x->cut.verb, *t = &y->cut.verb;
        int r = s->len && t->len ? memcmp(s->text, t->text, s->len < t->len ? s->len : t->len) : 0;
        return r ? r : s->len < t->len ? -1 : 1;
    }
    return strcmp(x->route->method->http_verb, y->route->method->http_verb);
}

static bool fill(struct rest_routes *rest, const struct schema *schema, const struct routes *routes)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema, &methods);
    rest->rows = calloc(n ? n : 1, sizeof(*rest->rows));
    for (size_t i = 0; rest->rows && i < n; i++) {
        struct route *route =
            methods[i].http_path ? routes_find(routes, methods[i].full_name, strlen(methods[i].full_name)) : NULL;
        if (!route)
            continue;
        rest->rows[rest->n].route = route;
        if (!cut_template(schema, &methods[i], &rest->rows[rest->n++].cut))
            return false;
    }
    if (rest->rows)
        qsort(rest->rows, rest->n, sizeof(*rest->rows), compare);
    for (size_t i = 1; i < rest->n; i++)
        if (compare(&rest->rows[i - 1], &rest->rows[i]) == 0)
            return false;
    return rest->rows;
}

struct rest_routes *rest_routes_create(const struct schema *schema, const struct routes *routes)
{
    struct rest_routes *rest = calloc(1, sizeof(*rest));
    if (!rest || fill(rest, schema, routes))
        return rest;
    rest_routes_destroy(rest);
    return NULL;
}

void rest_routes_destroy(struct rest_routes *routes)
{
    if (!routes)
        return;
    free(routes->rows);
    free(routes);
}

/* --- finding one --- */

bool rest_find(const struct rest_routes *routes, const char *verb, size_t verb_len, const char *path, size_t len,
               struct rest_match *ret_match)
{
    struct cut cut;
    if (!cut_path(path, len, &cut))
        return false;
    for (size_t i = 0; i < routes->n; i++) {
        const struct row *row = &routes->rows[i];
        const char *wanted = row->route->method->http_verb;
        if (strlen(wanted) != verb_len || memcmp(wanted, verb, verb_len) != 0 || !matches(&row->cut, &cut))
            continue;
        *ret_match = (struct rest_match){ .route = row->route };
        for (size_t j = 0; j < cut.n; j++) {
            if (!row->cut.segments[j].field)
                continue;
            ret_match->fields[ret_match->n].field = row->cut.segments[j].text;
            ret_match->fields[ret_match->n].field_len = row->cut.segments[j].len;
            ret_match->fields[ret_match->n++].value =
                (struct bytes){ (const uint8_t *)cut.segments[j].text, cut.segments[j].len };
        }
        return true;
    }
    return false;
}

bool rest_allow(const struct rest_routes *routes, const char *path, size_t len, char ret_allow[REST_ALLOW])
{
    struct rest_match match;
    bool get = rest_find(routes, "GET", 3, path, len, &match), post = rest_find(routes, "POST", 4, path, len, &match);
    strcpy(ret_allow, get && post ? "GET, POST" : get ? "GET" : post ? "POST" : "");
    return get || post;
}
