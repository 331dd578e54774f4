/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The regions of a guest's address spaces. Names, values and signatures are QNX's 7.x; what its
 * published manuals leave open is decided here and marked (ours).
 *
 * Spaces: QST_MEMORY (from 0 to the guest's limit) and QST_X86_IO (ports 0 to 0xffff). Any other
 * type: ENOTSUP. QNX's own functions return 0 or an errno value; gasp_region_set_soft and
 * gasp_find_free also set errno. An owner is (vdev, cookie); vdev NULL is the VM itself.
 */
#ifndef XENGASP_GASP_H
#define XENGASP_GASP_H

#include <xengasp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gasp_region_flags {
    GRF_NONE = 0,
    GRF_VIRT_RD = 0x1, /* reads trap: vread is called */
    GRF_VIRT_WR = 0x2, /* writes trap: vwrite is called */
    GRF_VIRT_EX = 0x4, /* accepted beside VIRT_RD or VIRT_WR; alone ENOTSUP */
    GRF_VIRT_ANY = 0x7,
    GRF_PASS_RD = 0x8, /* the access goes to memory */
    GRF_PASS_WR = 0x10,
    GRF_PASS_EX = 0x20,
    GRF_PASS_ANY = 0x38,
    GRF_NOCACHE = 0x40,
    GRF_ACTIVE = 0x80,  /* installed: the guest sees it */
    GRF_MEMORY = 0x100, /* usable as RAM; what vm_ram_register makes */
    GRF_PASSTHRU = 0x200,
    GRF_DMA_USES = 0x400,
    GRF_DMA_NO_USE = 0x800,
    GRF_DMA_SOURCE = 0x1000,
    GRF_DMA_TARGET = 0x2000,
    GRF_PRECIOUS = 0x4000, /* overlaps nothing */
    GRF_NOPERMS = 0x8000,  /* reserved, no access: reads all ones, writes dropped */
    GRF_BACKUP_SHIFT = 25,
    GRF_STICKY = GRF_MEMORY | GRF_DMA_SOURCE | GRF_DMA_TARGET | GRF_PASSTHRU,
};
#define GRF_BACKUP_MASK 0xf0000000u

struct gasp_region {
    uint32_t flags;  /* enum gasp_region_flags */
    uint32_t cookie; /* given back to vread and vwrite */
    vdev_t *vdev;    /* who answers for GRF_VIRT_*; NULL: the VM */
    /* Output only: where a page-backed region's start lies in this process while it is mapped there
     * (inside a touch's callback; at other times it may not be); else 0. */
    uint64_t host_location;
    struct qvm_state_block guest;
};

/*
 * One lock a space: recursive, owned by a thread. Order: memory, then ports; against it EDEADLK.
 * Any stage. EINVAL a type without a map; EPERM unlock by another thread than the owner.
 */
XENGASP_API int gasp_lock(struct guest_system *gsp, uint16_t type);
XENGASP_API int gasp_unlock(struct guest_system *gsp, uint16_t type);

/*
 * The lowest free location of `size` bytes, a multiple of align (a power of two; 0 is 1), or
 * QSL_NO_LOCATION with ENOSPC, EINVAL (size 0, align), ENOTSUP (type), EPERM (running, and the lock
 * not held). It only finds: hold the lock until it is set. Windows: memory [0xfe000000-0xfebfffff],
 * then, before the guest's first unpause, above all RAM; ports [0x2000-0x9fff]. Of _range:
 * [min_addr, max_addr], both may be used.
 */
XENGASP_API uint64_t gasp_find_free(struct guest_system *gsp, unsigned qst, uint64_t size,
                                    uint64_t align);
XENGASP_API uint64_t gasp_find_free_range(struct guest_system *gsp, unsigned qst, uint64_t size,
                                          uint64_t align, uint64_t min_addr, uint64_t max_addr);

/*
 * Sets n regions in order; start-up, or running with the space's lock held. Returns n, or the index
 * of the first that failed with errno set, those before it applied. For each entry: length 0:
 * ignored. flags GRF_NONE: deletes the named part of the owner's region. Inside a visible region of
 * the same owner: modifies that part's flags. Else: adds. For now a new region must lie in free
 * space (overlays come later): EEXIST, or EBUSY when either is PRECIOUS. EOVERFLOW wraps or leaves
 * the space; EINVAL unknown flags, VIRT and PASS of one access, VIRT without a vdev; ENOTSUP type,
 * PASSTHRU, host_location not 0, pass-through memory that isn't vm_ram_register's; EPERM running
 * without the lock, or deleting what only others own; ENOENT deleting where nothing is; ENOSPC no
 * range left in Xen; ESRCH the guest is gone.
 */
XENGASP_API unsigned gasp_region_set_soft(struct guest_system *gsp, unsigned n,
                                          const struct gasp_region *rgn);

/* (ours) The same, but all or nothing: 0, or -1 with errno. n above 1: none of them RAM's coming or
 * going (ENOTSUP). */
XENGASP_API int gasp_region_set_all(struct guest_system *gsp, unsigned n,
                                    const struct gasp_region *rgn);

/*
 * The same, for a device that can't do without: takes the locks itself, any stage; a failure is
 * logged and ends the process, with exit code 64 at start-up and 96 when running, by way of the hook
 * of gasp_set_fatal (ours). Should that return, so does this call, those before the one that failed
 * applied.
 */
XENGASP_API void gasp_region_set(struct guest_system *gsp, unsigned n,
                                 const struct gasp_region *rgn);
XENGASP_API void gasp_set_fatal(struct guest_system *gsp, void (*fn)(void *arg, int code),
                                void *arg);

/*
 * What answers at blk->location: its extent, owner, flags, host address. Any thread, any stage, no
 * lock needed. 0; ENOENT a hole; ENOTSUP type; EOVERFLOW outside the space.
 */
XENGASP_API int gasp_region_info(struct guest_system *gsp, const struct qvm_state_block *blk,
                                 struct gasp_region *rgn);

/* (ours) Start-up: a range that no find_free hands out; using it explicitly is allowed. 0 or -1
 * with errno. */
XENGASP_API int gasp_reserve(struct guest_system *gsp, const struct qvm_state_block *blk);

#ifdef __cplusplus
}
#endif

#endif
