/* SPDX-License-Identifier: BSD-2-Clause */
/* The regions of a guest's address spaces: gasp.h, on the simulator. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/gasp_fixture.h"

/* A free place in memory, and among the ports. */
#define MEM UINT64_C(0xe0000000)
enum { PORT = 0x3000, UNKNOWN_FLAG = 0x10000 };

/* ---- what a region may be ---- */

static const struct flags_row {
    uint32_t flags;
    bool vdev;
    int rc;
} flags_rows[] = {
    {GRF_VIRT_RD | GRF_ACTIVE, true, 0},
    {GRF_VIRT_WR | GRF_ACTIVE, true, 0},
    {GRF_VIRT_ANY | GRF_ACTIVE, true, 0},
    {GRF_VIRT_RD, true, 0}, /* inactive */
    {GRF_NOPERMS | GRF_ACTIVE, false, 0},
    {GRF_NOPERMS | GRF_ACTIVE, true, 0},
    {GRF_NOPERMS, false, 0},
    {GRF_ACTIVE, false, 0},
    {VIRT | GRF_PRECIOUS, true, 0},
    {VIRT | GRF_DMA_USES | GRF_DMA_NO_USE | GRF_DMA_SOURCE | GRF_DMA_TARGET, true, 0},
    {VIRT | GRF_BACKUP_MASK, true, 0},
    {VIRT, false, EINVAL}, /* without a vdev */
    {GRF_VIRT_WR | GRF_ACTIVE, false, EINVAL},
    {VIRT | UNKNOWN_FLAG, true, EINVAL},
    {VIRT | GRF_PASS_RD, true, EINVAL}, /* both of one access */
    {VIRT | GRF_PASS_WR, true, EINVAL},
    {VIRT | GRF_VIRT_EX | GRF_PASS_EX, true, EINVAL},
    {GRF_VIRT_WR | GRF_PASS_RD | GRF_ACTIVE, true, ENOTSUP},
    {GRF_PASS_ANY | GRF_ACTIVE, false, 0},                   /* device memory */
    {GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE, false, 0},      /* read-only */
    {GRF_PASS_ANY | GRF_ACTIVE | GRF_MEMORY, false, 0},      /* vm_ram_register_at */
    {GRF_PASS_ANY | GRF_ACTIVE | GRF_MEMORY, true, ENOTSUP}, /* not over RAM */
    {GRF_PASS_RD | GRF_ACTIVE | GRF_MEMORY, false, ENOTSUP}, /* not over RAM */
    {GRF_NOPERMS | GRF_ACTIVE | GRF_MEMORY, false, ENOTSUP},
    {GRF_PASS_WR | GRF_ACTIVE, false, ENOTSUP}, /* can't be read */
    {GRF_PASS_EX | GRF_ACTIVE, false, ENOTSUP},
    {GRF_VIRT_RD | GRF_PASS_WR | GRF_ACTIVE, true, ENOTSUP},
    {GRF_VIRT_WR | GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE, true, ENOTSUP},
    {VIRT | GRF_NOPERMS, true, EINVAL},
    {GRF_PASS_ANY | GRF_NOPERMS | GRF_ACTIVE, false, EINVAL},
    {VIRT | GRF_NOCACHE, true, ENOTSUP},
    {GRF_PASSTHRU | GRF_ACTIVE, false, ENOTSUP},
    {GRF_VIRT_EX | GRF_ACTIVE, true, ENOTSUP},
    {VIRT | GRF_NOCACHE, false, ENOTSUP}, /* ENOTSUP before EINVAL */
    {UNKNOWN_FLAG | GRF_PASS_WR, true, ENOTSUP},
    {UNKNOWN_FLAG | GRF_PASS_ANY, true, EINVAL},
};

START_TEST(test_flags)
{
    const struct flags_row *row = &flags_rows[_i];
    vdev_t *vdev = row->vdev ? &vdev_a : NULL;
    bool both = row->flags & GRF_VIRT_ANY & (row->flags & GRF_PASS_ANY) >> 3;
    int port_rc = row->flags & GRF_PASS_ANY && !both ? ENOTSUP : row->rc;
    struct gasp_region rgn;

    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, row->flags, vdev, 0), row->rc);
    /* Ports are never memory, before all else. */
    ck_assert_int_eq(set(QST_X86_IO, PORT, 8, row->flags, vdev, 0), port_rc);
    ck_assert_int_eq(info(QST_MEMORY, MEM, &rgn),
                     row->rc == 0 && row->flags & GRF_ACTIVE ? 0 : ENOENT);
    ck_assert_uint_eq(usage().ranges, row->rc == 0 && row->flags & GRF_ACTIVE &&
                                              row->flags & (GRF_VIRT_RD | GRF_VIRT_WR)
                                          ? 2
                                          : 0);
}
END_TEST

static const struct block_row {
    struct qvm_state_block block;
    uint64_t host_location;
    int rc;
} block_rows[] = {
    {{MEM, 1, QST_MEMORY, QSF_NONE}, 0, 0},
    {{SPACE_LIMIT - 1, 1, QST_MEMORY, 0}, 0, 0},
    {{SPACE_LIMIT - 1, 2, QST_MEMORY, 0}, 0, EOVERFLOW},
    {{SPACE_LIMIT, 1, QST_MEMORY, 0}, 0, EOVERFLOW},
    {{UINT64_MAX, 1, QST_MEMORY, 0}, 0, EOVERFLOW},
    {{MEM, UINT64_MAX, QST_MEMORY, 0}, 0, EOVERFLOW},
    {{0xffff, 1, QST_X86_IO, 0}, 0, 0},
    {{0xffff, 2, QST_X86_IO, 0}, 0, EOVERFLOW},
    {{0x10000, 1, QST_X86_IO, 0}, 0, EOVERFLOW},
    {{MEM, 1, QST_PCI_IO, 0}, 0, ENOTSUP},
    {{MEM, 1, QST_CPUREGS, 0}, 0, ENOTSUP},
    {{MEM, 1, QST_NO_TYPE, 0}, 0, ENOTSUP},
    {{MEM, 1, QST_MEMORY, QSF_REPORT_EXCEPTION}, 0, ENOTSUP},
    {{MEM, 1, QST_MEMORY, 1}, 0, EINVAL},
    {{MEM, 1, QST_MEMORY, 0}, 0x1000, ENOTSUP},
    {{UINT64_MAX, 1, QST_MEMORY, 0}, 0x1000, ENOTSUP}, /* before EOVERFLOW */
    {{UINT64_MAX, 1, QST_MEMORY, 1}, 0, EINVAL},
};

START_TEST(test_block)
{
    const struct block_row *row = &block_rows[_i];
    const struct gasp_region rgn = {
        .flags = VIRT, .vdev = &vdev_a, .host_location = row->host_location, .guest = row->block};

    errno = 0;
    ck_assert_uint_eq(gasp_region_set_soft(gsp(), 1, &rgn), row->rc ? 0 : 1);
    ck_assert_int_eq(errno, row->rc);
}
END_TEST

/* Those before the first that fails are applied; length 0 counts as set whatever the rest is. */
START_TEST(test_several)
{
    struct gasp_region rgn[] = {
        {.flags = VIRT, .vdev = &vdev_a, .guest = {MEM, PAGE, QST_MEMORY, 0}},
        {.flags = UNKNOWN_FLAG, .guest = {MEM, 0, QST_NO_TYPE, 0}},
        {.flags = VIRT, .vdev = &vdev_a, .guest = {PORT, 4, QST_X86_IO, 0}},
        {.flags = VIRT, .vdev = &vdev_b, .guest = {MEM, 2 * PAGE, QST_MEMORY, 0}},
        {.flags = VIRT, .vdev = &vdev_b, .guest = {MEM + PAGE, PAGE, QST_MEMORY, 0}},
    };
    struct gasp_region is;

    ck_assert_uint_eq(gasp_region_set_soft(gsp(), 0, NULL), 0);
    ck_assert_uint_eq(gasp_region_set_soft(gsp(), 5, rgn), 3);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(info(QST_X86_IO, PORT + 3, &is), 0);
    ck_assert_int_eq(info(QST_MEMORY, MEM + PAGE, &is), ENOENT);
    ck_assert_uint_eq(gasp_region_set_soft(gsp(), 2, rgn), 2);
}
END_TEST

START_TEST(test_ram_only)
{
    const struct qvm_state_block block = {MEM, PAGE, QST_MEMORY, 0};

    close_guest();
    open_guest((struct hv_sim_options){.type = HV_PVH}, true);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, VIRT, &vdev_a, 0), ENOTSUP);
    ck_assert_int_eq(gasp_reserve(gsp(), &block), -1);
    ck_assert_int_eq(errno, ENOTSUP);
}
END_TEST

/* ---- what is there ---- */

START_TEST(test_info)
{
    struct gasp_region rgn;
    struct qvm_state_block block = {MEM, 0, QST_MEMORY, QSF_REPORT_EXCEPTION};

    ck_assert_int_eq(set(QST_MEMORY, MEM + 3, 5, VIRT | GRF_DMA_USES, &vdev_a, 7), 0);
    ck_assert_int_eq(info(QST_MEMORY, MEM + 2, &rgn), ENOENT);
    ck_assert_int_eq(info(QST_MEMORY, MEM + 8, &rgn), ENOENT);
    ck_assert_int_eq(info(QST_MEMORY, MEM + 7, &rgn), 0);
    ck_assert_uint_eq(rgn.flags, VIRT | GRF_DMA_USES);
    ck_assert_uint_eq(rgn.cookie, 7);
    ck_assert_ptr_eq(rgn.vdev, &vdev_a);
    ck_assert_uint_eq(rgn.host_location, 0);
    ck_assert_uint_eq(rgn.guest.location, MEM + 3);
    ck_assert_uint_eq(rgn.guest.length, 5);
    ck_assert_uint_eq(rgn.guest.type, QST_MEMORY);
    ck_assert_int_eq(info(QST_MEMORY, SPACE_LIMIT, &rgn), EOVERFLOW);
    ck_assert_int_eq(info(QST_X86_IO, 0x10000, &rgn), EOVERFLOW);
    ck_assert_int_eq(info(QST_PCI_IO, 0, &rgn), ENOTSUP);
    ck_assert_int_eq(gasp_region_info(gsp(), &block, &rgn), ENOTSUP);

    ck_assert_int_eq(info(QST_MEMORY, 5 * MIB, &rgn), 0); /* RAM */
    ck_assert_uint_eq(rgn.flags, GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE);
    ck_assert_ptr_null(rgn.vdev);
    ck_assert_uint_eq(rgn.guest.location, 0);
    ck_assert_uint_eq(rgn.guest.length, RAM_BYTES);
    ck_assert_uint_eq(rgn.host_location, (uintptr_t)gasp.ram.base);

    ck_assert_int_eq(info(QST_X86_IO, 0xcfc, &rgn), 0); /* the platform's */
    ck_assert_ptr_null(rgn.vdev);
    ck_assert_uint_eq(rgn.cookie, 0);
    ck_assert(rgn.flags & GRF_PRECIOUS);
}
END_TEST

/* What gasp_region_info reported, set with no flags, is gone. */
START_TEST(test_delete_what_is_reported)
{
    struct gasp_region rgn;

    ck_assert_int_eq(set(QST_MEMORY, MEM, 3 * PAGE, VIRT, &vdev_a, 7), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM + PAGE, PAGE, GRF_VIRT_RD | GRF_ACTIVE, &vdev_a, 7), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(info(QST_MEMORY, MEM + (unsigned)i * PAGE, &rgn), 0);
        ck_assert_uint_eq(rgn.guest.length, PAGE);
        rgn.flags = GRF_NONE;
        ck_assert_uint_eq(gasp_region_set_soft(gsp(), 1, &rgn), 1);
    }
    ck_assert_uint_eq(usage().ranges, 0);
    ck_assert_uint_eq(gasp_region_set_soft(gsp(), 1, &rgn), 0);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(test_owners)
{
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, VIRT, &vdev_a, 7), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_a, 8), EPERM);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, NULL, 0), EPERM);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_b, 7), EPERM);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_a, 7), 0);
}
END_TEST

/* What xl gave the guest isn't ours to take; what was registered is. */
START_TEST(test_ram_as_a_region)
{
    const uint32_t ram = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE;
    struct gasp_region is;

    ck_assert_int_eq(set(QST_MEMORY, 0, RAM_BYTES, GRF_NONE, NULL, 0), ENOENT);
    ck_assert_int_eq(set(QST_MEMORY, MIB, PAGE, GRF_NONE, NULL, 0), ENOENT);
    ck_assert_int_eq(set(QST_MEMORY, MIB, RAM_BYTES, GRF_NOPERMS, NULL, 0), EEXIST);
    ck_assert_ptr_nonnull(strstr(logged, "is RAM"));
    ck_assert_int_eq(set(QST_MEMORY, MIB, PAGE, GRF_NONE, &vdev_a, 0), EPERM);
    ck_assert_int_eq(set(QST_MEMORY, MIB, 4, ram, NULL, 0), EINVAL);
    ck_assert_int_eq(set(QST_MEMORY, MIB, PAGE, ram, &vdev_a, 0), 0);
    ck_assert_int_eq(set(QST_MEMORY, MIB, PAGE, GRF_NONE, &vdev_a, 0), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM, MIB, ram, NULL, 0), 0);
    ck_assert_int_eq(info(QST_MEMORY, MEM + PAGE, &is), 0);
    ck_assert(is.flags == ram && is.guest.length == MIB && is.host_location != 0);
    ck_assert_int_eq(vm_ram_register_at(gsp(), MEM, PAGE, false), -1);
    /* ROM in it is in the way; RAM again it can go. */
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE, NULL, 0),
                     0);
    ck_assert_int_eq(set(QST_MEMORY, MEM, MIB, GRF_NONE, NULL, 0), EBUSY);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, ram, NULL, 0), 0);
    ck_assert_int_eq(set(QST_MEMORY, MEM, 4, GRF_NONE, NULL, 0), EINVAL);
    ck_assert_int_eq(set(QST_MEMORY, MEM + 8, PAGE, GRF_NONE, NULL, 0), EINVAL);
    ck_assert_int_eq(set(QST_MEMORY, MEM, 8, GRF_NOPERMS | GRF_ACTIVE, NULL, 0), EINVAL);
    ck_assert_int_eq(set(QST_MEMORY, MEM, MIB, GRF_NONE, NULL, 0), 0);
    ck_assert_int_eq(info(QST_MEMORY, MEM, &is), ENOENT);
}
END_TEST

/* ---- the platform ---- */

static const struct platform_row {
    enum hv_guest_type type;
    uint16_t space;
    uint64_t location, length;
    const char *name; /* NULL: free */
} platform_rows[] = {
    {HV_PVH, QST_MEMORY, 0xfee00000, 4, "local APIC"},
    {HV_PVH, QST_MEMORY, 0xfeff0000, 1, "special pages"},
    {HV_PVH, QST_MEMORY, 0xfeffffff, 2, "special pages"},
    {HV_PVH, QST_MEMORY, 0xfc000000, PAGE, "ACPI"},
    {HV_PVH, QST_MEMORY, 0xfc010fff, 1, "ACPI"},
    {HV_PVH, QST_MEMORY, 0xfc011000, 1, NULL},
    {HV_PVH, QST_MEMORY, 0xff000000, PAGE, NULL},
    {HV_PVH, QST_MEMORY, 0xfec00000, PAGE, NULL}, /* a PVH guest has no IO-APIC */
    {HV_PVH, QST_X86_IO, 0x80, 1, "POST"},
    {HV_PVH, QST_X86_IO, 0xe9, 1, "console"},
    {HV_PVH, QST_X86_IO, 0xe8, 8, "console"},
    {HV_PVH, QST_X86_IO, 0xed, 1, "delay"},
    {HV_PVH, QST_X86_IO, 0xcf0, 9, "PCI"},
    {HV_PVH, QST_X86_IO, 0xcff, 4, "PCI"},
    {HV_PVH, QST_X86_IO, 0xd00, 4, NULL},
    {HV_PVH, QST_X86_IO, 0x70, 2, NULL},
    {HV_HVM, QST_MEMORY, 0xfec00000, PAGE, "IO-APIC"},
    {HV_HVM, QST_MEMORY, 0xfed00000, 8, "HPET"},
    {HV_HVM, QST_MEMORY, 0xa0000, 1, "VGA"},
    {HV_HVM, QST_MEMORY, 0xff000, PAGE, "BIOS"},
    {HV_HVM, QST_MEMORY, 0xfdfff000, PAGE, "hvmloader"},
    {HV_HVM, QST_MEMORY, 0xfe000000, PAGE, NULL},
    {HV_HVM, QST_MEMORY, 0xffffffff, 1, "firmware"},
    {HV_HVM, QST_MEMORY, 0xf0000000, PAGE, NULL},
    {HV_HVM, QST_X86_IO, 0x20, 1, "PIC"},
    {HV_HVM, QST_X86_IO, 0x43, 1, "PIT"},
    {HV_HVM, QST_X86_IO, 0x70, 1, "RTC"},
    {HV_HVM, QST_X86_IO, 0xb008, 4, "timer"},
};

START_TEST(test_platform)
{
    const struct platform_row *row = &platform_rows[_i];

    close_guest();
    open_guest((struct hv_sim_options){.type = row->type}, false);
    ck_assert_int_eq(set(row->space, row->location, row->length, VIRT, &vdev_a, 0),
                     row->name ? EBUSY : 0);
    if (!row->name) {
        ck_assert_str_eq(logged, "");
        return;
    }
    ck_assert_msg(strstr(logged, row->name), "%s", logged);
    ck_assert_msg(strstr(logged, "vdev-a"), "%s", logged);
    /* Nobody owns it whom one could name. */
    ck_assert_int_eq(set(row->space, row->location, row->length, GRF_NONE, NULL, 0), EPERM);
}
END_TEST

/* An HVM guest has pages where its ROMs lie; they are the platform's, not RAM. */
START_TEST(test_hvm_ram)
{
    const struct space_map *map;
    struct gasp_region rgn;

    close_guest();
    open_guest((struct hv_sim_options){.type = HV_HVM}, false);
    ck_assert_int_eq(info(QST_MEMORY, 0, &rgn), 0);
    ck_assert_uint_eq(rgn.guest.length, 0xa0000);
    ck_assert_int_eq(info(QST_MEMORY, MIB, &rgn), 0);
    ck_assert(rgn.flags & GRF_MEMORY);
    ck_assert_uint_eq(rgn.guest.location, MIB);
    ck_assert_int_eq(info(QST_MEMORY, 0xf0000, &rgn), 0);
    ck_assert(rgn.flags & GRF_PRECIOUS);
    map = gasp.space[GASP_MEMORY].map;
    for (size_t i = 0; i < map->n; i++) {
        ck_assert(map->cell[i]->range.first <= map->cell[i]->range.last);
        ck_assert(i == 0 || map->cell[i]->range.first > map->last[i - 1]);
    }
}
END_TEST

static const struct qemu_row {
    enum hv_guest_type type;
    uint64_t port, length;
    const char *name; /* NULL: no warning */
} qemu_rows[] = {
    {HV_HVM, 0x510, 2, "fw_cfg"}, {HV_HVM, 0x500, 0x20, "fw_cfg"}, {HV_HVM, 0x64, 1, "keyboard"},
    {HV_HVM, 0x3f8, 8, "serial"}, {HV_HVM, 0x3000, 8, NULL},       {HV_PVH, 0x510, 2, NULL},
};

START_TEST(test_qemu_ports)
{
    const struct qemu_row *row = &qemu_rows[_i];

    close_guest();
    open_guest((struct hv_sim_options){.type = row->type}, false);
    ck_assert_int_eq(set(QST_X86_IO, row->port, row->length, VIRT, &vdev_a, 0), 0);
    ck_assert_int_eq(!row->name, !strstr(logged, "QEMU"));
    ck_assert_msg(!row->name || strstr(logged, row->name), "%s", logged);
    log_forget();
    ck_assert_int_eq(set(QST_X86_IO, row->port, row->length, GRF_NONE, &vdev_a, 0), 0);
    ck_assert_str_eq(logged, "");
}
END_TEST

/* Of several regions in the way the log names the one that decides. */
START_TEST(test_names_the_precious)
{
    ck_assert_int_eq(set(QST_X86_IO, 0xe8, 1, VIRT, &vdev_b, 0), 0);
    ck_assert_int_eq(set(QST_X86_IO, 0xe8, 2, VIRT, &vdev_a, 0), EBUSY);
    ck_assert_msg(strstr(logged, "console") && !strstr(logged, "vdev-b"), "%s", logged);
    log_forget();
    ck_assert_int_eq(set(QST_X86_IO, 0xe7, 2, VIRT, &vdev_a, 0), EEXIST);
    ck_assert_msg(strstr(logged, "vdev-b"), "%s", logged);
}
END_TEST

/* Once the guest may be the cause, complaints are few. */
START_TEST(test_complaints_are_bounded)
{
    size_t lines = 0;

    gasp.running = true;
    ck_assert_int_eq(gasp_lock(gsp(), QST_X86_IO), 0);
    for (int i = 0; i < 1000; i++) {
        log_forget();
        ck_assert_int_eq(set(QST_X86_IO, 0x80, 1, VIRT, &vdev_a, 0), EBUSY);
        lines += logged[0] != 0;
    }
    ck_assert_int_eq(gasp_unlock(gsp(), QST_X86_IO), 0);
    ck_assert_uint_ge(lines, 10);
    ck_assert_uint_le(lines, 100); /* ten a second */
    gasp.running = false;
}
END_TEST

/* ---- Xen says no ---- */

START_TEST(test_each_call_fails)
{
    static const struct {
        uint64_t location, length;
        uint32_t flags;
    } changes[] = {
        {MEM, 16, VIRT},
        {MEM + 4, 4, GRF_NONE},
        {MEM + 4, 4, VIRT},
        {MEM, 4, GRF_NONE},
    };
    unsigned failed = 0;

    for (size_t c = 0; c < sizeof(changes) / sizeof(changes[0]); c++) {
        int rc = -1;

        for (unsigned n = 1; rc; n++) {
            struct hv_sim_usage before = usage();
            struct gasp_region was, is;
            int there = info(QST_MEMORY, MEM + 5, &was);

            hv_sim_fail_call(hv, n, EIO);
            rc = set(QST_MEMORY, changes[c].location, changes[c].length, changes[c].flags, &vdev_a,
                     0);
            hv_sim_fail_call(hv, 0, 0);
            if (!rc)
                break;
            ck_assert_int_eq(rc, EIO);
            ck_assert(same_usage(before, usage()));
            ck_assert_int_eq(info(QST_MEMORY, MEM + 5, &is), there);
            ck_assert(there || (was.flags == is.flags && was.guest.location == is.guest.location &&
                                was.guest.length == is.guest.length));
            failed++;
        }
    }
    ck_assert_uint_eq(failed, 2 + 1 + 1 + 1); /* the first makes a server */
}
END_TEST

START_TEST(test_exhaustion)
{
    const unsigned servers = HV_MAX_SERVERS - usage().servers;
    const uint64_t most = servers * (HV_MAX_RANGES - 1);
    struct hv_sim_usage before;

    for (uint64_t i = 0; i < most; i++)
        if (set(QST_X86_IO, 0x1000 + 2 * i, 1, VIRT, &vdev_a, 0))
            ck_abort_msg("range %d: %s", (int)i, strerror(errno));
    before = usage();
    ck_assert_uint_eq(before.ranges, most);
    ck_assert_int_eq(set(QST_X86_IO, 0x1000 + 2 * most, 1, VIRT, &vdev_a, 0), ENOSPC);
    ck_assert(same_usage(before, usage()));
    ck_assert_int_eq(set(QST_X86_IO, 0x1001, 1, VIRT, &vdev_b, 0), 0); /* between two: one range */
    ck_assert_uint_eq(usage().ranges, most - 1);
}
END_TEST

START_TEST(test_guest_is_gone)
{
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, VIRT, &vdev_a, 0), 0);
    hv_sim_destroy(hv);
    ck_assert_int_eq(set(QST_MEMORY, MEM, PAGE, GRF_NONE, &vdev_a, 0), ESRCH);
    ck_assert_int_eq(set(QST_MEMORY, MEM + PAGE, PAGE, VIRT, &vdev_a, 0), ESRCH);
}
END_TEST

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static Suite *make_suite(void)
{
    Suite *suite = suite_create("gasp");
    TCase *t = tcase_create("gasp");

    tcase_add_checked_fixture(t, open_pvh, close_guest);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_flags, 0, ROWS(flags_rows));
    tcase_add_loop_test(t, test_block, 0, ROWS(block_rows));
    tcase_add_test(t, test_several);
    tcase_add_test(t, test_ram_only);
    tcase_add_test(t, test_info);
    tcase_add_test(t, test_delete_what_is_reported);
    tcase_add_test(t, test_owners);
    tcase_add_test(t, test_ram_as_a_region);
    tcase_add_loop_test(t, test_platform, 0, ROWS(platform_rows));
    tcase_add_test(t, test_hvm_ram);
    tcase_add_loop_test(t, test_qemu_ports, 0, ROWS(qemu_rows));
    tcase_add_test(t, test_names_the_precious);
    tcase_add_test(t, test_complaints_are_bounded);
    tcase_add_test(t, test_each_call_fails);
    tcase_add_test(t, test_exhaustion);
    tcase_add_test(t, test_guest_is_gone);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
