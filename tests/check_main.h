/* SPDX-License-Identifier: BSD-2-Clause */
/* The main() of every Check program: TAP on stdout, exit status 1 when a test failed. */
#ifndef XENGASP_TESTS_CHECK_MAIN_H
#define XENGASP_TESTS_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

#define CHECK_MAIN(make_suite)                                                                     \
    int main(void)                                                                                 \
    {                                                                                              \
        SRunner *runner = srunner_create(make_suite());                                            \
        int failed;                                                                                \
                                                                                                   \
        srunner_set_tap(runner, "-");                                                              \
        srunner_run_all(runner, CK_SILENT);                                                        \
        failed = srunner_ntests_failed(runner);                                                    \
        srunner_free(runner);                                                                      \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                               \
    }

#endif
