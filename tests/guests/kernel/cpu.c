/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts, exceptions, and starting the other vCPUs. */
#include "insn.h"
#include "kernel.h"

#define LAPIC 0xfee00000u
#define LAPIC_EOI (LAPIC + 0xb0)
#define LAPIC_SPURIOUS (LAPIC + 0xf0)
#define LAPIC_ICR_LOW (LAPIC + 0x300)
#define LAPIC_ICR_HIGH (LAPIC + 0x310)
#define ICR_INIT 0x4500
#define ICR_STARTUP 0x4600
#define ICR_PENDING 0x1000

struct idt_entry {
    uint16_t offset_low, selector;
    uint16_t flags, offset_mid;
    uint32_t offset_high, zero;
};

extern const char vector_entries[], ap_start[], ap_start_end[];

static struct idt_entry idt[256];
static volatile unsigned taken[256];
static void (*volatile ap_work)(unsigned cpu);
static volatile unsigned online, finished;

void interrupt(uint64_t vector, uint64_t error, uint64_t rip);

void interrupt(uint64_t vector, uint64_t error, uint64_t rip)
{
    uint64_t cr2;

    __atomic_fetch_add(&taken[vector], 1, __ATOMIC_RELAXED);
    if (vector == 3)
        return;
    if (vector >= 32) {
        mem_write(LAPIC_EOI, 4, 0);
        return;
    }
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    say("exception %lu error %lx at %lx cr2 %lx", vector, error, rip, cr2);
    say("done FAILED 1");
    shut_down();
}

unsigned interrupt_count(unsigned vector)
{
    return taken[vector & 255];
}

void say_interrupts(void)
{
    for (unsigned vector = 32; vector < ARRAY_SIZE(taken); vector++) {
        if (taken[vector])
            say("interrupt %x taken %u times", vector, taken[vector]);
    }
}

static void load_idt(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof idt - 1, (uint64_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer));
    mem_write(LAPIC_SPURIOUS, 4, 0x1ff); /* enabled, spurious vector 255 */
    __asm__ volatile("sti");
}

void cpu_setup(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(idt); i++) {
        uint64_t entry = (uint64_t)vector_entries + i * 16;

        idt[i] = (struct idt_entry){.offset_low = (uint16_t)entry,
                                    .selector = SEL_CODE64,
                                    .flags = 0x8e00,
                                    .offset_mid = (uint16_t)(entry >> 16),
                                    .offset_high = (uint32_t)(entry >> 32)};
    }
    load_idt();
}

static void send(unsigned cpu, uint32_t command)
{
    mem_write(LAPIC_ICR_HIGH, 4, cpu * 2 << 24);
    mem_write(LAPIC_ICR_LOW, 4, command);
    while (mem_read(LAPIC_ICR_LOW, 4) & ICR_PENDING)
        ;
}

/* Runs work(n) on vCPUs 1 to cpus - 1 and returns at once. Only once in the kernel's life. */
void start_other_cpus(unsigned cpus, void (*work)(unsigned cpu))
{
    char *to = (char *)(uintptr_t)AP_START;

    for (size_t i = 0; i < (size_t)(ap_start_end - ap_start); i++)
        to[i] = ap_start[i];
    ap_work = work;
    for (unsigned cpu = 1; cpu < cpus; cpu++) {
        send(cpu, ICR_INIT);
        send(cpu, ICR_STARTUP | AP_START >> 12);
        while (online < cpu)
            __asm__ volatile("pause");
    }
}

void wait_for_other_cpus(void)
{
    while (finished < online)
        __asm__ volatile("pause");
}

void ap_main(unsigned cpu)
{
    load_idt();
    __atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
    ap_work(cpu);
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
    for (;;)
        __asm__ volatile("hlt");
}
