/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's address spaces on the simulator, without the rest of a guest. */
#ifndef XENGASP_TESTS_GASP_FIXTURE_H
#define XENGASP_TESTS_GASP_FIXTURE_H

#include <errno.h>
#include <xengasp/vdev.h>

#include "gasp/gasp_internal.h"
#include "hv/sim.h"
#include "tests/check_main.h"

enum { MIB = 1 << 20, PAGE = HV_PAGE_SIZE, RAM_BYTES = 16 * MIB };
#define SPACE_LIMIT (UINT64_C(1) << 36) /* what a process under ThreadSanitizer can reserve */
enum { VIRT = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE };

extern struct hv *hv;
extern struct gasp gasp;
extern vdev_t vdev_a, vdev_b;
extern char logged[1024]; /* what was logged since log_forget */

static inline struct guest_system *gsp(void)
{
    return (struct guest_system *)&gasp;
}

/* Opens a guest: PVH, or with the options given; ram_only as in guest_options. */
void open_guest(struct hv_sim_options options, bool ram_only);
void open_pvh(void);
/* Everything is given back but RAM; checks it. */
void close_guest(void);

void log_forget(void);

struct hv_sim_usage usage(void);
bool same_usage(struct hv_sim_usage a, struct hv_sim_usage b);
/* 0, or errno of setting one region. */
int set(uint16_t type, uint64_t location, uint64_t length, uint32_t flags, vdev_t *vdev,
        uint32_t cookie);
/* 0 or an errno value. */
int info(uint16_t type, uint64_t location, struct gasp_region *rgn);

#endif
