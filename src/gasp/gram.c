/* SPDX-License-Identifier: BSD-2-Clause */
/* QNX's names for the allocator of registered RAM (guest_alloc.c has seL4's). */
#include "gasp/gasp_internal.h"

#include <errno.h>

/* 0 or an errno value. */
static int take(struct gasp *gasp, uint64_t size, uint64_t align, unsigned flags,
                struct range where, uint64_t *start_r)
{
    struct range taken;
    int rc;

    if (align == 0)
        align = 1;
    if (size == 0 || (align & (align - 1)) || flags != GRAM_HINT_NONE || where.first > where.last)
        return EINVAL;
    if (gasp->running)
        return EPERM;
    rc = ram_allocator_take(gasp->ram.allocator, size, align, where.first, start_r);
    if (rc)
        return rc;
    taken = (struct range){*start_r, *start_r + (size - 1)};
    if (taken.last <= where.last)
        return 0;
    /* It was the lowest. */
    ram_allocator_give(gasp->ram.allocator, taken, 1);
    return ENOMEM;
}

uint64_t gram_find_free_range(struct guest_system *gsp, uint64_t size, uint64_t align,
                              unsigned flags, uint64_t range_start, uint64_t range_end)
{
    uint64_t start;
    int rc = take(gasp_of(gsp), size, align, flags, (struct range){range_start, range_end}, &start);

    if (!rc)
        return start;
    errno = rc;
    return QSL_NO_LOCATION;
}

uint64_t gram_find_free(struct guest_system *gsp, uint64_t size, uint64_t align, unsigned flags)
{
    return gram_find_free_range(gsp, size, align, flags, 0, UINT64_MAX);
}

int gram_reserve(struct guest_system *gsp, uint64_t loc, uint64_t size)
{
    struct gasp *gasp = gasp_of(gsp);
    struct range range;
    int rc = range_make(&range, loc, size, gasp->space[GASP_MEMORY].limit);

    if (rc)
        return rc;
    return gasp->running ? EPERM : gasp_mark_allocated(gasp, range);
}
