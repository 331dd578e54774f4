/* SPDX-License-Identifier: BSD-2-Clause */
/* Where RAM and vdevs may come to lie: find_free, reserves, what the guest is told of it, and of
 * registering RAM what the conformance suite can't show. */
#include <string.h>

#include "ram/ram_internal.h"
#include "tests/unit/gasp_fixture.h"

#define MEM UINT64_C(0xe0000000)
enum { MIB2 = 2 * MIB };

static int register_at(uint64_t start, uint64_t bytes, bool untyped)
{
    errno = 0;
    return vm_ram_register_at(gsp(), start, bytes, untyped) == 0 ? 0 : errno;
}

static bool all_zero(uint64_t gpa, size_t size)
{
    char page[PAGE];

    for (size_t done = 0; done < size; done += PAGE) {
        memset(page, 1, sizeof(page));
        if (vm_ram_read(gsp(), gpa + done, page, sizeof(page)) < 0)
            return false;
        for (size_t i = 0; i < sizeof(page); i++)
            if (page[i])
                return false;
    }
    return true;
}

/* ---- vm_ram_register_at ---- */

/* Each call fails once, at a place of its own. Whole 2 MiB extents or nothing; else small ones will
 * do. */
START_TEST(test_each_call_fails)
{
    bool untyped = _i;
    uint64_t bytes = untyped ? MIB2 : MIB2 + PAGE;
    unsigned failed = 0, absorbed = 0;
    bool all_tried = false;

    for (unsigned n = 1; !all_tried; n++) {
        const uint64_t at = MEM + n * 2 * MIB2;
        const struct hv_sim_usage before = usage();
        const unsigned long calls = hv_sim_calls(hv);
        struct gasp_region rgn;
        int rc;

        hv_sim_fail_call(hv, n, ENOMEM);
        rc = register_at(at, bytes, untyped);
        hv_sim_fail_call(hv, 0, 0);
        if (rc == 0) {
            all_tried = hv_sim_calls(hv) - calls < n;
            absorbed += !all_tried;
            ck_assert_uint_eq(usage().nr_pages, before.nr_pages + bytes / PAGE);
            ck_assert(all_zero(at, bytes));
        } else {
            failed++;
            ck_assert(same_usage(before, usage()));
            ck_assert_int_eq(info(QST_MEMORY, at, &rgn), ENOENT);
        }
    }
    ck_assert_uint_gt(failed, 5);
    ck_assert_int_eq(absorbed == 0, untyped);
}
END_TEST

/* A guest that has run may use any hole of its own accord. */
START_TEST(test_too_late)
{
    gasp.running = true;
    ck_assert_int_eq(register_at(MEM, PAGE, false), EBUSY);
    ck_assert_int_eq(register_at(MEM, 0, false), EINVAL);
    ck_assert_uint_eq(vm_ram_register(gsp(), PAGE), 0);
    ck_assert_int_eq(errno, ENOSPC);
    gasp.running = false;
    close_guest();
    open_guest((struct hv_sim_options){.type = HV_PVH, .running = true}, false);
    ck_assert_int_eq(register_at(MEM, PAGE, false), EBUSY);
    ck_assert_int_eq(register_at(0, PAGE, false), EBUSY);
    ck_assert_uint_eq(vm_ram_register(gsp(), PAGE), 0);
    ck_assert_int_eq(errno, ENOSPC);
    close_guest();
    open_guest((struct hv_sim_options){.type = HV_PVH}, true);
    ck_assert_int_eq(register_at(MEM, PAGE, false), ENOTSUP);
    ck_assert_int_eq(register_at(MEM, 0, false), ENOTSUP);
    ck_assert_uint_eq(vm_ram_register(gsp(), 0), 0);
    ck_assert_int_eq(errno, ENOTSUP);
}
END_TEST

/* ---- find_free, reserve ---- */

static const struct find_row {
    unsigned type;
    uint64_t size, align;
    uint64_t found; /* or QSL_NO_LOCATION and the error */
    int error;
} find_rows[] = {
    {QST_MEMORY, PAGE, PAGE, 0xfe000000, 0},
    {QST_MEMORY, 1, 0, 0xfe000000, 0},
    {QST_MEMORY, 0xc00000, 1, 0xfe000000, 0}, /* the whole window */
    {QST_MEMORY, 0xc00001, 1, RAM_BYTES, 0},  /* then above all RAM */
    {QST_MEMORY, PAGE, UINT64_C(1) << 32, UINT64_C(1) << 32, 0},
    {QST_MEMORY, SPACE_LIMIT, 1, QSL_NO_LOCATION, ENOSPC},
    {QST_MEMORY, UINT64_MAX, 1, QSL_NO_LOCATION, ENOSPC},
    {QST_X86_IO, 8, 8, 0x2000, 0},
    {QST_X86_IO, 0x8000, 1, 0x2000, 0},
    {QST_X86_IO, 0x8001, 1, QSL_NO_LOCATION, ENOSPC},
    {QST_X86_IO, 1, 0x8000, 0x8000, 0},
    {QST_MEMORY, 0, 1, QSL_NO_LOCATION, EINVAL},
    {QST_MEMORY, 1, 3, QSL_NO_LOCATION, EINVAL},
    {QST_PCI_IO, 1, 1, QSL_NO_LOCATION, ENOTSUP},
    {QST_PCI_IO, 0, 3, QSL_NO_LOCATION, ENOTSUP}, /* before EINVAL */
};

START_TEST(test_find_free)
{
    const struct find_row *row = &find_rows[_i];

    errno = 0;
    ck_assert_uint_eq(gasp_find_free(gsp(), row->type, row->size, row->align), row->found);
    ck_assert_int_eq(errno, row->error);
}
END_TEST

START_TEST(test_find_free_range)
{
    const struct qvm_state_block reserve = {MEM + PAGE, PAGE, QST_MEMORY, 0};

    ck_assert_int_eq(set(QST_MEMORY, MEM, 1, GRF_VIRT_RD, &vdev_a, 0), 0); /* inactive */
    ck_assert_int_eq(gasp_reserve(gsp(), &reserve), 0);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, MEM, UINT64_MAX), MEM + 1);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, PAGE, 1, MEM, UINT64_MAX),
                      MEM + 2 * PAGE);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, MEM, MEM), QSL_NO_LOCATION);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, MEM, MEM - 1), QSL_NO_LOCATION);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(
        gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, SPACE_LIMIT - 1, SPACE_LIMIT + 5),
        SPACE_LIMIT - 1);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, SPACE_LIMIT, UINT64_MAX),
                      QSL_NO_LOCATION);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_X86_IO, 1, 1, 0xffff, 0xffff), 0xffff);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_X86_IO, 4, 4, 0xcf8, 0xcff), QSL_NO_LOCATION);
    /* Explicit use of a reserve is allowed. */
    ck_assert_int_eq(set(QST_MEMORY, MEM + PAGE, PAGE, VIRT, &vdev_a, 0), 0);
}
END_TEST

START_TEST(test_find_free_running)
{
    gasp.running = true;
    ck_assert_uint_eq(gasp_find_free(gsp(), QST_MEMORY, 1, 1), QSL_NO_LOCATION);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_uint_eq(gasp_find_free(gsp(), QST_MEMORY, 0, 1), QSL_NO_LOCATION);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, 1, 0), QSL_NO_LOCATION);
    ck_assert_int_eq(errno, EINVAL);
    gasp_lock(gsp(), QST_MEMORY);
    ck_assert_uint_eq(gasp_find_free(gsp(), QST_MEMORY, 1, 1), 0xfe000000);
    /* Above RAM lie the guest's own mappings by now. */
    ck_assert_uint_eq(gasp_find_free(gsp(), QST_MEMORY, 0xc00001, 1), QSL_NO_LOCATION);
    ck_assert_int_eq(errno, ENOSPC);
    gasp_unlock(gsp(), QST_MEMORY);
    gasp.running = false;
}
END_TEST

/* hvmloader's BARs: nothing chooses to lie there. */
START_TEST(test_hvm_bars)
{
    close_guest();
    open_guest((struct hv_sim_options){.type = HV_HVM}, false);
    ck_assert_uint_eq(gasp_find_free_range(gsp(), QST_MEMORY, 1, 1, 0xf0000000, 0xffffffff),
                      0xfe000000);
    ck_assert_int_eq(set(QST_MEMORY, 0xf0000000, 1, VIRT, &vdev_a, 0), 0);
}
END_TEST

START_TEST(test_reserve)
{
    static const struct {
        struct qvm_state_block block;
        int error;
    } rows[] = {
        {{0xfe000000, 0x10, QST_MEMORY, 0}, 0},
        {{0x2000, 0x10, QST_X86_IO, 0}, 0},
        {{0, 1, QST_PCI_IO, 0}, ENOTSUP},
        {{0, 0, QST_MEMORY, 0}, EINVAL},
        {{SPACE_LIMIT, 1, QST_MEMORY, 0}, EOVERFLOW},
        {{0xffff, 2, QST_X86_IO, 0}, EOVERFLOW},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        errno = 0;
        ck_assert_int_eq(gasp_reserve(gsp(), &rows[i].block), rows[i].error ? -1 : 0);
        ck_assert_int_eq(errno, rows[i].error);
    }
    ck_assert_uint_eq(gasp_find_free(gsp(), QST_MEMORY, 1, 1), 0xfe000010);
    ck_assert_uint_eq(gasp_find_free(gsp(), QST_X86_IO, 1, 1), 0x2010);
    gasp.running = true;
    ck_assert_int_eq(gasp_reserve(gsp(), &rows[0].block), -1);
    ck_assert_int_eq(errno, EPERM);
    gasp.running = false;
}
END_TEST

/* ---- what the guest is told ---- */

static uint32_t told(uint64_t addr)
{
    struct start_info_memmap_entry entry[START_INFO_MAX_ENTRIES];
    struct start_info si;
    uint64_t gpa;

    ck_assert_int_eq(ram_read_start_info(&gasp.ram, &gpa, &si, entry), 1);
    for (uint32_t i = 0; i < si.memmap_entries; i++)
        if (addr >= entry[i].addr && addr - entry[i].addr < entry[i].size)
            return entry[i].type;
    return 0; /* a hole: Linux may put mappings of its own there */
}

START_TEST(test_memory_map)
{
    ck_assert_int_eq(register_at(MEM, 2 * PAGE, false), 0);
    ck_assert_int_eq(register_at(MEM + 2 * PAGE, PAGE, false), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM + MIB + 0x10, 4, VIRT, &vdev_a, 0), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM + MIB + 0x20, PAGE, VIRT, &vdev_b, 0), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM + MIB2, PAGE, GRF_VIRT_RD, &vdev_b, 0), 0); /* inactive */
    ck_assert_int_eq(gasp_extend_memory_map(&gasp), 0);
    ck_assert_uint_eq(told(0), RAM_MAP_RAM);
    ck_assert_uint_eq(told(MEM), RAM_MAP_RAM);
    ck_assert_uint_eq(told(MEM + 3 * PAGE - 1), RAM_MAP_RAM);
    ck_assert_uint_eq(told(MEM + 3 * PAGE), 0);
    ck_assert_uint_eq(told(MEM + MIB - 1), 0);
    ck_assert_uint_eq(told(MEM + MIB), RAM_MAP_RESERVED); /* whole pages */
    ck_assert_uint_eq(told(MEM + MIB + 2 * PAGE - 1), RAM_MAP_RESERVED);
    ck_assert_uint_eq(told(MEM + MIB + 2 * PAGE), 0);
    ck_assert_uint_eq(told(MEM + MIB2), RAM_MAP_RESERVED);
    ck_assert_uint_eq(told(0xfdffffff), 0);
    ck_assert_uint_eq(told(0xfe000000), RAM_MAP_RESERVED);
    ck_assert_uint_eq(told(0xfebfffff), RAM_MAP_RESERVED);
    ck_assert_uint_eq(told(0xfee00000), 0); /* the platform is not ours to tell of */
}
END_TEST

/* RAM where vdevs would look for a place: it is RAM for the guest, not reserved. */
START_TEST(test_memory_map_ram_in_window)
{
    ck_assert_int_eq(register_at(0xfe100000, PAGE, false), 0);
    ck_assert_int_eq(gasp_extend_memory_map(&gasp), 0);
    ck_assert_uint_eq(told(0xfe100000), RAM_MAP_RAM);
}
END_TEST

/* A guest that has run has its map already. */
START_TEST(test_memory_map_too_late)
{
    unsigned long calls;

    close_guest();
    open_guest((struct hv_sim_options){.type = HV_PVH, .running = true}, false);
    calls = hv_sim_calls(hv);
    ck_assert_int_eq(gasp_extend_memory_map(&gasp), 0);
    ck_assert_uint_eq(hv_sim_calls(hv), calls);
}
END_TEST

/* Opens another guest, but with one page taken away or put there before we look at it. */
static void reopen(struct hv_sim_options options, bool populate, uint64_t gpa, struct range *hint,
                   size_t n_hint)
{
    const struct guest_options mine = {.log = gasp.log, .memory_limit = SPACE_LIMIT};
    const uint64_t gfn = gpa >> HV_PAGE_SHIFT;
    struct hv_info i;

    close_guest();
    options.vcpus = 1;
    options.ram_bytes = RAM_BYTES;
    ck_assert_int_eq(hv_sim_open(&hv, &options), 0);
    ck_assert_uint_eq(populate ? hv->ops->populate(hv, HV_ORDER_4K, 1, &gfn)
                               : hv->ops->depopulate(hv, HV_ORDER_4K, 1, &gfn),
                      1);
    ck_assert_int_eq(hv->ops->info(hv, &i), 0);
    ck_assert_int_eq(gasp_init(&gasp, hv, &i, &mine), 0);
    ck_assert_int_eq(gasp_seed(&gasp, &i, &(struct gasp_kept){.ram = hint, .n_ram = n_hint}), 0);
}

/* What an earlier service registered and recorded is still ours, as far as it is still there. */
START_TEST(test_hints)
{
    struct range hint[] = {{MEM, MEM + PAGE - 1}, {2 * MEM, 2 * MEM + PAGE - 1}};
    struct gasp_region rgn;

    reopen((struct hv_sim_options){.running = true}, true, MEM, hint, 2);
    /* Both: a page that is ballooned out may come back. */
    ck_assert_uint_eq(gasp.n_own_ram, 2);
    ck_assert_uint_eq(gasp.own_ram[0].first, MEM);
    ck_assert_int_eq(info(QST_MEMORY, MEM, &rgn), 0);
    ck_assert(rgn.flags & GRF_MEMORY);
    ck_assert_int_eq(info(QST_MEMORY, 2 * MEM, &rgn), 0);
    ck_assert(rgn.flags & GRF_MEMORY);
}
END_TEST

/* Address 0 is vm_ram_register's failure, so it never gives page 0. */
START_TEST(test_page_zero)
{
    const struct qvm_state_block above = {RAM_BYTES, SPACE_LIMIT - RAM_BYTES, QST_MEMORY, 0};
    struct gasp_region rgn;

    reopen((struct hv_sim_options){.bare = true}, false, 0, NULL, 0);
    ck_assert_int_eq(info(QST_MEMORY, 0, &rgn), ENOENT);
    ck_assert_int_eq(info(QST_MEMORY, PAGE, &rgn), 0);
    ck_assert_int_eq(gasp_reserve(gsp(), &above), 0);
    ck_assert_uint_eq(vm_ram_register(gsp(), PAGE), 0);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(info(QST_MEMORY, 0, &rgn), ENOENT);
    ck_assert_int_eq(register_at(0, PAGE, false), 0);
}
END_TEST

/* 0 is vm_ram_allocate's failure, too. */
START_TEST(page_zero_is_for_alloc_alone)
{
    uint64_t gpa = 4711;

    reopen((struct hv_sim_options){.bare = true}, false, 0, NULL, 0);
    ck_assert_int_eq(register_at(0, PAGE, false), 0);
    ck_assert_int_eq(register_at(MEM, PAGE, false), 0);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), PAGE), MEM);
    ck_assert_uint_eq(vm_ram_allocate(gsp(), 1), 0);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(vm_ram_alloc(gsp(), PAGE, 1, &gpa), 0);
    ck_assert_uint_eq(gpa, 0);
}
END_TEST

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static Suite *make_suite(void)
{
    Suite *suite = suite_create("guest_ram");
    TCase *t = tcase_create("guest_ram");

    tcase_add_checked_fixture(t, open_pvh, close_guest);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_each_call_fails, 0, 2);
    tcase_add_test(t, test_too_late);
    tcase_add_loop_test(t, test_find_free, 0, ROWS(find_rows));
    tcase_add_test(t, test_find_free_range);
    tcase_add_test(t, test_find_free_running);
    tcase_add_test(t, test_hvm_bars);
    tcase_add_test(t, test_reserve);
    tcase_add_test(t, test_memory_map);
    tcase_add_test(t, test_memory_map_ram_in_window);
    tcase_add_test(t, test_memory_map_too_late);
    tcase_add_test(t, test_hints);
    tcase_add_test(t, test_page_zero);
    tcase_add_test(t, page_zero_is_for_alloc_alone);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
