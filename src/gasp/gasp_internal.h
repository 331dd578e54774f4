/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's address spaces, below the public gasp.h and guest_ram.h. `struct gasp` is the first
 * member of struct guest_system, so a public call finds it without knowing the rest.
 */
#ifndef XENGASP_GASP_INTERNAL_H
#define XENGASP_GASP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <xengasp/gasp.h>
#include <xengasp/guest.h>

#include "gasp/limit.h"
#include "hv/hv.h"
#include "ram/ram.h"
#include "space/space.h"

enum gasp_space { GASP_MEMORY, GASP_PORTS, GASP_PCI, GASP_SPACES }; /* in lock order */
enum { GASP_PCI_SHIFT = 32 }; /* of a location in PCI configuration space: its function's number */

struct gasp_lock {
    pthread_mutex_t mutex;
    _Atomic(pthread_t) owner; /* 0, which glibc gives to no thread: nobody */
    unsigned depth;           /* the owner's */
};

/* What Xen sends us. Neighbours are one range, whoever owns them; each lies in one server. */
struct trap_range {
    struct range range;
    unsigned server; /* index into trap_set.server */
};

struct trap_set {
    unsigned n_servers;
    unsigned server[HV_MAX_SERVERS]; /* Xen's ids, in order of creation */
    size_t n[GASP_SPACES];
    struct trap_range *range[GASP_SPACES]; /* ascending */
};

/* Ranges whose host addresses somebody holds; map.c's. */
struct gasp_mapped {
    pthread_mutex_t lock;
    void *tree;
    struct range changing; /* see gasp_changing; all zero: nothing is */
    uint64_t changes;      /* that have ended */
    pthread_cond_t settled;
};

/* Device memory: the pages that a layer has, and what the paging pool was given for them. */
struct device_memory {
    uint64_t frame, pages, pool;
};

struct step;
struct gasp_run;

struct gasp {
    struct hv *hv;
    struct ram ram;
    struct space space[GASP_SPACES];
    struct gasp_lock lock[GASP_SPACES];
    struct gasp_mapped mapped;
    struct log_limit limit; /* of warnings that the guest may provoke */
    struct trap_set trap;
    struct range *reserve[GASP_SPACES]; /* gasp_reserve; start-up only */
    size_t n_reserve[GASP_SPACES];
    struct range window;   /* where RAM may be registered once the guest runs; see windows.c */
    struct range parking;  /* likewise */
    struct range *own_ram; /* registered by us, for the guest's memory map and the record */
    size_t n_own_ram;
    _Atomic uint64_t own_pages;   /* that is, so many */
    struct device_memory *device; /* of frames.c */
    size_t n_device;
    struct range *guest_ram; /* as the guest came, when that is known for certain: for the record */
    size_t n_guest_ram;
    enum hv_guest_type type;
    bool ram_only;
    bool settled;   /* pages of RAM are where the map has them; not before the end of start-up */
    bool never_ran; /* the guest wasn't unpaused yet when we opened it */
    _Atomic bool running; /* start-up is over */
    guest_log_fn log;     /* never NULL */
    void *log_arg;
    /* own_ram or the runs of parking.c did, or will at once; NULL: nobody keeps a record. In the lock of
     * memory, once the guest runs. */
    void (*changed)(struct gasp *gasp);
    const struct step *moving; /* while `changed` is told of what is about to move; parking.c */
    size_t n_moving;
    /* Serves the server that was added last; 0, or -1 with errno. NULL: before they are served, when
     * they are all taken up at once. */
    int (*serve)(struct gasp *gasp);
    void (*fatal)(void *arg, int code); /* gasp_set_fatal; NULL: exit */
    void *fatal_arg;
};

static inline struct gasp *gasp_of(struct guest_system *gsp)
{
    return (struct gasp *)gsp;
}

/*
 * Who owns a region in the map: NULL the VM, the gasp itself the platform (platform.c; nobody can
 * name it, so nobody changes it), else a vdev, which vdev/ keeps while it is called. Only regions
 * with GRF_VIRT_* have a vdev to call.
 */
static inline vdev_t *gasp_region_vdev(const struct gasp *gasp, const struct space_region *region)
{
    return region->owner == gasp ? NULL : region->owner;
}

/*
 * options: with the defaults filled in; only memory_limit, ram_only, log and log_arg are looked at.
 * hv stays the caller's. 0, or -1 with ENOMEM.
 */
int gasp_init(struct gasp *gasp, struct hv *hv, const struct hv_info *info,
              const struct guest_options *options);
void gasp_dispose(struct gasp *gasp); /* twice is fine; the servers must be gone (trap_dispose) */

/* What an earlier service left: the guest's RAM as it came, what was registered, and what windows.c
 * set aside. */
struct gasp_kept {
    struct range *guest, *ram;
    struct gasp_run *run;
    size_t n_guest, n_ram, n_run;
    struct range window, parking;
};

/* Seeds the maps: what Xen and the toolstack keep (platform.c), then the guest's RAM. */
int gasp_seed(struct gasp *gasp, const struct hv_info *info, const struct gasp_kept *kept);

/* End of start-up, before the guest runs: writes RAM and vdev ranges into a never-run PVH guest's
 * memory map. 1: there is none. */
int gasp_extend_memory_map(struct gasp *gasp);

void gasp_log(const struct gasp *gasp, enum guest_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- lock.c ---- */

int gasp_space_of(unsigned type); /* QST_* -> enum gasp_space, or -1 */
bool gasp_locked(const struct gasp *gasp, enum gasp_space space); /* by this thread */
/* Whether this thread may change the space now: at start-up, or holding the lock. */
bool gasp_may_change(const struct gasp *gasp, enum gasp_space space);
void gasp_locks_init(struct gasp *gasp);
void gasp_locks_dispose(struct gasp *gasp);

/* ---- change.c (see change.h) ---- */

/* End of start-up, when accesses are answered: moves pages of RAM to where the map has them. 0, or
 * an errno value and nothing moved. */
int gasp_settle(struct gasp *gasp);

/* ---- parking.c ---- */

/* Pages that aren't where a guest without us has them; n frames of `home` lie at `at`. */
struct gasp_run {
    enum gasp_run_kind { RUN_PARKED, RUN_DEVICE, RUN_ROM } what; /* RAM, device memory, RAM */
    uint64_t home, at, n;
};
typedef void (*gasp_run_fn)(void *arg, struct gasp_run run);
/* All there are, or may be in a moment. */
void gasp_each_run(const struct gasp *gasp, gasp_run_fn fn, void *arg);
/* What an earlier service left, as far as it is so: RAM is found where it is parked, device memory is
 * given back, ROM is RAM. 0 or an errno value. */
int gasp_take_runs(struct gasp *gasp, const struct gasp_run *run, size_t n);

/* ---- trap.c ---- */

int trap_enable(struct gasp *gasp, bool on); /* all servers; 0 or -1 with errno */
void trap_drop_servers(struct gasp *gasp, unsigned from);
void trap_dispose(struct gasp *gasp); /* destroys the servers, ranges with them; twice is fine */

/* ---- region.c ---- */

/* Names a region's owner in words: a vdev's name, "RAM", what of the platform it is, "the VM". */
const char *gasp_owner_name(const struct gasp *gasp, const struct space_region *region);
/* Takes a vdev's regions out of the maps, for it goes: nobody may find it there. NULL: those of the
 * VM but for RAM. */
void gasp_drop_regions(struct gasp *gasp, const vdev_t *vdev);
/* Whether nothing that the region could cover is where it would lie; else that is logged. */
bool gasp_is_free(struct gasp *gasp, const struct gasp_region *rgn);
/* Whether RAM may be added anywhere, and the guest will be told of it: it hasn't run, and start-up
 * goes on. */
bool gasp_at_start(const struct gasp *gasp);
/* As vm_ram_register_at and vm_ram_unregister, in the caller's lock; errno values. range: whole
 * pages. */
int gasp_register_at(struct gasp *gasp, uint64_t start, uint64_t bytes, bool untyped);
int gasp_unregister(struct gasp *gasp, struct range range);
bool gasp_in_window(const struct gasp *gasp, struct range range);

/* Whether a warning may be logged: at a bounded rate once the guest may be the cause. */
bool gasp_may_complain(struct gasp *gasp);
/* Logs what stands in the way of a region that was refused with EBUSY or EEXIST. */
void gasp_log_taken(struct gasp *gasp, enum gasp_space space, const struct space_region *r,
                    int error);

/* ---- map.c ---- */

/* Regions that have pages: RAM, ROM, device memory. */
#define GASP_PAGES_HAS GRF_PASS_RD
#define GASP_PAGES_HASNT (GRF_VIRT_ANY | GRF_NOPERMS)

/* For how many bytes from its start on the range lies in such regions. Inside a read section, or
 * with the space locked. */
uint64_t gasp_stretch(const struct space_map *map, struct range range, uint32_t has,
                      uint32_t hasnt);
/* Around a change of which addresses are memory, or of the pages there: before its first step, and
 * when all is done or undone. range: all that it concerns, or all zero. One at a time; nothing in
 * between calls out or waits for a thread that may be mapping memory. */
void gasp_changing(struct gasp *gasp, struct range range);
void gasp_changed(struct gasp *gasp);
/* At the end: gives back, with a warning each, what is still mapped. */
void gasp_unmap_forgotten(struct gasp *gasp);

/* ---- guest_alloc.c ---- */

/* 0, or an errno value: ENOENT (not all RAM), EBUSY (part is allocated, by the guest as well),
 * ENOMEM. */
int gasp_mark_allocated(struct gasp *gasp, struct range range);

/* ---- platform.c ---- */

/* The next entry of what Xen and the toolstack keep in such a guest, from *i on; false: no more. */
bool platform_next(enum hv_guest_type type, size_t *i, enum gasp_space *space_r,
                   struct range *range_r);
const char *platform_name(unsigned cookie);
enum { PLATFORM_PARKING = 0 }; /* the cookie of windows.c's */
/* The name of what QEMU answers among an HVM guest's ports inside the range, or NULL. */
const char *platform_qemu_port(struct range ports);

/* ---- windows.c ---- */

/* At the end of start-up: chooses what isn't there yet; window: the gasp window's bytes, 0 for none.
 * 0, or an errno value: EBUSY (it has run, and has no window), ENOSPC (for the window), ENOMEM. */
int gasp_set_aside(struct gasp *gasp, uint64_t window);
/* As an earlier service did. 0 or an errno value. */
int gasp_take_aside(struct gasp *gasp, struct range window, struct range parking);
/* The first address above RAM and what is set aside. */
uint64_t gasp_above_all(const struct gasp *gasp);
/* Populates the spare page if the topmost one is RAM: Xen's log of dirty pages can't name that. */
void gasp_cover_top(struct gasp *gasp);

/* ---- free.c ---- */

/* The window of gasp_find_free's vdevs in memory: no RAM of ours goes there, and the guest is told
 * to keep out. */
extern const struct range gasp_vdev_window;

/* The lowest hole for RAM (size: whole pages) inside the window: no reserve, not the vdev window. 0
 * or ENOSPC. */
int gasp_find_ram_hole(const struct gasp *gasp, uint64_t size, uint64_t align, struct range window,
                       uint64_t *start_r);
/* The first address above all RAM, page-aligned; above the space's limit when there is none. */
uint64_t gasp_above_ram(const struct gasp *gasp);

#endif
