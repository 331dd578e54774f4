/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of an HVM guest at its first boot: hvm_info, a table in its RAM from which hvmloader
 * learns where RAM is, and the memory map that hvmloader asks Xen for and turns into the E820 map.
 *
 * hvmloader keeps what it places (QEMU's BARs, ACPI tables) off reserved entries below 4 GiB. Above,
 * it begins where hvm_info says that RAM ends, and takes all from 4 GiB up to there to be RAM. So
 * RAM that begins where that ends moves the end; what lies higher can't be kept clear.
 */
#include "ram/ram_internal.h"

#include <string.h>

#define HVM_INFO_GPA UINT64_C(0x9f800)
#define LOW_RAM UINT64_C(0x100000) /* what is below, hvmloader knows by itself */
#define HIGH_RAM (UINT64_C(1) << 32)

enum { ENTRIES_MAX = 120 }; /* of hvmloader's 128; it adds some */

/* xen/include/public/hvm/hvm_info_table.h */
struct hvm_info {
    char signature[8];
    uint32_t length; /* of all of it, which sums up to 0 */
    uint8_t checksum, apic_mode;
    uint32_t nr_vcpus;
    uint32_t low_mem_pgend, reserved_mem_pgstart, high_mem_pgend; /* frames; 0: there is none */
};
enum { HVM_INFO_MAX = 0x800 };

union hvm_info_bytes {
    struct hvm_info info;
    uint8_t byte[HVM_INFO_MAX]; /* the processors' bitmap behind it is of any length */
};

static uint8_t sum(const union hvm_info_bytes *table)
{
    uint8_t s = 0;

    for (size_t i = 0; i < table->info.length; i++)
        s += table->byte[i];
    return s;
}

/* 1: read; 0: the guest has none, or no right one. -1: ENOMEM. */
static int read_table(struct ram *ram, union hvm_info_bytes *table)
{
    const struct hvm_info *info = &table->info;

    if (ram_copy_aside(ram, false, HVM_INFO_GPA, table, sizeof(*table)) < 0)
        return errno == ENOMEM ? -1 : 0;
    return memcmp(info->signature, "HVM INFO", 8) == 0 && info->length >= sizeof(*info) &&
           info->length <= sizeof(*table) && sum(table) == 0;
}

static uint64_t gpa_of(uint32_t frame)
{
    return (uint64_t)frame << HV_PAGE_SHIFT;
}

int ram_read_hvm_info(struct ram *ram, struct range range_r[HVM_RAM_RANGES])
{
    static const struct range vga = {0xa0000, 0xbffff};
    union hvm_info_bytes table;
    int rc = read_table(ram, &table), n = 0;
    uint64_t low, high;

    if (rc <= 0)
        return rc;
    low = gpa_of(table.info.low_mem_pgend);
    high = gpa_of(table.info.high_mem_pgend);
    if (low <= vga.last + 1 || low > HIGH_RAM || high > ram->limit)
        return 0;
    range_r[n++] = (struct range){0, vga.first - 1};
    range_r[n++] = (struct range){vga.last + 1, low - 1};
    if (high > HIGH_RAM)
        range_r[n++] = (struct range){HIGH_RAM, high - 1};
    return n;
}

/* Where RAM from 4 GiB up ends, with entries that go on where it does. */
static uint64_t high_end(uint32_t frame, const struct ram_map_entry *entry, size_t n)
{
    uint64_t end = gpa_of(frame) > HIGH_RAM ? gpa_of(frame) : HIGH_RAM;

    for (size_t i = 0; i < n; i++) { /* ascending */
        if (entry[i].type == RAM_MAP_RAM && entry[i].range.first == end)
            end = entry[i].range.last + 1;
    }
    return end;
}

static int set_map(struct ram *ram, uint64_t low, uint64_t high, const struct ram_map_entry *entry,
                   size_t n)
{
    struct hv_memory_entry map[ENTRIES_MAX];
    size_t used = 0;

    if (n + 2 > ENTRIES_MAX)
        return fail(ENOSPC);
    map[used++] = (struct hv_memory_entry){LOW_RAM, low - LOW_RAM, RAM_MAP_RAM};
    if (high > HIGH_RAM)
        map[used++] = (struct hv_memory_entry){HIGH_RAM, high - HIGH_RAM, RAM_MAP_RAM};
    /* Behind, as the later of two counts. Reserved, all of it: hvmloader looks at no other kind, and
     * QEMU's devices don't reach RAM of which QEMU doesn't know. */
    for (size_t i = 0; i < n; i++)
        map[used++] = (struct hv_memory_entry){entry[i].range.first, range_length(entry[i].range),
                                               RAM_MAP_RESERVED};
    return ram->hv->ops->set_memory_map(ram->hv, used, map);
}

int ram_extend_hvm_map(struct ram *ram, const struct ram_map_entry *entry, size_t n)
{
    union hvm_info_bytes table, before;
    struct hvm_info *info = &table.info;
    int rc = read_table(ram, &table), saved;
    uint64_t high;

    if (rc <= 0)
        return rc < 0 ? -1 : 1;
    before = table;
    high = high_end(info->high_mem_pgend, entry, n);
    if (high > HIGH_RAM)
        info->high_mem_pgend = (uint32_t)(high >> HV_PAGE_SHIFT);
    info->checksum -= sum(&table);
    if (ram_copy_aside(ram, true, HVM_INFO_GPA, &table, info->length) < 0)
        return -1;
    if (set_map(ram, gpa_of(info->low_mem_pgend), high, entry, n) == 0)
        return 0;
    saved = errno;
    ram_copy_aside(ram, true, HVM_INFO_GPA, &before, before.info.length);
    errno = saved;
    return -1;
}
