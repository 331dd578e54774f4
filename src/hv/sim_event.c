/* SPDX-License-Identifier: BSD-2-Clause */
/* Event channels between the simulated guest's vCPUs and those who serve them. */
#include "hv/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- Xen's end ---- */

struct sim_port *hv_sim_port_open(struct sim *sim, unsigned vcpu)
{
    unsigned i;

    for (i = 1; i < SIM_PORTS; i++) {
        if (sim->port[i].in_use || sim->port[i].reserved)
            continue;
        sim->port[i].in_use = true;
        sim->port[i].vcpu = vcpu;
        return &sim->port[i];
    }
    errno = ENOSPC;
    return NULL;
}

void hv_sim_port_close(struct sim_port *port)
{
    struct sim_binding *b = port->binding;

    if (b) {
        pthread_mutex_lock(&b->ev->lock);
        b->port = NULL;
        pthread_mutex_unlock(&b->ev->lock);
    }
    port->binding = NULL;
    port->in_use = false;
}

/* Under the handle's lock. The port is masked from now until events_unmask, also while it is
 * queued. */
static void deliver(struct sim_binding *b)
{
    uint64_t one = 1;

    if (b->masked) {
        b->again = true;
        return;
    }
    b->masked = true;
    b->in_queue = true;
    if (TAILQ_EMPTY(&b->ev->queue) && write(b->ev->fd, &one, sizeof(one)) < 0)
        return; /* cannot be: the counter was 0 */
    TAILQ_INSERT_TAIL(&b->ev->queue, b, queued);
}

void hv_sim_port_send(struct sim_port *port)
{
    struct sim_binding *b = port->binding;

    if (!b)
        return; /* nobody listens yet; binding makes an event */
    pthread_mutex_lock(&b->ev->lock);
    deliver(b);
    pthread_mutex_unlock(&b->ev->lock);
}

void hv_sim_lose_next_event(struct hv *hv)
{
    atomic_store(&sim_of(hv)->lose_event, true);
}

void hv_sim_spurious_event(struct hv *hv, unsigned vcpu)
{
    struct sim *sim = sim_of(hv);
    unsigned i;

    pthread_mutex_lock(&sim->lock);
    for (i = 0; i < HV_MAX_SERVERS && vcpu < sim->max_vcpus; i++)
        if (sim->server[i])
            hv_sim_port_send(sim->server[i]->port[vcpu]);
    pthread_mutex_unlock(&sim->lock);
}

/* ---- our end ---- */

struct hv_events *hv_sim_events_open(struct hv *hv)
{
    struct sim *sim = sim_of(hv);
    struct hv_events *ev;

    if (hv_sim_enter(sim) < 0)
        return NULL;
    ev = calloc(1, sizeof(*ev));
    if (!ev)
        return NULL;
    ev->sim = sim;
    ev->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ev->fd < 0) {
        free(ev);
        return NULL;
    }
    pthread_mutex_init(&ev->lock, NULL);
    TAILQ_INIT(&ev->bound);
    TAILQ_INIT(&ev->queue);
    return ev;
}

int hv_sim_events_fd(struct hv_events *ev)
{
    return ev->fd;
}

/* Under the handle's lock. */
static struct sim_binding *find(struct hv_events *ev, int port)
{
    struct sim_binding *b;

    TAILQ_FOREACH (b, &ev->bound, link)
        if (b->local == port)
            return b;
    return NULL;
}

/* Under the handle's lock: out of the queue, and the fd falls quiet with the last. */
static void dequeue(struct sim_binding *b)
{
    uint64_t n;

    if (!b->in_queue)
        return;
    b->in_queue = false;
    TAILQ_REMOVE(&b->ev->queue, b, queued);
    if (TAILQ_EMPTY(&b->ev->queue) && read(b->ev->fd, &n, sizeof(n)) < 0)
        return; /* cannot be: it was readable */
}

/* Under both locks. */
static void unbind(struct sim_binding *b)
{
    struct sim *sim = b->ev->sim;

    if (b->port)
        b->port->binding = NULL;
    TAILQ_REMOVE(&b->ev->bound, b, link);
    sim->local[b->local] = NULL;
    sim->bound--;
    b->unbound = true;
    if (!b->in_queue)
        free(b);
}

void hv_sim_events_close(struct hv_events *ev)
{
    struct sim_binding *b;
    struct sim *sim;

    if (!ev)
        return;
    sim = ev->sim;
    pthread_mutex_lock(&sim->lock);
    pthread_mutex_lock(&ev->lock);
    while (!TAILQ_EMPTY(&ev->bound))
        unbind(TAILQ_FIRST(&ev->bound));
    while ((b = TAILQ_FIRST(&ev->queue))) {
        dequeue(b);
        free(b);
    }
    pthread_mutex_unlock(&ev->lock);
    pthread_mutex_unlock(&sim->lock);
    pthread_mutex_destroy(&ev->lock);
    close(ev->fd);
    free(ev);
}

/* Under the lock. Xen sends an event with every binding, as it may have missed some. */
static int bind_locked(struct sim *sim, struct hv_events *ev, uint32_t remote_port)
{
    struct sim_port *port = remote_port < SIM_PORTS ? &sim->port[remote_port] : NULL;
    struct sim_binding *b;
    int local;

    if (hv_sim_gone(sim)) {
        errno = ESRCH;
        return -1;
    }
    if (!port || !port->in_use || port->binding) {
        errno = EINVAL;
        return -1;
    }
    for (local = 1; local < SIM_LOCAL_PORTS && sim->local[local]; local++)
        ;
    if (local == SIM_LOCAL_PORTS) {
        errno = ENOSPC;
        return -1;
    }
    b = calloc(1, sizeof(*b));
    if (!b)
        return -1;
    b->ev = ev;
    b->port = port;
    b->local = local;
    port->binding = b;
    sim->local[local] = b;
    sim->bound++;
    pthread_mutex_lock(&ev->lock);
    TAILQ_INSERT_TAIL(&ev->bound, b, link);
    deliver(b);
    pthread_mutex_unlock(&ev->lock);
    return local;
}

int hv_sim_events_bind(struct hv_events *ev, uint32_t remote_port)
{
    int rc;

    if (hv_sim_enter(ev->sim) < 0)
        return -1;
    pthread_mutex_lock(&ev->sim->lock);
    rc = bind_locked(ev->sim, ev, remote_port);
    pthread_mutex_unlock(&ev->sim->lock);
    return rc;
}

int hv_sim_events_unbind(struct hv_events *ev, int port)
{
    struct sim_binding *b;

    pthread_mutex_lock(&ev->sim->lock);
    pthread_mutex_lock(&ev->lock);
    b = find(ev, port);
    if (b)
        unbind(b);
    pthread_mutex_unlock(&ev->lock);
    pthread_mutex_unlock(&ev->sim->lock);
    if (b)
        return 0;
    errno = ENOTCONN;
    return -1;
}

int hv_sim_events_pending(struct hv_events *ev)
{
    struct sim_binding *b;
    int port = -1;

    if (hv_sim_enter(ev->sim) < 0)
        return -1;
    pthread_mutex_lock(&ev->lock);
    b = TAILQ_FIRST(&ev->queue);
    if (b) {
        port = b->local;
        dequeue(b);
        if (b->unbound)
            free(b);
    }
    pthread_mutex_unlock(&ev->lock);
    if (port < 0)
        errno = EAGAIN;
    return port;
}

/* Linux ignores ports that it doesn't know here. */
int hv_sim_events_unmask(struct hv_events *ev, int port)
{
    struct sim_binding *b;

    if (hv_sim_enter(ev->sim) < 0)
        return -1;
    pthread_mutex_lock(&ev->lock);
    b = find(ev, port);
    if (b && !b->in_queue) {
        b->masked = false;
        if (b->again) {
            b->again = false;
            deliver(b);
        }
    }
    pthread_mutex_unlock(&ev->lock);
    return 0;
}

/* A port whose other end is gone takes it too: Xen drops the event. */
int hv_sim_events_notify(struct hv_events *ev, int port)
{
    struct sim_binding *b;

    if (hv_sim_enter(ev->sim) < 0)
        return -1;
    pthread_mutex_lock(&ev->lock);
    b = find(ev, port);
    if (b && b->port) {
        atomic_fetch_add(&b->port->notifies, 1);
        atomic_fetch_add(&ev->sim->vcpu[b->port->vcpu].notifies, 1);
        hv_sim_vcpu_wake(&ev->sim->vcpu[b->port->vcpu]);
    }
    pthread_mutex_unlock(&ev->lock);
    if (b)
        return 0;
    errno = ENOTCONN;
    return -1;
}
