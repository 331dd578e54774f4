/* SPDX-License-Identifier: BSD-2-Clause */
/* struct guest_system: ties the rooms together. */
#ifndef XENGASP_GUEST_INTERNAL_H
#define XENGASP_GUEST_INTERNAL_H

#include <limits.h>
#include <xengasp/guest.h>

#include "gasp/gasp_internal.h"
#include "ioreq/ioreq.h"
#include "vdev/vdev_internal.h"

struct balloon {        /* guest_run's alone */
    uint64_t target;    /* seen last; 0: never */
    bool raised;        /* the limit, for it */
    uint64_t pages;     /* the guest's, at the last look */
    uint64_t looked_ns; /* when that was */
    uint64_t quiet_ns;  /* when looking ends, unless there is something to see; 0: it has */
};

struct guest_system {
    struct gasp gasp; /* first, see gasp_of */
    struct hv *hv;
    bool simulated, ram_only;
    _Atomic bool sim_driven; /* sim.h's calls have begun */
    uint32_t domid;
    unsigned n_cpus;
    enum hv_guest_type type;
    uint8_t uuid[16];
    struct guest_options options;
    struct vdev_list vdevs;
    struct ioreq_dispatch dispatch;
    int work_fd; /* eventfd: guest_run has something to do */
    _Atomic bool stop;
    _Atomic enum guest_end end;
    char state_dir[PATH_MAX]; /* this guest's; "" without */
    int lock_fd;              /* held while we own the guest's map */
    bool seeded;              /* what was registered is known */
    struct hv_logger hv_logger;
    struct balloon balloon;
};

_Static_assert(offsetof(struct guest_system, gasp) == 0, "gasp_of relies on it");

/*
 * record.c: what outlives the process, in the guest's state directory: the lock that tells who owns
 * its map, the ranges of RAM that were registered, and where pages of RAM are parked. A record of an earlier domain with this id
 * (another uuid) counts as none.
 */
int record_lock(struct guest_system *gsp);    /* EBUSY: another process has it */
void record_unlock(struct guest_system *gsp); /* twice is fine */
int record_load(struct guest_system *gsp, struct gasp_kept *kept_r); /* its RAM is malloc'd */
int record_save(struct guest_system *gsp);

/* balloon.c. The guest's memory target may have changed. */
void balloon_target(struct guest_system *gsp);
/* Keeps the mapping up to date while pages come and go: in how many ms to look again, or -1. */
int balloon_look(struct guest_system *gsp);

/* guest.c: looks whether the guest still lives. */
enum guest_end guest_look(struct guest_system *gsp);

/* guest.c: writes the record anew. */
void guest_ram_changed(struct gasp *gasp);

/* guest.c: the RAM that we registered, or a service before us did; the guest's own is not in it. */
size_t guest_own_ram(const struct guest_system *gsp, const struct range **range_r);
/* guest.c: whether something of ours stays in the guest: RAM, or address space that it was told to
 * keep out of. */
bool guest_has_ours(const struct guest_system *gsp);

#endif
