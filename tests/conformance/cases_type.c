/* SPDX-License-Identifier: BSD-2-Clause */
/* set_ram_type: what the guest may do with its pages. */
#include "tests/conformance/device.h"

enum { EXTENT = 1 << HV_ORDER_2M, AWAY = 0x9000, FIRST = 0x20, ADDR = FIRST * HV_PAGE_SIZE };

static int read_only(struct guest *g, uint64_t gfn, size_t n)
{
    return OPS(g)->set_ram_type(g->hv, true, n, gfn);
}

static int writable_again(struct guest *g, uint64_t gfn, size_t n)
{
    return OPS(g)->set_ram_type(g->hv, false, n, gfn);
}

/* A guest's server, which shall not be asked, and n zeroed pages with a mapping. */
struct scene {
    struct device d;
    struct window w;
};

static bool scene_open(struct scene *s, struct guest *g, size_t n)
{
    CHECK(device_open(&s->d, g) && window_open(&s->w, n));
    CHECK_EQUAL(populate_run(g, FIRST, n), n);
    CHECK(map_run(g, &s->w, 0, FIRST, n));
    memset(s->w.at, 0, n * HV_PAGE_SIZE);
    return true;
}

static bool scene_close(struct scene *s)
{
    CHECK_OK(ops(&s->d)->unmap(s->d.g->hv, s->w.at, s->w.pages));
    window_close(&s->w);
    return device_close(&s->d);
}

/* The vCPU writes at an offset of the pages; no server hears of it; what is there afterwards. */
static bool write_gives(struct scene *s, const struct fixture *f, uint32_t offset, unsigned size,
                        uint32_t value, uint32_t after)
{
    struct seen seen;
    uint32_t got = 0;

    CHECK(watch(&s->d, f, put(HV_RANGE_MEMORY, ADDR + offset, size, value), 0, &seen));
    CHECK_EQUAL(seen.requests, 0);
    memcpy(&got, s->w.at + offset, size);
    CHECK_EQUAL(got, after);
    return true;
}

static bool read_gives(struct scene *s, const struct fixture *f, uint32_t offset, uint32_t value)
{
    struct seen seen;

    CHECK(watch(&s->d, f, get(HV_RANGE_MEMORY, ADDR + offset, 4), 0, &seen));
    CHECK_EQUAL(seen.requests, 0);
    CHECK_EQUAL(seen.value, value);
    return true;
}

static bool guest_reads_only(struct guest *g, const struct fixture *f)
{
    struct window again;
    struct scene s;

    CHECK(scene_open(&s, g, 3) && window_open(&again, 1));
    for (unsigned round = 0; round < 2; round++) { /* the second time with a range over it */
        memset(s.w.at, 0, 3 * HV_PAGE_SIZE);
        CHECK_OK(read_only(g, FIRST + 1, 1));
        for (unsigned size = 1; size <= 4; size *= 2)
            CHECK(write_gives(&s, f, HV_PAGE_SIZE + 8 * size, size, 0x11, 0));
        CHECK(write_gives(&s, f, HV_PAGE_SIZE - 4, 4, 5, 5));
        CHECK(write_gives(&s, f, 2 * HV_PAGE_SIZE, 4, 6, 6));
        /* Both mappings of ours, the one from before, too. */
        s.w.at[HV_PAGE_SIZE] = 0x77;
        CHECK(map_run(g, &again, 0, FIRST + 1, 1));
        again.at[1] = 0x66;
        CHECK_OK(OPS(g)->unmap(g->hv, again.at, 1));
        CHECK(read_gives(&s, f, HV_PAGE_SIZE, 0x6677));
        CHECK_OK(read_only(g, FIRST + 1, 1));
        CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 1, 0x6677));
        CHECK_OK(writable_again(g, FIRST, 3));
        CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 1, 1));
        if (round == 0)
            CHECK(claim(&s.d, HV_RANGE_MEMORY, ADDR, ADDR + 3 * HV_PAGE_SIZE - 1));
    }
    window_close(&again);
    return scene_close(&s);
}

/* A write over two pages, one of them read-only: nothing of it is done, unless a device comes first. */
static bool write_over_two_pages(struct guest *g, const struct fixture *f)
{
    const uint32_t end = 3 * HV_PAGE_SIZE;
    struct seen seen;
    struct scene s;

    CHECK(scene_open(&s, g, 3));
    CHECK_OK(read_only(g, FIRST + 1, 1));
    CHECK(write_gives(&s, f, HV_PAGE_SIZE - 2, 4, 0x12345678, 0));
    CHECK(write_gives(&s, f, 2 * HV_PAGE_SIZE - 2, 4, 0x12345678, 0));
    CHECK_OK(read_only(g, FIRST, 3));
    CHECK(claim(&s.d, HV_RANGE_MEMORY, ADDR + end, ADDR + end + 7));
    CHECK(claim(&s.d, HV_RANGE_MEMORY, ADDR - 8, ADDR - 1));
    CHECK(watch(&s.d, f, put(HV_RANGE_MEMORY, ADDR + end - 2, 4, 0x12345678), 0, &seen));
    CHECK_EQUAL(seen.requests, 0);
    CHECK_OK(f->start(g, 0, &(struct access){HV_RANGE_MEMORY, true, 4, ADDR - 2, 0x12345678}));
    CHECK(asked(&s.d, 0) && matches(&s.d, 0, put(HV_RANGE_MEMORY, ADDR - 2, 2, 0x5678)));
    CHECK(answer(&s.d, 0, 0));
    CHECK_OK(f->wait(g, 0, SOON, &seen.value));
    CHECK(s.w.at[0] == 0 && s.w.at[1] == 0);
    return scene_close(&s);
}

static bool moving_forgets_it(struct guest *g, const struct fixture *f)
{
    struct scene s;

    CHECK(scene_open(&s, g, 3));
    CHECK_OK(read_only(g, FIRST, 3));
    CHECK_OK(OPS(g)->relocate(g->hv, 1, FIRST, AWAY));
    CHECK_OK(OPS(g)->relocate(g->hv, 1, AWAY, FIRST));
    CHECK(write_gives(&s, f, 0, 4, 7, 7));
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 7, 0));
    CHECK_OK(OPS(g)->relocate(g->hv, 1, FIRST + 1, FIRST + 1)); /* onto itself */
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 7, 7));
    CHECK(write_gives(&s, f, 2 * HV_PAGE_SIZE, 4, 7, 0));
    /* At the target nothing is read-only either, whatever was there. */
    CHECK_OK(OPS(g)->relocate(g->hv, 1, FIRST, FIRST + 2));
    CHECK(
        watch(&s.d, f, put(HV_RANGE_MEMORY, ADDR + 2 * HV_PAGE_SIZE, 4, 8), 0, &(struct seen){0}));
    CHECK_EQUAL(s.w.at[0], 8);
    return scene_close(&s);
}

static bool giving_back_forgets_it(struct guest *g, const struct fixture *f)
{
    struct scene s;

    CHECK(scene_open(&s, g, 1));
    CHECK_OK(read_only(g, FIRST, 1));
    CHECK_OK(OPS(g)->unmap(g->hv, s.w.at, 1));
    CHECK_EQUAL(depopulate_run(g, FIRST, 1), 1);
    CHECK_EQUAL(charged(g), DRIVEN_PAGES);
    CHECK_EQUAL(populate_run(g, FIRST, 1), 1);
    CHECK(map_run(g, &s.w, 0, FIRST, 1));
    memset(s.w.at, 0, HV_PAGE_SIZE);
    CHECK(write_gives(&s, f, 0, 4, 9, 9));
    return scene_close(&s);
}

static bool sends_no_invalidate(struct guest *g, const struct fixture *f)
{
    struct seen seen;
    struct scene s;

    CHECK(scene_open(&s, g, 3));
    for (unsigned i = 0; i < 10; i++) {
        CHECK_OK(i % 2 ? writable_again(g, FIRST, 3) : read_only(g, FIRST, 3));
        CHECK(watch(&s.d, f, get(HV_RANGE_PORT, 0x600, 4), 0, &seen));
        CHECK_EQUAL(seen.invalidates, 0);
    }
    CHECK(silent(&s.d));
    return scene_close(&s);
}

static bool hole_among_them(struct guest *g, const struct fixture *f)
{
    struct scene s;

    CHECK(scene_open(&s, g, 4));
    CHECK_FAILS(read_only(g, FIRST - 1, 1), EINVAL);
    CHECK_FAILS(read_only(g, FIRST - 1, 2), EINVAL);
    CHECK(write_gives(&s, f, 0, 4, 1, 1));
    CHECK_OK(OPS(g)->unmap(g->hv, s.w.at, 4));
    CHECK_EQUAL(depopulate_run(g, FIRST + 2, 1), 1);
    CHECK(map_run(g, &s.w, 0, FIRST, 2) && map_run(g, &s.w, 3, FIRST + 3, 1));
    CHECK_FAILS(read_only(g, FIRST, 4), EINVAL);
    CHECK(write_gives(&s, f, 0, 4, 2, 1)); /* those before the hole are done */
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 2, 0));
    CHECK(write_gives(&s, f, 3 * HV_PAGE_SIZE, 4, 2, 2));
    CHECK_FAILS(writable_again(g, FIRST, 4), EINVAL);
    CHECK(write_gives(&s, f, 0, 4, 3, 3));
    return scene_close(&s);
}

static bool beyond_the_topmost(struct guest *g, const struct fixture *f)
{
    struct scene s;

    CHECK(scene_open(&s, g, 2));
    CHECK_FAILS(read_only(g, FIRST, 0), EINVAL);
    CHECK_FAILS(read_only(g, 0, 0), EINVAL);
    CHECK_FAILS(read_only(g, FIRST, 3), EINVAL);
    CHECK_FAILS(read_only(g, FIRST, 1ull << 32), EINVAL);
    CHECK_FAILS(read_only(g, FIRST, (1ull << 32) + 1), EINVAL);
    CHECK_FAILS(read_only(g, UINT64_MAX, 1), EINVAL);
    CHECK_FAILS(read_only(g, UINT64_MAX, 0x1000), EINVAL);
    CHECK(write_gives(&s, f, 0, 4, 1, 1)); /* nothing was done */
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 1, 1));
    CHECK_OK(read_only(g, FIRST, 2)); /* the topmost itself */
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 2, 1));
    return scene_close(&s);
}

/* One page of an extent, and a run over two. */
static bool extents_break_up(struct guest *g, const struct fixture *f)
{
    uint64_t extent[2] = {0x400, 0x600};
    struct seen seen;
    struct scene s;

    CHECK(scene_open(&s, g, 1));
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 2, extent), 2);
    CHECK_OK(read_only(g, 0x480, 600));
    for (unsigned i = 0; i < 4; i++) {
        static const uint32_t gfn[4] = {0x47f, 0x480, 0x480 + 599, 0x480 + 600};
        struct access a = put(HV_RANGE_MEMORY, gfn[i] * HV_PAGE_SIZE, 4, 0x3c3c0000 + i);

        CHECK(watch(&s.d, f, a, 0, &seen));
        CHECK(watch(&s.d, f, get(a.type, a.addr, 4), 0, &seen));
        CHECK((seen.value == a.value) == (i == 0 || i == 3));
    }
    CHECK_EQUAL(charged(g), DRIVEN_PAGES + 1 + 2 * EXTENT);
    CHECK_EQUAL(depopulate_run(g, 0x47f, 3), 3); /* read-only ones, too */
    CHECK_EQUAL(map_error(g, 0x482), 0);
    return scene_close(&s);
}

static bool no_table_to_break_an_extent(struct guest *g, const struct fixture *f)
{
    uint64_t gfn = EXTENT, extent = 0x40000;

    (void)f;
    while (OPS(g)->populate(g->hv, HV_ORDER_4K, 1, &gfn) == 1)
        gfn += EXTENT;
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool + HV_PAGE_SIZE));
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 1, &extent), 1);
    CHECK_FAILS(read_only(g, extent + 5, 1), ENOMEM);
    CHECK_FAILS(writable_again(g, extent + 5, 1), ENOMEM);
    CHECK_OK(read_only(g, EXTENT, 1));
    CHECK_OK(OPS(g)->set_paging_pool(g->hv, g->paging_pool + 2 * HV_PAGE_SIZE));
    CHECK_OK(read_only(g, extent + 5, 1));
    CHECK_EQUAL(map_error(g, extent + 5), 0);
    return true;
}

static bool log_and_read_only_pages(struct guest *g, const struct fixture *f)
{
    struct scene s;

    CHECK(scene_open(&s, g, 2));
    CHECK_OK(read_only(g, FIRST, 1));
    CHECK_OK(f->log(g, true));
    CHECK(write_gives(&s, f, 0, 4, 5, 0)); /* still */
    CHECK_OK(read_only(g, FIRST + 1, 1));
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 5, 0));
    CHECK(!f->logged(g, FIRST) && !f->logged(g, FIRST + 1));
    CHECK_OK(writable_again(g, FIRST, 1));
    CHECK(write_gives(&s, f, 0, 4, 5, 5));
    CHECK(!f->logged(g, FIRST)); /* missed */
    CHECK_OK(OPS(g)->modified(g->hv, 1, &(struct hv_extent){.gfn = FIRST, .n = 1}));
    CHECK(f->logged(g, FIRST));
    CHECK_OK(f->log(g, false));
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 5, 0));
    CHECK_OK(writable_again(g, FIRST, 2));
    CHECK(write_gives(&s, f, HV_PAGE_SIZE, 4, 5, 5));
    return scene_close(&s);
}

#define RUNNING                                                                                    \
    {                                                                                              \
        .running = true                                                                            \
    }

const struct conformance_case type_cases[] = {
    {"a guest can't write a read-only page", guest_reads_only, RUNNING},
    {"a write over two pages, one read-only", write_over_two_pages, RUNNING},
    {"a page that moves is writable", moving_forgets_it, RUNNING},
    {"a page in a read-only one's place is writable", giving_back_forgets_it, RUNNING},
    {"a page's type sends no INVALIDATE", sends_no_invalidate, RUNNING},
    {"a hole among pages whose type is set", hole_among_them, RUNNING},
    {"no type above the topmost frame", beyond_the_topmost, RUNNING},
    {"setting the type of pages of extents", extents_break_up, RUNNING},
    {"no table left to set the type of a page of an extent",
     no_table_to_break_an_extent,
     {.paging_pool = 256 * HV_PAGE_SIZE}},
    {"read-only pages and the log of dirty pages", log_and_read_only_pages, RUNNING},
    {NULL, NULL, {0}},
};
