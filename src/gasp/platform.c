/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Xen and the toolstack keep in a guest's address spaces. Xen answers these accesses itself,
 * whatever an ioreq server claims, or pages lie there that count but aren't RAM.
 */
#include "gasp/gasp_internal.h"

enum { PVH = 1 << HV_PVH, HVM = 1 << HV_HVM };

/* In a space, entries are disjoint. */
static const struct {
    enum gasp_space space;
    unsigned types; /* of guest */
    struct range range;
    const char *name;
} platform[] = {
    [PLATFORM_PARKING] = {GASP_MEMORY, 0, {0, 0}, "set aside for pages with an overlay"},
    {GASP_MEMORY, PVH | HVM, {0xfee00000, 0xfeefffff}, "the local APIC and message window"},
    {GASP_MEMORY, PVH | HVM, {0xfeff0000, 0xfeffffff}, "Xen's special pages (console, ...)"},
    {GASP_MEMORY, PVH, {0xfc000000, 0xfc010fff}, "the ACPI tables (libxl)"},
    {GASP_MEMORY, HVM, {0x000a0000, 0x000bffff}, "VGA memory (Xen, QEMU)"},
    {GASP_MEMORY, HVM, {0x000c0000, 0x000fffff}, "option ROMs and the BIOS"},
    {GASP_MEMORY, HVM, {0xfc000000, 0xfdffffff}, "the ACPI tables and hvmloader's own pages"},
    {GASP_MEMORY, HVM, {0xfec00000, 0xfec00fff}, "the IO-APIC (Xen)"},
    {GASP_MEMORY, HVM, {0xfed00000, 0xfed003ff}, "the HPET (Xen)"},
    {GASP_MEMORY, HVM, {0xff000000, 0xffffffff}, "the firmware"},
    {GASP_PORTS, PVH | HVM, {0x80, 0x80}, "the POST code port (Xen sends it to the hardware)"},
    {GASP_PORTS, PVH | HVM, {0xe9, 0xe9}, "Xen's debug console"},
    {GASP_PORTS, PVH | HVM, {0xed, 0xed}, "the I/O delay port (Xen sends it to the hardware)"},
    {GASP_PORTS, PVH | HVM, {0xcf8, 0xcff}, "PCI configuration access (Xen)"},
    {GASP_PORTS, HVM, {0x20, 0x21}, "the master PIC (Xen)"},
    {GASP_PORTS, HVM, {0xa0, 0xa1}, "the slave PIC (Xen)"},
    {GASP_PORTS, HVM, {0x4d0, 0x4d1}, "the PICs' trigger modes (Xen)"},
    {GASP_PORTS, HVM, {0x40, 0x43}, "the PIT (Xen)"},
    {GASP_PORTS, HVM, {0x61, 0x61}, "the PIT's speaker port (Xen)"},
    {GASP_PORTS, HVM, {0x70, 0x71}, "the RTC (Xen)"},
    {GASP_PORTS, HVM, {0xb008, 0xb00b}, "the power management timer (Xen)"},
};

enum { N_PLATFORM = sizeof(platform) / sizeof(platform[0]) };

/* Of QEMU's pc machine: a server of ours hides these without a word. */
static const struct {
    struct range range;
    const char *name;
} qemu_port[] = {
    {{0x00, 0x1f}, "DMA controller and Xen platform ports"},
    {{0x60, 0x60}, "keyboard controller"},
    {{0x64, 0x64}, "keyboard controller"},
    {{0x81, 0x8f}, "DMA page registers"},
    {{0x92, 0x92}, "A20 and reset port"},
    {{0xb2, 0xb3}, "power management command ports"},
    {{0xc0, 0xdf}, "second DMA controller"},
    {{0x170, 0x177}, "second IDE channel"},
    {{0x1f0, 0x1f7}, "first IDE channel"},
    {{0x278, 0x27f}, "second parallel port"},
    {{0x2f8, 0x2ff}, "second serial port"},
    {{0x376, 0x376}, "second IDE channel"},
    {{0x378, 0x37f}, "parallel port"},
    {{0x3b0, 0x3df}, "VGA"},
    {{0x3f0, 0x3f7}, "floppy controller and first IDE channel"},
    {{0x3f8, 0x3ff}, "serial port"},
    {{0x402, 0x402}, "firmware log port"},
    {{0x510, 0x51b}, "fw_cfg"},
    {{0x5658, 0x5658}, "vmport"},
    {{0xae00, 0xaeff}, "hotplug registers"},
    {{0xafe0, 0xafe3}, "ACPI events"},
    {{0xb000, 0xb03f}, "power management"},
    {{0xb100, 0xb13f}, "SMBus"},
};

bool platform_next(enum hv_guest_type type, size_t *i, enum gasp_space *space_r,
                   struct range *range_r)
{
    while (*i < N_PLATFORM && !(platform[*i].types & 1u << type))
        ++*i;
    if (*i == N_PLATFORM)
        return false;
    *space_r = platform[*i].space;
    *range_r = platform[*i].range;
    return true;
}

const char *platform_name(unsigned cookie)
{
    return platform[cookie].name;
}

const char *platform_qemu_port(struct range ports)
{
    for (size_t i = 0; i < sizeof(qemu_port) / sizeof(qemu_port[0]); i++)
        if (range_overlap(qemu_port[i].range, ports))
            return qemu_port[i].name;
    return NULL;
}
