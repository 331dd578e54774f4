/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest RAM. Names and signatures are seL4's (libsel4vm guest_ram.h), so that code written for it
 * compiles; where upstream is broken or silent the comment says what holds here.
 *
 * Functions with an int return 0, or -1 with errno. Addresses are guest-physical, sizes are in
 * bytes.
 */
#ifndef XENGASP_GUEST_RAM_H
#define XENGASP_GUEST_RAM_H

#include <stdbool.h>
#include <xengasp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Called once for each page that a touch covers, in ascending order. guest_addr and vmm_vaddr are
 * the same byte (seL4 gives the page's base as guest_addr of an unaligned first page), size never
 * crosses a page, offset is the distance from the touch's start. vmm_vaddr is valid during the
 * call. Non-zero ends the touch and is its result.
 */
typedef int (*ram_touch_callback_fn)(vm_t *vm, uintptr_t guest_addr, void *vmm_vaddr, size_t size,
                                     size_t offset, void *cookie);

/*
 * Ready-made callbacks: copy between guest RAM and buf + offset (seL4 forgets the offset). Return
 * 0. The cookie of the touch is buf.
 */
XENGASP_API int vm_guest_ram_read_callback(vm_t *vm, uintptr_t guest_addr, void *vaddr, size_t size,
                                           size_t offset, void *buf);
XENGASP_API int vm_guest_ram_write_callback(vm_t *vm, uintptr_t guest_addr, void *vaddr,
                                            size_t size, size_t offset, void *buf);

/*
 * Calls back for each page of [addr, addr + size). Any thread, any stage; may be nested. size 0: 0,
 * no call. -1 without any call: ENOENT (a byte that is not RAM, or a page that the guest gave up),
 * EOVERFLOW (wraps), EINVAL (no callback), ENOMEM (could not be mapped). Across regions that touch
 * each other it goes on (seL4 refuses).
 */
XENGASP_API int vm_ram_touch(vm_t *vm, uintptr_t addr, size_t size,
                             ram_touch_callback_fn touch_callback, void *cookie);

/*
 * Gives the guest `bytes` (rounded up to pages) of zeroed RAM in a gap above its highest RAM, 2
 * MiB-aligned from 2 MiB up, below when none is above; returns its start. In start-up of a guest
 * that never ran; a PVH guest finds it in its memory map then and uses it as its own (an HVM guest
 * is told that it is reserved: QEMU doesn't know of it, so no device of QEMU's can reach it). Later
 * in the gasp window alone (guest_options), for which the guest is paused, 16 MiB after 16 MiB; only
 * who knows of that RAM uses it. Any thread; takes the lock of the memory space (gasp.h), as the
 * next two do. 0: EINVAL (0 bytes), ENOMEM (host memory), EDQUOT (the guest's limit could not be
 * raised), ENOSPC (no gap), EDEADLK (the thread holds a later lock), ENOTSUP (opened for RAM access
 * alone).
 */
XENGASP_API uintptr_t vm_ram_register(vm_t *vm, size_t bytes);

/*
 * The same at `start`. untyped: backed by 2 MiB extents and by nothing smaller (seL4: straight from
 * untyped memory); then start and size must be multiples of 2 MiB. A failed call changes nothing.
 * EINVAL (0 bytes, alignment), EOVERFLOW (wraps, or past the limit of the space), EBUSY (overlaps a
 * PRECIOUS region; or the guest has been told of its RAM or has run, and it isn't all in the gasp
 * window), EEXIST (overlaps another region, or pages that the guest has), ENOMEM, EDQUOT, EDEADLK,
 * ENOTSUP.
 */
XENGASP_API int vm_ram_register_at(vm_t *vm, uintptr_t start, size_t bytes, bool untyped);

/*
 * Ours. Gives registered RAM back to Xen, and what its registration raised of the guest's limits:
 * whole registrations, a part, or several that touch; bytes is rounded up to pages. Only this call
 * and the guest's end do so: guest_close leaves RAM, as the guest is using it. Nothing tells the
 * guest; it must have been made to do without (offline memory, a driver of its own). -1 and nothing
 * changed: EINVAL (0 bytes, unaligned start), EOVERFLOW (wraps, or past the limit of the space),
 * ENOENT (not all of it was registered), EBUSY (part of it is allocated, or one of its 2 MiB chunks
 * is in use: a touch is inside, or gasp_map_* has given out an address in it), ENOMEM, EDEADLK,
 * ENOTSUP.
 */
XENGASP_API int vm_ram_unregister(vm_t *vm, uintptr_t start, size_t bytes);

/*
 * The allocator: which code of the VMM uses which part of registered RAM. Everything that was
 * registered begins as free. What the guest came with is allocated, by the guest. To touch RAM it
 * need not be allocated. Allocations that touch stay two (seL4 makes them one). Any thread, any
 * stage.
 *
 * mark_allocated and free tell of a failure by errno, which they leave alone on success, and in the
 * log; nothing has changed then.
 */

/*
 * Marks [start, start + bytes), to the byte, as one allocation; it may cross registrations that
 * touch (seL4 does nothing then, and says nothing). EINVAL (0 bytes, or it wraps), ENOENT (not all
 * RAM), EBUSY (part is allocated), ENOMEM.
 */
XENGASP_API void vm_ram_mark_allocated(vm_t *vm, uintptr_t start, size_t bytes);

/*
 * Allocates exactly so many bytes where they first fit, at the lowest address; returns it. Never in
 * page 0, as 0 is its failure: EINVAL (0 bytes), ENOMEM (no free range is large enough).
 */
XENGASP_API uintptr_t vm_ram_allocate(vm_t *vm, size_t bytes);

/*
 * Frees what was allocated or marked: a whole allocation, or whole pages of one; what is left of it
 * are then one or two allocations. (seL4's does nothing.) EINVAL (0 bytes; all of it is allocated,
 * but by two, or it is a part that isn't whole pages), EOVERFLOW (wraps), ENOENT (a byte of it is
 * free or was never allocated; what the guest came with, too), ENOMEM (a part alone).
 */
XENGASP_API void vm_ram_free(vm_t *vm, uintptr_t start, size_t bytes);

/* The largest range that is registered and free, of equals the lowest. ENOENT: none, and nothing is
 * written. */
XENGASP_API int vm_ram_find_largest_free_region(vm_t *vm, uintptr_t *addr, size_t *size);

/*
 * Ours. vm_ram_allocate that can say everything: any address, 0 included, that is a multiple of
 * align, a power of two. 0, or -1 with EINVAL (0 bytes, align) or ENOMEM, and *gpa_r untouched.
 */
XENGASP_API int vm_ram_alloc(vm_t *vm, size_t bytes, size_t align, uint64_t *gpa_r);

/*
 * Ours. Copy without a callback; all or nothing. What is written, here and by a touch, Xen's log of
 * dirty pages is told: a guest that migrates loses none of it (guest_run makes that cheap). Aligned 1, 2, 4 and 8 bytes are copied in one
 * piece (no other thread or vCPU sees half of them), longer ones in any order. Any thread, any
 * stage. Errors as vm_ram_touch.
 */
XENGASP_API int vm_ram_read(vm_t *vm, uint64_t gpa, void *buf, size_t size);
XENGASP_API int vm_ram_write(vm_t *vm, uint64_t gpa, const void *buf, size_t size);

/*
 * Ours, for rings that are shared with a running guest: one aligned word, in one piece. What is read
 * after a load isn't older than the word (acquire); what was written before a store is there when
 * the word is (release). To order a store before a later load of another word takes a fence, as
 * everywhere. -1 with EINVAL (unaligned), else as vm_ram_read.
 */
XENGASP_API int vm_ram_load8(vm_t *vm, uint64_t gpa, uint8_t *value_r);
XENGASP_API int vm_ram_load16(vm_t *vm, uint64_t gpa, uint16_t *value_r);
XENGASP_API int vm_ram_load32(vm_t *vm, uint64_t gpa, uint32_t *value_r);
XENGASP_API int vm_ram_load64(vm_t *vm, uint64_t gpa, uint64_t *value_r);
XENGASP_API int vm_ram_store8(vm_t *vm, uint64_t gpa, uint8_t value);
XENGASP_API int vm_ram_store16(vm_t *vm, uint64_t gpa, uint16_t value);
XENGASP_API int vm_ram_store32(vm_t *vm, uint64_t gpa, uint32_t value);
XENGASP_API int vm_ram_store64(vm_t *vm, uint64_t gpa, uint64_t value);

#ifdef __cplusplus
}
#endif

#endif
