/* SPDX-License-Identifier: BSD-2-Clause */
/* Registering when something runs out half-way: the guest's limit, its paging pool, the host's
 * memory. What failed has changed nothing. */
#include "ram/ram.h"
#include "tests/conformance/guest_ram.h"

/* Pages of a registration. Their first 2 MiB extent ends in the middle of it. */
enum { PAGES = 3 * EXTENT_PAGES };

/* Where something runs out, from 1 on: at an extent's borders, in the middle, at the very end. */
static const uint64_t run_out_at[] = {1,
                                      2,
                                      EXTENT_PAGES - 1,
                                      EXTENT_PAGES,
                                      EXTENT_PAGES + 1,
                                      2 * EXTENT_PAGES - 7,
                                      2 * EXTENT_PAGES,
                                      2 * EXTENT_PAGES + 1,
                                      PAGES - 1,
                                      PAGES};

/* Registering fails so, here and across extents' borders, and changes nothing. */
static bool runs_out(struct guest *g, uint64_t n, int error)
{
    static const uint64_t start[] = {MEM, MEM + PAGE, MEM + MIB2 - 7 * PAGE};
    struct view before;

    CHECK(view_take(g, &before, MEM, 4 * EXTENT_PAGES));
    for (size_t i = 0; i < sizeof(start) / sizeof(start[0]); i++) {
        int rc = register_ram(g, start[i], PAGES * PAGE);

        if (rc != error)
            return COMPLAIN("at page %lu from %#lx: %s, not %s", n, start[i], rc_text(rc),
                            rc_text(error));
        if (!view_unchanged(g, &before))
            return COMPLAIN("at page %lu from %#lx", n, start[i]);
    }
    CHECK_NONE(vm_ram_register(g->gsp, PAGES * PAGE), error);
    CHECK_RC(register_untyped(g, MEM, PAGES * PAGE), error);
    CHECK_NONE(vm_ram_allocate(g->gsp, 1), ENOMEM);
    return view_unchanged(g, &before);
}

static bool there_is_enough(struct guest *g)
{
    struct view before;

    CHECK(view_take(g, &before, MEM, 4 * EXTENT_PAGES));
    CHECK_RC(register_ram(g, MEM, PAGES * PAGE), 0);
    CHECK(is_zero(g, MEM, PAGES * PAGE));
    CHECK_RC(unregister_ram(g, MEM, PAGES * PAGE), 0);
    return view_unchanged(g, &before);
}

/* ---- the guest's limit ---- */

/* Registering raises it by as much as it needs. Not so where somebody has lowered it below what the
 * guest has: `xl mem-set` does. */
static bool the_guests_limit(struct guest *g, const struct fixture *f)
{
    (void)f;
    for (size_t i = 0; i < sizeof(run_out_at) / sizeof(run_out_at[0]); i++) {
        uint64_t n = run_out_at[i], missing = PAGES - (n - 1), own = charged(g);

        if (missing > own) { /* it must have that many to begin with */
            CHECK_EQUAL(populate_run(g, 0x20000, missing), missing);
            own = charged(g);
        }
        CHECK_OK(OPS(g)->set_max_pages(g->hv, own - missing));
        CHECK(runs_out(g, n, EDQUOT));
        CHECK_OK(OPS(g)->set_max_pages(g->hv, own));
        CHECK(there_is_enough(g));
    }
    return true;
}

/* ---- the paging pool ---- */

/*
 * Whoever registers brings all the tables that it may take: one for each 2 MiB, GiB and 512 GiB
 * that is begun. So the pool never runs out half-way, where Xen would keep a page that has no place. The
 * pool before is as small as Xen lets it be.
 */
static bool the_paging_pool(struct guest *g, const struct fixture *f)
{
    const uint64_t gib = UINT64_C(1) << 30;
    const struct {
        uint64_t start, pages;
    } rows[] = {
        {2 * gib, 1},
        {4 * gib - PAGE, 2},        /* in two GiB */
        {6 * gib - PAGE, 514},      /* and an extent between them */
        {8 * gib - MIB2, 1024},     /* extents alone */
        {10 * gib + PAGE, 3 * 512}, /* extents between pages */
        {RAM_SPACE - PAGE, 1},
    };

    (void)f;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t bytes = rows[i].pages * PAGE, own = charged(g);

        OPS(g)->set_paging_pool(g->hv, 0);
        if (register_ram(g, rows[i].start, bytes) != 0)
            return COMPLAIN("row %zu: %s", i, strerror(errno));
        CHECK_EQUAL(charged(g), own + rows[i].pages);
        CHECK(is_zero(g, rows[i].start, bytes));
        CHECK_RC(unregister_ram(g, rows[i].start, bytes), 0);
        CHECK_EQUAL(charged(g), own);
    }
    return true;
}

/* To take a page out of a 2 MiB extent, Xen breaks it up, which takes a table. */
static bool the_paging_pool_of_extents(struct guest *g, const struct fixture *f)
{
    uint64_t own = charged(g);

    (void)f;
    CHECK_RC(register_ram(g, MEM, 3 * MIB2), 0);
    CHECK(fill(g, MEM, 3 * MIB2, 1));
    for (uint64_t i = 0; i < 3; i++) {
        OPS(g)->set_paging_pool(g->hv, 0);
        CHECK_RC(unregister_ram(g, MEM + i * MIB2 + 7 * PAGE, PAGE), 0);
        CHECK(!has_page(g, MEM + i * MIB2 + 7 * PAGE));
    }
    CHECK_EQUAL(charged(g), own + 3 * (EXTENT_PAGES - 1));
    CHECK_RC(unregister_ram(g, MEM, 7 * PAGE), 0);
    CHECK(is_filled(g, MEM + 8 * PAGE, MIB2 - PAGE, 1));
    CHECK_RC(register_ram(g, MEM + 7 * PAGE, PAGE), 0);
    return is_zero(g, MEM + 7 * PAGE, PAGE);
}

/* ---- the host's memory ---- */

enum {
    HOST_MIB_AT_MOST = 8192, /* of a larger host no test takes all memory */
    EATEN = 0x100000,        /* frames that the guest gets behind our back */
};

struct eater {
    struct guest *g;
    const struct fixture *f;
    uint64_t next; /* frame */
};

/* Leaves so many pages of the host free. */
static bool eat(struct eater *e, uint64_t leave)
{
    uint64_t left;

    while ((left = e->f->host_free(e->g)) > leave) {
        bool large = left - leave >= EXTENT_PAGES && e->next % EXTENT_PAGES == 0;

        if (large && OPS(e->g)->populate(e->g->hv, HV_ORDER_2M, 1, &e->next) == 1) {
            e->next += EXTENT_PAGES;
        } else {
            CHECK_EQUAL(populate_run(e->g, e->next, 1), 1);
            e->next++;
        }
    }
    CHECK_EQUAL(left, leave);
    return true;
}

static bool may_eat(struct eater *e, struct guest *g, const struct fixture *f)
{
    uint64_t host = f->host_free(g);

    *e = (struct eater){.g = g, .f = f, .next = EATEN};
    return host <= (uint64_t)HOST_MIB_AT_MOST * MIB / PAGE &&
           OPS(g)->set_max_pages(g->hv, charged(g) + host + PAGES) == 0;
}

/* It fails, but keeps what it got: whoever raises the pool must put it back. */
static bool a_pool_takes_what_there_is(struct guest *g, const struct fixture *f)
{
    struct eater e;
    uint64_t bytes;

    if (!may_eat(&e, g, f))
        SKIP("the host has more memory than a test should take");
    CHECK(eat(&e, 3));
    CHECK_FAILS(OPS(g)->set_paging_pool(g->hv, g->paging_pool + 10 * PAGE), ENOMEM);
    CHECK_OK(OPS(g)->get_paging_pool(g->hv, &bytes));
    CHECK_EQUAL(bytes, g->paging_pool + 3 * PAGE);
    CHECK_EQUAL(f->host_free(g), 0);
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool));
    CHECK_EQUAL(f->host_free(g), 3);
    return true;
}

/* Pages that registering so many adds to the paging pool. */
static uint64_t pool_for(uint64_t pages)
{
    return ram_pool_for((struct range){MEM, MEM + pages * PAGE - 1}) / PAGE;
}

/* Of the host's memory registering takes what it adds to the paging pool, then the pages. */
static bool the_hosts_memory(struct guest *g, const struct fixture *f)
{
    const uint64_t pool = pool_for(PAGES);
    struct eater e;

    if (!may_eat(&e, g, f))
        SKIP("the host has more memory than a test should take");
    CHECK(eat(&e, pool + PAGES));
    CHECK(there_is_enough(g));
    for (size_t i = sizeof(run_out_at) / sizeof(run_out_at[0]); i > 0; i--) {
        CHECK(eat(&e, pool + run_out_at[i - 1] - 1));
        CHECK(runs_out(g, run_out_at[i - 1], ENOMEM));
    }
    CHECK(eat(&e, pool - 1));
    CHECK(runs_out(g, 0, ENOMEM));
    CHECK(eat(&e, 0));
    CHECK(runs_out(g, 0, ENOMEM));
    CHECK_EQUAL(f->host_free(g), 0);
    return true;
}

static bool more_than_the_host_has(struct guest *g, const struct fixture *f)
{
    uint64_t host = f->host_free(g);
    struct view before;
    struct eater e;

    if (!may_eat(&e, g, f))
        SKIP("the host has more memory than a test should take");
    CHECK(view_take(g, &before, MEM, 1));
    CHECK_RC(register_ram(g, UINT64_C(1) << 32, host * PAGE), ENOMEM);
    CHECK(view_unchanged(g, &before));
    CHECK_RC(register_ram(g, UINT64_C(1) << 32, RAM_SPACE / 2), ENOMEM);
    CHECK(view_unchanged(g, &before));
    return there_is_enough(g);
}

/* Enough of it, but in single pages: as such it is taken, unless only whole extents will do. */
static bool no_whole_extent(struct guest *g, const struct fixture *f)
{
    const uint64_t pool = pool_for(EXTENT_PAGES);
    uint64_t gfn[EXTENT_PAGES];
    struct view before;
    struct eater e;

    if (!may_eat(&e, g, f))
        SKIP("the host has more memory than a test should take");
    CHECK(eat(&e, pool));
    for (unsigned i = 0; i < EXTENT_PAGES; i++)
        gfn[i] = EATEN + 2 * i;
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_4K, EXTENT_PAGES, gfn), EXTENT_PAGES);
    CHECK_EQUAL(f->host_free(g), pool + EXTENT_PAGES);
    CHECK(view_take(g, &before, MEM, EXTENT_PAGES));
    CHECK_RC(register_untyped(g, MEM, MIB2), ENOMEM);
    CHECK(view_unchanged(g, &before));
    CHECK_RC(register_ram(g, MEM, MIB2), 0);
    CHECK(is_zero(g, MEM, MIB2));
    CHECK_EQUAL(f->host_free(g), 0);
    CHECK_RC(unregister_ram(g, MEM, MIB2), 0);
    return view_unchanged(g, &before);
}

/* Half an extent at its end: a simulated paging pool takes memory, but none in particular. */
#define SMALL_HOST WITH_RAM, .host_pages = 16384 + EXTENT_PAGES / 2

const struct conformance_case guest_limit_cases[] = {
    {"the guest's limit runs out", the_guests_limit, {WITH_RAM}},
    {"the paging pool doesn't run out", the_paging_pool, {WITH_RAM}},
    {"RAM is given back whatever the paging pool", the_paging_pool_of_extents, {WITH_RAM}},
    {"a paging pool takes what there is", a_pool_takes_what_there_is, {SMALL_HOST}},
    {"the host's memory runs out", the_hosts_memory, {SMALL_HOST}},
    {"more than the host has", more_than_the_host_has, {SMALL_HOST}},
    {"the host has no whole extent left", no_whole_extent, {SMALL_HOST}},
    {NULL, NULL, {0}},
};
