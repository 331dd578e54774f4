/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's life as this library sees it (ours):
 *
 *     guest_open_xen, guest_open_sim
 *     guest_add_vdev, vm_ram_register...  start-up: one thread, no locks needed; nothing traps yet
 *     guest_configured                    the border: ranges are claimed, dispatch threads run
 *     guest_run                           running: any thread may call what its header allows
 *     guest_stop
 *     guest_close                         everything is given back but registered RAM
 *
 * Functions return 0, or -1 with errno, unless said otherwise.
 */
#ifndef XENGASP_GUEST_H
#define XENGASP_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <xengasp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum guest_log_level { GUEST_LOG_ERROR, GUEST_LOG_WARN, GUEST_LOG_INFO, GUEST_LOG_DEBUG };

/* Takes one line of the log, without its end. Called from any thread. */
typedef void (*guest_log_fn)(void *arg, enum guest_log_level level, const char *format, va_list ap);

/* What the core does with an access that no vdev answers, or that its vdev refuses. Xen can't fault
 * the guest. */
enum guest_unsupported {
    GUEST_UNSUPPORTED_IGNORE, /* reads give all ones, writes vanish */
    GUEST_UNSUPPORTED_LOG,    /* the same, and a log line at a bounded rate */
    GUEST_UNSUPPORTED_ABORT,  /* the same, and guest_run returns -1 with EFAULT */
};

#define GUEST_POLL_NEVER (~0u)

/* Set `size` to sizeof(struct guest_options); new fields come at the end. Zero is each field's
 * default. */
struct guest_options {
    size_t size;
    guest_log_fn log; /* NULL: warnings and errors to stderr */
    void *log_arg;
    unsigned poll_us; /* longest time a dispatch thread polls before it sleeps; 0: 300;
                         GUEST_POLL_NEVER */
    bool ram_only; /* RAM access alone: no vdevs, no regions; any number beside the owner of the map
                    */
    uint64_t memory_limit; /* bytes of guest-physical space, a power of two; 0: 2^40. That much host
                              address space is reserved */
    enum guest_unsupported unsupported;
    const char *state_dir; /* where a guest's lock and the record of its registered RAM lie; NULL:
                              /run/xengasp. A simulated guest has none */
    uint64_t
        gasp_window; /* bytes of address space above all RAM in which RAM may be registered once
                             the guest has been unpaused; set aside at its first guest_configured,
                             before the guest runs. 0: none */
};

/* A simulated guest; `size` as above. NULL: PVH, one vCPU, 64 MiB of RAM from 0, not yet run. */
struct sim_options {
    size_t size;
    bool hvm;
    unsigned vcpus;
    uint64_t ram_bytes;
    bool running;        /* has been unpaused */
    uint64_t host_bytes; /* memory of the simulated host that is still free; 0: 1 GiB */
};

/*
 * Attaches to a running or paused guest. The memory map is seeded with the guest's RAM and with
 * what Xen and the toolstack keep there. ESRCH no such domain; ENOTSUP a PV guest, a
 * populate-on-demand guest, over 128 vCPUs; EACCES no privilege; ENXIO no Xen on this machine;
 * EBUSY another process owns this guest's map; EINVAL options.
 */
XENGASP_API int guest_open_xen(struct guest_system **gsp_r, uint32_t domid,
                               const struct guest_options *options);

/* The same for a guest that exists in this process alone; see sim.h for what can be done with it.
 */
XENGASP_API int guest_open_sim(struct guest_system **gsp_r, const struct sim_options *sim,
                               const struct guest_options *options);

/*
 * Start-up: adds a vdev, "NAME,key=value,...", e.g. "trace,loc=mem:0xfe000000". EINVAL with a log
 * line that names the key and what was expected; ENOENT no vdev of this name; EEXIST and EBUSY as
 * gasp_region_set_soft.
 */
XENGASP_API int guest_add_vdev(struct guest_system *gsp, const char *spec);

/*
 * Ends start-up: vdevs without a location choose one, ranges reach Xen, servers are enabled,
 * dispatch threads start. ENOSPC: Xen has no server or range left, or there is no place for the gasp
 * window; EBUSY: a gasp window for a guest that has run without. On failure the guest can only be
 * closed.
 */
XENGASP_API int guest_configured(struct guest_system *gsp);

/*
 * Serves until guest_stop (0) or until the guest is gone (0, guest_gone says how). A reboot is a
 * new domain. Dispatch threads are at work before and after it; this call looks after what isn't
 * urgent. One thread.
 */
XENGASP_API int guest_run(struct guest_system *gsp);

enum guest_end {
    GUEST_ALIVE = 0,
    GUEST_POWEROFF, /* it shut itself down; the domain still stands until somebody destroys it */
    GUEST_REBOOT,
    GUEST_SUSPEND, /* also of one that is resumed later */
    GUEST_CRASHED,
    GUEST_DESTROYED, /* the domain is being taken down, or is no more */
};
XENGASP_API enum guest_end guest_gone(struct guest_system *gsp);

/* Makes guest_run return. Any thread; async-signal-safe. */
XENGASP_API void guest_stop(struct guest_system *gsp);

/*
 * TERMINATE to the vdevs; servers disabled, pending requests answered, unbound, unmapped,
 * destroyed; mappings gone. Registered RAM stays the guest's. NULL is fine. No other thread may use
 * the guest any more.
 */
XENGASP_API void guest_close(struct guest_system *gsp);

#define GUEST_TIME_STEPS 128

/* Counters since guest_configured, summed over vCPUs. Any thread. */
struct guest_stats {
    uint64_t requests;  /* that Xen sent */
    uint64_t accesses;  /* after unrolling and splitting */
    uint64_t unclaimed; /* of these, answered with all ones or dropped */
    uint64_t wakeups;   /* of dispatch threads by an event */
    uint64_t polled;    /* requests found by polling */
    uint64_t invalidations;
    uint64_t malformed;                  /* requests that made no sense; answered all the same */
    uint64_t own_time[GUEST_TIME_STEPS]; /* requests by our own time; see guest_own_ns */
    uint64_t pauses; /* of the guest, for RAM that was registered while it ran */
};
XENGASP_API void guest_get_stats(struct guest_system *gsp, struct guest_stats *stats_r);

/*
 * Our own time for a request, from the thread's finding it to just before Xen is told of the
 * answer: the nanoseconds that `share` (0 to 1; 0.5: the median) of the requests lie below, to a
 * quarter exact. 0 while there was none.
 */
XENGASP_API uint64_t guest_own_ns(const struct guest_stats *stats, double share);

#ifdef __cplusplus
}
#endif

#endif
