/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A range of addresses, both ends in it. Made by range_make alone, so it is never empty and never
 * wraps. Where there may be none, all zero is none (range_there).
 */
#ifndef XENGASP_SPACE_RANGE_H
#define XENGASP_SPACE_RANGE_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

struct range {
    uint64_t first, last;
};

/* printf of a range, the one way: printf("[" PRIrange "]", range_arg(r)). */
#define PRIrange "0x%016" PRIx64 "-0x%016" PRIx64
#define range_arg(r) (r).first, (r).last

/* 0, or EINVAL (length 0), or EOVERFLOW (wraps, or goes beyond `limit`, the last address of the
 * space). */
static inline int range_make(struct range *r, uint64_t start, uint64_t length, uint64_t limit)
{
    if (length == 0)
        return EINVAL;
    if (start > limit || length - 1 > limit - start)
        return EOVERFLOW;
    r->first = start;
    r->last = start + (length - 1);
    return 0;
}

static inline bool range_there(struct range r)
{
    return r.last != 0;
}

static inline uint64_t range_length(struct range r)
{
    return r.last - r.first + 1; /* 0 for the whole of 2^64, which no space of ours has */
}

static inline bool range_has(struct range r, uint64_t addr)
{
    return r.first <= addr && addr <= r.last;
}

static inline bool range_inside(struct range inner, struct range outer)
{
    return outer.first <= inner.first && inner.last <= outer.last;
}

static inline bool range_overlap(struct range a, struct range b)
{
    return a.first <= b.last && b.first <= a.last;
}

#endif
