/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor port: all that the house asks of Xen, for one guest. Two implementations: Xen
 * itself (xen.c, xen_parent.c) and a simulator that behaves like it (sim.c). Nothing outside this
 * room knows which.
 *
 * The table has two halves. The worker's holds what serving accesses needs and what a process
 * restricted to one guest may still do. The parent's holds every call that changes Xen's state for
 * the guest, even where Xen would allow it to a restricted process. For now one process uses both.
 *
 * Conventions: 0 or -1 with errno. Frames are guest frame numbers of 4 KiB (gfn = gpa >> 12). Ends
 * of ranges are inclusive. Calls are made from any thread, except where a `struct hv_events` is
 * named: one thread at a time.
 */
#ifndef XENGASP_HV_H
#define XENGASP_HV_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/ioreq_page.h"

enum { HV_PAGE_SHIFT = 12, HV_PAGE_SIZE = 1 << HV_PAGE_SHIFT };
enum { HV_ORDER_4K = 0, HV_ORDER_2M = 9 }; /* an extent holds 1 << order pages */
enum {
    HV_MAX_SERVERS = 8,
    HV_MAX_RANGES = 256
}; /* Xen: servers a guest; merged ranges a server and type */

enum hv_guest_type { HV_PVH, HV_HVM };

/* The kinds of trap range, with Xen's numbers. PCI: one function (SBDF) at a time, first == last.
 */
enum hv_range_type { HV_RANGE_PORT = 0, HV_RANGE_MEMORY = 1, HV_RANGE_PCI = 2 };

/* Why a guest shut down, with Xen's numbers (SHUTDOWN_*). */
enum hv_shutdown {
    HV_POWEROFF = 0,
    HV_REBOOT = 1,
    HV_SUSPEND = 2,
    HV_CRASH = 3,
    HV_WATCHDOG = 4,
    HV_SOFT_RESET = 5
};

struct hv_info {
    enum hv_guest_type type;
    unsigned max_vcpus; /* all that exist, online or not */
    uint64_t nr_pages;  /* pages charged to the guest */
    uint64_t max_pages; /* its limit ("maxmem") */
    uint64_t nr_gfns;   /* one above the topmost populated frame ever: nothing lies from here up */
    uint64_t pod_pages; /* frames that Xen fills at their first use (populate on demand) */
    bool never_ran;     /* not unpaused since its creation */
    bool paused;        /* by the toolstack */
    bool dying;         /* being torn down: its pages and servers are going */
    bool shutdown;      /* the guest has ended; shutdown_reason tells why */
    enum hv_shutdown shutdown_reason;
    uint8_t uuid[16];
};

/* Frames [gfn, gfn + n), as Xen has it. */
struct hv_extent {
    uint32_t n, zero;
    uint64_t gfn;
};

enum {
    HV_NEWS_GONE = 1,  /* some guest of the host may have ended or shut down: ask `info` */
    HV_NEWS_TARGET = 2 /* the toolstack may have changed the guest's memory_target */
};

/* An entry of an E820 map. */
struct hv_memory_entry {
    uint64_t addr, size;
    uint32_t type;
};

struct hv_events; /* one thread's event channels */

struct hv {
    const struct hv_ops *ops;
};

struct hv_ops {
    /* Gives back every handle. Mappings and servers must be gone already. */
    void (*close)(struct hv *hv);

    /* ---- the worker's half ---- */

    /*
     * Maps n frames in place of the host pages at `at`, which must be a PROT_NONE reservation of
     * the caller's. Afterwards err[i] is 0, or a positive errno and page i must not be touched
     * (EINVAL: a hole). -1: nothing is mapped, the reservation stands as before. prot: PROT_READ
     * and PROT_WRITE. What was mapped by one call is unmapped by one call, as a whole; so a range
     * that holds mapped pages cannot be mapped over in part: EINVAL or ENOMEM (Linux forbids
     * splitting such mappings).
     */
    int (*map)(struct hv *hv, void *at, int prot, size_t n, const uint64_t gfn[], int err[]);
    /* Puts the reservation back. A page the guest gave up while we had it mapped is freed here. */
    int (*unmap)(struct hv *hv, void *at, size_t n);

    /* The page of a server. ENOENT: no such server. Valid until unmapped, also after destroy. */
    int (*ioreq_page_map)(struct hv *hv, unsigned server, struct ioreq_page **page_r);
    int (*ioreq_page_unmap)(struct hv *hv, struct ioreq_page *page);

    /* Event channels. One handle for each thread that waits. */
    struct hv_events *(*events_open)(struct hv *hv);
    void (*events_close)(struct hv_events *ev); /* unbinds what is bound; NULL is fine */
    int (*events_fd)(struct hv_events *ev);     /* readable while an event is pending */
    /* Binds to Xen's port (ioreq_slot.vp_eport): local port, or -1. One spurious event follows. */
    int (*events_bind)(struct hv_events *ev, uint32_t remote_port);
    /* What came before may still be taken afterwards. */
    int (*events_unbind)(struct hv_events *ev, int port);
    /* Takes one pending event: its port, masked until events_unmask. -1 with EAGAIN: none. */
    int (*events_pending)(struct hv_events *ev);
    int (*events_unmask)(struct hv_events *ev,
                         int port); /* an event that came meanwhile shows up now */
    int (*events_notify)(struct hv_events *ev, int port); /* wakes the vCPU; masked or not */

    /*
     * Tells Xen's log of dirty pages (live migration) that we wrote these. While nothing is logged
     * Xen doesn't even look: 0. EINVAL: an extent is empty, or ends above or at the topmost frame
     * (sic); others of the list may be logged.
     */
    int (*modified)(struct hv *hv, size_t n, const struct hv_extent extent[]);
    /* Whether Xen logs now: 1 or 0, or -1. */
    int (*logging)(struct hv *hv);

    /* ---- the parent's half ---- */

    /* ESRCH: the guest is gone. */
    int (*info)(struct hv *hv, struct hv_info *info_r);
    /* An fd that becomes readable when there may be news; `news` tells which (HV_NEWS_*), once. -1:
     * none here, ask now and then. */
    int (*news_fd)(struct hv *hv);
    unsigned (*news)(struct hv *hv);
    /* What the toolstack wants the guest to have, in pages (xl mem-set): its balloon follows. ENOENT:
     * it doesn't say. */
    int (*memory_target)(struct hv *hv, uint64_t *pages_r);

    /*
     * Gives the guest RAM at frames gfn[0..n), each the first of an aligned extent of 1 << order
     * pages. Returns how many extents were done, from the start of the list; Xen does not say why
     * it stopped. Content is not zeroed. A frame that the guest already has is replaced silently
     * and its old page leaks: prove the hole first.
     */
    size_t (*populate)(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);
    /* Takes pages away again; same return. Stops at the first hole. */
    size_t (*depopulate)(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);

    /*
     * Moves the pages of n frames from `from` on to those from `to` on, one after the other. A page
     * stays what it is: mappings show it as before. The servers hear IOREQ_INVALIDATE later, as
     * after depopulate. What lies at the target is freed silently: prove the hole first; it can be
     * a page of the same call, when `to` is inside the frames that are moved. A read-only page
     * becomes writable, also when it is moved onto itself, of which nothing else comes. nr_gfns
     * grows. Xen's log of dirty pages misses the move, and what the guest writes there until the
     * log is read the next time: tell `modified`.
     * -1: the pages before the one that failed have moved. EINVAL a hole, 2^32 pages or more, or
     * `to` is ~0; EOVERFLOW an end above ~0 (nothing moved); ENOMEM no room for a p2m table. That
     * is either the source's, an extent to be broken up, and the page stays; or the target's, and
     * the page has lost its place for good, but stays charged. So it does when the target is
     * beyond the tables' reach (frame 2^36), with ENOENT.
     */
    int (*relocate)(struct hv *hv, size_t n, uint64_t from, uint64_t to);
    /*
     * Lets the guest only read n pages from gfn on, or write again. Its writes to a read-only page
     * are dropped and reach no server; a write over two pages is dropped as a whole, unless the
     * first is no RAM. Our mappings write as before. Forgotten when the page moves, when it is given
     * back, and over save and restore. A page that becomes writable while Xen logs is one to tell
     * `modified` of, as one that moved.
     * -1: EINVAL no pages, 2^32 or more, or an end above the topmost frame (nothing done), or a
     * hole; ENOMEM no room for the table that breaks an extent up. The pages before are done.
     */
    int (*set_ram_type)(struct hv *hv, bool read_only, size_t n, uint64_t gfn);

    int (*set_max_pages)(struct hv *hv, uint64_t max_pages);
    /* Memory from which Xen makes the guest's p2m tables, in bytes (whole pages). */
    int (*get_paging_pool)(struct hv *hv, uint64_t *bytes_r);
    int (*set_paging_pool)(struct hv *hv, uint64_t bytes);

    int (*pause)(struct hv *hv); /* counted */
    int (*unpause)(struct hv *hv);
    /* A never-run guest's start_info address (PVH boot protocol: vCPU 0's rbx). 0: it has none. */
    int (*boot_info)(struct hv *hv, uint64_t *gpa_r);

    /* The memory map that a guest's firmware asks Xen for (hvmloader); at most 128 entries. Nobody
     * can ask for another guest's. */
    int (*set_memory_map)(struct hv *hv, size_t n, const struct hv_memory_entry entry[]);

    /* ioreq servers. Errors are Xen's: ENOSPC (nine servers), ENOENT, EEXIST (overlap within the
     * server), ENOMEM (no slot for a merged range), EINVAL. */
    int (*server_create)(struct hv *hv, unsigned *server_r);
    /* Answer what is open first: a vCPU that waits for the server isn't told, and may wait for ever. */
    int (*server_destroy)(struct hv *hv, unsigned server);
    int (*server_enable)(struct hv *hv, unsigned server, bool on);
    bool (*server_exists)(struct hv *hv, unsigned server);
    int (*server_map_range)(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                            uint64_t last);
    int (*server_unmap_range)(struct hv *hv, unsigned server, enum hv_range_type type,
                              uint64_t first, uint64_t last);
};

/* Where the port's implementations send what Xen's libraries say. May be NULL: dropped. */
struct hv_logger {
    void (*log)(void *arg, int level /* syslog's LOG_ERR ... LOG_DEBUG */, const char *format,
                va_list ap);
    void *arg;
};

/*
 * ESRCH no such domain; ENOTSUP a PV guest, or over IOREQ_MAX_VCPUS vCPUs; EACCES no privilege;
 * ENXIO no Xen on this machine (or built without it).
 */
int hv_xen_open(struct hv **hv_r, uint32_t domid, const struct hv_logger *logger);

#endif
