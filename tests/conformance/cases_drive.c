/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's accesses, as they reach its servers. */
#include "tests/conformance/device.h"

enum { PORT = 0x600, BASE = 0xd0000000u };

static bool reads_and_writes(struct guest *g, const struct fixture *f)
{
    static const enum hv_range_type type[2] = {HV_RANGE_PORT, HV_RANGE_MEMORY};
    static const uint32_t addr[2] = {PORT, BASE};
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    for (unsigned i = 0; i < 2; i++) {
        CHECK(claim(&d, type[i], addr[i], addr[i] + 7));
        for (unsigned size = 1; size <= 4; size *= 2) {
            CHECK(served_with(&d, f, get(type[i], addr[i] + 1, size), 0xa1b2c3d4e5f6a7b8, &value));
            CHECK_EQUAL(value, 0xe5f6a7b8 & (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1));
            CHECK(served_by(&d, f, put(type[i], addr[i] + 3, size, 0x81 + size)));
        }
    }
    return device_close(&d);
}

static bool nobody_there(struct guest *g, const struct fixture *f)
{
    struct device d;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, HV_RANGE_PORT, PORT, PORT + 3));
    CHECK(claim(&d, HV_RANGE_MEMORY, BASE, BASE + 3));
    for (unsigned size = 1; size <= 4; size *= 2) {
        CHECK(unclaimed(g, f, get(HV_RANGE_PORT, PORT + 4, size)));
        CHECK(unclaimed(g, f, put(HV_RANGE_PORT, PORT - size, size, 1)));
        CHECK(unclaimed(g, f, get(HV_RANGE_MEMORY, BASE + 4, size)));
        CHECK(unclaimed(g, f, put(HV_RANGE_MEMORY, BASE - size, size, 1)));
    }
    /* Ports and memory are apart. */
    CHECK(unclaimed(g, f, get(HV_RANGE_MEMORY, 0x100000 + PORT, 1)));
    CHECK(silent(&d));
    CHECK_OK(ops(&d)->server_unmap_range(g->hv, d.server, HV_RANGE_PORT, PORT, PORT));
    CHECK(unclaimed(g, f, get(HV_RANGE_PORT, PORT, 1)));
    CHECK(served_by(&d, f, get(HV_RANGE_PORT, PORT + 1, 1)));
    return device_close(&d);
}

static bool whole_or_nothing(struct guest *g, const struct fixture *f)
{
    struct device low, high;

    CHECK(device_open(&low, g));
    CHECK(device_open(&high, g));
    for (unsigned i = 0; i < 2; i++) {
        enum hv_range_type type = i ? HV_RANGE_MEMORY : HV_RANGE_PORT;
        uint32_t at = i ? BASE + 0x100 : PORT; /* not at a page border */

        CHECK(claim(&low, type, at, at + 1));
        CHECK(unclaimed(g, f, get(type, at, 4)));
        CHECK(unclaimed(g, f, get(type, at + 1, 2)));
        CHECK(unclaimed(g, f, put(type, at - 1, 2, 5)));
        CHECK(claim(&high, type, at + 2, at + 3));
        CHECK(unclaimed(g, f, get(type, at, 4))); /* two halves of it are no whole */
        CHECK(served_by(&high, f, get(type, at + 2, 2)));
        CHECK(claim(&low, type, at + 2, at + 3));
        CHECK(served_by(&low, f, get(type, at, 4))); /* two ranges side by side are one */
        CHECK(served_by(&high, f, get(type, at + 2, 2)));
    }
    CHECK(silent(&low));
    return device_close(&low) && device_close(&high);
}

static bool highest_server_wins(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 1);
    struct device d[2], again;

    CHECK(device_open(&d[0], g));
    CHECK(device_open(&d[1], g));
    CHECK(claim(&d[1], a.type, PORT, PORT));
    CHECK(served_by(&d[1], f, a));
    CHECK(claim(&d[0], a.type, PORT, PORT)); /* later, but lower */
    CHECK(served_by(&d[1], f, a));
    CHECK_OK(ops(&d[1])->server_enable(g->hv, d[1].server, false));
    CHECK(served_by(&d[0], f, a));
    CHECK_OK(ops(&d[1])->server_enable(g->hv, d[1].server, true));
    CHECK(served_by(&d[1], f, a));
    CHECK(device_close(&d[0]));
    CHECK(device_open(&again, g)); /* younger, but lower */
    CHECK_EQUAL(again.server, 0);
    CHECK(claim(&again, a.type, PORT, PORT));
    CHECK(served_by(&d[1], f, a));
    CHECK(device_close(&d[1]));
    CHECK(served_by(&again, f, a));
    CHECK(device_close(&again));
    return unclaimed(g, f, a);
}

static bool ram_comes_first(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_MEMORY, 0x10000, 4);
    struct device d;
    struct window w;
    uint32_t value;

    CHECK(window_open(&w, 1));
    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, 0x10000, 0x11fff));
    CHECK(served_by(&d, f, a));
    CHECK_EQUAL(populate_run(g, 0x10, 1), 1);
    CHECK(map_run(g, &w, 0, 0x10, 1));
    memset(w.at, 0x5a, HV_PAGE_SIZE);
    CHECK_OK(f->start(g, 0, &a));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 0x5a5a5a5a);
    CHECK(silent(&d));
    /* Half in RAM, half not: the processor makes two accesses of it. */
    a.addr = 0x10ffe;
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0) && matches(&d, 0, get(a.type, 0x11000, 2)) && answer(&d, 0, 0x1234));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 0x12345a5a);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    window_close(&w);
    return device_close(&d);
}

static bool polled_without_events(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    for (unsigned i = 0; i < 3; i++) { /* the events stay where they are */
        CHECK_OK(f->start(g, 0, &a));
        CHECK(is_there(&d, 0));
        CHECK(matches(&d, 0, a) && answer(&d, 0, i));
        CHECK_OK(f->wait(g, 0, SOON, &value));
        CHECK_EQUAL(value, i);
    }
    CHECK(comes_readable(&d, 0)); /* the first of them is taken, and masks; the others are one */
    CHECK_EQUAL(ops(&d)->events_pending(d.ev), d.port[0]);
    CHECK_FAILS(ops(&d)->events_pending(d.ev), EAGAIN);
    CHECK_OK(ops(&d)->events_unmask(d.ev, d.port[0]));
    CHECK(comes_readable(&d, SOON));
    CHECK_EQUAL(ops(&d)->events_pending(d.ev), d.port[0]);
    CHECK_OK(ops(&d)->events_unmask(d.ev, d.port[0]));
    CHECK(silent(&d));
    return device_close(&d);
}

static bool masked_until_unmasked(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(comes_readable(&d, SOON));
    CHECK_EQUAL(ops(&d)->events_pending(d.ev), d.port[0]);
    CHECK(matches(&d, 0, a) && answer(&d, 0, 7));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(is_there(&d, 0));
    CHECK(!comes_readable(&d, NOT_NOW));
    CHECK_OK(ops(&d)->events_unmask(d.ev, d.port[0]));
    CHECK(asked(&d, 0) && answer(&d, 0, 8));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 8);
    return device_close(&d);
}

static bool sleeps_until_notified(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0));
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK_OK(ops(&d)->events_notify(d.ev, d.port[0])); /* nothing to see: it sleeps on */
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    set_state(&d, 0, IOREQ_STATE_INPROCESS);
    CHECK_OK(ops(&d)->events_notify(d.ev, d.port[0]));
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    d.page->slot[0].data = 9;
    set_state(&d, 0, IOREQ_STATE_RESP_READY);
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK_OK(ops(&d)->events_notify(d.ev, d.port[0]));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 9);
    return device_close(&d);
}

static bool vcpus_are_apart(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4), b = put(HV_RANGE_PORT, PORT, 2, 77);
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0));
    CHECK_OK(f->start(g, 1, &b));
    CHECK(asked(&d, 1));
    CHECK(matches(&d, 0, a) && matches(&d, 1, b));
    CHECK(answer(&d, 1, 0));
    CHECK_OK(f->wait(g, 1, SOON, &value));
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK(answer(&d, 0, 5));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 5);
    return device_close(&d);
}

static bool paused_guest_asks_nothing(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct hv_info info;
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(!info.paused && !info.never_ran);
    CHECK_OK(OPS(g)->pause(g->hv));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.paused && !info.never_ran);
    CHECK_OK(f->start(g, 0, &a));
    CHECK(silent(&d));
    CHECK_OK(OPS(g)->unpause(g->hv));
    CHECK(asked(&d, 0) && answer(&d, 0, 6));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 6);
    return device_close(&d);
}

/* A range may go while a request to it is on its way: it is answered all the same. */
static bool range_goes_meanwhile(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0));
    CHECK_OK(ops(&d)->server_unmap_range(g->hv, d.server, a.type, PORT, PORT + 3));
    CHECK_OK(ops(&d)->server_enable(g->hv, d.server, false));
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK(matches(&d, 0, a) && answer(&d, 0, 4));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 4);
    CHECK(unclaimed(g, f, a));
    return device_close(&d);
}

/*
 * Nobody answers any more, and nobody tells the vCPU: it sleeps until something else wakes it. Then
 * the read gives 0, not ones.
 */
static bool server_goes_meanwhile(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d, other;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0));
    CHECK_OK(ops(&d)->server_destroy(g->hv, d.server));
    CHECK_OK(ops(&d)->events_notify(d.ev, d.port[0])); /* to no one */
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK(device_open(&other, g));
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK_OK(ops(&other)->events_notify(other.ev, other.port[1])); /* another vCPU's */
    CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
    CHECK_OK(ops(&other)->events_notify(other.ev, other.port[0]));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 0);
    ops(&d)->events_close(d.ev);
    CHECK_OK(ops(&d)->ioreq_page_unmap(g->hv, d.page));
    return device_close(&other);
}

/* A successor maps the page, binds the ports again and finds what was left. */
static bool successor_answers(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d, next;
    uint32_t value;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0));
    set_state(&d, 0, IOREQ_STATE_INPROCESS);
    next = d;
    ops(&d)->events_close(d.ev);
    CHECK_OK(ops(&d)->ioreq_page_unmap(g->hv, d.page));
    CHECK_OK(ops(&d)->ioreq_page_map(g->hv, next.server, &next.page));
    next.ev = ops(&d)->events_open(g->hv);
    CHECK(next.ev != NULL);
    for (unsigned i = 0; i < DRIVEN_VCPUS; i++) {
        next.port[i] = ops(&d)->events_bind(next.ev, next.page->slot[i].vp_eport);
        CHECK(next.port[i] > 0);
    }
    CHECK_EQUAL(state(&next, 0), IOREQ_STATE_INPROCESS);
    CHECK(answer(&next, 0, 3));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 3);
    return device_close(&next);
}

/*
 * When a page has gone every enabled server hears of it, before the vCPU's next request or just
 * after it; the vCPU goes on when all have answered.
 */
static bool invalidate_to_all(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    bool heard = false, served = false;
    struct device d[3];
    uint32_t value;

    for (unsigned i = 0; i < 3; i++)
        CHECK(device_open(&d[i], g));
    CHECK(claim(&d[0], a.type, PORT, PORT + 3));
    CHECK_OK(OPS(g)->server_enable(g->hv, d[1].server, false));
    CHECK_EQUAL(populate_run(g, 0x20, 1), 1);
    CHECK(served_by(&d[0], f, a)); /* nothing for a new page */
    CHECK_EQUAL(depopulate_run(g, 0x20, 1), 1);
    CHECK_OK(f->start(g, 0, &a));
    while (!heard || !served) { /* in either order */
        CHECK(asked(&d[0], 0));
        if (d[0].page->slot[0].type == IOREQ_INVALIDATE) {
            CHECK(!heard && is_invalidate(&d[0], 0) && asked(&d[2], 0) && is_invalidate(&d[2], 0));
            CHECK(answer(&d[0], 0, 0));
            CHECK_FAILS(f->wait(g, 0, NOT_NOW, &value), ETIMEDOUT);
            CHECK(answer(&d[2], 0, 0));
            heard = true;
        } else {
            CHECK(!served && matches(&d[0], 0, a) && answer(&d[0], 0, 2));
            served = true;
        }
    }
    CHECK_OK(f->wait(g, 0, SOON, &value));
    CHECK_EQUAL(value, 2);
    CHECK_EQUAL(state(&d[1], 0), IOREQ_STATE_NONE);
    return device_close(&d[0]) && device_close(&d[1]) && device_close(&d[2]);
}

/* Xen's way with those who break the rules. */
static bool crashed(struct device *d, struct guest *g, const struct fixture *f)
{
    struct hv_info info;
    uint32_t value;

    CHECK_FAILS(f->wait(g, 0, SOON, &value), EIO);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.shutdown);
    CHECK_EQUAL(info.shutdown_reason, HV_CRASH);
    return device_close(d);
}

static bool unknown_state(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    CHECK_OK(f->start(g, 0, &a));
    CHECK(asked(&d, 0));
    set_state(&d, 0, 7);
    CHECK_OK(ops(&d)->events_notify(d.ev, d.port[0]));
    return crashed(&d, g, f);
}

static bool no_port_in_slot(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    d.page->slot[0].vp_eport = 0;
    CHECK_OK(f->start(g, 0, &a));
    return crashed(&d, g, f);
}

static bool slot_in_use(struct guest *g, const struct fixture *f)
{
    struct access a = get(HV_RANGE_PORT, PORT, 4);
    struct device d;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, a.type, PORT, PORT + 3));
    set_state(&d, 0, IOREQ_STATE_RESP_READY);
    CHECK_OK(f->start(g, 0, &a));
    return crashed(&d, g, f);
}

#define RUNNING                                                                                    \
    {                                                                                              \
        .running = true                                                                            \
    }

const struct conformance_case drive_cases[] = {
    {"reads and writes of ports and memory", reads_and_writes, RUNNING},
    {"where nobody is, reads give all ones", nobody_there, RUNNING},
    {"a server gets an access whole or not at all", whole_or_nothing, RUNNING},
    {"of two servers the one with the higher id", highest_server_wins, RUNNING},
    {"RAM comes before any range", ram_comes_first, RUNNING},
    {"requests can be found without their events", polled_without_events, RUNNING},
    {"a taken event stays masked", masked_until_unmasked, RUNNING},
    {"the vCPU looks for its answer when it is notified", sleeps_until_notified, RUNNING},
    {"vCPUs ask independently", vcpus_are_apart, RUNNING},
    {"a paused guest asks nothing", paused_guest_asks_nothing, RUNNING},
    {"a range may go while it is asked", range_goes_meanwhile, RUNNING},
    {"a server may go while it is asked", server_goes_meanwhile, RUNNING},
    {"a successor finds and answers an open request", successor_answers, RUNNING},
    {"INVALIDATE goes to every enabled server", invalidate_to_all, RUNNING},
    {"an unknown state crashes the guest", unknown_state, RUNNING},
    {"no port in the slot crashes the guest", no_port_in_slot, RUNNING},
    {"a slot in use crashes the guest", slot_in_use, RUNNING},
    {NULL, NULL, {0}},
};
