/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The regions of a guest's address spaces. Names, values and signatures are QNX's 7.x; what its
 * published manuals leave open is decided here and marked (ours).
 *
 * Spaces: QST_MEMORY (from 0 to the guest's limit), QST_X86_IO (ports 0 to 0xffff) and QST_PCI
 * (configuration space: a region is one function, location QSL_PCI_MAKE_LOC, length 256). Any other
 * type: ENOTSUP. QNX's own functions return 0 or an errno value; gasp_region_set_soft and
 * gasp_find_free also set errno. An owner is (vdev, cookie); vdev NULL is the VM itself. When several
 * errors apply: the first of ENOTSUP, EINVAL, EOVERFLOW, EPERM, ENOENT, EBUSY, EEXIST, ENOSPC.
 *
 * A region may lie over another, as a card on a table: it covers its part of what is visible there,
 * and taking it away shows that again, as if it had never been. To set it, then to delete it, changes
 * nothing, whatever the depth and order.
 *
 *     A: [10000                         1ffff]
 *     B:        [12000      13fff]                       set B
 *     =  [ A   ][  B             ][    A     ]           three regions
 *     =  [10000                         1ffff]           delete B: A again
 *
 *     the new region                                      result
 *     in free space                                       added
 *     inside one visible region, at its start, its end
 *       or strictly inside                                that one is shortened, or divided in two
 *     exactly another owner's region                      covers it
 *     across an edge, over two regions, or one and a hole EEXIST, nothing changes
 *     over a PRECIOUS one, or PRECIOUS over anything      EBUSY
 *
 * Over the guest's RAM that works on a running guest, too: the page moves, with its content, to a
 * place that the guest is told to keep out of, and back; meanwhile an access gets the old answer or
 * the new one, never a hole. Of a page of which a region covers but a part, the service answers the
 * rest: right for plain loads and stores up to 8 bytes; not for locked operations, executing, page
 * tables and wider accesses.
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
    /*
     * The access goes to memory; whole pages, PASS_RD at least. With GRF_MEMORY inside RAM the same
     * pages: without PASS_WR ROM, of which the guest's writes are dropped. With PASS_RD | VIRT_WR
     * (no PASS_EX) inside RAM: reads give its content, vwrite is called. Without GRF_MEMORY device
     * memory: zeroed pages of the region's own, also over RAM, which keep their content while they
     * are covered or inactive. An x86 page that can be read or written can be executed.
     */
    GRF_PASS_RD = 0x8,
    GRF_PASS_WR = 0x10,
    GRF_PASS_EX = 0x20,
    GRF_PASS_ANY = 0x38,
    GRF_NOCACHE = 0x40, /* ENOTSUP: Xen heeds it only for guests with hardware of their own */
    /* Installed: the guest sees it. One that isn't holds its place among the layers. */
    GRF_ACTIVE = 0x80,
    GRF_MEMORY = 0x100,   /* usable as RAM; what vm_ram_register makes */
    GRF_PASSTHRU = 0x200, /* ENOTSUP */
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
     * (inside a touch's callback, or by gasp_map_*; at other times it may not be); else 0. */
    uint64_t host_location;
    struct qvm_state_block guest;
};

/*
 * One lock a space: recursive, owned by a thread. Order: memory, ports, PCI; against it EDEADLK.
 * Any stage. EINVAL a type without a map; EPERM unlock by another thread than the owner.
 */
XENGASP_API int gasp_lock(struct guest_system *gsp, uint16_t type);
XENGASP_API int gasp_unlock(struct guest_system *gsp, uint16_t type);

/*
 * The lowest free location of `size` bytes, a multiple of align (a power of two; 0 is 1), or
 * QSL_NO_LOCATION with ENOSPC, EINVAL (size 0, align), ENOTSUP (type), EPERM (running, and the lock
 * not held). It only finds: hold the lock until it is set. Windows: memory [0xfe000000-0xfebfffff],
 * then the guest's gasp window, then, before its first unpause, above all RAM; ports [0x2000-0x9fff];
 * PCI function 0 of the slots 0x10 to 0x1f of bus 0. Of _range: [min_addr, max_addr], both may be
 * used.
 */
XENGASP_API uint64_t gasp_find_free(struct guest_system *gsp, unsigned qst, uint64_t size,
                                    uint64_t align);
XENGASP_API uint64_t gasp_find_free_range(struct guest_system *gsp, unsigned qst, uint64_t size,
                                          uint64_t align, uint64_t min_addr, uint64_t max_addr);

/*
 * Sets n regions in order; start-up, or running with the space's lock held. Returns n, or the index
 * of the first that failed with errno set, those before it applied. For each entry, in this order:
 *
 * length 0: ignored, and counts as set.
 * flags GRF_NONE: deletes. The topmost of the owner's layers that goes through the whole range loses
 *   it, be it the whole layer or a part; so deleting piece by piece, as gasp_region_info reports
 *   them, works, too.
 * Inside one visible region, or one inactive layer, of the same owner (the topmost such; ours):
 *   modifies that part's flags; GRF_STICKY ones are kept.
 * Else: adds, by the table above.
 *
 * The VM's (vdev NULL, cookie 0) GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE in free space is
 * vm_ram_register_at, and deleting it vm_ram_unregister, with their errors; so RAM that has come with
 * the guest can't be deleted (ENOENT).
 *
 * ENOTSUP type, PASSTHRU, NOCACHE, host_location not 0, VIRT_EX alone, memory that can't be read,
 *   RAM's pages (GRF_MEMORY, or VIRT and PASS) where there is no RAM beneath
 * EINVAL unknown flags, VIRT and PASS of one access, VIRT or PASS with NOPERMS, VIRT without a vdev,
 *   PASS on parts of pages, PCI that isn't one function
 * EOVERFLOW wraps or leaves the space
 * EPERM running without the lock; deleting what only others own
 * ENOENT deleting where nothing is, or where the owner has no layer that goes through
 * EBUSY PRECIOUS; device memory outside the gasp window of a guest that has run; device memory that
 *   goes while gasp_map_sys has it
 * EEXIST see the table
 * ENOSPC no ioreq range or server left; no place for RAM's pages (16 MiB, set aside at the guest's
 *   first start)
 * ENOMEM, EDQUOT device memory; ESRCH the guest is gone
 *
 * During start-up what lies over RAM takes effect with guest_configured, when accesses are answered.
 * A change never waits for handlers: one may move its own region. When it returns, new accesses see
 * the new map; a handler that had begun before may still run on another vCPU. What was on its way for
 * a region that is gone is answered from what is visible now.
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

/*
 * ---- Pointers to guest memory ----
 *
 * QNX's functions; errno values, and how gasp_unmap tells of an error, are ours. Any thread, any
 * stage; no lock is needed, and it doesn't matter if one is held. A length is in bytes and to the
 * byte, as is an address.
 *
 * What is returned lies at one constant distance from the guest address, whoever maps it: memory
 * that touches in the guest touches here, too. It stays valid until gasp_unmap, and is the caller's
 * until then; what it shows is shared with the guest, which may change it between two reads.
 *
 *   - prot: PROT_READ, PROT_WRITE or both (<sys/mman.h>; QNX's GMF_MAP_ANY isn't known). Nothing
 *     stops a write to what was mapped for reading, but Xen's log of dirty pages isn't told of it.
 *   - What was mapped for writing that log is told of when it is unmapped. Who keeps a pointer for
 *     long unmaps now and then, or a guest that migrates meanwhile loses what was written last.
 *   - Memory is kept in 2 MiB at a time: as long as something in them is mapped, vm_ram_unregister
 *     of any of them is EBUSY. Pages that the guest gives up stay readable and writable here,
 *     though nobody sees it any more, and stay charged to it; what it takes back in their place, or
 *     what is registered there for the first time, is seen (by gasp_map_*, by vm_ram_read) once
 *     nothing of those 2 MiB is mapped any more.
 *   - A region that is set over it later doesn't show in it: the pointer goes on showing what lies
 *     beneath.
 *   - A call waits while RAM of the same 2 MiB is registered or given back, or regions are set
 *     there.
 *   - guest_close gives back what was forgotten, with a warning that names it.
 *
 * NULL with errno, and nothing is mapped: EINVAL (length 0; prot with neither PROT_READ nor
 * PROT_WRITE, or with anything else; no vdev), EOVERFLOW (wraps, or leaves the space), ENOENT (a
 * byte of it isn't visible RAM, or is in a page that the guest gave up), EACCES (PROT_WRITE, and
 * part is ROM: a region without GRF_PASS_WR), ENOMEM.
 */

/* For addresses that you chose yourself: of RAM, and of device memory (regions with GRF_PASS_RD and
 * without GRF_MEMORY; ours: QNX's manual of this function is lost), which only this function maps.
 * Device memory is there from the end of start-up on (guest_configured): before, ENOENT. */
XENGASP_API void *gasp_map_sys(struct guest_system *gsp, int prot, uint64_t gpa, size_t length);

/* For addresses that the guest supplied to a device: RAM alone. vdev: whose device it is, named in
 * the log. (QNX sends it through the guest's IOMMU; there is none here.) */
XENGASP_API void *gasp_map_vdma(const vdev_t *vdev, int prot, uint64_t gpa, size_t length);

/*
 * The same of as much as lies in one piece: from *gpa on, *length bytes at most, up to the first
 * that can't be mapped so. *length is then how many were mapped; on failure, which is when the
 * first byte can't be mapped, it is as it was. *length may reach beyond the end of the space
 * (ours). *gpa is only read: QNX leaves the host-physical address in it, which on Xen a device
 * model has no use for.
 */
XENGASP_API void *gasp_map_contig(const vdev_t *vdev, int prot, uint64_t *gpa, size_t *length);

/* Gives a pointer back, once for each gasp_map_* that returned it, with the length that was mapped.
 * 0, or EINVAL and nothing has changed: it isn't mapped, or not with that length. */
XENGASP_API int gasp_unmap(struct guest_system *gsp, void *ptr, size_t length);

/*
 * ---- Walking a range of guest addresses ----
 *
 *     gasp_walk_init(&ws, gsp, gpa, bytes, GWS_HOST);
 *     while ((rc = gasp_walk_next(&ws)) > 0)
 *         use(ws.guest_loc, ws.length);
 *
 * Names and members are QNX's, what they mean in detail is ours. A span is as much of the range as
 * gasp_map_sys could map at once for reading: a stretch of RAM, ROM and device memory whose regions
 * touch. At a hole, or at a region that traps, the walk fails, unless it is to skip those. It looks
 * at the map alone, so pages that the guest has given up count as there. It holds nothing, not even
 * a pin: the state is the caller's, used by one thread at a time, and needs no disposal; what
 * changes meanwhile is seen from the next step on. Any stage, no lock needed.
 */
enum gasp_walk_flags {
    GWS_NONE = 0,       /* (values ours) */
    GWS_HOST = 1,       /* with host_loc */
    GWS_SKIP = 0x10000, /* (ours) what isn't memory is passed over */
};

struct gasp_walk_state {
    void *span; /* QNX's own; unused */
    struct guest_system *gsp;
    uint64_t guest_loc; /* the span's first address */
    /* With GWS_HOST: the address at which gasp_map_sys would map it. It is there only while
     * somebody has mapped it. Else 0. */
    uint64_t host_loc;
    uint64_t length;     /* the span's bytes */
    uint64_t max_length; /* (meaning ours) bytes of the range that are still to come behind it */
    unsigned flags;      /* enum gasp_walk_flags */
};

XENGASP_API void gasp_walk_init(struct gasp_walk_state *ws, struct guest_system *gsp, uint64_t loc,
                                uint64_t length, unsigned flags);

/* The next span. 1; 0: the end (of no bytes it is there at once); -1 with errno, and the state as
 * it was: ENOENT (what comes next isn't memory), EOVERFLOW (the range wraps or leaves the space),
 * EINVAL (flags). */
XENGASP_API int gasp_walk_next(struct gasp_walk_state *ws);

/* How many spans such a walk has; 0 with errno when it fails, even if only at a later one. */
XENGASP_API unsigned gasp_walk_count(struct guest_system *gsp, uint64_t loc, uint64_t length,
                                     unsigned flags);

/*
 * ---- Parts of RAM ----
 *
 * QNX's names for the allocator of guest_ram.h: what is taken here vm_ram_allocate doesn't hand
 * out, and vm_ram_free gives it back. As there only RAM that was registered can be taken (ours: QNX
 * has no other): what the guest came with is its own. Start-up, else EPERM; one thread.
 */
enum gram_hints { GRAM_HINT_NONE = 0 }; /* (ours) QNX's hints aren't known; any other is EINVAL */

/*
 * The lowest part that is free, which is taken at once (QNX: so it needs no gram_reserve); align: a
 * power of two, 0 is 1. _range: in [range_start, range_end], both may be used. QSL_NO_LOCATION with
 * errno: ENOMEM (there is none), EINVAL (size 0, align, flags, an empty range), EPERM.
 */
XENGASP_API uint64_t gram_find_free(struct guest_system *gsp, uint64_t size, uint64_t align,
                                    unsigned flags);
XENGASP_API uint64_t gram_find_free_range(struct guest_system *gsp, uint64_t size, uint64_t align,
                                          unsigned flags, uint64_t range_start, uint64_t range_end);

/* Takes this part, to the byte. 0, or an errno value and nothing has changed: EINVAL (size 0),
 * EOVERFLOW (wraps or leaves the space), ENOENT (not all RAM), EBUSY (part of it is taken, by the
 * guest or by code of ours), EPERM, ENOMEM. */
XENGASP_API int gram_reserve(struct guest_system *gsp, uint64_t loc, uint64_t size);

#ifdef __cplusplus
}
#endif

#endif
