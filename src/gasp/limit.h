/* SPDX-License-Identifier: BSD-2-Clause */
/* Bounds the rate of log lines that a guest can provoke. */
#ifndef XENGASP_GASP_LIMIT_H
#define XENGASP_GASP_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { LOG_LIMIT_LINES = 10 }; /* a second */

struct log_limit {
    _Atomic uint64_t second;  /* being counted */
    _Atomic unsigned lines;   /* let through in it */
    _Atomic uint64_t dropped; /* since the last line that was let through */
};

/* True if a line may be written now; *dropped_r tells how many were not since the last. Any thread.
 */
static inline bool log_limit_pass(struct log_limit *limit, uint64_t *dropped_r)
{
    struct timespec now;
    uint64_t second;

    clock_gettime(CLOCK_MONOTONIC, &now);
    second = (uint64_t)now.tv_sec;
    if (atomic_exchange(&limit->second, second) != second)
        limit->lines = 0;
    if (atomic_fetch_add(&limit->lines, 1) >= LOG_LIMIT_LINES) {
        atomic_fetch_add(&limit->dropped, 1);
        return false;
    }
    *dropped_r = atomic_exchange(&limit->dropped, 0);
    return true;
}

#endif
