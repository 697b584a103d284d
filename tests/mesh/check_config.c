/* Tests of mesh/base/config.c. */
#include "mesh/base/config.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct option common[] = {
    { "store-path", OPTION_TEXT, "data.db", "where the database is" },
    { "max-queued", OPTION_NUMBER, "4096", "writes that may wait" },
    { "cache", OPTION_BYTES, "64k", "memory for pages" },
    { "grace", OPTION_DURATION, "10s", "time to drain" },
    { "rerun", OPTION_FLAG, "false", "run every unit twice" },
    { 0 },
};
static struct option own[] = { { "currency", OPTION_TEXT, NULL, "of new price lists" }, { 0 } };
static struct option *const tables[] = { common, own, NULL };

#define PARSE(...) \
    ({ \
        char *argv_[] = { "svc", __VA_ARGS__ }; \
        config_parse(tables, "svc", "does things", sizeof(argv_) / sizeof(argv_[0]), argv_); \
    })

/* What the parse said on a descriptor. */
static int saved;
static char path[] = "/tmp/check_config_XXXXXX";
static void catch_output(int fd)
{
    strcpy(path, "/tmp/check_config_XXXXXX");
    fflush(NULL);
    saved = dup(fd);
    int file = mkstemp(path);
    unlink(path);
    dup2(file, fd);
    close(file);
}
static void caught(int fd, char *ret_text, size_t size)
{
    fflush(NULL);
    ssize_t n = pread(fd, ret_text, size - 1, 0);
    ret_text[n > 0 ? n : 0] = '\0';
    dup2(saved, fd);
    close(saved);
}

START_TEST(without_anything_the_defaults_hold)
{
    char *argv[] = { "svc" };
    ck_assert_int_eq(config_parse(tables, "svc", "", 1, argv), 0);
    ck_assert_str_eq(config_text(tables, "store-path"), "data.db");
    ck_assert_int_eq(config_number(tables, "max-queued"), 4096);
    ck_assert_int_eq(config_number(tables, "cache"), 65536);
    ck_assert_int_eq(config_number(tables, "grace"), 10000000);
    ck_assert_int_eq(config_number(tables, "rerun"), 0);
    ck_assert_ptr_null(config_text(tables, "currency"));
}
END_TEST

START_TEST(flags_win_over_the_environment_over_defaults)
{
    setenv("OMS_STORE_PATH", "from-env", 1);
    setenv("OMS_MAX_QUEUED", "7", 1);
    ck_assert_int_eq(PARSE("--max-queued=9", "--currency", "EUR", "--rerun", "--grace", "150ms"), 0);
    ck_assert_str_eq(config_text(tables, "store-path"), "from-env");
    ck_assert_int_eq(config_number(tables, "max-queued"), 9);
    ck_assert_str_eq(config_text(tables, "currency"), "EUR");
    ck_assert_int_eq(config_number(tables, "rerun"), 1);
    ck_assert_int_eq(config_number(tables, "grace"), 150000);
}
END_TEST

START_TEST(what_cannot_be_read_is_one_clear_line)
{
    static const struct {
        const char *arg, *says;
    } bad[] = {
        { "--max-queued=many", "svc: --max-queued=many: \"many\" is not a whole number such as 64\n" },
        { "--max-queued=", "svc: --max-queued=: \"\" is not a whole number such as 64\n" },
        { "--max-queued= 1", "svc: --max-queued= 1: \" 1\" is not a whole number such as 64\n" },
        { "--max-queued=99999999999999999999",
          "svc: --max-queued=99999999999999999999: \"99999999999999999999\" is not a whole number such as 64\n" },
        { "--cache=9000000000G",
          "svc: --cache=9000000000G: \"9000000000G\" is not a size such as 4096, 64k, 16M or 1G\n" },
        { "--grace=10", "svc: --grace=10: \"10\" is not a time such as 150ms, 2s, 5m, 1h or 7d\n" },
        { "--rerun=perhaps", "svc: --rerun=perhaps: \"perhaps\" is not true or false\n" },
        { "--nonsense", "svc: --nonsense: no such option; --help lists them\n" },
        { "stray", "svc: stray: no such option; --help lists them\n" },
        { "--grace", "svc: --grace: needs a time such as 150ms, 2s, 5m, 1h or 7d\n" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[512];
        catch_output(STDERR_FILENO);
        int r = PARSE((char *)bad[i].arg);
        caught(STDERR_FILENO, text, sizeof(text));
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_str_eq(text, bad[i].says);
    }
}
END_TEST

START_TEST(the_environment_is_checked_too)
{
    char text[512];
    setenv("OMS_GRACE", "soon", 1);
    catch_output(STDERR_FILENO);
    char *argv[] = { "svc" };
    int r = config_parse(tables, "svc", "", 1, argv);
    caught(STDERR_FILENO, text, sizeof(text));
    ck_assert_int_eq(r, -EINVAL);
    ck_assert_str_eq(text, "svc: OMS_GRACE: \"soon\" is not a time such as 150ms, 2s, 5m, 1h or 7d\n");
}
END_TEST

START_TEST(help_lists_every_option_and_ends_well)
{
    char text[4096];
    catch_output(STDOUT_FILENO);
    int r = PARSE("--nonsense", "--help");
    caught(STDOUT_FILENO, text, sizeof(text));
    ck_assert_int_eq(r, 1);
    ck_assert_ptr_nonnull(strstr(text, "svc: does things"));
    ck_assert_ptr_nonnull(strstr(text, "--store-path TEXT"));
    ck_assert_ptr_nonnull(strstr(text, "(OMS_STORE_PATH, data.db)"));
    ck_assert_ptr_nonnull(strstr(text, "--currency TEXT"));
    ck_assert_ptr_nonnull(strstr(text, "(OMS_CURRENCY)"));
}
END_TEST

START_TEST(the_version_is_told)
{
    char text[256];
    catch_output(STDOUT_FILENO);
    int r = PARSE("--version");
    caught(STDOUT_FILENO, text, sizeof(text));
    ck_assert_int_eq(r, 1);
    ck_assert_str_eq(text, "svc " ORDERMESH_VERSION "\n");
}
END_TEST

SUITE("config", 10, without_anything_the_defaults_hold, flags_win_over_the_environment_over_defaults,
      what_cannot_be_read_is_one_clear_line, the_environment_is_checked_too, help_lists_every_option_and_ends_well,
      the_version_is_told)
