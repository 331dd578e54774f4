/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of a map whose pages move, on the simulator: each call to Xen fails once, and map, view and
 * Xen are as before; then it passes, and Xen has what the map says.
 */
#include <string.h>

#include "hv/sim_internal.h"
#include "ram/ram_internal.h"
#include "tests/unit/gasp_fixture.h"

#define R UINT64_C(0x400000)  /* RAM, of 2 MiB extents */
#define W UINT64_C(0x1000000) /* the gasp window, right above RAM; its first half is RAM of ours */
#define D (W + 4 * MIB)       /* a hole in it */
enum {
    PORT = 0x3000,
    WINDOW = 8 * MIB,
    FRAMES = (RAM_BYTES + WINDOW + 16 * MIB) / PAGE, /* RAM, window, parking window */
    WATCHED = (RAM_BYTES + WINDOW) / PAGE,
    UPPER_TABLES = 4, /* of parked.c */
    OUT = 3 * PAGE,   /* from R on: a page that the guest has given up */
};
enum {
    ROM = GRF_PASS_RD | GRF_PASS_EX | GRF_MEMORY | GRF_ACTIVE,
    RAM = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE,
    DEVICE = GRF_PASS_ANY | GRF_ACTIVE,
    READS_PASS = GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE,
    IDLE = GRF_VIRT_RD | GRF_VIRT_WR, /* not active */
};

#define MEM(at, bytes, grf, owner)                                                                 \
    {                                                                                              \
        .flags = (grf), .cookie = 1, .vdev = (owner), .guest = {(at), (bytes), QST_MEMORY, 0 }     \
    }
#define OTHER(type, at, bytes, grf, owner)                                                         \
    {                                                                                              \
        .flags = (grf), .cookie = 1, .vdev = (owner), .guest = {(at), (bytes), (type), 0 }         \
    }
#define A &vdev_a
#define B &vdev_b

/* Regions are ignored whose length is 0: those that a row doesn't have. */
static const struct row {
    struct gasp_region before[3], change[4];
} rows[] = {
    {{{0}}, {MEM(R, 4 * PAGE, VIRT, A)}},
    {{{0}}, {MEM(R + 0x804, 4, VIRT, A)}},
    {{{0}}, {MEM(R + 0xffe, 4, VIRT, A)}}, /* over two pages */
    {{{0}}, {MEM(R + 0x10000, 3 * MIB, VIRT, A)}},
    {{{0}}, {MEM(R, 4 * PAGE, GRF_NOPERMS | GRF_ACTIVE, A)}},
    {{{0}}, {MEM(R, 4 * PAGE, IDLE, A)}},
    {{{0}}, {MEM(R, 4 * PAGE, READS_PASS, A)}},
    {{{0}}, {MEM(R, 6 * PAGE, ROM, NULL)}},
    {{{0}}, {MEM(R + 0x10000, 3 * MIB, ROM, NULL)}},
    {{{0}}, {MEM(D, 4 * PAGE, DEVICE, A)}},
    {{{0}}, {MEM(D + PAGE, 3 * MIB, DEVICE & ~GRF_PASS_WR, A)}},
    {{{0}}, {MEM(W + 5 * PAGE, 4 * PAGE, DEVICE, A)}},
    {{{0}}, {MEM(W + PAGE, 3 * MIB, DEVICE, A)}},
    {{{0}}, {OTHER(QST_X86_IO, PORT, 8, VIRT, A)}},
    {{{0}}, {OTHER(QST_PCI, QSL_PCI_MAKE_LOC(0, 3, 0), 256, VIRT, A)}},
    /* On, off, gone. */
    {{MEM(R, 4 * PAGE, VIRT, A)}, {MEM(R, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(R, 4 * PAGE, VIRT, A)}, {MEM(R, 4 * PAGE, IDLE, A)}},
    {{MEM(R, 4 * PAGE, IDLE, A)}, {MEM(R, 4 * PAGE, VIRT, A)}},
    {{MEM(R + 0x804, 4, VIRT, A)}, {MEM(R + 0x804, 4, GRF_NONE, A)}},
    {{MEM(R + 0x10000, 3 * MIB, VIRT, A)}, {MEM(R + 0x10000, 3 * MIB, GRF_NONE, A)}},
    {{MEM(R, 6 * PAGE, ROM, NULL)}, {MEM(R, 6 * PAGE, GRF_NONE, NULL)}},
    {{MEM(R, 6 * PAGE, ROM, NULL)}, {MEM(R, 6 * PAGE, RAM, NULL)}},
    {{MEM(R, 6 * PAGE, RAM, NULL)}, {MEM(R, 6 * PAGE, ROM, NULL)}},
    {{MEM(R, 4 * PAGE, READS_PASS, A)}, {MEM(R, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D, 4 * PAGE, GRF_PASS_ANY, A)}},
    {{MEM(D, 4 * PAGE, GRF_PASS_ANY, A)}, {MEM(D, 4 * PAGE, DEVICE, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A)}, {MEM(W + PAGE, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A)}, {MEM(W + PAGE, 4 * PAGE, GRF_PASS_ANY, A)}},
    {{MEM(W + PAGE, 4 * PAGE, GRF_PASS_ANY, A)}, {MEM(W + PAGE, 4 * PAGE, DEVICE, A)}},
    /* Parts of it. */
    {{MEM(R, 5 * PAGE, VIRT, A)}, {MEM(R + PAGE, PAGE, GRF_NONE, A)}},
    {{MEM(R, 5 * PAGE, VIRT, A)}, {MEM(R + PAGE + 8, 8, GRF_NONE, A)}},
    {{MEM(R, 16, VIRT, A)}, {MEM(R + 4, 4, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D + PAGE, PAGE, GRF_NONE, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A)}, {MEM(W + 2 * PAGE, PAGE, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D + PAGE, PAGE, DEVICE & ~GRF_PASS_WR, A)}},
    /* Over one another. */
    {{MEM(R, 6 * PAGE, ROM, NULL)}, {MEM(R + PAGE, PAGE, VIRT, A)}},
    {{MEM(R, 6 * PAGE, ROM, NULL)}, {MEM(R + PAGE + 8, 8, VIRT, A)}},
    {{MEM(R, 6 * PAGE, ROM, NULL), MEM(R + PAGE, PAGE, VIRT, A)},
     {MEM(R + PAGE, PAGE, GRF_NONE, A)}},
    {{MEM(R, 6 * PAGE, ROM, NULL), MEM(R + PAGE, PAGE, VIRT, A)},
     {MEM(R, 6 * PAGE, GRF_NONE, NULL)}},
    {{MEM(R, 4 * PAGE, VIRT, A)}, {MEM(R + PAGE, PAGE, VIRT, B)}},
    {{MEM(R, 4 * PAGE, VIRT, A), MEM(R + PAGE, PAGE, VIRT, B)}, {MEM(R, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D + PAGE, 2 * PAGE, DEVICE, B)}},
    {{MEM(D, 4 * PAGE, DEVICE, A), MEM(D + PAGE, 2 * PAGE, DEVICE, B)},
     {MEM(D, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, DEVICE, A), MEM(D + PAGE, 2 * PAGE, DEVICE, B)},
     {MEM(D + PAGE, 2 * PAGE, GRF_NONE, B)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D + PAGE + 4, 4, VIRT, B)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)}, {MEM(D + PAGE, PAGE, VIRT, B)}},
    {{MEM(D, 4 * PAGE, DEVICE, A), MEM(D + PAGE, PAGE, VIRT, B)}, {MEM(D, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(D, 4 * PAGE, VIRT, B)}, {MEM(D + PAGE, 2 * PAGE, DEVICE, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A)}, {MEM(W + 2 * PAGE + 4, 4, VIRT, B)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A), MEM(W + 2 * PAGE + 4, 4, VIRT, B)},
     {MEM(W + PAGE, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(R, 6 * PAGE, ROM, NULL)}, {MEM(R + PAGE, 5 * PAGE, VIRT, A)}},
    {{MEM(W + PAGE, 4 * PAGE, ROM, NULL)}, {MEM(W + PAGE, 4 * PAGE, DEVICE & ~GRF_PASS_WR, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A)}, {MEM(W + PAGE, 4 * PAGE, ROM, B)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A), MEM(W + PAGE, 4 * PAGE, ROM, B)},
     {MEM(W + PAGE, 4 * PAGE, GRF_NONE, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A), MEM(W + PAGE, 4 * PAGE, ROM, B)},
     {MEM(W + PAGE, 4 * PAGE, GRF_NONE, B)}},
    /* Several at once. */
    {{MEM(R, 4 * PAGE, VIRT, A)},
     {MEM(R, 4 * PAGE, GRF_NONE, A), MEM(R + PAGE, 4 * PAGE, VIRT, A),
      OTHER(QST_X86_IO, PORT, 8, VIRT, B), MEM(D, PAGE, DEVICE, B)}},
    {{MEM(D, 4 * PAGE, DEVICE, A)},
     {MEM(D, 4 * PAGE, GRF_NONE, A), MEM(D, 2 * PAGE, DEVICE, B),
      MEM(D + 3 * PAGE, 2 * PAGE, VIRT, B), MEM(R + 0x804, 4, VIRT, A)}},
    {{MEM(W + PAGE, 4 * PAGE, DEVICE, A)},
     {MEM(W + PAGE, 4 * PAGE, GRF_NONE, A), MEM(W + 2 * PAGE, 2 * PAGE, DEVICE, B)}},
    {{MEM(R, 2 * PAGE, ROM, NULL), OTHER(QST_X86_IO, PORT, 8, VIRT, A)},
     {MEM(R, 2 * PAGE, GRF_NONE, NULL), OTHER(QST_X86_IO, PORT + 2, 2, GRF_NONE, A),
      MEM(R + PAGE, PAGE, READS_PASS, B), MEM(W, PAGE, VIRT, A)}},
};

/* ---- what there is ---- */

struct state {
    const struct space_map *map[GASP_SPACES];
    uint64_t mfn[FRAMES];
    bool read_only[FRAMES];
    uint64_t pages, max_pages, own_pages, host_pages;
    uint64_t pool; /* but for the tables of pages that have ever moved */
    unsigned pauses, n_ranges, n_parked;
    struct sim_range range[HV_MAX_RANGES];
    struct ram_parked_page parked[FRAMES];
};

static struct state original; /* before the first row's regions */

static struct sim *sim(void)
{
    return sim_of(hv);
}

static void take_state(struct state *s)
{
    struct hv_info i;

    memset(s, 0, sizeof(*s));
    ck_assert_int_eq(hv->ops->info(hv, &i), 0);
    s->pages = i.nr_pages;
    s->max_pages = i.max_pages;
    s->own_pages = gasp.own_pages;
    s->host_pages = usage().host_pages;
    s->pauses = usage().pause_count;
    ck_assert_int_eq(hv->ops->get_paging_pool(hv, &s->pool), 0);
    s->host_pages += s->pool / PAGE; /* which comes out of them */
    s->pool -= gasp.ram.has_tables ? UPPER_TABLES * PAGE : 0;
    for (uint64_t t = 0; gasp.ram.has_tables && t < SPACE_LIMIT >> RAM_CHUNK_SHIFT; t++)
        s->pool -= gasp.ram.has_tables[t / 8] >> t % 8 & 1 ? PAGE : 0;
    for (int space = 0; space < GASP_SPACES; space++)
        s->map[space] = gasp.space[space].map;
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++) {
        s->mfn[gfn] = hv_sim_p2m_get(sim(), gfn);
        s->read_only[gfn] = hv_sim_mem_read_only(sim(), gfn * PAGE);
    }
    for (unsigned id = 0; id < HV_MAX_SERVERS; id++) {
        for (int type = 0; sim()->server[id] && type < SIM_RANGE_TYPES; type++) {
            const struct sim_ranges *r = &sim()->server[id]->ranges[type];

            memcpy(s->range + s->n_ranges, r->r, r->n * sizeof(r->r[0]));
            s->n_ranges += r->n;
        }
    }
    if (gasp.ram.parked) {
        s->n_parked = (unsigned)gasp.ram.parked->n;
        memcpy(s->parked, gasp.ram.parked->page, s->n_parked * sizeof(s->parked[0]));
    }
}

static void expect_same(const struct state *a, const struct state *b)
{
    ck_assert(memcmp(a->map, b->map, sizeof(a->map)) == 0);
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++) {
        if (a->mfn[gfn] != b->mfn[gfn] || a->read_only[gfn] != b->read_only[gfn])
            ck_abort_msg("%#jx: frame %jx, now %jx; read-only %d, now %d", (uintmax_t)gfn * PAGE,
                         (uintmax_t)a->mfn[gfn], (uintmax_t)b->mfn[gfn], a->read_only[gfn],
                         b->read_only[gfn]);
    }
    ck_assert_uint_eq(a->pages, b->pages);
    ck_assert_uint_eq(a->max_pages, b->max_pages);
    ck_assert_uint_eq(a->own_pages, b->own_pages);
    ck_assert_uint_eq(a->host_pages, b->host_pages);
    ck_assert_uint_eq(a->pool, b->pool);
    ck_assert_uint_eq(a->pauses, b->pauses);
    ck_assert_uint_eq(a->n_ranges, b->n_ranges);
    ck_assert(memcmp(a->range, b->range, sizeof(a->range)) == 0);
    ck_assert_uint_eq(a->n_parked, b->n_parked);
    ck_assert(memcmp(a->parked, b->parked, sizeof(a->parked)) == 0);
}

/* ---- whether Xen has what the map says ---- */

/* What is to be seen of a page, by gasp_region_info. */
struct seen {
    bool any, memory, other; /* a region; bytes that are memory; bytes that aren't */
    bool traps, writable, device;
};

static struct seen look_at(uint64_t page)
{
    struct seen seen = {0};
    uint64_t at = page;

    while (at < page + PAGE) {
        struct gasp_region rgn;
        uint64_t next = at + 1;

        if (info(QST_MEMORY, at, &rgn) != 0) {
            seen.other = true;
            while (next < page + PAGE && info(QST_MEMORY, next, &rgn) != 0)
                next += page % PAGE || seen.any ? 1 : 4; /* holes of these tests are that coarse */
            at = next;
            continue;
        }
        seen.any = true;
        if ((rgn.flags & GRF_PASS_RD) && !(rgn.flags & (GRF_VIRT_RD | GRF_VIRT_WR))) {
            seen.memory = true;
            seen.writable |= rgn.flags & GRF_PASS_WR;
            seen.device = !(rgn.flags & GRF_MEMORY);
        } else {
            seen.other = true;
            seen.traps |= rgn.flags & (GRF_VIRT_RD | GRF_VIRT_WR);
        }
        at = rgn.guest.location + rgn.guest.length;
    }
    return seen;
}

static bool trapped(uint64_t addr)
{
    for (unsigned id = 0; id < HV_MAX_SERVERS; id++) {
        const struct sim_ranges *r =
            sim()->server[id] ? &sim()->server[id]->ranges[HV_RANGE_MEMORY] : NULL;

        for (unsigned i = 0; r && i < r->n; i++)
            if (r->r[i].first <= addr && addr <= r->r[i].last)
                return true;
    }
    return false;
}

static bool trapped_as_seen(uint64_t page, struct seen seen)
{
    for (uint64_t at = page; at < page + PAGE; at += 4) {
        struct gasp_region rgn;
        bool here = info(QST_MEMORY, at, &rgn) == 0 && rgn.flags & (GRF_VIRT_RD | GRF_VIRT_WR);

        if (trapped(at) != (here || (seen.memory && seen.other)))
            return false;
    }
    return true;
}

/* The frame of the page's RAM, wherever it lies. */
static uint64_t ram_frame(uint64_t gfn)
{
    for (size_t i = 0; gasp.ram.parked && i < gasp.ram.parked->n; i++) {
        const struct ram_parked_page *page = &gasp.ram.parked->page[i];

        if (page->home == gfn && page->frame == RAM_FRAME)
            return hv_sim_p2m_get(sim(), page->at);
    }
    return hv_sim_p2m_get(sim(), gfn);
}

static void expect_page(uint64_t gfn)
{
    uint64_t mfn = hv_sim_p2m_get(sim(), gfn), page = gfn * PAGE, was = original.mfn[gfn];
    struct seen seen = look_at(page);
    bool home = seen.memory && !seen.other;

    ck_assert_msg(trapped_as_seen(page, seen), "%#jx traps", (uintmax_t)page);
    if (was != SIM_NO_FRAME)
        ck_assert_msg(ram_frame(gfn) == was, "%#jx: its RAM is lost", (uintmax_t)page);
    if (home && !seen.device)
        ck_assert_msg(mfn == was, "%#jx: another page", (uintmax_t)page);
    if (home && seen.device)
        ck_assert_msg(mfn != was && mfn != SIM_NO_FRAME, "%#jx: no device's", (uintmax_t)page);
    if (!home)
        ck_assert_msg(mfn == SIM_NO_FRAME, "%#jx: a page", (uintmax_t)page);
    if (home && mfn != SIM_NO_FRAME)
        ck_assert_msg(hv_sim_mem_read_only(sim(), page) == !seen.writable, "%#jx: its type",
                      (uintmax_t)page);
}

static void expect_as_mapped(void)
{
    static const uint64_t around[] = {R, W, D}; /* the rows keep to these */

    for (size_t i = 0; i < 3; i++) {
        for (uint64_t gfn = around[i] / PAGE; gfn < around[i] / PAGE + 20; gfn++)
            expect_page(gfn);
        for (uint64_t gfn = (around[i] + 2 * MIB) / PAGE - 2;
             gfn < (around[i] + 3 * MIB + 0x12000) / PAGE && gfn < WATCHED; gfn += 37)
            expect_page(gfn);
    }
}

/* ---- the tests ---- */

static int serve_nobody(struct gasp *g)
{
    (void)g;
    return 0;
}

static void open_with_window(void)
{
    open_guest((struct hv_sim_options){.type = HV_PVH}, false);
    ck_assert_int_eq(gasp_set_aside(&gasp, WINDOW), 0);
    ck_assert_uint_eq(gasp.window.first, W);
    ck_assert_int_eq(hv_sim_balloon(hv, true, (R + OUT) / PAGE, 1), 0);
}

static void start(void)
{
    gasp.running = true;
    gasp.serve = serve_nobody;
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    for (int s = 0; s < GASP_SPACES; s++)
        ck_assert_int_eq(gasp_lock(gsp(), (uint16_t[]){QST_MEMORY, QST_X86_IO, QST_PCI}[s]), 0);
}

/* Its RAM in the window, and what each page holds. */
static void prepare(void)
{
    ck_assert_int_eq(vm_ram_register_at(gsp(), W, 4 * MIB, false), 0);
    take_state(&original);
    original.pauses = 0; /* at last */
}

static void set_all(const struct gasp_region *rgn, unsigned n)
{
    ck_assert_msg(gasp_region_set_all(gsp(), n, rgn) == 0, "%s: %s", strerror(errno), logged);
}

/* All regions go; what is left is what there was. */
static void expect_original(void)
{
    static struct state now;

    gasp_drop_regions(&gasp, &vdev_a);
    gasp_drop_regions(&gasp, &vdev_b);
    gasp_drop_regions(&gasp, NULL);
    expect_as_mapped();
    take_state(&now);
    if (set(QST_MEMORY, R, 6 * PAGE, RAM, NULL, 0) == 0)
        take_state(&now);
    memcpy(now.map, original.map, sizeof(now.map));
    expect_same(&original, &now);
}

/* Fails each call to Xen of what `change` does; then it passes. */
static unsigned fail_each_call(int error, int (*change)(const struct row *row),
                               const struct row *row)
{
    static struct state before, after;
    unsigned failed = 0;

    for (unsigned n = 1;; n++) {
        unsigned long calls;
        int rc;

        take_state(&before);
        calls = hv_sim_calls(hv);
        hv_sim_fail_call(hv, n, error);
        rc = change(row);
        calls = hv_sim_calls(hv) - calls;
        hv_sim_fail_call(hv, 0, 0);
        log_forget();
        if (rc == 0) /* some are tried in another way, or not needed */
            return calls < n ? failed : failed + 1;
        ck_assert_uint_ge(calls, n);
        take_state(&after);
        expect_same(&before, &after);
        failed++;
    }
}

static int change_row(const struct row *row)
{
    return gasp_region_set_all(gsp(), 4, row->change) == 0 ? 0 : errno;
}

static int settle(const struct row *row)
{
    (void)row;
    return gasp_settle(&gasp);
}

static const int errors[] = {EIO, ENOMEM, ESRCH};
enum { ROWS = sizeof(rows) / sizeof(rows[0]), ERRORS = sizeof(errors) / sizeof(errors[0]) };

START_TEST(each_call_fails_running)
{
    const struct row *row = &rows[_i / ERRORS];

    open_with_window();
    start();
    ck_assert_int_eq(gasp_settle(&gasp), 0);
    prepare();
    set_all(row->before, 3);
    expect_as_mapped();
    fail_each_call(errors[_i % ERRORS], change_row, row);
    expect_as_mapped();
    expect_original();
    close_guest();
}
END_TEST

START_TEST(each_call_fails_at_start)
{
    const struct row *row = &rows[_i / ERRORS];

    open_with_window();
    gasp.running = true;
    prepare();
    gasp.running = false;
    set_all(row->before, 3);
    fail_each_call(errors[_i % ERRORS], change_row, row);
    start();
    fail_each_call(errors[_i % ERRORS], settle, row);
    expect_as_mapped();
    expect_original();
    close_guest();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("change");
    TCase *t = tcase_create("each call fails");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, each_call_fails_running, 0, ROWS * ERRORS);
    tcase_add_loop_test(t, each_call_fails_at_start, 0, ROWS * ERRORS);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
