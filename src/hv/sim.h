/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator's own door, beside the port: what makes a simulated guest, drives its vCPUs and lets
 * things go wrong. Used by the public sim.h (src/guest/sim_guest.c) and by tests.
 */
#ifndef XENGASP_HV_SIM_H
#define XENGASP_HV_SIM_H

#include "hv/hv.h"

struct hv_sim_options {
    enum hv_guest_type type;
    unsigned vcpus;
    uint64_t
        ram_bytes; /* populated from 0 up to 0xfc000000 (HVM 0xf0000000), the rest from 4 GiB */
    uint64_t host_pages;  /* free pages of the host, beyond the guest's own; 0: 1 GiB's worth */
    uint64_t spare_pages; /* max_pages beyond the guest's RAM; 0: 256, as libxl */
    uint64_t paging_pool; /* bytes; 0: by libxl's formula */
    bool running;         /* starts unpaused (never_ran false) */
    bool
        bare; /* no start_info, no special pages, never_ran: the bare domain of the conformance suite */
};

int hv_sim_open(struct hv **hv_r, const struct hv_sim_options *options);

/*
 * One request as Xen would deliver it: chooses the server (highest id first, whole span inside its ranges),
 * fills the vCPU's slot, notifies, waits for the answer. req: addr, data, count, size, type, and control's flags;
 * on return of a plain read, data. No server: reads give all ones, writes vanish. -1: EIO the guest was crashed or
 * destroyed meanwhile, ETIMEDOUT nobody answered within timeout_ms (negative: no limit); then the vCPU's next
 * request waits for this one first. While the guest is paused, its vCPUs wait as well. One thread drives a vCPU.
 */
int hv_sim_request(struct hv *hv, unsigned vcpu, struct ioreq_slot *req, int timeout_ms);

/*
 * An access as an instruction makes it: RAM directly, the rest as requests, divided at page borders as Xen
 * does. write: *value goes out; else it comes back, zero-extended. HV_RANGE_PCI: 1, 2 or 4 bytes at SBDF << 32 |
 * register; a guest may also go by the ports 0xcf8 and 0xcfc.
 */
int hv_sim_access(struct hv *hv, unsigned vcpu, enum hv_range_type type, bool write, uint64_t addr,
                  unsigned size, uint64_t *value, int timeout_ms);

/* The guest's RAM as the guest sees it. ENOENT: a hole in it (nothing copied). */
int hv_sim_ram(struct hv *hv, bool write, uint64_t gpa, void *buf, size_t size);

/* The guest's balloon: gives pages up (INVALIDATE follows, as Xen sends it) or takes them back. */
int hv_sim_balloon(struct hv *hv, bool out, uint64_t gfn, uint64_t n);
/* Sends IOREQ_TYPE_INVALIDATE on this vCPU to every enabled server and waits for all of them. */
int hv_sim_invalidate(struct hv *hv, unsigned vcpu, int timeout_ms);

/* As `xl mem-set`: what the guest shall have from now on, and with it its limit. */
void hv_sim_set_target(struct hv *hv, uint64_t pages);

/* What set_memory_map was given last. */
size_t hv_sim_memory_map(struct hv *hv, const struct hv_memory_entry **entry_r);

/* Xen's log of dirty pages begins (empty) or ends. ENOMEM. */
int hv_sim_log(struct hv *hv, bool on);
/* Whether it has this frame. */
bool hv_sim_logged(struct hv *hv, uint64_t gfn);

void hv_sim_set_shutdown(struct hv *hv, enum hv_shutdown reason);
void hv_sim_destroy(
    struct hv *hv); /* as `xl destroy`: calls fail as on a dying, then on no domain */

/*
 * Faults. nth counts from 1 among all calls through the table from now on; 0 turns it off. What only gives back
 * (closing, unmapping, unbinding) cannot be refused and does not count. A failing populate, depopulate, relocate
 * or set_ram_type does half of its work.
 */
void hv_sim_fail_call(struct hv *hv, unsigned long nth, int error);
unsigned long hv_sim_calls(struct hv *hv); /* calls made since open */
void hv_sim_lose_next_event(struct hv *hv);
void hv_sim_spurious_event(struct hv *hv, unsigned vcpu);

/* What is out: for leak checks. */
struct hv_sim_usage {
    uint64_t nr_pages;     /* charged to the guest */
    uint64_t host_pages;   /* still free */
    uint64_t mapped_pages; /* by `map` */
    unsigned servers, ranges, ioreq_pages, bound_ports, pause_count;
    bool crashed; /* Xen would have crashed the guest (a slot's state went wrong) */
};
void hv_sim_usage(struct hv *hv, struct hv_sim_usage *usage_r);

#endif
