/* SPDX-License-Identifier: BSD-2-Clause */
/* Event channels. */
#include "tests/conformance/device.h"

static bool one_spurious_event(struct guest *g, const struct fixture *f)
{
    struct device s;
    int port;

    (void)f;
    CHECK(device_start(&s, g));
    CHECK(!comes_readable(&s, 0));
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    port = OPS(g)->events_bind(s.ev, s.page->slot[0].vp_eport);
    CHECK(port > 0);
    CHECK(comes_readable(&s, SOON));
    CHECK_EQUAL(OPS(g)->events_pending(s.ev), port);
    CHECK_EQUAL(s.page->slot[0].control, 0); /* nothing asked */
    CHECK(!comes_readable(&s, NOT_NOW));
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    CHECK_OK(OPS(g)->events_unmask(s.ev, port));
    CHECK(!comes_readable(&s, NOT_NOW));
    CHECK_OK(OPS(g)->events_notify(s.ev, port));
    CHECK_OK(OPS(g)->events_unbind(s.ev, port));
    return device_close(&s);
}

static bool each_vcpu_has_its_port(struct guest *g, const struct fixture *f)
{
    int port[2], got[2];
    struct device s;

    (void)f;
    CHECK(device_start(&s, g));
    for (unsigned i = 0; i < 2; i++) {
        port[i] = OPS(g)->events_bind(s.ev, s.page->slot[i].vp_eport);
        CHECK(port[i] > 0);
    }
    CHECK(port[0] != port[1]);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(comes_readable(&s, SOON));
        got[i] = OPS(g)->events_pending(s.ev);
        CHECK(got[i] == port[0] || got[i] == port[1]);
    }
    CHECK(got[0] != got[1]);
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    return device_close(&s);
}

static bool bound_once_at_a_time(struct guest *g, const struct fixture *f)
{
    struct hv_events *other;
    struct device s;
    uint32_t remote;
    int port;

    (void)f;
    CHECK(device_start(&s, g));
    remote = s.page->slot[0].vp_eport;
    other = OPS(g)->events_open(g->hv);
    CHECK(other != NULL);
    port = OPS(g)->events_bind(s.ev, remote);
    CHECK(port > 0);
    CHECK_FAILS(OPS(g)->events_bind(s.ev, remote), EINVAL);
    CHECK_FAILS(OPS(g)->events_bind(other, remote), EINVAL);
    CHECK_OK(OPS(g)->events_unbind(s.ev, port));
    port = OPS(g)->events_bind(other, remote);
    CHECK(port > 0);
    CHECK(comes_readable(&(struct device){.g = g, .ev = other}, SOON));
    CHECK_EQUAL(OPS(g)->events_pending(other), port);
    OPS(g)->events_close(other); /* unbinds */
    port = OPS(g)->events_bind(s.ev, remote);
    CHECK(port > 0);
    return device_close(&s);
}

static bool bad_ports(struct guest *g, const struct fixture *f)
{
    struct device s;

    (void)f;
    CHECK(device_start(&s, g));
    CHECK_FAILS(OPS(g)->events_bind(s.ev, 0), EINVAL);
    CHECK_FAILS(OPS(g)->events_bind(s.ev, 1000), EINVAL);
    CHECK_FAILS(OPS(g)->events_bind(s.ev, 0x7fffffff), EINVAL);
    CHECK_FAILS(OPS(g)->events_unbind(s.ev, 1000), ENOTCONN);
    CHECK_FAILS(OPS(g)->events_notify(s.ev, 1000), ENOTCONN);
    CHECK_OK(OPS(g)->events_unmask(s.ev, 1000)); /* Linux passes over it */
    OPS(g)->events_close(NULL);
    return device_close(&s);
}

static bool ports_of_a_dead_server(struct guest *g, const struct fixture *f)
{
    struct device s;
    uint32_t remote;

    (void)f;
    CHECK(device_open(&s, g));
    remote = s.page->slot[0].vp_eport;
    CHECK_OK(OPS(g)->server_destroy(g->hv, s.server));
    CHECK(!comes_readable(&s, NOT_NOW)); /* nobody tells us */
    CHECK_OK(OPS(g)->events_notify(s.ev, s.port[0]));
    CHECK_OK(OPS(g)->events_unbind(s.ev, s.port[0]));
    CHECK_FAILS(OPS(g)->events_bind(s.ev, remote), EINVAL);
    OPS(g)->events_close(s.ev);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, s.page));
    return true;
}

/* An event that was delivered, but not yet taken, is still there after unbinding. */
static bool stale_event_after_unbind(struct guest *g, const struct fixture *f)
{
    struct device s;
    int port;

    (void)f;
    CHECK(device_start(&s, g));
    port = OPS(g)->events_bind(s.ev, s.page->slot[0].vp_eport);
    CHECK(port > 0);
    CHECK(comes_readable(&s, SOON));
    CHECK_OK(OPS(g)->events_unbind(s.ev, port));
    CHECK(comes_readable(&s, 0));
    CHECK_EQUAL(OPS(g)->events_pending(s.ev), port);
    CHECK_OK(OPS(g)->events_unmask(s.ev, port));
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    return device_close(&s);
}

const struct conformance_case event_cases[] = {
    {"one spurious event follows binding", one_spurious_event, {0}},
    {"each vCPU has its port", each_vcpu_has_its_port, {0}},
    {"a port is bound once at a time", bound_once_at_a_time, {0}},
    {"ports that are none", bad_ports, {0}},
    {"a server's end is no event", ports_of_a_dead_server, {0}},
    {"an event outlives its binding", stale_event_after_unbind, {0}},
    {NULL, NULL, {0}},
};
