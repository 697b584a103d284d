/* Paths of plain HTTP: what each asks for, and that none asks for two things. */
#include "gateway/rest_route.h"
#include "tests/suite.h"

#include "api.h"
#include "mesh/v1/options.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct server anything;
static const struct route_own none[] = {
    { "/oms.storefront.v1.StorefrontService/GetOrderOverview", &anything + 1 },
    { "/oms.storefront.v1.StorefrontService/GetProductPage", &anything + 1 },
    { 0 },
};
static struct routes *routes;
static struct rest_routes *rest;

static void open_routes(void)
{
    routes = routes_create(schema_builtin(), &anything, none);
    rest = rest_routes_create(schema_builtin(), routes);
    ck_assert_ptr_nonnull(rest);
}

static void close_routes(void)
{
    rest_routes_destroy(rest);
    routes_destroy(routes);
}

static bool find(const char *verb, const char *path, struct rest_match *ret_match)
{
    return rest_find(rest, verb, strlen(verb), path, strlen(path), ret_match);
}

START_TEST(verb_and_path_name_a_method)
{
    static const struct {
        const char *verb, *path, *method, *field, *value;
    } rows[] = {
        { "POST", "/v1/orders", "PlaceOrder", NULL, NULL },
        { "GET", "/v1/orders", "ListOrders", NULL, NULL },
        { "GET", "/v1/orders:batchGet", "BatchGetOrders", NULL, NULL },
        { "GET", "/v1/orders/ord_1", "GetOrder", "order_id", "ord_1" },
        { "GET", "/v1/orders/a%2Fb%3Ac", "GetOrder", "order_id", "a%2Fb%3Ac" },
        { "POST", "/v1/orders/ord_1:cancel", "CancelOrder", "order_id", "ord_1" },
        { "GET", "/v1/orders/ord_1:explain", "ExplainOrder", "order_id", "ord_1" },
        { "GET", "/v1/ledger/entries", "ListLedgerEntries", NULL, NULL },
    };
    struct rest_match match;
    open_routes();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(find(rows[i].verb, rows[i].path, &match), "row %zu", i);
        ck_assert_str_eq(match.route->method->name, rows[i].method);
        ck_assert_uint_eq(match.n, rows[i].field ? 1 : 0);
        if (!rows[i].field)
            continue;
        ck_assert_uint_eq(match.fields[0].field_len, strlen(rows[i].field));
        ck_assert_mem_eq(match.fields[0].field, rows[i].field, strlen(rows[i].field));
        ck_assert_uint_eq(match.fields[0].value.len, strlen(rows[i].value));
        ck_assert_mem_eq(match.fields[0].value.data, rows[i].value, strlen(rows[i].value));
    }
    close_routes();
}
END_TEST

START_TEST(what_is_no_path_of_ours_names_none)
{
    static const char *const rows[] = {
        "",
        "/",
        "v1/orders",
        "/v1",
        "/v1/",
        "/v1/orders/",
        "/v1//orders",
        "/v1/orders/ord_1/",
        "/v1/orders/:cancel",
        "/v1/orders/ord_1:",
        "/v1/orders/ord_1:cance",
        "/v1/orders/ord_1:cancels",
        "/v1/orders/ord_1:x:cancel",
        "/v1/orders:",
        "/V1/orders",
        "/v1/orders/a/b/c/d/e/f/g/h/i/j",
    };
    struct rest_match match;
    char allow[REST_ALLOW];
    open_routes();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(!find("GET", rows[i], &match) && !find("POST", rows[i], &match), "row %zu", i);
        ck_assert(!rest_allow(rest, rows[i], strlen(rows[i]), allow));
    }
    ck_assert(!find("POST", "/v1/orders/ord_1", &match));
    ck_assert(!find("get", "/v1/orders/ord_1", &match));
    ck_assert(rest_allow(rest, "/v1/orders/ord_1", 16, allow));
    ck_assert_str_eq(allow, "GET");
    ck_assert(rest_allow(rest, "/v1/orders", 10, allow));
    ck_assert_str_eq(allow, "GET, POST");
    close_routes();
}
END_TEST

/* What people and systems outside may call at all, and that is no stream. */
static bool is_public(const struct schema_method *method)
{
    uint32_t outside = method->allow & ~ROLE_BIT(MESH__V1__ROLE__SERVICE);
    return strncmp(method->service, "oms.", 4) == 0 && outside && !method->client_streaming &&
           !method->server_streaming;
}

START_TEST(every_public_method_has_a_path_and_what_changes_nothing_is_asked_by_get)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema_builtin(), &methods);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(is_public(&methods[i]) == (methods[i].http_path != NULL), "%s", methods[i].full_name);
        if (methods[i].http_path)
            ck_assert_msg(!methods[i].mutates == (strcmp(methods[i].http_verb, "GET") == 0), "%s",
                          methods[i].full_name);
    }
}
END_TEST

/* Each segment that is a field put in, so that a path of the template comes out. */
static void path_of(const char *template, const char *value, char *ret_path)
{
    while (*template) {
        const char *close = *template == '{' ? strchr(template, '}') : NULL;
        ret_path = close ? stpcpy(ret_path, value) : (*ret_path = *template, ret_path + 1);
        template = close ? close + 1 : template + 1;
    }
    *ret_path = '\0';
}

START_TEST(no_path_asks_for_two_methods)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema_builtin(), &methods);
    static const char *const values[] = { "x", "orders", "entries", "ledger", "a%3Acancel" };
    open_routes();
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; methods[i].http_path && j < sizeof(values) / sizeof(values[0]); j++) {
            struct rest_match match;
            char path[256];
            path_of(methods[i].http_path, values[j], path);
            ck_assert(find(methods[i].http_verb, path, &match));
            ck_assert_ptr_eq(match.route->method, &methods[i]);
        }
    close_routes();
}
END_TEST

/* --- templates that are not ours: a service of two methods beside the real descriptors --- */

static size_t put(uint8_t *to, uint32_t number, const void *data, size_t len)
{
    size_t n = 0;
    for (uint64_t v = (uint64_t)number << 3 | 2, i = 0; i < 2; i++, v = len) {
        for (; v > 127; v >>= 7)
            to[n++] = (uint8_t)(v | 128);
        to[n++] = (uint8_t)v;
    }
    memcpy(to + n, data, len);
    return n + len;
}

/* The built-in set with "oms.order.test.T", whose methods take GetOrderRequest and have these rules. */
static struct schema *schema_with(const struct bytes *rules, size_t n_rules)
{
    uint8_t *set = malloc(api_descriptors_len + 4096), file[2048], service[1024], method[512], options[256];
    size_t n_file = put(file, 1, "t.proto", 7), n_service = put(service, 1, "T", 1);
    n_file += put(file + n_file, 2, "oms.order.test", 14);
    for (size_t i = 0; i < n_rules; i++) {
        char name[] = { (char)('A' + i) };
        size_t n_method = put(method, 1, name, 1), n_options = put(options, 72295728, rules[i].data, rules[i].len);
        n_method += put(method + n_method, 2, ".oms.order.v1.GetOrderRequest", 29);
        n_method += put(method + n_method, 3, ".oms.order.v1.GetOrderResponse", 30);
        n_method += put(method + n_method, 4, options, n_options);
        n_service += put(service + n_service, 2, method, n_method);
    }
    n_file += put(file + n_file, 6, service, n_service);
    memcpy(set, api_descriptors, api_descriptors_len);
    size_t len = api_descriptors_len + put(set + api_descriptors_len, 1, file, n_file);
    struct schema *schema = schema_open((struct bytes){ set, len });
    free(set);
    return schema;
}

static bool is_understood(const char *one, const char *two)
{
    uint8_t first[256], second[256];
    struct bytes rules[] = { { first, put(first, 2, one, strlen(one)) },
                             { second, two ? put(second, 2, two, strlen(two)) : 0 } };
    struct schema *schema = schema_with(rules, two ? 2 : 1);
    ck_assert_ptr_nonnull(schema);
    struct routes *all = routes_create(schema, &anything, none);
    struct rest_routes *made = rest_routes_create(schema, all);
    rest_routes_destroy(made);
    routes_destroy(all);
    schema_close(schema);
    return made;
}

START_TEST(a_template_that_is_not_understood_is_refused_at_the_start)
{
    static const char *const bad[] = {
        "",
        "v2/x",
        "/v2/",
        "/v2//x",
        "/v2/{}",
        "/v2/{nothing}",
        "/v2/{order_id",
        "/v2/{order_id=*}",
        "/v2/**",
        "/v2/x:",
        "/v2/x:{order_id}",
        "/v2/x{order_id}",
        "/v2/a b",
        "/v2/a?b",
        "/1/2/3/4/5/6/7/8/9",
    };
    ck_assert(is_understood("/v2/x", NULL));
    ck_assert(is_understood("/v2/{order_id}:y", NULL));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!is_understood(bad[i], NULL), "%s", bad[i]);
}
END_TEST

START_TEST(two_templates_of_the_same_paths_are_refused_at_the_start)
{
    ck_assert(is_understood("/v2/{order_id}", "/v2/x"));
    ck_assert(is_understood("/v2/{order_id}:y", "/v2/{order_id}"));
    ck_assert(!is_understood("/v2/x", "/v2/x"));
    ck_assert(!is_understood("/v2/{order_id}", "/v2/{channel}"));
    ck_assert(!is_understood("/v1/orders/{external_id}", NULL));
}
END_TEST

START_TEST(a_literal_goes_before_a_field)
{
    struct bytes rules[] = { { (const uint8_t *)"\x12\x0e/v2/{order_id}", 16 },
                             { (const uint8_t *)"\x12\x05/v2/x", 7 } };
    struct schema *schema = schema_with(rules, 2);
    ck_assert_ptr_nonnull(schema);
    struct routes *all = routes_create(schema, &anything, none);
    struct rest_routes *made = rest_routes_create(schema, all);
    struct rest_match match;
    ck_assert_ptr_nonnull(made);
    ck_assert(rest_find(made, "GET", 3, "/v2/x", 5, &match));
    ck_assert_str_eq(match.route->method->name, "B");
    ck_assert(rest_find(made, "GET", 3, "/v2/y", 5, &match));
    ck_assert_str_eq(match.route->method->name, "A");
    rest_routes_destroy(made);
    routes_destroy(all);
    schema_close(schema);
}
END_TEST

START_TEST(what_is_not_known_of_a_rule_breaks_the_schema)
{
    static const struct bytes rules[] = {
        { (const uint8_t *)"\x12\x05/v2/x\x3a\x01*", 10 },     /* a GET with a body */
        { (const uint8_t *)"\x22\x05/v2/x", 7 },               /* a POST without one */
        { (const uint8_t *)"\x22\x05/v2/x\x3a\x05order", 14 }, /* one that is a field */
        { (const uint8_t *)"\x2a\x05/v2/x", 7 },               /* DELETE */
        { (const uint8_t *)"\x12\x05/v2/x\x5a\x00", 9 },       /* additional_bindings */
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        ck_assert_msg(!schema_with(&rules[i], 1), "row %zu", i);
}
END_TEST

SUITE("rest_route", 60, verb_and_path_name_a_method, what_is_no_path_of_ours_names_none,
      every_public_method_has_a_path_and_what_changes_nothing_is_asked_by_get, no_path_asks_for_two_methods,
      a_template_that_is_not_understood_is_refused_at_the_start,
      two_templates_of_the_same_paths_are_refused_at_the_start, a_literal_goes_before_a_field,
      what_is_not_known_of_a_rule_breaks_the_schema)
