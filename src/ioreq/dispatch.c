/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread for each vCPU. A vCPU has one request at a time, so a thread never has to choose;
 * broadcasts alone come in all servers' slots at once.
 *
 * Answering without a sleep in between is several times faster than by events, so after a request a
 * thread polls its slots for a while, its port masked. To sleep it unmasks, looks once more, then
 * waits for the descriptor. How soon a request would have been found can't be told from when its
 * event came, as waking up takes longer than what polling is after; so polling is judged by what it
 * finds: each time in vain doubles the number of answers that none follows, and a find ends that.
 */
#include "ioreq/ioreq.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "space/clock.h"

enum {
    CALIBRATION_NS = 2000000,
    MISSES_MAX = 6, /* polling that is always in vain follows one answer of 64 */
};

/*
 * Time is taken from the processor's counter: in a PV dom0 reading the clock is a system call, as
 * dear as answering.
 */
static uint64_t ticks(void)
{
    return __builtin_ia32_rdtsc();
}

static double measure_ticks_a_ns(void)
{
    uint64_t clock = clock_ns(), count = ticks(), passed;

    do
        nanosleep(&(struct timespec){.tv_nsec = CALIBRATION_NS}, NULL);
    while ((passed = clock_ns() - clock) < CALIBRATION_NS);
    return (double)(ticks() - count) / (double)passed;
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint8_t slot_control(struct ioreq_cpu *cpu, unsigned server)
{
    return atomic_load_explicit(&cpu->dispatch->page[server]->slot[cpu->guest.index].control,
                                memory_order_acquire);
}

static bool slot_ready(struct ioreq_cpu *cpu, unsigned server)
{
    return (slot_control(cpu, server) & IOREQ_CONTROL_STATE) == IOREQ_STATE_READY;
}

static bool any_ready(struct ioreq_cpu *cpu)
{
    for (unsigned s = 0; s < cpu->dispatch->n_servers; s++) {
        if (slot_ready(cpu, s))
            return true;
    }
    return false;
}

/*
 * Answers a slot that is READY. The page belongs to Xen, yet it is read once and from then on only
 * written: what was checked is what is used.
 */
static void serve_slot(struct ioreq_cpu *cpu, unsigned server)
{
    struct ioreq_dispatch *dispatch = cpu->dispatch;
    struct ioreq_slot *slot = &dispatch->page[server]->slot[cpu->guest.index];
    uint64_t start = ticks(), own_ns;
    uint8_t control = slot_control(cpu, server), flags = control & ~IOREQ_CONTROL_STATE;
    struct ioreq_slot req = {.addr = slot->addr,
                             .data = slot->data,
                             .count = slot->count,
                             .size = slot->size,
                             .control = control,
                             .type = slot->type};

    count(&cpu->n.requests, 1);
    atomic_store_explicit(&slot->control, flags | IOREQ_STATE_INPROCESS, memory_order_release);
    if (req.type == IOREQ_INVALIDATE) {
        /* Before it is acknowledged; dropping the mappings is for guest_run. */
        ram_invalidate(&dispatch->gasp->ram);
        count(&cpu->n.invalidations, 1);
        eventfd_write(dispatch->work_fd, 1);
    } else {
        uint64_t data = ioreq_serve(cpu, &req);

        if ((control & IOREQ_CONTROL_READ) && !(control & IOREQ_CONTROL_DATA_IS_PTR))
            slot->data = data;
    }
    atomic_store_explicit(&slot->control, flags | IOREQ_STATE_RESP_READY, memory_order_release);
    own_ns = (uint64_t)((double)(ticks() - start) / dispatch->ticks_a_ns);
    count(&cpu->n.own_time[duration_step_of(own_ns)], 1);
    dispatch->gasp->hv->ops->events_notify(cpu->events, cpu->port[server]);
}

static void serve(struct ioreq_cpu *cpu)
{
    for (unsigned s = 0; s < cpu->dispatch->n_servers; s++) {
        if (slot_ready(cpu, s))
            serve_slot(cpu, s);
    }
}

static bool look_for(struct ioreq_cpu *cpu, uint64_t ns)
{
    uint64_t begin = ticks(), most = (uint64_t)((double)ns * cpu->dispatch->ticks_a_ns);

    while (!any_ready(cpu)) {
        if (cpu->dispatch->stop || ticks() - begin > most)
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

/* Looks at the slots for a while, if that is worth it. True when a request is there. */
static bool poll_slots(struct ioreq_cpu *cpu)
{
    struct ioreq_dispatch *dispatch = cpu->dispatch;
    bool found = false;

    if (dispatch->poll_limit_ns == 0)
        return false;
    if (cpu->skip > 0) {
        cpu->skip--;
        return false;
    }
    if (atomic_fetch_add(&dispatch->pollers, 1) < dispatch->max_pollers) {
        found = look_for(cpu, dispatch->poll_limit_ns);
        if (found)
            cpu->misses = 0;
        else if (cpu->misses < MISSES_MAX)
            cpu->misses++;
        cpu->skip = (1u << cpu->misses) - 1;
    }
    atomic_fetch_sub(&dispatch->pollers, 1);
    return found;
}

static void sleep_until_event(struct ioreq_cpu *cpu)
{
    struct pollfd fd[2] = {
        {.fd = cpu->dispatch->gasp->hv->ops->events_fd(cpu->events), .events = POLLIN},
        {.fd = cpu->wake_fd, .events = POLLIN},
    };
    eventfd_t value;

    /* A server may have been added, and its first event may have come before we looked at its slot. */
    if (poll(fd, 2, -1) > 0 && fd[1].revents) {
        eventfd_read(cpu->wake_fd, &value);
        serve(cpu);
    }
}

__attribute__((hot)) static void *dispatch_thread(void *arg)
{
    struct ioreq_cpu *cpu = arg;
    struct ioreq_dispatch *dispatch = cpu->dispatch;
    const struct hv_ops *ops = dispatch->gasp->hv->ops;

    while (!dispatch->stop) {
        int port;

        sleep_until_event(cpu);
        port = ops->events_pending(cpu->events);
        if (port < 0)
            continue;
        count(&cpu->n.wakeups, 1);
        /* An event without a request is normal: one follows each bind, and one each request that
         * polling found. */
        if (any_ready(cpu)) {
            serve(cpu);
            while (poll_slots(cpu)) {
                serve(cpu);
                count(&cpu->n.polled, 1);
            }
        }
        ops->events_unmask(cpu->events, port);
        serve(cpu);
    }
    /* The servers are disabled by now: what is READY is the last there will be. */
    serve(cpu);
    return NULL;
}

/* All that may fail for want of something, before a guest can send anything. */
static int open_cpus(struct ioreq_dispatch *dispatch, struct guest_system *gsp, unsigned n_cpus)
{
    dispatch->cpu = calloc(n_cpus, sizeof(*dispatch->cpu));
    if (!dispatch->cpu)
        return -1;
    dispatch->n_cpus = n_cpus;
    for (unsigned i = 0; i < n_cpus; i++) {
        struct ioreq_cpu *cpu = &dispatch->cpu[i];

        cpu->dispatch = dispatch;
        cpu->guest = (struct guest_cpu){.gsp = gsp, .index = i};
        cpu->wake_fd = -1;
        for (unsigned s = 0; s < HV_MAX_SERVERS; s++)
            cpu->port[s] = -1;
    }
    for (unsigned i = 0; i < n_cpus; i++) {
        struct ioreq_cpu *cpu = &dispatch->cpu[i];

        cpu->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        cpu->events = dispatch->gasp->hv->ops->events_open(dispatch->gasp->hv);
        if (cpu->wake_fd < 0 || !cpu->events)
            return -1;
    }
    return 0;
}

/* As many as can be, even if one can't: a vCPU that waits for us must be told. */
static int bind_server(struct ioreq_dispatch *dispatch, unsigned server)
{
    int failed = 0;

    for (unsigned i = 0; i < dispatch->n_cpus; i++) {
        struct ioreq_cpu *cpu = &dispatch->cpu[i];

        cpu->port[server] = dispatch->gasp->hv->ops->events_bind(
            cpu->events, dispatch->page[server]->slot[i].vp_eport);
        if (cpu->port[server] < 0)
            failed = errno;
    }
    errno = failed;
    return failed ? -1 : 0;
}

static int bind_servers(struct ioreq_dispatch *dispatch)
{
    int failed = 0;

    for (unsigned s = 0; s < dispatch->n_servers; s++) {
        if (bind_server(dispatch, s) < 0)
            failed = errno;
    }
    errno = failed;
    return failed ? -1 : 0;
}

/* Last: a thread that runs can't fail any more. */
static int start_threads(struct ioreq_dispatch *dispatch)
{
    for (unsigned i = 0; i < dispatch->n_cpus; i++) {
        errno = pthread_create(&dispatch->cpu[i].thread, NULL, dispatch_thread, &dispatch->cpu[i]);
        if (errno)
            return -1;
        dispatch->cpu[i].started = true;
    }
    return 0;
}

static void unbind_cpu(struct ioreq_dispatch *dispatch, struct ioreq_cpu *cpu)
{
    const struct hv_ops *ops = dispatch->gasp->hv->ops;

    for (unsigned s = 0; cpu->events && s < dispatch->n_servers; s++) {
        if (cpu->port[s] >= 0)
            ops->events_unbind(cpu->events, cpu->port[s]);
    }
    ops->events_close(cpu->events);
    if (cpu->wake_fd >= 0)
        close(cpu->wake_fd);
}

int ioreq_start(struct ioreq_dispatch *dispatch, struct guest_system *gsp, unsigned n_cpus)
{
    struct gasp *gasp = dispatch->gasp;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int saved;

    dispatch->ticks_a_ns = measure_ticks_a_ns();
    dispatch->max_pollers = cpus > 1 ? (unsigned)cpus - 1 : 0;
    /* Also without a server yet: one may come. */
    for (unsigned s = 0; s < gasp->trap.n_servers; s++) {
        if (gasp->hv->ops->ioreq_page_map(gasp->hv, gasp->trap.server[s], &dispatch->page[s]) < 0)
            goto fail;
        dispatch->n_servers = s + 1;
    }
    /* Xen writes the ports into a page when its server is enabled, so: mapped, enabled, bound. A
     * request that comes before its port is bound waits in its slot, and binding raises the event.
     */
    if (open_cpus(dispatch, gsp, n_cpus) < 0 || trap_enable(gasp, true) < 0 ||
        bind_servers(dispatch) < 0 || start_threads(dispatch) < 0)
        goto fail;
    return 0;
fail:
    saved = errno;
    ioreq_stop(dispatch);
    errno = saved;
    return -1;
}

static void wake(struct ioreq_dispatch *dispatch)
{
    for (unsigned i = 0; i < dispatch->n_cpus; i++)
        eventfd_write(dispatch->cpu[i].wake_fd, 1);
}

int ioreq_add_server(struct ioreq_dispatch *dispatch)
{
    const struct hv_ops *ops = dispatch->gasp->hv->ops;
    struct hv *hv = dispatch->gasp->hv;
    unsigned s = dispatch->n_servers, id = dispatch->gasp->trap.server[s];
    int saved;

    if (ops->ioreq_page_map(hv, id, &dispatch->page[s]) < 0)
        return -1;
    if (ops->server_enable(hv, id, true) == 0) {
        if (bind_server(dispatch, s) == 0) {
            dispatch->n_servers = s + 1;
            wake(dispatch);
            return 0;
        }
        saved = errno;
        ops->server_enable(hv, id, false);
        errno = saved;
    }
    saved = errno;
    for (unsigned i = 0; i < dispatch->n_cpus; i++) {
        if (dispatch->cpu[i].port[s] >= 0)
            ops->events_unbind(dispatch->cpu[i].events, dispatch->cpu[i].port[s]);
        dispatch->cpu[i].port[s] = -1;
    }
    ops->ioreq_page_unmap(hv, dispatch->page[s]);
    errno = saved;
    return -1;
}

void ioreq_stop(struct ioreq_dispatch *dispatch)
{
    if (!dispatch->gasp)
        return;
    if (dispatch->n_servers > 0)
        trap_enable(dispatch->gasp, false);
    dispatch->stop = true;
    for (unsigned i = 0; i < dispatch->n_cpus; i++) {
        struct ioreq_cpu *cpu = &dispatch->cpu[i];

        if (cpu->started) {
            eventfd_write(cpu->wake_fd, 1);
            pthread_join(cpu->thread, NULL);
        } else if (cpu->events) {
            serve(cpu); /* bound, but its thread never ran */
        }
    }
    for (unsigned i = 0; i < dispatch->n_cpus; i++)
        unbind_cpu(dispatch, &dispatch->cpu[i]);
    for (unsigned s = 0; s < dispatch->n_servers; s++)
        dispatch->gasp->hv->ops->ioreq_page_unmap(dispatch->gasp->hv, dispatch->page[s]);
    free(dispatch->cpu);
    dispatch->cpu = NULL;
    dispatch->n_cpus = 0;
    dispatch->n_servers = 0;
}
