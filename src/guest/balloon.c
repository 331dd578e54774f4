/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Following the guest's balloon. Xen's INVALIDATE tells a process that answers for this guest, but
 * names no page, comes late and can be lost; other processes it doesn't tell. A new memory target
 * in xenstore is the other sign: pages will go and come from now on, until their number has been
 * the same for a while.
 */
#include "guest/guest_internal.h"
#include "space/clock.h"

enum {
    LOOK_EVERY_MS = 250,
    QUIET_MS = 5000,
    SPARE_PAGES = 256, /* libxl's maxmem above the target */
};

/* The toolstack has set the guest's limit by its target alone, as if we had registered nothing.
 * lower: one that is higher isn't its own. */
static int raise_limit(struct guest_system *gsp, uint64_t target, bool lower)
{
    uint64_t own = atomic_load(&gsp->gasp.own_pages);
    uint64_t wanted = target + SPARE_PAGES + own;
    struct hv *hv = gsp->hv;
    struct hv_info info;

    if (own == 0)
        return 0;
    if (hv->ops->info(hv, &info) < 0)
        return -1;
    if (info.max_pages == wanted || (info.max_pages > wanted && !lower) ||
        hv->ops->set_max_pages(hv, wanted) == 0)
        return 0;
    if (gasp_may_complain(&gsp->gasp))
        gasp_log(&gsp->gasp, GUEST_LOG_WARN,
                 "the guest's limit (maxmem) could not be raised by the %" PRIu64
                 " MiB that were registered: it may not get back all that it gives up",
                 own >> (20 - HV_PAGE_SHIFT));
    return -1;
}

void balloon_target(struct guest_system *gsp)
{
    struct balloon *b = &gsp->balloon;
    bool lower = false;
    uint64_t target;

    /* Until it is the same twice: a limit that the toolstack set between the look and our raising it
     * would stay too high. */
    while (gsp->hv->ops->memory_target(gsp->hv, &target) == 0) {
        if (target != b->target) {
            if (b->target != 0)
                b->quiet_ns = clock_ns() + QUIET_MS * UINT64_C(1000000);
            b->target = target;
            b->raised = gsp->ram_only;
        }
        if (b->raised)
            break;
        b->raised = raise_limit(gsp, target, lower) == 0;
        if (!b->raised)
            break;
        lower = true;
    }
}

int balloon_look(struct guest_system *gsp)
{
    struct balloon *b = &gsp->balloon;
    struct hv_info info;
    uint64_t now;

    if (!b->quiet_ns)
        return -1;
    now = clock_ns();
    if (now - b->looked_ns < LOOK_EVERY_MS * UINT64_C(1000000))
        return LOOK_EVERY_MS;
    b->looked_ns = now;
    if (gsp->hv->ops->info(gsp->hv, &info) == 0 && info.nr_pages != b->pages) {
        b->pages = info.nr_pages;
        b->quiet_ns = now + QUIET_MS * UINT64_C(1000000);
    }
    balloon_target(gsp);
    /* Before it is over, too: what went since the last look. */
    ram_invalidate(&gsp->gasp.ram);
    if (now >= b->quiet_ns)
        b->quiet_ns = 0;
    return LOOK_EVERY_MS;
}
