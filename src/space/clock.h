/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef XENGASP_SPACE_CLOCK_H
#define XENGASP_SPACE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Monotonic. In a PV dom0 it is a system call. */
static inline uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
