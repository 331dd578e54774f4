/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page frames beneath a map of memory. A page may have several: its RAM, and for each layer of
 * device memory over it one of that layer's own. The topmost active layer with memory tells which is
 * shown. If the guest reaches all of the page that one lies at home, else it is parked, as all the
 * others are: then accesses trap, and what memory is to be seen of the page is read here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gasp/change.h"

enum { MOVE_PAGES = RAM_CHUNK_PAGES }; /* in one step */

#define VIRT_RW (GRF_VIRT_RD | GRF_VIRT_WR)

/* The guest's accesses go to memory. */
static bool passes(const struct space_layer *layer)
{
    return (layer->flags & GRF_PASS_ANY) && !(layer->flags & (VIRT_RW | GRF_NOPERMS));
}

/* Device memory: it has frames of its own. */
static bool has_frames(const struct space_layer *layer)
{
    return layer->id != RAM_FRAME && (layer->flags & GRF_PASS_ANY) &&
           !(layer->flags & (VIRT_RW | GRF_MEMORY));
}

static uint64_t frame_shown(const struct space_cell *cell)
{
    bool memory = false; /* ROM and the like: RAM with other permissions */

    for (uint32_t k = 0; k < cell->n; k++) {
        const struct space_layer *layer = &cell->layer[k];

        if (layer->id == RAM_FRAME && ((layer->flags & GRF_ACTIVE) || memory))
            return RAM_FRAME;
        if (!(layer->flags & GRF_ACTIVE))
            continue;
        if (has_frames(layer) && !memory)
            return layer->id;
        memory |= (layer->flags & GRF_PASS_ANY) != 0;
    }
    return NO_FRAME;
}

static bool cell_has(const struct space_cell *cell, uint64_t frame)
{
    for (uint32_t k = 0; cell && k < cell->n; k++) {
        if (cell->layer[k].id == frame && (frame == RAM_FRAME || has_frames(&cell->layer[k])))
            return true;
    }
    return false;
}

/* A page of which one cell has a part, from index i on. */
static void look_at_parts(const struct space_map *map, size_t i, struct range page,
                          struct page_run *run)
{
    bool all = map->cell[i]->range.first <= page.first, some = false;
    uint64_t next = page.first;

    run->read_only = true;
    for (; i < map->n && map->cell[i]->range.first <= page.last; i++) {
        const struct space_layer *layer = space_cell_visible(map->cell[i]);
        bool memory = layer && passes(layer);

        some |= memory;
        all &= memory && map->cell[i]->range.first <= next;
        if (memory && (layer->flags & GRF_PASS_WR))
            run->read_only = false;
        next = map->cell[i]->range.last + 1;
    }
    run->home = all && next > page.last;
    run->cut = some && !run->home;
}

void frames_look(const struct space_map *map, uint64_t gfn, struct page_run *run_r)
{
    struct range page = {gfn << HV_PAGE_SHIFT, (gfn << HV_PAGE_SHIFT) + (HV_PAGE_SIZE - 1)};
    size_t i = space_map_search(map, page.first);
    const struct space_cell *cell = i < map->n ? map->cell[i] : NULL;
    const struct space_layer *layer;

    *run_r = (struct page_run){.frame = NO_FRAME, .last = gfn};
    if (!cell || cell->range.first > page.last) {
        run_r->last = cell ? (cell->range.first >> HV_PAGE_SHIFT) - 1 : UINT64_MAX;
        return;
    }
    if (cell->range.first <= page.first) {
        run_r->cell = cell;
        run_r->frame = frame_shown(cell);
    }
    if (!range_inside(page, cell->range)) {
        look_at_parts(map, i, page, run_r);
        return;
    }
    run_r->last = ((cell->range.last + 1) >> HV_PAGE_SHIFT) - 1;
    layer = space_cell_visible(cell);
    run_r->home = layer && passes(layer);
    run_r->read_only = run_r->home && !(layer->flags & GRF_PASS_WR);
}

/* ---- planning ---- */

static struct range pages(uint64_t gfn, uint64_t n)
{
    return (struct range){gfn << HV_PAGE_SHIFT, ((gfn + n) << HV_PAGE_SHIFT) - 1};
}

/* The parking window's places; its last page is the spare one. */
static uint64_t parking_places(const struct gasp *gasp)
{
    return range_there(gasp->parking) ? (range_length(gasp->parking) >> HV_PAGE_SHIFT) - 1 : 0;
}

/* Finds n places in a row, and takes them. 0, ENOSPC, ENOMEM. */
static int take_places(struct change *change, uint64_t n, uint64_t *at_r)
{
    const struct gasp *gasp = change->gasp;
    uint64_t places = parking_places(gasp), first = gasp->parking.first >> HV_PAGE_SHIFT;
    uint64_t row = 0;

    if (!change->parking_used) {
        change->parking_used = malloc(places + 1);
        if (!change->parking_used)
            return ENOMEM;
        ram_parking_used(&gasp->ram, first, places, change->parking_used);
    }
    for (uint64_t i = 0; i < places && row < n; i++) {
        row = change->parking_used[i] ? 0 : row + 1;
        *at_r = first + i + 1 - row;
    }
    if (row < n)
        return ENOSPC;
    memset(change->parking_used + (*at_r - first), true, n);
    return 0;
}

/* Steps of one kind for n frames from gfn on, each with its place. step: what else is to be in them.
 */
static int add_parking(struct change *change, uint64_t gfn, uint64_t n, struct step step)
{
    while (n > 0) {
        uint64_t some = n < MOVE_PAGES ? n : MOVE_PAGES;
        int rc = take_places(change, some, &step.at);

        while (rc == ENOSPC && some > 1) {
            some /= 2;
            rc = take_places(change, some, &step.at);
        }
        if (rc == ENOSPC && gasp_may_complain(change->gasp))
            gasp_log(change->gasp, GUEST_LOG_WARN, "%s for pages of RAM that something covers",
                     parking_places(change->gasp) == 0 ? "the guest was started without a place"
                                                       : "no place is left");
        if (rc)
            return rc;
        step.range = pages(gfn, some);
        if (!change_add_step(change, step))
            return ENOMEM;
        gfn += some;
        n -= some;
    }
    return 0;
}

/* What of a layer's own frames there isn't yet. at_home: nothing lies where they belong. */
static int add_populate(struct change *change, uint64_t gfn, uint64_t n,
                        const struct page_run *will, bool at_home)
{
    struct step step = {.kind = STEP_POPULATE, .frame = will->frame};

    while (n > 0) {
        uint64_t at, row = ram_parked_row(&change->gasp->ram, gfn, n, will->frame, &at);
        int rc = 0;

        if (at == RAM_NOT_PARKED && at_home) {
            step.range = pages(gfn, row);
            step.at = gfn;
            step.read_only = will->read_only;
            rc = change_add_step(change, step) ? 0 : ENOMEM;
        } else if (at == RAM_NOT_PARKED) {
            rc = add_parking(change, gfn, row, step);
        }
        if (rc)
            return rc;
        gfn += row;
        n -= row;
    }
    return 0;
}

/* Home come those that are parked, and those that will have been populated at a place. */
static int add_unpark(struct change *change, uint64_t gfn, uint64_t n, uint64_t frame,
                      bool read_only)
{
    struct step step = {.kind = STEP_UNPARK, .frame = frame, .read_only = read_only};
    uint64_t end = gfn + n, row;
    size_t n_steps = change->n;

    for (size_t i = 0; i < n_steps; i++) {
        const struct step *made = &change->step[i];

        if (made->kind != STEP_POPULATE || made->frame != frame ||
            made->range.first >> HV_PAGE_SHIFT < gfn || made->range.first >> HV_PAGE_SHIFT >= end ||
            made->at == made->range.first >> HV_PAGE_SHIFT)
            continue;
        step.range = made->range;
        step.at = made->at;
        if (!change_add_step(change, step))
            return ENOMEM;
    }
    step.shown = true;
    for (; gfn < end; gfn += row) {
        row = ram_parked_row(&change->gasp->ram, gfn, end - gfn, frame, &step.at);
        step.range = pages(gfn, row);
        if (step.at != RAM_NOT_PARKED && !change_add_step(change, step))
            return ENOMEM;
    }
    return 0;
}

static int add_gone(struct change *change, uint64_t gfn, uint64_t n, const struct page_run *was,
                    const struct space_cell *to)
{
    const struct space_cell *from = was->cell;

    for (uint32_t k = 0; from && k < from->n; k++) {
        struct gone *more;

        if (!has_frames(&from->layer[k]) || cell_has(to, from->layer[k].id))
            continue;
        more = realloc(change->gone, (change->n_gone + 1) * sizeof(*more));
        if (!more)
            return ENOMEM;
        change->gone = more;
        more[change->n_gone++] = (struct gone){pages(gfn, n), from->layer[k].id,
                                               was->home && was->frame == from->layer[k].id};
    }
    return 0;
}

/* n pages that are alike before and alike after. */
static int plan_run(struct change *change, uint64_t gfn, uint64_t n, const struct page_run *was,
                    const struct page_run *will)
{
    bool same = was->frame == will->frame, stays = same && was->home && will->home;
    bool enters = will->home && !stays;
    bool leaves = was->home && !stays;
    int rc = add_gone(change, gfn, n, was, will->cell);

    /* What goes for good stays to the last, if nothing takes its place. */
    if (leaves && !enters && was->frame != RAM_FRAME && !cell_has(will->cell, was->frame))
        leaves = false;
    if (!rc && leaves && enters)
        rc = trap_cover(change, pages(gfn, n));
    if (!rc && will->frame != RAM_FRAME && will->frame != NO_FRAME && !(same && was->home))
        rc = add_populate(change, gfn, n, will, will->home && !was->home);
    if (!rc && leaves)
        rc = add_parking(change, gfn, n,
                         (struct step){.kind = STEP_PARK,
                                       .frame = was->frame,
                                       .read_only = was->read_only,
                                       .shown = true});
    if (!rc && enters)
        rc = add_unpark(change, gfn, n, will->frame, will->read_only);
    if (!rc && stays && will->read_only != was->read_only)
        rc = change_add_step(change, (struct step){.kind = STEP_TYPE,
                                                   .range = pages(gfn, n),
                                                   .read_only = will->read_only})
                 ? 0
                 : ENOMEM;
    if (!rc && !same && will->frame != NO_FRAME)
        rc = change_add_step(change, (struct step){.kind = STEP_SHOW,
                                                   .range = pages(gfn, n),
                                                   .frame = will->frame,
                                                   .before = was->frame})
                 ? 0
                 : ENOMEM;
    return rc;
}

int frames_plan(struct change *change)
{
    const struct space_map *from = change->gasp->space[GASP_MEMORY].map;
    const struct space_map *to = change->draft[GASP_MEMORY];
    uint64_t gfn = change->hull[GASP_MEMORY].first >> HV_PAGE_SHIFT;
    uint64_t last = change->hull[GASP_MEMORY].last >> HV_PAGE_SHIFT;
    int rc = 0;

    while (gfn <= last && !rc) {
        struct page_run was, will;
        uint64_t end;

        frames_look(from, gfn, &was);
        frames_look(to, gfn, &will);
        end = was.last < will.last ? was.last : will.last;
        end = end < last ? end : last;
        rc = plan_run(change, gfn, end - gfn + 1, &was, &will);
        gfn = end + 1;
    }
    return rc;
}

/* By the map alone: what of RAM isn't parked lies at home, and there is nothing else. */
static int settle_run(struct change *change, uint64_t gfn, uint64_t n, const struct page_run *will)
{
    struct page_run was = {.frame = cell_has(will->cell, RAM_FRAME) ? RAM_FRAME : NO_FRAME};
    uint64_t at, row;
    int rc = 0;

    for (; n > 0 && !rc; gfn += row, n -= row) {
        row = n;
        if (was.frame == RAM_FRAME)
            row = ram_parked_row(&change->gasp->ram, gfn, n, RAM_FRAME, &at);
        was.home = was.frame == RAM_FRAME && at == RAM_NOT_PARKED;
        rc = plan_run(change, gfn, row, &was, will);
    }
    return rc;
}

int frames_settle(struct change *change)
{
    const struct space_map *map = change->gasp->space[GASP_MEMORY].map;
    uint64_t gfn = 0, last = change->gasp->space[GASP_MEMORY].limit >> HV_PAGE_SHIFT;
    struct page_run run;
    int rc = 0;

    for (; gfn <= last && !rc; gfn = run.last + 1) {
        frames_look(map, gfn, &run);
        run.last = run.last < last ? run.last : last;
        if (run.cell)
            rc = settle_run(change, gfn, run.last - gfn + 1, &run);
    }
    return rc;
}

/* ---- carrying out ---- */

/* The entry of a layer's pages, or NULL. */
static struct device_memory *find_device(struct gasp *gasp, uint64_t frame)
{
    for (size_t i = 0; i < gasp->n_device; i++) {
        if (gasp->device[i].frame == frame)
            return &gasp->device[i];
    }
    return NULL;
}

/* The same; a new one if need be, NULL without memory. */
static struct device_memory *device_of(struct gasp *gasp, uint64_t frame)
{
    struct device_memory *more = find_device(gasp, frame);

    if (more)
        return more;
    more = realloc(gasp->device, (gasp->n_device + 1) * sizeof(*more));
    if (!more)
        return NULL;
    gasp->device = more;
    more[gasp->n_device] = (struct device_memory){.frame = frame};
    return &more[gasp->n_device++];
}

/*
 * Gives pages back. They may go in other parts than they came in, and each part took tables from the
 * pool; so what that was given goes with the last one, or pool bytes with these.
 */
static void depopulate(struct gasp *gasp, struct range at, uint64_t frame, uint64_t pool)
{
    struct device_memory *device = find_device(gasp, frame);
    uint64_t n = range_length(at) >> HV_PAGE_SHIFT;

    if (device) {
        device->pages -= n;
        if (device->pages == 0)
            pool = device->pool;
        device->pool -= pool;
    }
    ram_depopulate(&gasp->ram, at, (int64_t)pool);
    gasp->own_pages -= n;
    if (device && device->pages == 0)
        *device = gasp->device[--gasp->n_device];
}

static int populate(struct gasp *gasp, const struct step *step)
{
    uint64_t home = step->range.first >> HV_PAGE_SHIFT;
    uint64_t n = range_length(step->range) >> HV_PAGE_SHIFT;
    struct range at = pages(step->at, n);
    bool parked = step->at != home;
    bool may_pause = parked || (range_there(gasp->window) && range_inside(at, gasp->window));
    struct device_memory *device = device_of(gasp, step->frame);
    int rc;

    if (!device)
        return ENOMEM;
    gasp->own_pages += n;
    if (ram_populate(&gasp->ram, at, false, may_pause) < 0) {
        gasp->own_pages -= n;
        if (device->pages == 0)
            *device = gasp->device[--gasp->n_device];
        return errno;
    }
    device->pages += n;
    device->pool += ram_pool_for(at);
    rc = parked            ? ram_park_new(&gasp->ram, home, n, step->frame, step->at)
         : step->read_only ? ram_set_type(&gasp->ram, true, at)
                           : 0;
    if (rc == 0)
        return 0;
    rc = errno;
    depopulate(gasp, at, step->frame, ram_pool_for(at));
    return rc;
}

static int unpopulate(struct gasp *gasp, const struct step *step)
{
    uint64_t home = step->range.first >> HV_PAGE_SHIFT;
    uint64_t n = range_length(step->range) >> HV_PAGE_SHIFT;
    struct range at = pages(step->at, n);

    depopulate(gasp, at, step->frame, ram_pool_for(at));
    if (step->at != home)
        ram_parked_gone(&gasp->ram, home, n, step->frame);
    return 0;
}

/* The guest can't write to what is read-only at its place either. */
static int park(struct gasp *gasp, const struct step *step)
{
    uint64_t home = step->range.first >> HV_PAGE_SHIFT;
    size_t n = range_length(step->range) >> HV_PAGE_SHIFT;
    struct ram *ram = &gasp->ram;
    int rc = ram_park(ram, home, n, step->frame, step->at, step->shown), saved;

    if (!step->read_only || (rc == 0 && ram_set_type(ram, true, pages(step->at, n)) == 0))
        return rc;
    saved = errno;
    if (rc == 0)
        ram_unpark(ram, home, n, step->frame, step->at);
    ram_set_type(ram, true, step->range); /* what has moved a little and come back has lost it */
    errno = saved;
    return -1;
}

/*
 * A page's type doesn't come home with it, and until it is set anew the guest could write to what is
 * read-only: one that runs is paused meanwhile.
 */
static int unpark(struct gasp *gasp, const struct step *step)
{
    uint64_t home = step->range.first >> HV_PAGE_SHIFT;
    size_t n = range_length(step->range) >> HV_PAGE_SHIFT;
    struct ram *ram = &gasp->ram;
    struct hv_info info = {0};
    int rc, saved;

    if (!step->read_only)
        return ram_unpark(ram, home, n, step->frame, step->at);
    if (gasp->hv->ops->info(gasp->hv, &info) < 0 || (!info.never_ran && ram_pause(ram) < 0))
        return -1;
    rc = ram_unpark(ram, home, n, step->frame, step->at);
    if (rc == 0 && ram_set_type(ram, true, step->range) < 0) {
        saved = errno;
        ram_park(ram, home, n, step->frame, step->at, step->shown);
        errno = saved;
        rc = -1;
    }
    if (!info.never_ran)
        ram_unpause(ram);
    return rc;
}

int frames_step(struct gasp *gasp, const struct step *step, bool undo)
{
    struct ram *ram = &gasp->ram;
    int rc;

    switch (step->kind) {
    case STEP_POPULATE:
        return undo ? unpopulate(gasp, step) : populate(gasp, step);
    case STEP_PARK:
    case STEP_UNPARK:
        rc = (step->kind == STEP_PARK) == !undo ? park(gasp, step) : unpark(gasp, step);
        break;
    case STEP_TYPE:
        rc = ram_set_type(ram, step->read_only != undo, step->range);
        break;
    default:
        ram_show(ram, step->range, undo ? step->before : step->frame);
        rc = 0;
        break;
    }
    return rc < 0 ? errno : 0;
}

int frames_let_go(struct change *change)
{
    for (size_t i = 0; i < change->n_gone; i++) {
        if (ram_drop(&change->gasp->ram, change->gone[i].range) < 0)
            return errno;
    }
    return 0;
}

/* Each lies at home or at its place, or was never shown. */
void frames_depopulate(struct change *change)
{
    struct gasp *gasp = change->gasp;

    for (size_t i = 0; i < change->n_gone; i++) {
        const struct gone *gone = &change->gone[i];
        uint64_t gfn = gone->range.first >> HV_PAGE_SHIFT, at, row;
        uint64_t end = gfn + (range_length(gone->range) >> HV_PAGE_SHIFT);

        for (; gfn < end; gfn += row) {
            row = ram_parked_row(&gasp->ram, gfn, end - gfn, gone->frame, &at);
            if (at != RAM_NOT_PARKED) {
                depopulate(gasp, pages(at, row), gone->frame, 0);
                ram_parked_gone(&gasp->ram, gfn, row, gone->frame);
            } else if (gone->at_home) {
                depopulate(gasp, pages(gfn, row), gone->frame, 0);
            }
        }
    }
}
