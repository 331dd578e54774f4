/* SPDX-License-Identifier: BSD-2-Clause */
/* What is set aside in a guest's memory space: the gasp window, where RAM is registered while the
 * guest runs, the parking window and the spare page; and the record that keeps them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "hv/sim.h"
#include "ram/ram_internal.h"
#include "tests/unit/guest_fixture.h"

enum { PAGE = 4096, MIB = 1 << 20, RAM_END = 64 * MIB };

/* What registering changes. */
struct state {
    struct hv_info info;
    struct hv_sim_usage usage;
    uint64_t pool, own_pages;
    size_t regions, own;
};

static struct state state(void)
{
    struct state s = {.own_pages = gsp->gasp.own_pages,
                      .regions = gsp->gasp.space[GASP_MEMORY].map->n,
                      .own = gsp->gasp.n_own_ram};

    ck_assert_int_eq(gsp->hv->ops->info(gsp->hv, &s.info), 0);
    ck_assert_int_eq(gsp->hv->ops->get_paging_pool(gsp->hv, &s.pool), 0);
    hv_sim_usage(gsp->hv, &s.usage);
    return s;
}

static void expect_state(const struct state *before)
{
    struct state s = state();

    ck_assert_uint_eq(s.info.nr_pages, before->info.nr_pages);
    ck_assert_uint_eq(s.info.max_pages, before->info.max_pages);
    ck_assert_uint_eq(s.pool, before->pool);
    ck_assert_uint_eq(s.usage.host_pages, before->usage.host_pages);
    ck_assert_uint_eq(s.usage.pause_count, before->usage.pause_count);
    ck_assert_uint_eq(s.own_pages, before->own_pages);
    ck_assert_uint_eq(s.regions, before->regions);
    ck_assert_uint_eq(s.own, before->own);
}

static void open_with(uint64_t window, bool hvm)
{
    options.gasp_window = window;
    open_guest(1, hvm);
    options.gasp_window = 0;
}

static int register_at(uint64_t start, uint64_t bytes)
{
    return vm_ram_register_at(gsp, start, bytes, false) == 0 ? 0 : errno;
}

static uint64_t pauses(void)
{
    struct guest_stats stats;

    guest_get_stats(gsp, &stats);
    return stats.pauses;
}

static void expect_zero(uint64_t gpa)
{
    uint64_t word = 1;

    ck_assert_int_eq(vm_ram_read(gsp, gpa, &word, 8), 0);
    ck_assert_uint_eq(word, 0);
}

START_TEST(is_chosen_above_all_ram)
{
    struct gasp_region rgn;
    uint64_t ram;

    open_with(30 * MIB + 1, false);
    ram = vm_ram_register(gsp, 3 * MIB);
    ck_assert_uint_eq(ram, RAM_END);
    configured();
    ck_assert_uint_eq(gsp->gasp.window.first, RAM_END + 4 * MIB);
    ck_assert_uint_eq(range_length(gsp->gasp.window), 32 * MIB);
    ck_assert_uint_eq(gsp->gasp.parking.first, RAM_END + 36 * MIB);
    ck_assert_int_eq(gasp_region_info(gsp,
                                      &(struct qvm_state_block){.type = QST_MEMORY,
                                                                .location = RAM_END + 36 * MIB,
                                                                .length = 1},
                                      &rgn),
                     0);
    ck_assert(rgn.flags & GRF_PRECIOUS);
    ck_assert_int_eq(register_at(RAM_END + 36 * MIB, PAGE), EBUSY);
    ck_assert_int_eq(register_at(RAM_END + 3 * MIB, PAGE), EBUSY); /* a hole, but no window */
    ck_assert_int_eq(vm_ram_read(gsp, RAM_END + 36 * MIB, &ram, 8), -1);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(takes_ram_while_the_guest_runs)
{
    struct state before;
    uint64_t first, start;

    open_with(64 * MIB, false);
    configured();
    before = state();
    first = gsp->gasp.window.first;
    ck_assert(!before.info.paused && !before.info.never_ran);
    start = vm_ram_register(gsp, 5 * MIB);
    ck_assert_uint_eq(start, first);
    ck_assert_uint_eq(pauses(), 1);
    expect_zero(start);
    expect_zero(start + 5 * MIB - 8);
    wr(QST_MEMORY, start + 16, 8, 0x1234); /* the guest's own access finds RAM there */
    ck_assert_int_eq(vm_ram_read(gsp, start + 16, &start, 8), 0);
    ck_assert_uint_eq(start, 0x1234);
    ck_assert_int_eq(register_at(first + 6 * MIB + PAGE, 40 * MIB), 0);
    ck_assert_uint_eq(pauses(), 4); /* never more than 16 MiB at once */
    expect_zero(first + 6 * MIB + PAGE);
    expect_zero(first + 46 * MIB);
    ck_assert_uint_eq(vm_ram_register(gsp, 32 * MIB), 0);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(register_at(first + 60 * MIB, 8 * MIB), EBUSY); /* half out */
    ck_assert_int_eq(register_at(first + 4 * MIB, 8 * MIB), EEXIST);
    ck_assert(!state().info.paused);
    ck_assert_int_eq(vm_ram_unregister(gsp, first, 5 * MIB), 0);
    ck_assert_int_eq(vm_ram_unregister(gsp, first + 6 * MIB + PAGE, 40 * MIB), 0);
    expect_state(&before);
    ck_assert_uint_eq(vm_ram_register(gsp, 32 * MIB), first);
    expect_zero(first + 16);
}
END_TEST

/* The guest can put a page of its own into any hole, also after the first look. */
START_TEST(pages_of_the_guest_are_not_replaced)
{
    static const uint64_t at[] = {0, 2 * MIB - PAGE, 17 * MIB, 36 * MIB - PAGE};
    uint64_t gfn, word = 0x4711;
    struct state before;

    open_with(64 * MIB, false);
    configured();
    gfn = (gsp->gasp.window.first + at[_i]) / PAGE;
    ck_assert_uint_eq(gsp->hv->ops->populate(gsp->hv, HV_ORDER_4K, 1, &gfn), 1);
    ck_assert_int_eq(hv_sim_ram(gsp->hv, true, gfn * PAGE, &word, 8), 0);
    before = state();
    ck_assert_int_eq(register_at(gsp->gasp.window.first, 36 * MIB), EEXIST);
    expect_state(&before);
    word = 0;
    ck_assert_int_eq(hv_sim_ram(gsp->hv, false, gfn * PAGE, &word, 8), 0);
    ck_assert_uint_eq(word, 0x4711);
    /* Without an address the next hole is taken, right behind. */
    ck_assert_uint_ne(vm_ram_register(gsp, 26 * MIB), 0);
}
END_TEST

/* Many of them are passed over, one by one. */
START_TEST(small_holes_are_found)
{
    uint64_t gfn;

    open_with(2 * MIB, false);
    configured();
    for (unsigned i = 0; i < 100; i++) {
        gfn = gsp->gasp.window.first / PAGE + 2 * i;
        ck_assert_uint_eq(gsp->hv->ops->populate(gsp->hv, HV_ORDER_4K, 1, &gfn), 1);
    }
    ck_assert_uint_eq(vm_ram_register(gsp, 2 * PAGE), (gfn + 1) * PAGE);
    ck_assert_uint_eq(vm_ram_register(gsp, PAGE), gsp->gasp.window.first + PAGE);
}
END_TEST

/* A service that starts again before the guest's first boot: what the guest was told stays so. */
START_TEST(a_kept_window_is_nothing_for_the_start)
{
    uint64_t start;

    open_with(0, false);
    ck_assert_int_eq(gasp_set_aside(&gsp->gasp, 4 * MIB), 0);
    start = vm_ram_register(gsp, MIB);
    ck_assert_uint_gt(start, gsp->gasp.parking.last);
    ck_assert_int_eq(register_at(gsp->gasp.window.first, MIB), EBUSY);
    ck_assert_int_eq(register_at(gsp->gasp.window.first - PAGE, 2 * PAGE), EBUSY);
    configured();
    ck_assert_int_eq(register_at(gsp->gasp.window.first, MIB), 0);
}
END_TEST

/* The search goes on behind the page that is in the way, not behind all that was wanted. */
START_TEST(holes_behind_a_page_are_found)
{
    uint64_t gfn;

    open_with(64 * MIB, false);
    configured();
    gfn = (gsp->gasp.window.first + 20 * MIB) / PAGE;
    ck_assert_uint_eq(gsp->hv->ops->populate(gsp->hv, HV_ORDER_4K, 1, &gfn), 1);
    ck_assert_int_eq(register_at(gsp->gasp.window.first, 24 * MIB), EEXIST);
    ck_assert_uint_eq(gsp->gasp.own_pages, 0);
    ck_assert_uint_eq(gsp->gasp.ram.taken, gfn * PAGE);
    ck_assert_uint_eq(vm_ram_register(gsp, 24 * MIB), gfn * PAGE + 2 * MIB);
    ck_assert_uint_eq(gsp->gasp.own_pages, 24 * 256);
}
END_TEST

START_TEST(a_call_that_fails_leaves_it_as_it_was)
{
    struct state before;
    unsigned failures = 0;

    open_with(64 * MIB, false);
    configured();
    before = state();
    for (unsigned nth = 1;; nth++) {
        int rc;

        sim_fail_call(gsp, nth, ENOMEM);
        rc = register_at(gsp->gasp.window.first, 20 * MIB);
        sim_fail_call(gsp, 0, 0);
        if (rc == 0)
            break;
        failures++;
        expect_state(&before);
    }
    ck_assert_uint_gt(failures, 20);
    expect_zero(gsp->gasp.window.first + 20 * MIB - 8);
}
END_TEST

START_TEST(a_guest_that_has_run_gets_none)
{
    struct sim_options sim = {.size = sizeof(sim), .vcpus = 1, .running = true};

    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
    ck_assert_int_eq(gasp_set_aside(&gsp->gasp, 0), 0);
    ck_assert(!range_there(gsp->gasp.window) && !range_there(gsp->gasp.parking));
    ck_assert_int_eq(gasp_set_aside(&gsp->gasp, MIB), EBUSY);
    guest_close(gsp);
    options.gasp_window = MIB;
    log_text[0] = '\0';
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
    options.gasp_window = 0;
    ck_assert_int_eq(guest_configured(gsp), -1);
    ck_assert_int_eq(errno, EBUSY);
    ck_assert(strstr(log_text, "no gasp window of 1 MiB: the guest has run"));
}
END_TEST

START_TEST(one_that_does_not_fit)
{
    open_with(options.memory_limit, false);
    ck_assert_int_eq(guest_configured(gsp), -1);
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

/* RAM is never the topmost page, which Xen's log of dirty pages can't name. */
START_TEST(a_spare_page_lies_on_top)
{
    struct sim_options sim = {
        .size = sizeof(sim), .vcpus = 1, .ram_bytes = 0xfc000000u + UINT64_C(4) * MIB};
    uint64_t top, word = 1;

    open_with(0, false);
    configured();
    top = (state().info.nr_gfns - 1) * PAGE;
    ck_assert_uint_eq(top, 0xfefff000); /* the special pages; nothing was to be done */
    guest_close(gsp);
    options.gasp_window = 4 * MIB;
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
    options.gasp_window = 0;
    configured();
    top = (state().info.nr_gfns - 1) * PAGE;
    ck_assert_uint_eq(top, gsp->gasp.parking.last - (PAGE - 1));
    ck_assert_int_eq(hv_sim_log(gsp->hv, true), 0);
    ck_assert_int_eq(vm_ram_write(gsp, (UINT64_C(4) << 30) + 4 * MIB - 8, &word, 8), 0);
    ck_assert(hv_sim_logged(gsp->hv, ((UINT64_C(4) << 30) + 4 * MIB - 8) / PAGE));
    ck_assert_int_eq(vm_ram_read(gsp, top, &word, 8), -1); /* it isn't RAM to us */
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* As when a window above 4 GiB gets its first RAM while the guest runs. */
START_TEST(the_spare_page_comes_when_it_is_needed)
{
    struct gasp *gasp;

    open_with(0, false);
    gasp = &gsp->gasp;
    gasp->window = (struct range){UINT64_C(5) << 30, (UINT64_C(5) << 30) + 4 * MIB - 1};
    ck_assert_int_eq(
        gasp_take_aside(gasp, gasp->window,
                        (struct range){gasp->window.last + 1, gasp->window.last + 2 * MIB}),
        0);
    configured();
    ck_assert_uint_eq((state().info.nr_gfns - 1) * PAGE, 0xfefff000);
    ck_assert_uint_eq(vm_ram_register(gsp, MIB), gasp->window.first);
    ck_assert_uint_eq((state().info.nr_gfns - 1) * PAGE, gasp->parking.last - (PAGE - 1));
}
END_TEST

/* A vdev without a location: the vdevs' window, then the gasp window. */
START_TEST(vdevs_come_to_lie_in_it)
{
    open_with(16 * MIB, false);
    ck_assert_int_eq(gasp_set_aside(&gsp->gasp, 16 * MIB), 0);
    ck_assert_uint_eq(gasp_find_free(gsp, QST_MEMORY, 0xc00000, 1), 0xfe000000);
    ck_assert_uint_eq(gasp_find_free(gsp, QST_MEMORY, 17 * MIB, 1), gsp->gasp.parking.last + 1);
    add("store,loc=mem:0xfe000000");
    configured();
    ck_assert_int_eq(gasp_lock(gsp, QST_MEMORY), 0);
    ck_assert_uint_eq(gasp_find_free(gsp, QST_MEMORY, 0xc00000, 1), gsp->gasp.window.first);
    ck_assert_uint_eq(gasp_find_free(gsp, QST_MEMORY, 17 * MIB, 1), QSL_NO_LOCATION);
    ck_assert_int_eq(gasp_unlock(gsp, QST_MEMORY), 0);
}
END_TEST

/* The types that the guest's own memory map has for an address, as bits. */
static unsigned types_at(uint64_t addr)
{
    struct start_info_memmap_entry entry[START_INFO_MAX_ENTRIES];
    struct start_info info;
    unsigned types = 0;
    uint64_t gpa;

    ck_assert_int_eq(ram_read_start_info(&gsp->gasp.ram, &gpa, &info, entry), 1);
    for (uint32_t i = 0; i < info.memmap_entries; i++)
        if (addr >= entry[i].addr && addr - entry[i].addr < entry[i].size)
            types |= 1u << entry[i].type;
    return types;
}

static void add_range(uint64_t start, uint64_t length)
{
    struct gasp_region rgn = {
        .flags = GRF_NOPERMS | GRF_ACTIVE,
        .guest = {.location = start, .length = length, .type = QST_MEMORY},
    };

    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &rgn), 1);
}

/* Linux keeps its mappings of foreign pages out of each block of 128 MiB in which it remembers
 * something: RAM, or unusable memory, but nothing that is reserved. */
START_TEST(each_block_is_guarded)
{
    enum { RESERVED = 1 << RAM_MAP_RESERVED, UNUSABLE = 1 << RAM_MAP_UNUSABLE };

    open_with(16 * MIB, false);
    add_range(0x20345000, PAGE);                /* in the middle of a block */
    add_range(0x38000000, PAGE);                /* where a guard would lie */
    add_range(0x47fff000, 2 * PAGE);            /* in two blocks */
    add_range(0x57000000, UINT64_C(150) * MIB); /* one of them full of it */
    ck_assert_int_eq(guest_configured(gsp), 0);
    ck_assert_uint_eq(types_at(0x20345000), RESERVED);
    ck_assert_uint_eq(types_at(0x20000000), UNUSABLE);
    ck_assert_uint_eq(types_at(0x20001000), 0);
    ck_assert_uint_eq(types_at(0x38000000), RESERVED);
    ck_assert_uint_eq(types_at(0x38001000), UNUSABLE);
    ck_assert_uint_eq(types_at(0x47fff000), RESERVED);
    ck_assert_uint_eq(types_at(0x40000000), UNUSABLE);
    ck_assert_uint_eq(types_at(0x48001000), UNUSABLE);
    ck_assert_uint_eq(types_at(0x57000000), UNUSABLE);
    ck_assert_uint_eq(types_at(0x50000000), 0);
    /* These lie in a block with RAM. */
    ck_assert_uint_eq(types_at(gsp->gasp.window.first), RESERVED);
    ck_assert_uint_eq(types_at(gsp->gasp.parking.last), UNUSABLE);
}
END_TEST

static struct range kept_range(uint64_t first_mib, uint64_t mib)
{
    return (struct range){first_mib * MIB, (first_mib + mib) * MIB - 1};
}

static void cover_page(uint64_t at, uint32_t flags)
{
    const struct gasp_region rgn = {
        .flags = flags, .cookie = 1, .guest = {at, PAGE, QST_MEMORY, QSF_NONE}};

    gasp_lock(gsp, QST_MEMORY);
    ck_assert_msg(gasp_region_set_soft(gsp, 1, &rgn) == 1, "%s: %s", strerror(errno), log_text);
    gasp_unlock(gsp, QST_MEMORY);
}

START_TEST(the_record_keeps_all)
{
    char dir[] = "/tmp/xengasp-window-XXXXXX", path[PATH_MAX];
    struct gasp_kept kept;
    FILE *file;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    open_with(8 * MIB, false);
    snprintf(gsp->state_dir, sizeof(gsp->state_dir), "%s", dir);
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert_uint_eq(kept.n_ram, 0);
    ck_assert_uint_eq(vm_ram_register(gsp, 2 * MIB), RAM_END);
    ck_assert_int_eq(record_load(gsp, &kept), 0); /* without waiting for guest_configured */
    ck_assert_uint_eq(kept.n_ram, 1);
    free(kept.guest);
    free(kept.ram);
    ck_assert_uint_eq(vm_ram_register(gsp, 2 * MIB), RAM_END + 2 * MIB);
    configured();
    ck_assert_uint_eq(vm_ram_register(gsp, MIB), gsp->gasp.window.first);
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert_uint_eq(kept.n_ram, 3);
    ck_assert_uint_eq(kept.ram[0].first, RAM_END);
    ck_assert_uint_eq(kept.ram[1].last, RAM_END + 4 * MIB - 1);
    ck_assert_uint_eq(kept.ram[2].first, gsp->gasp.window.first);
    ck_assert_uint_eq(kept.n_guest, 1);
    ck_assert_uint_eq(kept.guest[0].last, RAM_END - 1);
    free(kept.guest);
    ck_assert_mem_eq(&kept.window, &gsp->gasp.window, sizeof(kept.window));
    ck_assert_mem_eq(&kept.parking, &gsp->gasp.parking, sizeof(kept.parking));
    free(kept.ram);
    ck_assert_int_eq(vm_ram_unregister(gsp, RAM_END, 2 * MIB), 0);
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert_uint_eq(kept.n_ram, 2);
    free(kept.guest);
    free(kept.ram);
    free(kept.run);
    /* Where pages are parked, as long as they are. */
    cover_page(5 * MIB, GRF_NOPERMS | GRF_ACTIVE);
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert_uint_eq(kept.n_run, 1);
    ck_assert_uint_eq(kept.run[0].home, 5 * MIB / PAGE);
    ck_assert_uint_eq(kept.run[0].at, gsp->gasp.parking.first / PAGE);
    ck_assert_uint_eq(kept.run[0].n, 1);
    free(kept.run);
    free(kept.guest);
    free(kept.ram);
    cover_page(5 * MIB, GRF_NONE);
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert_uint_eq(kept.n_run, 0);
    ck_assert_uint_eq(kept.n_ram, 2);
    free(kept.guest);
    free(kept.ram);
    /* Garbage ends the list; another guest's record is none. */
    snprintf(path, sizeof(path), "%s/ram", dir);
    file = fopen(path, "a");
    fputs("ram 5-4\nram 100000-1fffff\n", file);
    fclose(file);
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert_uint_eq(kept.n_ram, 2);
    free(kept.guest);
    free(kept.ram);
    gsp->uuid[0]++;
    ck_assert_int_eq(record_load(gsp, &kept), 0);
    ck_assert(kept.n_ram == 0 && !range_there(kept.window));
    guest_close(gsp);
    gsp = NULL;
    unlink(path);
    rmdir(dir);
}
END_TEST

/* A later service has what the first one chose, where it chose it. */
START_TEST(a_later_service_goes_on_with_it)
{
    /* The first 63 MiB of it, to see that this is believed, and not looked for. */
    struct range guest = kept_range(0, 63), ram = kept_range(80, 2);
    struct gasp_kept kept = {.guest = &guest,
                             .n_guest = 1,
                             .ram = &ram,
                             .n_ram = 1,
                             .window = kept_range(80, 8),
                             .parking = kept_range(88, 4)};
    char dir[] = "/tmp/xengasp-window-XXXXXX", path[PATH_MAX];
    struct gasp_kept again;
    struct hv_info info;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    open_with(0, false);
    ck_assert_int_eq(gsp->hv->ops->unpause(gsp->hv), 0);
    ck_assert_int_eq(gsp->hv->ops->info(gsp->hv, &info), 0);
    gasp_dispose(&gsp->gasp);
    gsp->gasp.log = options.log;
    ck_assert_int_eq(gasp_init(&gsp->gasp, gsp->hv, &info, &gsp->options), 0);
    ck_assert_int_eq(gasp_seed(&gsp->gasp, &info, &kept), 0);
    ck_assert_int_eq(gasp_set_aside(&gsp->gasp, MIB), 0); /* of whatever size it would be now */
    ck_assert_mem_eq(&kept.window, &gsp->gasp.window, sizeof(kept.window));
    ck_assert(space_map_covered(gsp->gasp.space[GASP_MEMORY].map, ram, GRF_MEMORY, 0));
    ck_assert_uint_eq(vm_ram_register(gsp, MIB), 82 * MIB);
    ck_assert_int_eq(register_at(88 * MIB, PAGE), EBUSY);
    ck_assert_int_eq(vm_ram_read(gsp, 63 * MIB - 1, path, 1), 0);
    ck_assert_int_eq(vm_ram_read(gsp, 63 * MIB, path, 1), -1);
    snprintf(gsp->state_dir, sizeof(gsp->state_dir), "%s", dir);
    ck_assert_int_eq(record_save(gsp), 0);
    ck_assert_int_eq(record_load(gsp, &again), 0);
    ck_assert(again.n_guest == 1 && again.guest[0].last == 63 * MIB - 1);
    free(again.guest);
    free(again.ram);
    guest_close(gsp);
    gsp = NULL;
    snprintf(path, sizeof(path), "%s/ram", dir);
    unlink(path);
    rmdir(dir);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("window");
    TCase *tc = tcase_create("window");

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, is_chosen_above_all_ram);
    tcase_add_test(tc, takes_ram_while_the_guest_runs);
    tcase_add_loop_test(tc, pages_of_the_guest_are_not_replaced, 0, 4);
    tcase_add_test(tc, small_holes_are_found);
    tcase_add_test(tc, a_kept_window_is_nothing_for_the_start);
    tcase_add_test(tc, holes_behind_a_page_are_found);
    tcase_add_test(tc, a_call_that_fails_leaves_it_as_it_was);
    tcase_add_test(tc, a_guest_that_has_run_gets_none);
    tcase_add_test(tc, one_that_does_not_fit);
    tcase_add_test(tc, a_spare_page_lies_on_top);
    tcase_add_test(tc, the_spare_page_comes_when_it_is_needed);
    tcase_add_test(tc, vdevs_come_to_lie_in_it);
    tcase_add_test(tc, each_block_is_guarded);
    tcase_add_test(tc, the_record_keeps_all);
    tcase_add_test(tc, a_later_service_goes_on_with_it);
    return s;
}

CHECK_MAIN(suite)
