/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cases of the public guest_ram.h share: calls whose errno is looked at, the guest's RAM
 * as its hypervisor sees it, and views of the guest to compare.
 */
#ifndef XENGASP_CONFORMANCE_GUEST_RAM_H
#define XENGASP_CONFORMANCE_GUEST_RAM_H

#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/guest_log.h"

enum {
    PAGE = HV_PAGE_SIZE,
    MIB = 1 << 20,
    MIB2 = 2 * MIB,
    EXTENT_PAGES = 1 << HV_ORDER_2M,
    RAM_PAGES = 1024, /* that the guest comes with, from 0 on */
    RAM_BYTES = RAM_PAGES * PAGE,
    VIRT = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
};
#define RAM_SPACE GUEST_SPACE
#define MEM UINT64_C(0xe0000000) /* free, and below what the platform keeps */

/* The guest of these cases. */
#define WITH_RAM .ram_pages = RAM_PAGES

/* ---- calls that give 0 or an errno value ---- */

int register_ram(struct guest *g, uint64_t start, uint64_t bytes);
int register_untyped(struct guest *g, uint64_t start, uint64_t bytes);
int unregister_ram(struct guest *g, uint64_t start, uint64_t bytes);
/* These two have no result. -1: on success errno has changed, or a failure wasn't logged. */
int mark_ram(struct guest *g, uint64_t start, uint64_t bytes);
int free_ram(struct guest *g, uint64_t start, uint64_t bytes);
int set_region(struct guest *g, uint64_t start, uint64_t bytes, uint32_t flags);

#define CHECK_RC(call, wanted)                                                                     \
    do {                                                                                           \
        int rc_ = (call), wanted_ = (wanted);                                                      \
        if (rc_ != wanted_)                                                                        \
            return COMPLAIN("%s: %s, not %s", #call, rc_text(rc_), rc_text(wanted_));              \
    } while (0)
const char *rc_text(int rc);

/* vm_ram_register, vm_ram_allocate: 0 is their failure. */
#define CHECK_NONE(call, error)                                                                    \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if ((call) != 0)                                                                           \
            return COMPLAIN("%s succeeds", #call);                                                 \
        if (errno != (error))                                                                      \
            return COMPLAIN("%s: %s, not " #error, #call, strerror(errno));                        \
    } while (0)

/* ---- content ---- */

bool is_zero(struct guest *g, uint64_t gpa, uint64_t bytes);
/* Every word holds its own address and the seed; whole words. */
bool fill(struct guest *g, uint64_t gpa, uint64_t bytes, uint64_t seed);
bool is_filled(struct guest *g, uint64_t gpa, uint64_t bytes, uint64_t seed);
uint64_t fill_word(uint64_t gpa, uint64_t seed);

/* ---- views ---- */

enum { VIEW_REGIONS = 24, VIEW_PAGES = 4 * EXTENT_PAGES };

/* What a call that fails leaves alone: what Xen has of the guest, our map, what is free in it. */
struct view {
    uint64_t nr_pages, max_pages, paging_pool;
    size_t n_regions;
    struct gasp_region region[VIEW_REGIONS];
    uintptr_t free_start;
    size_t free_bytes; /* the largest free range; 0: none */
    uint64_t own_bytes;
    uint64_t first_gfn, pages; /* of which each was looked at */
    bool present[VIEW_PAGES];
};

/* pages: how many to look at from gpa on. */
bool view_take(struct guest *g, struct view *v, uint64_t gpa, uint64_t pages);
/* Looks again, and tells what differs. */
bool view_unchanged(struct guest *g, const struct view *before);

/* Xen has the page for the guest. */
bool has_page(struct guest *g, uint64_t gpa);

#endif
