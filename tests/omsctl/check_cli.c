/* Tests of the command line: what is found in it, and what is refused before anything is sent. */
#include "omsctl/cli.h"

#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int run_nothing(struct ctl *ctl)
{
    return CTL_OK;
}

static const struct flag place_flags[] = {
    { "customer", "ID", "TEST_CUSTOMER", "whose" },
    { "watch", NULL, NULL, "stay" },
    { "limit", "N", NULL, "how many" },
    {},
};
static const struct command commands[] = {
    { "order place", "SKU…", "Places.", run_nothing, place_flags, 1, 3 },
    { "order", "ID", "Shows.", run_nothing, NULL, 1, 1 },
    { "token", "", "Makes.", run_nothing, NULL, 0, 0 },
    {},
};

static struct ctl ctl;

#define PARSE(...) \
    parse((int)(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)) + 1, (char *[]){ "omsctl", __VA_ARGS__, NULL })

static int parse(int argc, char **argv)
{
    ctl = (struct ctl){ 0 };
    return cli_parse(&ctl, commands, argc, argv);
}

START_TEST(words_name_the_command_and_flags_stand_anywhere)
{
    ck_assert_int_eq(PARSE("order", "place", "--watch", "A=1", "--customer", "ada", "B"), 0);
    ck_assert_str_eq(ctl.command->name, "order place");
    ck_assert_int_eq(ctl.n_args, 2);
    ck_assert_str_eq(ctl.args[0], "A=1");
    ck_assert_str_eq(ctl.args[1], "B");
    ck_assert_str_eq(cli_flag(&ctl, "customer"), "ada");
    ck_assert_ptr_nonnull(cli_flag(&ctl, "watch"));
    ck_assert_ptr_null(cli_flag(&ctl, "limit"));
    cli_finish(&ctl);

    ck_assert_int_eq(PARSE("order", "ord_1", "-o=json"), 0);
    ck_assert_str_eq(ctl.command->name, "order");
    ck_assert_str_eq(ctl.args[0], "ord_1");
    ck_assert(ctl.json);
    cli_finish(&ctl);
}
END_TEST

START_TEST(behind_two_dashes_everything_is_an_argument)
{
    ck_assert_int_eq(PARSE("order", "place", "--", "-5", "--watch"), 0);
    ck_assert_int_eq(ctl.n_args, 2);
    ck_assert_str_eq(ctl.args[0], "-5");
    ck_assert_ptr_null(cli_flag(&ctl, "watch"));
    cli_finish(&ctl);
}
END_TEST

static void expect_usage(int result)
{
    ck_assert_int_eq(result, -EINVAL);
    cli_finish(&ctl);
}

START_TEST(what_cannot_be_is_refused)
{
    expect_usage(PARSE("order", "place"));
    expect_usage(PARSE("order", "place", "A", "B", "C", "D"));
    expect_usage(PARSE("order", "place", "A", "--unknown"));
    expect_usage(PARSE("order", "place", "A", "--customer"));
    expect_usage(PARSE("order", "place", "A", "--watch=yes"));
    expect_usage(PARSE("token", "--watch"));
    expect_usage(PARSE("token", "-o", "xml"));
    expect_usage(PARSE("nonsense"));
}
END_TEST

START_TEST(help_is_no_error)
{
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout)); /* what it prints is no TAP */
    ck_assert_int_eq(PARSE("--help"), 1);
    cli_finish(&ctl);
    ck_assert_int_eq(PARSE("order", "place", "--help"), 1);
    cli_finish(&ctl);
}
END_TEST

START_TEST(a_flag_wins_over_the_environment)
{
    setenv("TEST_CUSTOMER", "ben", 1);
    ck_assert_int_eq(PARSE("order", "place", "A"), 0);
    ck_assert_str_eq(cli_flag(&ctl, "customer"), "ben");
    cli_finish(&ctl);
    ck_assert_int_eq(PARSE("order", "place", "A", "--customer", "ada"), 0);
    ck_assert_str_eq(cli_flag(&ctl, "customer"), "ada");
    cli_finish(&ctl);
}
END_TEST

START_TEST(numbers_have_their_range)
{
    int64_t n = -7;
    ck_assert_int_eq(PARSE("order", "place", "A", "--limit", "12"), 0);
    ck_assert_int_eq(cli_number(&ctl, "limit", 0, 100, 50, &n), 0);
    ck_assert_int_eq(n, 12);
    ck_assert_int_eq(cli_number(&ctl, "limit", 0, 10, 50, &n), -EINVAL);
    cli_finish(&ctl);
    ck_assert_int_eq(PARSE("order", "place", "A", "--limit", "12x"), 0);
    ck_assert_int_eq(cli_number(&ctl, "limit", 0, 100, 50, &n), -EINVAL);
    cli_finish(&ctl);
    ck_assert_int_eq(PARSE("order", "place", "A"), 0);
    ck_assert_int_eq(cli_number(&ctl, "limit", 0, 100, 50, &n), 0);
    ck_assert_int_eq(n, 50);
    cli_finish(&ctl);
}
END_TEST

START_TEST(durations_have_units)
{
    int64_t us;
    ck_assert_int_eq(cli_duration("1500ms", &us), 0);
    ck_assert_int_eq(us, 1500000);
    ck_assert_int_eq(cli_duration("7d", &us), 0);
    ck_assert_int_eq(us, INT64_C(7) * 86400 * 1000000);
    ck_assert_int_eq(cli_duration("10", &us), -EINVAL);
    ck_assert_int_eq(cli_duration("-1s", &us), -EINVAL);
    ck_assert_int_eq(cli_duration("s", &us), -EINVAL);
    ck_assert_int_eq(cli_duration("99999999999999d", &us), -EINVAL);
}
END_TEST

START_TEST(what_dev_up_left_is_found_from_below_and_yields_to_the_environment)
{
    char dir[] = "/tmp/check_cli_XXXXXX", path[128];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/.dev", dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/.dev/omsctl.env", dir);
    FILE *file = fopen(path, "w");
    fputs("# a comment\nOMSCTL_SERVER=127.0.0.1:7443\nOMSCTL_CA=/from/file\n", file);
    fclose(file);
    snprintf(path, sizeof(path), "%s/below", dir);
    mkdir(path, 0700);
    ck_assert_int_eq(chdir(path), 0);
    unsetenv("OMS_DEV_DIR");
    unsetenv("OMSCTL_SERVER");
    setenv("OMSCTL_CA", "/from/environment", 1);
    cli_defaults();
    ck_assert_str_eq(getenv("OMSCTL_SERVER"), "127.0.0.1:7443");
    ck_assert_str_eq(getenv("OMSCTL_CA"), "/from/environment");
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(path, sizeof(path), "%s/.dev/omsctl.env", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/.dev", dir);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/below", dir);
    rmdir(path);
    rmdir(dir);
}
END_TEST

SUITE("omsctl command line", 30, words_name_the_command_and_flags_stand_anywhere,
      behind_two_dashes_everything_is_an_argument, what_cannot_be_is_refused, help_is_no_error,
      a_flag_wins_over_the_environment, numbers_have_their_range, durations_have_units,
      what_dev_up_left_is_found_from_below_and_yields_to_the_environment)
