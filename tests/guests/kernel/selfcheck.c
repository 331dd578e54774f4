/* SPDX-License-Identifier: BSD-2-Clause */
/* run=selfcheck: what the other modes build on. With vcpus=N the other vCPUs are started too. */
#include "insn.h"
#include "kernel.h"
#include "pattern.h"

#define HIGH_BIT ((uint64_t)1 << 63)

static uint8_t from[256], to[256];
static volatile unsigned cpus_seen;
static uint64_t wrong;

static void check(bool good, const char *what)
{
    if (!good) {
        say("selfcheck WRONG: %s", what);
        wrong++;
    }
}

static void check_strings(void)
{
    bool same = true, filled = true;
    uint64_t last = 0;

    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(pattern_word(1, i));
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned down = 0; down < 2; down++) {
            rep_stos((uint64_t)to, 0, sizeof to, 1, false);
            rep_movs((uint64_t)to, (uint64_t)from, sizeof to / size, size, down);
            for (unsigned i = 0; i < sizeof to; i++)
                same = same && to[i] == from[i];
            rep_stos((uint64_t)to, 0x5a5a5a5a5a5a5a5a, sizeof to / size, size, down);
            for (unsigned i = 0; i < sizeof to; i++)
                filled = filled && to[i] == 0x5a;
            last = rep_lods((uint64_t)from, sizeof from / size, size, down);
            check(last == mem_read((uint64_t)from + (down ? 0 : sizeof from - size), size),
                  "rep lods");
        }
    }
    check(same, "rep movs");
    check(filled, "rep stos");
}

static void check_single(void)
{
    uint64_t cell = 0x1122334455667788;

    check(mem_read((uint64_t)&cell, 1) == 0x88, "read of 1");
    check(mem_read((uint64_t)&cell, 2) == 0x7788, "read of 2");
    check(mem_read((uint64_t)&cell, 4) == 0x55667788, "read of 4");
    check(mem_read((uint64_t)&cell, 8) == 0x1122334455667788, "read of 8");
    mem_write((uint64_t)&cell, 1, 0xaa);
    mem_write((uint64_t)&cell + 2, 2, 0xbbcc);
    mem_write((uint64_t)&cell + 4, 4, 0xddeeff00);
    check(cell == 0xddeeff00bbcc77aa, "write of 1, 2, 4");
    mem_write((uint64_t)&cell, 8, HIGH_BIT);
    check(mem_add((uint64_t)&cell, 8, 5) == HIGH_BIT && cell == HIGH_BIT + 5, "lock xadd");
}

static void another_cpu(unsigned cpu)
{
    __atomic_fetch_or(&cpus_seen, 1u << cpu, __ATOMIC_SEQ_CST);
}

uint64_t run_selfcheck(void)
{
    uint64_t begin = tsc();
    unsigned cpus = (unsigned)param_number("vcpus", 1);

    check_single();
    check_strings();
    check(port_read(0x600, 4) == 0xffffffff, "unclaimed port");
    check(mem_read(0xd8000000, 4) == 0xffffffff, "unclaimed address");
    reach((uint64_t)9 << 30, 8);
    check(mem_read((uint64_t)9 << 30, 8) == UINT64_MAX, "unclaimed address above 4 GiB");
    __asm__ volatile("int3");
    check(interrupt_count(3) == 1, "exception");
    check(tsc() > begin, "time stamp counter");
    if (cpus > 1 && cpus <= MAX_CPUS) {
        start_other_cpus(cpus, another_cpu);
        wait_for_other_cpus();
        check(cpus_seen == (1u << cpus) - 2, "other vCPUs");
    }
    say("selfcheck %u vcpus, %lu WRONG", cpus, wrong);
    return wrong;
}
