/* Page tokens, whole and forged. */
#include "mesh/rpc/call.h"
#include "tests/suite.h"

#include <string.h>

static struct rpc_call *call;

static void begin(void)
{
    call = calloc(1, sizeof(*call));
    arena_init(&call->arena, 1 << 20);
}

static void end(void)
{
    arena_finish(&call->arena);
    free(call);
}

START_TEST(a_token_gives_back_its_fields)
{
    begin();
    const char *fields[] = { "ord_1", "", "K\xc3\xb6ln" }, *again[3] = { 0 };
    const char *token = rpc_page_token(call, "ListOrders c=1", fields, 3);
    ck_assert_int_eq(rpc_page_open(call, token, "ListOrders c=1", again, 3), 0);
    ck_assert_str_eq(again[0], "ord_1");
    ck_assert_str_eq(again[1], "");
    ck_assert_str_eq(again[2], "K\xc3\xb6ln");
    for (const char *c = token; *c; c++)
        ck_assert(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *c));
    end();
}
END_TEST

START_TEST(no_token_is_the_first_page)
{
    begin();
    const char *fields[2] = { "x", "y" };
    ck_assert_int_eq(rpc_page_open(call, "", "q", fields, 2), 0);
    ck_assert_ptr_null(fields[0]);
    ck_assert_ptr_null(fields[1]);
    end();
}
END_TEST

static void ck_refused(const char *token, const char *query, size_t n)
{
    const char *fields[4];
    ck_assert_int_eq(rpc_page_open(call, token, query, fields, n), -EPROTO);
    ck_assert_int_eq(call->error.code, RPC_INVALID_ARGUMENT);
    ck_assert_str_eq(call->error.reason, "PAGE_TOKEN_INVALID");
    ck_assert_str_eq(call->error.subject, "page_token");
}

START_TEST(a_token_of_another_query_is_refused)
{
    begin();
    const char *fields[] = { "a", "b" };
    const char *token = rpc_page_token(call, "q1", fields, 2);
    ck_refused(token, "q2", 2);
    ck_refused(token, "q1", 1);
    ck_refused(token, "q1", 3);
    end();
}
END_TEST

START_TEST(a_changed_token_is_refused_whatever_was_changed)
{
    begin();
    const char *fields[] = { "sku-1234", "2024" };
    char *token = strdup(rpc_page_token(call, "q", fields, 2));
    for (char *c = token; *c; c++) {
        char was = *c;
        *c = was == 'A' ? 'B' : 'A';
        ck_refused(token, "q", 2);
        *c = '!';
        ck_refused(token, "q", 2);
        *c = was;
    }
    for (size_t n = strlen(token) - 1; n > 0; n--) {
        token[n] = '\0';
        ck_refused(token, "q", 2);
    }
    char long_one[2000];
    memset(long_one, 'A', sizeof(long_one));
    long_one[sizeof(long_one) - 1] = '\0';
    ck_refused(long_one, "q", 2);
    free(token);
    end();
}
END_TEST

SUITE("page", 10, a_token_gives_back_its_fields, no_token_is_the_first_page, a_token_of_another_query_is_refused,
      a_changed_token_is_refused_whatever_was_changed)
