/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest's RAM and its mapping have to keep up with: Xen's log of dirty pages, and ballooning
 * that nothing but the memory target announces. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "hv/sim.h"
#include "ram/ram_internal.h"
#include "tests/unit/guest_fixture.h"

enum { PAGE = 4096, MIB = 1 << 20 };

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l}, NULL);
}

static void *run(void *arg)
{
    ck_assert_int_eq(guest_run(arg), 0);
    return NULL;
}

static pthread_t start_run(void)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, run, gsp), 0);
    while (gsp->gasp.ram.watcher < 0)
        sleep_ms(1);
    return thread;
}

static void end_run(pthread_t thread)
{
    guest_stop(gsp);
    pthread_join(thread, NULL);
}

static bool logged(uint64_t gpa)
{
    return hv_sim_logged(gsp->hv, gpa / PAGE);
}

static unsigned logged_pages(uint64_t first, uint64_t end)
{
    unsigned n = 0;

    for (; first < end; first += PAGE)
        n += logged(first);
    return n;
}

static bool within_ms(unsigned ms, bool (*is)(uint64_t), uint64_t arg)
{
    for (unsigned i = 0; i < ms && !is(arg); i++)
        sleep_ms(1);
    return is(arg);
}

static void write_word(uint64_t gpa)
{
    uint64_t word = gpa;

    ck_assert_int_eq(vm_ram_write(gsp, gpa, &word, 8), 0);
}

static int stop_at_second(vm_t *vm, uintptr_t gpa, void *vaddr, size_t size, size_t offset,
                          void *cookie)
{
    (void)vm;
    (void)gpa;
    (void)vaddr;
    (void)size;
    (void)cookie;
    return offset > 0;
}

/* With nobody to report them later, writes are told at once; exactly those pages. */
START_TEST(writes_without_a_run)
{
    char buf[3 * PAGE];

    open_guest(1, false);
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    ck_assert_int_eq(vm_ram_read(gsp, MIB, buf, sizeof(buf)), 0);
    ck_assert_int_eq(vm_ram_touch(gsp, MIB, PAGE, vm_guest_ram_read_callback, buf), 0);
    ck_assert_uint_eq(logged_pages(0, 4 * MIB), 0);
    write_word(MIB);
    ck_assert_int_eq(vm_ram_write(gsp, MIB + 4 * PAGE + 5, buf, 2 * PAGE), 0);
    ck_assert_int_eq(vm_ram_touch(gsp, 2 * MIB - 8, 16, vm_guest_ram_write_callback, buf), 0);
    ck_assert_int_eq(vm_ram_touch(gsp, 3 * MIB, 3 * PAGE, stop_at_second, NULL), 1);
    ck_assert_int_eq(vm_ram_store8(gsp, MIB + 10 * PAGE, 1), 0);
    for (unsigned page = 4; page <= 6; page++)
        ck_assert(logged(MIB + page * PAGE));
    ck_assert(logged(MIB) && logged(2 * MIB - 1) && logged(2 * MIB) && logged(MIB + 10 * PAGE));
    ck_assert(logged(3 * MIB) && logged(3 * MIB + PAGE));
    ck_assert_uint_eq(logged_pages(0, 4 * MIB), 9);
}
END_TEST

/* What was written shortly before a log began, and what is written while it is kept. */
START_TEST(writes_while_the_guest_is_served)
{
    pthread_t thread;
    unsigned long calls;

    open_guest(1, false);
    configured();
    thread = start_run();
    write_word(MIB); /* maps, and is reported at once */
    sleep_ms(200);
    calls = sim_calls(gsp);
    for (unsigned i = 0; i < 20000; i++)
        write_word(MIB + i % 256 * PAGE);
    ck_assert_uint_lt(sim_calls(gsp) - calls, 200); /* not at each write */
    sleep_ms(200);
    /* The log begins when these are written, and not yet reported. */
    pthread_mutex_lock(&gsp->gasp.ram.lock);
    write_word(MIB + 63 * PAGE);
    write_word(MIB + 64 * PAGE);
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    ck_assert(!logged(MIB + 63 * PAGE));
    pthread_mutex_unlock(&gsp->gasp.ram.lock);
    ck_assert(within_ms(2000, logged, MIB + 63 * PAGE) && within_ms(2000, logged, MIB + 64 * PAGE));
    while (!gsp->gasp.ram.logging)
        sleep_ms(1);
    write_word(5 * MIB);
    ck_assert(logged(5 * MIB));
    ck_assert_int_eq(hv_sim_log(gsp->hv, false), 0);
    for (unsigned i = 0; i < 2000 && gsp->gasp.ram.logging; i++)
        sleep_ms(1);
    ck_assert(!gsp->gasp.ram.logging);
    end_run(thread);
}
END_TEST

/* Marks anywhere in a chunk, apart and side by side, and of a chunk as a whole. */
START_TEST(marks_become_extents)
{
    static const unsigned page[] = {0, 7, 9, 64, 65, 200, 511};
    static char chunk[2 * MIB];
    bool wanted[512] = {false};

    open_guest(1, false);
    ck_assert_int_eq(vm_ram_read(gsp, 0, chunk, sizeof(chunk)), 0);
    ram_watch(&gsp->gasp.ram, gsp->work_fd);
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    for (unsigned i = 0; i < sizeof(page) / sizeof(page[0]); i++) {
        write_word(4 * MIB + page[i] * PAGE);
        for (unsigned n = 0; n < RAM_MARK_PAGES; n++)
            wanted[page[i] / RAM_MARK_PAGES * RAM_MARK_PAGES + n] = true;
    }
    ck_assert_int_eq(vm_ram_write(gsp, 8 * MIB, chunk, sizeof(chunk)), 0);
    ram_watch(&gsp->gasp.ram, -1);
    for (unsigned i = 0; i < 512; i++)
        ck_assert_msg(logged(4 * MIB + i * PAGE) == wanted[i], "page %u", i);
    ck_assert_uint_eq(logged_pages(8 * MIB, 10 * MIB), 512);
    ck_assert_uint_eq(logged_pages(6 * MIB, 8 * MIB) + logged_pages(10 * MIB, 12 * MIB), 0);
}
END_TEST

/* Marks of a chunk that is dropped, and those that are left when the run ends, are not lost. */
START_TEST(marks_outlive_chunk_and_run)
{
    struct ram *ram;

    open_guest(1, false);
    ram = &gsp->gasp.ram;
    ram_watch(ram, gsp->work_fd);
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    write_word(MIB);
    write_word(3 * MIB);
    ck_assert(!logged(MIB));
    ram_invalidate(ram);
    ram_drop_stale(ram);
    ck_assert(logged(MIB) && logged(3 * MIB));
    write_word(5 * MIB);
    ck_assert(!logged(5 * MIB));
    ram_watch(ram, -1);
    ck_assert(logged(5 * MIB));
    ck_assert_uint_eq(logged_pages(0, 6 * MIB), 3 * RAM_MARK_PAGES);
}
END_TEST

static _Atomic bool ending;
static _Atomic unsigned writes;

static void *write_on(void *arg)
{
    for (unsigned i = 0; !ending || i < 16; i++, writes++)
        write_word(MIB * (uint64_t)(2 * i % 32) + *(const unsigned *)arg * RAM_MARK_PAGES * PAGE);
    return NULL;
}

/* Chunks go while writers are at work in them. */
START_TEST(chunks_go_under_writers)
{
    unsigned page[2] = {1, 2};
    pthread_t thread[2], runner;

    open_guest(1, false);
    configured();
    runner = start_run();
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, write_on, &page[i]), 0);
    while (writes < 5000) {
        gsp->gasp.ram.logging = false;
        ram_invalidate(&gsp->gasp.ram);
        ram_drop_stale(&gsp->gasp.ram);
    }
    ending = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    end_run(runner);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned n = 0; n < 2; n++)
            ck_assert(logged(2 * i * (uint64_t)MIB + page[n] * RAM_MARK_PAGES * PAGE));
}
END_TEST

/* What Xen doesn't take for want of memory isn't forgotten, and errno is the caller's. */
START_TEST(a_report_that_fails_is_made_again)
{
    open_guest(1, false);
    ram_watch(&gsp->gasp.ram, gsp->work_fd);
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    write_word(MIB);
    for (unsigned i = 1; i <= 4; i++) { /* once, then in every try */
        sim_fail_call(gsp, i, ENOMEM);
        gsp->gasp.ram.reported_ns = 0;
        ram_report(&gsp->gasp.ram);
    }
    sim_fail_call(gsp, 0, 0);
    ck_assert(logged(MIB));
    gsp->gasp.ram.logging = true;
    write_word(3 * MIB); /* maps */
    errno = E2BIG;
    sim_fail_call(gsp, 1, ENOMEM);
    write_word(3 * MIB + PAGE);
    ck_assert_int_eq(errno, E2BIG);
    ck_assert(logged(3 * MIB + PAGE));
}
END_TEST

/* Xen's log refuses the topmost page of all, and with it a whole call: what else was in it is told. */
START_TEST(the_topmost_page_spoils_nothing)
{
    struct sim_options sim = {
        .size = sizeof(sim), .vcpus = 1, .ram_bytes = 0xfc000000u + UINT64_C(4) * MIB};
    uint64_t top = (UINT64_C(4) << 30) + 4 * MIB;

    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
    ram_watch(&gsp->gasp.ram, gsp->work_fd);
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    write_word(MIB);
    write_word(top - PAGE);
    write_word(top - 2 * PAGE);
    write_word(top - 4 * PAGE);
    ram_watch(&gsp->gasp.ram, -1);
    ck_assert(logged(MIB) && logged(top - 2 * PAGE) && logged(top - 4 * PAGE));
    ck_assert(!logged(top - (RAM_MARK_PAGES + 1) * PAGE));
}
END_TEST

static uint64_t pages(void)
{
    struct hv_info info;

    ck_assert_int_eq(gsp->hv->ops->info(gsp->hv, &info), 0);
    return info.nr_pages;
}

static bool has_pages(uint64_t n)
{
    return pages() == n;
}

/* A process that answers for nothing hears of no INVALIDATE; the target tells. */
START_TEST(a_new_target_is_followed)
{
    uint64_t word, before, held = 0x1234;
    pthread_t thread;

    options.ram_only = true;
    open_guest(1, false);
    options.ram_only = false;
    ck_assert_int_eq(gsp->hv->ops->unpause(gsp->hv), 0);
    before = pages();
    ck_assert_int_eq(vm_ram_write(gsp, 8 * MIB, &held, 8), 0);
    thread = start_run();
    hv_sim_set_target(gsp->hv, (64 - 4) * 256);
    ck_assert_int_eq(sim_balloon(gsp, true, 8 * MIB, 4 * MIB), 0);
    ck_assert(within_ms(3000, has_pages, before - 4 * 256)); /* none is held by our mapping */
    ck_assert_int_eq(vm_ram_read(gsp, 8 * MIB, &word, 8), -1);
    ck_assert_int_eq(errno, ENOENT);
    hv_sim_set_target(gsp->hv, 64 * 256);
    ck_assert_int_eq(sim_balloon(gsp, false, 8 * MIB, 4 * MIB), 0);
    ck_assert_uint_eq(pages(), before);
    sleep_ms(150);
    word = 0x5678;
    ck_assert_int_eq(hv_sim_ram(gsp->hv, true, 8 * MIB, &word, 8), 0);
    ck_assert_int_eq(vm_ram_read(gsp, 8 * MIB, &held, 8), 0);
    ck_assert_uint_eq(held, word);
    end_run(thread);
}
END_TEST

static uint64_t max_pages(void)
{
    struct hv_info info;

    ck_assert_int_eq(gsp->hv->ops->info(gsp->hv, &info), 0);
    return info.max_pages;
}

static bool has_limit(uint64_t n)
{
    return max_pages() == n;
}

/* xl mem-set forgets what registering raised. */
START_TEST(the_limit_is_raised_again)
{
    pthread_t thread;
    uint64_t before;

    open_guest(1, false);
    before = max_pages();
    ck_assert_uint_ne(vm_ram_register(gsp, 16 * MIB), 0);
    ck_assert_int_eq(vm_ram_unregister(gsp, gsp->gasp.own_ram[0].first, 2 * MIB), 0);
    configured();
    ck_assert_uint_eq(max_pages(), before + 14 * 256);
    thread = start_run();
    hv_sim_set_target(gsp->hv, 48 * 256);
    ck_assert(within_ms(3000, has_limit, (48 + 14) * 256 + 256));
    hv_sim_set_target(gsp->hv, 64 * 256);
    ck_assert(within_ms(3000, has_limit, before + 14 * 256));
    end_run(thread);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("follow");
    TCase *tc = tcase_create("follow");

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, writes_without_a_run);
    tcase_add_test(tc, writes_while_the_guest_is_served);
    tcase_add_test(tc, marks_become_extents);
    tcase_add_test(tc, marks_outlive_chunk_and_run);
    tcase_add_test(tc, chunks_go_under_writers);
    tcase_add_test(tc, a_report_that_fails_is_made_again);
    tcase_add_test(tc, the_topmost_page_spoils_nothing);
    tcase_add_test(tc, a_new_target_is_followed);
    tcase_add_test(tc, the_limit_is_raised_again);
    return s;
}

CHECK_MAIN(suite)
