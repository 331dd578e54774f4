/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service that is killed at any call to Xen while pages move, and the one that starts anew with
 * what had been recorded until then. Killed: from that call on nothing more reaches Xen, and nothing
 * more is recorded.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/sim_internal.h"
#include "tests/unit/gasp_fixture.h"

#define R UINT64_C(0x400000)  /* RAM, of 2 MiB extents */
#define W UINT64_C(0x1000000) /* the gasp window, right above RAM; its first half is RAM of ours */
enum {
    WINDOW = 8 * MIB,
    OWN = 4 * MIB,
    PAGES = (RAM_BYTES + OWN) / PAGE,
    MOST_RUNS = 64,
    OUT = 3 * PAGE, /* from R on: a page that the guest has given up */
};
enum {
    DEVICE = GRF_PASS_ANY | GRF_ACTIVE,
    ROM = GRF_PASS_RD | GRF_PASS_EX | GRF_MEMORY | GRF_ACTIVE,
    IDLE = GRF_VIRT_RD | GRF_VIRT_WR,
};

/* ---- the record ---- */

static struct gasp_kept kept;
static struct gasp_run runs[MOST_RUNS];
static bool dead;

static void keep_run(void *arg, struct gasp_run run)
{
    (void)arg;
    ck_assert_uint_lt(kept.n_run, MOST_RUNS);
    runs[kept.n_run++] = run;
}

static void record(struct gasp *g)
{
    if (dead)
        return;
    kept.n_run = 0;
    kept.run = runs;
    gasp_each_run(g, keep_run, NULL);
}

/* ---- Xen, until we are dead ---- */

static const struct hv_ops *real;
static struct hv_ops mortal;
static unsigned calls_left; /* 0: none is counted */

/* Whether this call is made; the last one is made by half. */
static bool alive(size_t *n)
{
    if (dead) {
        errno = EIO;
        return false;
    }
    if (calls_left > 0 && --calls_left == 0) {
        dead = true;
        if (n)
            *n /= 2;
        errno = EIO;
        return n && *n > 0;
    }
    return true;
}

static int result(int rc)
{
    if (!dead)
        return rc;
    errno = EIO;
    return -1;
}

/* While the guest runs RAM, or what covers it, leaves and comes only where accesses are sent to us
 * meanwhile. */
static void expect_trapped(uint64_t gfn)
{
    const struct sim *sim = sim_of(hv);
    bool found = false;

    for (unsigned id = 0; id < HV_MAX_SERVERS && !found; id++) {
        const struct sim_ranges *r =
            sim->server[id] ? &sim->server[id]->ranges[HV_RANGE_MEMORY] : NULL;

        for (unsigned i = 0; r && i < r->n; i++)
            found |= r->r[i].first <= gfn * PAGE && gfn * PAGE <= r->r[i].last;
    }
    ck_assert_msg(found, "%#jx moves and doesn't trap", (uintmax_t)gfn * PAGE);
}

static int relocate(struct hv *h, size_t n, uint64_t from, uint64_t to)
{
    uint64_t home = from < to ? from : to;

    if (gasp.settled && !dead && gasp.changed && home < (W + OWN) / PAGE)
        expect_trapped(home + n - 1);
    return alive(&n) ? result(real->relocate(h, n, from, to)) : -1;
}

static int set_ram_type(struct hv *h, bool read_only, size_t n, uint64_t gfn)
{
    return alive(&n) ? result(real->set_ram_type(h, read_only, n, gfn)) : -1;
}

static int map_range(struct hv *h, unsigned server, enum hv_range_type type, uint64_t first,
                     uint64_t last)
{
    return alive(NULL) ? real->server_map_range(h, server, type, first, last) : -1;
}

static int unmap_range(struct hv *h, unsigned server, enum hv_range_type type, uint64_t first,
                       uint64_t last)
{
    return alive(NULL) ? real->server_unmap_range(h, server, type, first, last) : -1;
}

static size_t populate(struct hv *h, unsigned order, size_t n, const uint64_t gfn[])
{
    return alive(&n) ? real->populate(h, order, n, gfn) : 0;
}

static size_t depopulate(struct hv *h, unsigned order, size_t n, const uint64_t gfn[])
{
    return alive(&n) ? real->depopulate(h, order, n, gfn) : 0;
}

static void make_mortal(void)
{
    real = hv->ops;
    mortal = *real;
    mortal.relocate = relocate;
    mortal.set_ram_type = set_ram_type;
    mortal.server_map_range = map_range;
    mortal.server_unmap_range = unmap_range;
    mortal.populate = populate;
    mortal.depopulate = depopulate;
    hv->ops = &mortal;
    dead = false;
    calls_left = 0;
}

/* ---- a guest that outlives services ---- */

static uint64_t mfn[PAGES];

static uint64_t word(uint64_t page)
{
    return page * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static int serve_nobody(struct gasp *g)
{
    (void)g;
    return 0;
}

static void run(void)
{
    gasp.running = true;
    gasp_lock(gsp(), QST_MEMORY);
    gasp_lock(gsp(), QST_X86_IO);
    if (gasp.changed) /* as guest_configured does */
        record(&gasp);
    gasp.serve = serve_nobody;
    ck_assert_int_eq(gasp_settle(&gasp), 0);
}

static void first_service(void)
{
    open_guest((struct hv_sim_options){.type = HV_PVH}, false);
    ck_assert_int_eq(gasp_set_aside(&gasp, WINDOW), 0);
    ck_assert_uint_eq(gasp.window.first, W);
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    make_mortal();
    run();
    ck_assert_int_eq(vm_ram_register_at(gsp(), W, OWN, false), 0);
    ck_assert_int_eq(hv_sim_balloon(hv, true, (R + OUT) / PAGE, 1), 0);
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t value = word(i);

        mfn[i] = hv_sim_p2m_get(sim_of(hv), i);
        if (mfn[i] != SIM_NO_FRAME)
            ck_assert_int_eq(hv_sim_ram(hv, true, i * PAGE, &value, 8), 0);
    }
    gasp.changed = record;
    record(&gasp);
}

static void next_service(void)
{
    const struct guest_options options = {
        .size = sizeof(options), .log = gasp.log, .memory_limit = SPACE_LIMIT};
    static struct range guest = {0, RAM_BYTES - 1}, own = {W, W + OWN - 1};
    struct gasp_kept now = kept;
    struct hv_info i;

    now.window = gasp.window;
    now.parking = gasp.parking;
    now.guest = &guest;
    now.ram = &own;
    now.n_guest = now.n_ram = 1;
    hv->ops = real;
    trap_dispose(&gasp);
    gasp_dispose(&gasp);
    log_forget();
    ck_assert_int_eq(hv->ops->info(hv, &i), 0);
    ck_assert_int_eq(gasp_init(&gasp, hv, &i, &options), 0);
    ck_assert_int_eq(gasp_seed(&gasp, &i, &now), 0);
    gasp.changed = record;
    make_mortal();
}

/* The host reads RAM, wherever it lies. */
static void expect_ram(void)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t value = 0;
        int rc = vm_ram_read(gsp(), i * PAGE, &value, 8);

        if (mfn[i] == SIM_NO_FRAME ? rc == 0 : rc < 0 || value != word(i))
            ck_abort_msg("page %#jx: %d, %#jx", (uintmax_t)i * PAGE, rc, (uintmax_t)value);
    }
}

static void expect_home(void)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        if (hv_sim_p2m_get(sim_of(hv), i) != mfn[i])
            ck_abort_msg("page %#jx isn't at home", (uintmax_t)i * PAGE);
    }
    for (uint64_t gfn = (W + OWN) / PAGE; gfn < (W + WINDOW) / PAGE; gfn++)
        ck_assert(hv_sim_p2m_get(sim_of(hv), gfn) == SIM_NO_FRAME);
    for (uint64_t i = 0; i < PAGES; i++)
        ck_assert(!hv_sim_mem_read_only(sim_of(hv), i * PAGE));
    ck_assert_uint_eq(kept.n_run, 0);
    for (uint64_t at = gasp.parking.first; at < gasp.parking.last - PAGE; at += PAGE)
        ck_assert(hv_sim_p2m_get(sim_of(hv), at / PAGE) == SIM_NO_FRAME);
}

static const struct {
    uint64_t at, length;
    uint32_t before, change, again; /* flags; again: of the next service's */
} kills[] = {
    {R, 6 * PAGE, 0, VIRT, 0},
    {R, 6 * PAGE, 0, VIRT, VIRT},
    {R, 6 * PAGE, VIRT, GRF_NONE, 0},
    {R, 6 * PAGE, VIRT, GRF_NONE, VIRT},
    {R, 6 * PAGE, VIRT, IDLE, 0},
    {R, 6 * PAGE, IDLE, VIRT, 0},
    {R + 0x804, 4, 0, VIRT, 0},
    {R + 0x804, 4, VIRT, GRF_NONE, VIRT},
    {R + 0x10000, 3 * MIB, 0, VIRT, 0},
    {R + 0x10000, 3 * MIB, VIRT, GRF_NONE, VIRT},
    {W + PAGE, 2 * MIB, 0, VIRT, VIRT},
    {R, 6 * PAGE, 0, ROM, 0},
    {R, 6 * PAGE, ROM, GRF_NONE, ROM},
    {R, 6 * PAGE, ROM, ROM & ~GRF_ACTIVE, 0},
    {W + PAGE, 4 * PAGE, 0, DEVICE, 0},
    {W + PAGE, 4 * PAGE, 0, DEVICE, DEVICE},
    {W + PAGE, 4 * PAGE, DEVICE, GRF_NONE, DEVICE},
    {W + PAGE, 4 * PAGE, DEVICE, GRF_PASS_ANY, 0},
    {W + PAGE, 4 * PAGE, GRF_PASS_ANY, DEVICE, 0},
    {W + OWN - PAGE, PAGE, 0, DEVICE, DEVICE},
    {W + OWN + PAGE, 4 * PAGE, 0, DEVICE, DEVICE},
    {W + OWN + PAGE, 4 * PAGE, DEVICE, GRF_NONE, DEVICE},
    {W + OWN + PAGE, 4 * PAGE, DEVICE, GRF_PASS_ANY, DEVICE},
    {W + OWN + PAGE, 4 * PAGE, GRF_PASS_ANY, DEVICE, VIRT},
};

/* Before a call n of the change, or after all. */
START_TEST(killed_at_each_call)
{
    bool done = false;

    for (unsigned n = 1; !done; n++) {
        uint64_t at = kills[_i].at, length = kills[_i].length;

        first_service();
        if (kills[_i].before)
            ck_assert_int_eq(set(QST_MEMORY, at, length, kills[_i].before, &vdev_a, 1), 0);
        calls_left = n;
        set(QST_MEMORY, at, length, kills[_i].change, &vdev_a, 1);
        done = !dead;
        dead = true;
        next_service();
        expect_ram();
        if (kills[_i].again)
            ck_assert_int_eq(set(QST_MEMORY, at, length, kills[_i].again, &vdev_a, 2), 0);
        run();
        if (kills[_i].again)
            ck_assert_int_eq(set(QST_MEMORY, at, length, GRF_NONE, &vdev_a, 2), 0);
        expect_home();
        expect_ram();
        hv->ops = real;
        close_guest();
    }
}
END_TEST

/* Twice: what the second has adopted and not brought home yet, the third one knows. */
START_TEST(killed_twice)
{
    first_service();
    ck_assert_int_eq(set(QST_MEMORY, R, 6 * PAGE, VIRT, &vdev_a, 1), 0);
    ck_assert_int_eq(set(QST_MEMORY, W + MIB, 4, VIRT, &vdev_a, 1), 0);
    next_service();
    record(&gasp);
    ck_assert_uint_eq(kept.n_run, 3); /* two around the hole */
    ck_assert_int_eq(vm_ram_unregister(gsp(), W, OWN), -1);
    next_service();
    expect_ram();
    run();
    expect_home();
    hv->ops = real;
    close_guest();
}
END_TEST

/* What a record says that isn't so is not believed: pages that are at home, places outside. */
START_TEST(records_that_are_wrong)
{
    first_service();
    kept.run = runs;
    kept.n_run = 3;
    runs[0] = (struct gasp_run){RUN_PARKED, R / PAGE, gasp.parking.first / PAGE, 600};
    runs[1] = (struct gasp_run){RUN_PARKED, (R + OUT) / PAGE, (R + MIB) / PAGE, 1};
    runs[2] = (struct gasp_run){RUN_PARKED, (R + OUT) / PAGE, gasp.parking.last / PAGE, 2};
    next_service();
    expect_ram();
    run();
    kept.n_run = 0;
    expect_home();
    hv->ops = real;
    close_guest();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("killed");
    TCase *t = tcase_create("killed");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, killed_at_each_call, 0, sizeof(kills) / sizeof(kills[0]));
    tcase_add_test(t, killed_twice);
    tcase_add_test(t, records_that_are_wrong);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
