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
