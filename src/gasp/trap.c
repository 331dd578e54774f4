/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trap ranges: what Xen is told of a map. Neighbours that trap are one range, whoever owns
 * them, because Xen delivers an access only if it lies wholly inside the ranges of one server; so a
 * range is never spread over two.
 *
 * Xen holds 256 ranges a server and type, and needs one more for a moment or for good when the
 * middle is taken out of one. So a new range goes where at most 254 are, and the spare is for what
 * a removal leaves over.
 */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NO_SERVER = HV_MAX_SERVERS };

/* One call to Xen. */
struct step {
    bool map;
    unsigned server; /* index */
    struct range range;
};

struct plan {
    struct gasp *gasp;
    enum gasp_space space;
    /* Of the ranges that there are, `old`, from index `first` on, is replaced by `wanted`. */
    const struct trap_range *old;
    size_t first, n_old, n_wanted;
    struct trap_range *wanted;      /* points into `set` */
    struct trap_range *set;         /* the whole new set */
    unsigned count[HV_MAX_SERVERS]; /* ranges that each server will have */
    struct step *step;
    size_t n_steps;
};

static bool traps(const struct space_region *region)
{
    return region->flags & (GRF_VIRT_RD | GRF_VIRT_WR); /* it is active, else it would be hidden */
}

/* Finds the old ranges that the change meets or touches, and widens `changed` to hold them. */
static void find_old(struct plan *plan, struct range *changed)
{
    const struct trap_set *trap = &plan->gasp->trap;
    const struct trap_range *old = trap->range[plan->space];
    size_t n = trap->n[plan->space], i = 0, end;

    while (i < n && old[i].range.last < changed->first && changed->first - old[i].range.last > 1)
        i++;
    for (end = i; end < n; end++)
        if (old[end].range.first > changed->last && old[end].range.first - changed->last > 1)
            break;
    plan->old = n > 0 ? old + i : old;
    plan->first = i;
    plan->n_old = end - i;
    for (size_t k = 0; k < n; k++)
        if (k < i || k >= end)
            plan->count[old[k].server]++;
    if (i == end)
        return;
    if (old[i].range.first < changed->first)
        changed->first = old[i].range.first;
    if (old[end - 1].range.last > changed->last)
        changed->last = old[end - 1].range.last;
}

/* Lists what is to trap in the range, and allocates all that the plan needs. 0 or ENOMEM. */
static int find_wanted(struct plan *plan, const struct space_map *to, struct range range)
{
    const struct trap_set *trap = &plan->gasp->trap;
    size_t n = trap->n[plan->space], from = space_map_search(to, range.first), end = from, rest;

    while (end < to->n && to->region[end].range.first <= range.last)
        end++;
    plan->set = malloc((n + (end - from) + 1) * sizeof(*plan->set));
    /* Two lists of disjoint ranges meet in fewer places than they have ranges, and each place cuts
     * one range once. */
    plan->step = malloc(3 * (plan->n_old + (end - from) + 1) * sizeof(*plan->step));
    if (!plan->set || !plan->step)
        return ENOMEM;
    plan->wanted = plan->set + plan->first;
    for (size_t i = from; i < end; i++) {
        struct range r = to->region[i].range;
        struct trap_range *before = plan->n_wanted > 0 ? &plan->wanted[plan->n_wanted - 1] : NULL;

        if (!traps(&to->region[i]))
            continue;
        if (before && r.first - before->range.last == 1)
            before->range.last = r.last;
        else
            plan->wanted[plan->n_wanted++] = (struct trap_range){r, NO_SERVER};
    }
    rest = n - plan->first - plan->n_old;
    if (plan->first > 0)
        memcpy(plan->set, trap->range[plan->space], plan->first * sizeof(*plan->set));
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

    if (trap->frozen || trap->n_servers == HV_MAX_SERVERS)
        return ENOSPC;
    if (gasp->hv->ops->server_create(gasp->hv, &trap->server[trap->n_servers]) < 0)
        return xen_error(gasp, "another ioreq server");
    trap->n_servers++;
    return 0;
}

static void drop_servers(struct gasp *gasp, unsigned from)
{
    while (gasp->trap.n_servers > from)
        if (gasp->hv->ops->server_destroy(gasp->hv, gasp->trap.server[--gasp->trap.n_servers]) < 0)
            gasp_log(gasp, GUEST_LOG_WARN, "ioreq server %u can't be destroyed: %s",
                     gasp->trap.server[gasp->trap.n_servers], strerror(errno));
}

/* The first server with fewer than `limit` ranges. */
static unsigned server_with_room(const struct plan *plan, unsigned limit)
{
    for (unsigned s = 0; s < plan->gasp->trap.n_servers; s++)
        if (plan->count[s] < limit)
            return s;
    return NO_SERVER;
}

/* The server that has what is there now of the wanted range, or NO_SERVER. */
static unsigned server_now(const struct plan *plan, struct range wanted)
{
    for (size_t i = 0; i < plan->n_old; i++)
        if (range_overlap(plan->old[i].range, wanted))
            return plan->old[i].server;
    return NO_SERVER;
}

/* A server for each wanted range: what there is of it stays where it is, if that can be. 0 or an
 * errno value. */
static int assign(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_wanted; i++) {
        unsigned s = server_now(plan, plan->wanted[i].range);

        if (s != NO_SERVER && plan->count[s] < HV_MAX_RANGES) {
            plan->wanted[i].server = s;
            plan->count[s]++;
        }
    }
    for (size_t i = 0; i < plan->n_wanted; i++) {
        struct trap_range *wanted = &plan->wanted[i];

        if (wanted->server != NO_SERVER)
            continue;
        wanted->server = server_with_room(plan, HV_MAX_RANGES - 1);
        if (wanted->server == NO_SERVER && server_now(plan, wanted->range) != NO_SERVER)
            wanted->server = server_with_room(plan, HV_MAX_RANGES);
        if (wanted->server == NO_SERVER) {
            int rc = add_server(plan->gasp);

            if (rc)
                return rc;
            wanted->server = plan->gasp->trap.n_servers - 1;
        }
        plan->count[wanted->server]++;
    }
    return 0;
}

/* Adds a step for each piece of `range` that isn't in one of `covering` of the same server. */
static void add_steps(struct plan *plan, bool map, struct trap_range range,
                      const struct trap_range *covering, size_t n)
{
    struct range rest = range.range;

    for (size_t i = 0; i < n; i++) {
        struct range c = covering[i].range;

        if (covering[i].server != range.server || !range_overlap(c, rest))
            continue;
        if (c.first > rest.first)
            plan->step[plan->n_steps++] =
                (struct step){map, range.server, {rest.first, c.first - 1}};
        if (c.last >= rest.last)
            return;
        rest.first = c.last + 1;
    }
    plan->step[plan->n_steps++] = (struct step){map, range.server, rest};
}

static int take_step(const struct plan *plan, const struct step *step, bool map)
{
    struct hv *hv = plan->gasp->hv;
    enum hv_range_type type = plan->space == GASP_MEMORY ? HV_RANGE_MEMORY : HV_RANGE_PORT;
    unsigned server = plan->gasp->trap.server[step->server];

    if (map)
        return hv->ops->server_map_range(hv, server, type, step->range.first, step->range.last);
    return hv->ops->server_unmap_range(hv, server, type, step->range.first, step->range.last);
}

/* All steps or none. What goes from one server to another is in both meanwhile, so no access falls
 * in between. */
static int take_steps(const struct plan *plan)
{
    size_t done;
    int rc = 0;

    for (done = 0; done < plan->n_steps; done++) {
        if (take_step(plan, &plan->step[done], plan->step[done].map) < 0) {
            rc = xen_error(plan->gasp,
                           plan->step[done].map ? "a trap range" : "taking a trap range away");
            break;
        }
    }
    if (!rc)
        return 0;
    while (done-- > 0) {
        const struct step *step = &plan->step[done];

        if (take_step(plan, step, !step->map) < 0)
            gasp_log(plan->gasp, GUEST_LOG_ERROR, "trap range [" PRIrange "] can't be put back: %s",
                     range_arg(step->range), strerror(errno));
    }
    return rc;
}

int trap_carry(struct gasp *gasp, enum gasp_space space, const struct space_map *to,
               struct range changed)
{
    struct plan plan = {.gasp = gasp, .space = space};
    unsigned servers_before = gasp->trap.n_servers;
    bool needs_server =
        servers_before == 0 && !gasp->trap.frozen &&
        (space_map_meets(to, changed, GRF_VIRT_RD) || space_map_meets(to, changed, GRF_VIRT_WR));
    int rc;

    find_old(&plan, &changed);
    rc = find_wanted(&plan, to, changed);
    if (rc)
        goto out;
    /* Also for a region that isn't active yet: once the guest runs there would be no server to make
     * it so. */
    if (needs_server)
        rc = add_server(gasp);
    if (!rc)
        rc = assign(&plan);
    if (rc)
        goto out;
    for (size_t i = 0; i < plan.n_wanted; i++)
        add_steps(&plan, true, plan.wanted[i], plan.old, plan.n_old);
    for (size_t i = 0; i < plan.n_old; i++)
        add_steps(&plan, false, plan.old[i], plan.wanted, plan.n_wanted);
    rc = take_steps(&plan);
out:
    if (rc) {
        drop_servers(gasp, servers_before);
    } else {
        gasp->trap.n[space] += plan.n_wanted - plan.n_old;
        free(gasp->trap.range[space]);
        gasp->trap.range[space] = plan.set;
        plan.set = NULL;
    }
    free(plan.set);
    free(plan.step);
    return rc;
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
    drop_servers(gasp, 0);
    for (int s = 0; s < GASP_SPACES; s++) {
        free(gasp->trap.range[s]);
        gasp->trap.range[s] = NULL;
        gasp->trap.n[s] = 0;
    }
}
