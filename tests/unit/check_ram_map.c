/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading guest RAM that is mapped, while the map of the space changes: a chunk knows what of it is
 * RAM, and must not know it for longer than it is so. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "hv/sim.h"
#include "ram/ram_internal.h"
#include "tests/check_main.h"

#define LIMIT (UINT64_C(1) << 36)
#define MIB (UINT64_C(1) << 20)

enum { RAM_FLAGS = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE };

static struct hv *hv;
static struct ram ram;
static struct space memory;

/* flags 0: takes it off the map. */
static void set(uint64_t first, uint64_t last, uint32_t flags)
{
    struct space_region region = {.range = {first, last}, .flags = flags};
    struct space_map *map = space_draft(&memory);

    ck_assert_int_eq(space_map_set(map, &region), 0);
    space_publish(&memory, map);
}

static void set_up(void)
{
    const struct hv_sim_options options = {.vcpus = 1, .ram_bytes = 8 * MIB};
    uint64_t word;

    ck_assert_int_eq(hv_sim_open(&hv, &options), 0);
    ck_assert_int_eq(space_init(&memory, LIMIT - 1), 0);
    ck_assert_int_eq(ram_init(&ram, hv, &memory, LIMIT), 0);
    set(0, 8 * MIB - 1, RAM_FLAGS);
    for (uint64_t gpa = 0; gpa < 8 * MIB; gpa += 0x400) {
        word = ~gpa;
        ck_assert_int_eq(ram_write(&ram, gpa, &word, 8), 0);
    }
}

static void tear_down(void)
{
    ram_dispose(&ram);
    space_dispose(&memory);
    hv->ops->close(hv);
    hv = NULL;
}

static void expect_word(uint64_t gpa)
{
    uint64_t word = 0;

    ck_assert_int_eq(ram_load64(&ram, gpa, &word), 0);
    ck_assert_uint_eq(word, ~gpa);
    ck_assert_int_eq(ram_read(&ram, gpa, &word, 8), 0);
    ck_assert_uint_eq(word, ~gpa);
}

/* Every way to it is closed, and nothing is written. */
static void expect_none(uint64_t gpa, size_t size)
{
    static char buf[4 * MIB], before[4 * MIB];
    uint64_t word = 7;
    uint8_t byte = 7;

    memset(buf, 0x5a, size);
    memset(before, 0x5a, size);
    ck_assert_int_eq(ram_read(&ram, gpa, buf, size), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(memcmp(buf, before, size), 0);
    ck_assert_int_eq(ram_write(&ram, gpa, buf, size), -1);
    ck_assert_int_eq(errno, ENOENT);
    if (size != 8 || gpa % 8)
        return;
    ck_assert_int_eq(ram_load64(&ram, gpa, &word), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_uint_eq(word, 7);
    ck_assert_int_eq(ram_store64(&ram, gpa, 7), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(ram_load8(&ram, gpa, &byte), -1);
    ck_assert_int_eq(ram_store8(&ram, gpa, 7), -1);
    ck_assert_int_eq(errno, ENOENT);
}

static void expect_read(uint64_t gpa, size_t size)
{
    static char buf[4 * MIB];

    ck_assert_int_eq(ram_read(&ram, gpa, buf, size), 0);
    ck_assert_int_eq(memcmp(buf, ram_host(&ram, gpa), size), 0);
}

START_TEST(what_leaves_the_map_is_no_ram_at_once)
{
    for (int i = 0; i < 3; i++) {
        expect_word(0x10000);
        set(0x10000, 0x1ffff, 0);
        expect_none(0x10000, 8);
        expect_none(0x1fc00, 8);
        expect_none(0xfff8, 16);
        expect_none(0x1fffc, 16);
        expect_none(0xf000, 0x12000);
        expect_none(0, 4 * MIB);
        expect_word(0xfc00);
        expect_word(0x20000);
        expect_word(2 * MIB);
        expect_none(0x10000, 8); /* nor when its neighbours are known again */
        expect_none(0xf000, 0x12000);
        expect_read(0x20000, 4 * MIB - 0x20000);
        /* Its pages were there all the time. */
        set(0x10000, 0x1ffff, RAM_FLAGS);
        expect_word(0x10000);
        expect_word(0x1fc00);
        expect_read(0, 4 * MIB);
    }
}
END_TEST

START_TEST(a_region_may_end_inside_a_page)
{
    set(0x10800, 0x113ff, 0);
    expect_word(0x10400);
    expect_word(0x11400);
    expect_read(0x10000, 0x800);
    expect_read(0x11400, 0xc00);
    expect_none(0x10800, 8);
    expect_none(0x10c00, 8);
    expect_none(0x11000, 8);
    expect_none(0x107fc, 8);
    expect_none(0x10000, 0x801);
    expect_none(0x113ff, 1);
    /* Two regions that meet inside a page are as good as one. */
    set(0x10800, 0x113ff, RAM_FLAGS & ~GRF_PASS_WR);
    expect_word(0x10800);
    expect_read(0x10000, 0x2000);
    expect_read(0x107fc, 8);
    /* A region that is no RAM is none, hidden or not. */
    set(0x10800, 0x113ff, 0);
    set(0x10800, 0x113ff, GRF_PASS_ANY | GRF_ACTIVE);
    expect_none(0x10800, 8);
    expect_none(0x10000, 0x2000);
    expect_word(0x11400);
    set(0x20000, 0x20fff, 0);
    set(0x20000, 0x20fff, GRF_PASS_ANY | GRF_ACTIVE);
    expect_word(0x21000);
    expect_none(0x20000, 8);
}
END_TEST

START_TEST(each_chunk_counts)
{
    set(4 * MIB, 4 * MIB + 0xfff, 0);
    expect_none(4 * MIB - 8, 16);
    expect_none(2 * MIB, 3 * MIB);
    expect_none(4 * MIB, 8);
    expect_read(2 * MIB, 2 * MIB);
    expect_read(4 * MIB + 0x1000, 4 * MIB - 0x1000);
    expect_none(8 * MIB - 8, 16);
    expect_none(8 * MIB, 8);
    expect_none(LIMIT - 8, 8);
    expect_none(LIMIT, 8);
    expect_none(UINT64_MAX - 7, 8);
}
END_TEST

/* Whoever needs the lock for what is mapped and known waits here for ever. */
START_TEST(what_is_known_needs_no_lock)
{
    uint64_t word = 1;

    set(0x10000, 0x1ffff, 0); /* a chunk that isn't all RAM, too */
    expect_word(0);
    expect_read(2 * MIB - 8, 4 * MIB - 8);
    pthread_mutex_lock(&ram.lock);
    expect_word(0);
    expect_word(0xfc00);
    expect_word(4 * MIB);
    expect_read(0, 0x10000);
    expect_read(0x20000, 4 * MIB);
    ck_assert_int_eq(ram_store64(&ram, 0x100, 5), 0);
    ck_assert_int_eq(ram_write(&ram, 2 * MIB - 4, &word, 8), 0);
    expect_none(0x10000, 8);
    pthread_mutex_unlock(&ram.lock);
}
END_TEST

static atomic_bool stop;
static atomic_ulong seen, missed;

static void *read_thread(void *arg)
{
    uint64_t turn = (uintptr_t)arg, word;

    while (!stop) {
        uint64_t comes_and_goes = 0x10000 + turn++ % 64 * 0x400, stays = 2 * MIB + comes_and_goes;

        if (ram_load64(&ram, comes_and_goes, &word) == 0) {
            if (word != ~comes_and_goes)
                abort();
            seen++;
        } else {
            if (errno != ENOENT)
                abort();
            missed++;
        }
        if (ram_read(&ram, stays, &word, 8) < 0 || word != ~stays)
            abort();
    }
    return NULL;
}

/* Threads read while RAM comes and goes in the map, and now and then its chunk. */
START_TEST(reading_while_the_map_changes)
{
    pthread_t thread[3];

    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, read_thread, (void *)i), 0);
    for (int i = 0; i < 2000 || seen < 100 || missed < 100; i++) {
        set(0x10000, 0x1ffff, 0);
        expect_none(0x10000 + i % 64 * 0x400, 8);
        if (i % 16 == 0) {
            ram_invalidate(&ram);
            ram_drop_stale(&ram);
        }
        set(0x10000, 0x1ffff, RAM_FLAGS);
        expect_word(0x10000 + i % 64 * 0x400);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ram_map");
    TCase *tc = tcase_create("ram_map");

    tcase_set_timeout(tc, 20);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_leaves_the_map_is_no_ram_at_once);
    tcase_add_test(tc, a_region_may_end_inside_a_page);
    tcase_add_test(tc, each_chunk_counts);
    tcase_add_test(tc, what_is_known_needs_no_lock);
    tcase_add_test(tc, reading_while_the_map_changes);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
