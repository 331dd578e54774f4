/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving registered RAM back. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/gasp_fixture.h"

#define MEM UINT64_C(0xe0000000)
enum { MIB2 = 2 * MIB };

/* What registering raises, and what is charged. */
struct limits {
    uint64_t max_pages, pool;
    struct hv_sim_usage usage;
};

static struct limits limits(void)
{
    struct limits l = {.usage = usage()};
    struct hv_info i;

    ck_assert_int_eq(hv->ops->info(hv, &i), 0);
    ck_assert_int_eq(hv->ops->get_paging_pool(hv, &l.pool), 0);
    l.max_pages = i.max_pages;
    return l;
}

static void expect_limits(struct limits wanted)
{
    struct limits is = limits();

    ck_assert_uint_eq(is.max_pages, wanted.max_pages);
    ck_assert_uint_eq(is.pool, wanted.pool);
    ck_assert_uint_eq(is.usage.mapped_pages, 0);
    wanted.usage.mapped_pages = 0;
    ck_assert(same_usage(is.usage, wanted.usage));
}

static void add(uint64_t start, uint64_t bytes)
{
    ck_assert_int_eq(vm_ram_register_at(gsp(), start, bytes, false), 0);
}

static int give_back(uint64_t start, uint64_t bytes)
{
    return vm_ram_unregister(gsp(), start, bytes) == 0 ? 0 : errno;
}

static bool is_ram(uint64_t gpa)
{
    uint64_t word;

    return vm_ram_read(gsp(), gpa, &word, 8) == 0 && hv_sim_ram(hv, false, gpa, &word, 8) == 0;
}

static bool is_hole(uint64_t gpa)
{
    struct gasp_region rgn;
    uint64_t word;

    return vm_ram_read(gsp(), gpa, &word, 8) < 0 && errno == ENOENT &&
           hv_sim_ram(hv, false, gpa, &word, 8) < 0 && info(QST_MEMORY, gpa, &rgn) == ENOENT;
}

START_TEST(gives_all_back)
{
    struct limits before = limits();
    uint64_t word = 4711;

    for (int i = 0; i < 3; i++) {
        add(MEM, MIB2 + PAGE);
        ck_assert_int_eq(vm_ram_read(gsp(), MEM + MIB2, &word, 8), 0);
        ck_assert_uint_eq(word, 0);
        word = 4711;
        ck_assert_int_eq(vm_ram_write(gsp(), MEM + MIB2, &word, 8), 0);
        ck_assert_int_eq(give_back(MEM, MIB2 + 1), 0); /* rounded up */
        ck_assert(is_hole(MEM) && is_hole(MEM + MIB2));
        ck_assert_uint_eq(gasp.n_own_ram, 0);
        ck_assert_uint_eq(vm_ram_allocate(gsp(), 1), 0);
        expect_limits(before);
    }
}
END_TEST

START_TEST(gives_parts_back)
{
    struct limits before = limits(), whole;

    add(MEM, 3 * PAGE);
    whole = limits();
    ck_assert_int_eq(give_back(MEM + PAGE, PAGE), 0);
    ck_assert(is_ram(MEM) && is_hole(MEM + PAGE) && is_ram(MEM + 2 * PAGE));
    ck_assert_uint_eq(gasp.n_own_ram, 2);
    ck_assert_uint_eq(limits().max_pages, whole.max_pages - 1);
    ck_assert_uint_eq(limits().usage.nr_pages, whole.usage.nr_pages - 1);
    ck_assert_int_eq(give_back(MEM, PAGE), 0);
    ck_assert_int_eq(give_back(MEM + 2 * PAGE, PAGE), 0);
    ck_assert_uint_eq(gasp.n_own_ram, 0);
    expect_limits(before);
}
END_TEST

START_TEST(gives_registrations_that_touch_back_at_once)
{
    struct limits before = limits();

    add(MEM, MIB2);
    add(MEM + MIB2, 5 * PAGE);
    ck_assert_int_eq(give_back(MEM + PAGE, MIB2 + PAGE), 0);
    ck_assert(is_ram(MEM) && is_hole(MEM + PAGE) && is_hole(MEM + MIB2 + PAGE));
    ck_assert(is_ram(MEM + MIB2 + 2 * PAGE));
    ck_assert_int_eq(give_back(MEM, PAGE), 0);
    ck_assert_int_eq(give_back(MEM + MIB2 + 2 * PAGE, 3 * PAGE), 0);
    expect_limits(before);
}
END_TEST

static const struct refused_row {
    uint64_t start, bytes;
    int rc;
} refused_rows[] = {
    {MEM, 0, EINVAL},
    {MEM + 1, PAGE, EINVAL},
    {MEM, UINT64_MAX, EOVERFLOW},
    {MEM, UINT64_MAX - PAGE, EOVERFLOW},
    {SPACE_LIMIT, PAGE, EOVERFLOW},
    {SPACE_LIMIT - PAGE, 2 * PAGE, EOVERFLOW},
    {MEM + 4 * PAGE, PAGE, ENOENT},     /* behind it */
    {MEM + 3 * PAGE, 2 * PAGE, ENOENT}, /* in part */
    {MEM - PAGE, 2 * PAGE, ENOENT},
    {0, PAGE, ENOENT},                    /* the guest's own */
    {RAM_BYTES - PAGE, 2 * PAGE, ENOENT}, /* and ours behind it */
    {MEM + PAGE, PAGE, EBUSY},            /* allocated, see below */
    {MEM, 4 * PAGE, EBUSY},
    {0xfee00000, PAGE, ENOENT},
};

START_TEST(refused)
{
    const struct refused_row *row = &refused_rows[_i];
    struct limits before;

    add(MEM, 4 * PAGE);
    add(RAM_BYTES, PAGE);
    vm_ram_mark_allocated(gsp(), MEM + PAGE + 100, 1);
    before = limits();
    ck_assert_int_eq(give_back(row->start, row->bytes), row->rc);
    expect_limits(before);
    ck_assert_uint_eq(gasp.n_own_ram, 2);
    ck_assert(is_ram(MEM) && is_ram(MEM + 3 * PAGE) && is_ram(RAM_BYTES));
    vm_ram_free(gsp(), MEM + PAGE + 100, 1);
    ck_assert_int_eq(give_back(MEM, 4 * PAGE), 0);
}
END_TEST

static int unregister_inside(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset,
                             void *cookie)
{
    (void)offset;
    *(int *)cookie = vm_ram_unregister(vm, gpa & -(uintptr_t)PAGE, PAGE) == 0 ? 0 : errno;
    memset(at, 7, size); /* must still be there */
    return 0;
}

START_TEST(a_touch_keeps_it)
{
    char seven = 0;
    int rc = 0;

    add(MEM, PAGE);
    ck_assert_int_eq(vm_ram_touch(gsp(), MEM + 8, 8, unregister_inside, &rc), 0);
    ck_assert_int_eq(rc, EBUSY);
    ck_assert_int_eq(vm_ram_read(gsp(), MEM + 15, &seven, 1), 0);
    ck_assert_int_eq(seven, 7);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), PAGE), MEM); /* free as before */
    vm_ram_free(gsp(), MEM, PAGE);
    ck_assert_int_eq(give_back(MEM, PAGE), 0);
}
END_TEST

/* Pages that the guest has given up are nobody's to give back. */
START_TEST(passes_over_what_the_guest_gave_up)
{
    const uint64_t gfn = (MEM >> HV_PAGE_SHIFT) + 1;
    struct limits before = limits();

    add(MEM, 3 * PAGE);
    ck_assert_uint_eq(hv->ops->depopulate(hv, HV_ORDER_4K, 1, &gfn), 1);
    ck_assert_int_eq(give_back(MEM, 3 * PAGE), 0);
    expect_limits(before);
}
END_TEST

/* Taken by itself, be it held already or not; against the order of locks it can't be. */
START_TEST(takes_the_lock_of_the_space)
{
    add(MEM, 3 * PAGE);
    gasp.running = true;
    ck_assert_int_eq(give_back(MEM, PAGE), 0);
    ck_assert_int_eq(gasp_lock(gsp(), QST_MEMORY), 0);
    ck_assert_int_eq(give_back(MEM + PAGE, PAGE), 0);
    ck_assert_int_eq(gasp_unlock(gsp(), QST_MEMORY), 0);
    ck_assert_int_eq(gasp_lock(gsp(), QST_X86_IO), 0);
    ck_assert_int_eq(give_back(MEM + 2 * PAGE, PAGE), EDEADLK);
    ck_assert_int_eq(gasp_unlock(gsp(), QST_X86_IO), 0);
    ck_assert(is_hole(MEM) && is_hole(MEM + PAGE) && is_ram(MEM + 2 * PAGE));
}
END_TEST

/* Readers of RAM that comes and goes get it or ENOENT, and never crash. */
static _Atomic bool done;
static void *read_thread(void *arg)
{
    unsigned long *n_read = arg;
    char bytes[2 * PAGE];

    while (!done) {
        if (vm_ram_read(gsp(), MEM + MIB2 - PAGE, bytes, sizeof(bytes)) == 0)
            ++*n_read;
        else if (errno != ENOENT)
            return (void *)"neither read nor ENOENT";
    }
    return NULL;
}

START_TEST(readers_while_it_comes_and_goes)
{
    struct limits before = limits();
    unsigned long n_read[2] = {0, 0};
    pthread_t thread[2];
    void *failed;

    done = false;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, read_thread, &n_read[i]), 0);
    for (int i = 0; i < 100; i++) {
        int rc;

        add(MEM, 2 * MIB2);
        sched_yield();
        while ((rc = give_back(MEM, 2 * MIB2)) == EBUSY) /* a reader is mapping it */
            sched_yield();
        ck_assert_int_eq(rc, 0);
    }
    done = true;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(thread[i], &failed), 0);
        ck_assert_msg(!failed, "%s", (char *)failed);
    }
    ck_assert_uint_gt(n_read[0] + n_read[1], 0);
    ram_invalidate(&gasp.ram);
    ram_drop_stale(&gasp.ram);
    expect_limits(before);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("guest_unregister");
    TCase *t = tcase_create("guest_unregister");

    tcase_add_checked_fixture(t, open_pvh, close_guest);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, gives_all_back);
    tcase_add_test(t, gives_parts_back);
    tcase_add_test(t, gives_registrations_that_touch_back_at_once);
    tcase_add_loop_test(t, refused, 0, sizeof(refused_rows) / sizeof(refused_rows[0]));
    tcase_add_test(t, a_touch_keeps_it);
    tcase_add_test(t, passes_over_what_the_guest_gave_up);
    tcase_add_test(t, takes_the_lock_of_the_space);
    tcase_add_test(t, readers_while_it_comes_and_goes);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
