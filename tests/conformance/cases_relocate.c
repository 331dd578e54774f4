/* SPDX-License-Identifier: BSD-2-Clause */
/* relocate: pages that change their place. */
#include <poll.h>

#include "tests/conformance/device.h"

enum { EXTENT = 1 << HV_ORDER_2M, PORT = 0x600, AWAY = 0x9000 };

static int move(struct guest *g, size_t n, uint64_t from, uint64_t to)
{
    return OPS(g)->relocate(g->hv, n, from, to);
}

static uint64_t nr_gfns(struct guest *g)
{
    struct hv_info info;

    return OPS(g)->info(g->hv, &info) == 0 ? info.nr_gfns : UINT64_MAX;
}

/* What a page holds at its ends is its number. */
static void stamp(struct window *w, size_t i, uint64_t number)
{
    memcpy(page_at(w, i), &number, 8);
    memcpy(page_at(w, i) + HV_PAGE_SIZE - 8, &number, 8);
}

/* The page at gfn, mapped anew, must be this one. */
static bool holds(struct guest *g, uint64_t gfn, uint64_t number)
{
    struct window w;
    uint64_t ends[2];

    if (!window_open(&w, 1) || !map_run(g, &w, 0, gfn, 1))
        return false;
    memcpy(&ends[0], w.at, 8);
    memcpy(&ends[1], w.at + HV_PAGE_SIZE - 8, 8);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    window_close(&w);
    CHECK_EQUAL(ends[0], number);
    CHECK_EQUAL(ends[1], number);
    return true;
}

/* n pages, stamped with their frames, and mapped nowhere afterwards. */
static bool fill(struct guest *g, uint64_t gfn, size_t n)
{
    struct window w;

    CHECK_EQUAL(populate_run(g, gfn, n), n);
    if (!window_open(&w, n) || !map_run(g, &w, 0, gfn, n))
        return false;
    for (size_t i = 0; i < n; i++)
        stamp(&w, i, gfn + i);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, n));
    window_close(&w);
    return true;
}

static bool page_moves(struct guest *g, const struct fixture *f)
{
    volatile uint8_t *old, *new;
    struct window w;

    (void)f;
    CHECK(fill(g, 0x100, 1) && window_open(&w, 2));
    CHECK(map_run(g, &w, 0, 0x100, 1));
    CHECK_OK(move(g, 1, 0x100, AWAY));
    CHECK_EQUAL(map_error(g, 0x100), EINVAL);
    CHECK_EQUAL(charged(g), 1);
    CHECK_EQUAL(nr_gfns(g), AWAY + 1);
    CHECK(holds(g, AWAY, 0x100));
    CHECK(map_run(g, &w, 1, AWAY, 1)); /* two mappings, before and after, of one page */
    old = page_at(&w, 0);
    new = page_at(&w, 1);
    old[77] = 1;
    CHECK_EQUAL(new[77], 1);
    new[78] = 2;
    CHECK_EQUAL(old[78], 2);
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 1), 1));
    CHECK_OK(move(g, 1, AWAY, 0x100));
    CHECK_EQUAL(map_error(g, AWAY), EINVAL);
    CHECK_EQUAL(charged(g), 1);
    CHECK_EQUAL(nr_gfns(g), AWAY + 1); /* it was there once */
    old[0] = 0x55;
    old[HV_PAGE_SIZE - 8] = 0x55;
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 0), 1));
    window_close(&w);
    CHECK(holds(g, 0x100, 0x155));
    CHECK_EQUAL(depopulate_run(g, 0x100, 1), 1);
    CHECK_EQUAL(charged(g), 0);
    return true;
}

/* Over the border of two extents, and not aligned to them at the target. */
static bool run_moves_out_of_extents(struct guest *g, const struct fixture *f)
{
    uint64_t extent[2] = {0x400, 0x600};
    struct window w;

    (void)f;
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 2, extent), 2);
    CHECK(window_open(&w, 600) && map_run(g, &w, 0, 0x480, 600));
    for (unsigned i = 0; i < 600; i++)
        stamp(&w, i, i);
    CHECK_OK(move(g, 600, 0x480, AWAY + 3));
    CHECK_EQUAL(charged(g), 2 * EXTENT);
    CHECK_EQUAL(map_error(g, 0x47f), 0);
    CHECK_EQUAL(map_error(g, 0x480), EINVAL);
    CHECK_EQUAL(map_error(g, 0x480 + 599), EINVAL);
    CHECK_EQUAL(map_error(g, 0x480 + 600), 0);
    for (unsigned i = 0; i < 600; i += 7)
        CHECK(holds(g, AWAY + 3 + i, i));
    CHECK(holds(g, AWAY + 3 + 599, 599));
    for (unsigned i = 0; i < 600; i++)
        stamp(&w, i, 1000 + i); /* through the mapping from before */
    CHECK_OK(move(g, 600, AWAY + 3, 0x480));
    for (unsigned i = 0; i < 600; i += 7)
        CHECK(holds(g, 0x480 + i, 1000 + i));
    CHECK_EQUAL(map_error(g, AWAY + 3), EINVAL);
    CHECK_EQUAL(charged(g), 2 * EXTENT);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 600));
    window_close(&w);
    return true;
}

static bool nothing_moves(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_OK(move(g, 0, 0, 1));
    CHECK_OK(move(g, 0, 5, 5));
    CHECK_FAILS(move(g, 0, 0, UINT64_MAX), EINVAL);
    CHECK_EQUAL(charged(g), 0);
    CHECK_EQUAL(nr_gfns(g), 1);
    return true;
}

static bool occupied_target_is_freed(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(fill(g, 0x100, 2) && fill(g, 0x200, 2) && window_open(&w, 1));
    CHECK_OK(move(g, 1, 0x100, 0x200));
    CHECK_EQUAL(charged(g), 3);
    CHECK(holds(g, 0x200, 0x100) && holds(g, 0x201, 0x201));
    CHECK_EQUAL(map_error(g, 0x100), EINVAL);
    CHECK(map_run(g, &w, 0, 0x201, 1)); /* while it is mapped it isn't freed */
    CHECK_OK(move(g, 1, 0x101, 0x201));
    CHECK_EQUAL(charged(g), 3);
    CHECK(holds(g, 0x201, 0x101));
    CHECK_EQUAL(*(uint64_t *)(void *)w.at, 0x201);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    CHECK_EQUAL(charged(g), 2);
    window_close(&w);
    return true;
}

static bool onto_itself(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(fill(g, 0x100, 3));
    CHECK_OK(move(g, 3, 0x100, 0x100));
    CHECK_EQUAL(charged(g), 3);
    for (uint64_t i = 0x100; i < 0x103; i++)
        CHECK(holds(g, i, i));
    return true;
}

static bool hole_stops_it(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_FAILS(move(g, 1, 0x100, 0x200), EINVAL);
    CHECK_FAILS(move(g, 1, 0x100, 0x100), EINVAL);
    CHECK(fill(g, 0x100, 2) && fill(g, 0x103, 1));
    CHECK_FAILS(move(g, 4, 0x100, 0x200), EINVAL);
    CHECK(holds(g, 0x200, 0x100) && holds(g, 0x201, 0x101) && holds(g, 0x103, 0x103));
    CHECK_EQUAL(map_error(g, 0x100), EINVAL);
    CHECK_EQUAL(map_error(g, 0x202), EINVAL);
    CHECK_EQUAL(map_error(g, 0x203), EINVAL);
    CHECK_EQUAL(charged(g), 3);
    /* The hole isn't filled, but what lies opposite it stays, too. */
    CHECK_FAILS(move(g, 1, 0x102, 0x103), EINVAL);
    CHECK(holds(g, 0x103, 0x103));
    return true;
}

/* Page by page from the lowest: down is fine, up is not. */
static bool overlapping_frames(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(fill(g, 0x110, 5));
    CHECK_OK(move(g, 5, 0x110, 0x10e));
    for (uint64_t i = 0; i < 5; i++)
        CHECK(holds(g, 0x10e + i, 0x110 + i));
    CHECK_EQUAL(map_error(g, 0x113), EINVAL);
    CHECK_EQUAL(charged(g), 5);
    CHECK_OK(move(g, 5, 0x10e, 0x10f));
    CHECK_EQUAL(charged(g), 1);
    CHECK(holds(g, 0x113, 0x110));
    CHECK_EQUAL(map_error(g, 0x112), EINVAL);
    return true;
}

static bool beyond_all_numbers(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(fill(g, 0x100, 2));
    CHECK_FAILS(move(g, 2, 0x100, UINT64_MAX), EINVAL);
    CHECK_FAILS(move(g, 2, 0x100, UINT64_MAX - 1), EOVERFLOW);
    CHECK_FAILS(move(g, 2, UINT64_MAX - 1, 0x200), EOVERFLOW);
    CHECK_FAILS(move(g, 2, UINT64_MAX, 0x200), EOVERFLOW);
    CHECK_FAILS(move(g, 1ull << 32, 0x100, 0x200), EINVAL);
    CHECK_FAILS(move(g, (1ull << 32) + 1, 0x100, 0x200), EINVAL);
    CHECK_FAILS(move(g, 1, 1ull << 36, 0x200), EINVAL); /* a hole as any */
    CHECK(holds(g, 0x100, 0x100) && holds(g, 0x101, 0x101));
    CHECK_EQUAL(charged(g), 2);
    CHECK_EQUAL(nr_gfns(g), 0x102);
    return true;
}

/* It leaves its place first. */
static bool beyond_the_tables(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(fill(g, 0x100, 2));
    CHECK_OK(move(g, 1, 0x100, (1ull << 36) - 1));
    CHECK_OK(move(g, 1, (1ull << 36) - 1, 0x100));
    CHECK_EQUAL(nr_gfns(g), 1ull << 36);
    CHECK_FAILS(move(g, 2, 0x100, 1ull << 36), ENOENT);
    CHECK_EQUAL(map_error(g, 0x100), EINVAL);
    CHECK_EQUAL(map_error(g, 0x101), 0);
    CHECK_EQUAL(charged(g), 2);
    CHECK_EQUAL(depopulate_run(g, 0x101, 1), 1);
    CHECK_EQUAL(charged(g), 1); /* for good */
    return true;
}

/* Takes what is left of the pool: one page every 2 MiB, each with a table of its own. */
static bool exhaust_pool(struct guest *g)
{
    uint64_t gfn = EXTENT;

    while (OPS(g)->populate(g->hv, HV_ORDER_4K, 1, &gfn) == 1)
        gfn += EXTENT;
    CHECK(gfn > 100 * EXTENT && gfn < 300 * EXTENT);
    return true;
}

static bool no_table_at_the_target(struct guest *g, const struct fixture *f)
{
    uint64_t before;

    (void)f;
    CHECK(fill(g, 0x10, 4) && exhaust_pool(g));
    before = charged(g);
    CHECK_OK(move(g, 1, 0x10, 0x20)); /* where there is one */
    CHECK_OK(move(g, 1, 0x20, EXTENT + 5));
    CHECK_FAILS(move(g, 2, 0x11, 400 * EXTENT), ENOMEM);
    CHECK_EQUAL(map_error(g, 0x11), EINVAL);
    CHECK_EQUAL(map_error(g, 400 * EXTENT), EINVAL);
    CHECK(holds(g, 0x12, 0x12) && holds(g, EXTENT + 5, 0x10));
    CHECK_EQUAL(charged(g), before);
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool + HV_PAGE_SIZE));
    CHECK_OK(move(g, 2, 0x12, 400 * EXTENT));
    CHECK(holds(g, 400 * EXTENT + 1, 0x13));
    return true;
}

/* Neither to take a page out of an extent nor to put one in. */
static bool no_table_to_break_an_extent(struct guest *g, const struct fixture *f)
{
    uint64_t extent = 0x40000, before;

    (void)f;
    CHECK(fill(g, 0x10, 2) && exhaust_pool(g));
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool + HV_PAGE_SIZE)); /* the level above */
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 1, &extent), 1);
    before = charged(g);
    CHECK_FAILS(move(g, 1, extent + 5, 0x20), ENOMEM);
    CHECK_EQUAL(map_error(g, extent + 5), 0);
    CHECK_EQUAL(map_error(g, 0x20), EINVAL);
    CHECK_FAILS(move(g, 1, extent + 5, extent + 5), ENOMEM);
    CHECK_FAILS(move(g, 1, 0x10, extent + 5), ENOMEM);
    CHECK(holds(g, 0x10, 0x10));
    CHECK_FAILS(move(g, 1, extent + 5, 0x11), ENOMEM); /* but what lay there is gone */
    CHECK_EQUAL(map_error(g, 0x11), EINVAL);
    CHECK_EQUAL(map_error(g, extent + 5), 0);
    CHECK_EQUAL(charged(g), before - 1);
    return true;
}

/* Under the limit: a move needs no page. */
static bool needs_no_quota(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(fill(g, 0x100, 4));
    CHECK_OK(OPS(g)->set_max_pages(g->hv, 4));
    CHECK_OK(move(g, 4, 0x100, AWAY));
    CHECK_OK(OPS(g)->set_max_pages(g->hv, 1));
    CHECK_OK(move(g, 4, AWAY, 0x100));
    CHECK(holds(g, 0x103, 0x103));
    return true;
}

/* ---- on a guest that runs ---- */

static struct access ram(uint64_t gfn)
{
    return get(HV_RANGE_MEMORY, gfn * HV_PAGE_SIZE, 4);
}

static bool guest_writes(struct device *d, const struct fixture *f, uint64_t gfn)
{
    struct seen seen;

    return watch(d, f, put(HV_RANGE_MEMORY, ram(gfn).addr, 4, 0x4567), 0, &seen);
}

/* Neither is the page dirty at its new place nor does it become so. */
static bool log_misses_the_move(struct guest *g, const struct fixture *f)
{
    struct device d;

    CHECK(fill(g, 0x100, 3) && fill(g, 2 * AWAY, 1) && device_open(&d, g));
    CHECK_OK(f->log(g, true));
    CHECK_OK(OPS(g)->modified(g->hv, 1, &(struct hv_extent){.gfn = 0x100, .n = 1}));
    CHECK(guest_writes(&d, f, 0x101));
    CHECK(f->logged(g, 0x100) && f->logged(g, 0x101) && !f->logged(g, 0x102));
    CHECK_OK(move(g, 3, 0x100, AWAY));
    CHECK(!f->logged(g, AWAY) && !f->logged(g, AWAY + 1) && !f->logged(g, AWAY + 2));
    CHECK(guest_writes(&d, f, AWAY) && guest_writes(&d, f, AWAY + 2));
    CHECK(!f->logged(g, AWAY) && !f->logged(g, AWAY + 2));
    CHECK_OK(OPS(g)->modified(g->hv, 1, &(struct hv_extent){.gfn = AWAY, .n = 1}));
    CHECK(f->logged(g, AWAY) && !f->logged(g, AWAY + 1));
    CHECK_OK(f->log(g, false));
    return device_close(&d);
}

/* The guest sees RAM, its overlay, and RAM again, whatever it writes meanwhile. */
static bool overlay_on_ram(struct guest *g, const struct fixture *f)
{
    const uint32_t addr = 0x20 * HV_PAGE_SIZE;
    struct device d;
    struct seen seen;

    CHECK(fill(g, 0x20, 3) && device_open(&d, g));
    CHECK(claim(&d, HV_RANGE_MEMORY, addr, addr + 3 * HV_PAGE_SIZE - 1)); /* at first */
    for (unsigned i = 0; i < 3; i++) {
        CHECK(watch(&d, f, ram(0x21), 0, &seen));
        CHECK(seen.value == 0x21 + i && seen.requests == 0);
        CHECK_OK(move(g, 3, 0x20, AWAY));
        CHECK(watch(&d, f, ram(0x21), 0x1234567, &seen));
        CHECK(seen.value == 0x1234567 && seen.requests == 1);
        CHECK(watch(&d, f, put(HV_RANGE_MEMORY, ram(0x21).addr, 4, 99), 0, &seen));
        CHECK_EQUAL(seen.requests, 1);
        CHECK(watch(&d, f, ram(AWAY + 1), 0, &seen)); /* there it is RAM as any */
        CHECK(seen.value == 0x21 + i && seen.requests == 0);
        CHECK(watch(&d, f, put(HV_RANGE_MEMORY, ram(AWAY + 1).addr, 4, 0x22 + i), 0, &seen));
        CHECK_OK(move(g, 3, AWAY, 0x20));
        CHECK(watch(&d, f, ram(AWAY + 1), 0, &seen)); /* nobody's */
        CHECK(seen.value == UINT32_MAX && seen.requests == 0);
    }
    CHECK(watch(&d, f, ram(0x21), 0, &seen));
    CHECK(seen.value == 0x24 && seen.requests == 0);
    return device_close(&d);
}

/* Reads of an unclaimed port until nothing has come for a while; how many INVALIDATEs came. */
static bool count_invalidates(struct device *d, const struct fixture *f, unsigned *n)
{
    unsigned quiet = 0;
    struct seen seen;

    for (*n = 0; quiet < 10; quiet++) {
        CHECK(watch(d, f, get(HV_RANGE_PORT, PORT, 4), 0, &seen));
        *n += seen.invalidates;
        if (seen.invalidates)
            quiet = 0;
        poll(NULL, 0, NOT_NOW / 10);
    }
    return true;
}

/* It comes for a page that leaves its place: the one that moves, and the one at the target. */
static bool invalidate_follows(struct guest *g, const struct fixture *f)
{
    struct device d;
    unsigned n;

    CHECK(fill(g, 0x20, 4) && device_open(&d, g));
    CHECK(count_invalidates(&d, f, &n) && n == 0);
    CHECK_OK(move(g, 1, 0x20, AWAY));
    CHECK(count_invalidates(&d, f, &n));
    CHECK_EQUAL(n, 1);
    CHECK_OK(move(g, 1, AWAY, 0x20));
    CHECK(count_invalidates(&d, f, &n));
    CHECK_EQUAL(n, 1);
    CHECK_OK(move(g, 1, 0x20, 0x20));
    CHECK_FAILS(move(g, 1, 0x30, 0x20), EINVAL);
    CHECK(count_invalidates(&d, f, &n));
    CHECK_EQUAL(n, 0);
    CHECK_OK(OPS(g)->pause(g->hv)); /* what comes together is one */
    CHECK_OK(move(g, 4, 0x20, AWAY));
    CHECK_OK(move(g, 4, AWAY, 0x20));
    CHECK_OK(move(g, 1, 0x20, 0x21));
    CHECK_OK(OPS(g)->unpause(g->hv));
    CHECK(count_invalidates(&d, f, &n));
    CHECK_EQUAL(n, 1);
    return device_close(&d);
}

#define RUNNING                                                                                    \
    {                                                                                              \
        .running = true                                                                            \
    }
#define SMALL_POOL                                                                                 \
    {                                                                                              \
        .paging_pool = 256 * HV_PAGE_SIZE                                                          \
    }

const struct conformance_case relocate_cases[] = {
    {"a page that moves stays the same", page_moves, {0}},
    {"a run of pages moves out of extents and back", run_moves_out_of_extents, {0}},
    {"moving nothing", nothing_moves, {0}},
    {"what lies where a page moves to is freed", occupied_target_is_freed, {0}},
    {"a page that moves onto itself", onto_itself, {0}},
    {"a hole stops a move", hole_stops_it, {0}},
    {"a move into its own frames", overlapping_frames, {0}},
    {"a move beyond all numbers", beyond_all_numbers, {0}},
    {"a page that moves beyond the tables is lost", beyond_the_tables, {0}},
    {"a page that moves where no table is left is lost", no_table_at_the_target, SMALL_POOL},
    {"no table left to move a page of an extent", no_table_to_break_an_extent, SMALL_POOL},
    {"a move needs no quota", needs_no_quota, {0}},
    {"the log of dirty pages misses a move", log_misses_the_move, RUNNING},
    {"a page that moved away uncovers the range under it", overlay_on_ram, RUNNING},
    {"INVALIDATE follows a move", invalidate_follows, RUNNING},
    {NULL, NULL, {0}},
};
