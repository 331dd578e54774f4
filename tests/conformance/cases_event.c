/* SPDX-License-Identifier: BSD-2-Clause */
/* Event channels. */
#include "tests/conformance/conformance.h"

#include <poll.h>

struct served {
    unsigned server;
    struct ioreq_page *page;
    struct hv_events *ev;
};

static bool serve(struct guest *g, struct served *s)
{
    CHECK_OK(OPS(g)->server_create(g->hv, &s->server));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, s->server, &s->page));
    CHECK_OK(OPS(g)->server_enable(g->hv, s->server, true));
    s->ev = OPS(g)->events_open(g->hv);
    CHECK(s->ev != NULL);
    return true;
}

static bool unserve(struct guest *g, struct served *s)
{
    OPS(g)->events_close(s->ev);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, s->page));
    CHECK_OK(OPS(g)->server_destroy(g->hv, s->server));
    return true;
}

static bool comes_readable(struct guest *g, struct hv_events *ev, int ms)
{
    struct pollfd fd = {.fd = OPS(g)->events_fd(ev), .events = POLLIN};

    return poll(&fd, 1, ms) == 1;
}

enum { SOON = 5000, NOT_NOW = 50 }; /* ms */

static bool one_spurious_event(struct guest *g, const struct fixture *f)
{
    struct served s;
    int port;

    (void)f;
    CHECK(serve(g, &s));
    CHECK(!comes_readable(g, s.ev, 0));
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    port = OPS(g)->events_bind(s.ev, s.page->slot[0].vp_eport);
    CHECK(port > 0);
    CHECK(comes_readable(g, s.ev, SOON));
    CHECK_EQUAL(OPS(g)->events_pending(s.ev), port);
    CHECK_EQUAL(s.page->slot[0].control, 0); /* nothing asked */
    CHECK(!comes_readable(g, s.ev, NOT_NOW));
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    CHECK_OK(OPS(g)->events_unmask(s.ev, port));
    CHECK(!comes_readable(g, s.ev, NOT_NOW));
    CHECK_OK(OPS(g)->events_notify(s.ev, port));
    CHECK_OK(OPS(g)->events_unbind(s.ev, port));
    return unserve(g, &s);
}

static bool each_vcpu_has_its_port(struct guest *g, const struct fixture *f)
{
    int port[2], got[2];
    struct served s;

    (void)f;
    CHECK(serve(g, &s));
    for (unsigned i = 0; i < 2; i++) {
        port[i] = OPS(g)->events_bind(s.ev, s.page->slot[i].vp_eport);
        CHECK(port[i] > 0);
    }
    CHECK(port[0] != port[1]);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(comes_readable(g, s.ev, SOON));
        got[i] = OPS(g)->events_pending(s.ev);
        CHECK(got[i] == port[0] || got[i] == port[1]);
    }
    CHECK(got[0] != got[1]);
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    return unserve(g, &s);
}

static bool bound_once_at_a_time(struct guest *g, const struct fixture *f)
{
    struct hv_events *other;
    struct served s;
    uint32_t remote;
    int port;

    (void)f;
    CHECK(serve(g, &s));
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
    CHECK(comes_readable(g, other, SOON));
    CHECK_EQUAL(OPS(g)->events_pending(other), port);
    OPS(g)->events_close(other); /* unbinds */
    port = OPS(g)->events_bind(s.ev, remote);
    CHECK(port > 0);
    return unserve(g, &s);
}

static bool bad_ports(struct guest *g, const struct fixture *f)
{
    struct served s;

    (void)f;
    CHECK(serve(g, &s));
    CHECK_FAILS(OPS(g)->events_bind(s.ev, 0), EINVAL);
    CHECK_FAILS(OPS(g)->events_bind(s.ev, 1000), EINVAL);
    CHECK_FAILS(OPS(g)->events_bind(s.ev, 0x7fffffff), EINVAL);
    CHECK_FAILS(OPS(g)->events_unbind(s.ev, 1000), ENOTCONN);
    CHECK_FAILS(OPS(g)->events_notify(s.ev, 1000), ENOTCONN);
    CHECK_OK(OPS(g)->events_unmask(s.ev, 1000)); /* Linux passes over it */
    OPS(g)->events_close(NULL);
    return unserve(g, &s);
}

static bool ports_of_a_dead_server(struct guest *g, const struct fixture *f)
{
    struct hv_events *ev;
    struct ioreq_page *page;
    uint32_t remote;
    unsigned id;
    int port;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    ev = OPS(g)->events_open(g->hv);
    CHECK(ev != NULL);
    remote = page->slot[0].vp_eport;
    port = OPS(g)->events_bind(ev, remote);
    CHECK(port > 0);
    CHECK(comes_readable(g, ev, SOON));
    CHECK_EQUAL(OPS(g)->events_pending(ev), port);
    CHECK_OK(OPS(g)->events_unmask(ev, port));
    CHECK_OK(OPS(g)->server_destroy(g->hv, id));
    CHECK(!comes_readable(g, ev, NOT_NOW)); /* nobody tells us */
    CHECK_OK(OPS(g)->events_notify(ev, port));
    CHECK_OK(OPS(g)->events_unbind(ev, port));
    CHECK_FAILS(OPS(g)->events_bind(ev, remote), EINVAL);
    OPS(g)->events_close(ev);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    return true;
}

/* An event that was delivered, but not yet taken, is still there after unbinding. */
static bool stale_event_after_unbind(struct guest *g, const struct fixture *f)
{
    struct served s;
    int port;

    (void)f;
    CHECK(serve(g, &s));
    port = OPS(g)->events_bind(s.ev, s.page->slot[0].vp_eport);
    CHECK(port > 0);
    CHECK(comes_readable(g, s.ev, SOON));
    CHECK_OK(OPS(g)->events_unbind(s.ev, port));
    CHECK(comes_readable(g, s.ev, 0));
    CHECK_EQUAL(OPS(g)->events_pending(s.ev), port);
    CHECK_OK(OPS(g)->events_unmask(s.ev, port));
    CHECK_FAILS(OPS(g)->events_pending(s.ev), EAGAIN);
    return unserve(g, &s);
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
