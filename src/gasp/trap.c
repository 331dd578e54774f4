/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trap ranges: what Xen is told of a map. Neighbours that trap are one range, whoever owns
 * them, because Xen delivers an access only if it lies wholly inside the ranges of one server; so a
 * range is never spread over two. (Of PCI configuration space Xen takes a function at a time.)
 *
 * Xen holds 256 ranges a server and type, and needs one more for a moment or for good when the
 * middle is taken out of one. So a new range goes where at most 254 are, and the spare is for what
 * a removal leaves over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gasp/change.h"

enum { NO_SERVER = HV_MAX_SERVERS };

static const enum hv_range_type range_type[GASP_SPACES] = {
    [GASP_MEMORY] = HV_RANGE_MEMORY, [GASP_PORTS] = HV_RANGE_PORT, [GASP_PCI] = HV_RANGE_PCI};

/* Where nobody may access anything Xen answers as we would, unless there is somebody else who might:
 * QEMU. */
static bool traps(const struct gasp *gasp, const struct space_layer *layer)
{
    if (layer->flags & GRF_NOPERMS)
        return gasp->type == HV_HVM;
    return layer->flags & (GRF_VIRT_RD | GRF_VIRT_WR);
}

static bool touch(struct range a, struct range b)
{
    return range_overlap(a, b) || b.first - a.last == 1 || a.first - b.last == 1;
}

/* Finds the old ranges that the change meets or touches, and widens `hull` to hold them. */
static void find_old(const struct trap_set *trap, enum gasp_space space, struct trap_plan *plan,
                     struct range *hull)
{
    const struct trap_range *old = trap->range[space];
    size_t n = trap->n[space], i = 0, end;

    while (i < n && old[i].range.last < hull->first && !touch(old[i].range, *hull))
        i++;
    for (end = i; end < n && touch(old[end].range, *hull); end++)
        ;
    plan->counted = true;
    plan->old = n > 0 ? old + i : old;
    plan->first = i;
    plan->n_old = end - i;
    for (size_t k = 0; k < n; k++)
        if (k < i || k >= end)
            plan->count[old[k].server]++;
    if (i == end)
        return;
    if (old[i].range.first < hull->first)
        hull->first = old[i].range.first;
    if (old[end - 1].range.last > hull->last)
        hull->last = old[end - 1].range.last;
}

/* Ascending; those that touch are one. */
static void add_wanted(struct trap_plan *plan, struct range r)
{
    struct trap_range *before = plan->n_wanted > 0 ? &plan->wanted[plan->n_wanted - 1] : NULL;

    if (!before || r.first > before->range.last + 1)
        plan->wanted[plan->n_wanted++] = (struct trap_range){r, NO_SERVER};
    else if (r.last > before->range.last)
        before->range.last = r.last;
}

static bool is_cut(const struct space_map *map, uint64_t addr)
{
    struct page_run run;

    frames_look(map, addr >> HV_PAGE_SHIFT, &run);
    return run.cut;
}

/* A page of which a part is memory traps as a whole. */
static void add_if_cut(const struct space_map *to, uint64_t addr, struct trap_plan *plan)
{
    if (is_cut(to, addr))
        add_wanted(plan, (struct range){addr & -(uint64_t)HV_PAGE_SIZE, addr | (HV_PAGE_SIZE - 1)});
}

/* What of the range is to trap: at most two for each cell. */
static void list_wanted(const struct change *change, enum gasp_space space, struct trap_plan *plan,
                        struct range range)
{
    const struct space_map *to = change->draft[space];

    for (size_t i = space_map_search(to, range.first);
         i < to->n && to->cell[i]->range.first <= range.last; i++) {
        const struct space_layer *layer = space_cell_visible(to->cell[i]);
        struct range cell = to->cell[i]->range, r = cell;
        bool memory = space == GASP_MEMORY;

        r.first = r.first > range.first ? r.first : range.first;
        r.last = r.last < range.last ? r.last : range.last;
        if (memory && r.first == cell.first && cell.first % HV_PAGE_SIZE)
            add_if_cut(to, cell.first, plan);
        if (layer && traps(change->gasp, layer))
            add_wanted(plan, r);
        if (memory && r.last == cell.last && (cell.last + 1) % HV_PAGE_SIZE)
            add_if_cut(to, cell.last, plan);
    }
}

/* Lists what is to trap in the range, with room for the whole new set. 0 or ENOMEM. */
static int find_wanted(const struct change *change, enum gasp_space space, struct trap_plan *plan,
                       struct range range)
{
    const struct trap_set *trap = &change->gasp->trap;
    const struct space_map *to = change->draft[space];
    size_t n = trap->n[space], cells = 0, rest;

    for (size_t i = space_map_search(to, range.first);
         i < to->n && to->cell[i]->range.first <= range.last; i++)
        cells++;
    plan->set = malloc((n + 2 * cells + 1) * sizeof(*plan->set));
    if (!plan->set)
        return ENOMEM;
    plan->wanted = plan->set + plan->first;
    list_wanted(change, space, plan, range);
    rest = n - plan->first - plan->n_old;
    if (plan->first > 0)
        memcpy(plan->set, trap->range[space], plan->first * sizeof(*plan->set));
    if (rest > 0)
        memcpy(plan->wanted + plan->n_wanted, plan->old + plan->n_old, rest * sizeof(*plan->set));
    return 0;
}

static int xen_error(struct gasp *gasp, const char *what)
{
    int error = errno;

    if (gasp_may_complain(gasp))
        gasp_log(gasp, GUEST_LOG_WARN, "Xen refuses %s: %s", what, strerror(error));
    switch (error) {
    case ENOMEM: /* of a range: no slot for it */
        return ENOSPC;
    case ENOENT: /* our server is gone, so the guest is */
        return ESRCH;
    case EEXIST: /* somebody else used our server */
        return EIO;
    default:
        return error;
    }
}

static int add_server(struct gasp *gasp)
{
    struct trap_set *trap = &gasp->trap;
    int error;

    if (trap->n_servers == HV_MAX_SERVERS)
        return ENOSPC;
    if (gasp->hv->ops->server_create(gasp->hv, &trap->server[trap->n_servers]) < 0)
        return xen_error(gasp, "another ioreq server");
    trap->n_servers++;
    if (!gasp->serve || gasp->serve(gasp) == 0)
        return 0;
    error = errno;
    gasp->hv->ops->server_destroy(gasp->hv, trap->server[--trap->n_servers]);
    return error;
}

void trap_drop_servers(struct gasp *gasp, unsigned from)
{
    while (gasp->trap.n_servers > from)
        if (gasp->hv->ops->server_destroy(gasp->hv, gasp->trap.server[--gasp->trap.n_servers]) < 0)
            gasp_log(gasp, GUEST_LOG_WARN, "ioreq server %u can't be destroyed: %s",
                     gasp->trap.server[gasp->trap.n_servers], strerror(errno));
}

/* The first server with fewer than `limit` ranges. */
static unsigned server_with_room(const struct gasp *gasp, const struct trap_plan *plan,
                                 unsigned limit)
{
    for (unsigned s = 0; s < gasp->trap.n_servers; s++)
        if (plan->count[s] < limit)
            return s;
    return NO_SERVER;
}

/* The server that has what is there now of the wanted range, or NO_SERVER. */
static unsigned server_now(const struct trap_plan *plan, struct range wanted)
{
    for (size_t i = 0; i < plan->n_old; i++)
        if (range_overlap(plan->old[i].range, wanted))
            return plan->old[i].server;
    return NO_SERVER;
}

static int find_server(struct gasp *gasp, struct trap_plan *plan, struct trap_range *wanted)
{
    int rc;

    wanted->server = server_with_room(gasp, plan, HV_MAX_RANGES - 1);
    if (wanted->server == NO_SERVER && server_now(plan, wanted->range) != NO_SERVER)
        wanted->server = server_with_room(gasp, plan, HV_MAX_RANGES);
    if (wanted->server == NO_SERVER) {
        rc = add_server(gasp);
        if (rc)
            return rc;
        wanted->server = gasp->trap.n_servers - 1;
    }
    plan->count[wanted->server]++;
    return 0;
}

/* A server for each wanted range: what there is of it stays where it is, if that can be. 0 or an
 * errno value. */
static int assign(struct gasp *gasp, struct trap_plan *plan)
{
    int rc = 0;

    for (size_t i = 0; i < plan->n_wanted; i++) {
        unsigned s = server_now(plan, plan->wanted[i].range);

        if (s != NO_SERVER && plan->count[s] < HV_MAX_RANGES) {
            plan->wanted[i].server = s;
            plan->count[s]++;
        }
    }
    for (size_t i = 0; i < plan->n_wanted && !rc; i++) {
        if (plan->wanted[i].server == NO_SERVER)
            rc = find_server(gasp, plan, &plan->wanted[i]);
    }
    return rc;
}

/* Adds a step for each piece of `range` that isn't in one of `covering` of the same server. 0 or
 * ENOMEM. */
static int add_steps(struct change *change, struct step step, struct trap_range range,
                     const struct trap_range *covering, size_t n)
{
    struct range rest = range.range;

    step.server = range.server;
    for (size_t i = 0; i < n; i++) {
        struct range c = covering[i].range;

        if (covering[i].server != range.server || !range_overlap(c, rest))
            continue;
        step.range = (struct range){rest.first, c.first - 1};
        if (c.first > rest.first && !change_add_step(change, step))
            return ENOMEM;
        if (c.last >= rest.last)
            return 0;
        rest.first = c.last + 1;
    }
    step.range = rest;
    return change_add_step(change, step) ? 0 : ENOMEM;
}

/* A step on the ranges of Xen's, where a function of PCI is a number. */
int trap_step(struct gasp *gasp, const struct step *step, bool map)
{
    struct hv *hv = gasp->hv;
    unsigned server = gasp->trap.server[step->server];
    struct range r = step->range;
    int rc;

    if (step->space == GASP_PCI)
        r = (struct range){r.first >> GASP_PCI_SHIFT, r.last >> GASP_PCI_SHIFT};
    if (map)
        rc = hv->ops->server_map_range(hv, server, range_type[step->space], r.first, r.last);
    else
        rc = hv->ops->server_unmap_range(hv, server, range_type[step->space], r.first, r.last);
    return rc < 0 ? xen_error(gasp, map ? "a trap range" : "taking a trap range away") : 0;
}

static bool has_virt(const struct space_map *map, struct range range)
{
    return space_map_meets(map, range, GRF_VIRT_RD, NULL) ||
           space_map_meets(map, range, GRF_VIRT_WR, NULL);
}

/* What may trap otherwise when the hull's addresses change: a page that is cut does as a whole. */
static struct range affected(const struct change *change, enum gasp_space space)
{
    const struct space_map *from = change->gasp->space[space].map, *to = change->draft[space];
    struct range hull = change->hull[space];

    if (space != GASP_MEMORY)
        return hull;
    if (is_cut(from, hull.first) || is_cut(to, hull.first))
        hull.first &= -(uint64_t)HV_PAGE_SIZE;
    if (is_cut(from, hull.last) || is_cut(to, hull.last))
        hull.last |= HV_PAGE_SIZE - 1;
    return hull;
}

int trap_plan(struct change *change, enum gasp_space space)
{
    struct gasp *gasp = change->gasp;
    struct trap_plan *plan = &change->trap[space];
    struct range hull = affected(change, space);
    const struct step trap = {.kind = STEP_TRAP, .space = space},
                      untrap = {.kind = STEP_UNTRAP, .space = space};
    int rc;

    find_old(&gasp->trap, space, plan, &hull);
    rc = find_wanted(change, space, plan, hull);
    /* Also for a region that isn't active yet: there may be no server later to make it so. */
    if (!rc && gasp->trap.n_servers == 0 && !gasp->serve &&
        has_virt(change->draft[space], change->hull[space]))
        rc = add_server(gasp);
    if (!rc)
        rc = assign(gasp, plan);
    for (size_t i = 0; i < plan->n_wanted && !rc; i++)
        rc = add_steps(change, trap, plan->wanted[i], plan->old, plan->n_old);
    for (size_t i = 0; i < plan->n_old && !rc; i++)
        rc = add_steps(change, untrap, plan->old[i], plan->wanted, plan->n_wanted);
    return rc;
}

int trap_cover(struct change *change, struct range range)
{
    struct gasp *gasp = change->gasp;
    struct trap_plan *plan = &change->trap[GASP_MEMORY];
    struct step step = {.kind = STEP_TRAP, .space = GASP_MEMORY, .range = range};
    struct trap_range cover = {range, NO_SERVER};
    int rc;

    /* A guest with nothing that traps gets a server for it, unless it is still at start-up. */
    if (gasp->trap.n_servers == 0 && !(gasp->serve && gasp->settled))
        return 0;
    for (size_t i = 0; !plan->counted && i < gasp->trap.n[GASP_MEMORY]; i++)
        plan->count[gasp->trap.range[GASP_MEMORY][i].server]++;
    plan->counted = true;
    rc = find_server(gasp, plan, &cover);
    if (rc)
        return rc;
    step.server = cover.server;
    if (!change_add_step(change, step))
        return ENOMEM;
    step.kind = STEP_UNTRAP;
    return change_add_step(change, step) ? 0 : ENOMEM;
}

void trap_commit(struct change *change, enum gasp_space space)
{
    struct trap_set *trap = &change->gasp->trap;
    struct trap_plan *plan = &change->trap[space];

    if (!plan->set)
        return;
    trap->n[space] += plan->n_wanted - plan->n_old;
    free(trap->range[space]);
    trap->range[space] = plan->set;
    plan->set = NULL;
}

int trap_enable(struct gasp *gasp, bool on)
{
    unsigned s;
    int error;

    for (s = 0; s < gasp->trap.n_servers; s++)
        if (gasp->hv->ops->server_enable(gasp->hv, gasp->trap.server[s], on) < 0)
            break;
    if (s == gasp->trap.n_servers)
        return 0;
    error = errno;
    /* Turning off goes on for the rest; turning on is undone. */
    for (unsigned t = on ? 0 : s + 1; t < (on ? s : gasp->trap.n_servers); t++)
        gasp->hv->ops->server_enable(gasp->hv, gasp->trap.server[t], false);
    errno = error;
    return -1;
}

void trap_dispose(struct gasp *gasp)
{
    trap_drop_servers(gasp, 0);
    for (int s = 0; s < GASP_SPACES; s++) {
        free(gasp->trap.range[s]);
        gasp->trap.range[s] = NULL;
        gasp->trap.n[s] = 0;
    }
}
