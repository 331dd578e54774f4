/* SPDX-License-Identifier: BSD-2-Clause */
#include "gasp/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void change_begin(struct change *change, struct gasp *gasp)
{
    *change = (struct change){.gasp = gasp, .servers_before = gasp->trap.n_servers};
}

void change_end(struct change *change)
{
    for (int s = 0; s < GASP_SPACES; s++) {
        space_map_free(change->draft[s]);
        free(change->trap[s].set);
    }
    free(change->step);
    free(change->gone);
    free(change->parking_used);
    *change = (struct change){0};
}

int change_set(struct change *change, enum gasp_space space, const struct space_region *region)
{
    const struct range range = region->range;
    struct range *hull = &change->hull[space];

    if (!change->draft[space]) {
        change->draft[space] = space_draft(&change->gasp->space[space]);
        *hull = range;
    }
    if (!change->draft[space])
        return ENOMEM;
    hull->first = range.first < hull->first ? range.first : hull->first;
    hull->last = range.last > hull->last ? range.last : hull->last;
    return space_map_set(change->draft[space], region);
}

bool change_add_step(struct change *change, struct step step)
{
    if (change->n == change->room) {
        size_t room = change->room ? 2 * change->room : 16;
        struct step *more = realloc(change->step, room * sizeof(*more));

        if (!more)
            return false;
        change->step = more;
        change->room = room;
    }
    change->step[change->n++] = step;
    return true;
}

/* Into the order of their kinds. 0 or ENOMEM. */
static int sort_steps(struct change *change)
{
    struct step *sorted = malloc((change->n + 1) * sizeof(*sorted));
    size_t n = 0;

    if (!sorted)
        return ENOMEM;
    for (int kind = 0; kind < STEP_KINDS; kind++) {
        for (size_t i = 0; i < change->n; i++) {
            if ((int)change->step[i].kind == kind)
                sorted[n++] = change->step[i];
        }
    }
    free(change->step);
    change->step = sorted;
    change->room = change->n + 1;
    return 0;
}

static int take_step(struct gasp *gasp, const struct step *step, bool undo)
{
    switch (step->kind) {
    case STEP_TRAP:
        return trap_step(gasp, step, !undo);
    case STEP_UNTRAP:
        return trap_step(gasp, step, undo);
    default:
        return frames_step(gasp, step, undo);
    }
}

static void undo_steps(struct change *change, size_t done)
{
    while (done-- > 0) {
        const struct step *step = &change->step[done];
        int rc = take_step(change->gasp, step, true);

        if (rc && gasp_may_complain(change->gasp))
            gasp_log(change->gasp, GUEST_LOG_ERROR,
                     "[" PRIrange "] can't be made again what it was: %s", range_arg(step->range),
                     strerror(rc));
    }
}

/* All steps or none. */
static int carry(struct change *change)
{
    int rc = sort_steps(change);

    if (!rc)
        parking_begins(change);
    for (size_t done = 0; !rc && done < change->n; done++) {
        rc = take_step(change->gasp, &change->step[done], false);
        if (rc)
            undo_steps(change, done);
    }
    return rc;
}

static int plan(struct change *change)
{
    int rc = 0;

    for (int s = 0; s < GASP_SPACES && !rc; s++)
        rc = change->draft[s] ? trap_plan(change, s) : 0;
    if (!rc && change->draft[GASP_MEMORY] && change->gasp->settled)
        rc = frames_plan(change);
    return rc;
}

/* First Xen, then the maps: so a change that Xen refuses leaves them alone. What goes for good goes
 * last, when nobody finds it any more. */
static int publish(struct change *change)
{
    struct space_map *former[GASP_SPACES] = {NULL};
    struct gasp *gasp = change->gasp;
    int rc;

    for (int s = 0; s < GASP_SPACES; s++) {
        if (change->draft[s])
            former[s] = space_show(&gasp->space[s], change->draft[s]);
        change->draft[s] = NULL;
    }
    rc = frames_let_go(change);
    for (int s = 0; s < GASP_SPACES; s++) {
        if (!former[s])
            continue;
        if (rc) {
            space_take_back(&gasp->space[s], former[s]);
        } else {
            space_keep(&gasp->space[s], former[s]);
            trap_commit(change, s);
        }
    }
    if (rc)
        undo_steps(change, change->n);
    else
        frames_depopulate(change);
    return rc;
}

int change_make(struct change *change)
{
    int rc = plan(change);

    if (!rc) {
        gasp_changing(change->gasp, change->hull[GASP_MEMORY]);
        rc = carry(change);
        if (!rc)
            rc = publish(change);
        gasp_changed(change->gasp);
        parking_ended(change);
    }
    /* One that is being served stays: the next change may need it. */
    if (rc && !change->gasp->serve)
        trap_drop_servers(change->gasp, change->servers_before);
    return rc;
}

int gasp_settle(struct gasp *gasp)
{
    struct change change;
    int rc;

    change_begin(&change, gasp);
    rc = frames_settle(&change);
    gasp_changing(gasp, (struct range){0, gasp->space[GASP_MEMORY].limit});
    if (!rc)
        rc = carry(&change);
    gasp->settled = !rc;
    gasp_changed(gasp);
    parking_ended(&change);
    change_end(&change);
    return rc;
}
