/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types that the guest RAM, address space and vdev interfaces share. Names and values are QNX's
 * (7.x), lengths are 64 bits wide as in QNX 8.0.
 */
#ifndef XENGASP_TYPES_H
#define XENGASP_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the shared library exports. */
#define XENGASP_API __attribute__((visibility("default")))

/* One guest. seL4's and QNX's calls take the same object. */
struct guest_system;
typedef struct guest_system vm_t;

/* One virtual device of a guest, see vdev.h. */
typedef struct vdev_s vdev_t;

/* What a location of a state block means. */
enum qvm_state_types {
    QST_MEMORY = 0,  /* a guest-physical address */
    QST_VIRTUAL = 1, /* a guest-virtual address */
    QST_CPUREGS = 2, /* an offset into a vCPU's registers */
    QST_FPUREGS = 3,
    QST_HOST = 4, /* a host-virtual address */
    QST_PCI = 5,  /* PCI configuration space, QSL_PCI_MAKE_LOC */
    QST_PCI_IO = 6,
    QST_IMMEDIATE = 7, /* the location is the value itself */
    QST_ARCH_SPECIFIC = 0x8000,
    QST_X86_IO = 0x8000, /* an I/O port */
    QST_X86_SEGREGS = 0x8001,
    QST_X86_CTRLREGS = 0x8002,
    QST_X86_DBGREGS = 0x8003,
    QST_X86_MSR = 0x8004,
    QST_NO_TYPE = 0xffff,
};

/* Flags of a state block. */
enum qvm_state_flags {
    QSF_NONE = 0,
    QSF_SEXT_SHIFT = 0, /* bits 0-3: bytes to sign-extend */
    QSF_ZEXT_SHIFT = 4, /* bits 4-7: bytes to zero-extend, after that */
    QSF_EXT_MASK = 0xf,
    QSF_FORCE_WRITE = 0x4000,
    QSF_REPORT_EXCEPTION = 0x8000, /* ENOTSUP: Xen can't give the guest a fault */
};

/* A stretch of some state of the guest: [location, location + length). */
struct qvm_state_block {
    uint64_t location;
    uint64_t length; /* bytes */
    uint16_t type;   /* enum qvm_state_types */
    uint16_t flags;  /* enum qvm_state_flags */
};

/* "No location": what gasp_find_free returns when there is none. */
#define QSL_NO_LOCATION (~UINT64_C(0))

/* A function's place in PCI configuration space; as Xen has it (the published QNX manuals don't
 * give the value). */
#define QSL_PCI_MAKE_LOC(bus, dev, func)                                                           \
    (((uint64_t)(bus) << 8 | (uint64_t)(dev) << 3 | (uint64_t)(func)) << 32)

#ifdef __cplusplus
}
#endif

#endif
