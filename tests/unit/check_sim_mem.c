/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's memory and its mappings: each rule is one that Xen 4.17 was seen to have.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/sim_fixture.h"

enum { ROOM_PAGES = 2048 };

static char *room; /* a reservation to map into */

static void setup_room(void)
{
    setup_new();
    room = mmap(NULL, ROOM_PAGES * HV_PAGE_SIZE, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(room, MAP_FAILED);
}

static void teardown_room(void)
{
    munmap(room, ROOM_PAGES * HV_PAGE_SIZE);
    teardown();
}

static void *at(size_t page)
{
    return room + page * HV_PAGE_SIZE;
}

/* Maps n pages from gfn on; -1, or how many of them are there. */
static int map_run(size_t page, uint64_t gfn, size_t n)
{
    uint64_t list[ROOM_PAGES];
    int err[ROOM_PAGES], good = 0;

    for (size_t i = 0; i < n; i++)
        list[i] = gfn + i;
    if (ops->map(hv, at(page), PROT_READ | PROT_WRITE, n, list, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (err[i] == 0)
            good++;
        else
            ck_assert_int_eq(err[i], EINVAL);
    }
    return good;
}

/* The number of mappings of this process in [room, room + pages). */
static unsigned vmas_in(size_t first, size_t pages)
{
    uintptr_t low = (uintptr_t)at(first), high = (uintptr_t)at(first + pages);
    char line[512], perms[5];
    unsigned long a, b;
    unsigned n = 0;
    FILE *f = fopen("/proc/self/maps", "r");

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "%lx-%lx %4s", &a, &b, perms) == 3 && perms[0] == 'r' && a < high &&
            b > low)
            n++;
    fclose(f);
    return n;
}

/* ---- populate ---- */

START_TEST(populate_gives_garbage)
{
    uint64_t gfn[2] = {0x100000, 0x100200};
    uint8_t byte[4];

    ck_assert_int_eq(ops->set_max_pages(hv, RAM_PAGES + 256 + 1024), 0);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_2M, 2, gfn), 2);
    ck_assert_int_eq(hv_sim_ram(hv, false, 0x1003ffffcULL, byte, 4), 0);
    ck_assert_uint_ne(byte[0], 0);
    ck_assert_uint_ne(byte[3], 0);
    ck_assert_uint_eq(info().nr_pages, RAM_PAGES + SPECIAL_PAGES + 1024);
    ck_assert_uint_eq(info().nr_gfns, 0x100400);
    ck_assert(!is_ram(0x100400));
}
END_TEST

START_TEST(populate_stops_at_quota)
{
    uint64_t gfn[300];

    for (unsigned i = 0; i < 300; i++)
        gfn[i] = 0x100000 + 2 * i;
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_4K, 300, gfn), 256 - SPECIAL_PAGES);
    ck_assert(is_ram(gfn[247]) && !is_ram(gfn[248]));
    ck_assert_uint_eq(info().nr_pages, info().max_pages);
    ck_assert_uint_eq(populate(HV_ORDER_4K, gfn[299]), 0);
    /* One page short of an extent is nothing of it. */
    ck_assert_int_eq(ops->set_max_pages(hv, info().nr_pages + 511), 0);
    ck_assert_uint_eq(populate(HV_ORDER_2M, 0x200000), 0);
    ck_assert_int_eq(ops->set_max_pages(hv, info().nr_pages + 512), 0);
    ck_assert_uint_eq(populate(HV_ORDER_2M, 0x200000), 1);
    /* A limit below what is there takes nothing away. */
    ck_assert_int_eq(ops->set_max_pages(hv, 1), 0);
    ck_assert(is_ram(0x200000));
}
END_TEST

START_TEST(populate_stops_when_the_host_is_full)
{
    uint64_t gfn[3] = {0x1000, 0x1200, 0x1400};

    open_guest(
        (struct hv_sim_options){.ram_bytes = 2 * MIB, .spare_pages = 4096, .host_pages = 1030});
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_2M, 3, gfn), 2);
    ck_assert_uint_eq(usage().host_pages, 6);
    for (uint64_t i = 0; i < 6; i++)
        ck_assert_uint_eq(populate(HV_ORDER_4K, 0x1400 + i), 1);
    ck_assert_uint_eq(populate(HV_ORDER_4K, 0x1406), 0);
    ck_assert_uint_eq(depopulate(HV_ORDER_2M, 0x1000), 1);
    ck_assert_uint_eq(usage().host_pages, 512);
    ck_assert_uint_eq(populate(HV_ORDER_2M, 0x1800), 1);
    teardown();
}
END_TEST

/*
 * Of the 256 pages Xen keeps 10 and one for the vCPU, three go into the upper tables, the rest into
 * lowest ones of 512 pages each. A 2 MiB extent needs none of those.
 */
START_TEST(populate_stops_when_the_pool_is_empty)
{
    static uint64_t gfn[125000];
    uint64_t bytes, n;

    open_guest((struct hv_sim_options){.bare = true, .spare_pages = 1 << 20, .paging_pool = MIB});
    for (unsigned i = 0; i < 125000; i++)
        gfn[i] = i;
    n = ops->populate(hv, HV_ORDER_4K, 125000, gfn);
    ck_assert_uint_eq(n, (256 - 11 - 3) * 512);
    /* The page for which there was no room is lost. */
    ck_assert_uint_eq(info().nr_pages, n + 1);
    ck_assert_uint_eq(info().nr_gfns, n);
    ck_assert_uint_eq(populate(HV_ORDER_2M, 0x20000), 1);
    ck_assert_int_eq(ops->get_paging_pool(hv, &bytes), 0);
    ck_assert_uint_eq(bytes, MIB);
    ck_assert_int_eq(ops->set_paging_pool(hv, MIB + HV_PAGE_SIZE), 0);
    ck_assert_uint_eq(populate(HV_ORDER_4K, n), 1);
    /* Taking a page out of a 2 MiB extent needs a table, too. */
    ck_assert_uint_eq(depopulate(HV_ORDER_4K, 0x20000), 0);
    ck_assert_int_eq(ops->set_paging_pool(hv, 2 * MIB), 0);
    ck_assert_uint_eq(depopulate(HV_ORDER_4K, 0x20000), 1);
    ck_assert(!is_ram(0x20000) && is_ram(0x20001));
    teardown();
}
END_TEST

START_TEST(paging_pool)
{
    uint64_t before, bytes, host = usage().host_pages;

    ck_assert_int_eq(ops->get_paging_pool(hv, &before), 0);
    ck_assert_uint_eq(before, (256 + 16) * HV_PAGE_SIZE);
    ck_assert_int_eq(ops->set_paging_pool(hv, before + 2 * MIB), 0);
    ck_assert_uint_eq(usage().host_pages, host - 512);
    errno = 0;
    ck_assert_int_eq(ops->set_paging_pool(hv, MIB + 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(ops->set_paging_pool(hv, 1ULL << 40), -1);
    ck_assert_int_eq(errno, ENOMEM);
    /* What is in use stays, and the rest goes all the same. */
    expect(ops->set_paging_pool(hv, 0), ENOMEM);
    ck_assert_int_eq(ops->get_paging_pool(hv, &bytes), 0);
    ck_assert(bytes > 0 && bytes < before);
    ck_assert_int_eq(ops->set_paging_pool(hv, before), 0);
    ck_assert_uint_eq(usage().host_pages, host);
}
END_TEST

/* A table that 2 MiB in one piece replace goes back to the pool. */
START_TEST(pool_does_not_leak)
{
    ck_assert_int_eq(ops->set_max_pages(hv, 1 << 20), 0);
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_uint_eq(populate(HV_ORDER_4K, 0x100000), 1);
        ck_assert_uint_eq(depopulate(HV_ORDER_4K, 0x100000), 1);
        ck_assert_uint_eq(populate(HV_ORDER_2M, 0x100000), 1);
        ck_assert_uint_eq(depopulate(HV_ORDER_2M, 0x100000), 1);
    }
}
END_TEST

START_TEST(extent_breaks_up)
{
    uint64_t gpa = 0x100000ULL << HV_PAGE_SHIFT, word;

    ck_assert_int_eq(ops->set_max_pages(hv, 1 << 20), 0);
    ck_assert_uint_eq(populate(HV_ORDER_2M, 0x100000), 1);
    for (uint64_t i = 0; i < 512; i++)
        ck_assert_int_eq(hv_sim_ram(hv, true, gpa + i * HV_PAGE_SIZE, &i, 8), 0);
    ck_assert_uint_eq(depopulate(HV_ORDER_4K, 0x100007), 1);
    for (uint64_t i = 0; i < 512; i++) {
        ck_assert(is_ram(0x100000 + i) == (i != 7));
        if (i == 7)
            continue;
        ck_assert_int_eq(hv_sim_ram(hv, false, gpa + i * HV_PAGE_SIZE, &word, 8), 0);
        ck_assert_uint_eq(word, i);
    }
}
END_TEST

START_TEST(populate_refuses_misaligned)
{
    uint64_t gfn[3] = {0x100000, 0x100201, 0x100400};

    ck_assert_int_eq(ops->set_max_pages(hv, 1 << 20), 0);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_2M, 3, gfn), 1);
    ck_assert(!is_ram(0x100201) && !is_ram(0x100400));
    ck_assert_uint_eq(populate(19, 0), 0);
    ck_assert_uint_eq(populate(18, 1 << 18), 0);
}
END_TEST

START_TEST(populate_over_ram_leaks_the_old_page)
{
    uint64_t before = info().nr_pages;
    char text[8] = "guest's";

    ck_assert_int_eq(hv_sim_ram(hv, true, 0x3000, text, sizeof(text)), 0);
    ck_assert_int_eq(map_run(0, 3, 1), 1);
    ck_assert_uint_eq(populate(HV_ORDER_4K, 3), 1);
    ck_assert_uint_eq(info().nr_pages, before + 1);
    ck_assert_str_eq(room, "guest's");
    ck_assert_int_eq(hv_sim_ram(hv, false, 0x3000, text, sizeof(text)), 0);
    ck_assert_int_ne(memcmp(text, "guest's", 8), 0);
    /* Nor does unmapping it or taking the new one away bring the old one back. */
    ck_assert_int_eq(ops->unmap(hv, room, 1), 0);
    ck_assert_uint_eq(depopulate(HV_ORDER_4K, 3), 1);
    ck_assert_uint_eq(info().nr_pages, before);
    ck_assert(!is_ram(3));
}
END_TEST

START_TEST(depopulate_stops_at_a_hole)
{
    uint64_t gfn[4] = {4, 5, RAM_PAGES, 6}, before = info().nr_pages;

    ck_assert_uint_eq(ops->depopulate(hv, HV_ORDER_4K, 4, gfn), 2);
    ck_assert(!is_ram(4) && !is_ram(5) && is_ram(6));
    ck_assert_uint_eq(info().nr_pages, before - 2);
    /* In an extent, what comes before the hole is gone all the same. */
    ck_assert_uint_eq(depopulate(HV_ORDER_2M, 0), 0);
    ck_assert(!is_ram(0) && !is_ram(3) && is_ram(6) && is_ram(511));
    ck_assert_uint_eq(info().nr_pages, before - 6);
    ck_assert_uint_eq(depopulate(HV_ORDER_2M, 512), 1);
    ck_assert(!is_ram(512) && !is_ram(1023) && is_ram(1024));
    ck_assert_uint_eq(info().nr_gfns, 0xff000);
}
END_TEST

START_TEST(balloon)
{
    uint64_t before = info().nr_pages;

    ck_assert_int_eq(hv_sim_balloon(hv, true, 100, 50), 0);
    ck_assert(!is_ram(100) && !is_ram(149) && is_ram(150));
    ck_assert_uint_eq(info().nr_pages, before - 50);
    errno = 0;
    ck_assert_int_eq(hv_sim_balloon(hv, true, 99, 2), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(hv_sim_balloon(hv, false, 99, 51), 0);
    ck_assert_uint_eq(info().nr_pages, before);
    ck_assert(is_ram(100));
}
END_TEST

/* ---- mapping ---- */

START_TEST(map_shares_the_pages)
{
    uint64_t gfn[4] = {7, 2, 3, 0xfefff};
    int err[4];
    uint32_t word = 0x12345678;

    ck_assert_int_eq(ops->map(hv, room, PROT_READ | PROT_WRITE, 4, gfn, err), 0);
    ck_assert(err[0] == 0 && err[1] == 0 && err[2] == 0 && err[3] == 0);
    ck_assert_uint_eq(usage().mapped_pages, 4);
    ck_assert_int_eq(hv_sim_ram(hv, true, 0x7010, &word, 4), 0);
    ck_assert_mem_eq(room + 0x10, &word, 4);
    word = 0xabcdef01;
    memcpy(room + 0x1ffe, &word, 4);
    word = 0;
    ck_assert_int_eq(hv_sim_ram(hv, false, 0x2ffe, &word, 4), 0);
    ck_assert_uint_eq(word, 0xabcdef01);
    ck_assert_int_eq(ops->unmap(hv, room, 4), 0);
    ck_assert_uint_eq(usage().mapped_pages, 0);
    ck_assert_uint_eq(vmas_in(0, 4), 0);
}
END_TEST

START_TEST(map_shows_holes)
{
    uint64_t gfn[4] = {RAM_PAGES - 1, RAM_PAGES, UINT64_MAX, 1};
    int err[4] = {-1, -1, -1, -1};

    ck_assert_int_eq(ops->map(hv, room, PROT_READ, 4, gfn, err), 0);
    ck_assert(err[0] == 0 && err[1] == EINVAL && err[2] == EINVAL && err[3] == 0);
    ck_assert_uint_eq(vmas_in(0, 1), 1);
    ck_assert_uint_eq(vmas_in(1, 2), 0);
    ck_assert_uint_eq(vmas_in(3, 1), 1);
    /* Only holes: that is a mapping as well. */
    gfn[0] = RAM_PAGES;
    gfn[1] = (1ULL << 36) + 1;
    ck_assert_int_eq(ops->map(hv, at(8), PROT_READ, 2, gfn, err), 0);
    ck_assert(err[0] == EINVAL && err[1] == EINVAL);
    ck_assert_int_eq(map_run(8, 0, 1), -1);
    ck_assert_uint_eq(usage().mapped_pages, 2);
}
END_TEST

/* Asks the kernel, which answers EFAULT and sends no signal. */
static bool usable(void *p, bool write_it)
{
    int fd[2];
    bool ok;

    ck_assert_int_eq(pipe(fd), 0);
    ck_assert_int_eq(write(fd[1], "x", 1), 1);
    ok = (write_it ? read(fd[0], p, 1) : write(fd[1], p, 1)) == 1;
    close(fd[0]);
    close(fd[1]);
    return ok;
}

START_TEST(map_obeys_prot)
{
    uint64_t gfn[2] = {1, RAM_PAGES};
    int err[2];

    ck_assert_int_eq(ops->map(hv, room, PROT_READ, 2, gfn, err), 0);
    ck_assert(usable(at(0), false) && !usable(at(0), true));
    ck_assert(!usable(at(1), false) && !usable(at(1), true));
    ck_assert_int_eq(ops->map(hv, room, PROT_READ | PROT_WRITE, 2, gfn, err), 0);
    ck_assert(usable(at(0), false) && usable(at(0), true) && !usable(at(1), false));
    ck_assert_int_eq(ops->unmap(hv, room, 2), 0);
    ck_assert(!usable(at(0), false));
}
END_TEST

START_TEST(map_of_a_run_is_one_mapping)
{
    uint64_t gfn = 0x100000;

    ck_assert_int_eq(map_run(0, 0, 1024), 1024);
    ck_assert_uint_eq(vmas_in(0, 1024), 1);
    ck_assert_int_eq(ops->set_max_pages(hv, 1 << 20), 0);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_2M, 1, &gfn), 1);
    ck_assert_int_eq(map_run(1024, gfn, 512), 512);
    ck_assert_uint_eq(vmas_in(1024, 512), 1);
}
END_TEST

START_TEST(map_is_taken_back_as_a_whole)
{
    ck_assert_int_eq(map_run(4, 4, 4), 4);
    errno = 0;
    ck_assert_int_eq(ops->unmap(hv, at(4), 1), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(ops->unmap(hv, at(7), 2), -1);
    ck_assert_int_eq(map_run(5, 0, 1), -1);
    ck_assert_int_eq(map_run(0, 0, 5), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(usage().mapped_pages, 4);
    ck_assert_uint_eq(vmas_in(0, 4), 0);
    room[4 * HV_PAGE_SIZE] = 1;
    /* A whole one, or several, may be replaced. */
    ck_assert_int_eq(map_run(8, 8, 4), 4);
    ck_assert_int_eq(map_run(2, 100, 20), 20);
    ck_assert_uint_eq(usage().mapped_pages, 20);
    ck_assert_int_eq(ops->unmap(hv, at(0), 40), 0);
    ck_assert_uint_eq(usage().mapped_pages, 0);
    ck_assert_int_eq(ops->unmap(hv, at(0), 40), 0);
}
END_TEST

START_TEST(map_refuses_nonsense)
{
    uint64_t gfn = 0;
    int err;

    errno = 0;
    ck_assert_int_eq(ops->map(hv, room + 1, PROT_READ, 1, &gfn, &err), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(ops->map(hv, room, PROT_READ, 0, &gfn, &err), -1);
    ck_assert_int_eq(ops->map(hv, room, PROT_EXEC, 1, &gfn, &err), -1);
    ck_assert_int_eq(ops->unmap(hv, room, 0), -1);
    ck_assert_int_eq(ops->unmap(hv, room, SIZE_MAX), -1);
}
END_TEST

START_TEST(mapped_page_outlives_the_guests_use)
{
    uint64_t before = info().nr_pages, host = usage().host_pages;
    uint64_t gfn = 9;

    ck_assert_int_eq(map_run(0, 9, 1), 1);
    ck_assert_int_eq(map_run(1, 9, 1), 1);
    memcpy(room, "kept", 5);
    ck_assert_uint_eq(depopulate(HV_ORDER_4K, 9), 1);
    ck_assert_uint_eq(info().nr_pages, before);
    ck_assert_str_eq(room, "kept");
    /* The quota must hold both. */
    ck_assert_int_eq(ops->set_max_pages(hv, before), 0);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_4K, 1, &gfn), 0);
    ck_assert_int_eq(ops->unmap(hv, at(0), 1), 0);
    ck_assert_uint_eq(info().nr_pages, before);
    ck_assert_int_eq(ops->unmap(hv, at(1), 1), 0);
    ck_assert_uint_eq(info().nr_pages, before - 1);
    ck_assert_uint_eq(usage().host_pages, host + 1);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_4K, 1, &gfn), 1);
}
END_TEST

START_TEST(ram_is_all_or_nothing)
{
    uint8_t buf[2 * HV_PAGE_SIZE];
    uint64_t end = (uint64_t)RAM_PAGES * HV_PAGE_SIZE;

    memset(buf, 0x11, sizeof(buf));
    errno = 0;
    ck_assert_int_eq(hv_sim_ram(hv, true, end - 2, buf, 4), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(hv_sim_ram(hv, true, UINT64_MAX - 1, buf, 4), -1);
    ck_assert_int_eq(hv_sim_ram(hv, false, end - 2, buf, 2), 0);
    ck_assert_uint_eq(buf[0], 0);
    ck_assert_uint_eq(buf[2], 0x11);
}
END_TEST

static Suite *sim_mem_suite(void)
{
    Suite *suite = suite_create("sim memory");
    TCase *t = tcase_create("guest");
    TCase *own = tcase_create("own");

    tcase_add_checked_fixture(t, setup_room, teardown_room);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, populate_gives_garbage);
    tcase_add_test(t, populate_stops_at_quota);
    tcase_add_test(t, paging_pool);
    tcase_add_test(t, pool_does_not_leak);
    tcase_add_test(t, extent_breaks_up);
    tcase_add_test(t, populate_refuses_misaligned);
    tcase_add_test(t, populate_over_ram_leaks_the_old_page);
    tcase_add_test(t, depopulate_stops_at_a_hole);
    tcase_add_test(t, balloon);
    tcase_add_test(t, map_shares_the_pages);
    tcase_add_test(t, map_shows_holes);
    tcase_add_test(t, map_obeys_prot);
    tcase_add_test(t, map_of_a_run_is_one_mapping);
    tcase_add_test(t, map_is_taken_back_as_a_whole);
    tcase_add_test(t, map_refuses_nonsense);
    tcase_add_test(t, mapped_page_outlives_the_guests_use);
    tcase_add_test(t, ram_is_all_or_nothing);
    suite_add_tcase(suite, t);

    tcase_set_timeout(own, 60);
    tcase_add_test(own, populate_stops_when_the_host_is_full);
    tcase_add_test(own, populate_stops_when_the_pool_is_empty);
    suite_add_tcase(suite, own);
    return suite;
}

CHECK_MAIN(sim_mem_suite)
