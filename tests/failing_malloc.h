/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that runs out when a test says so. The program is linked with failing_malloc.c and
 * $(wrap_malloc).
 */
#ifndef XENGASP_TESTS_FAILING_MALLOC_H
#define XENGASP_TESTS_FAILING_MALLOC_H

#include <stdbool.h>

/* This thread's nth allocation from now on fails (1: the next), and that one alone. 0: none does. */
void malloc_fail(unsigned nth);

/* Whether it has come to that. No further one fails. */
bool malloc_failed(void);

#endif
