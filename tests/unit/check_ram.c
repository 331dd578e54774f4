/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest RAM on the simulated hypervisor, inside: the mapping, what is found at attach, the guest's
 * memory map. What its users see of it is in the conformance suite. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xengasp/gasp.h>

#include "hv/sim.h"
#include "ram/ram_internal.h"
#include "tests/check_main.h"

#define LIMIT (UINT64_C(1) << 36)
#define MIB (UINT64_C(1) << 20)
#define GIB4 (UINT64_C(4) << 30)

static struct hv *hv;
static struct ram ram;
static struct space memory;

static void add_ram(uint64_t first, uint64_t bytes)
{
    struct space_region region = {.flags = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE};
    struct space_map *map = space_draft(&memory);

    ck_assert_int_eq(range_make(&region.range, first, bytes, LIMIT - 1), 0);
    ck_assert_int_eq(space_map_set(map, &region), 0);
    space_publish(&memory, map);
}

static void open_hv(struct hv_sim_options options)
{
    if (!options.vcpus)
        options.vcpus = 1;
    if (!options.ram_bytes)
        options.ram_bytes = 8 * MIB;
    ck_assert_int_eq(hv_sim_open(&hv, &options), 0);
    ck_assert_int_eq(space_init(&memory, LIMIT - 1), 0);
    ck_assert_int_eq(ram_init(&ram, hv, &memory, LIMIT), 0);
    add_ram(0, options.ram_bytes);
}

static void tear_down(void)
{
    ram_dispose(&ram);
    space_dispose(&memory);
    if (hv)
        hv->ops->close(hv);
    hv = NULL;
}

static struct hv_sim_usage usage(void)
{
    struct hv_sim_usage now;

    hv_sim_usage(hv, &now);
    return now;
}

static struct hv_info info(void)
{
    struct hv_info now;

    ck_assert_int_eq(hv->ops->info(hv, &now), 0);
    return now;
}

static uint64_t pool(void)
{
    uint64_t bytes = 0;

    ck_assert_int_eq(hv->ops->get_paging_pool(hv, &bytes), 0);
    return bytes;
}

static struct range at(uint64_t first, uint64_t bytes)
{
    return (struct range){first, first + bytes - 1};
}

START_TEST(every_call_of_populate_may_fail)
{
    unsigned long calls = 0;

    for (unsigned long nth = 0; nth <= calls; nth++) {
        struct hv_info before, after;
        uint64_t pool_before;
        unsigned long start;
        int rc;

        open_hv((struct hv_sim_options){0});
        before = info();
        pool_before = pool();
        start = hv_sim_calls(hv);
        hv_sim_fail_call(hv, nth, ENOMEM);
        rc = ram_populate(&ram, at(GIB4 + MIB, 5 * MIB), false, false);
        if (nth == 0)
            calls = hv_sim_calls(hv) - start;
        hv_sim_fail_call(hv, 0, 0);
        after = info();
        if (rc < 0) {
            ck_assert_uint_gt(nth, 0);
            ck_assert_msg(after.nr_pages == before.nr_pages, "call %lu leaves pages", nth);
            ck_assert_msg(after.max_pages == before.max_pages, "call %lu leaves the limit raised",
                          nth);
            ck_assert_msg(pool() == pool_before, "call %lu leaves the pool raised", nth);
        }
        ck_assert_uint_eq(usage().mapped_pages, 0);
        tear_down();
    }
    ck_assert_uint_gt(calls, 8);
}
END_TEST

/* A page that a handler has pinned stays as it is; everything else is dropped at once. */
START_TEST(pinned_chunks_outlive_an_invalidation)
{
    uint64_t word = 42;

    open_hv((struct hv_sim_options){.ram_bytes = 16 * MIB});
    ck_assert_int_eq(ram_write(&ram, 0x1000, &word, 8), 0);
    for (int i = 1; i < 8; i++) /* more than are dropped without a pause in between */
        ck_assert_int_eq(ram_write(&ram, 2 * MIB * i, &word, 8), 0);
    ck_assert_uint_eq(usage().mapped_pages, 8 * RAM_CHUNK_PAGES);
    ck_assert_int_eq(ram_pin(&ram, at(0x1000, 0x1000)), 0);
    ram_invalidate(&ram);
    ram_drop_stale(&ram);
    ck_assert_uint_eq(usage().mapped_pages, RAM_CHUNK_PAGES);
    ck_assert_uint_eq(*(volatile uint64_t *)ram_host(&ram, 0x1000), 42);
    ram_unpin(&ram, at(0x1000, 0x1000));
    ram_drop_stale(&ram);
    ck_assert_uint_eq(usage().mapped_pages, 0);
    ck_assert_int_eq(ram_read(&ram, 4 * MIB, &word, 8), 0);
    ck_assert_uint_eq(word, 42);
}
END_TEST

static void expect_discovered(const struct range *hint, size_t n_hint, const struct range *expected,
                              size_t n_expected)
{
    struct hv_info now = info();
    struct range *range = NULL;
    size_t n = 0;

    ck_assert_int_eq(ram_discover(&ram, &now, hint, n_hint, &range, &n), 0);
    ck_assert_uint_eq(n, n_expected);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(range[i].first == expected[i].first && range[i].last == expected[i].last,
                      "range %zu is [" PRIrange "]", i, range_arg(range[i]));
    }
    free(range);
    ck_assert_uint_eq(usage().mapped_pages, 0);
}

START_TEST(discovers_a_guest_that_never_ran)
{
    open_hv((struct hv_sim_options){.ram_bytes = 64 * MIB});
    expect_discovered(NULL, 0, (struct range[]){at(0, 64 * MIB)}, 1);
}
END_TEST

START_TEST(discovers_a_running_guest_with_holes_and_ram_of_ours)
{
    struct range hint = at(GIB4 + MIB, 0x3000);

    open_hv((struct hv_sim_options){.ram_bytes = 64 * MIB});
    ck_assert_int_eq(ram_populate(&ram, hint, false, false), 0);
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    ck_assert_int_eq(hv_sim_balloon(hv, true, 0x100, 2), 0);
    expect_discovered(
        &hint, 1, (struct range[]){at(0, 0x100000), at(0x102000, 64 * MIB - 0x102000), hint}, 3);
}
END_TEST

/* Without the hint: 2 MiB far above everything are found all the same. */
START_TEST(discovers_ram_far_away)
{
    open_hv((struct hv_sim_options){.ram_bytes = 16 * MIB});
    ck_assert_int_eq(ram_populate(&ram, at(GIB4, 4 * MIB), false, false), 0);
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    expect_discovered(NULL, 0, (struct range[]){at(0, 16 * MIB), at(GIB4, 4 * MIB)}, 2);
}
END_TEST

/* A page of its own far up, another one given up: it would take hours to look everywhere. */
START_TEST(discovering_has_an_end)
{
    struct hv_info now;
    struct range *range = NULL;
    size_t n = 0;
    unsigned long before;

    open_hv((struct hv_sim_options){.ram_bytes = 16 * MIB});
    ck_assert_int_eq(ram_populate(&ram, at(LIMIT - 4 * MIB + 0x1000, 0x1000), false, false), 0);
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    now = info();
    before = hv_sim_calls(hv);
    ck_assert_int_eq(ram_discover(&ram, &now, NULL, 0, &range, &n), 1);
    ck_assert_uint_lt(hv_sim_calls(hv) - before, 20000);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(range[0].last, 16 * MIB - 1);
    free(range);
}
END_TEST

START_TEST(what_we_registered_stays_ram_while_ballooned_out)
{
    struct range hint = at(GIB4, 0x4000);

    open_hv((struct hv_sim_options){.ram_bytes = 16 * MIB});
    ck_assert_int_eq(ram_populate(&ram, hint, false, false), 0);
    expect_discovered(&hint, 1, (struct range[]){at(0, 16 * MIB), hint}, 2);
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    ck_assert_int_eq(hv_sim_balloon(hv, true, GIB4 / 0x1000 + 1, 2), 0);
    expect_discovered(&hint, 1, (struct range[]){at(0, 16 * MIB), hint}, 2);
}
END_TEST

START_TEST(a_guest_that_runs_gets_no_ram)
{
    open_hv((struct hv_sim_options){0});
    ck_assert_int_eq(hv->ops->unpause(hv), 0);
    errno = 0;
    ck_assert_int_eq(ram_populate(&ram, at(GIB4, 0x1000), false, false), -1);
    ck_assert_int_eq(errno, EBUSY);
}
END_TEST

static uint32_t entries_of_type(uint32_t type)
{
    struct start_info_memmap_entry entry[START_INFO_MAX_ENTRIES];
    struct start_info start;
    uint64_t gpa;
    uint32_t n = 0;

    ck_assert_int_eq(ram_read_start_info(&ram, &gpa, &start, entry), 1);
    for (uint32_t i = 0; i < start.memmap_entries; i++)
        n += entry[i].type == type;
    return n;
}

START_TEST(extends_the_guests_memory_map)
{
    struct ram_map_entry more[] = {
        {at(GIB4, 16 * MIB), RAM_MAP_RAM},
        {at(0xfe000000, 0x1000), RAM_MAP_RESERVED},
        {at(0x1000, 0x1000), RAM_MAP_RAM}, /* in the map already */
    };
    uint32_t n_ram, n_reserved;

    open_hv((struct hv_sim_options){0});
    n_ram = entries_of_type(RAM_MAP_RAM);
    n_reserved = entries_of_type(RAM_MAP_RESERVED);
    ck_assert_int_eq(ram_extend_memory_map(&ram, more, 3), 0);
    ck_assert_uint_eq(entries_of_type(RAM_MAP_RAM), n_ram + 1);
    ck_assert_uint_eq(entries_of_type(RAM_MAP_RESERVED), n_reserved + 1);
    /* Again: nothing more. */
    ck_assert_int_eq(ram_extend_memory_map(&ram, more, 3), 0);
    ck_assert_uint_eq(entries_of_type(RAM_MAP_RAM), n_ram + 1);
    /* A longer one: it isn't there yet. RAM where something else was promised: no. */
    more[1].range.last += 0x1000;
    ck_assert_int_eq(ram_extend_memory_map(&ram, more, 3), 0);
    ck_assert_uint_eq(entries_of_type(RAM_MAP_RESERVED), n_reserved + 2);
    more[1].type = RAM_MAP_RAM;
    errno = 0;
    ck_assert_int_eq(ram_extend_memory_map(&ram, more, 3), -1);
    ck_assert_int_eq(errno, EEXIST);
}
END_TEST

START_TEST(a_memory_map_that_gets_too_long_is_left_alone)
{
    struct ram_map_entry more[START_INFO_MAX_ENTRIES + 1];
    uint32_t n_ram;

    for (size_t i = 0; i < START_INFO_MAX_ENTRIES + 1; i++)
        more[i] = (struct ram_map_entry){at(GIB4 + i * MIB, 0x1000), RAM_MAP_RAM};
    open_hv((struct hv_sim_options){0});
    n_ram = entries_of_type(RAM_MAP_RAM);
    errno = 0;
    ck_assert_int_eq(ram_extend_memory_map(&ram, more, START_INFO_MAX_ENTRIES + 1), -1);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_uint_eq(entries_of_type(RAM_MAP_RAM), n_ram);
}
END_TEST

enum { COPIES = 3000 };

static void *copy_thread(void *arg)
{
    uint64_t base = (uintptr_t)arg * 0x10000, word;

    for (uint64_t i = 0; i < COPIES; i++) {
        uint64_t gpa = base + i % 512 * 8 + (i & 1) * 2 * MIB;

        ck_assert_int_eq(ram_write(&ram, gpa, &i, 8), 0);
        ck_assert_int_eq(ram_read(&ram, gpa, &word, 8), 0);
        ck_assert_uint_eq(word, i);
    }
    return NULL;
}

/* Threads read and write while chunks are dropped under them, again and again. */
START_TEST(copies_while_chunks_are_dropped)
{
    pthread_t thread[3];

    open_hv((struct hv_sim_options){0});
    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, copy_thread, (void *)(i + 1)), 0);
    for (int i = 0; i < 300; i++) {
        ram_invalidate(&ram);
        ram_drop_stale(&ram);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    ram_invalidate(&ram);
    ram_drop_stale(&ram);
    ck_assert_uint_eq(usage().mapped_pages, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ram");
    TCase *tc = tcase_create("ram");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, every_call_of_populate_may_fail);
    tcase_add_test(tc, pinned_chunks_outlive_an_invalidation);
    tcase_add_test(tc, discovers_a_guest_that_never_ran);
    tcase_add_test(tc, discovers_a_running_guest_with_holes_and_ram_of_ours);
    tcase_add_test(tc, discovers_ram_far_away);
    tcase_add_test(tc, discovering_has_an_end);
    tcase_add_test(tc, what_we_registered_stays_ram_while_ballooned_out);
    tcase_add_test(tc, a_guest_that_runs_gets_no_ram);
    tcase_add_test(tc, extends_the_guests_memory_map);
    tcase_add_test(tc, a_memory_map_that_gets_too_long_is_left_alone);
    tcase_add_test(tc, copies_while_chunks_are_dropped);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
