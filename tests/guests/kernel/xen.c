/* SPDX-License-Identifier: BSD-2-Clause */
/* The one hypercall that this kernel makes: its end. */
#include "insn.h"
#include "kernel.h"

#define HYPERVISOR_SCHED_OP 29
#define SCHEDOP_SHUTDOWN 2

extern char hypercall_page[4096];

static bool hypercalls;

void hypercalls_setup(void)
{
    for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
        uint32_t r[4];
        uint64_t page = (uint64_t)hypercall_page;

        cpuid(base, r);
        if (r[1] != 0x566e6558 || r[2] != 0x65584d4d || r[3] != 0x4d4d566e) /* XenVMMXenVMM */
            continue;
        cpuid(base + 2, r);
        __asm__ volatile("wrmsr"
                         :
                         : "c"(r[1]), "a"((uint32_t)page), "d"((uint32_t)(page >> 32))
                         : "memory");
        hypercalls = true;
        return;
    }
}

/* As the parameter end= says: poweroff (also when there is none), reboot, crash, halt. */
void shut_down(void)
{
    uint32_t reason = param_is("end", "reboot") ? 1 : param_is("end", "crash") ? 3 : 0;

    if (hypercalls && !param_is("end", "halt")) {
        uint64_t number = HYPERVISOR_SCHED_OP, command = SCHEDOP_SHUTDOWN;
        uint32_t *argument = &reason;

        __asm__ volatile("call *%3"
                         : "+D"(command), "+S"(argument), "=a"(number)
                         : "r"(hypercall_page + number * 32)
                         : "memory", "rcx", "rdx", "r8", "r9", "r10", "r11");
    }
    for (;;)
        __asm__ volatile("cli\n\thlt");
}
