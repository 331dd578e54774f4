/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of a guest's hypervisor port, counted and timed on their way: the simulator's or Xen's. */
#ifndef XENGASP_BENCH_HV_COUNT_H
#define XENGASP_BENCH_HV_COUNT_H

#include "hv/hv.h"

struct hv_count {
    unsigned long calls;
    unsigned long units; /* extents, or pages mapped */
    uint64_t ticks;
};

/* Of the one port that was counted, since hv_count_clear. */
struct hv_counts {
    struct hv_count populate, depopulate, map, unmap;
    struct hv_count other; /* info and the limits */
    int64_t heap;          /* bytes that the port itself has allocated and not freed */
};
extern struct hv_counts hv_counts;

/* Puts itself before the port's calls. Once, and one thread uses the guest. */
void hv_count_install(struct hv *hv);
void hv_count_clear(void);

/* Time in the port, in ticks of measure.h, since hv_count_clear. */
uint64_t hv_count_ticks(void);

/* Bytes that are allocated; heap of hv_counts is told only while `on` has been said. */
int64_t hv_count_heap(void);
void hv_count_heap_too(bool on);

#endif
