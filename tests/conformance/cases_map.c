/* SPDX-License-Identifier: BSD-2-Clause */
/* Mapping the guest's pages. */
#include "tests/conformance/conformance.h"

static bool mappings_show_the_same_page(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(window_open(&w, 1024));
    CHECK_EQUAL(populate_run(g, 0, 512), 512);
    CHECK(map_run(g, &w, 0, 0, 512));
    CHECK(map_run(g, &w, 512, 0, 512));
    for (unsigned i = 0; i < 512; i++)
        memset(page_at(&w, i), i & 0xff, HV_PAGE_SIZE);
    for (unsigned i = 0; i < 512; i++)
        CHECK_EQUAL(page_at(&w, 512 + i)[i], i & 0xff);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 512));
    CHECK(!readable(w.at));
    CHECK_EQUAL(page_at(&w, 1023)[7], 0xff);
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 512), 512));
    CHECK(map_run(g, &w, 3, 0x1f0, 16));
    CHECK_EQUAL(page_at(&w, 3)[0], 0xf0);
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 3), 16));
    window_close(&w);
    return true;
}

static bool frames_in_any_order(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[4] = {0x300, 0x100, 0x300, 0x101};
    int err[4] = {-1, -1, -1, -1};
    volatile uint8_t *byte;
    struct window w;

    (void)f;
    CHECK(window_open(&w, 4));
    byte = w.at;
    CHECK_EQUAL(populate_run(g, 0x100, 2), 2);
    CHECK_EQUAL(populate_run(g, 0x300, 1), 1);
    CHECK_OK(OPS(g)->map(g->hv, w.at, RW, 4, gfn, err));
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQUAL(err[i], 0);
    for (unsigned i = 0; i < 4; i++)
        byte[i * HV_PAGE_SIZE] = 10 + i;
    CHECK_EQUAL(byte[0], 12); /* the same as page 2 */
    CHECK_EQUAL(byte[HV_PAGE_SIZE], 11);
    CHECK_EQUAL(byte[3 * HV_PAGE_SIZE], 13);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 4));
    window_close(&w);
    return true;
}

static bool holes_are_told_page_by_page(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[6] = {0x50, 0x51, 0xfee00, 1ull << 40, 0x52, (1ull << 52) - 1};
    int err[6] = {-1, -1, -1, -1, -1, -1};
    struct window w;

    (void)f;
    CHECK(window_open(&w, 6));
    CHECK_EQUAL(populate_run(g, 0x50, 1), 1);
    CHECK_EQUAL(populate_run(g, 0x52, 1), 1);
    CHECK_OK(OPS(g)->map(g->hv, w.at, RW, 6, gfn, err));
    CHECK_EQUAL(err[0], 0);
    CHECK_EQUAL(err[1], EINVAL);
    CHECK_EQUAL(err[2], EINVAL);
    CHECK_EQUAL(err[3], EINVAL);
    CHECK_EQUAL(err[4], 0);
    CHECK_EQUAL(err[5], EINVAL);
    CHECK(writable(page_at(&w, 0)));
    CHECK(!readable(page_at(&w, 1)));
    CHECK(!readable(page_at(&w, 2)));
    CHECK(!readable(page_at(&w, 3)));
    CHECK(writable(page_at(&w, 4)));
    CHECK(!readable(page_at(&w, 5)));
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 6));
    window_close(&w);
    return true;
}

static bool only_holes(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[2] = {0x50, 0x51};
    int err[2] = {-1, -1};
    struct window w;

    (void)f;
    CHECK(window_open(&w, 2));
    CHECK_OK(OPS(g)->map(g->hv, w.at, RW, 2, gfn, err));
    CHECK_EQUAL(err[0], EINVAL);
    CHECK_EQUAL(err[1], EINVAL);
    CHECK(!readable(w.at));
    /* Pages that come later don't show up by themselves. */
    CHECK_EQUAL(populate_run(g, 0x50, 2), 2);
    CHECK(!readable(w.at));
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 2));
    CHECK(map_run(g, &w, 0, 0x50, 2));
    CHECK(writable(page_at(&w, 1)));
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 2));
    window_close(&w);
    return true;
}

static bool no_pages_no_mapping(struct guest *g, const struct fixture *f)
{
    uint64_t gfn = 0;
    int err = 0;
    struct window w;

    (void)f;
    CHECK(window_open(&w, 1));
    CHECK_FAILS(OPS(g)->map(g->hv, w.at, RW, 0, &gfn, &err), EINVAL);
    CHECK(!readable(w.at));
    CHECK_FAILS(OPS(g)->map(g->hv, w.at + 1, RW, 1, &gfn, &err), EINVAL);
    CHECK(!readable(w.at));
    window_close(&w);
    return true;
}

static bool read_only(struct guest *g, const struct fixture *f)
{
    uint64_t gfn = 0x50;
    int err = -1;
    struct window w;

    (void)f;
    CHECK(window_open(&w, 2));
    CHECK_EQUAL(populate_run(g, gfn, 1), 1);
    CHECK(map_run(g, &w, 1, gfn, 1));
    page_at(&w, 1)[0] = 0x42;
    CHECK_OK(OPS(g)->map(g->hv, w.at, PROT_READ, 1, &gfn, &err));
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(w.at[0], 0x42);
    CHECK(!writable(w.at));
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 1), 1));
    window_close(&w);
    return true;
}

/* EINVAL or ENOMEM: which of them depends on the kernel. */
static bool refused(int rc)
{
    return rc < 0 && (errno == EINVAL || errno == ENOMEM);
}

static bool no_part_is_replaced(struct guest *g, const struct fixture *f)
{
    uint64_t gfn[4] = {0x80, 0x81, 0x82, 0x83};
    int err[4];
    struct window w;

    (void)f;
    CHECK(window_open(&w, 12));
    CHECK_EQUAL(populate_run(g, 0x80, 8), 8);
    CHECK(map_run(g, &w, 4, 0x84, 4));
    for (unsigned i = 4; i < 8; i++)
        memset(page_at(&w, i), i, HV_PAGE_SIZE);
    CHECK(refused(OPS(g)->map(g->hv, page_at(&w, 5), RW, 1, gfn, err)));
    CHECK(refused(OPS(g)->map(g->hv, page_at(&w, 4), RW, 3, gfn, err)));
    CHECK(refused(OPS(g)->map(g->hv, page_at(&w, 5), RW, 3, gfn, err)));
    CHECK(refused(OPS(g)->map(g->hv, page_at(&w, 1), RW, 4, gfn, err)));
    CHECK(refused(OPS(g)->map(g->hv, page_at(&w, 7), RW, 2, gfn, err)));
    CHECK(refused(OPS(g)->unmap(g->hv, page_at(&w, 4), 1)));
    CHECK(refused(OPS(g)->unmap(g->hv, page_at(&w, 7), 1)));
    CHECK(refused(OPS(g)->unmap(g->hv, page_at(&w, 7), 2)));
    for (unsigned i = 4; i < 8; i++)
        CHECK_EQUAL(*page_at(&w, i), i);
    CHECK(!readable(page_at(&w, 3)));
    CHECK(!readable(page_at(&w, 8)));
    CHECK_OK(OPS(g)->unmap(g->hv, page_at(&w, 4), 4));
    CHECK(!readable(page_at(&w, 4)));
    window_close(&w);
    return true;
}

static bool wholes_are_replaced(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(window_open(&w, 12));
    CHECK_EQUAL(populate_run(g, 0x80, 16), 16);
    CHECK(map_run(g, &w, 2, 0x80, 4));
    CHECK(map_run(g, &w, 6, 0x84, 4));
    CHECK(map_run(g, &w, 10, 0x88, 1));
    for (unsigned i = 2; i < 11; i++)
        memset(page_at(&w, i), i, HV_PAGE_SIZE);
    CHECK(map_run(g, &w, 2, 0x81, 4)); /* one for one */
    CHECK_EQUAL(*page_at(&w, 2), 3);
    CHECK_EQUAL(*page_at(&w, 5), 6);
    CHECK_EQUAL(*page_at(&w, 6), 6);
    CHECK(map_run(g, &w, 1, 0x80, 9)); /* one for two and what lies before them */
    CHECK_EQUAL(*page_at(&w, 1), 2);
    CHECK_EQUAL(*page_at(&w, 9), 10);
    CHECK_EQUAL(*page_at(&w, 10), 10);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 12)); /* two, and what lies around them */
    CHECK(!readable(page_at(&w, 1)));
    CHECK(!readable(page_at(&w, 10)));
    window_close(&w);
    return true;
}

static bool replacing_frees_the_old_page(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(window_open(&w, 1));
    CHECK_EQUAL(populate_run(g, 0x80, 2), 2);
    CHECK(map_run(g, &w, 0, 0x80, 1));
    CHECK_EQUAL(depopulate_run(g, 0x80, 1), 1);
    CHECK_EQUAL(charged(g), 2);
    CHECK(map_run(g, &w, 0, 0x81, 1));
    CHECK_EQUAL(charged(g), 1);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    window_close(&w);
    return true;
}

static bool unmapping_nothing(struct guest *g, const struct fixture *f)
{
    struct window w;

    (void)f;
    CHECK(window_open(&w, 4));
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 4));
    CHECK(!readable(w.at));
    window_close(&w);
    return true;
}

static int tell(struct guest *g, uint64_t gfn, uint32_t n)
{
    return OPS(g)->modified(g->hv, 1, &(struct hv_extent){.gfn = gfn, .n = n});
}

static bool writes_can_be_told(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_EQUAL(populate_run(g, 0, 4), 4);
    CHECK_EQUAL(OPS(g)->logging(g->hv), 0);
    CHECK_OK(tell(g, 0, 4));
    /* As long as nobody tracks them Xen doesn't even look. */
    CHECK_OK(tell(g, 1ull << 40, 1));
    CHECK_OK(tell(g, 0, 0));
    CHECK_OK(tell(g, 0, UINT32_MAX));
    return true;
}

static bool writes_are_logged(struct guest *g, const struct fixture *f)
{
    struct hv_extent many[300];
    struct window w;

    CHECK(window_open(&w, 1));
    CHECK_EQUAL(populate_run(g, 0, 512), 512);
    CHECK_OK(f->log(g, true));
    CHECK_EQUAL(OPS(g)->logging(g->hv), 1);
    CHECK(map_run(g, &w, 0, 3, 1));
    w.at[0] = 1;
    CHECK(!f->logged(g, 3)); /* a write of ours is not seen */
    CHECK_OK(tell(g, 3, 2));
    CHECK(!f->logged(g, 2) && f->logged(g, 3) && f->logged(g, 4) && !f->logged(g, 5));
    /* More than go to Xen at once. */
    for (unsigned i = 0; i < 300; i++)
        many[i] = (struct hv_extent){.gfn = 10 + i, .n = 1};
    CHECK_OK(OPS(g)->modified(g->hv, 300, many));
    CHECK(!f->logged(g, 9) && f->logged(g, 10) && f->logged(g, 309) && !f->logged(g, 310));
    /* A hole is as good as a page; the topmost frame, what is above, and nothing at all are not. */
    CHECK_EQUAL(depopulate_run(g, 400, 1), 1);
    CHECK_OK(tell(g, 400, 1));
    CHECK_OK(tell(g, 510, 1));
    CHECK_FAILS(tell(g, 511, 1), EINVAL);
    CHECK_FAILS(tell(g, 510, 2), EINVAL);
    CHECK_FAILS(tell(g, 512, 1), EINVAL);
    CHECK_FAILS(tell(g, 5, 0), EINVAL);
    many[1].gfn = 511;
    many[0].gfn = 320;
    many[2].gfn = 322;
    CHECK_FAILS(OPS(g)->modified(g->hv, 3, many), EINVAL);
    CHECK(!f->logged(g, 320) && f->logged(g, 322));
    CHECK_OK(f->log(g, false));
    CHECK_EQUAL(OPS(g)->logging(g->hv), 0);
    CHECK_OK(tell(g, 511, 1));
    window_close(&w);
    return true;
}

const struct conformance_case map_cases[] = {
    {"mappings show the guest's pages", mappings_show_the_same_page, {0}},
    {"frames in any order, one of them twice", frames_in_any_order, {0}},
    {"holes and absurd frames are told page by page", holes_are_told_page_by_page, {0}},
    {"a mapping of holes alone", only_holes, {0}},
    {"no pages or no page border: no mapping", no_pages_no_mapping, {0}},
    {"a read-only mapping", read_only, {0}},
    {"no part of a mapping is replaced or dropped", no_part_is_replaced, {0}},
    {"whole mappings are replaced and dropped", wholes_are_replaced, {0}},
    {"replacing a mapping frees a page given up", replacing_frees_the_old_page, {0}},
    {"unmapping where nothing is", unmapping_nothing, {0}},
    {"modified succeeds while nobody tracks", writes_can_be_told, {0}},
    {"writes that are told are logged", writes_are_logged, {0}},
    {NULL, NULL, {0}},
};
