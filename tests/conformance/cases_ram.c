/* SPDX-License-Identifier: BSD-2-Clause */
/* populate, depopulate, the guest's limit and its paging pool. */
#include "tests/conformance/conformance.h"

#include <stdlib.h>

enum { EXTENT = 1 << HV_ORDER_2M };

static bool fresh_guest_has_nothing(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_EQUAL(charged(g), 0);
    CHECK_EQUAL(map_error(g, 0), EINVAL);
    CHECK_EQUAL(map_error(g, 0xfeffc), EINVAL);
    return true;
}

static bool page_is_charged_and_mappable(struct guest *g, const struct fixture *f)
{
    struct hv_info info;

    (void)f;
    CHECK_EQUAL(populate_run(g, 0x1234, 1), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_pages, 1);
    CHECK_EQUAL(info.nr_gfns, 0x1235);
    CHECK_EQUAL(map_error(g, 0x1234), 0);
    CHECK_EQUAL(map_error(g, 0x1233), EINVAL);
    CHECK_EQUAL(map_error(g, 0x1235), EINVAL);
    CHECK_EQUAL(depopulate_run(g, 0x1234, 1), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_pages, 0);
    CHECK_EQUAL(info.nr_gfns, 0x1235); /* it was there once */
    CHECK_EQUAL(map_error(g, 0x1234), EINVAL);
    return true;
}

static bool nothing_asked_nothing_done(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_EQUAL(populate_run(g, 0, 0), 0);
    CHECK_EQUAL(depopulate_run(g, 0, 0), 0);
    CHECK_EQUAL(charged(g), 0);
    return true;
}

static bool extent_is_512_pages(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[2] = {0x400, 0x800};

    (void)f;
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 2, gfn), 2);
    CHECK_EQUAL(charged(g), 2 * EXTENT);
    CHECK_EQUAL(map_error(g, 0x5ff), 0);
    CHECK_EQUAL(map_error(g, 0x600), EINVAL);
    CHECK_EQUAL(map_error(g, 0x9ff), 0);
    CHECK_EQUAL(depopulate_run(g, 0x4ff, 1), 1);
    CHECK_EQUAL(map_error(g, 0x4fe), 0);
    CHECK_EQUAL(map_error(g, 0x4ff), EINVAL);
    CHECK_EQUAL(map_error(g, 0x500), 0);
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_2M, 1, gfn + 1), 1);
    CHECK_EQUAL(charged(g), EXTENT - 1);
    return true;
}

static bool depopulate_stops_at_hole(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[4] = {0x10, 0x11, 0x20, 0x12};

    (void)f;
    CHECK_EQUAL(populate_run(g, 0x10, 3), 3);
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_4K, 4, gfn), 2);
    CHECK_EQUAL(charged(g), 1);
    CHECK_EQUAL(map_error(g, 0x12), 0);
    return true;
}

/* The extent isn't counted, though half of it is gone. */
static bool depopulate_of_broken_extent(struct guest *g, const struct fixture *f)
{
    uint64_t gfn = 0x200;

    (void)f;
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 1, &gfn), 1);
    CHECK_EQUAL(depopulate_run(g, 0x300, 1), 1);
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_2M, 1, &gfn), 0);
    CHECK_EQUAL(charged(g), 255);
    CHECK_EQUAL(map_error(g, 0x2ff), EINVAL);
    CHECK_EQUAL(map_error(g, 0x301), 0);
    return true;
}

/* Asks for more than the limit in single pages, then in extents. */
static bool limit_of(struct guest *g, uint64_t limit)
{
    uint64_t extent[3] = {0x10000, 0x10200, 0x10400};
    struct hv_info info;

    CHECK_OK(OPS(g)->set_max_pages(g->hv, limit));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.max_pages, limit);
    CHECK_EQUAL(populate_run(g, 0x1000, 1200), limit);
    CHECK_EQUAL(charged(g), limit);
    CHECK_EQUAL(map_error(g, 0x1000 + limit - 1), 0);
    CHECK_EQUAL(map_error(g, 0x1000 + limit), EINVAL);
    CHECK_EQUAL(populate_run(g, 0x3000, 1), 0);
    CHECK_EQUAL(depopulate_run(g, 0x1000, limit), limit);
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 3, extent), limit / EXTENT);
    CHECK_EQUAL(charged(g), limit / EXTENT * EXTENT);
    CHECK_EQUAL(populate_run(g, 0x1000, 1200), limit % EXTENT);
    CHECK_EQUAL(charged(g), limit);
    return true;
}

static bool limit_1(struct guest *g, const struct fixture *f)
{
    (void)f;
    return limit_of(g, 1);
}

static bool limit_511(struct guest *g, const struct fixture *f)
{
    (void)f;
    return limit_of(g, 511);
}

static bool limit_512(struct guest *g, const struct fixture *f)
{
    (void)f;
    return limit_of(g, 512);
}

static bool limit_513(struct guest *g, const struct fixture *f)
{
    (void)f;
    return limit_of(g, 513);
}

static bool limit_below_what_it_has(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_EQUAL(populate_run(g, 0, 100), 100);
    CHECK_OK(OPS(g)->set_max_pages(g->hv, 50));
    CHECK_EQUAL(charged(g), 100);
    CHECK_EQUAL(populate_run(g, 0x1000, 1), 0);
    CHECK_EQUAL(depopulate_run(g, 0, 50), 50);
    CHECK_EQUAL(populate_run(g, 0x1000, 1), 0);
    CHECK_EQUAL(depopulate_run(g, 50, 1), 1);
    CHECK_EQUAL(populate_run(g, 0x1000, 2), 1);
    return true;
}

static bool limit_is_cut_at_32_bits(struct guest *g, const struct fixture *f)
{
    struct hv_info info;

    (void)f;
    CHECK_OK(OPS(g)->set_max_pages(g->hv, 1ull << 40));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.max_pages, UINT32_MAX);
    return true;
}

static bool overwrite_is_silent_and_leaks(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(window_open(&w, 2));
    CHECK_EQUAL(populate_run(g, 0x100, 1), 1);
    CHECK(map_run(g, &w, 0, 0x100, 1));
    memset(page_at(&w, 0), 0x5a, HV_PAGE_SIZE);
    CHECK_EQUAL(populate_run(g, 0x100, 1), 1);
    CHECK_EQUAL(charged(g), 2);
    CHECK(map_run(g, &w, 1, 0x100, 1));
    memset(page_at(&w, 1), 0xa5, HV_PAGE_SIZE);
    CHECK_EQUAL(w.at[0], 0x5a); /* the old mapping is of the old page */
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 0), 1));
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 1), 1));
    CHECK_EQUAL(depopulate_run(g, 0x100, 1), 1);
    CHECK_EQUAL(charged(g), 1); /* for good */
    CHECK_EQUAL(depopulate_run(g, 0x100, 1), 0);
    window_close(&w);
    return true;
}

static bool extent_over_pages(struct guest *g, const struct fixture *f)
{
    uint64_t gfn = 0x600;

    (void)f;
    CHECK_EQUAL(populate_run(g, 0x700, 3), 3);
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 1, &gfn), 1);
    CHECK_EQUAL(charged(g), EXTENT + 3);
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_2M, 1, &gfn), 1);
    CHECK_EQUAL(charged(g), 3);
    return true;
}

static bool mapping_keeps_page_charged(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(window_open(&w, 2));
    CHECK_OK(OPS(g)->set_max_pages(g->hv, 1));
    CHECK_EQUAL(populate_run(g, 0x100, 1), 1);
    CHECK(map_run(g, &w, 0, 0x100, 1));
    memset(page_at(&w, 0), 0x77, HV_PAGE_SIZE);
    CHECK_EQUAL(depopulate_run(g, 0x100, 1), 1);
    CHECK_EQUAL(map_error(g, 0x100), EINVAL);
    CHECK_EQUAL(charged(g), 1);
    CHECK_EQUAL(w.at[HV_PAGE_SIZE - 1], 0x77);
    CHECK_EQUAL(populate_run(g, 0x100, 1), 0); /* no room for a second */
    CHECK_EQUAL(charged(g), 1);
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 0), 1));
    CHECK_EQUAL(charged(g), 0);
    CHECK_EQUAL(populate_run(g, 0x100, 1), 1);
    window_close(&w);
    return true;
}

/* The p2m has four levels: 36 bits of frame number. What was taken for the page stays taken. */
static bool frame_beyond_the_tables(struct guest *g, const struct fixture *f)
{
    struct hv_info info;

    (void)f;
    CHECK_EQUAL(populate_run(g, 1ull << 36, 1), 0);
    CHECK_EQUAL(charged(g), 1);
    CHECK_EQUAL(populate_run(g, (1ull << 36) - 1, 1), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_pages, 2);
    CHECK_EQUAL(info.nr_gfns, 1ull << 36);
    CHECK_EQUAL(depopulate_run(g, (1ull << 36) - 1, 1), 1);
    return true;
}

static bool pool_is_what_was_set(struct guest *g, const struct fixture *f)
{
    uint64_t bytes;

    (void)f;
    CHECK_OK(OPS(g)->get_paging_pool(g->hv, &bytes));
    CHECK_EQUAL(bytes, g->paging_pool);
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, bytes + HV_PAGE_SIZE));
    CHECK_OK(OPS(g)->get_paging_pool(g->hv, &bytes));
    CHECK_EQUAL(bytes, g->paging_pool + HV_PAGE_SIZE);
    CHECK_FAILS(OPS(g)->set_paging_pool(g->hv, bytes + 1), EINVAL);
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool));
    return true;
}

/* One page every 2 MiB: each wants a table of its own, so the pool's end comes soon. */
static size_t populate_sparsely(struct guest *g, unsigned first, unsigned n)
{
    uint64_t *gfn = calloc(n, sizeof(*gfn));
    size_t done = 0;

    for (unsigned i = 0; gfn && i < n; i++)
        gfn[i] = (uint64_t)(first + i) * EXTENT;
    if (gfn)
        done = OPS(g)->populate(g->hv, HV_ORDER_4K, n, gfn);
    free(gfn);
    return done;
}

static bool pool_runs_out(struct guest *g, const struct fixture *f)
{
    size_t done = populate_sparsely(g, 1, 400);

    (void)f;
    /* 256 pages less what Xen needs for itself. */
    CHECK(done >= 230 && done < 256);
    CHECK_EQUAL(charged(g), done + 1); /* the one without a place stays charged */
    CHECK_EQUAL(populate_sparsely(g, 401, 1), 0);
    CHECK_EQUAL(charged(g), done + 2);
    CHECK_EQUAL(populate_run(g, EXTENT + 1, 5), 5); /* where there is a table it goes on */
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool + 10 * HV_PAGE_SIZE));
    CHECK_EQUAL(populate_sparsely(g, 401, 20), 10);
    CHECK_EQUAL(charged(g), done + 2 + 5 + 10 + 1);
    return true;
}

static bool extents_need_few_tables(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[20];

    (void)f;
    for (unsigned i = 0; i < 20; i++)
        gfn[i] = i * EXTENT;
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, 20 * HV_PAGE_SIZE));
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 20, gfn), 20);
    return true;
}

/* Breaking a 2 MiB page into small ones takes a table. */
static bool no_table_to_break_an_extent(struct guest *g, const struct fixture *f)
{
    uint64_t extent = 0x40000;
    size_t done = populate_sparsely(g, 1, 400);

    (void)f;
    CHECK_OK(
        OPS(g)->set_paging_pool(g->hv, g->paging_pool + HV_PAGE_SIZE)); /* for the level above */
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 1, &extent), 1);
    CHECK_EQUAL(depopulate_run(g, extent + 5, 1), 0);
    CHECK_EQUAL(charged(g), done + 1 + EXTENT);
    CHECK_EQUAL(map_error(g, extent + 5), 0);
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_2M, 1, &extent), 0);
    return true;
}

const struct conformance_case ram_cases[] = {
    {"a fresh guest has no pages", fresh_guest_has_nothing, {0}},
    {"a populated page is charged and can be mapped", page_is_charged_and_mappable, {0}},
    {"nothing asked, nothing done", nothing_asked_nothing_done, {0}},
    {"an extent of order 9 is 512 pages, which go singly", extent_is_512_pages, {0}},
    {"depopulate stops at the first hole", depopulate_stops_at_hole, {0}},
    {"depopulate leaves an extent with a hole half done", depopulate_of_broken_extent, {0}},
    {"limit of 1 page", limit_1, {0}},
    {"limit of 511 pages", limit_511, {0}},
    {"limit of 512 pages", limit_512, {0}},
    {"limit of 513 pages", limit_513, {0}},
    {"a limit below what the guest has", limit_below_what_it_has, {0}},
    {"the limit is cut at 32 bits", limit_is_cut_at_32_bits, {0}},
    {"populating over a page succeeds and leaks it", overwrite_is_silent_and_leaks, {0}},
    {"populating an extent over pages leaks them", extent_over_pages, {0}},
    {"a mapping keeps its page charged", mapping_keeps_page_charged, {0}},
    {"no page beyond the tables' reach", frame_beyond_the_tables, {0}},
    {"the paging pool is what was set, in whole pages", pool_is_what_was_set, {0}},
    {"the paging pool runs out", pool_runs_out, {.paging_pool = 256 * HV_PAGE_SIZE}},
    {"extents need few tables", extents_need_few_tables, {0}},
    {"no table left to break an extent",
     no_table_to_break_an_extent,
     {.paging_pool = 256 * HV_PAGE_SIZE}},
    {NULL, NULL, {0}},
};
