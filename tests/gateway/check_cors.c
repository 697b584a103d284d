/* What a browser is told of who may call from its pages. */
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include <string.h>

#define PREFLIGHT \
    ":method: OPTIONS\naccess-control-request-method: POST\n" \
    "access-control-request-headers: authorization,connect-protocol-version\n"

static struct stage stage;

static void open_stage(const char *origins)
{
    stage_open(&stage, 0);
    stage.gateway->options.cors_origins = origins;
}

static struct call *ask(const char *content, const char *extra)
{
    struct call *call = web_call(stage_client(&stage), GET, content, extra);
    call_put(call, "{}", strstr(extra, "OPTIONS") ? 0 : 2);
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

static void expect_nothing(const struct call *call)
{
    ck_assert_ptr_null(strstr(call->head, "access-control-"));
}

START_TEST(without_the_option_no_page_may_call)
{
    open_stage("");
    struct call *call = ask("application/json", PREFLIGHT "origin: https://shop.example\n");
    ck_assert_str_eq(call_field(call, ":status"), "204");
    expect_nothing(call);
    expect_nothing(ask("application/json", "origin: https://shop.example\n"));
    stage_close(&stage);
}
END_TEST

START_TEST(a_page_of_ours_is_told_that_it_may_call)
{
    open_stage("https://other.example,https://shop.example");
    struct call *call = ask("application/json", PREFLIGHT "origin: https://shop.example\n");
    ck_assert_str_eq(call_field(call, ":status"), "204");
    ck_assert_str_eq(call_field(call, "access-control-allow-origin"), "https://shop.example");
    ck_assert_str_eq(call_field(call, "access-control-allow-headers"), "authorization,connect-protocol-version");
    ck_assert_ptr_nonnull(strstr(call_field(call, "access-control-allow-methods"), "POST"));
    ck_assert_str_eq(call_field(call, "access-control-max-age"), "7200");
    ck_assert_str_eq(call_field(call, "vary"), "origin");
    ck_assert_str_eq(call_field(call, "access-control-allow-credentials"), "");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_page_of_somebody_elses_is_told_nothing)
{
    static const char *const others[] = { "origin: https://shop.example.evil\n", "origin: https://shop.exampl\n",
                                          "origin: http://shop.example\n",       "origin: null\n",
                                          "origin: https://SHOP.example\n",      "origin: https://shop.example,x\n" };
    open_stage("https://shop.example");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char extra[512] = PREFLIGHT;
        expect_nothing(ask("application/json", strcat(extra, others[i])));
        expect_nothing(ask("application/json", others[i]));
    }
    stage_close(&stage);
}
END_TEST

START_TEST(an_answer_says_what_the_page_may_read_of_it)
{
    open_stage("https://shop.example");
    struct call *call = ask("application/json", "origin: https://shop.example\n"); /* it has no token */
    ck_assert_str_eq(call_field(call, ":status"), "401");
    ck_assert_str_eq(call_field(call, "access-control-allow-origin"), "https://shop.example");
    ck_assert_ptr_nonnull(strstr(call_field(call, "access-control-expose-headers"), "content-type"));
    call = ask("application/nonsense", "origin: https://shop.example\n");
    ck_assert_str_eq(call_field(call, ":status"), "415");
    ck_assert_str_eq(call_field(call, "access-control-allow-origin"), "https://shop.example");
    stage_close(&stage);
}
END_TEST

START_TEST(a_star_is_everybody)
{
    open_stage("*");
    struct call *call = ask("application/grpc-web", PREFLIGHT "origin: null\n");
    ck_assert_str_eq(call_field(call, "access-control-allow-origin"), "*");
    expect_nothing(ask("application/json", PREFLIGHT)); /* no page */
    stage_close(&stage);
}
END_TEST

SUITE("cors", 30, without_the_option_no_page_may_call, a_page_of_ours_is_told_that_it_may_call,
      a_page_of_somebody_elses_is_told_nothing, an_answer_says_what_the_page_may_read_of_it, a_star_is_everybody)
