/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling Xen's log of dirty pages what we wrote: Xen doesn't see it, and a guest that migrates
 * would lose it.
 *
 * A call to Xen at each write would be dear, and a log is hardly ever kept. So writes are marked,
 * and a watcher reports them every now and then; from the report that finds a log on, writers
 * report by themselves, at once. What was written before that is sent all the same: a migration's
 * first round sends everything, and takes longer than the time between two reports. Without a
 * watcher each write is told at once.
 */
#include "ram/ram_internal.h"

#include <sys/eventfd.h>

#include "space/clock.h"

enum {
    REPORT_EVERY_MS = 50,
    EXTENTS = 256,        /* in one call to Xen */
    MOST_PAGES = 1 << 20, /* in one extent */
};

struct report {
    struct ram *ram;
    size_t n;
    struct hv_extent extent[EXTENTS];
};

/* Xen's log refuses the topmost page of all, and a list of extents that has it. (No RAM of ours
 * lies there, see gasp_cover_top; but a mark is for several pages.) */
static void tell_singly(struct hv *hv, struct hv_extent e)
{
    for (uint32_t i = 0; i < e.n; i++)
        hv->ops->modified(hv, 1, &(struct hv_extent){.gfn = e.gfn + i, .n = 1});
}

static void tell(struct report *report)
{
    struct hv *hv = report->ram->hv;

    if (report->n > 0 && hv->ops->modified(hv, report->n, report->extent) < 0 && errno == EINVAL) {
        for (size_t i = 0; i < report->n; i++) {
            if (hv->ops->modified(hv, 1, &report->extent[i]) < 0)
                tell_singly(hv, report->extent[i]);
        }
    }
    report->n = 0;
}

static void add(struct report *report, uint64_t gfn, uint64_t n)
{
    while (n > 0) {
        uint32_t some = n < MOST_PAGES ? n : MOST_PAGES;

        if (report->n == EXTENTS)
            tell(report);
        report->extent[report->n++] = (struct hv_extent){.gfn = gfn, .n = some};
        gfn += some;
        n -= some;
    }
}

/* Marks that were taken from a chunk: what is written from then on is marked anew. */
struct taken {
    uint64_t gfn; /* the chunk's first */
    uint64_t bits;
};

static void add_taken(struct report *report, struct taken taken)
{
    while (taken.bits) {
        unsigned first = (unsigned)__builtin_ctzll(taken.bits);
        uint64_t from = taken.bits >> first;
        unsigned n = ~from ? (unsigned)__builtin_ctzll(~from) : 64;

        add(report, taken.gfn + first * RAM_MARK_PAGES, n * RAM_MARK_PAGES);
        taken.bits &= n == 64 ? 0 : ~(((UINT64_C(1) << n) - 1) << first);
    }
}

/* Who marked what was taken may still be about to write (it marks what is marked already in
 * passing): it is inside a read section. */
static void tell_taken(struct ram *ram, const struct taken taken[], size_t n)
{
    struct report report = {.ram = ram};

    if (n == 0)
        return;
    rcu_wait(ram);
    for (size_t i = 0; i < n; i++)
        add_taken(&report, taken[i]);
    tell(&report);
}

static struct taken take(struct ram_chunk *chunk)
{
    return (struct taken){chunk->index * (uint64_t)RAM_CHUNK_PAGES,
                          atomic_load_explicit(&chunk->written, memory_order_relaxed)
                              ? atomic_exchange(&chunk->written, 0)
                              : 0};
}

void ram_report_chunk(struct ram *ram, struct ram_chunk *chunk)
{
    struct report report = {.ram = ram};

    add_taken(&report, take(chunk));
    tell(&report);
}

static void report_all(struct ram *ram)
{
    struct taken taken[EXTENTS];
    struct ram_chunk *chunk;
    size_t n = 0;

    pthread_mutex_lock(&ram->lock);
    LIST_FOREACH (chunk, &ram->mapped, link) {
        taken[n] = take(chunk);
        n += taken[n].bits != 0;
        if (n == EXTENTS) {
            tell_taken(ram, taken, n);
            n = 0;
        }
    }
    tell_taken(ram, taken, n);
    pthread_mutex_unlock(&ram->lock);
}

/* False if a chunk is being dropped: nobody may look at its marks any more. */
static bool mark(struct ram *ram, struct range range)
{
    for (size_t i = range.first >> RAM_CHUNK_SHIFT; i <= range.last >> RAM_CHUNK_SHIFT; i++) {
        struct ram_chunk *chunk = rcu_get(ram->chunk[i]);
        uint64_t start = i * RAM_CHUNK_SIZE, bits = ~UINT64_C(0);

        if (!chunk)
            return false;
        if (range.first > start)
            bits <<= (range.first - start) / (RAM_MARK_PAGES * HV_PAGE_SIZE);
        if (range.last - start < RAM_CHUNK_SIZE)
            bits &= ~UINT64_C(0) >> (63 - (range.last - start) / (RAM_MARK_PAGES * HV_PAGE_SIZE));
        if ((atomic_load_explicit(&chunk->written, memory_order_relaxed) & bits) != bits)
            atomic_fetch_or(&chunk->written, bits);
    }
    return true;
}

void ram_wrote(struct ram *ram, struct range range)
{
    struct report report = {.ram = ram};
    int watcher = ram->watcher;

    if (watcher >= 0 && !ram->logging && mark(ram, range)) {
        if (!ram->unreported && !atomic_exchange(&ram->unreported, true))
            eventfd_write(watcher, 1);
        if (ram->watcher >= 0)
            return; /* else it went, perhaps before it saw the marks */
    }
    add(&report, range.first >> HV_PAGE_SHIFT,
        (range.last >> HV_PAGE_SHIFT) - (range.first >> HV_PAGE_SHIFT) + 1);
    tell(&report);
}

void ram_watch(struct ram *ram, int fd)
{
    ram->watcher = fd;
    if (fd >= 0)
        return;
    report_all(ram);
    ram->unreported = false;
}

int ram_report(struct ram *ram)
{
    uint64_t now;

    if (!ram->unreported && !ram->logging)
        return -1;
    now = clock_ns();
    if (now - ram->reported_ns < REPORT_EVERY_MS * UINT64_C(1000000))
        return REPORT_EVERY_MS;
    ram->reported_ns = now;
    ram->unreported = false;
    report_all(ram);
    ram->logging = ram->hv->ops->logging(ram->hv) == 1;
    return REPORT_EVERY_MS;
}
