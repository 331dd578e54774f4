/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trap ranges against a model of Xen's ioreq servers: one cell an address, 256 ranges a server and
 * type. The model also watches, at each single call, that nothing which traps before and after a
 * change is without a server meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gasp/change.h"
#include "tests/check_main.h"

enum { CELLS = 4608, VIRT = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE };

/* ck_assert tells Check's parent of each success; these are too many. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

struct xen {
    struct hv hv; /* first */
    struct xen_state {
        bool server[HV_MAX_SERVERS], enabled[HV_MAX_SERVERS];
        bool cell[2][HV_MAX_SERVERS][CELLS]; /* [hv_range_type] */
    } now;
    unsigned taken; /* servers of somebody else */
    unsigned calls, fail_at;
    int error;
    bool keep[CELLS]; /* of `watched`: must never be without a server */
    int watched;
    char transcript[512];
    bool record;
};

static struct xen xen;
static struct gasp gasp;

static bool refuse(void)
{
    if (++xen.calls != xen.fail_at)
        return false;
    errno = xen.error;
    return true;
}

static void watch(void)
{
    for (int i = 0; i < CELLS; i++) {
        bool there = !xen.keep[i];

        for (int s = 0; s < HV_MAX_SERVERS && !there; s++)
            there = xen.now.cell[xen.watched][s][i];
        CHECK(there); /* else an access would fall in between */
    }
}

static unsigned count(const bool *cell)
{
    unsigned n = 0;

    for (int i = 0; i < CELLS; i++)
        n += cell[i] && (i == 0 || !cell[i - 1]);
    return n;
}

static int change_range(unsigned id, enum hv_range_type type, uint64_t first, uint64_t last,
                        bool on)
{
    static bool saved[CELLS];
    bool *cell = xen.now.cell[type][id];

    CHECK(first <= last && last < CELLS);
    CHECK(xen.now.server[id]);
    if (refuse())
        return -1;
    for (uint64_t i = first; i <= last; i++) {
        if (cell[i] == on) {
            errno = on ? EEXIST : ENOENT;
            return -1;
        }
    }
    memcpy(saved, cell, sizeof(saved));
    memset(cell + first, on, last - first + 1);
    if (count(cell) > HV_MAX_RANGES) {
        memcpy(cell, saved, sizeof(saved));
        errno = ENOMEM;
        return -1;
    }
    if (xen.record)
        snprintf(xen.transcript + strlen(xen.transcript), 32, "%c%u:%d-%d ", on ? '+' : '-', id,
                 (int)first, (int)last);
    watch();
    return 0;
}

static int map_range(struct hv *hv, unsigned id, enum hv_range_type t, uint64_t first,
                     uint64_t last)
{
    (void)hv;
    return change_range(id, t, first, last, true);
}

static int unmap_range(struct hv *hv, unsigned id, enum hv_range_type t, uint64_t first,
                       uint64_t last)
{
    (void)hv;
    return change_range(id, t, first, last, false);
}

static int server_create(struct hv *hv, unsigned *id_r)
{
    (void)hv;
    if (refuse())
        return -1;
    for (unsigned id = 0; id + xen.taken < HV_MAX_SERVERS; id++) {
        if (!xen.now.server[id]) {
            xen.now.server[id] = true;
            *id_r = id;
            return 0;
        }
    }
    errno = ENOSPC;
    return -1;
}

static int server_destroy(struct hv *hv, unsigned id)
{
    (void)hv;
    ck_assert(xen.now.server[id]);
    if (refuse())
        return -1;
    xen.now.server[id] = xen.now.enabled[id] = false;
    for (int t = 0; t < 2; t++)
        memset(xen.now.cell[t][id], 0, CELLS);
    return 0;
}

static int server_enable(struct hv *hv, unsigned id, bool on)
{
    (void)hv;
    if (refuse())
        return -1;
    xen.now.enabled[id] = on;
    return 0;
}

static const struct hv_ops ops = {
    .server_create = server_create,
    .server_destroy = server_destroy,
    .server_enable = server_enable,
    .server_map_range = map_range,
    .server_unmap_range = unmap_range,
};

static void no_log(void *arg, enum guest_log_level level, const char *format, va_list ap)
{
    (void)arg;
    (void)level;
    (void)format;
    (void)ap;
}

static void set_up(void)
{
    memset(&xen, 0, sizeof(xen));
    xen.hv.ops = &ops;
    xen.error = EIO;
    gasp = (struct gasp){.hv = &xen.hv, .log = no_log};
    for (int s = 0; s < GASP_SPACES; s++)
        ck_assert_int_eq(space_init(&gasp.space[s], CELLS - 1), 0);
}

static void tear_down(void)
{
    xen.fail_at = 0;
    memset(xen.keep, 0, sizeof(xen.keep));
    trap_dispose(&gasp);
    trap_dispose(&gasp);
    for (int s = 0; s < GASP_SPACES; s++)
        space_dispose(&gasp.space[s]);
    for (int id = 0; id < HV_MAX_SERVERS; id++)
        ck_assert(!xen.now.server[id]);
}

static bool traps_at(const struct space_map *map, int cell)
{
    struct space_region r;

    return space_map_find(map, (uint64_t)cell, &r) && (r.flags & (GRF_VIRT_RD | GRF_VIRT_WR));
}

static enum hv_range_type type_of(enum gasp_space space)
{
    return space == GASP_MEMORY ? HV_RANGE_MEMORY : HV_RANGE_PORT;
}

/* The one server that has the cell, or -1. */
static int holder_of(enum gasp_space space, int cell)
{
    int holder = -1;

    for (int id = 0; id < HV_MAX_SERVERS; id++) {
        if (!xen.now.cell[type_of(space)][id][cell])
            continue;
        CHECK(holder == -1);
        holder = id;
    }
    return holder;
}

/* Xen traps what the map says; the set is what Xen has, and no two of its ranges touch. */
static void check_agrees(enum gasp_space space)
{
    const struct trap_range *range = gasp.trap.range[space];
    static int server[CELLS]; /* by the set */

    for (int i = 0; i < CELLS; i++)
        server[i] = -1;
    for (size_t k = 0; k < gasp.trap.n[space]; k++) {
        CHECK(k == 0 || range[k].range.first > range[k - 1].range.last + 1);
        for (uint64_t i = range[k].range.first; i <= range[k].range.last; i++)
            server[i] = (int)gasp.trap.server[range[k].server];
    }
    for (int i = 0; i < CELLS; i++) {
        CHECK(holder_of(space, i) == server[i]);
        CHECK((server[i] >= 0) == traps_at(gasp.space[space].map, i));
    }
}

/* One change, carried and published; when it fails all must be as before. 0 or an errno value. */
static int set(enum gasp_space space, uint64_t first, uint64_t last, uint32_t flags, void *owner)
{
    static struct xen_state before;
    const struct trap_set trap_before = gasp.trap;
    struct space_region r = {{first, last}, flags, 0, owner, 0};
    struct space_map *old = gasp.space[space].map;
    struct change change;
    int rc;

    change_begin(&change, &gasp);
    rc = change_set(&change, space, &r);
    if (rc) {
        change_end(&change);
        return rc;
    }
    before = xen.now;
    xen.watched = (int)type_of(space);
    for (int i = 0; i < CELLS; i++)
        xen.keep[i] = traps_at(old, i) && traps_at(change.draft[space], i);
    rc = change_make(&change);
    change_end(&change);
    if (rc) {
        CHECK(!memcmp(&before, &xen.now, sizeof(before)));
        CHECK(gasp.trap.n_servers == trap_before.n_servers);
        CHECK(gasp.trap.range[space] == trap_before.range[space]);
    }
    check_agrees(space);
    return rc;
}

static int cant_serve(struct gasp *g)
{
    (void)g;
    errno = ENOSPC;
    return -1;
}

static char owner_a, owner_b;

/* Characters: a b traps for owners A B, A inactive, n reserved (of A). What is set: x
 * deletes for A. */
static int draw(const char *picture)
{
    for (const char *p = picture; *p;) {
        size_t n = strspn(p, (char[]){*p, 0});
        uint64_t first = (uint64_t)(p - picture);
        uint32_t flags = strchr("ab", *p) ? VIRT
                         : *p == 'A'      ? GRF_VIRT_RD
                         : *p == 'n'      ? GRF_NOPERMS | GRF_ACTIVE
                                          : GRF_NONE;
        int rc = *p == '.' ? 0
                           : set(GASP_MEMORY, first, first + n - 1, flags,
                                 *p == 'b' ? &owner_b : &owner_a);

        if (rc)
            return rc;
        p += n;
    }
    return 0;
}

/* What Xen is told: +server:first-last, -server:first-last. */
static const struct row {
    const char *before, *set, *calls;
} rows[] = {
    {"........", "..aa....", "+0:2-3 "},
    {"........", "..AA....", ""}, /* not active */
    {"........", "..nn....", ""},
    {"..aa....", "....bb..", "+0:4-5 "}, /* neighbours: only what is new */
    {"....aa..", "..bb....", "+0:2-3 "},
    {"aa..aa..", "..bb....", "+0:2-3 "},
    {"..aabb..", "..xx....", "-0:2-3 "},
    {"..aaaa..", "...xx...", "-0:3-4 "}, /* the middle */
    {"..aaaa..", "..xxxx..", "-0:2-5 "},
    {"..aaaa..", "..AAAA..", "-0:2-5 "}, /* decode off */
    {"..AAAA..", "..aaaa..", "+0:2-5 "},
    {"..aaaa..", "...AA...", "-0:3-4 "},
    {"bbAAAAbb", "..aaaa..", "+0:2-5 "},
    {"bbaaaabb", "..AAAA..", "-0:2-5 "},
    {"..aaaa..", "...nn...", "-0:3-4 "},
    {"..aaaa..", "..aaaa..", ""},
};

START_TEST(test_difference)
{
    ck_assert_int_eq(draw(rows[_i].before), 0);
    xen.record = true;
    ck_assert_int_eq(draw(rows[_i].set), 0);
    ck_assert_str_eq(xen.transcript, rows[_i].calls);
}
END_TEST

/* A server is made for the first region that traps or may trap once the guest runs; for no other.
 */
START_TEST(test_servers_on_demand)
{
    ck_assert_int_eq(draw("....nn.."), 0);
    ck_assert_uint_eq(gasp.trap.n_servers, 0);
    ck_assert_int_eq(draw("..AA...."), 0);
    ck_assert_uint_eq(gasp.trap.n_servers, 1);
    ck_assert_int_eq(draw("......aa"), 0);
    ck_assert_uint_eq(gasp.trap.n_servers, 1);
}
END_TEST

START_TEST(test_not_served)
{
    gasp.serve = cant_serve;
    ck_assert_int_eq(draw("..AA...."), 0);
    ck_assert_int_eq(draw("......aa"), ENOSPC);
    ck_assert_uint_eq(gasp.trap.n_servers, 0);
}
END_TEST

/* Single addresses from `first` on with holes between. */
static int fill(unsigned n, uint64_t first)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = set(GASP_MEMORY, first + 2 * i, first + 2 * i, VIRT, &owner_a);

        if (rc)
            return rc;
    }
    return 0;
}

START_TEST(test_exhaustion)
{
    unsigned others = (unsigned)_i, most = (HV_MAX_SERVERS - others) * (HV_MAX_RANGES - 1);

    xen.taken = others;
    ck_assert_int_eq(fill(most, 0), 0);
    ck_assert_uint_eq(gasp.trap.n_servers, HV_MAX_SERVERS - others);
    for (unsigned id = 0; id + others < HV_MAX_SERVERS; id++)
        ck_assert_uint_eq(count(xen.now.cell[HV_RANGE_MEMORY][id]), HV_MAX_RANGES - 1);
    ck_assert_int_eq(set(GASP_MEMORY, 2 * most, 2 * most, VIRT, &owner_a), ENOSPC);
    /* Beside another range there is still room, and ports are counted apart. */
    ck_assert_int_eq(set(GASP_MEMORY, 2 * most - 1, 2 * most - 1, VIRT, &owner_a), 0);
    ck_assert_int_eq(set(GASP_PORTS, 0, 0, VIRT, &owner_a), 0);
    /* One given back is one to have. */
    ck_assert_int_eq(set(GASP_MEMORY, 100, 100, GRF_NONE, &owner_a), 0);
    ck_assert_int_eq(set(GASP_MEMORY, 2 * most + 2, 2 * most + 2, VIRT, &owner_a), 0);
    ck_assert_int_eq(set(GASP_MEMORY, 100, 100, VIRT, &owner_a), ENOSPC);
}
END_TEST

/* A full server: the first middle uses the spare; then the tail moves to another, and is never
 * without one. */
START_TEST(test_take_out_middle)
{
    ck_assert_int_eq(set(GASP_MEMORY, 1000, 1099, VIRT, &owner_a), 0);
    ck_assert_int_eq(fill(HV_MAX_RANGES - 2, 0), 0);
    ck_assert_uint_eq(gasp.trap.n_servers, 1);
    xen.record = true;
    ck_assert_int_eq(set(GASP_MEMORY, 1010, 1019, GRF_NONE, &owner_a), 0);
    ck_assert_str_eq(xen.transcript, "-0:1010-1019 ");
    ck_assert_uint_eq(gasp.trap.n_servers, 1);
    xen.transcript[0] = 0;
    ck_assert_int_eq(set(GASP_MEMORY, 1030, 1039, GRF_NONE, &owner_a), 0);
    ck_assert_str_eq(xen.transcript, "+1:1040-1099 -0:1030-1099 ");
    /* Closing the gap brings the tail back to its neighbour's server. */
    xen.transcript[0] = 0;
    ck_assert_int_eq(set(GASP_MEMORY, 1030, 1039, VIRT, &owner_b), 0);
    ck_assert_str_eq(xen.transcript, "+0:1030-1099 -1:1040-1099 ");
}
END_TEST

START_TEST(test_take_out_middle_not_served)
{
    ck_assert_int_eq(set(GASP_MEMORY, 1000, 1099, VIRT, &owner_a), 0);
    ck_assert_int_eq(fill(HV_MAX_RANGES - 2, 0), 0);
    gasp.serve = cant_serve;
    ck_assert_int_eq(set(GASP_MEMORY, 1010, 1019, GRF_NONE, &owner_a), 0);
    ck_assert_int_eq(set(GASP_MEMORY, 1030, 1039, GRF_NONE, &owner_a), ENOSPC);
    ck_assert_int_eq(set(GASP_MEMORY, 1090, 1099, GRF_NONE, &owner_a),
                     0); /* an end needs no slot */
}
END_TEST

/* All servers full: their spares go to what removals leave over, one after the other. */
START_TEST(test_last_spares)
{
    xen.taken = HV_MAX_SERVERS - 2;
    ck_assert_int_eq(set(GASP_MEMORY, 2000, 2099, VIRT, &owner_a), 0);
    ck_assert_int_eq(fill(2 * (HV_MAX_RANGES - 1) - 1, 0), 0);
    ck_assert_int_eq(fill(1, 3000), ENOSPC);
    xen.record = true;
    ck_assert_int_eq(set(GASP_MEMORY, 2010, 2019, GRF_NONE, &owner_a), 0);
    ck_assert_int_eq(set(GASP_MEMORY, 2030, 2039, GRF_NONE, &owner_a), 0);
    ck_assert_str_eq(xen.transcript, "-0:2010-2019 +1:2040-2099 -0:2030-2099 ");
    ck_assert_int_eq(set(GASP_MEMORY, 2050, 2059, GRF_NONE, &owner_a), ENOSPC);
}
END_TEST

/* Each call of a change fails once: nothing has changed, and then it goes through. */
START_TEST(test_each_call_fails)
{
    static const struct {
        uint64_t first, last;
        uint32_t flags;
    } changes[] = {
        {4000, 4001, VIRT},                             /* makes a server when it is the first */
        {1000, 1099, VIRT},     {1010, 1019, GRF_NONE}, /* the spare */
        {1030, 1039, GRF_NONE},                         /* makes a server, moves the tail */
        {1030, 1039, VIRT},                             /* moves it back */
        {1000, 1009, GRF_NONE},
    };
    static const struct {
        int xen, ours;
    } errors[] = {{EIO, EIO},      {ENOMEM, ENOSPC}, {ENOSPC, ENOSPC},
                  {ENOENT, ESRCH}, {ESRCH, ESRCH},   {EEXIST, EIO}};
    unsigned failed = 0;

    xen.error = errors[_i].xen;
    for (size_t c = 0; c < sizeof(changes) / sizeof(changes[0]); c++) {
        int rc;

        if (c == 2)
            ck_assert_int_eq(fill(HV_MAX_RANGES - 3, 0), 0);
        for (unsigned n = 1;; n++) {
            xen.fail_at = xen.calls + n;
            rc = set(GASP_MEMORY, changes[c].first, changes[c].last, changes[c].flags, &owner_a);
            xen.fail_at = 0;
            if (rc == 0)
                break;
            ck_assert_int_eq(rc, errors[_i].ours);
            failed++;
        }
    }
    ck_assert_uint_eq(failed, 2 + 1 + 1 + 3 + 2 + 1);
}
END_TEST

START_TEST(test_enable)
{
    ck_assert_int_eq(fill(3 * (HV_MAX_RANGES - 1), 0), 0);
    ck_assert_uint_eq(gasp.trap.n_servers, 3);
    for (unsigned n = 1; n <= 3; n++) {
        xen.fail_at = xen.calls + n;
        ck_assert_int_eq(trap_enable(&gasp, true), -1);
        ck_assert_int_eq(errno, EIO);
        for (int id = 0; id < 3; id++)
            ck_assert(!xen.now.enabled[id]);
    }
    ck_assert_int_eq(trap_enable(&gasp, true), 0);
    for (int id = 0; id < 3; id++)
        ck_assert(xen.now.enabled[id]);
    xen.fail_at = xen.calls + 1;
    ck_assert_int_eq(trap_enable(&gasp, false), -1); /* the others are disabled all the same */
    ck_assert(!xen.now.enabled[1] && !xen.now.enabled[2]);
    ck_assert_int_eq(trap_enable(&gasp, false), 0);
    ck_assert(!xen.now.enabled[0]);
}
END_TEST

/* Random changes with a failure now and then, dense enough that servers run full. set() checks
 * each. */
START_TEST(test_random)
{
    unsigned done = 0, full = 0, failed = 0;

    xen.taken = 5; /* so that they do run full */
    srandom((unsigned)_i + 1);
    for (int i = 0; i < 6000; i++) {
        enum gasp_space space = random() % 8 ? GASP_MEMORY : GASP_PORTS;
        uint64_t first = (uint64_t)random() % (CELLS - 64);
        /* First small ranges with holes between, then longer ones, which take out middles and close
         * gaps. */
        uint64_t last = first + (uint64_t)random() % (i < 4500 ? 2 : 40);
        uint32_t flags = random() % 3 ? VIRT : random() % 3 ? GRF_NONE : GRF_VIRT_RD;
        int rc;

        xen.fail_at = random() % 10 ? 0 : xen.calls + 1 + (unsigned)random() % 3;
        rc = set(space, first, last, flags, random() % 8 ? &owner_a : &owner_b);
        done += rc == 0;
        full += rc == ENOSPC;
        failed += rc == EIO;
        if (i == 4500)
            gasp.serve = cant_serve;
    }
    ck_assert_uint_gt(done, 1000);
    ck_assert_uint_gt(failed, 50);
    ck_assert_uint_gt(full, 50);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("trap");
    TCase *t = tcase_create("trap");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_difference, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(t, test_servers_on_demand);
    tcase_add_test(t, test_not_served);
    tcase_add_loop_test(t, test_exhaustion, 0, 2);
    tcase_add_test(t, test_take_out_middle);
    tcase_add_test(t, test_take_out_middle_not_served);
    tcase_add_test(t, test_last_spares);
    tcase_add_loop_test(t, test_each_call_fails, 0, 6);
    tcase_add_test(t, test_enable);
    tcase_add_loop_test(t, test_random, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
