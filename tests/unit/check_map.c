/* SPDX-License-Identifier: BSD-2-Clause */
/* Of mapping guest memory what the conformance suite can't show: ROM and device memory, calls that
 * fail, what is forgotten, and a map that changes at a chosen moment. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/unit/gasp_fixture.h"

enum { RW = PROT_READ | PROT_WRITE };
enum { RAM_FLAGS = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE };
#define MEM UINT64_C(0xe0000000)
/* Behind each other: 4 pages of RAM, 2 of ROM, 2 of device memory (the second for reading), a
 * register, and from the next page on a hole. */
#define ROM (MEM + 4 * PAGE)
#define DEVICE (MEM + 6 * PAGE)
#define TRAP (MEM + 8 * PAGE)
#define HOLE (MEM + 9 * PAGE)

static vdev_t dma = {.v_name = "dma"};

static struct space_map *draft_with(uint64_t first, uint64_t bytes, uint32_t flags, void *owner)
{
    const struct space_region region = {
        .range = {first, first + bytes - 1}, .flags = flags, .owner = owner};
    struct space_map *draft = space_draft(&gasp.space[GASP_MEMORY]);

    ck_assert_ptr_nonnull(draft);
    ck_assert_int_eq(space_map_set(draft, &region), 0);
    return draft;
}

/* In the map alone. flags 0: out of it. */
static void put(uint64_t first, uint64_t bytes, uint32_t flags, void *owner)
{
    space_publish(&gasp.space[GASP_MEMORY], draft_with(first, bytes, flags, owner));
}

static void populate(uint64_t gpa)
{
    const uint64_t gfn = gpa / PAGE;

    ck_assert_uint_eq(hv->ops->populate(hv, HV_ORDER_4K, 1, &gfn), 1);
}

static void depopulate(uint64_t gpa)
{
    const uint64_t gfn = gpa / PAGE;

    ck_assert_uint_eq(hv->ops->depopulate(hv, HV_ORDER_4K, 1, &gfn), 1);
}

static void set_up(void)
{
    open_guest((struct hv_sim_options){.type = HV_PVH, .spare_pages = 1024}, false);
    dma.v_gsp = gsp();
    ck_assert_int_eq(vm_ram_register_at(gsp(), MEM, 6 * PAGE, false), 0);
    put(ROM, 2 * PAGE, RAM_FLAGS & ~(uint32_t)GRF_PASS_WR, NULL);
    populate(DEVICE);
    populate(DEVICE + PAGE);
    put(DEVICE, PAGE, GRF_PASS_ANY | GRF_ACTIVE, &vdev_a);
    put(DEVICE + PAGE, PAGE, GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE, &vdev_b);
    ck_assert_int_eq(set(QST_MEMORY, TRAP, 4, VIRT, &vdev_a, 0), 0);
    gasp.settled = true;
}

static void tear_down(void)
{
    close_guest();
}

/* ---- ROM and device memory ---- */

static const struct {
    uint64_t gpa, length;
    int read, write;            /* of gasp_map_sys: errno */
    int dma_read, dma_write;    /* of gasp_map_vdma */
    uint64_t to_read, to_write; /* of gasp_map_contig, bytes */
} kinds[] = {
    {MEM, 4 * PAGE, 0, 0, 0, 0, 4 * PAGE, 4 * PAGE},
    {ROM, PAGE, 0, EACCES, 0, EACCES, PAGE, 0},
    {ROM + PAGE + 5, 1, 0, EACCES, 0, EACCES, 1, 0},
    {MEM, 6 * PAGE, 0, EACCES, 0, EACCES, 6 * PAGE, 4 * PAGE},
    {ROM - 1, 2, 0, EACCES, 0, EACCES, 2, 1},
    {DEVICE, PAGE, 0, 0, ENOENT, ENOENT, 0, 0},
    {DEVICE + PAGE, 8, 0, EACCES, ENOENT, ENOENT, 0, 0},
    {DEVICE, 2 * PAGE, 0, EACCES, ENOENT, ENOENT, 0, 0},
    {ROM, 3 * PAGE, 0, EACCES, ENOENT, ENOENT, 2 * PAGE, 0},
    {MEM, 8 * PAGE, 0, EACCES, ENOENT, ENOENT, 6 * PAGE, 4 * PAGE},
    {MEM, 8 * PAGE + 1, ENOENT, ENOENT, ENOENT, ENOENT, 6 * PAGE, 4 * PAGE},
    {TRAP, 4, ENOENT, ENOENT, ENOENT, ENOENT, 0, 0},
    {TRAP - 1, 2, ENOENT, ENOENT, ENOENT, ENOENT, 0, 0},
    {HOLE, 1, ENOENT, ENOENT, ENOENT, ENOENT, 0, 0},
};

static void expect_map(void *at, uint64_t gpa, size_t length, int error)
{
    if (error) {
        ck_assert_ptr_null(at);
        ck_assert_int_eq(errno, error);
    } else {
        ck_assert_ptr_eq(at, gasp.ram.base + gpa);
        ck_assert_int_eq(gasp_unmap(gsp(), at, length), 0);
    }
    ck_assert_ptr_null(gasp.mapped.tree);
}

START_TEST(test_kinds_of_memory)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (int writes = 0; writes < 2; writes++) {
            uint64_t gpa = kinds[i].gpa, want = writes ? kinds[i].to_write : kinds[i].to_read;
            size_t length = kinds[i].length;
            int prot = writes ? RW : PROT_READ;
            int dma_error = writes ? kinds[i].dma_write : kinds[i].dma_read;
            int first_error = writes && gpa >= ROM && gpa < DEVICE ? EACCES : ENOENT;

            expect_map(gasp_map_sys(gsp(), prot, gpa, length), gpa, length,
                       writes ? kinds[i].write : kinds[i].read);
            expect_map(gasp_map_vdma(&dma, prot, gpa, length), gpa, length, dma_error);
            expect_map(gasp_map_contig(&dma, prot, &gpa, &length), gpa, want,
                       want ? 0 : first_error);
            ck_assert_uint_eq(gpa, kinds[i].gpa);
            ck_assert_uint_eq(length, want ? want : kinds[i].length);
        }
}
END_TEST

/* Which of the regions there would do is looked at byte by byte. */
START_TEST(test_other_flags)
{
    put(MEM, PAGE, GRF_MEMORY | GRF_NOPERMS | GRF_ACTIVE, NULL);
    ck_assert_ptr_null(gasp_map_sys(gsp(), PROT_READ, MEM, 1));
    ck_assert_int_eq(errno, ENOENT);
    put(MEM + PAGE, PAGE, GRF_MEMORY | GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE, NULL);
    ck_assert_ptr_null(gasp_map_sys(gsp(), PROT_READ, MEM + PAGE, 1));
    ck_assert_int_eq(errno, ENOENT);
    put(MEM + 2 * PAGE, PAGE, RAM_FLAGS & ~(uint32_t)GRF_ACTIVE, NULL);
    ck_assert_ptr_null(gasp_map_sys(gsp(), PROT_READ, MEM + 2 * PAGE, 1));
    ck_assert_int_eq(errno, ENOENT);
    expect_map(gasp_map_sys(gsp(), RW, MEM + 3 * PAGE, PAGE), MEM + 3 * PAGE, PAGE, 0);
}
END_TEST

START_TEST(test_device_memory_is_the_guests)
{
    uint64_t *at = gasp_map_sys(gsp(), RW, DEVICE, PAGE), seen = 0;

    ck_assert_ptr_nonnull(at);
    at[3] = 0x1234;
    ck_assert_int_eq(hv_sim_ram(hv, false, DEVICE + 24, &seen, 8), 0);
    ck_assert_uint_eq(seen, 0x1234);
    ck_assert_int_eq(hv_sim_log(hv, true), 0);
    ck_assert_int_eq(gasp_unmap(gsp(), at, PAGE), 0);
    ck_assert(hv_sim_logged(hv, DEVICE / PAGE) && !hv_sim_logged(hv, DEVICE / PAGE + 1));
    ck_assert_int_eq(hv_sim_log(hv, false), 0);
}
END_TEST

START_TEST(test_walk)
{
    struct gasp_walk_state ws;

    /* Whatever kind of memory it is. */
    gasp_walk_init(&ws, gsp(), MEM + 1, 8 * PAGE, GWS_HOST);
    ck_assert_int_eq(gasp_walk_next(&ws), 1);
    ck_assert(ws.guest_loc == MEM + 1 && ws.length == 8 * PAGE - 1);
    ck_assert_uint_eq(ws.host_loc, (uintptr_t)gasp.ram.base + MEM + 1);
    ck_assert_int_eq(gasp_walk_next(&ws), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_uint_eq(gasp_walk_count(gsp(), MEM, 8 * PAGE, GWS_NONE), 1);
    put(ROM, PAGE, GRF_MEMORY | GRF_NOPERMS | GRF_ACTIVE, NULL);
    ck_assert_uint_eq(gasp_walk_count(gsp(), MEM, 8 * PAGE, GWS_SKIP), 2);
    ck_assert_uint_eq(gasp_walk_count(gsp(), ROM, PAGE, GWS_SKIP), 0);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(test_a_call_fails)
{
    const struct hv_sim_usage before = usage();
    uint64_t gpa = 2 * MIB - PAGE;
    size_t length = 2 * PAGE;

    /* Two chunks, neither is mapped: the second fails. */
    hv_sim_fail_call(hv, 2, ENOMEM);
    expect_map(gasp_map_sys(gsp(), RW, gpa, length), gpa, length, ENOMEM);
    hv_sim_fail_call(hv, 0, 0);
    ram_invalidate(&gasp.ram);
    ram_drop_stale(&gasp.ram); /* nothing is pinned */
    ck_assert(same_usage(before, usage()));
    hv_sim_fail_call(hv, 2, ENOMEM);
    expect_map(gasp_map_contig(&dma, RW, &gpa, &length), gpa, PAGE, 0);
    ck_assert_uint_eq(length, PAGE);
    hv_sim_fail_call(hv, 0, 0);
    ram_invalidate(&gasp.ram);
    ram_drop_stale(&gasp.ram);
    hv_sim_fail_call(hv, 1, ENOMEM);
    expect_map(gasp_map_contig(&dma, RW, &gpa, &length), gpa, length, ENOMEM);
    hv_sim_fail_call(hv, 0, 0);
    ck_assert(same_usage(before, usage()));
}
END_TEST

/* close_guest sees that it was given back; the log says what. */
START_TEST(test_forgotten)
{
    uint64_t gpa = MEM + 8;
    size_t length = 8;

    for (int i = 0; i < 2; i++)
        ck_assert_ptr_nonnull(gasp_map_sys(gsp(), RW, MEM + PAGE, PAGE));
    ck_assert_ptr_nonnull(gasp_map_contig(&dma, PROT_READ, &gpa, &length));
    log_forget();
    gasp_unmap_forgotten(&gasp);
    ck_assert_msg(strstr(logged, "[0x00000000e0001000-0x00000000e0001fff] was mapped for the VM"),
                  "%s", logged);
    ck_assert_ptr_nonnull(
        strstr(logged, "[0x00000000e0000008-0x00000000e000000f] was mapped for dma"));
    ck_assert_int_eq(vm_ram_unregister(gsp(), MEM, 4 * PAGE), 0); /* not pinned any more */
}
END_TEST

START_TEST(test_many_forgotten)
{
    unsigned lines = 0;

    for (uint64_t i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(gasp_map_sys(gsp(), PROT_READ, 8 * ((i * 7919) % 1000), 8));
    log_forget();
    gasp_unmap_forgotten(&gasp);
    for (const char *c = logged; *c; c++)
        lines += *c == '\n';
    ck_assert_uint_eq(lines, 9);
    ck_assert_ptr_nonnull(strstr(logged, "992 more"));
    ck_assert_ptr_null(gasp.mapped.tree);
}
END_TEST

/* ---- a map that changes at a chosen moment ---- */

/* The page is exchanged when it was just mapped for somebody who had found it in the map: as
 * unregistering and registering do it, or a change that is taken back. */
static const struct hv_ops *real;
static enum exchange { NONE, REGISTERED_ANEW, TAKEN_BACK, GONE, KINDS } exchange;
static bool later;  /* it is over a while later */
static bool beside; /* what is exchanged is another page of the same 2 MiB */
static pthread_t exchanger;

static uint64_t exchanged_page(void)
{
    return beside ? MEM + PAGE : MEM;
}

static void *exchange_page(void *arg)
{
    struct space *memory = &gasp.space[GASP_MEMORY];
    struct space_map *former = NULL;
    uint64_t gpa = exchanged_page();

    if (later)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    if (exchange == TAKEN_BACK)
        former = space_show(memory, draft_with(gpa, PAGE, 0, NULL));
    else
        put(gpa, PAGE, 0, NULL);
    depopulate(gpa);
    if (exchange != GONE)
        populate(gpa);
    ram_invalidate(&gasp.ram); /* ram_forget takes a lock that may be held here */
    if (exchange == TAKEN_BACK)
        space_take_back(memory, former);
    else if (exchange == REGISTERED_ANEW)
        put(gpa, PAGE, RAM_FLAGS, NULL);
    if (later) /* as ram_depopulate */
        ram_drop_stale(&gasp.ram);
    gasp_changed(&gasp);
    return arg;
}

static int map_and_exchange(struct hv *h, void *at, int prot, size_t n, const uint64_t gfn[],
                            int err[])
{
    int rc = real->map(h, at, prot, n, gfn, err);

    if (exchanger)
        return rc;
    gasp_changing(&gasp, (struct range){exchanged_page(), exchanged_page() + PAGE - 1});
    if (later) {
        ck_assert_int_eq(pthread_create(&exchanger, NULL, exchange_page, NULL), 0);
    } else {
        exchanger = pthread_self(); /* once */
        exchange_page(NULL);
    }
    return rc;
}

static void expect_page(uint64_t gpa)
{
    uint64_t *at = gasp_map_sys(gsp(), RW, gpa, PAGE), seen = 0;

    ck_assert_ptr_nonnull(at);
    at[1] = gpa;
    ck_assert_int_eq(hv_sim_ram(hv, false, gpa + 8, &seen, 8), 0);
    ck_assert_uint_eq(seen, gpa);
    ck_assert_int_eq(gasp_unmap(gsp(), at, PAGE), 0);
}

START_TEST(test_exchanged_meanwhile)
{
    struct hv_ops ops = *hv->ops;
    const uint64_t pages = usage().nr_pages;
    uint64_t gpa = MEM, *at, seen = 0;
    size_t length = PAGE;

    exchange = _i % KINDS;
    later = _i / KINDS & 1;
    beside = _i / KINDS & 2;
    if (exchange == NONE)
        return;
    real = hv->ops;
    ops.map = map_and_exchange;
    hv->ops = &ops;
    at = _i & 1 ? gasp_map_contig(&dma, RW, &gpa, &length) : gasp_map_sys(gsp(), RW, MEM, PAGE);
    if (later)
        pthread_join(exchanger, NULL);
    hv->ops = real;
    if (exchange == GONE && !beside) {
        ck_assert_ptr_null(at);
        ck_assert_int_eq(errno, ENOENT);
        ck_assert_uint_eq(usage().mapped_pages, 0);
    } else {
        ck_assert_ptr_nonnull(at);
        at[1] = 42;
        ck_assert_int_eq(hv_sim_ram(hv, false, MEM + 8, &seen, 8), 0);
        ck_assert_uint_eq(seen, 42);
        if (exchange != GONE) /* nor does it keep another page from being what it is */
            expect_page(exchanged_page());
        ck_assert_int_eq(gasp_unmap(gsp(), at, PAGE), 0);
    }
    /* No mapping of ours keeps a page that went. */
    ck_assert_uint_eq(usage().nr_pages, pages - (exchange == GONE));
}
END_TEST

/* While RAM comes or goes, whoever maps something of the same 2 MiB waits: it would map, and keep,
 * what is only passing. */
static _Atomic bool mapped;
static bool mapped_early;

static void *map_beside(void *arg)
{
    void *at = gasp_map_sys(gsp(), RW, MEM, PAGE);

    (void)arg;
    mapped = true;
    return at;
}

static size_t map_meanwhile(size_t (*change)(struct hv *h, unsigned order, size_t n,
                                             const uint64_t gfn[]),
                            struct hv *h, unsigned order, size_t n, const uint64_t gfn[])
{
    size_t done;

    if (exchanger)
        return change(h, order, n, gfn);
    ck_assert_int_eq(pthread_create(&exchanger, NULL, map_beside, NULL), 0);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    done = change(h, order, n, gfn);
    mapped_early = mapped;
    return done;
}

static size_t map_and_populate(struct hv *h, unsigned order, size_t n, const uint64_t gfn[])
{
    return map_meanwhile(real->populate, h, order, n, gfn);
}

static size_t map_and_depopulate(struct hv *h, unsigned order, size_t n, const uint64_t gfn[])
{
    return map_meanwhile(real->depopulate, h, order, n, gfn);
}

START_TEST(test_waits_for_a_change)
{
    struct hv_ops ops = *hv->ops;
    const uint64_t pages = usage().nr_pages;
    void *at;

    real = hv->ops;
    if (_i == 0)
        ops.populate = map_and_populate;
    else
        ops.depopulate = map_and_depopulate;
    hv->ops = &ops;
    if (_i == 0)
        ck_assert_int_eq(vm_ram_register_at(gsp(), HOLE, PAGE, false), 0);
    else
        ck_assert_int_eq(vm_ram_unregister(gsp(), MEM + 3 * PAGE, PAGE), 0);
    pthread_join(exchanger, &at);
    hv->ops = real;
    ck_assert(!mapped_early);
    ck_assert_ptr_eq(at, gasp.ram.base + MEM);
    ck_assert_uint_eq(usage().nr_pages, _i == 0 ? pages + 1 : pages - 1);
    if (_i == 0)
        expect_page(HOLE);
    ck_assert_int_eq(gasp_unmap(gsp(), at, PAGE), 0);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 3, ROUNDS = 4000 };

/* Each maps ranges that overlap the others', now and then the same one twice. */
static void *map_much(void *arg)
{
    uintptr_t number = (uintptr_t)arg;
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t gpa = PAGE * (i * (number + 1) % 16) + 8 * number, length = 8 + PAGE * (i % 3);
        uint64_t *at = gasp_map_sys(gsp(), RW, gpa, length), *again;

        if (!at)
            return (void *)1;
        again = gasp_map_vdma(&dma, PROT_READ, gpa, length);
        wrong += again != at;
        *at = i;
        wrong += gasp_unmap(gsp(), at, length + 1) != EINVAL;
        wrong += gasp_unmap(gsp(), at, length) != 0;
        wrong += *at != i;
        wrong += gasp_unmap(gsp(), again, length) != 0;
    }
    return (void *)wrong;
}

START_TEST(test_threads)
{
    pthread_t thread[THREADS];
    void *wrong;

    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, map_much, (void *)i), 0);
    for (int i = 0; i < 200; i++) { /* the map changes all the time, elsewhere */
        put(HOLE, PAGE, GRF_NOPERMS | GRF_ACTIVE, &vdev_b);
        sched_yield();
        put(HOLE, PAGE, 0, &vdev_b);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
    ck_assert_ptr_null(gasp.mapped.tree);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("map");
    TCase *tc = tcase_create("map");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_kinds_of_memory);
    tcase_add_test(tc, test_other_flags);
    tcase_add_test(tc, test_device_memory_is_the_guests);
    tcase_add_test(tc, test_walk);
    tcase_add_test(tc, test_a_call_fails);
    tcase_add_test(tc, test_forgotten);
    tcase_add_test(tc, test_many_forgotten);
    tcase_add_loop_test(tc, test_exchanged_meanwhile, 0, 4 * KINDS);
    tcase_add_loop_test(tc, test_waits_for_a_change, 0, 2);
    tcase_add_test(tc, test_threads);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(make_suite)
