/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page that Xen and an ioreq server share: one slot for each vCPU of the guest. The layout is
 * Xen's (xen/include/public/hvm/ioreq.h), written down here so that everything above the hypervisor
 * port builds without Xen's headers; xen.c checks at compile time that the two agree.
 *
 * Life of a slot:  NONE -> READY (Xen) -> INPROCESS (we) -> RESP_READY (we) -> NONE (Xen).
 * Xen crashes the guest when it sees a state go backwards or one that it doesn't know.
 */
#ifndef XENGASP_HV_IOREQ_PAGE_H
#define XENGASP_HV_IOREQ_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

enum { IOREQ_PAGE_BYTES = 4096, IOREQ_MAX_VCPUS = 128 };

enum ioreq_type {
    IOREQ_PORT = 0,       /* addr is a port */
    IOREQ_MEMORY = 1,     /* addr is a guest-physical address */
    IOREQ_PCI_CONFIG = 2, /* addr is SBDF << 32 | register */
    IOREQ_TIMEOFFSET = 7,
    IOREQ_INVALIDATE = 8, /* drop what you have mapped: names no page, count 0 */
};

enum ioreq_dir { IOREQ_DIR_WRITE = 0, IOREQ_DIR_READ = 1 };

enum ioreq_state {
    IOREQ_STATE_NONE = 0,
    IOREQ_STATE_READY = 1,
    IOREQ_STATE_INPROCESS = 2,
    IOREQ_STATE_RESP_READY = 3,
};

/* Bits of ioreq_slot.control. The state shares its byte with three flags, so it is changed by
 * writing all. */
enum {
    IOREQ_CONTROL_STATE = 0x0f,
    IOREQ_CONTROL_DATA_IS_PTR = 0x10, /* data is the guest-physical address of RAM */
    IOREQ_CONTROL_READ = 0x20,        /* enum ioreq_dir */
    IOREQ_CONTROL_DF = 0x40,          /* REP goes downwards */
};

struct ioreq_slot {
    uint64_t addr;
    uint64_t data;
    uint32_t count; /* REP count */
    uint32_t size;  /* bytes of one element */
    uint32_t
        vp_eport; /* Xen's end of this vCPU's event channel; valid once the server is enabled */
    uint16_t pad;
    _Atomic uint8_t control;
    uint8_t type; /* enum ioreq_type */
};

struct ioreq_page {
    struct ioreq_slot slot[IOREQ_MAX_VCPUS];
};

_Static_assert(sizeof(struct ioreq_slot) == 32, "Xen's ioreq is 32 bytes");
_Static_assert(sizeof(struct ioreq_page) == IOREQ_PAGE_BYTES, "the slots fill one page");

#endif
