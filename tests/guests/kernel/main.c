/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs what the parameter run= names. */
#include "kernel.h"

void cpu_main(unsigned cpu) __attribute__((noreturn));

static const struct {
    const char *name;
    uint64_t (*run)(void);
} modes[] = {
    {"selfcheck", run_selfcheck}, {"list", run_list},       {"ram", run_list},
    {"mixed", run_mixed},         {"bench", run_bench},     {"spin", run_spin},
    {"hammer", run_hammer},       {"rewrite", run_rewrite},
};

static uint64_t run(void)
{
    size_t n = 0;

    if (!param_text("run", &n))
        return run_selfcheck();
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (param_is("run", modes[i].name))
            return modes[i].run();
    }
    say("unknown run=");
    return 1;
}

void cpu_main(unsigned cpu)
{
    uint64_t wrong;

    if (cpu > 0)
        ap_main(cpu);
    hypercalls_setup();
    cpu_setup();
    say("hello");
    wrong = run();
    say_interrupts();
    if (wrong)
        say("done FAILED %lu", wrong);
    else
        say("done ok");
    shut_down();
}
