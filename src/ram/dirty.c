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
    LOOK_EVERY_MS = 500,
    EXTENTS = 256,        /* in one call to Xen */
    MOST_PAGES = 1 << 20, /* in one extent */
    TRIES = 3,            /* of a call that Xen or Linux has no memory for */
};

struct report {
    struct ram *ram;
    bool failed;
    size_t n;
    struct hv_extent extent[EXTENTS];
};

/* Xen's log refuses what ends at the topmost page of all or above it. (No RAM of ours lies there,
 * see gasp_cover_top; but a mark is for several pages.) */
static int tell_short(struct hv *hv, struct hv_extent e)
{
    int rc = -1;

    for (unsigned cut = 0; rc < 0 && cut <= RAM_MARK_PAGES && e.n > 0; cut++, e.n--)
        rc = hv->ops->modified(hv, 1, &e);
    return rc;
}

/* Whether Xen has them, or there is no guest any more. Of a list it takes none or some. */
static bool told(struct hv *hv, const struct hv_extent extent[], size_t n)
{
    bool all = true;

    for (unsigned i = 0; i < TRIES; i++) {
        if (hv->ops->modified(hv, n, extent) == 0 || errno == ESRCH)
            return true;
        if (errno == EINVAL)
            break;
    }
    if (errno != EINVAL)
        return false;
    for (size_t i = 0; i < n; i++)
        all &= tell_short(hv, extent[i]) == 0 || errno == EINVAL || errno == ESRCH;
    return all;
}

static void tell(struct report *report)
{
    if (report->n > 0 && !told(report->ram->hv, report->extent, report->n))
        report->failed = true;
    report->n = 0;
}

static void add_frames(struct report *report, uint64_t gfn, uint64_t n)
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

/* Pages; what is shown there may lie elsewhere. */
static void add(struct report *report, uint64_t gfn, uint64_t n)
{
    const struct ram_parked *parked;
    const struct ram_parked_page *page;

    add_frames(report, gfn, n);
    rcu_enter();
    parked = rcu_get(report->ram->parked);
    page = ram_parked_next(parked, gfn);
    for (; page && page < parked->page + parked->n && page->home - gfn < n; page++)
        add_frames(report, page->at, 1);
    rcu_leave(report->ram);
}

/* Marks that were taken from a chunk: what is written from then on is marked anew. */
struct taken {
    struct ram_chunk *chunk;
    uint64_t bits;
};

static void add_taken(struct report *report, struct taken taken)
{
    uint64_t gfn = taken.chunk->index * (uint64_t)RAM_CHUNK_PAGES;

    while (taken.bits) {
        unsigned first = (unsigned)__builtin_ctzll(taken.bits);
        uint64_t from = taken.bits >> first;
        unsigned n = ~from ? (unsigned)__builtin_ctzll(~from) : 64;

        add(report, gfn + first * RAM_MARK_PAGES, n * RAM_MARK_PAGES);
        taken.bits &= n == 64 ? 0 : ~(((UINT64_C(1) << n) - 1) << first);
    }
}

/* A writer stores first and looks at its mark then, and may have seen it just before it was taken;
 * what it stored is there when its read section is over. What can't be told is marked again. */
static void tell_taken(struct ram *ram, const struct taken taken[], size_t n)
{
    struct report report = {.ram = ram};

    if (n == 0)
        return;
    rcu_wait(ram);
    for (size_t i = 0; i < n; i++)
        add_taken(&report, taken[i]);
    tell(&report);
    for (size_t i = 0; i < n && report.failed; i++)
        atomic_fetch_or(&taken[i].chunk->written, taken[i].bits);
    if (report.failed)
        ram->unreported = true;
}

static struct taken take(struct ram_chunk *chunk)
{
    bool any = atomic_load_explicit(&chunk->written, memory_order_relaxed);

    return (struct taken){chunk, any ? atomic_exchange(&chunk->written, 0) : 0};
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

/* Keeps errno, as the caller's own result may be in it. */
void ram_wrote(struct ram *ram, struct range range)
{
    struct report report = {.ram = ram};
    int watcher = ram->watcher, saved = errno;

    if (watcher >= 0 && !ram->logging && mark(ram, range)) {
        if (!ram->unreported && !atomic_exchange(&ram->unreported, true))
            eventfd_write(watcher, 1);
        errno = saved;
        if (ram->watcher >= 0)
            return; /* else it went, perhaps before it saw the marks */
    }
    add(&report, range.first >> HV_PAGE_SHIFT,
        (range.last >> HV_PAGE_SHIFT) - (range.first >> HV_PAGE_SHIFT) + 1);
    tell(&report);
    errno = saved;
}

void ram_watch(struct ram *ram, int fd)
{
    ram->watcher = fd;
    if (fd >= 0)
        return;
    ram->unreported = false;
    report_all(ram);
}

int ram_report(struct ram *ram)
{
    uint64_t now = clock_ns();
    uint64_t since_ms = (now - ram->reported_ns) / 1000000;
    int logging;

    /* Also now and then while nothing is written: the first write in a while must not be late. */
    if (!ram->unreported && !ram->logging && since_ms < LOOK_EVERY_MS)
        return LOOK_EVERY_MS;
    if (since_ms < REPORT_EVERY_MS)
        return REPORT_EVERY_MS;
    ram->reported_ns = now;
    ram->unreported = false;
    report_all(ram);
    logging = ram->hv->ops->logging(ram->hv);
    if (logging >= 0)
        ram->logging = logging;
    return REPORT_EVERY_MS;
}
