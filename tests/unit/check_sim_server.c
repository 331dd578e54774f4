/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's servers and events: each rule is one that Xen 4.17 was seen to have. */
#include "tests/unit/sim_fixture.h"

/* Whose turn would this be? Asks with nobody answering, and answers then. -1: nobody's. */
static int winner(struct device *d, unsigned n, struct ioreq_slot req)
{
    int found = -1, rc = hv_sim_request(hv, 0, &req, 0);

    if (rc == 0)
        return -1;
    ck_assert_int_eq(errno, ETIMEDOUT);
    for (unsigned i = 0; i < n; i++) {
        struct ioreq_slot *slot = &d[i].page->slot[0];

        if (state_of(slot) != IOREQ_STATE_READY)
            continue;
        ck_assert_int_eq(found, -1);
        found = (int)i;
        ck_assert(slot->addr == req.addr && slot->size == req.size && slot->count == req.count &&
                  slot->type == req.type && slot->data == req.data);
        ck_assert_uint_eq(atomic_load(&slot->control), (unsigned)req.control | IOREQ_STATE_READY);
        device_serve(&d[i], 0);
    }
    ck_assert_int_ge(found, 0);
    req = read_of(IOREQ_PORT, 0xffff, 1); /* lets the old one end */
    ck_assert_int_eq(hv_sim_request(hv, 0, &req, LONG_MS), 0);
    return found;
}

static int winner_of(struct device *d, unsigned n, enum ioreq_type type, uint64_t addr,
                     unsigned size)
{
    return winner(d, n, read_of(type, addr, size));
}

/* ---- servers and ranges ---- */

START_TEST(servers_are_eight)
{
    unsigned id;

    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(ops->server_create(hv, &id), 0);
        ck_assert_uint_eq(id, i);
        ck_assert(ops->server_exists(hv, i));
    }
    expect(ops->server_create(hv, &id), ENOSPC);
    ck_assert_int_eq(ops->server_destroy(hv, 5), 0);
    ck_assert_int_eq(ops->server_destroy(hv, 3), 0);
    ck_assert(!ops->server_exists(hv, 3));
    ck_assert_int_eq(ops->server_create(hv, &id), 0);
    ck_assert_uint_eq(id, 3);
    ck_assert_uint_eq(usage().servers, 7);
}
END_TEST

START_TEST(unknown_servers)
{
    const unsigned ids[] = {0, 7, 8, 100};
    struct ioreq_page *page;

    for (unsigned i = 0; i < 4; i++) {
        ck_assert(!ops->server_exists(hv, ids[i]));
        expect(ops->server_destroy(hv, ids[i]), ENOENT);
        expect(ops->server_enable(hv, ids[i], true), ENOENT);
        expect(ops->ioreq_page_map(hv, ids[i], &page), ENOENT);
        expect(ops->server_map_range(hv, ids[i], HV_RANGE_PORT, 1, 2), ENOENT);
        expect(ops->server_unmap_range(hv, ids[i], HV_RANGE_PORT, 1, 2), ENOENT);
        expect(ops->server_map_range(hv, ids[i], HV_RANGE_PORT, 2, 1), EINVAL);
    }
}
END_TEST

START_TEST(ranges_overlap_and_merge)
{
    unsigned s, other;

    ck_assert_int_eq(ops->server_create(hv, &s), 0);
    ck_assert_int_eq(ops->server_create(hv, &other), 0);
#define MAP(a, b) ops->server_map_range(hv, s, HV_RANGE_MEMORY, a, b)
#define UNMAP(a, b) ops->server_unmap_range(hv, s, HV_RANGE_MEMORY, a, b)
    ck_assert_int_eq(MAP(100, 199), 0);
    expect(MAP(100, 199), EEXIST);
    expect(MAP(50, 100), EEXIST);
    expect(MAP(199, 300), EEXIST);
    expect(MAP(50, 300), EEXIST);
    expect(MAP(150, 150), EEXIST);
    expect(MAP(200, 100), EINVAL);
    expect(UNMAP(200, 100), EINVAL);
    expect(ops->server_map_range(hv, s, (enum hv_range_type)3, 1, 1), EINVAL);
    /* Another type or server is another matter. */
    ck_assert_int_eq(ops->server_map_range(hv, s, HV_RANGE_PORT, 100, 199), 0);
    ck_assert_int_eq(ops->server_map_range(hv, other, HV_RANGE_MEMORY, 150, 250), 0);
    ck_assert_uint_eq(usage().ranges, 3);
    ck_assert_int_eq(MAP(300, 399), 0);
    ck_assert_uint_eq(usage().ranges, 4);
    ck_assert_int_eq(MAP(200, 299), 0); /* closes the gap */
    ck_assert_uint_eq(usage().ranges, 3);
    ck_assert_int_eq(MAP(99, 99), 0);
    ck_assert_int_eq(MAP(400, 400), 0);
    ck_assert_uint_eq(usage().ranges, 3);
    expect(UNMAP(98, 99), ENOENT);
    expect(UNMAP(400, 401), ENOENT);
    ck_assert_int_eq(UNMAP(200, 250), 0);
    ck_assert_uint_eq(usage().ranges, 4);
    expect(UNMAP(199, 251), ENOENT);
    ck_assert_int_eq(UNMAP(99, 120), 0);
    ck_assert_int_eq(UNMAP(390, 400), 0);
    expect(UNMAP(120, 121), ENOENT);
    ck_assert_int_eq(UNMAP(121, 199), 0);
    ck_assert_int_eq(UNMAP(251, 389), 0);
    ck_assert_uint_eq(usage().ranges, 2);
    /* The ends of all addresses are not neighbours. */
    ck_assert_int_eq(MAP(0, 9), 0);
    ck_assert_int_eq(MAP(UINT64_MAX, UINT64_MAX), 0);
    ck_assert_uint_eq(usage().ranges, 4);
    ck_assert_int_eq(MAP(10, UINT64_MAX - 1), 0);
    ck_assert_uint_eq(usage().ranges, 3);
    ck_assert_int_eq(UNMAP(0, UINT64_MAX), 0);
#undef MAP
#undef UNMAP
}
END_TEST

START_TEST(ranges_are_256_of_a_type)
{
    enum hv_range_type type = (enum hv_range_type)_i;
    unsigned s;

    ck_assert_int_eq(ops->server_create(hv, &s), 0);
    if (type == HV_RANGE_PCI) { /* single functions, which merge as well */
        for (uint64_t i = 0; i < 256; i++)
            ck_assert_int_eq(ops->server_map_range(hv, s, type, 2 * i, 2 * i), 0);
        expect(ops->server_map_range(hv, s, type, 512, 512), ENOMEM);
        ck_assert_int_eq(ops->server_map_range(hv, s, type, 1, 1), 0);
        ck_assert_int_eq(ops->server_map_range(hv, s, type, 512, 512), 0);
        expect(ops->server_unmap_range(hv, s, type, 1, 1), ENOMEM);
        expect(ops->server_map_range(hv, s, type, 600, 601), EINVAL);
        expect(ops->server_map_range(hv, s, type, 1ULL << 32, 1ULL << 32), EINVAL);
        return;
    }
    for (uint64_t i = 0; i < 256; i++)
        ck_assert_int_eq(ops->server_map_range(hv, s, type, 10 * i, 10 * i + 4), 0);
    expect(ops->server_map_range(hv, s, type, 2560, 2560), ENOMEM);
    expect(ops->server_map_range(hv, s, type, 3, 3), EEXIST);
    ck_assert_int_eq(ops->server_map_range(hv, s, type, 5, 6), 0);
    expect(ops->server_unmap_range(hv, s, type, 2, 2), ENOMEM);
    ck_assert_int_eq(ops->server_map_range(hv, s, type, 7, 9), 0); /* joins two */
    ck_assert_int_eq(ops->server_unmap_range(hv, s, type, 2, 2), 0);
    ck_assert_int_eq(ops->server_map_range(hv, s, HV_RANGE_PCI, 3, 3), 0);
    ck_assert_uint_eq(usage().ranges, 257);
}
END_TEST

/* ---- events ---- */

START_TEST(ports_come_with_enabling)
{
    struct ioreq_page *page, *again;
    struct hv_events *ev = ops->events_open(hv);
    unsigned s;

    ck_assert_int_eq(ops->server_create(hv, &s), 0);
    ck_assert_int_eq(ops->ioreq_page_map(hv, s, &page), 0);
    ck_assert_uint_eq(page->slot[0].vp_eport, 0);
    expect(ops->events_bind(ev, 0), EINVAL);
    ck_assert_int_eq(ops->server_enable(hv, s, true), 0);
    ck_assert_uint_gt(page->slot[0].vp_eport, 2); /* 1 and 2 are the toolstack's */
    ck_assert_uint_gt(page->slot[1].vp_eport, 2);
    ck_assert_uint_ne(page->slot[1].vp_eport, page->slot[0].vp_eport);
    ck_assert_uint_eq(page->slot[2].vp_eport, 0);
    ck_assert_int_eq(ops->ioreq_page_map(hv, s, &again), 0);
    ck_assert_uint_eq(again->slot[1].vp_eport, page->slot[1].vp_eport);
    ck_assert_uint_eq(usage().ioreq_pages, 2);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, again), 0);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, page), 0);
    ck_assert_uint_eq(usage().ioreq_pages, 0);
    expect(ops->ioreq_page_unmap(hv, page), EINVAL);
    /* It is there without us, and the next map finds it. */
    ck_assert_int_eq(ops->server_enable(hv, s, false), 0);
    ck_assert_int_eq(ops->server_enable(hv, s, true), 0);
    ck_assert_int_eq(ops->ioreq_page_map(hv, s, &page), 0);
    ck_assert_uint_ne(page->slot[0].vp_eport, 0);
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, page), 0);
    ops->events_close(ev);
}
END_TEST

START_TEST(binding)
{
    struct device d;
    struct hv_events *ev = ops->events_open(hv);
    uint32_t remote;

    device_open(&d);
    remote = d.page->slot[0].vp_eport;
    ck_assert_uint_eq(usage().bound_ports, 2);
    expect(ops->events_bind(ev, remote), EINVAL);
    expect(ops->events_bind(ev, 1), EINVAL); /* the guest's xenstore */
    expect(ops->events_bind(ev, 1000000), EINVAL);
    expect(ops->events_bind(ev, remote + 17), EINVAL);
    expect(ops->events_unbind(ev, d.port[0]), ENOTCONN);
    expect(ops->events_notify(ev, d.port[0]), ENOTCONN);
    ck_assert_int_eq(ops->events_unmask(ev, d.port[0]), 0);
    ck_assert_int_eq(ops->events_unbind(d.ev, d.port[0]), 0);
    ck_assert_int_eq(ops->events_bind(ev, remote), d.port[0]);
    ops->events_close(ev);
    ops->events_close(NULL);
    ck_assert_uint_eq(usage().bound_ports, 1);
    device_close(&d);
    ck_assert_uint_eq(usage().bound_ports, 0);
}
END_TEST

START_TEST(binding_makes_one_event)
{
    struct device d;
    int first, second;

    device_open(&d);
    ck_assert(readable(ops->events_fd(d.ev)));
    first = ops->events_pending(d.ev);
    ck_assert(readable(ops->events_fd(d.ev)));
    second = ops->events_pending(d.ev);
    ck_assert(first == d.port[0] && second == d.port[1]);
    ck_assert(!readable(ops->events_fd(d.ev)));
    expect(ops->events_pending(d.ev), EAGAIN);
    device_close(&d);
}
END_TEST

START_TEST(events_mask_until_unmasked)
{
    struct device d;

    device_open(&d);
    /* Unmasked before it is taken, it is still one event, and the next one waits. */
    ck_assert_int_eq(ops->events_unmask(d.ev, d.port[0]), 0);
    hv_sim_spurious_event(hv, 0);
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[0]);
    ck_assert_int_eq(ops->events_unmask(d.ev, d.port[0]), 0);
    /* An event outlives its port. */
    ck_assert_int_eq(ops->events_unbind(d.ev, d.port[1]), 0);
    ck_assert(readable(ops->events_fd(d.ev)));
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[1]);
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[0]);
    expect(ops->events_pending(d.ev), EAGAIN);
    hv_sim_spurious_event(hv, 0);
    hv_sim_spurious_event(hv, 0);
    ck_assert(!readable(ops->events_fd(d.ev)));
    expect(ops->events_pending(d.ev), EAGAIN);
    ck_assert_int_eq(ops->events_unmask(d.ev, d.port[0]), 0);
    ck_assert(readable(ops->events_fd(d.ev)));
    ck_assert(readable(ops->events_fd(d.ev)));
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[0]);
    ck_assert_int_eq(ops->events_unmask(d.ev, d.port[0]), 0);
    ck_assert(!readable(ops->events_fd(d.ev))); /* two made one */
    hv_sim_spurious_event(hv, 1);
    hv_sim_spurious_event(hv, 99);
    ck_assert(!readable(ops->events_fd(d.ev)));
    hv_sim_spurious_event(hv, 0);
    ck_assert_int_eq(ops->events_pending(d.ev), d.port[0]);
    device_close(&d);
}
END_TEST

/* ---- who gets a request ---- */

START_TEST(unclaimed)
{
    struct ioreq_slot req = read_of(IOREQ_PORT, 0x10, 2);
    uint64_t value = 5, ram[3] = {1, 2, 3};

    ck_assert_int_eq(hv_sim_request(hv, 0, &req, 0), 0);
    ck_assert_uint_eq(req.data, UINT64_MAX);
    ck_assert_int_eq(hv_sim_access(hv, 1, HV_RANGE_MEMORY, false, 0xd0000000, 4, &value, 0), 0);
    ck_assert_uint_eq(value, 0xffffffff);
    ck_assert_int_eq(hv_sim_access(hv, 1, HV_RANGE_MEMORY, true, 0xd0000000, 4, &value, 0), 0);
    /* `rep ins` from nowhere fills RAM with ones. */
    req = (struct ioreq_slot){.addr = 0x10,
                              .size = 4,
                              .count = 2,
                              .data = 0x2004,
                              .control = IOREQ_CONTROL_READ | IOREQ_CONTROL_DATA_IS_PTR};
    ck_assert_int_eq(hv_sim_ram(hv, true, 0x2000, ram, sizeof(ram)), 0);
    ck_assert_int_eq(hv_sim_request(hv, 0, &req, 0), 0);
    ck_assert_int_eq(hv_sim_ram(hv, false, 0x2000, ram, sizeof(ram)), 0);
    ck_assert(ram[0] == 0xffffffff00000001ULL && ram[1] == 0xffffffff && ram[2] == 3);
    ck_assert_uint_eq(req.data, 0x2004);
    expect(hv_sim_request(hv, VCPUS, &req, 0), EINVAL);
    req.type = 3;
    expect(hv_sim_request(hv, 0, &req, 0), EINVAL);
}
END_TEST

START_TEST(highest_id_wins)
{
    struct device d[3];

    for (unsigned i = 0; i < 3; i++)
        device_open(&d[i]);
    claim(&d[2], HV_RANGE_PORT, 0x100, 0x103);
    claim(&d[1], HV_RANGE_PORT, 0x100, 0x10f);
    claim(&d[0], HV_RANGE_PORT, 0x102, 0x11f);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x100, 4), 2);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x102, 4), 1);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x10e, 4), 0);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0xff, 2), -1);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x11d, 4), -1);
    ck_assert_int_eq(ops->server_enable(hv, 2, false), 0);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x100, 4), 1);
    ck_assert_int_eq(ops->server_enable(hv, 2, true), 0);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x100, 4), 2);
    /* Made anew, number 0 is still the last. */
    device_close(&d[0]);
    device_open(&d[0]);
    ck_assert_uint_eq(d[0].id, 0);
    claim(&d[0], HV_RANGE_PORT, 0x100, 0x10f);
    ck_assert_int_eq(winner_of(d, 3, IOREQ_PORT, 0x104, 1), 1);
    for (unsigned i = 0; i < 3; i++)
        device_close(&d[i]);
}
END_TEST

START_TEST(types_are_apart)
{
    struct device d;

    device_open(&d);
    claim(&d, HV_RANGE_MEMORY, 0x100, 0x1ff);
    claim(&d, HV_RANGE_PCI, 0x8, 0x8);
    ck_assert_int_eq(winner_of(&d, 1, IOREQ_PORT, 0x100, 4), -1);
    ck_assert_int_eq(winner_of(&d, 1, IOREQ_MEMORY, 0x100, 4), 0);
    ck_assert_int_eq(winner_of(&d, 1, IOREQ_PCI_CONFIG, 8ULL << 32 | 0xfffe, 4), 0);
    ck_assert_int_eq(winner_of(&d, 1, IOREQ_PCI_CONFIG, 9ULL << 32, 4), -1);
    device_close(&d);
}
END_TEST

static struct ioreq_slot rep_of(enum ioreq_type type, uint64_t addr, unsigned size, uint32_t count,
                                bool df)
{
    struct ioreq_slot req = read_of(type, addr, size);

    req.count = count;
    req.control = IOREQ_CONTROL_DATA_IS_PTR | (df ? IOREQ_CONTROL_DF : 0);
    req.data = 0x1234;
    return req;
}

START_TEST(rep_is_judged_as_a_whole)
{
    struct device d;

    device_open(&d);
    claim(&d, HV_RANGE_MEMORY, 0x1000, 0x10ff);
    claim(&d, HV_RANGE_PORT, 0x40, 0x43);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 0x1000, 4, 64, false)), 0);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 0x1000, 4, 65, false)), -1);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 0x1001, 4, 64, false)), -1);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 0x10fc, 4, 64, true)), 0);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 0x10fc, 4, 65, true)), -1);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 0x10fd, 4, 2, true)), -1);
    /* A port stays where it is. */
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_PORT, 0x40, 4, 1000, false)), 0);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_PORT, 0x40, 4, 1000, true)), 0);
    /* Spans that run over the ends. */
    claim(&d, HV_RANGE_MEMORY, UINT64_MAX - 0xff, UINT64_MAX);
    claim(&d, HV_RANGE_MEMORY, 0, 0xff);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, UINT64_MAX - 7, 4, 2, false)), 0);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, UINT64_MAX - 7, 4, 3, false)), -1);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, UINT64_MAX - 2, 4, 1, false)), -1);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 4, 4, 3, true)), -1);
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 4, UINT32_MAX, UINT32_MAX, false)), -1);
    /* What Xen never sends still finds its way. */
    ck_assert_int_eq(winner(&d, 1, rep_of(IOREQ_MEMORY, 4, 0, 0, false)), 0);
    device_close(&d);
}
END_TEST

static Suite *sim_server_suite(void)
{
    Suite *suite = suite_create("sim server");
    TCase *t = tcase_create("guest");

    tcase_add_checked_fixture(t, setup_running, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, servers_are_eight);
    tcase_add_test(t, unknown_servers);
    tcase_add_test(t, ranges_overlap_and_merge);
    tcase_add_loop_test(t, ranges_are_256_of_a_type, 0, 3);
    tcase_add_test(t, ports_come_with_enabling);
    tcase_add_test(t, binding);
    tcase_add_test(t, binding_makes_one_event);
    tcase_add_test(t, events_mask_until_unmasked);
    tcase_add_test(t, unclaimed);
    tcase_add_test(t, highest_id_wins);
    tcase_add_test(t, types_are_apart);
    tcase_add_test(t, rep_is_judged_as_a_whole);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(sim_server_suite)
