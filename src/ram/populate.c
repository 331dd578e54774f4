/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More RAM for a guest that doesn't run meanwhile: it never has, or it is paused. Xen replaces a page silently where it is populated
 * twice, says nothing of why it stopped half-way, and hands out pages with old content; so: prove
 * the hole, raise the limits, populate, zero, and give everything back when one step fails.
 */
#include "ram/ram_internal.h"

#include <string.h>

/* A guest that runs is paused for so many pages at a time (16 MiB). */
enum { PAUSED_PAGES = 4096, UNPAUSE_TRIES = 5 };

struct job {
    struct ram *ram;
    struct range range;
    uint64_t first, n; /* its frames */
    uint64_t done;     /* populated so far, from first */
    bool whole_2m, may_pause;
    uint64_t max_pages_before, pool_before;
    bool max_pages_raised, pool_raised;
};

/* 0 if no frame of [gfn, end) belongs to the guest; else ram->taken is the first that does. Above
 * the topmost frame there is nothing to look for. */
static int prove_hole(struct job *job, uint64_t gfn, uint64_t end, uint64_t nr_gfns)
{
    int err[RAM_CHUNK_PAGES];

    if (end > nr_gfns)
        end = nr_gfns;
    while (gfn < end) {
        size_t n = end - gfn < RAM_CHUNK_PAGES ? end - gfn : RAM_CHUNK_PAGES;
        void *at = ram_map_aside(job->ram, gfn, n, err);

        if (!at)
            return fail(ENOMEM);
        ram_unmap_aside(job->ram, at, n);
        for (size_t i = 0; i < n; i++) {
            if (!err[i]) {
                job->ram->taken = (gfn + i) << HV_PAGE_SHIFT;
                return fail(EEXIST);
            }
        }
        gfn += n;
    }
    return 0;
}

/*
 * Xen's p2m tables come from the guest's paging pool; libxl sizes it by 8 KiB for each MiB of the
 * guest, and so do we. It must not run out, as Xen would keep a page that found no place: so for few
 * pages as many as may be new, one for each 2 MiB, GiB and 512 GiB that the range begins.
 */
uint64_t ram_pool_for(struct range range)
{
    uint64_t mib = (range_length(range) + (1 << 20) - 1) >> 20, tables = 0;

    for (unsigned shift = RAM_CHUNK_SHIFT; shift <= RAM_CHUNK_SHIFT + 2 * 9; shift += 9)
        tables += (range.last >> shift) - (range.first >> shift) + 1;
    return (tables > 2 * mib ? tables : 2 * mib) * HV_PAGE_SIZE;
}

static int raise_limits(struct job *job, const struct hv_info *info)
{
    struct hv *hv = job->ram->hv;

    job->max_pages_before = info->max_pages;
    if (hv->ops->set_max_pages(hv, info->max_pages + job->n) < 0)
        return fail(EDQUOT);
    job->max_pages_raised = true;
    if (hv->ops->get_paging_pool(hv, &job->pool_before) < 0)
        return errno == EOPNOTSUPP ? 0 : fail(ENOMEM);
    if (hv->ops->set_paging_pool(hv, job->pool_before + ram_pool_for(job->range)) < 0) {
        /* It can stop half-way. */
        hv->ops->set_paging_pool(hv, job->pool_before);
        return fail(ENOMEM);
    }
    job->pool_raised = true;
    return 0;
}

/* Populates [first + done, end) in extents of one order; advances done. False when Xen stopped. */
static bool populate_until(struct job *job, uint64_t end, unsigned order)
{
    struct hv *hv = job->ram->hv;
    uint64_t gfn[RAM_CHUNK_PAGES];

    while (job->first + job->done < end) {
        uint64_t next = job->first + job->done;
        size_t n = (end - next) >> order, got;

        if (n > RAM_CHUNK_PAGES)
            n = RAM_CHUNK_PAGES;
        for (size_t i = 0; i < n; i++)
            gfn[i] = next + (i << order);
        got = hv->ops->populate(hv, order, n, gfn);
        job->done += (uint64_t)got << order;
        if (got < n)
            return false;
    }
    return true;
}

/* Xen doesn't say why it stopped. */
static int stopped(const struct job *job)
{
    struct hv *hv = job->ram->hv;
    struct hv_info now;

    if (hv->ops->info(hv, &now) == 0 && now.nr_pages + (job->n - job->done) > now.max_pages)
        return fail(EDQUOT);
    return fail(ENOMEM);
}

static int populate_up_to(struct job *job, uint64_t end)
{
    uint64_t next = job->first + job->done;
    uint64_t large_first = (next + RAM_CHUNK_PAGES - 1) & -(uint64_t)RAM_CHUNK_PAGES;
    uint64_t large_end = end & -(uint64_t)RAM_CHUNK_PAGES;
    bool ok = true;

    if (large_first < large_end) {
        ok = populate_until(job, large_first, HV_ORDER_4K) &&
             populate_until(job, large_end, HV_ORDER_2M);
        if (!ok && job->whole_2m)
            return stopped(job);
    }
    /* Where the host has no large extent left, small ones do. */
    return populate_until(job, end, HV_ORDER_4K) ? 0 : stopped(job);
}

static int zero(struct job *job, uint64_t gfn, uint64_t end)
{
    int err[RAM_CHUNK_PAGES];

    while (gfn < end) {
        size_t n = end - gfn < RAM_CHUNK_PAGES ? end - gfn : RAM_CHUNK_PAGES;
        char *at = ram_map_aside(job->ram, gfn, n, err);

        if (!at)
            return fail(ENOMEM);
        for (size_t i = 0; i < n; i++) {
            if (err[i]) {
                ram_unmap_aside(job->ram, at, n);
                return fail(ENOMEM);
            }
        }
        memset(at, 0, n * HV_PAGE_SIZE);
        ram_unmap_aside(job->ram, at, n);
        gfn += n;
    }
    return 0;
}

static void depopulate(struct hv *hv, uint64_t first, uint64_t pages)
{
    uint64_t gfn[RAM_CHUNK_PAGES];

    for (uint64_t done = 0; done < pages;) {
        size_t n = pages - done < RAM_CHUNK_PAGES ? pages - done : RAM_CHUNK_PAGES, got;

        for (size_t i = 0; i < n; i++)
            gfn[i] = first + done + i;
        got = hv->ops->depopulate(hv, HV_ORDER_4K, n, gfn);
        done += got < n ? got + 1 : n; /* a hole: somebody else took that page; go on behind it */
    }
}

static void undo(struct job *job)
{
    struct hv *hv = job->ram->hv;
    struct hv_info info;
    int saved = errno;

    depopulate(hv, job->first, job->done);
    /* Who reads a neighbour may have mapped what was there meanwhile: it would stay the guest's. */
    ram_forget(job->ram, job->range);
    ram_drop_stale(job->ram);
    if (job->pool_raised)
        hv->ops->set_paging_pool(hv, job->pool_before);
    /* Unless the toolstack has set it anew. */
    if (job->max_pages_raised && hv->ops->info(hv, &info) == 0 &&
        info.max_pages == job->max_pages_before + job->n)
        hv->ops->set_max_pages(hv, job->max_pages_before);
    errno = saved;
}

/* The guest gets the frames from where the job stands up to `end`: holes, for it doesn't run. */
static int add_up_to(struct job *job, uint64_t end)
{
    uint64_t gfn = job->first + job->done;

    return populate_up_to(job, end) < 0 || zero(job, gfn, end) < 0 ? -1 : 0;
}

int ram_pause(struct ram *ram)
{
    if (ram->hv->ops->pause(ram->hv) < 0)
        return -1;
    ram->pauses++;
    return 0;
}

void ram_unpause(struct ram *ram)
{
    int saved = errno;

    /* It must not stay paused because Linux had no memory for the call. */
    for (unsigned i = 0; i < UNPAUSE_TRIES && ram->hv->ops->unpause(ram->hv) < 0; i++)
        ;
    errno = saved;
}

/* The same for one that runs: it may have taken any hole itself, until it is paused. */
static int add_paused(struct job *job, uint64_t end)
{
    struct hv *hv = job->ram->hv;
    struct hv_info info;
    int rc;

    if (ram_pause(job->ram) < 0)
        return -1;
    rc = hv->ops->info(hv, &info);
    if (rc == 0)
        rc = prove_hole(job, job->first + job->done, end, info.nr_gfns);
    if (rc == 0)
        rc = add_up_to(job, end);
    ram_unpause(job->ram);
    return rc;
}

static int add_all(struct job *job)
{
    uint64_t end = job->first + job->n;

    if (!job->may_pause)
        return add_up_to(job, end);
    while (job->done < job->n) {
        /* At a border of 2 MiB: no extent is cut. */
        uint64_t some = (job->first + job->done + PAUSED_PAGES) & -(uint64_t)RAM_CHUNK_PAGES;

        if (add_paused(job, some < end ? some : end) < 0)
            return -1;
    }
    return 0;
}

int ram_populate(struct ram *ram, struct range range, bool whole_2m, bool may_pause)
{
    struct job job = {.ram = ram,
                      .range = range,
                      .first = range.first >> HV_PAGE_SHIFT,
                      .n = range_length(range) >> HV_PAGE_SHIFT,
                      .whole_2m = whole_2m,
                      .may_pause = may_pause};
    struct hv_info info;

    if (ram->hv->ops->info(ram->hv, &info) < 0)
        return -1;
    /* Asked anew: somebody may have set it off since it was attached. */
    if (!info.never_ran && !may_pause)
        return fail(EBUSY);
    /* Before anything is changed, as far as it can be told. */
    if (prove_hole(&job, job.first, job.first + job.n, info.nr_gfns) < 0)
        return -1;
    if (raise_limits(&job, &info) < 0 || add_all(&job) < 0) {
        undo(&job);
        return -1;
    }
    ram_forget(ram, range);
    return 0;
}

/* What was raised for the RAM; a guest whose limits can't be lowered only keeps more than it needs. */
static void lower_limits(struct ram *ram, uint64_t pages, int64_t pool)
{
    struct hv *hv = ram->hv;
    struct hv_info info;
    uint64_t bytes;

    if (hv->ops->info(hv, &info) == 0 && info.max_pages >= info.nr_pages + pages)
        hv->ops->set_max_pages(hv, info.max_pages - pages);
    if (pool == 0 || hv->ops->get_paging_pool(hv, &bytes) < 0)
        return;
    if (pool > 0 && bytes < (uint64_t)pool)
        return; /* somebody else has made it smaller */
    if (hv->ops->set_paging_pool(hv, bytes - (uint64_t)pool) < 0)
        hv->ops->set_paging_pool(hv, bytes); /* it can stop half-way */
}

/* A page that lies in a large extent takes a table to come out of it, and the pool may have none
 * left. Returns what was put in; without it goes on with what there is. */
static int64_t add_spare_tables(struct ram *ram, struct range range)
{
    uint64_t n = (range.last >> RAM_CHUNK_SHIFT) - (range.first >> RAM_CHUNK_SHIFT) + 1;
    struct hv *hv = ram->hv;
    uint64_t bytes;

    if (hv->ops->get_paging_pool(hv, &bytes) < 0)
        return 0;
    if (hv->ops->set_paging_pool(hv, bytes + n * HV_PAGE_SIZE) == 0)
        return (int64_t)(n * HV_PAGE_SIZE);
    hv->ops->set_paging_pool(hv, bytes); /* it can stop half-way */
    return 0;
}

int ram_depopulate(struct ram *ram, struct range range, int64_t pool)
{
    uint64_t pages = range_length(range) >> HV_PAGE_SHIFT;

    /* A page that is mapped here would stay the guest's. */
    if (ram_drop(ram, range) < 0)
        return -1;
    pool += add_spare_tables(ram, range);
    depopulate(ram->hv, range.first >> HV_PAGE_SHIFT, pages);
    /* Who found it to be RAM just before it left the map may have mapped it once more. */
    ram_forget(ram, range);
    ram_drop_stale(ram);
    lower_limits(ram, pages, pool);
    return 0;
}
