/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated guest's memory: the machine's frames (pages of one memfd) and the p2m that says
 * which frame lies where in the guest.
 *
 * The p2m is the same tree of tables that Xen builds, and each table costs a page of the paging
 * pool, so the pool runs out when Xen's would.
 */
#include "hv/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TABLE_BITS = 9,
    TABLE_ENTRIES = 1 << TABLE_BITS,
    TOP_SHIFT = 3 * TABLE_BITS,
    GFN_BITS = 4 * TABLE_BITS,
    MAX_ORDER = 18,     /* the largest extent that dom0 may ask for */
    GARBAGE = 0xc2,     /* what a fresh page holds */
    POOL_OVERHEAD = 10, /* what Xen takes for nested tables; besides, each vCPU has one page */
};

/* An entry is 0, a table's address, or a frame: mfn << 1 | 1. In the second level a frame is 2 MiB.
 */
struct sim_table {
    uintptr_t entry[TABLE_ENTRIES];
};

/* ---- frames ---- */

static bool frames_free(const struct sim *sim, uint64_t mfn, uint64_t n)
{
    uint64_t i;

    if (n >= TABLE_ENTRIES) {
        for (i = 0; i < n && sim->chunk_used[(mfn + i) >> TABLE_BITS] == 0; i += TABLE_ENTRIES)
            ;
    } else {
        for (i = 0; i < n && sim->frame[mfn + i] == 0; i++)
            ;
    }
    return i >= n;
}

/* A free aligned extent, in the first 2 MiB that have one. */
static uint64_t frames_find(struct sim *sim, unsigned order)
{
    uint64_t n = UINT64_C(1) << order, mfn, chunk;

    for (; sim->chunk_hint << TABLE_BITS < sim->nr_frames; sim->chunk_hint++)
        if (sim->chunk_used[sim->chunk_hint] < TABLE_ENTRIES)
            break;
    mfn = (sim->chunk_hint << TABLE_BITS) & ~(n - 1);
    while (mfn + n <= sim->nr_frames) {
        chunk = mfn >> TABLE_BITS;
        if (sim->chunk_used[chunk] == TABLE_ENTRIES)
            mfn = ((chunk + 1) << TABLE_BITS) + n - 1;
        else if (n == 1 && sim->frame[(chunk << TABLE_BITS) + sim->chunk_used[chunk]] == 0)
            return (chunk << TABLE_BITS) + sim->chunk_used[chunk]; /* as if filled from below */
        else if (frames_free(sim, mfn, n))
            return mfn;
        else
            mfn += n;
        mfn &= ~(n - 1);
    }
    return SIM_NO_FRAME;
}

static uint64_t frames_take(struct sim *sim, unsigned order)
{
    uint64_t n = UINT64_C(1) << order, mfn, i;

    if (sim->host_free < n)
        return SIM_NO_FRAME;
    mfn = frames_find(sim, order);
    if (mfn == SIM_NO_FRAME)
        return SIM_NO_FRAME;
    for (i = 0; i < n; i++) {
        sim->frame[mfn + i] = SIM_FRAME_OWNED;
        sim->chunk_used[(mfn + i) >> TABLE_BITS]++;
    }
    sim->host_free -= n;
    sim->nr_pages += n;
    return mfn;
}

void hv_sim_frame_settle(struct sim *sim, uint64_t mfn)
{
    uint64_t chunk = mfn >> TABLE_BITS;

    if (sim->frame[mfn] != 0)
        return;
    sim->chunk_used[chunk]--;
    if (chunk < sim->chunk_hint)
        sim->chunk_hint = chunk;
    sim->host_free++;
    sim->nr_pages--;
}

static void frame_disown(struct sim *sim, uint64_t mfn)
{
    sim->frame[mfn] &= ~(SIM_FRAME_OWNED | SIM_FRAME_READ_ONLY);
    hv_sim_frame_settle(sim, mfn);
}

/* ---- p2m ---- */

static struct sim_table *table_new(struct sim *sim)
{
    struct sim_table *table;

    if (sim->pool_used >= sim->pool_pages)
        return NULL;
    table = calloc(1, sizeof(*table));
    if (table)
        sim->pool_used++;
    return table;
}

static void table_free(struct sim *sim, struct sim_table *table, unsigned shift)
{
    unsigned i;

    for (i = 0; shift > 0 && i < TABLE_ENTRIES; i++)
        if (table->entry[i] && !(table->entry[i] & 1))
            table_free(sim, (struct sim_table *)table->entry[i], shift - TABLE_BITS);
    free(table);
    sim->pool_used--;
}

uint64_t hv_sim_p2m_get(const struct sim *sim, uint64_t gfn)
{
    const struct sim_table *table = sim->p2m;
    unsigned shift = TOP_SHIFT;
    uintptr_t entry;

    if (!table || gfn >> GFN_BITS)
        return SIM_NO_FRAME;
    for (;; shift -= TABLE_BITS) {
        entry = table->entry[(gfn >> shift) % TABLE_ENTRIES];
        if (entry & 1)
            return (entry >> 1) + (gfn & ((UINT64_C(1) << shift) - 1));
        if (!entry)
            return SIM_NO_FRAME;
        table = (const struct sim_table *)entry;
    }
}

/* The table below an entry, made if it is missing; 2 MiB in one piece are broken up. NULL: pool
 * empty. */
static struct sim_table *p2m_descend(struct sim *sim, uintptr_t *entry)
{
    struct sim_table *table;
    unsigned i;

    if (*entry && !(*entry & 1))
        return (struct sim_table *)*entry;
    table = table_new(sim);
    if (!table)
        return NULL;
    for (i = 0; *entry && i < TABLE_ENTRIES; i++)
        table->entry[i] = *entry + 2 * i;
    *entry = (uintptr_t)table;
    return table;
}

int hv_sim_p2m_set(struct sim *sim, uint64_t gfn, unsigned order, uint64_t mfn)
{
    struct sim_table *table = sim->p2m;
    unsigned shift = TOP_SHIFT;
    uintptr_t *entry, old;

    errno = ENOENT;
    if (gfn >> GFN_BITS)
        return -1;
    errno = ENOMEM;
    for (; shift > order; shift -= TABLE_BITS) {
        table = p2m_descend(sim, &table->entry[(gfn >> shift) % TABLE_ENTRIES]);
        if (!table)
            return -1;
    }
    entry = &table->entry[(gfn >> shift) % TABLE_ENTRIES];
    old = *entry;
    *entry = mfn == SIM_NO_FRAME ? 0 : mfn << 1 | 1;
    if (old && !(old & 1))
        table_free(sim, (struct sim_table *)old, 0);
    if (gfn + (UINT64_C(1) << order) - 1 > sim->max_gfn)
        sim->max_gfn = gfn + (UINT64_C(1) << order) - 1;
    return 0;
}

static int p2m_set_extent(struct sim *sim, uint64_t gfn, unsigned order, uint64_t mfn)
{
    unsigned step = order >= HV_ORDER_2M ? HV_ORDER_2M : HV_ORDER_4K;
    uint64_t i;

    for (i = 0; i >> order == 0; i += UINT64_C(1) << step)
        if (hv_sim_p2m_set(sim, gfn + i, step, mfn + i) < 0)
            return -1;
    return 0;
}

/* ---- the guest gets pages and gives them up ---- */

/*
 * What lay at gfn before loses its place, but stays the guest's: nobody can reach it any more. A
 * page for which the p2m has no room leaks in the same way.
 */
static bool populate_extent(struct sim *sim, unsigned order, uint64_t gfn)
{
    uint64_t n = UINT64_C(1) << order, mfn;

    if (order > MAX_ORDER || gfn & (n - 1) || sim->dying || sim->nr_pages + n > sim->max_pages)
        return false;
    mfn = frames_take(sim, order);
    if (mfn == SIM_NO_FRAME)
        return false;
    memset(sim->machine + (mfn << HV_PAGE_SHIFT), GARBAGE, n << HV_PAGE_SHIFT);
    return p2m_set_extent(sim, gfn, order, mfn) == 0;
}

void hv_sim_invalidate_later(struct sim *sim)
{
    unsigned i;

    for (i = 0; i < sim->max_vcpus && !sim->never_ran; i++)
        atomic_store(&sim->vcpu[i].invalidate, true);
}

bool hv_sim_depopulate_page(struct sim *sim, uint64_t gfn)
{
    uint64_t mfn = hv_sim_p2m_get(sim, gfn);

    if (mfn == SIM_NO_FRAME || hv_sim_p2m_set(sim, gfn, HV_ORDER_4K, SIM_NO_FRAME) < 0)
        return false;
    frame_disown(sim, mfn);
    hv_sim_invalidate_later(sim);
    return true;
}

/* Page by page, so a hole in the middle of an extent leaves it half gone. */
static bool depopulate_extent(struct sim *sim, unsigned order, uint64_t gfn)
{
    uint64_t i;

    if (order > MAX_ORDER)
        return false;
    for (i = 0; i >> order == 0; i++)
        if (!hv_sim_depopulate_page(sim, gfn + i))
            return false;
    return true;
}

/* A fault lets half of the extents through. */
static size_t each_extent(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[],
                          bool (*one)(struct sim *sim, unsigned order, uint64_t gfn))
{
    struct sim *sim = sim_of(hv);
    size_t done = 0;

    if (hv_sim_enter(sim) < 0)
        n /= 2;
    pthread_mutex_lock(&sim->lock);
    while (done < n && one(sim, order, gfn[done]))
        done++;
    pthread_mutex_unlock(&sim->lock);
    return done;
}

size_t hv_sim_populate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[])
{
    return each_extent(hv, order, n, gfn, populate_extent);
}

size_t hv_sim_depopulate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[])
{
    return each_extent(hv, order, n, gfn, depopulate_extent);
}

int hv_sim_set_max_pages(struct hv *hv, uint64_t max_pages)
{
    struct sim *sim = sim_of(hv);
    int rc = 0;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim)) {
        errno = ESRCH;
        rc = -1;
    } else {
        sim->max_pages = max_pages < UINT32_MAX ? max_pages : UINT32_MAX;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

int hv_sim_get_paging_pool(struct hv *hv, uint64_t *bytes_r)
{
    struct sim *sim = sim_of(hv);
    int rc = 0;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim)) {
        errno = ESRCH;
        rc = -1;
    } else {
        *bytes_r = sim->pool_pages << HV_PAGE_SHIFT;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

/* The pool grows from the host's pages and shrinks, as far as it can. */
int hv_sim_set_paging_pool(struct hv *hv, uint64_t bytes)
{
    struct sim *sim = sim_of(hv);
    uint64_t pages = bytes >> HV_PAGE_SHIFT, least, most;
    int rc = -1;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    least = sim->pool_used;
    most = sim->pool_pages + sim->host_free;
    if (hv_sim_gone(sim)) {
        errno = ESRCH;
    } else if (bytes % HV_PAGE_SIZE || pages > UINT32_MAX) {
        errno = EINVAL;
    } else {
        rc = (pages < least && !sim->dying) || pages > most ? -1 : 0;
        if (rc < 0)
            errno = ENOMEM;
        if (pages < least)
            pages = least;
        if (pages > most)
            pages = most;
        sim->host_free -= pages - sim->pool_pages;
        sim->pool_pages = pages;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

int hv_sim_balloon(struct hv *hv, bool out, uint64_t gfn, uint64_t n)
{
    struct sim *sim = sim_of(hv);
    uint64_t i = 0;

    pthread_mutex_lock(&sim->lock);
    while (i < n && (out ? hv_sim_depopulate_page(sim, gfn + i)
                         : populate_extent(sim, HV_ORDER_4K, gfn + i)))
        i++;
    pthread_mutex_unlock(&sim->lock);
    if (i == n)
        return 0;
    errno = out ? ENOENT : ENOMEM;
    return -1;
}

/* ---- the guest's own view ---- */

void *hv_sim_mem_at(struct sim *sim, uint64_t gpa)
{
    uint64_t mfn = hv_sim_p2m_get(sim, gpa >> HV_PAGE_SHIFT);

    return mfn == SIM_NO_FRAME ? NULL : sim->machine + (mfn << HV_PAGE_SHIFT) + gpa % HV_PAGE_SIZE;
}

bool hv_sim_mem_read_only(const struct sim *sim, uint64_t gpa)
{
    uint64_t mfn = hv_sim_p2m_get(sim, gpa >> HV_PAGE_SHIFT);

    return mfn != SIM_NO_FRAME && sim->frame[mfn] & SIM_FRAME_READ_ONLY;
}

static bool all_present(struct sim *sim, uint64_t gpa, size_t size)
{
    uint64_t gfn, last = (gpa + (size - 1)) >> HV_PAGE_SHIFT;

    if (size == 0 || gpa > UINT64_MAX - (size - 1))
        return size == 0;
    for (gfn = gpa >> HV_PAGE_SHIFT; gfn <= last; gfn++)
        if (hv_sim_p2m_get(sim, gfn) == SIM_NO_FRAME)
            return false;
    return true;
}

bool hv_sim_mem_copy(struct sim *sim, bool write, uint64_t gpa, void *buf, size_t size)
{
    uint8_t *p = buf;
    size_t n;

    if (!all_present(sim, gpa, size))
        return false;
    for (; size > 0; size -= n, gpa += n, p += n) {
        n = HV_PAGE_SIZE - gpa % HV_PAGE_SIZE;
        n = n < size ? n : size;
        if (!write) {
            memcpy(p, hv_sim_mem_at(sim, gpa), n);
        } else if (!hv_sim_mem_read_only(sim, gpa)) {
            memcpy(hv_sim_mem_at(sim, gpa), p, n);
            hv_sim_log_write(sim, gpa >> HV_PAGE_SHIFT);
        }
    }
    return true;
}

int hv_sim_ram(struct hv *hv, bool write, uint64_t gpa, void *buf, size_t size)
{
    struct sim *sim = sim_of(hv);
    bool done;

    pthread_mutex_lock(&sim->lock);
    done = hv_sim_mem_copy(sim, write, gpa, buf, size);
    pthread_mutex_unlock(&sim->lock);
    if (done)
        return 0;
    errno = ENOENT;
    return -1;
}

/* ---- life ---- */

/* The guest's frames end at a border of 2 MiB, so that all the host's can serve as extents. */
int hv_sim_mem_init(struct sim *sim, uint64_t guest_frames, uint64_t host_frames,
                    uint64_t pool_pages)
{
    uint64_t host = (guest_frames + TABLE_ENTRIES - 1) & ~(uint64_t)(TABLE_ENTRIES - 1);
    uint64_t nr_frames = host + host_frames;
    uint64_t chunks = (nr_frames + TABLE_ENTRIES - 1) >> TABLE_BITS;
    void *machine;

    sim->memfd = memfd_create("xengasp-sim", MFD_CLOEXEC);
    if (sim->memfd < 0 || ftruncate(sim->memfd, (off_t)(nr_frames << HV_PAGE_SHIFT)) < 0)
        return -1;
    machine = mmap(NULL, nr_frames << HV_PAGE_SHIFT, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE, sim->memfd, 0);
    if (machine == MAP_FAILED)
        return -1;
    sim->machine = machine;
    sim->nr_frames = nr_frames;
    sim->host_free = guest_frames + host_frames;
    sim->frame = calloc(nr_frames, sizeof(*sim->frame));
    sim->chunk_used = calloc(chunks, sizeof(*sim->chunk_used));
    sim->pool_pages = pool_pages;
    sim->pool_used = POOL_OVERHEAD + sim->max_vcpus;
    sim->p2m = table_new(sim);
    if (!sim->frame || !sim->chunk_used || !sim->p2m) {
        errno = ENOMEM;
        return -1;
    }
    for (; guest_frames < host; guest_frames++) {
        sim->frame[guest_frames] = 1; /* nobody's, for ever */
        sim->chunk_used[guest_frames >> TABLE_BITS]++;
    }
    return 0;
}

int hv_sim_mem_build(struct sim *sim, uint64_t gfn, uint64_t n)
{
    unsigned order;
    uint64_t mfn;

    for (; n > 0; n -= UINT64_C(1) << order, gfn += UINT64_C(1) << order) {
        order = gfn % TABLE_ENTRIES == 0 && n >= TABLE_ENTRIES ? HV_ORDER_2M : HV_ORDER_4K;
        mfn = frames_take(sim, order);
        if (mfn == SIM_NO_FRAME || p2m_set_extent(sim, gfn, order, mfn) < 0) {
            errno = ENOMEM;
            return -1;
        }
    }
    return 0;
}

void hv_sim_mem_destroy(struct sim *sim)
{
    uint64_t mfn;

    if (!sim->p2m)
        return;
    table_free(sim, sim->p2m, TOP_SHIFT);
    sim->p2m = NULL;
    sim->pool_used = POOL_OVERHEAD + 1; /* the top one stays, too */
    sim->host_free += sim->pool_pages - sim->pool_used;
    sim->pool_pages = sim->pool_used;
    for (mfn = 0; mfn < sim->nr_frames; mfn++)
        if (sim->frame[mfn] & SIM_FRAME_OWNED)
            frame_disown(sim, mfn);
}

void hv_sim_mem_dispose(struct sim *sim)
{
    if (sim->p2m)
        table_free(sim, sim->p2m, TOP_SHIFT);
    free(sim->frame);
    free(sim->dirty);
    free(sim->chunk_used);
    if (sim->machine)
        munmap(sim->machine, sim->nr_frames << HV_PAGE_SHIFT);
    if (sim->memfd >= 0)
        close(sim->memfd);
}
