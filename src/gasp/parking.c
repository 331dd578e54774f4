/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a service that starts anew must know, should this one be killed: where each page of RAM lies
 * that isn't at home, which pages are device memory's, and what the guest can't write. That is told
 * before pages move, of where they will lie too, and again afterwards; which of the two became true
 * is seen from where there is a page.
 */
#include <errno.h>
#include <stdlib.h>

#include "gasp/change.h"

/* ---- telling ---- */

static bool is_told(const struct step *step)
{
    return step->kind == STEP_POPULATE || step->kind == STEP_PARK || step->kind == STEP_UNPARK ||
           step->kind == STEP_TYPE;
}

static bool any_told(const struct change *change)
{
    for (size_t i = 0; i < change->n; i++) {
        if (is_told(&change->step[i]))
            return true;
    }
    return change->n_gone > 0;
}

void parking_begins(struct change *change)
{
    struct gasp *gasp = change->gasp;

    if (!gasp->changed || !any_told(change))
        return;
    gasp->moving = change->step;
    gasp->n_moving = change->n;
    gasp->changed(gasp);
    gasp->moving = NULL;
    gasp->n_moving = 0;
}

void parking_ended(struct change *change)
{
    if (change->gasp->changed && any_told(change))
        change->gasp->changed(change->gasp);
}

/* Where it will lie when the step is done. */
static void tell_step(const struct step *step, gasp_run_fn fn, void *arg)
{
    struct gasp_run run = {.what = step->frame == RAM_FRAME ? RUN_PARKED : RUN_DEVICE,
                           .home = step->range.first >> HV_PAGE_SHIFT,
                           .at = step->at,
                           .n = range_length(step->range) >> HV_PAGE_SHIFT};

    if (step->kind == STEP_UNPARK)
        run.at = run.home;
    if (step->kind == STEP_TYPE) {
        run.what = RUN_ROM;
        run.at = run.home;
    }
    if (is_told(step) && (run.what != RUN_PARKED || run.at != run.home))
        fn(arg, run);
}

/* What the guest reaches at its place, by the map: device memory, and ROM. */
static void tell_home(const struct gasp *gasp, gasp_run_fn fn, void *arg)
{
    const struct space_map *map = gasp->space[GASP_MEMORY].map;
    uint64_t last = gasp->space[GASP_MEMORY].limit >> HV_PAGE_SHIFT;
    struct page_run run;

    for (uint64_t gfn = 0; gfn <= last; gfn = run.last + 1) {
        frames_look(map, gfn, &run);
        run.last = run.last < last ? run.last : last;
        if (run.home && run.frame != NO_FRAME && (run.frame != RAM_FRAME || run.read_only))
            fn(arg, (struct gasp_run){run.frame == RAM_FRAME ? RUN_ROM : RUN_DEVICE, gfn, gfn,
                                      run.last - gfn + 1});
    }
}

void gasp_each_run(const struct gasp *gasp, gasp_run_fn fn, void *arg)
{
    struct ram_parked_run run = {0};
    uint64_t frame;

    for (size_t i = 0; ram_parked_next_run(&gasp->ram, &i, &run, &frame);)
        fn(arg, (struct gasp_run){frame == RAM_FRAME ? RUN_PARKED : RUN_DEVICE, run.home, run.at,
                                  run.n});
    if (gasp->settled)
        tell_home(gasp, fn, arg);
    for (size_t i = 0; i < gasp->n_moving; i++)
        tell_step(&gasp->moving[i], fn, arg);
}

/* ---- taking up ---- */

struct taking {
    struct gasp *gasp;
    const struct gasp_run *run;
    size_t n;
};

static bool present(struct gasp *gasp, uint64_t gfn)
{
    bool there = false;

    ram_present(&gasp->ram, gfn, 1, &there);
    return there;
}

/* Whether the page that lies there is device memory's, and not the guest's RAM. */
static bool is_devices(const struct taking *t, uint64_t gfn)
{
    struct range page = {gfn << HV_PAGE_SHIFT, (gfn << HV_PAGE_SHIFT) + (HV_PAGE_SIZE - 1)};

    if (!space_map_meets(t->gasp->space[GASP_MEMORY].map, page, GRF_MEMORY, NULL))
        return true;
    for (size_t i = 0; i < t->n; i++) {
        const struct gasp_run *run = &t->run[i];

        if (run->what == RUN_PARKED && gfn - run->home < run->n &&
            present(t->gasp, run->at + (gfn - run->home)))
            return true;
    }
    return false;
}

/* Device memory of a service that is gone: a vdev that wants some gets it anew. */
static int give_back(const struct taking *t, const struct gasp_run *run)
{
    struct ram *ram = &t->gasp->ram;
    bool there[RAM_CHUNK_PAGES], used;

    for (uint64_t i = 0; i < run->n; i++) {
        uint64_t gfn = run->at + i, left = run->n - i;

        if (i % RAM_CHUNK_PAGES == 0 &&
            ram_present(ram, gfn, left < RAM_CHUNK_PAGES ? left : RAM_CHUNK_PAGES, there) < 0)
            return ENOMEM;
        ram_parking_used(ram, gfn, 1, &used);
        if (!there[i % RAM_CHUNK_PAGES] || used || (run->at == run->home && !is_devices(t, gfn)))
            continue;
        if (ram_depopulate(
                ram, (struct range){gfn << HV_PAGE_SHIFT, ((gfn + 1) << HV_PAGE_SHIFT) - 1}, 0) < 0)
            return errno;
    }
    return 0;
}

static bool in_parking(const struct gasp *gasp, const struct gasp_run *run)
{
    uint64_t first = gasp->parking.first >> HV_PAGE_SHIFT;
    uint64_t places = range_length(gasp->parking) >> HV_PAGE_SHIFT;

    return range_there(gasp->parking) && run->at >= first && run->at - first < places &&
           run->n <= places - (run->at - first);
}

/* In turn: what lies where RAM belongs, the RAM, and what is left in the parking window. */
static int take(const struct taking *t, int turn, const struct gasp_run *run)
{
    struct ram *ram = &t->gasp->ram;
    bool home = run->at == run->home;
    struct range range = {run->home << HV_PAGE_SHIFT, ((run->home + run->n) << HV_PAGE_SHIFT) - 1};

    if (!home && !in_parking(t->gasp, run))
        return 0;
    if (run->what == RUN_DEVICE && turn == (home ? 0 : 2))
        return give_back(t, run);
    if (run->what == RUN_PARKED && !home && turn == 1)
        return ram_take_parked(ram, (struct ram_parked_run){run->home, run->at, run->n}) < 0 ? errno
                                                                                             : 0;
    /* What is ROM now is made so when the map is settled. */
    if (run->what == RUN_ROM && turn == 2)
        ram_set_type(ram, false, range);
    return 0;
}

int gasp_take_runs(struct gasp *gasp, const struct gasp_run *run, size_t n)
{
    const struct taking t = {gasp, run, n};
    uint64_t frames = (gasp->space[GASP_MEMORY].limit >> HV_PAGE_SHIFT) + 1;
    int rc = 0;

    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < n && !rc; i++) {
            if (run[i].home < frames && run[i].n <= frames - run[i].home)
                rc = take(&t, turn, &run[i]);
        }
    }
    return rc;
}
