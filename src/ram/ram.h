/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM in this process: which frames it has, our mapping of them, and getting more of
 * them.
 *
 * Host address = base + guest address: one PROT_NONE reservation as large as the guest's space,
 * filled by foreign mapping in chunks of 2 MiB at first use. What is RAM is told by the map of the
 * memory space (GRF_MEMORY regions); what of it can be touched, by each chunk's bitmap of valid
 * pages.
 */
#ifndef XENGASP_RAM_H
#define XENGASP_RAM_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

#include "hv/hv.h"
#include "ram/allocator.h"
#include "space/space.h"

enum { RAM_CHUNK_SHIFT = 21, RAM_CHUNK_PAGES = 512 };
#define RAM_CHUNK_SIZE (UINT64_C(1) << RAM_CHUNK_SHIFT)

static inline int fail(int error)
{
    errno = error;
    return -1;
}

struct ram_chunk;
LIST_HEAD(ram_chunk_list, ram_chunk);

struct ram {
    struct hv *hv;
    struct space *memory;            /* its GRF_MEMORY regions are RAM */
    uint64_t limit;                  /* bytes of the guest's space */
    struct ram_allocator *allocator; /* of what we registered */
    char *base;                      /* the reservation */
    struct ram_chunk **chunk;        /* one for each 2 MiB of the space; NULL: not mapped */
    struct ram_chunk_list mapped;    /* the same, those that are; under the lock */
    pthread_mutex_t lock; /* of mapping and pinning; readers of a mapped chunk take none */
    /* Bumped when the guest may have given pages up: a chunk mapped before is looked at again
     * before its next use. */
    _Atomic uint64_t generation;
    _Atomic uint64_t pauses; /* of the guest, for its RAM */
    uint64_t taken;          /* where ram_populate has found a page of the guest's */
    /* Of parked.c. */
    struct ram_parked *parked; /* NULL: nothing ever was */
    uint8_t *has_tables;       /* a bit for each 2 MiB: a page was moved from or to there */
    /* Of dirty.c. */
    _Atomic int watcher;     /* eventfd of who calls ram_report; -1: nobody does */
    _Atomic bool logging;    /* Xen logs dirty pages: each write is told at once */
    _Atomic bool unreported; /* something is marked as written */
    uint64_t reported_ns;    /* when last; the watcher's */
};

/* limit: a power of two, at least 2^32. ENOMEM. */
int ram_init(struct ram *ram, struct hv *hv, struct space *memory, uint64_t limit);
void ram_dispose(struct ram *ram); /* unmaps all; twice is fine */

/* ---- access (access.c). Errors as in guest_ram.h. ---- */
bool ram_has(struct ram *ram, struct range range); /* all of it is RAM */
int ram_read(struct ram *ram, uint64_t gpa, void *buf, size_t size);
int ram_write(struct ram *ram, uint64_t gpa, const void *buf, size_t size);
/* The same of what is shown there, RAM by the map or not: for who has looked at the map. */
int ram_access_shown(struct ram *ram, bool write, uint64_t gpa, void *buf, size_t size);
int ram_load8(struct ram *ram, uint64_t gpa, uint8_t *value_r);
int ram_load16(struct ram *ram, uint64_t gpa, uint16_t *value_r);
int ram_load32(struct ram *ram, uint64_t gpa, uint32_t *value_r);
int ram_load64(struct ram *ram, uint64_t gpa, uint64_t *value_r);
int ram_store8(struct ram *ram, uint64_t gpa, uint8_t value);
int ram_store16(struct ram *ram, uint64_t gpa, uint16_t value);
int ram_store32(struct ram *ram, uint64_t gpa, uint32_t value);
int ram_store64(struct ram *ram, uint64_t gpa, uint64_t value);
/* writes: whether fn may write, which is then told to Xen's log of dirty pages. */
int ram_touch(struct ram *ram, vm_t *vm, uint64_t gpa, size_t size, ram_touch_callback_fn fn,
              void *cookie, bool writes);

/* ---- the mapping (mapping.c) ---- */

/* The guest may have given pages up. Takes no lock; called before INVALIDATE is acknowledged. */
void ram_invalidate(struct ram *ram);
/* Drops the chunks that ram_invalidate made stale and nobody has pinned. Not inside a read section.
 */
void ram_drop_stale(struct ram *ram);
/* The same of some of them; whether there may be more. */
bool ram_drop_some(struct ram *ram);
/* Pins the chunks of a range that lies in RAM, mapped and valid: 0, or -1 with ENOENT or ENOMEM and
 * nothing pinned. */
int ram_pin(struct ram *ram, struct range range);
/* The same of as much of it as can be touched from its start on, to which it shortens the range; -1
 * when that is nothing. */
int ram_pin_some(struct ram *ram, struct range *range);
void ram_unpin(struct ram *ram, struct range range);
/* The same of what was perhaps written by its host address: Xen's log of dirty pages is told. */
void ram_unpin_written(struct ram *ram, struct range range);

/* ---- Xen's log of dirty pages (dirty.c) ---- */

/* From now on ram_report is called now and then, also when this eventfd becomes readable; -1: no
 * more. */
void ram_watch(struct ram *ram, int fd);
/* Tells what was written; one thread at a time. Returns in how many ms to call it again. */
int ram_report(struct ram *ram);

/* ---- more RAM (populate.c) ---- */

/*
 * Gives the guest zeroed RAM at a range of whole pages, which the map has as free. whole_2m: of
 * 2 MiB extents or not at all. A guest that has run is paused, 16 MiB after 16 MiB; may_pause: it
 * may be. -1 and nothing changed: EBUSY (it would have to), EEXIST (the guest has a page there),
 * ENOMEM, EDQUOT. EEXIST sets ram->taken to where.
 */
int ram_populate(struct ram *ram, struct range range, bool whole_2m, bool may_pause);

/* Of a guest that runs; counted in ram->pauses. -1: it goes on. */
int ram_pause(struct ram *ram);
void ram_unpause(struct ram *ram);

/*
 * Gives RAM back that ram_populate made; the map doesn't have it any more. Pages that the guest gave
 * up are passed over. pool: bytes to take out of the guest's paging pool, less than 0 to put in. -1
 * and nothing changed: EBUSY (a chunk of it is pinned).
 */
int ram_depopulate(struct ram *ram, struct range range, int64_t pool);
/* Bytes that ram_populate adds to the paging pool. */
uint64_t ram_pool_for(struct range range);

/* ---- pages that lie elsewhere while something covers them (parked.c) ---- */

/*
 * A page's frames: RAM_FRAME its RAM, other numbers the caller's. Each lies at its home, the page
 * itself, or at a place in the parking window; one is shown, which is what reading the page here
 * gives wherever it lies. All n (at most RAM_CHUNK_PAGES) or none.
 */
enum { RAM_FRAME = 0 };
/* Moves what lies at home to `at`, a hole; shown: it is what is shown there. Pages that the guest
 * gave up are passed over. -1 with Xen's errno. */
int ram_park(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame, uint64_t at, bool shown);
/* And back: what is at home would be lost. */
int ram_unpark(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame, uint64_t at);
/* What was populated at `at` belongs there, not shown. ENOMEM. */
int ram_park_new(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame, uint64_t at);
/* It was depopulated. */
void ram_parked_gone(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame);
/* From now on this one is shown of all of the range's pages: at home, unless it is parked. */
void ram_show(struct ram *ram, struct range range, uint64_t frame);
/* Whether the guest's writes to what is at home are dropped. Moving a page loses it. */
int ram_set_type(struct ram *ram, bool read_only, struct range range);
/* Who changes them (its lock): how many of the n pages from gfn on have their frame parked in a row,
 * which begins at *at_r (at most RAM_CHUNK_PAGES); or have it not, RAM_NOT_PARKED. */
uint64_t ram_parked_row(const struct ram *ram, uint64_t gfn, uint64_t n, uint64_t frame,
                        uint64_t *at_r);
#define RAM_NOT_PARKED UINT64_MAX
/* n frames of `home` lie at `at`. */
struct ram_parked_run {
    uint64_t home, at, n;
};
/* The next run of one frame's, from entry *i of the table on. False: no more. */
bool ram_parked_next_run(const struct ram *ram, size_t *i, struct ram_parked_run *run_r,
                         uint64_t *frame_r);
/* Whether RAM of the range is parked. */
bool ram_any_parked(const struct ram *ram, struct range range);
/* Which of n frames (at most RAM_CHUNK_PAGES) the guest has. 0 or -1 with ENOMEM. */
int ram_present(struct ram *ram, uint64_t gfn, size_t n, bool there[]);
/* Of an earlier service's RAM: those which lie at `at`, and nothing at home. 0 or -1 with ENOMEM. */
int ram_take_parked(struct ram *ram, struct ram_parked_run run);
/* Which of the n places from `at` on are taken. */
void ram_parking_used(const struct ram *ram, uint64_t at, size_t n, bool used[]);

/* Whether somebody has a chunk of the range pinned. */
bool ram_pinned(struct ram *ram, struct range range);
/* Unmaps the chunks of a range, so that no page of it is kept. EBUSY: one is pinned. Not inside a
 * read section. */
int ram_drop(struct ram *ram, struct range range);

/* ---- what is there already (discover.c) ---- */

/*
 * The guest's RAM, as ascending disjoint ranges (malloc'd): of a guest that never ran from its
 * start_info or hvm_info, else found by probing. `hint` (n_hint): what is RAM for certain, present or ballooned
 * out. 0; 1: not all was found; -1 with errno.
 */
int ram_discover(struct ram *ram, const struct hv_info *info, const struct range *hint,
                 size_t n_hint, struct range **range_r, size_t *n_r);

/* Sorts ranges; what overlaps or touches becomes one. How many are left. */
size_t ram_merge(struct range *range, size_t n);

/* ---- the guest's own memory map (memmap.c) ---- */

/* As in an E820 map. */
enum ram_map_type { RAM_MAP_RAM = 1, RAM_MAP_RESERVED = 2, RAM_MAP_UNUSABLE = 5 };
struct ram_map_entry {
    struct range range;
    enum ram_map_type type;
};

/*
 * Extends the memory map that a PVH guest which never ran finds in its start_info, and sees to it
 * that Linux keeps out of what is reserved. Entries that the map has already are left out. 0; 1: the
 * guest has no start_info; -1 and nothing changed: ENOSPC no room for the longer map, EEXIST it says
 * otherwise of a range, EINVAL a start_info that makes no sense.
 */
int ram_extend_memory_map(struct ram *ram, const struct ram_map_entry *entry, size_t n);

/*
 * The same for an HVM guest, whose hvmloader then keeps QEMU's BARs clear of it, but for what lies
 * above 4 GiB and not right behind RAM. The entries ascend. 0; 1: the guest has no hvm_info; -1 and
 * nothing changed: ENOSPC, ENOMEM, or Xen's.
 */
int ram_extend_hvm_map(struct ram *ram, const struct ram_map_entry *entry, size_t n);

#endif
