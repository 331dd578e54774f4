/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks of the spaces, what needs them, and setting that must not fail. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "tests/unit/gasp_fixture.h"

/* A free place in memory, and among the ports. */
#define MEM UINT64_C(0xe0000000)
enum { PORT = 0x3000 };

/* ---- locks ---- */

static int called_from_thread[2];

static void *lock_and_unlock(void *arg)
{
    (void)arg;
    called_from_thread[0] = gasp_unlock(gsp(), QST_MEMORY);
    called_from_thread[1] = gasp_lock(gsp(), QST_MEMORY);
    gasp_unlock(gsp(), QST_MEMORY);
    return NULL;
}

START_TEST(test_locks)
{
    static const uint16_t without_map[] = {QST_PCI_IO, QST_VIRTUAL, QST_NO_TYPE};
    struct timespec soon;
    pthread_t thread;

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(gasp_lock(gsp(), without_map[i]), EINVAL);
        ck_assert_int_eq(gasp_unlock(gsp(), without_map[i]), EINVAL);
    }
    ck_assert_int_eq(gasp_unlock(gsp(), QST_MEMORY), EPERM); /* nobody has it */
    ck_assert_int_eq(gasp_lock(gsp(), QST_MEMORY), 0);
    ck_assert_int_eq(gasp_lock(gsp(), QST_MEMORY), 0); /* recursive */
    ck_assert_int_eq(gasp_lock(gsp(), QST_X86_IO), 0);
    ck_assert_int_eq(gasp_lock(gsp(), QST_MEMORY), 0); /* held already: no matter of order */
    ck_assert_int_eq(gasp_unlock(gsp(), QST_X86_IO), 0);

    /* Another thread can neither unlock it nor pass. */
    pthread_create(&thread, NULL, lock_and_unlock, NULL);
    for (int depth = 3; depth > 0; depth--) {
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 20000000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        ck_assert_int_eq(pthread_timedjoin_np(thread, NULL, &soon), ETIMEDOUT);
        ck_assert_int_eq(gasp_unlock(gsp(), QST_MEMORY), 0);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(called_from_thread[0], EPERM);
    ck_assert_int_eq(called_from_thread[1], 0);
    ck_assert_int_eq(gasp_unlock(gsp(), QST_MEMORY), EPERM);

    /* Against the order. */
    ck_assert_int_eq(gasp_lock(gsp(), QST_X86_IO), 0);
    ck_assert_int_eq(gasp_lock(gsp(), QST_MEMORY), EDEADLK);
    ck_assert_int_eq(gasp_unlock(gsp(), QST_X86_IO), 0);
    ck_assert_int_eq(gasp_lock(gsp(), QST_MEMORY), 0);
    ck_assert_int_eq(gasp_unlock(gsp(), QST_MEMORY), 0);
}
END_TEST

/* Once the guest runs, each space is changed under its own lock. */
START_TEST(test_running_needs_lock)
{
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, VIRT, &vdev_a, 0), 0);
    gasp.running = true;
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_a, 0), EPERM);
    ck_assert_int_eq(set(QST_MEMORY, UINT64_MAX, 2, VIRT, &vdev_a, 0), EOVERFLOW);
    ck_assert_int_eq(set(QST_MEMORY, 0xfee00000, 2, VIRT, &vdev_a, 0), EPERM); /* before EBUSY */
    ck_assert_int_eq(set(QST_MEMORY, MEM, 0, VIRT, &vdev_a, 0), 0);
    gasp_lock(gsp(), QST_X86_IO);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_a, 0), EPERM);
    ck_assert_int_eq(set(QST_X86_IO, PORT, 1, VIRT, &vdev_a, 0), 0);
    gasp_unlock(gsp(), QST_X86_IO);
    gasp_lock(gsp(), QST_MEMORY);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_a, 0), 0);
    gasp_unlock(gsp(), QST_MEMORY);
}
END_TEST

/* ---- many threads ---- */

enum { LOOKUPS = 20000 };

static void *look_all_the_time(void *arg)
{
    uintptr_t wrong = 0;

    (void)arg;
    for (int i = 0; i < LOOKUPS; i++) {
        struct gasp_region rgn;
        char byte = 1;
        int rc = info(QST_MEMORY, MEM + (unsigned)i % 64, &rgn);

        if (rc == 0)
            wrong += rgn.vdev != (rgn.cookie == 1 ? &vdev_a : &vdev_b) || rgn.guest.length != 64;
        else
            wrong += rc != ENOENT;
        wrong += info(QST_MEMORY, MIB, &rgn) != 0;
        wrong += vm_ram_read(gsp(), MIB, &byte, 1) != 0 || byte != 0;
    }
    return (void *)wrong;
}

static _Atomic bool stop;

static void *change_all_the_time(void *arg)
{
    uint32_t cookie = arg ? 1 : 2;
    vdev_t *vdev = arg ? &vdev_a : &vdev_b;
    uintptr_t wrong = 0;

    while (!stop) {
        gasp_lock(gsp(), QST_MEMORY);
        wrong += set(QST_MEMORY, MEM, 64, VIRT, vdev, cookie) != 0;
        wrong += set(QST_MEMORY, MEM, 64, GRF_NONE, vdev, cookie) != 0;
        gasp_unlock(gsp(), QST_MEMORY);
    }
    return (void *)wrong;
}

START_TEST(test_threads)
{
    pthread_t reader[2], writer[2];
    void *wrong;

    ck_assert_int_eq(set(QST_MEMORY, MEM + PAGE, 1, VIRT, &vdev_a, 0), 0);
    gasp.running = true;
    for (int i = 0; i < 2; i++) {
        pthread_create(&reader[i], NULL, look_all_the_time, NULL);
        pthread_create(&writer[i], NULL, change_all_the_time, i ? &stop : NULL);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(reader[i], &wrong);
        ck_assert_uint_eq((uintptr_t)wrong, 0);
    }
    stop = true;
    for (int i = 0; i < 2; i++) {
        pthread_join(writer[i], &wrong);
        ck_assert_uint_eq((uintptr_t)wrong, 0);
    }
}
END_TEST

/* ---- gasp_region_set ---- */

static int ended_with;

static void note_end(void *arg, int code)
{
    ck_assert_ptr_eq(arg, &ended_with);
    ended_with = code;
}

static void *can_lock(void *arg)
{
    (void)arg;
    if (gasp_lock(gsp(), QST_MEMORY) == 0)
        gasp_unlock(gsp(), QST_MEMORY);
    return NULL;
}

static const struct gasp_region three[] = {
    {.flags = VIRT, .vdev = &vdev_a, .guest = {MEM, PAGE, QST_MEMORY, 0}},
    {.flags = VIRT, .guest = {MEM + PAGE, PAGE, QST_MEMORY, 0}}, /* without a vdev */
    {.flags = VIRT, .vdev = &vdev_a, .guest = {PORT, 4, QST_X86_IO, 0}},
};

/* It takes the locks, logs what and why, and tells the hook; what comes after isn't set. */
START_TEST(test_set_or_end)
{
    struct gasp_region is;
    pthread_t thread;

    gasp_set_fatal(gsp(), note_end, &ended_with);
    gasp.running = _i;
    ended_with = 0;
    gasp_region_set(gsp(), 1, three);
    ck_assert_int_eq(ended_with, 0);
    ck_assert_int_eq(info(QST_MEMORY, MEM, &is), 0);
    log_forget();
    gasp_region_set(gsp(), 3, three);
    ck_assert_int_eq(ended_with, _i ? 96 : 64);
    ck_assert_ptr_nonnull(strstr(logged, "the VM can't have 0x1000 bytes at 0xe0001000"));
    ck_assert_ptr_nonnull(strstr(logged, "Invalid argument"));
    ck_assert_int_eq(info(QST_X86_IO, PORT, &is), ENOENT);
    pthread_create(&thread, NULL, can_lock, NULL); /* the lock is free */
    pthread_join(thread, NULL);
    gasp_region_set(gsp(), 1, &(struct gasp_region){.guest = {0, 1, QST_CPUREGS, 0}});
    ck_assert_ptr_nonnull(strstr(logged, "not supported"));
}
END_TEST

START_TEST(test_ends_the_process)
{
    gasp.running = _i;
    gasp_region_set(gsp(), 3, three);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("gasp_lock");
    TCase *t = tcase_create("gasp_lock"), *ends[2] = {tcase_create("start"), tcase_create("run")};

    tcase_add_checked_fixture(t, open_pvh, close_guest);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_locks);
    tcase_add_test(t, test_running_needs_lock);
    tcase_add_test(t, test_threads);
    tcase_add_loop_test(t, test_set_or_end, 0, 2);
    suite_add_tcase(suite, t);
    for (int i = 0; i < 2; i++) {
        tcase_add_checked_fixture(ends[i], open_pvh, NULL);
        tcase_add_loop_exit_test(ends[i], test_ends_the_process, i ? 96 : 64, i, i + 1);
        suite_add_tcase(suite, ends[i]);
    }
    return suite;
}

CHECK_MAIN(make_suite)
