/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/device.h"

#include <poll.h>

bool comes_readable(struct device *d, int ms)
{
    struct pollfd fd = {.fd = ops(d)->events_fd(d->ev), .events = POLLIN};

    return poll(&fd, 1, ms) == 1;
}

bool device_start(struct device *d, struct guest *g)
{
    d->g = g;
    CHECK_OK(ops(d)->server_create(g->hv, &d->server));
    CHECK_OK(ops(d)->ioreq_page_map(g->hv, d->server, &d->page));
    CHECK_OK(ops(d)->server_enable(g->hv, d->server, true));
    d->ev = ops(d)->events_open(g->hv);
    CHECK(d->ev != NULL);
    return true;
}

bool device_open(struct device *d, struct guest *g)
{
    CHECK(device_start(d, g));
    for (unsigned i = 0; i < DRIVEN_VCPUS; i++) {
        d->port[i] = ops(d)->events_bind(d->ev, d->page->slot[i].vp_eport);
        CHECK(d->port[i] > 0);
        CHECK(comes_readable(d, SOON));
        CHECK_EQUAL(ops(d)->events_pending(d->ev), d->port[i]);
        CHECK_OK(ops(d)->events_unmask(d->ev, d->port[i]));
    }
    return true;
}

bool device_close(struct device *d)
{
    CHECK_OK(ops(d)->server_enable(d->g->hv, d->server, false));
    ops(d)->events_close(d->ev);
    CHECK_OK(ops(d)->ioreq_page_unmap(d->g->hv, d->page));
    CHECK_OK(ops(d)->server_destroy(d->g->hv, d->server));
    return true;
}

bool claim(struct device *d, enum hv_range_type type, uint64_t first, uint64_t last)
{
    CHECK_OK(ops(d)->server_map_range(d->g->hv, d->server, type, first, last));
    return true;
}

unsigned state(struct device *d, unsigned vcpu)
{
    return d->page->slot[vcpu].control & IOREQ_CONTROL_STATE;
}

bool asked(struct device *d, unsigned vcpu)
{
    while (comes_readable(d, SOON)) {
        CHECK_OK(ops(d)->events_unmask(d->ev, ops(d)->events_pending(d->ev)));
        if (state(d, vcpu) == IOREQ_STATE_READY)
            return true;
    }
    return COMPLAIN("no request comes to server %u", d->server);
}

bool is_there(struct device *d, unsigned vcpu)
{
    for (unsigned ms = 0; ms < SOON; ms++) {
        if (state(d, vcpu) == IOREQ_STATE_READY)
            return true;
        poll(NULL, 0, 1);
    }
    return COMPLAIN("no request in the slot");
}

bool silent(struct device *d)
{
    return !comes_readable(d, NOT_NOW) && state(d, 0) == IOREQ_STATE_NONE &&
           state(d, 1) == IOREQ_STATE_NONE;
}

void set_state(struct device *d, unsigned vcpu, unsigned to)
{
    uint8_t flags = d->page->slot[vcpu].control & (uint8_t)~IOREQ_CONTROL_STATE;

    atomic_store(&d->page->slot[vcpu].control, flags | to);
}

bool answer(struct device *d, unsigned vcpu, uint64_t data)
{
    set_state(d, vcpu, IOREQ_STATE_INPROCESS);
    d->page->slot[vcpu].data = data;
    set_state(d, vcpu, IOREQ_STATE_RESP_READY);
    CHECK_OK(ops(d)->events_notify(d->ev, d->port[vcpu]));
    return true;
}

static bool matches_slot(const struct ioreq_slot *slot, unsigned type, uint64_t addr,
                         struct access a)
{
    CHECK_EQUAL(slot->type, type);
    CHECK_EQUAL(slot->addr, addr);
    CHECK_EQUAL(slot->size, a.size);
    CHECK_EQUAL(slot->count, 1);
    CHECK_EQUAL(slot->control & ~IOREQ_CONTROL_DF,
                IOREQ_STATE_READY | (a.write ? 0 : IOREQ_CONTROL_READ));
    if (a.write)
        CHECK_EQUAL(slot->data, a.value);
    return true;
}

bool matches(struct device *d, unsigned vcpu, struct access a)
{
    return matches_slot(&d->page->slot[vcpu], a.type == HV_RANGE_PORT ? IOREQ_PORT : IOREQ_MEMORY,
                        a.addr, a);
}

bool matches_config(struct device *d, unsigned vcpu, uint64_t addr, struct access a)
{
    return matches_slot(&d->page->slot[vcpu], IOREQ_PCI_CONFIG, addr, a);
}

bool is_invalidate(struct device *d, unsigned vcpu)
{
    const struct ioreq_slot *slot = &d->page->slot[vcpu];

    CHECK_EQUAL(slot->type, IOREQ_INVALIDATE);
    CHECK_EQUAL(slot->addr, 0);
    CHECK_EQUAL(slot->count, 0);
    CHECK_EQUAL(slot->size, 4);
    CHECK_EQUAL(slot->data, UINT64_MAX);
    CHECK_EQUAL(slot->control, IOREQ_STATE_READY);
    return true;
}

bool served_with(struct device *d, const struct fixture *f, struct access a, uint64_t data,
                 uint32_t *value)
{
    CHECK_OK(f->start(d->g, 0, &a));
    if (!asked(d, 0) || !matches(d, 0, a) || !answer(d, 0, data))
        return false;
    CHECK_OK(f->wait(d->g, 0, SOON, value));
    CHECK_EQUAL(state(d, 0), IOREQ_STATE_NONE); /* Xen's doing */
    return true;
}

bool served_by(struct device *d, const struct fixture *f, struct access a)
{
    uint32_t value = 0;

    return served_with(d, f, a, 0x12345678, &value);
}

bool unclaimed(struct guest *g, const struct fixture *f, struct access a)
{
    uint32_t value = 0;

    CHECK_OK(f->start(g, 0, &a));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    if (!a.write)
        CHECK_EQUAL(value, a.size == 4 ? UINT32_MAX : (1u << 8 * a.size) - 1);
    return true;
}

static bool answer_any(struct device *d, struct access a, uint64_t data, struct seen *seen)
{
    if (d->page->slot[0].type == IOREQ_INVALIDATE) {
        seen->invalidates++;
        return is_invalidate(d, 0) && answer(d, 0, 0);
    }
    seen->requests++;
    return matches(d, 0, a) && answer(d, 0, data);
}

bool watch(struct device *d, const struct fixture *f, struct access a, uint64_t data,
           struct seen *seen)
{
    *seen = (struct seen){0};
    CHECK_OK(f->start(d->g, 0, &a));
    for (unsigned ms = 0; ms < SOON; ms++) {
        if (state(d, 0) == IOREQ_STATE_READY && !answer_any(d, a, data, seen))
            return false;
        if (f->wait(d->g, 0, 1, &seen->value) == 0)
            return true;
        CHECK(errno == ETIMEDOUT);
    }
    return COMPLAIN("the access doesn't end");
}
