/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run=bench rounds=R count=N: in every round each access of the parameters N times, printed as
 * "bench WORD ROUND CYCLES". Rounds alternate, so that a slow moment hits all of them.
 * A setting pace=C waits C thousand TSC cycles between accesses, not counted. With vcpus=V all
 * vCPUs make the access at the same time; those of vCPU 0 are counted.
 */
#include "access.h"
#include "insn.h"

/* What the vCPUs do: written by vCPU 0, `turn` last. */
static struct {
    struct access access;
    uint64_t turn; /* odd: make the access over and over; LAST_TURN: end */
} job;

#define LAST_TURN UINT64_MAX

static uint64_t buffers[MAX_CPUS][ACCESS_ELEMENTS_MAX] __attribute__((aligned(4096)));

static uint64_t turn(void)
{
    return __atomic_load_n(&job.turn, __ATOMIC_ACQUIRE);
}

static void accompany(unsigned cpu)
{
    uint64_t now;

    while ((now = turn()) != LAST_TURN) {
        struct access a;

        if (now % 2 == 0) {
            __asm__ volatile("pause");
            continue;
        }
        a = job.access;
        while (turn() == now)
            access_perform(&a, buffers[cpu]);
    }
}

static uint64_t measure(const struct access *a, uint64_t count, uint64_t pace)
{
    uint64_t cycles = 0, begin, end;

    for (uint64_t i = 0; i < count; i++) {
        if (a->has_before)
            port_read((uint16_t)a->before, 4);
        begin = tsc();
        access_perform(a, buffers[0]);
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
    uint64_t pace = param_number("pace", 0), vcpus = param_number("vcpus", 1);
    struct access a;

    if (vcpus < 1 || vcpus > MAX_CPUS) {
        say("vcpus= must be 1 to %u", MAX_CPUS);
        return 1;
    }
    start_other_cpus((unsigned)vcpus, accompany);
    for (uint64_t round = 0; round < rounds; round++) {
        for (const char *at = access_next(NULL, &a); at; at = access_next(at, &a)) {
            uint64_t cycles;

            job.access = a;
            __atomic_add_fetch(&job.turn, 1, __ATOMIC_RELEASE);
            cycles = measure(&a, count, pace);
            __atomic_add_fetch(&job.turn, 1, __ATOMIC_RELEASE);
            say("bench %.*s %lu %lu", a.text_length, a.text, round, cycles);
        }
    }
    __atomic_store_n(&job.turn, LAST_TURN, __ATOMIC_RELEASE);
    wait_for_other_cpus();
    return 0;
}
