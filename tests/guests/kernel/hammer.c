/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run=hammer vcpus=N at=ADDRESS size=S values=A,B: every vCPU reads ADDRESS over and over; what is
 * neither A nor B is wrong. How often each of the two was there is told.
 * run=rewrite vcpus=N at=ADDRESS size=S: vCPU n writes to ADDRESS + n * S, another value each time,
 * and reads it back.
 *
 * Both end after count=C rounds, or when the 32-bit word at stop=ADDRESS isn't 0 any more. The
 * kernel clears it before it says that it begins.
 */
#include "insn.h"
#include "kernel.h"

enum { COMPLAINTS_MAX = 5 };

static struct {
    uint64_t at, count, stop, value[2];
    unsigned size;
} job;

static struct tally {
    uint64_t rounds, seen[2], wrong;
} tallies[MAX_CPUS];

static bool goes_on(const struct tally *t)
{
    return (job.count == 0 || t->rounds < job.count) && (!job.stop || mem_read(job.stop, 4) == 0);
}

static void hammer(unsigned cpu)
{
    struct tally *t = &tallies[cpu];

    for (; goes_on(t); t->rounds++) {
        uint64_t got = mem_read(job.at, job.size);

        if (got == job.value[0])
            t->seen[0]++;
        else if (got == job.value[1])
            t->seen[1]++;
        else if (t->wrong++ < COMPLAINTS_MAX)
            say("hammer vcpu%u WRONG r%u at %lx round %lu: %lx", cpu, job.size, job.at, t->rounds,
                got);
    }
    say("hammer vcpu%u done %lu reads %lu wrong, %lu of %lx %lu of %lx", cpu, t->rounds, t->wrong,
        t->seen[0], job.value[0], t->seen[1], job.value[1]);
}

static void rewrite(unsigned cpu)
{
    uint64_t at = job.at + cpu * job.size, mask = job.size == 8 ? ~(uint64_t)0 : 0, got, want;
    struct tally *t = &tallies[cpu];

    if (!mask)
        mask = ((uint64_t)1 << job.size * 8) - 1;
    for (; goes_on(t); t->rounds++) {
        want = ((t->rounds + 1) * 0x0101010101010101u ^ (uint64_t)(cpu + 1) << 4) & mask;
        mem_write(at, job.size, want);
        got = mem_read(at, job.size);
        if (got != want && t->wrong++ < COMPLAINTS_MAX)
            say("rewrite vcpu%u WRONG r%u at %lx round %lu: %lx, expected %lx", cpu, job.size, at,
                t->rounds, got, want);
    }
    say("rewrite vcpu%u done %lu writes %lu wrong", cpu, t->rounds, t->wrong);
}

static uint64_t run(void (*work)(unsigned cpu), bool needs_values)
{
    unsigned cpus = (unsigned)param_number("vcpus", 1);
    uint64_t wrong = 0;

    job.at = param_number("at", 0);
    job.size = (unsigned)param_number("size", 4);
    job.count = param_number("count", 0);
    job.stop = param_number("stop", 0);
    if (cpus < 1 || cpus > MAX_CPUS || job.at == 0 || (job.count == 0 && job.stop == 0) ||
        (job.size != 1 && job.size != 2 && job.size != 4 && job.size != 8) ||
        (needs_values && !param_pair("values", &job.value[0], &job.value[1]))) {
        say("needs at=, count= or stop=, and for hammer values=A,B");
        return 1;
    }
    reach(job.at, MAX_CPUS * job.size);
    if (job.stop) {
        reach(job.stop, 4);
        mem_write(job.stop, 4, 0);
    }
    say("hammering");
    start_other_cpus(cpus, work);
    work(0);
    wait_for_other_cpus();
    for (unsigned i = 0; i < cpus; i++)
        wrong += tallies[i].wrong;
    return wrong;
}

uint64_t run_hammer(void)
{
    return run(hammer, true);
}

uint64_t run_rewrite(void)
{
    return run(rewrite, false);
}
