/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run=bench rounds=R count=N: in every round each access of the parameters N times, printed as
 * "bench WORD ROUND CYCLES". Rounds alternate, so that a slow moment hits all of them.
 * A setting pace=C waits C thousand TSC cycles between accesses, not counted.
 */
#include "access.h"
#include "insn.h"

static uint64_t buffer[ACCESS_ELEMENTS_MAX] __attribute__((aligned(4096)));

static uint64_t measure(const struct access *a, uint64_t count, uint64_t pace)
{
    uint64_t cycles = 0, begin;

    if (!pace) {
        begin = tsc();
        for (uint64_t i = 0; i < count; i++)
            access_perform(a, buffer);
        return tsc() - begin;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t end;

        begin = tsc();
        access_perform(a, buffer);
        end = tsc();
        cycles += end - begin;
        while (tsc() - end < pace * 1000)
            __asm__ volatile("pause");
    }
    return cycles;
}

uint64_t run_bench(void)
{
    uint64_t rounds = param_number("rounds", 20), count = param_number("count", 100);
    uint64_t pace = param_number("pace", 0);
    struct access a;

    for (uint64_t round = 0; round < rounds; round++) {
        for (const char *at = access_next(NULL, &a); at; at = access_next(at, &a)) {
            uint64_t cycles = measure(&a, count, pace);

            say("bench %.*s %lu %lu", a.text_length, a.text, round, cycles);
        }
    }
    return 0;
}
