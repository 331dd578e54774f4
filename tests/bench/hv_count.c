/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bench/hv_count.h"

#include <malloc.h>

#include "tests/bench/measure.h"

struct hv_counts hv_counts;
static const struct hv_ops *real;
static struct hv_ops counted;
static bool heap_too;

void hv_count_clear(void)
{
    hv_counts = (struct hv_counts){0};
}

uint64_t hv_count_ticks(void)
{
    return hv_counts.populate.ticks + hv_counts.depopulate.ticks + hv_counts.map.ticks +
           hv_counts.unmap.ticks + hv_counts.other.ticks;
}

int64_t hv_count_heap(void)
{
    struct mallinfo2 m = mallinfo2();

    return (int64_t)(m.uordblks + m.hblkhd);
}

void hv_count_heap_too(bool on)
{
    heap_too = on;
}

struct entry {
    uint64_t start;
    int64_t heap;
};

static struct entry enter(void)
{
    return (struct entry){.heap = heap_too ? hv_count_heap() : 0, .start = measure_ticks()};
}

static void leave(struct hv_count *count, struct entry entry, size_t units)
{
    count->ticks += measure_ticks() - entry.start;
    count->calls++;
    count->units += units;
    if (heap_too)
        hv_counts.heap += hv_count_heap() - entry.heap;
}

static int count_map(struct hv *hv, void *at, int prot, size_t n, const uint64_t gfn[], int err[])
{
    struct entry entry = enter();
    int rc = real->map(hv, at, prot, n, gfn, err);

    leave(&hv_counts.map, entry, n);
    return rc;
}

static int count_unmap(struct hv *hv, void *at, size_t n)
{
    struct entry entry = enter();
    int rc = real->unmap(hv, at, n);

    leave(&hv_counts.unmap, entry, n);
    return rc;
}

static size_t count_populate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[])
{
    struct entry entry = enter();
    size_t done = real->populate(hv, order, n, gfn);

    leave(&hv_counts.populate, entry, n);
    return done;
}

static size_t count_depopulate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[])
{
    struct entry entry = enter();
    size_t done = real->depopulate(hv, order, n, gfn);

    leave(&hv_counts.depopulate, entry, n);
    return done;
}

static int count_info(struct hv *hv, struct hv_info *info_r)
{
    struct entry entry = enter();
    int rc = real->info(hv, info_r);

    leave(&hv_counts.other, entry, 1);
    return rc;
}

static int count_set_max_pages(struct hv *hv, uint64_t max_pages)
{
    struct entry entry = enter();
    int rc = real->set_max_pages(hv, max_pages);

    leave(&hv_counts.other, entry, 1);
    return rc;
}

static int count_get_paging_pool(struct hv *hv, uint64_t *bytes_r)
{
    struct entry entry = enter();
    int rc = real->get_paging_pool(hv, bytes_r);

    leave(&hv_counts.other, entry, 1);
    return rc;
}

static int count_set_paging_pool(struct hv *hv, uint64_t bytes)
{
    struct entry entry = enter();
    int rc = real->set_paging_pool(hv, bytes);

    leave(&hv_counts.other, entry, 1);
    return rc;
}

void hv_count_install(struct hv *hv)
{
    real = hv->ops;
    counted = *real;
    counted.map = count_map;
    counted.unmap = count_unmap;
    counted.populate = count_populate;
    counted.depopulate = count_depopulate;
    counted.info = count_info;
    counted.set_max_pages = count_set_max_pages;
    counted.get_paging_pool = count_get_paging_pool;
    counted.set_paging_pool = count_set_paging_pool;
    hv->ops = &counted;
}
