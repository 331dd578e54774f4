/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A change of a guest's address spaces, from drafts of their maps to the maps that are published:
 * what Xen has to do for it is put together as a list of steps (trap.c, frames.c), carried out, and
 * undone when one fails.
 */
#ifndef XENGASP_GASP_CHANGE_H
#define XENGASP_GASP_CHANGE_H

#include "gasp/gasp_internal.h"

/*
 * In the order in which they are carried out, so that a guest which runs meanwhile finds the old
 * answer or the new one at each address and never a hole: what will trap, or lose its page for a
 * moment, is sent to us first and answered from the old map.
 */
enum step_kind {
    STEP_POPULATE,
    STEP_TRAP,
    STEP_PARK,
    STEP_UNPARK,
    STEP_TYPE,
    STEP_UNTRAP,
    STEP_SHOW, /* what is shown here of a page, wherever it lies */
    STEP_KINDS
};

struct step {
    enum step_kind kind;
    enum gasp_space space; /* of a trap */
    unsigned server;       /* of a trap: index into trap_set.server */
    struct range range;    /* of frames: their home, whole pages */
    uint64_t frame;        /* RAM_FRAME, or the layer whose own they are */
    uint64_t at;           /* the first one's place, as a frame number */
    uint64_t before;       /* STEP_SHOW: what was shown */
    bool read_only;        /* to be, where the step puts it; STEP_PARK, STEP_UNPARK: at both */
    bool shown;            /* STEP_UNPARK, STEP_PARK: while it is parked */
};

struct trap_plan {
    size_t first, n_old, n_wanted; /* of the ranges from `first` on, so many are replaced */
    const struct trap_range *old;
    struct trap_range *wanted;      /* points into `set` */
    struct trap_range *set;         /* the whole new set */
    unsigned count[HV_MAX_SERVERS]; /* ranges that each server will have */
    bool counted;
};

/* Frames of a layer that goes. */
struct gone {
    struct range range;
    uint64_t frame;
    bool at_home; /* those that aren't parked; else there are none */
};

struct change {
    struct gasp *gasp;
    struct space_map *draft[GASP_SPACES]; /* NULL: the space isn't changed */
    struct range hull[GASP_SPACES];       /* of all that is */
    struct trap_plan trap[GASP_SPACES];
    unsigned servers_before;
    struct step *step;
    size_t n, room;
    struct gone *gone;
    size_t n_gone;
    bool *parking_used; /* each place of the parking window; NULL: not looked at yet */
};

void change_begin(struct change *change, struct gasp *gasp);
/* Adds a region to the change. 0 or an errno value, of space_map_set. */
int change_set(struct change *change, enum gasp_space space, const struct space_region *region);
/* Carries it out and publishes it. 0; or an errno value, and nothing changed: ENOSPC no range, server
 * or place to park left, ENOMEM, ESRCH the guest is gone, EBUSY it would have to be paused, or device
 * memory is mapped here; or Xen's. */
int change_make(struct change *change);
/* After either, or instead: gives back what the change holds. */
void change_end(struct change *change);

/* False: no memory. */
bool change_add_step(struct change *change, struct step step);

/* ---- trap.c ---- */

/* What of a space will trap, in which server: adds the steps. 0 or an errno value. */
int trap_plan(struct change *change, enum gasp_space space);
/* Sends a range to us while the change is made. */
int trap_cover(struct change *change, struct range range);
int trap_step(struct gasp *gasp, const struct step *step, bool map); /* 0 or an errno value */
void trap_commit(struct change *change, enum gasp_space space);

/* ---- parking.c: tells gasp->changed of pages that are about to move, and that they have or not ---- */

void parking_begins(struct change *change);
void parking_ended(struct change *change);

/* ---- frames.c ---- */

/* What lies at the pages of a run, by a map. */
struct page_run {
    uint64_t last;                 /* of the run, a frame number */
    const struct space_cell *cell; /* at its start; NULL: nothing */
    uint64_t frame;                /* what is shown there: RAM_FRAME, a layer's own, NO_FRAME */
    bool home;                     /* the guest reaches it, else it is parked, or there is none */
    bool read_only;
    bool cut; /* parts of it are memory, but others are not: all of it has to trap */
};
#define NO_FRAME UINT64_MAX
void frames_look(const struct space_map *map, uint64_t gfn, struct page_run *run_r);

/* Which frames move, come and go. 0 or an errno value. */
int frames_plan(struct change *change);
int frames_settle(struct change *change); /* the same from start-up on, when none moves */
/* Of what goes nothing is mapped here any more; EBUSY. */
int frames_let_go(struct change *change);
void frames_depopulate(struct change *change);                          /* what went */
int frames_step(struct gasp *gasp, const struct step *step, bool undo); /* 0 or an errno value */

#endif
