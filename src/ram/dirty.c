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
    EXTENTS = 256, /* in one call to Xen */
};

struct report {
    struct ram *ram;
    size_t n;
    struct hv_extent extent[EXTENTS];
};

/* The only page that Xen's log may refuse is the topmost of all, at an extent's end: without it,
 * then. (No RAM of ours lies there, see gasp_extend_memory_map.) */
static void tell_singly(struct report *report)
{
    struct hv *hv = report->ram->hv;

    for (size_t i = 0; i < report->n; i++) {
        struct hv_extent e = report->extent[i];

        if (hv->ops->modified(hv, 1, &e) < 0 && --e.n > 0)
            hv->ops->modified(hv, 1, &e);
    }
}

static void tell(struct report *report)
{
    struct hv *hv = report->ram->hv;

    if (report->n > 0 && hv->ops->modified(hv, report->n, report->extent) < 0 && errno == EINVAL)
        tell_singly(report);
    report->n = 0;
}

static void add(struct report *report, uint64_t gfn, uint64_t n)
{
    while (n > 0) {
        uint32_t some = n < UINT32_MAX ? n : UINT32_MAX;

        if (report->n == EXTENTS)
            tell(report);
        report->extent[report->n++] = (struct hv_extent){.gfn = gfn, .n = some};
        gfn += some;
        n -= some;
    }
}

/* Takes the chunk's marks: what is written from now on is marked anew. */
static void add_chunk(struct report *report, struct ram_chunk *chunk)
{
    uint64_t gfn = chunk->index * RAM_CHUNK_PAGES;
    uint64_t run = 0; /* pages before the one looked at */

    for (size_t word = 0; word < RAM_CHUNK_PAGES / 64; word++) {
        uint64_t bits = atomic_load_explicit(&chunk->written[word], memory_order_relaxed);

        if (bits)
            bits = atomic_exchange(&chunk->written[word], 0);
        for (size_t bit = 0; bit < 64 && (bits || run); bit++) {
            if (bits >> bit & 1) {
                run++;
                continue;
            }
            add(report, gfn + word * 64 + bit - run, run);
            run = 0;
        }
    }
    add(report, gfn + RAM_CHUNK_PAGES - run, run);
}

void ram_report_chunk(struct ram *ram, struct ram_chunk *chunk)
{
    struct report report = {.ram = ram};

    add_chunk(&report, chunk);
    tell(&report);
}

static void report_all(struct ram *ram)
{
    struct report report = {.ram = ram};
    struct ram_chunk *chunk;

    pthread_mutex_lock(&ram->lock);
    LIST_FOREACH (chunk, &ram->mapped, link)
        add_chunk(&report, chunk);
    tell(&report);
    pthread_mutex_unlock(&ram->lock);
}

/* False if a chunk is being dropped: nobody may look at its marks any more. */
static bool mark(struct ram *ram, struct range range)
{
    uint64_t page = range.first >> HV_PAGE_SHIFT, last = range.last >> HV_PAGE_SHIFT;

    while (page <= last) {
        struct ram_chunk *chunk = rcu_get(ram->chunk[page / RAM_CHUNK_PAGES]);
        uint64_t bits = ~UINT64_C(0) << page % 64;
        _Atomic uint64_t *word;

        if (!chunk)
            return false;
        word = &chunk->written[page % RAM_CHUNK_PAGES / 64];
        if (page / 64 == last / 64)
            bits &= ~UINT64_C(0) >> (63 - last % 64);
        if ((atomic_load_explicit(word, memory_order_relaxed) & bits) != bits)
            atomic_fetch_or(word, bits);
        page = (page | 63) + 1;
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
