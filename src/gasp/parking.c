/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a service that starts anew must know of parked pages, should this one be killed: where each
 * page of RAM lies that isn't at home. That is told before pages move, of those that will lie there
 * too, and again afterwards; which of the two became true is seen from where a page is.
 */
#include <errno.h>
#include <stdlib.h>

#include "gasp/change.h"

static bool moves_ram(const struct step *step)
{
    return (step->kind == STEP_PARK || step->kind == STEP_UNPARK) && step->frame == RAM_FRAME;
}

static bool any_moves(const struct change *change)
{
    for (size_t i = 0; i < change->n; i++) {
        if (moves_ram(&change->step[i]))
            return true;
    }
    return false;
}

void parking_begins(struct change *change)
{
    struct gasp *gasp = change->gasp;

    if (!gasp->changed || !any_moves(change))
        return;
    gasp->moving = change->step;
    gasp->n_moving = change->n;
    gasp->changed(gasp);
    gasp->moving = NULL;
    gasp->n_moving = 0;
}

void parking_ended(struct change *change)
{
    if (change->gasp->changed && any_moves(change))
        change->gasp->changed(change->gasp);
}

void gasp_each_parked(const struct gasp *gasp, void (*fn)(void *arg, struct ram_parked_run run),
                      void *arg)
{
    struct ram_parked_run run = {0};

    for (uint64_t gfn = 0; ram_parked_next_run(&gasp->ram, gfn, &run); gfn = run.home + run.n)
        fn(arg, run);
    for (size_t i = 0; i < gasp->n_moving; i++) {
        const struct step *step = &gasp->moving[i];

        if (moves_ram(step) && step->kind == STEP_PARK)
            fn(arg, (struct ram_parked_run){step->range.first >> HV_PAGE_SHIFT, step->at,
                                            range_length(step->range) >> HV_PAGE_SHIFT});
    }
}

int gasp_take_parked(struct gasp *gasp, const struct ram_parked_run *run, size_t n)
{
    uint64_t first = gasp->parking.first >> HV_PAGE_SHIFT;
    uint64_t places = range_length(gasp->parking) >> HV_PAGE_SHIFT;

    for (size_t i = 0; i < n && range_there(gasp->parking); i++) {
        if (run[i].at < first || run[i].at - first >= places ||
            run[i].n > places - (run[i].at - first))
            continue;
        if (ram_take_parked(&gasp->ram, run[i]) < 0)
            return errno;
    }
    return 0;
}
