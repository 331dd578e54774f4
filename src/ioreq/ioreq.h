/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One guest access in, one reply out. A dispatch thread for each vCPU waits for requests in the
 * vCPU's slots (dispatch.c), takes a request apart into accesses (request.c), and each access into
 * pieces that one region answers (access.c).
 */
#ifndef XENGASP_IOREQ_H
#define XENGASP_IOREQ_H

#include <stdatomic.h>

#include "gasp/gasp_internal.h"
#include "hv/ioreq_page.h"
#include "vdev/vdev_internal.h"

/* Written by one dispatch thread, read by any. */
struct ioreq_counters {
    _Atomic uint64_t requests, accesses, unclaimed, wakeups, polled, invalidations, malformed;
    _Atomic uint64_t own_time[GUEST_TIME_STEPS];
};

struct ioreq_dispatch;

struct ioreq_cpu {
    struct guest_cpu guest; /* what handlers see */
    struct ioreq_dispatch *dispatch;
    pthread_t thread;
    bool started;
    struct hv_events *events;
    int port[HV_MAX_SERVERS]; /* local ports, by index into trap_set.server; -1 not bound */
    int wake_fd;              /* eventfd: look at dispatch->stop, and at all slots */
    _Atomic unsigned misses;  /* polls in vain, one after the other */
    unsigned skip;            /* answers still to come that no polling follows */
    struct ioreq_counters n;
};

struct ioreq_dispatch {
    struct gasp *gasp;
    enum guest_unsupported unsupported;
    _Atomic uint64_t poll_limit_ns;
    double ticks_a_ns; /* of the processor's counter */
    _Atomic unsigned max_pollers;
    _Atomic unsigned pollers; /* threads that poll at this moment */
    _Atomic bool stop;
    _Atomic bool aborted; /* GUEST_UNSUPPORTED_ABORT struck */
    int work_fd;          /* eventfd, the caller's: something for guest_run to do */
    struct log_limit limit;
    struct ioreq_page *page[HV_MAX_SERVERS];
    _Atomic unsigned n_servers;
    unsigned n_cpus;
    struct ioreq_cpu *cpu;
};

/* Maps the servers' pages, enables them, binds their ports and starts the threads. All servers of
 * gasp->trap. -1 with errno and everything given back but the servers themselves. */
int ioreq_start(struct ioreq_dispatch *dispatch, struct guest_system *gsp, unsigned n_cpus);

/* Serves gasp->trap's next server, too. -1 with errno: it isn't, and is disabled. */
int ioreq_add_server(struct ioreq_dispatch *dispatch);

/* Disables the servers, answers what is pending, ends the threads, unbinds, unmaps. Twice is fine.
 */
void ioreq_stop(struct ioreq_dispatch *dispatch);

/* duration.c: steps of time, four to each doubling. step_of: where `ns` lies; step_end: what all of
 * a step lies below. */
unsigned duration_step_of(uint64_t ns);
uint64_t duration_step_end(unsigned step);

/* request.c: carries a request out. `req` is a private copy. Returns the data of a plain read, else
 * anything. */
uint64_t ioreq_serve(struct ioreq_cpu *cpu, const struct ioreq_slot *req);

/*
 * access.c: one element of 1, 2, 4 or 8 bytes. A read's value comes back zero-extended; what nobody
 * answers is all ones.
 */
void ioreq_access(struct ioreq_cpu *cpu, enum gasp_space space, bool write, uint64_t addr,
                  unsigned size, uint64_t *value);

#endif
