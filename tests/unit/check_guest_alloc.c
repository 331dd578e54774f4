/* SPDX-License-Identifier: BSD-2-Clause */
/* The allocator as its users see it: addresses, errno, what is logged. What it does with blocks is
 * for the fuzzer. */
#include <pthread.h>
#include <string.h>

#include "tests/unit/gasp_fixture.h"

#define MEM UINT64_C(0xe0000000)
enum { BYTES = 64 * PAGE, KEPT = 4711 };

static void set_up(void)
{
    open_pvh();
    ck_assert_int_eq(vm_ram_register_at(gsp(), MEM, BYTES, false), 0);
    log_forget();
}

/* A call that returns nothing: 0, or errno; success leaves errno alone, and failure is logged. */
static int mark(uint64_t start, uint64_t bytes)
{
    log_forget();
    errno = KEPT;
    vm_ram_mark_allocated(gsp(), start, bytes);
    ck_assert((errno == KEPT) == !strstr(logged, "vm_ram_mark_allocated"));
    return errno == KEPT ? 0 : errno;
}

static int give(uint64_t start, uint64_t bytes)
{
    log_forget();
    errno = KEPT;
    vm_ram_free(gsp(), start, bytes);
    ck_assert((errno == KEPT) == !strstr(logged, "vm_ram_free"));
    return errno == KEPT ? 0 : errno;
}

static void expect_largest(uint64_t start, uint64_t bytes)
{
    uintptr_t addr = 1;
    size_t size = 2;

    if (bytes == 0) {
        ck_assert_int_eq(vm_ram_find_largest_free_region(gsp(), &addr, &size), -1);
        ck_assert_int_eq(errno, ENOENT);
        start = 1; /* as they were */
        bytes = 2;
    } else {
        ck_assert_int_eq(vm_ram_find_largest_free_region(gsp(), &addr, &size), 0);
    }
    ck_assert_uint_eq(addr, start);
    ck_assert_uint_eq(size, bytes);
}

START_TEST(allocates_where_it_first_fits)
{
    expect_largest(MEM, BYTES);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 0x10), MEM);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 0x20), MEM + 0x10); /* to the byte */
    ck_assert_uint_eq(vm_ram_allocate(gsp(), PAGE), MEM + 0x30);
    ck_assert_int_eq(give(MEM + 0x10, 0x20), 0);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 0x21), MEM + 0x30 + PAGE);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 0x20), MEM + 0x10);
    expect_largest(MEM + 0x51 + PAGE, BYTES - 0x51 - PAGE);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), BYTES), 0);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 0), 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), BYTES - 0x51 - PAGE), MEM + 0x51 + PAGE);
    expect_largest(0, 0);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 1), 0);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(marks_what_is_asked_for)
{
    ck_assert_int_eq(mark(MEM + 7, 3), 0);
    ck_assert_int_eq(mark(MEM + 7, 3), EBUSY);
    ck_assert_int_eq(mark(MEM, 8), EBUSY);
    ck_assert_int_eq(mark(MEM + 9, BYTES - 9), EBUSY);
    ck_assert_int_eq(mark(MEM, 7), 0);
    ck_assert_int_eq(mark(MEM + 10, BYTES - 9), ENOENT); /* one byte behind it */
    ck_assert_int_eq(mark(MEM - 1, 1), ENOENT);
    ck_assert_int_eq(mark(SPACE_LIMIT + PAGE, 1), ENOENT);
    ck_assert_int_eq(mark(MEM + 10, 0), EINVAL);
    ck_assert_int_eq(mark(UINT64_MAX, 2), EINVAL);
    ck_assert_int_eq(mark(MEM + 10, BYTES - 10), 0);
    expect_largest(0, 0);
}
END_TEST

/* The guest uses what it came with. */
START_TEST(the_guests_own_ram_is_its_own)
{
    ck_assert_int_eq(mark(PAGE, PAGE), EBUSY);
    ck_assert_int_eq(mark(RAM_BYTES - 1, 2), ENOENT); /* not all RAM comes before that */
    ck_assert_int_eq(give(PAGE, PAGE), ENOENT);
    ck_assert_int_eq(vm_ram_register_at(gsp(), RAM_BYTES, PAGE, false), 0);
    ck_assert_int_eq(mark(RAM_BYTES - 1, 2), EBUSY);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 1), RAM_BYTES);
}
END_TEST

START_TEST(frees_what_was_allocated_and_nothing_else)
{
    const uint64_t a = MEM + 2 * PAGE, b = MEM + 10 * PAGE;

    ck_assert_int_eq(mark(a, 8 * PAGE), 0);
    ck_assert_int_eq(mark(b, 100), 0);
    ck_assert_int_eq(give(a, 0), EINVAL);
    ck_assert_int_eq(give(UINT64_MAX, 2), EOVERFLOW);
    ck_assert_int_eq(give(MEM, PAGE), ENOENT);         /* free */
    ck_assert_int_eq(give(MEM, 4 * PAGE), ENOENT);     /* in part */
    ck_assert_int_eq(give(b, 101), ENOENT);            /* a byte too many */
    ck_assert_int_eq(give(MEM + BYTES, PAGE), ENOENT); /* not RAM */
    ck_assert_int_eq(give(SPACE_LIMIT, PAGE), ENOENT);
    ck_assert_int_eq(give(a + 7 * PAGE, PAGE + 100), EINVAL); /* of two */
    ck_assert_int_eq(give(a, 100), EINVAL);                   /* a part, not whole pages */
    ck_assert_int_eq(give(b, 99), EINVAL);
    ck_assert_int_eq(give(a + 2 * PAGE, PAGE), 0);
    ck_assert_int_eq(give(a + 2 * PAGE, PAGE), ENOENT); /* twice */
    ck_assert_int_eq(give(a, 3 * PAGE), ENOENT);
    ck_assert_int_eq(give(a, 2 * PAGE), 0); /* what was left of it: two allocations */
    ck_assert_int_eq(give(a + 3 * PAGE, 5 * PAGE), 0);
    expect_largest(b + 100, BYTES - 10 * PAGE - 100);
    ck_assert_int_eq(give(b, 100), 0);
    expect_largest(MEM, BYTES);
}
END_TEST

START_TEST(registrations_that_touch_are_one_place)
{
    char bytes[4];

    ck_assert_int_eq(vm_ram_register_at(gsp(), MEM + BYTES, PAGE, false), 0);
    expect_largest(MEM, BYTES + PAGE);
    ck_assert_int_eq(mark(MEM + BYTES - 1, 2), 0);
    /* From free to allocated, and back, and from one to the other. */
    ck_assert_int_eq(vm_ram_touch(gsp(), MEM + BYTES - 2, 4, vm_guest_ram_read_callback, bytes), 0);
    ck_assert_int_eq(vm_ram_register_at(gsp(), MEM + BYTES + 2 * PAGE, PAGE, false), 0);
    ck_assert_int_eq(mark(MEM + BYTES + PAGE - 1, 2), ENOENT);
}
END_TEST

/* 0 is vm_ram_allocate's failure. */
START_TEST(page_zero_is_for_alloc_alone)
{
    const struct range zero = {0, 2 * PAGE - 1};
    uint64_t gpa = KEPT;

    ck_assert_int_eq(ram_allocator_add(gasp.ram.allocator, zero), 0);
    ck_assert_int_eq(ram_allocator_give(gasp.ram.allocator, zero, 1), 0);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 1), PAGE);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), PAGE), MEM);
    ck_assert_int_eq(vm_ram_alloc(gsp(), PAGE, 1, &gpa), 0);
    ck_assert_uint_eq(gpa, 0);
}
END_TEST

START_TEST(of_equals_the_lowest_is_largest)
{
    ck_assert_int_eq(mark(MEM + 20 * PAGE, 4 * PAGE), 0);
    expect_largest(MEM + 24 * PAGE, 40 * PAGE);
    ck_assert_int_eq(mark(MEM + 44 * PAGE, 20 * PAGE), 0);
    expect_largest(MEM, 20 * PAGE);
}
END_TEST

START_TEST(a_refused_registration_is_not_allocated)
{
    hv_sim_fail_call(hv, 1, ENOMEM);
    ck_assert_int_eq(vm_ram_register_at(gsp(), 2 * MEM, PAGE, false), -1);
    ck_assert_int_eq(mark(2 * MEM, 1), ENOENT);
    ck_assert_int_eq(vm_ram_register_at(gsp(), 2 * MEM, PAGE, false), 0);
    ck_assert_int_eq(mark(2 * MEM, 1), 0);
}
END_TEST

static const struct align_row {
    size_t bytes, align;
    uint64_t found;
    int rc;
} align_rows[] = {
    {1, 1, MEM + 5, 0},
    {PAGE, PAGE, MEM + PAGE, 0},
    {3, 4, MEM + 8, 0},
    {PAGE, 32 * PAGE, MEM + 32 * PAGE, 0},
    {BYTES, 1, 0, ENOMEM},
    {33 * PAGE, 32 * PAGE, 0, ENOMEM},
    {1, UINT64_C(1) << 63, 0, ENOMEM},
    {SIZE_MAX, 1, 0, ENOMEM},
    {0, 1, 0, EINVAL},
    {1, 0, 0, EINVAL},
    {1, 3, 0, EINVAL},
};

START_TEST(alloc_aligns)
{
    const struct align_row *row = &align_rows[_i];
    uint64_t gpa = KEPT;
    int rc;

    ck_assert_int_eq(mark(MEM, 5), 0);
    rc = vm_ram_alloc(gsp(), row->bytes, row->align, &gpa);
    ck_assert_int_eq(rc, row->rc ? -1 : 0);
    if (rc)
        ck_assert_int_eq(errno, row->rc);
    ck_assert_uint_eq(gpa, rc ? KEPT : row->found);
}
END_TEST

/* Threads that allocate, use and free never get the same bytes. */
static void *allocate_thread(void *arg)
{
    for (uintptr_t i = 0; i < 3000; i++) {
        uint64_t mine = (uintptr_t)arg << 32 | i, found = 0;
        uintptr_t at = vm_ram_allocate(gsp(), 8 + 24 * (i % 5));

        if (!at)
            return (void *)"no room";
        vm_ram_write(gsp(), at, &mine, sizeof(mine));
        vm_ram_read(gsp(), at, &found, sizeof(found));
        if (found != mine)
            return (void *)"given to two";
        vm_ram_free(gsp(), at, 8 + 24 * (i % 5));
    }
    return NULL;
}

START_TEST(threads_get_bytes_of_their_own)
{
    pthread_t thread[4];
    void *failed;

    for (uintptr_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, allocate_thread, (void *)i), 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(thread[i], &failed), 0);
        ck_assert_msg(!failed, "%s", (char *)failed);
    }
    expect_largest(MEM, BYTES);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("guest_alloc");
    TCase *t = tcase_create("guest_alloc");

    tcase_add_checked_fixture(t, set_up, close_guest);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, allocates_where_it_first_fits);
    tcase_add_test(t, marks_what_is_asked_for);
    tcase_add_test(t, the_guests_own_ram_is_its_own);
    tcase_add_test(t, frees_what_was_allocated_and_nothing_else);
    tcase_add_test(t, registrations_that_touch_are_one_place);
    tcase_add_test(t, page_zero_is_for_alloc_alone);
    tcase_add_test(t, of_equals_the_lowest_is_largest);
    tcase_add_test(t, a_refused_registration_is_not_allocated);
    tcase_add_loop_test(t, alloc_aligns, 0, sizeof(align_rows) / sizeof(align_rows[0]));
    tcase_add_test(t, threads_get_bytes_of_their_own);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
