/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which RAM a guest has when we attach. A guest that never ran: its boot tables say so. Any other:
 * Xen keeps no map of another domain for us, so frames are probed by mapping them. That is slow for
 * holes, so it begins where pages usually are and ends when as many were found as Xen has charged
 * to the guest.
 */
#include "ram/ram_internal.h"

#include <stdlib.h>

/* Pages that count but aren't RAM: special pages below 4 GiB, and the ACPI tables that libxl makes
 * for PVH. */
static const struct range not_ram[] = {
    {0xfeff0000, 0xfeffffff},
    {0xfc000000, 0xfc03ffff},
};

enum {
    /* After that much of nothing (64 MiB), only one frame of each 2 MiB is tried. */
    SPARSE_AFTER_CHUNKS = 32,
    /* A guest can put a page wherever it likes, so looking for all of them must have an end: after
     * so many looks at nothing (some 20 s on Xen) ... */
    EMPTY_MAX = 1 << 14,
    /* ... and so many pieces; what follows is one piece with the last, holes and all. The mapping
     * tells what is there. */
    PIECES_MAX = 1 << 18,
};

struct search {
    struct ram *ram;
    struct range *range; /* found, in order of finding */
    size_t n, room;
    uint64_t found, wanted; /* pages */
    bool counting_only;
};

static int by_first(const void *a, const void *b)
{
    const struct range *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

static int add_range(struct search *s, struct range range)
{
    struct range *more;

    struct range *last = s->n > 0 ? &s->range[s->n - 1] : NULL;

    if (last && range.first > last->last && (range.first - last->last == 1 || s->n >= PIECES_MAX)) {
        last->last = range.last;
        return 0;
    }
    if (s->n == s->room) {
        more = realloc(s->range, (s->room = s->room ? 2 * s->room : 16) * sizeof(*more));
        if (!more)
            return fail(ENOMEM);
        s->range = more;
    }
    s->range[s->n++] = range;
    return 0;
}

/* Tries n frames (at most a chunk) from gfn: how many are there, or -1. */
static long probe(struct search *s, uint64_t gfn, size_t n)
{
    int err[RAM_CHUNK_PAGES];
    long there = 0;
    void *at = ram_map_aside(s->ram, gfn, n, err);

    if (!at)
        return fail(ENOMEM);
    ram_unmap_aside(s->ram, at, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t gpa = (gfn + i) << HV_PAGE_SHIFT;

        if (err[i])
            continue;
        there++;
        if (!s->counting_only && add_range(s, (struct range){gpa, gpa + HV_PAGE_SIZE - 1}) < 0)
            return -1;
    }
    s->found += (uint64_t)there;
    return there;
}

/* The index of the range that holds a frame, or n. */
static size_t which(const struct range *range, size_t n, uint64_t gfn)
{
    size_t i = 0;

    while (i < n && !range_has(range[i], gfn << HV_PAGE_SHIFT))
        i++;
    return i;
}

static int probe_range(struct search *s, struct range range)
{
    uint64_t gfn = range.first >> HV_PAGE_SHIFT, end = (range.last >> HV_PAGE_SHIFT) + 1;

    while (gfn < end) {
        size_t n = end - gfn < RAM_CHUNK_PAGES ? end - gfn : RAM_CHUNK_PAGES;

        if (probe(s, gfn, n) < 0)
            return -1;
        gfn += n;
    }
    return 0;
}

/* Everything up to `end` but what was looked at already, until all pages are found. 1: gave up. */
static int probe_rest(struct search *s, const struct range *seen, size_t n_seen, uint64_t end)
{
    unsigned empty = 0, empty_in_all = 0;

    for (uint64_t gfn = 0; gfn < end && s->found < s->wanted;) {
        uint64_t stop = (gfn | (RAM_CHUNK_PAGES - 1)) + 1;
        size_t in = which(seen, n_seen, gfn);
        long there;

        if (in < n_seen) {
            gfn = (seen[in].last >> HV_PAGE_SHIFT) + 1;
            continue;
        }
        for (size_t i = 0; i < n_seen; i++) {
            uint64_t start = seen[i].first >> HV_PAGE_SHIFT;

            if (gfn < start && start < stop)
                stop = start;
        }
        if (stop > end)
            stop = end;
        there = empty > SPARSE_AFTER_CHUNKS ? probe(s, gfn, 1) : probe(s, gfn, stop - gfn);
        if (there < 0)
            return -1;
        if (there > 0 && empty > SPARSE_AFTER_CHUNKS) {
            empty = 0;
            gfn++;
            continue; /* the rest of that chunk, in full */
        }
        empty = there > 0 ? 0 : empty + 1;
        if (there == 0 && ++empty_in_all == EMPTY_MAX)
            return 1;
        gfn = stop;
    }
    return 0;
}

static int by_probing(struct search *s, const struct hv_info *info, const struct range *hint,
                      size_t n_hint)
{
    enum { N = sizeof(not_ram) / sizeof(not_ram[0]) };
    struct range *seen = calloc(N + n_hint, sizeof(*seen));
    uint64_t end = s->ram->limit >> HV_PAGE_SHIFT;
    int rc = -1;

    if (!seen)
        return fail(ENOMEM);
    s->wanted = info->nr_pages;
    s->counting_only = true;
    for (size_t i = 0; i < N; i++) {
        seen[i] = not_ram[i];
        if (not_ram[i].last >> HV_PAGE_SHIFT < info->nr_gfns && probe_range(s, not_ram[i]) < 0)
            goto out;
    }
    for (size_t i = 0; i < n_hint; i++) { /* ram_discover adds them whole */
        seen[N + i] = hint[i];
        if (probe_range(s, hint[i]) < 0)
            goto out;
    }
    s->counting_only = false;
    if (end > info->nr_gfns)
        end = info->nr_gfns;
    rc = probe_rest(s, seen, N + n_hint, end);
out:
    free(seen);
    return rc;
}

/* 1: start_info told it; 0: there is none. */
static int by_start_info(struct search *s)
{
    struct start_info_memmap_entry entry[START_INFO_MAX_ENTRIES];
    struct start_info info;
    uint64_t gpa;
    int rc = ram_read_start_info(s->ram, &gpa, &info, entry);

    for (uint32_t i = 0; rc == 1 && i < info.memmap_entries; i++) {
        struct range range;

        /* What isn't whole pages is made smaller: half a page can't be mapped. */
        uint64_t start = (entry[i].addr + HV_PAGE_SIZE - 1) & -(uint64_t)HV_PAGE_SIZE;
        uint64_t end = (entry[i].addr + entry[i].size) & -(uint64_t)HV_PAGE_SIZE;

        if (entry[i].type == RAM_MAP_RAM && end > start &&
            range_make(&range, start, end - start, s->ram->limit - 1) == 0 &&
            add_range(s, range) < 0)
            return -1;
    }
    return rc;
}

/* 1: hvm_info told it; 0: there is none. */
static int by_hvm_info(struct search *s)
{
    struct range range[HVM_RAM_RANGES];
    int n = ram_read_hvm_info(s->ram, range);

    for (int i = 0; i < n; i++) {
        if (add_range(s, range[i]) < 0)
            return -1;
    }
    return n > 0 ? 1 : n;
}

static int by_boot_tables(struct search *s, const struct hv_info *info)
{
    if (!info->never_ran)
        return 0;
    return info->type == HV_HVM ? by_hvm_info(s) : by_start_info(s);
}

size_t ram_merge(struct range *range, size_t n)
{
    size_t out = 0;

    if (n > 0)
        qsort(range, n, sizeof(*range), by_first);
    for (size_t i = 0; i < n; i++) {
        if (out > 0 && range[out - 1].last + 1 >= range[i].first) {
            if (range[i].last > range[out - 1].last)
                range[out - 1].last = range[i].last;
        } else {
            range[out++] = range[i];
        }
    }
    return out;
}

int ram_discover(struct ram *ram, const struct hv_info *info, const struct range *hint,
                 size_t n_hint, struct range **range_r, size_t *n_r)
{
    struct search s = {.ram = ram};
    int told = by_boot_tables(&s, info);
    int rc = told == 0 ? by_probing(&s, info, hint, n_hint) : told < 0 ? -1 : 0;

    /* Hints are RAM whatever was found of them: pages that are ballooned out now may come back. */
    for (size_t i = 0; i < n_hint && rc >= 0; i++) {
        if (add_range(&s, hint[i]) < 0)
            rc = -1;
    }
    if (rc < 0) {
        free(s.range);
        return -1;
    }
    /* Hints were found out of order, and may touch what was found later. */
    *n_r = ram_merge(s.range, s.n);
    *range_r = s.range;
    return rc;
}
