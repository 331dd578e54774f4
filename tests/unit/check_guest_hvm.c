/* SPDX-License-Identifier: BSD-2-Clause */
/* An HVM guest's memory at its first boot: hvm_info, and the map that hvmloader asks for. */
#include <errno.h>
#include <string.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "hv/sim.h"
#include "ram/ram_internal.h"
#include "tests/unit/guest_fixture.h"

#define GIB UINT64_C(0x40000000)
#define INFO 0x9f800u
enum { PAGE = 4096, MIB = 1 << 20, TABLE = 48 };
enum { LOW_PGEND = 20, HIGH_PGEND = 28, CHECKSUM = 12 }; /* offsets in hvm_info */

static void open_hvm(uint64_t ram_bytes)
{
    struct sim_options sim = {.size = sizeof(sim), .hvm = true, .vcpus = 1, .ram_bytes = ram_bytes};

    log_text[0] = '\0';
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
}

/* A field of hvm_info, as the guest sees it; the table must be right. */
static uint32_t info_field(unsigned offset)
{
    uint8_t table[TABLE], sum = 0;
    uint32_t value;

    ck_assert_int_eq(hv_sim_ram(gsp->hv, false, INFO, table, sizeof(table)), 0);
    for (unsigned i = 0; i < TABLE; i++)
        sum += table[i];
    ck_assert_uint_eq(sum, 0);
    ck_assert_mem_eq(table, "HVM INFO", 8);
    memcpy(&value, table + offset, sizeof(value));
    return value;
}

/* The type that the map tells of an address, of several entries the last; 0: none. */
static uint32_t type_at(uint64_t addr)
{
    const struct hv_memory_entry *entry;
    size_t n = hv_sim_memory_map(gsp->hv, &entry);
    uint32_t type = 0;

    for (size_t i = 0; i < n; i++)
        if (addr >= entry[i].addr && addr - entry[i].addr < entry[i].size)
            type = entry[i].type;
    return type;
}

static void is_ram(uint64_t first, uint64_t last)
{
    const struct space_map *map = gsp->gasp.space[GASP_MEMORY].map;

    ck_assert(space_map_covered(map, (struct range){first, last}, GRF_MEMORY, 0));
}

static void is_no_ram(uint64_t first, uint64_t last)
{
    const struct space_map *map = gsp->gasp.space[GASP_MEMORY].map;

    ck_assert(!space_map_meets(map, (struct range){first, last}, GRF_MEMORY, NULL));
}

/* Before the first boot, from hvm_info: pages that QEMU has put elsewhere aren't the guest's RAM. */
START_TEST(finds_what_xl_built)
{
    uint64_t gfn = 64 * MIB / PAGE;

    open_hvm(0);
    is_ram(0, 0x9ffff);
    is_no_ram(0xa0000, 0xfffff); /* of the platform */
    is_ram(MIB, 64 * MIB - 1);
    is_no_ram(64 * MIB, 0xffffffff);
    ck_assert_uint_eq(gsp->hv->ops->populate(gsp->hv, HV_ORDER_4K, 1, &gfn), 1);
    ck_assert_uint_eq(vm_ram_register(gsp, 4 * MIB), 66 * MIB); /* past QEMU's page */
    guest_close(gsp);
    open_hvm(4 * GIB);
    is_ram(MIB, 0xefffffff);
    is_no_ram(0xf0000000, 0xffffffff);
    is_ram(4 * GIB, 4 * GIB + 256 * MIB - 1);
    is_no_ram(4 * GIB + 256 * MIB, 8 * GIB);
}
END_TEST

/* What is broken is not believed; then pages are looked for, as in a guest that runs. */
START_TEST(a_wrong_table_is_none)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } wrong[] = {{0, 'h'}, {8, 0}, {9, 0xff}, {CHECKSUM, 1}, {40, 99}};
    struct range range[HVM_RAM_RANGES];
    uint8_t byte = wrong[_i].value;

    open_hvm(0);
    ck_assert_int_eq(ram_read_hvm_info(&gsp->gasp.ram, range), 2);
    ck_assert_int_eq(hv_sim_ram(gsp->hv, true, INFO + wrong[_i].at, &byte, 1), 0);
    ck_assert_int_eq(ram_read_hvm_info(&gsp->gasp.ram, range), 0);
    ck_assert_uint_ne(vm_ram_register(gsp, MIB), 0);
    configured();
    ck_assert(strstr(log_text, "nothing tells the guest of its registered RAM"));
}
END_TEST

START_TEST(low_ram_is_reserved)
{
    uint64_t start;

    options.gasp_window = 16 * MIB;
    open_hvm(0);
    options.gasp_window = 0;
    add("store,loc=mem:0xe0000000");
    start = vm_ram_register(gsp, 8 * MIB);
    ck_assert_uint_eq(start, 64 * MIB);
    configured();
    ck_assert_uint_eq(type_at(MIB), 1);
    ck_assert_uint_eq(type_at(64 * MIB - 1), 1);
    ck_assert_uint_eq(type_at(start), 2);
    ck_assert_uint_eq(type_at(start + 8 * MIB - 1), 2);
    ck_assert_uint_eq(type_at(0xe0000000), 2);
    ck_assert_uint_eq(type_at(0xe0001000), 0);
    ck_assert_uint_eq(type_at(gsp->gasp.window.first), 2);
    ck_assert_uint_eq(type_at(gsp->gasp.parking.last), 2);
    ck_assert_uint_lt(gsp->gasp.parking.last, 2 * GIB);
    ck_assert_uint_eq(info_field(LOW_PGEND), 64 * MIB / PAGE);
    ck_assert_uint_eq(info_field(HIGH_PGEND), 0);
}
END_TEST

/* Nothing chooses to lie where hvmloader puts BARs: what doesn't fit below goes above 4 GiB. */
START_TEST(keeps_clear_of_the_bars)
{
    const struct qvm_state_block low = {
        .type = QST_MEMORY, .location = 65 * MIB, .length = 2 * GIB - 65 * MIB};

    open_hvm(0);
    ck_assert_int_eq(gasp_reserve(gsp, &low), 0);
    ck_assert_uint_eq(vm_ram_register(gsp, MIB), 64 * MIB);
    ck_assert_uint_eq(vm_ram_register(gsp, MIB), 4 * GIB);
}
END_TEST

START_TEST(ram_at_4_gib)
{
    open_hvm(0);
    ck_assert_int_eq(vm_ram_register_at(gsp, 4 * GIB, 3 * MIB, false), 0);
    ck_assert_int_eq(vm_ram_register_at(gsp, 4 * GIB + 3 * MIB, MIB, false), 0);
    ck_assert_int_eq(vm_ram_register_at(gsp, 4 * GIB + 16 * MIB, MIB, false), 0); /* apart */
    configured();
    ck_assert_uint_eq(info_field(HIGH_PGEND), (4 * GIB + 4 * MIB) / PAGE);
    ck_assert_uint_eq(type_at(4 * GIB), 2);
    ck_assert_uint_eq(type_at(4 * GIB + 4 * MIB), 0);
    ck_assert_uint_eq(type_at(4 * GIB + 16 * MIB), 2);
}
END_TEST

START_TEST(ram_above_what_there_is)
{
    open_hvm(4 * GIB);
    ck_assert_uint_eq(vm_ram_register(gsp, 2 * MIB), 4 * GIB + 256 * MIB);
    configured();
    ck_assert_uint_eq(info_field(LOW_PGEND), 0xf0000);
    ck_assert_uint_eq(info_field(HIGH_PGEND), (4 * GIB + 258 * MIB) / PAGE);
    ck_assert_uint_eq(type_at(4 * GIB), 1);
    ck_assert_uint_eq(type_at(4 * GIB + 257 * MIB), 2);
    ck_assert(!range_there(gsp->gasp.parking)); /* no place for it below 2 GiB */
}
END_TEST

START_TEST(a_refused_map_changes_nothing)
{
    struct ram_map_entry entry = {{4 * GIB, 4 * GIB + MIB - 1}, RAM_MAP_RAM};
    unsigned failures = 0;

    open_hvm(0);
    for (unsigned nth = 1;; nth++) {
        int rc;

        sim_fail_call(gsp, nth, ENOMEM);
        rc = ram_extend_hvm_map(&gsp->gasp.ram, &entry, 1);
        sim_fail_call(gsp, 0, 0);
        if (rc == 0)
            break;
        failures++;
        ck_assert_uint_eq(info_field(HIGH_PGEND), 0);
    }
    ck_assert_uint_ge(failures, 2);
    ck_assert_uint_eq(info_field(HIGH_PGEND), (4 * GIB + MIB) / PAGE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hvm");
    TCase *tc = tcase_create("hvm");

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, finds_what_xl_built);
    tcase_add_loop_test(tc, a_wrong_table_is_none, 0, 5);
    tcase_add_test(tc, low_ram_is_reserved);
    tcase_add_test(tc, keeps_clear_of_the_bars);
    tcase_add_test(tc, ram_at_4_gib);
    tcase_add_test(tc, ram_above_what_there_is);
    tcase_add_test(tc, a_refused_map_changes_nothing);
    return s;
}

CHECK_MAIN(suite)
