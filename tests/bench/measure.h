/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmarks of guest RAM share: time, quartiles, random numbers, a line of the result. */
#ifndef XENGASP_BENCH_MEASURE_H
#define XENGASP_BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

static inline uint64_t measure_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* For times on Xen: dom0's clock stands still for milliseconds where its CPUs disagree. */
static inline uint64_t measure_ticks(void)
{
    return __rdtsc();
}

/* Nanoseconds of a tick; takes a second. */
static inline double measure_tick_ns(void)
{
    uint64_t ns = measure_ns(), ticks = measure_ticks();

    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    ns = measure_ns() - ns;
    return (double)ns / (double)(measure_ticks() - ticks);
}

/* Knuth's MMIX. Its upper bits are good. vm-memory/src/main.rs has the same one. */
static inline uint64_t measure_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed;
}

static inline int measure_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The lower quartile of n figures, which it sorts. */
static inline double measure_quartile(double figure[], size_t n)
{
    qsort(figure, n, sizeof(*figure), measure_compare);
    return figure[n / 4];
}

/* report.awk takes the lower quartile of the lines with one name. */
static inline void measure_print(const char *name, double value)
{
    printf("ram %s %.2f\n", name, value);
}

#endif
