/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the simulator share. */
#include "tests/unit/sim_fixture.h"

#include <poll.h>

struct hv *hv;
const struct hv_ops *ops;

void open_guest(struct hv_sim_options o)
{
    o.vcpus = o.vcpus ? o.vcpus : 1;
    ck_assert_int_eq(hv_sim_open(&hv, &o), 0);
    ops = hv->ops;
}

void setup_new(void)
{
    open_guest((struct hv_sim_options){.ram_bytes = 16 * MIB});
}

void setup_running(void)
{
    open_guest((struct hv_sim_options){.vcpus = VCPUS, .ram_bytes = 16 * MIB, .running = true});
}

void teardown(void)
{
    ops->close(hv);
}

struct hv_sim_usage usage(void)
{
    struct hv_sim_usage u;

    hv_sim_usage(hv, &u);
    return u;
}

struct hv_info info(void)
{
    struct hv_info i;

    ck_assert_int_eq(ops->info(hv, &i), 0);
    return i;
}

bool is_ram(uint64_t gfn)
{
    char c;

    return hv_sim_ram(hv, false, gfn << HV_PAGE_SHIFT, &c, 1) == 0;
}

size_t populate(unsigned order, uint64_t gfn)
{
    return ops->populate(hv, order, 1, &gfn);
}

size_t depopulate(unsigned order, uint64_t gfn)
{
    return ops->depopulate(hv, order, 1, &gfn);
}

bool readable(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

void device_open(struct device *d)
{
    *d = (struct device){.ev = ops->events_open(hv)};
    ck_assert_ptr_nonnull(d->ev);
    ck_assert_int_eq(ops->server_create(hv, &d->id), 0);
    ck_assert_int_eq(ops->ioreq_page_map(hv, d->id, &d->page), 0);
    ck_assert_int_eq(ops->server_enable(hv, d->id, true), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        d->port[i] = ops->events_bind(d->ev, d->page->slot[i].vp_eport);
        ck_assert_int_gt(d->port[i], 0);
    }
}

void device_close(struct device *d)
{
    ck_assert_int_eq(ops->server_destroy(hv, d->id), 0);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, d->page), 0);
    ops->events_close(d->ev);
}

void claim(struct device *d, enum hv_range_type type, uint64_t first, uint64_t last)
{
    ck_assert_int_eq(ops->server_map_range(hv, d->id, type, first, last), 0);
}

void set_state(struct ioreq_slot *slot, unsigned state)
{
    uint8_t flags = atomic_load(&slot->control) & (uint8_t)~IOREQ_CONTROL_STATE;

    atomic_store(&slot->control, (uint8_t)(flags | state));
}

unsigned state_of(struct ioreq_slot *slot)
{
    return atomic_load(&slot->control) & IOREQ_CONTROL_STATE;
}

uint64_t value_at(uint64_t addr)
{
    return addr * 0x9e3779b97f4a7c15ULL;
}

bool device_serve(struct device *d, unsigned vcpu)
{
    struct ioreq_slot *slot = &d->page->slot[vcpu];

    if (state_of(slot) != IOREQ_STATE_READY)
        return false;
    set_state(slot, IOREQ_STATE_INPROCESS);
    if (slot->type == IOREQ_INVALIDATE)
        atomic_fetch_add(&d->invalidates, 1);
    else if (atomic_load(&slot->control) & IOREQ_CONTROL_READ)
        slot->data = value_at(slot->addr);
    atomic_fetch_add(&d->served, 1);
    set_state(slot, IOREQ_STATE_RESP_READY);
    ck_assert_int_eq(ops->events_notify(d->ev, d->port[vcpu]), 0);
    return true;
}

static void *device_loop(void *arg)
{
    struct device *d = arg;
    struct pollfd p = {.fd = ops->events_fd(d->ev), .events = POLLIN};

    while (!atomic_load(&d->stop)) {
        int port;

        for (unsigned i = 0; d->polls && i < VCPUS; i++)
            device_serve(d, i);
        if (d->polls || poll(&p, 1, 10) < 1)
            continue;
        while ((port = ops->events_pending(d->ev)) >= 0) {
            ck_assert_int_eq(ops->events_unmask(d->ev, port), 0);
            device_serve(d, port == d->port[1]);
        }
    }
    return NULL;
}

void device_start(struct device *d)
{
    ck_assert_int_eq(pthread_create(&d->thread, NULL, device_loop, d), 0);
}

void device_stop(struct device *d)
{
    atomic_store(&d->stop, true);
    pthread_join(d->thread, NULL);
}

static void *call_main(void *arg)
{
    struct call *c = arg;

    errno = 0;
    c->rc = hv_sim_request(hv, c->vcpu, &c->req, c->timeout_ms);
    c->error = errno;
    atomic_store(&c->done, true);
    return NULL;
}

struct ioreq_slot read_of(enum ioreq_type type, uint64_t addr, unsigned size)
{
    return (struct ioreq_slot){.addr = addr,
                               .size = size,
                               .count = 1,
                               .type = (uint8_t)type,
                               .control = IOREQ_CONTROL_READ};
}

void call_start(struct call *c, unsigned vcpu, struct ioreq_slot req)
{
    *c = (struct call){.vcpu = vcpu, .req = req, .timeout_ms = LONG_MS};
    ck_assert_int_eq(pthread_create(&c->thread, NULL, call_main, c), 0);
}

void call_join(struct call *c)
{
    pthread_join(c->thread, NULL);
}

void nap(unsigned ms)
{
    poll(NULL, 0, (int)ms);
}

void await(struct device *d, unsigned vcpu)
{
    while (state_of(&d->page->slot[vcpu]) != IOREQ_STATE_READY)
        nap(1);
}
