/* SPDX-License-Identifier: BSD-2-Clause */
/* Times counted by how long they were: exact enough for a quartile, small enough for every vCPU. */
#include "ioreq/ioreq.h"

enum { STEPS = 4 }; /* to each doubling */

unsigned duration_step_of(uint64_t ns)
{
    unsigned log, step;

    if (ns < STEPS)
        return (unsigned)ns;
    log = 63 - (unsigned)__builtin_clzll(ns);
    step = (log - 1) * STEPS + (unsigned)(ns >> (log - 2) & (STEPS - 1));
    return step < GUEST_TIME_STEPS ? step : GUEST_TIME_STEPS - 1;
}

uint64_t duration_step_end(unsigned step)
{
    if (step < STEPS)
        return step + 1;
    return (uint64_t)(STEPS + step % STEPS + 1) << (step / STEPS - 1);
}
