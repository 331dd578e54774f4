/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's requests: each rule is one that Xen 4.17 was seen to have. */
#include "tests/unit/sim_fixture.h"

static const uint64_t mmio = 0xd0000000;

/* ---- answers ---- */

START_TEST(read_and_write)
{
    struct device d;
    uint64_t value;

    device_open(&d);
    d.polls = _i;
    claim(&d, HV_RANGE_MEMORY, mmio, mmio + 0xfff);
    claim(&d, HV_RANGE_PORT, 0x200, 0x207);
    device_start(&d);
    for (unsigned size = 1; size <= 8; size *= 2) {
        value = 77;
        ck_assert_int_eq(
            hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, mmio + 8, size, &value, LONG_MS), 0);
        ck_assert_uint_eq(value, value_at(mmio + 8) & (UINT64_MAX >> (64 - 8 * size)));
    }
    ck_assert_int_eq(hv_sim_access(hv, 1, HV_RANGE_PORT, false, 0x203, 2, &value, LONG_MS), 0);
    ck_assert_uint_eq(value, value_at(0x203) & 0xffff);
    value = UINT64_MAX;
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, true, mmio, 4, &value, LONG_MS), 0);
    device_stop(&d);
    ck_assert_uint_eq(d.served, 6);
    ck_assert_uint_eq(d.page->slot[0].data, 0xffffffff); /* the write's, cut to size */
    ck_assert_uint_eq(state_of(&d.page->slot[0]), IOREQ_STATE_NONE);
    device_close(&d);
}
END_TEST

START_TEST(accesses_are_divided)
{
    const uint64_t end = 16 * MIB; /* of RAM */
    struct device d;
    uint64_t value = 0x1122334455667788ULL, back;
    uint32_t low;

    device_open(&d);
    claim(&d, HV_RANGE_MEMORY, end, end + 0x1fff);
    device_start(&d);
    /* Half in RAM, half in the device: 4 bytes each. */
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, true, end - 4, 8, &value, LONG_MS), 0);
    ck_assert_int_eq(hv_sim_ram(hv, false, end - 4, &low, 4), 0);
    ck_assert_uint_eq(low, 0x55667788);
    ck_assert_uint_eq(d.served, 1);
    ck_assert(d.page->slot[0].data == 0x11223344 && d.page->slot[0].size == 4);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, end - 4, 8, &back, LONG_MS), 0);
    ck_assert_uint_eq(back, 0x55667788 | value_at(end) << 32);
    /* 3 bytes of 4: two, and one. */
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, true, end - 1, 4, &value, LONG_MS), 0);
    ck_assert_uint_eq(d.served, 4);
    ck_assert(d.page->slot[0].addr == end + 2 && d.page->slot[0].size == 1 &&
              d.page->slot[0].data == 0x55);
    /* At a border of pages, but misaligned inside a page it stays one. */
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, end + 0xffe, 4, &back, LONG_MS),
                     0);
    ck_assert_uint_eq(d.served, 6);
    ck_assert_uint_eq(back, (value_at(end + 0xffe) & 0xffff) | (value_at(end + 0x1000) & 0xffff)
                                                                   << 16);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, end + 3, 8, &back, LONG_MS), 0);
    ck_assert_uint_eq(d.served, 7);
    ck_assert_uint_eq(back, value_at(end + 3));
    expect(hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, UINT64_MAX - 2, 4, &back, LONG_MS), EINVAL);
    expect(hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, 0, 9, &back, LONG_MS), EINVAL);
    expect(hv_sim_access(hv, 0, (enum hv_range_type)3, false, 0, 1, &back, LONG_MS), EINVAL);
    device_stop(&d);
    device_close(&d);
}
END_TEST

START_TEST(ram_needs_nobody)
{
    uint64_t value, back;

    for (unsigned size = 1; size <= 8; size++) {
        for (unsigned offset = 0xff8; offset < 0x1001; offset++) {
            value = 0x0102030405060708ULL * size + offset;
            ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_MEMORY, true, offset, size, &value, 0),
                             0);
            ck_assert_int_eq(hv_sim_access(hv, 1, HV_RANGE_MEMORY, false, offset, size, &back, 0),
                             0);
            ck_assert_uint_eq(back, value & (UINT64_MAX >> (64 - 8 * size)));
        }
    }
}
END_TEST

START_TEST(answer_needs_the_notify)
{
    struct device d;
    struct ioreq_slot req;
    struct call c;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    req = read_of(IOREQ_PORT, 0x10, 4);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    d.page->slot[0].data = 42;
    set_state(&d.page->slot[0], IOREQ_STATE_RESP_READY);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[1]), 0);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    /* The vCPU goes on, to its next request. A notify too early does no harm. */
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
    call_start(&c, 0, read_of(IOREQ_PORT, 0x12, 1));
    await(&d, 0);
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
    nap(5);
    set_state(&d.page->slot[0], IOREQ_STATE_INPROCESS);
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
    nap(5);
    ck_assert(!atomic_load(&c.done));
    d.page->slot[0].data = 43;
    set_state(&d.page->slot[0], IOREQ_STATE_RESP_READY);
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
    call_join(&c);
    ck_assert_int_eq(c.rc, 0);
    ck_assert_uint_eq(c.req.data, 43);
    device_close(&d);
}
END_TEST

START_TEST(event_while_masked_is_enough)
{
    struct device d;
    struct call c;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[0]);
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[1]);
    call_start(&c, 0, read_of(IOREQ_PORT, 0x10, 4));
    await(&d, 0);
    nap(5);
    ck_assert(!readable(ops->events_fd(d.ev)));
    ck_assert_int_eq(ops->events_unmask(d.ev, d.port[0]), 0);
    ck_assert(readable(ops->events_fd(d.ev)));
    ck_assert(device_serve(&d, 0)); /* while it is masked no more, but pending */
    call_join(&c);
    ck_assert_uint_eq(c.req.data, value_at(0x10));
    device_close(&d);
}
END_TEST

START_TEST(lost_event)
{
    struct device d;
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    for (unsigned i = 0; i < VCPUS; i++)
        ck_assert_int_eq(ops->events_unmask(d.ev, ops->events_pending(d.ev)), 0);
    hv_sim_lose_next_event(hv);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert(!readable(ops->events_fd(d.ev)));
    ck_assert(device_serve(&d, 0));
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert(readable(ops->events_fd(d.ev))); /* only the one was lost */
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[0]);
    device_close(&d);
}
END_TEST

/* ---- what kills the guest ---- */

static const unsigned bad_ways[][2] = {
    {IOREQ_STATE_NONE, 0},
    {IOREQ_STATE_INPROCESS, IOREQ_STATE_READY},
    {IOREQ_STATE_INPROCESS, IOREQ_STATE_NONE},
    {4, 4},
    {15, 15},
};

START_TEST(bad_state_kills)
{
    struct device d;
    struct hv_info i;
    struct call c;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    call_start(&c, 0, read_of(IOREQ_PORT, 0x10, 4));
    await(&d, 0);
    for (unsigned k = 0; k < 100 && !atomic_load(&c.done); k++) { /* until the vCPU saw both */
        set_state(&d.page->slot[0], bad_ways[_i][k % 2]);
        ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
        nap(10);
    }
    call_join(&c);
    ck_assert_int_eq(c.rc, -1);
    ck_assert_int_eq(c.error, EIO);
    ck_assert(usage().crashed);
    ck_assert_int_eq(ops->info(hv, &i), 0);
    ck_assert(i.shutdown && !i.dying && i.shutdown_reason == HV_CRASH);
    ck_assert(readable(ops->news_fd(hv)));
    c.req = read_of(IOREQ_PORT, 0x99, 1);
    expect(hv_sim_request(hv, 1, &c.req, LONG_MS), EIO);
    device_close(&d);
}
END_TEST

START_TEST(slot_in_use_kills)
{
    struct device d;
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    set_state(&d.page->slot[0], IOREQ_STATE_INPROCESS);
    expect(hv_sim_request(hv, 0, &req, LONG_MS), EIO);
    ck_assert(usage().crashed);
    device_close(&d);
}
END_TEST

START_TEST(enabled_before_mapped_kills)
{
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);
    struct ioreq_page *page;
    unsigned s;

    ck_assert_int_eq(ops->server_create(hv, &s), 0);
    ck_assert_int_eq(ops->server_enable(hv, s, true), 0);
    ck_assert_int_eq(ops->server_map_range(hv, s, HV_RANGE_PORT, 0x10, 0x13), 0);
    if (_i > 0) {
        ck_assert_int_eq(ops->ioreq_page_map(hv, s, &page), 0);
        ck_assert_uint_eq(page->slot[0].vp_eport, 0);
    }
    if (_i == 2) { /* enabled once more, and all is well */
        ck_assert_int_eq(ops->server_enable(hv, s, true), 0);
        ck_assert_uint_eq(page->slot[0].vp_eport, 0);
        ck_assert_int_eq(ops->server_enable(hv, s, false), 0);
        ck_assert_int_eq(ops->server_enable(hv, s, true), 0);
        ck_assert_uint_ne(page->slot[0].vp_eport, 0);
    }
    expect(hv_sim_request(hv, 0, &req, 0), _i == 2 ? ETIMEDOUT : EIO);
    ck_assert(usage().crashed == (_i < 2));
}
END_TEST

START_TEST(shut_down_guest_does_nothing)
{
    struct device d;
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);
    struct call c;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    call_start(&c, 0, req);
    await(&d, 0);
    if (_i == 0)
        hv_sim_set_shutdown(hv, HV_POWEROFF);
    else
        hv_sim_destroy(hv);
    call_join(&c);
    ck_assert_int_eq(c.rc, -1);
    ck_assert_int_eq(c.error, EIO);
    expect(hv_sim_request(hv, 1, &req, LONG_MS), EIO);
    ck_assert(!usage().crashed);
    if (_i == 0)
        ck_assert_int_eq(ops->server_destroy(hv, d.id), 0);
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, d.page), 0);
    ops->events_close(d.ev);
}
END_TEST

/* Nobody wakes the vCPU, but what comes for it next does. */
START_TEST(destroyed_server_leaves_it_asleep)
{
    struct device d, other;
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);

    device_open(&d);
    device_open(&other);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert_int_eq(ops->server_destroy(hv, d.id), 0);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert_int_eq(ops->events_notify(other.ev, other.port[0]), 0);
    ck_assert_int_eq(hv_sim_request(hv, 0, &req, LONG_MS), 0);
    ck_assert_uint_eq(req.data, UINT64_MAX); /* the next one: nobody is there */
    device_close(&other);
    /* The page stays until it is unmapped, and the port takes what nobody hears. */
    ck_assert_uint_eq(d.page->slot[0].addr, 0x10);
    ck_assert_int_eq(ops->events_notify(d.ev, d.port[0]), 0);
    ck_assert_uint_eq(usage().ioreq_pages, 1);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, d.page), 0);
    ops->events_close(d.ev);
    ck_assert_uint_eq(usage().bound_ports, 0);
}
END_TEST

/* The old port's other end is gone, although a new server has its number. */
START_TEST(stale_port_is_nobodys)
{
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);
    struct device old, next;
    struct call c;

    device_open(&old);
    ck_assert_int_eq(ops->server_destroy(hv, old.id), 0);
    device_open(&next);
    ck_assert_uint_eq(next.page->slot[0].vp_eport, old.page->slot[0].vp_eport);
    ck_assert_int_ne(next.port[0], old.port[0]);
    claim(&next, HV_RANGE_PORT, 0x10, 0x13);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    set_state(&next.page->slot[0], IOREQ_STATE_RESP_READY);
    ck_assert_int_eq(ops->events_notify(old.ev, old.port[0]), 0);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert_int_eq(ops->events_notify(next.ev, next.port[0]), 0);
    /* Unbinding the one leaves the other bound. */
    ck_assert_int_eq(ops->events_unbind(old.ev, old.port[0]), 0);
    device_start(&next);
    call_start(&c, 0, req);
    call_join(&c);
    ck_assert_int_eq(c.rc, 0);
    device_stop(&next);
    device_close(&next);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, old.page), 0);
    ops->events_close(old.ev);
}
END_TEST

START_TEST(disabled_server_still_answers_what_it_has)
{
    struct device d;
    struct call c;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    call_start(&c, 0, read_of(IOREQ_PORT, 0x10, 4));
    await(&d, 0);
    ck_assert_int_eq(ops->server_enable(hv, d.id, false), 0);
    nap(5);
    ck_assert(!atomic_load(&c.done));
    ck_assert(device_serve(&d, 0));
    call_join(&c);
    ck_assert_uint_eq(c.req.data, value_at(0x10));
    device_close(&d);
}
END_TEST

START_TEST(paused_guest_waits)
{
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 4);
    uint64_t value;
    struct call c;

    ck_assert_int_eq(ops->pause(hv), 0);
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    expect(hv_sim_access(hv, 0, HV_RANGE_MEMORY, false, 0x1000, 4, &value, SHORT_MS), ETIMEDOUT);
    call_start(&c, 0, req);
    nap(5);
    ck_assert(!atomic_load(&c.done));
    ck_assert_int_eq(ops->unpause(hv), 0);
    call_join(&c);
    ck_assert_int_eq(c.rc, 0);
}
END_TEST

/* ---- INVALIDATE ---- */

START_TEST(invalidate_looks_like_xens)
{
    struct device d;

    device_open(&d);
    expect(hv_sim_invalidate(hv, 1, SHORT_MS), ETIMEDOUT);
    ck_assert_uint_eq(d.page->slot[1].type, 8);
    ck_assert_uint_eq(d.page->slot[1].size, 4);
    ck_assert_uint_eq(d.page->slot[1].count, 0);
    ck_assert_uint_eq(d.page->slot[1].addr, 0);
    ck_assert_uint_eq(d.page->slot[1].data, UINT64_MAX);
    ck_assert_uint_eq(atomic_load(&d.page->slot[1].control), IOREQ_STATE_READY); /* a write */
    ck_assert(device_serve(&d, 1));
    expect(hv_sim_invalidate(hv, VCPUS, SHORT_MS), EINVAL);
    device_close(&d);
}
END_TEST

START_TEST(invalidate_waits_for_every_enabled_server)
{
    struct device d[3];
    struct ioreq_slot req = read_of(IOREQ_PORT, 1, 1);

    for (unsigned i = 0; i < 3; i++)
        device_open(&d[i]);
    ck_assert_int_eq(ops->server_enable(hv, 1, false), 0);
    expect(hv_sim_invalidate(hv, 0, SHORT_MS), ETIMEDOUT);
    ck_assert_uint_eq(state_of(&d[1].page->slot[0]), IOREQ_STATE_NONE);
    ck_assert(device_serve(&d[2], 0));
    expect(hv_sim_request(hv, 0, &req, SHORT_MS), ETIMEDOUT);
    ck_assert(device_serve(&d[0], 0));
    ck_assert_int_eq(hv_sim_request(hv, 0, &req, LONG_MS), 0);
    for (unsigned i = 0; i < 3; i++)
        device_close(&d[i]);
}
END_TEST

START_TEST(balloon_invalidates_before_the_next_request)
{
    struct device d;
    uint64_t value, gfn = 9;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    device_start(&d);
    ck_assert_int_eq(hv_sim_balloon(hv, true, 5, 2), 0);
    ck_assert_uint_eq(d.invalidates, 0);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_PORT, false, 0x10, 4, &value, LONG_MS), 0);
    ck_assert_uint_eq(d.invalidates, 1);
    ck_assert_uint_eq(d.served, 2);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_PORT, false, 0x10, 4, &value, LONG_MS), 0);
    ck_assert_uint_eq(d.invalidates, 1);
    ck_assert_int_eq(hv_sim_access(hv, 1, HV_RANGE_MEMORY, false, 0x1000, 4, &value, LONG_MS), 0);
    ck_assert_uint_eq(d.invalidates, 2);
    /* Coming back says nothing, being taken away by the toolstack does. */
    ck_assert_int_eq(hv_sim_balloon(hv, false, 5, 2), 0);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_PORT, false, 0x10, 4, &value, LONG_MS), 0);
    ck_assert_uint_eq(d.invalidates, 2);
    ck_assert_uint_eq(ops->depopulate(hv, HV_ORDER_4K, 1, &gfn), 1);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_PORT, false, 0x10, 4, &value, LONG_MS), 0);
    ck_assert_uint_eq(d.invalidates, 3);
    device_stop(&d);
    device_close(&d);
}
END_TEST

START_TEST(never_run_guest_gets_no_invalidate)
{
    struct hv_sim_options o = {.vcpus = VCPUS, .ram_bytes = MIB};
    struct device d;
    uint64_t value;

    ck_assert_int_eq(hv_sim_open(&hv, &o), 0);
    ops = hv->ops;
    device_open(&d);
    ck_assert_int_eq(hv_sim_balloon(hv, true, 5, 2), 0);
    ck_assert_int_eq(ops->unpause(hv), 0);
    ck_assert_int_eq(hv_sim_access(hv, 0, HV_RANGE_PORT, false, 0x10, 4, &value, 0), 0);
    device_close(&d);
    ops->close(hv);
}
END_TEST

/* ---- many at once ---- */

struct hammer {
    pthread_t thread;
    unsigned vcpu;
    unsigned rounds, wrong;
};

static void *hammer_main(void *arg)
{
    struct hammer *h = arg;

    for (unsigned i = 0; i < h->rounds; i++) {
        uint64_t addr = mmio + i * 8 % 0x1000, value = i;

        if (i % 4 == 3) {
            h->wrong +=
                hv_sim_access(hv, h->vcpu, HV_RANGE_MEMORY, true, addr, 8, &value, LONG_MS) != 0;
            continue;
        }
        if (hv_sim_access(hv, h->vcpu, HV_RANGE_MEMORY, false, addr, 8, &value, LONG_MS) < 0 ||
            value != value_at(addr))
            h->wrong++;
    }
    return NULL;
}

/* Everything that the guest's vCPUs don't do, meanwhile. */
static void meddle(unsigned i)
{
    uint64_t gfn = 100 + i % 50, list[2] = {gfn, gfn + 1};
    struct hv_info info;
    unsigned s;

    ck_assert_int_eq(ops->server_create(hv, &s), 0);
    ck_assert_int_eq(ops->server_map_range(hv, s, HV_RANGE_PORT, 1, 5), 0);
    ck_assert_int_eq(ops->pause(hv), 0);
    ck_assert_uint_eq(ops->depopulate(hv, HV_ORDER_4K, 2, list), 2);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_4K, 2, list), 2);
    ck_assert_int_eq(ops->unpause(hv), 0);
    ck_assert_int_eq(ops->info(hv, &info), 0);
    hv_sim_spurious_event(hv, i % VCPUS);
    ck_assert_int_eq(ops->server_destroy(hv, s), 0);
}

START_TEST(many_threads)
{
    struct device d;
    struct hammer h[VCPUS];

    device_open(&d);
    d.polls = _i;
    claim(&d, HV_RANGE_MEMORY, mmio, mmio + 0xfff);
    device_start(&d);
    for (unsigned i = 0; i < VCPUS; i++) {
        h[i] = (struct hammer){.vcpu = i, .rounds = 10000};
        ck_assert_int_eq(pthread_create(&h[i].thread, NULL, hammer_main, &h[i]), 0);
    }
    for (unsigned i = 0; i < 100; i++)
        meddle(i);
    for (unsigned i = 0; i < VCPUS; i++) {
        pthread_join(h[i].thread, NULL);
        ck_assert_uint_eq(h[i].wrong, 0);
    }
    device_stop(&d);
    ck_assert_uint_eq(d.served - d.invalidates, VCPUS * 10000);
    ck_assert(!usage().crashed);
    device_close(&d);
}
END_TEST

/* A server's successor finds the page, the ports and the request as they were. */
START_TEST(successor_takes_over)
{
    struct device d, next;
    struct call c;

    device_open(&d);
    claim(&d, HV_RANGE_PORT, 0x10, 0x13);
    call_start(&c, 0, read_of(IOREQ_PORT, 0x10, 4));
    await(&d, 0);
    if (_i == 1)
        set_state(&d.page->slot[0], IOREQ_STATE_INPROCESS);
    ops->events_close(d.ev);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, d.page), 0);

    next = (struct device){.id = d.id, .ev = ops->events_open(hv)};
    ck_assert_int_eq(ops->ioreq_page_map(hv, next.id, &next.page), 0);
    for (unsigned i = 0; i < VCPUS; i++)
        next.port[i] = ops->events_bind(next.ev, next.page->slot[i].vp_eport);
    ck_assert(readable(ops->events_fd(next.ev)));
    ck_assert_uint_eq(state_of(&next.page->slot[0]),
                      _i == 1 ? (unsigned)IOREQ_STATE_INPROCESS : (unsigned)IOREQ_STATE_READY);
    next.page->slot[0].data = 4711;
    set_state(&next.page->slot[0], IOREQ_STATE_RESP_READY);
    ck_assert_int_eq(ops->events_notify(next.ev, next.port[0]), 0);
    call_join(&c);
    ck_assert_int_eq(c.rc, 0);
    ck_assert_uint_eq(c.req.data, 4711);
    device_close(&next);
}
END_TEST

static Suite *sim_ioreq_suite(void)
{
    Suite *suite = suite_create("sim ioreq");
    TCase *t = tcase_create("guest");
    TCase *own = tcase_create("own");

    tcase_add_checked_fixture(t, setup_running, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, read_and_write, 0, 2);
    tcase_add_test(t, accesses_are_divided);
    tcase_add_test(t, ram_needs_nobody);
    tcase_add_test(t, answer_needs_the_notify);
    tcase_add_test(t, event_while_masked_is_enough);
    tcase_add_test(t, lost_event);
    tcase_add_loop_test(t, bad_state_kills, 0, 5);
    tcase_add_test(t, slot_in_use_kills);
    tcase_add_loop_test(t, enabled_before_mapped_kills, 0, 3);
    tcase_add_loop_test(t, shut_down_guest_does_nothing, 0, 2);
    tcase_add_test(t, destroyed_server_leaves_it_asleep);
    tcase_add_test(t, stale_port_is_nobodys);
    tcase_add_test(t, disabled_server_still_answers_what_it_has);
    tcase_add_test(t, paused_guest_waits);
    tcase_add_test(t, invalidate_looks_like_xens);
    tcase_add_test(t, invalidate_waits_for_every_enabled_server);
    tcase_add_test(t, balloon_invalidates_before_the_next_request);
    tcase_add_loop_test(t, many_threads, 0, 2);
    tcase_add_loop_test(t, successor_takes_over, 0, 2);
    suite_add_tcase(suite, t);

    tcase_set_timeout(own, 60);
    tcase_add_test(own, never_run_guest_gets_no_invalidate);
    suite_add_tcase(suite, own);
    return suite;
}

CHECK_MAIN(sim_ioreq_suite)
