/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who uses which bytes of the RAM that we registered: a block is free, or one allocation. Free
 * blocks that touch are one; allocations never become one, so that each can be freed as it was
 * made. Knows nothing of pages or of Xen. Any thread.
 *
 * All int functions return 0 or an errno value, and then nothing has changed.
 */
#ifndef XENGASP_RAM_ALLOCATOR_H
#define XENGASP_RAM_ALLOCATOR_H

#include "space/range.h"

struct ram_allocator;

struct ram_allocator *ram_allocator_new(void);            /* an empty one, or NULL with ENOMEM */
void ram_allocator_free(struct ram_allocator *allocator); /* NULL is fine */

/* Adds a range as one allocation: whoever adds it frees it when it may be used. EEXIST (a byte of it
 * is known), ENOMEM. */
int ram_allocator_add(struct ram_allocator *allocator, struct range range);
/* Forgets a range that is one allocation. */
void ram_allocator_drop(struct ram_allocator *allocator, struct range range);

/* Makes a free range one allocation. ENOENT (a byte of it is unknown), EBUSY (one is allocated),
 * ENOMEM. */
int ram_allocator_mark(struct ram_allocator *allocator, struct range range);

/*
 * The lowest free range of so many bytes (> 0) from `min` on, aligned (a power of two), becomes an
 * allocation. ENOMEM: there is none, or no memory for the bookkeeping. O(log n) for align 1, else
 * for as many more blocks as are large enough but lie badly.
 */
int ram_allocator_take(struct ram_allocator *allocator, uint64_t bytes, uint64_t align,
                       uint64_t min, uint64_t *start_r);

/*
 * Frees an allocation, or a part of one: ENOENT (a byte of it is unknown or free), EINVAL (bytes of
 * two allocations, or a part whose ends aren't multiples of `unit`, a power of two), ENOMEM (a part
 * alone: what is left over are allocations of their own).
 */
int ram_allocator_give(struct ram_allocator *allocator, struct range range, uint64_t unit);

/* The largest free range, of equals the lowest; false if nothing is free. */
bool ram_allocator_largest(struct ram_allocator *allocator, struct range *range_r);

#endif
