/* The frame of a Check test program: tests in order, TAP on stdout, one process a test. */
#pragma once

#include <check.h>
#include <stdlib.h>

/* SUITE("outbox", first_test, second_test …): defines main. Each test may take timeout_s seconds. */
#define SUITE(name, timeout_s, ...) \
    int main(void) \
    { \
        const TTest *const tests[] = { __VA_ARGS__ }; \
        Suite *suite = suite_create(name); \
        TCase *all = tcase_create(name); \
        tcase_set_timeout(all, timeout_s); \
        for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) \
            _tcase_add_test(all, tests[i], 0, 0, 0, 1); \
        suite_add_tcase(suite, all); \
        SRunner *runner = srunner_create(suite); \
        srunner_set_tap(runner, "-"); \
        srunner_run_all(runner, CK_SILENT); \
        int failed = srunner_ntests_failed(runner); \
        srunner_free(runner); \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS; \
    }
