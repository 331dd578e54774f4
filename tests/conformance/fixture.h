/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the guests of the conformance suite come from: the same cases run against a bare domain on
 * real Xen and against the simulator.
 */
#ifndef XENGASP_CONFORMANCE_FIXTURE_H
#define XENGASP_CONFORMANCE_FIXTURE_H

#include <xengasp/guest.h>

#include "hv/hv.h"

struct fixture_options {
    unsigned vcpus;       /* 0: 2 */
    uint64_t max_pages;   /* 0: 16384 */
    uint64_t paging_pool; /* bytes; 0: 4 MiB */
    /* It has pages 0 and 1, and its vCPUs wait for accesses to make; with ram_pages from the case's
     * first unpause on. */
    bool running;
    uint64_t ram_pages;  /* not 0: pages from 0 on, and a struct guest_system that has found them */
    uint64_t host_pages; /* of a simulated host with such a guest, still free; 0: 1 GiB's worth */
};

enum { DRIVEN_PAGES = 2, DRIVEN_VCPUS = 2 };

struct access {
    enum hv_range_type type; /* ports or memory, below 4 GiB */
    bool write;
    unsigned size; /* 1, 2 or 4 */
    uint32_t addr, value;
};

/* Unless it is a running one, a guest whose vCPUs never run; without RAM, unless asked for. */
struct guest {
    struct hv *hv;            /* on Xen a handle beside gsp's */
    struct guest_system *gsp; /* with ram_pages; its log is in guest_log.h */
    unsigned vcpus;
    uint64_t max_pages;
    uint64_t paging_pool;
    uint8_t uuid[16];
    uint32_t domid;        /* on Xen */
    struct driver *driver; /* of a running guest; the fixture's own */
    char state_dir[40];    /* gsp's, on Xen */
};

struct fixture {
    bool real;
    /* -1 with errno: none made. */
    int (*make)(struct guest *g, const struct fixture_options *options);
    /* A vCPU of a running guest makes an access, one at a time. */
    int (*start)(struct guest *g, unsigned vcpu, const struct access *a);
    /* Waits for its end. -1: ETIMEDOUT not yet; EIO the guest is at its end. */
    int (*wait)(struct guest *g, unsigned vcpu, int ms, uint32_t *value_r);
    uint64_t (*host_free)(struct guest *g); /* free pages of the host */
    void (*shut_down)(struct guest *g, enum hv_shutdown reason);
    /* The log of dirty pages, as a live migration turns it on and reads it. */
    int (*log)(struct guest *g, bool on);
    bool (*logged)(struct guest *g, uint64_t gfn);
    /* As `xl destroy`. What is still mapped keeps the guest around, dying. */
    void (*destroy)(struct guest *g);
    /* Destroys it if that is not done yet, and closes hv. */
    void (*close)(struct guest *g);
    /*
     * Runs `body` so that no guest of its survives, whatever way it ends: returns what it returns,
     * or 1 when it was killed.
     */
    int (*guard)(int (*body)(void *arg), void *arg);
};

extern const struct fixture fixture_sim;
extern const struct fixture fixture_xen;

#endif
