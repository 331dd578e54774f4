/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's pages that move or become read-only, and its PCI configuration space: what
 * the conformance suite can't reach. */
#include <string.h>
#include <xengasp/sim.h>

#include "tests/unit/sim_fixture.h"

enum { DEVICE = 0x1a3 };

static int move(size_t n, uint64_t from, uint64_t to)
{
    return ops->relocate(hv, n, from, to);
}

static int access_by(unsigned vcpu, enum hv_range_type type, bool write, uint64_t addr,
                     unsigned size, uint64_t *value)
{
    return hv_sim_access(hv, vcpu, type, write, addr, size, value, LONG_MS);
}

static uint64_t word_at(uint64_t gpa)
{
    uint64_t word = 0;

    ck_assert_int_eq(hv_sim_ram(hv, false, gpa, &word, sizeof(word)), 0);
    return word;
}

static void set_word(uint64_t gpa, uint64_t word)
{
    ck_assert_int_eq(hv_sim_ram(hv, true, gpa, &word, sizeof(word)), 0);
}

START_TEST(faults_do_half)
{
    uint64_t value = 1;

    hv_sim_fail_call(hv, 1, EIO);
    expect(move(5, 0x100, 0x10000), EIO);
    ck_assert(!is_ram(0x100) && !is_ram(0x101) && is_ram(0x102));
    ck_assert(is_ram(0x10000) && is_ram(0x10001) && !is_ram(0x10002));
    ck_assert_int_eq(move(2, 0x10000, 0x100), 0);
    hv_sim_fail_call(hv, 1, EIO);
    expect(ops->set_ram_type(hv, true, 4, 0x100), EIO);
    for (uint64_t i = 0; i < 4; i++) {
        set_word((0x100 + i) * HV_PAGE_SIZE, 0);
        ck_assert_int_eq(access_by(0, HV_RANGE_MEMORY, true, (0x100 + i) * HV_PAGE_SIZE, 4, &value),
                         0);
        ck_assert_uint_eq(word_at((0x100 + i) * HV_PAGE_SIZE), i < 2 ? 0 : 1);
    }
    hv_sim_fail_call(hv, 1, EIO);
    expect(move(1, 0x100, 0x200), EIO);
    ck_assert(is_ram(0x100));
}
END_TEST

/* Every size at every place, into a read-only page, out of it, and beside it. */
START_TEST(read_only_page_and_its_neighbours)
{
    const uint64_t low = 0x101 * HV_PAGE_SIZE, high = low + HV_PAGE_SIZE;
    uint64_t value, before, after;

    ck_assert_int_eq(ops->set_ram_type(hv, true, 1, 0x101), 0);
    for (unsigned size = 1; size <= 8; size++) {
        for (uint64_t at = low - 12; at < low + 12; at++) {
            bool lands = at + size <= low;

            before = word_at(at);
            value = before + 1;
            ck_assert_int_eq(access_by(0, HV_RANGE_MEMORY, true, at, size, &value), 0);
            after = word_at(at);
            ck_assert((after != before) == lands);
        }
        for (uint64_t at = high - 12; at < high + 12; at++) {
            before = word_at(at);
            value = before + 1;
            ck_assert_int_eq(access_by(0, HV_RANGE_MEMORY, true, at, size, &value), 0);
            after = word_at(at);
            ck_assert((after != before) == (at >= high));
        }
    }
}
END_TEST

START_TEST(other_writes_of_the_guest)
{
    struct ioreq_slot req = {.addr = 0x10,
                             .size = 4,
                             .count = 2,
                             .data = 0x101ffc,
                             .control = IOREQ_CONTROL_READ | IOREQ_CONTROL_DATA_IS_PTR};
    uint64_t words[2] = {7, 7};

    ck_assert_int_eq(ops->set_ram_type(hv, true, 1, 0x102), 0);
    ck_assert_int_eq(hv_sim_request(hv, 0, &req, LONG_MS), 0); /* rep ins from nowhere */
    ck_assert_uint_eq(word_at(0x101ff8), 0xffffffff00000000);
    ck_assert_uint_eq(word_at(0x102000), 0);
    ck_assert_int_eq(hv_sim_ram(hv, true, 0x101ff8, words, sizeof(words)), 0);
    ck_assert_uint_eq(word_at(0x101ff8), 7);
    ck_assert_uint_eq(word_at(0x102000), 0);
}
END_TEST

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random >> 16;
}

/* Frames 0x100 to 0x100 + FRAMES - 1 by an array of the pages that lie there; 0: none. */
enum { FRAMES = 96, FIRST = 0x100 };

static void move_in_array(uint64_t page[FRAMES], unsigned from, unsigned to, unsigned n, int rc)
{
    unsigned i;

    for (i = 0; i < n && page[from + i]; i++) {
        uint64_t moved = page[from + i];

        page[from + i] = 0;
        page[to + i] = moved;
    }
    ck_assert_int_eq(rc, i == n ? 0 : -1);
    if (i < n)
        ck_assert_int_eq(errno, EINVAL);
}

START_TEST(moves_as_in_an_array)
{
    uint64_t page[FRAMES], random = 88172645463325252u + (unsigned)_i, pages = 0;
    uint64_t outside = info().nr_pages - FRAMES, host = usage().host_pages;

    for (unsigned i = 0; i < FRAMES; i++) {
        page[i] = i + 1;
        set_word((FIRST + i) * (uint64_t)HV_PAGE_SIZE, page[i]);
    }
    for (unsigned step = 0; step < 3000; step++) {
        unsigned n = (unsigned)(next_random(&random) % 5);
        unsigned from = (unsigned)(next_random(&random) % (FRAMES - 4));
        unsigned to = (unsigned)(next_random(&random) % (FRAMES - 4));

        errno = 0;
        move_in_array(page, from, to, n, move(n, FIRST + from, FIRST + to));
        if (next_random(&random) % 2 == 0 && !page[from]) {
            page[from] = 1000 + step;
            ck_assert_uint_eq(populate(HV_ORDER_4K, FIRST + from), 1);
            set_word((FIRST + from) * (uint64_t)HV_PAGE_SIZE, page[from]);
        }
    }
    for (unsigned i = 0; i < FRAMES; i++) {
        pages += page[i] != 0;
        ck_assert_int_eq(is_ram(FIRST + i), page[i] != 0);
        if (page[i])
            ck_assert_uint_eq(word_at((FIRST + i) * (uint64_t)HV_PAGE_SIZE), page[i]);
    }
    ck_assert_uint_eq(info().nr_pages, outside + pages);
    ck_assert_uint_eq(usage().host_pages, host + FRAMES - pages);
}
END_TEST

/* ---- while vCPUs are at it ---- */

struct reader {
    pthread_t thread;
    unsigned vcpu;
    _Atomic bool stop;
    unsigned ram, trapped, wrong;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    uint64_t value;

    while (!r->stop) {
        value = 0;
        if (access_by(r->vcpu, HV_RANGE_MEMORY, false, 0x100000, 4, &value) < 0)
            r->wrong++;
        else if (value == 0x55aa)
            r->ram++;
        else if (value == (value_at(0x100000) & 0xffffffff))
            r->trapped++;
        else
            r->wrong++;
    }
    return NULL;
}

/* With the range there first, nobody ever sees a hole. */
START_TEST(overlay_without_a_gap)
{
    struct reader r[VCPUS];
    struct device d;

    set_word(0x100000, 0x55aa);
    device_open(&d);
    claim(&d, HV_RANGE_MEMORY, 0x100000, 0x100fff);
    device_start(&d);
    for (unsigned i = 0; i < VCPUS; i++) {
        r[i] = (struct reader){.vcpu = i};
        ck_assert_int_eq(pthread_create(&r[i].thread, NULL, read_on, &r[i]), 0);
    }
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_int_eq(move(1, 0x100, 0x20000), 0);
        nap(i % 3);
        ck_assert_int_eq(move(1, 0x20000, 0x100), 0);
        nap(i % 2);
    }
    for (unsigned i = 0; i < VCPUS; i++) {
        r[i].stop = true;
        pthread_join(r[i].thread, NULL);
        ck_assert_uint_eq(r[i].wrong, 0);
        ck_assert_uint_gt(r[i].ram, 0);
        ck_assert_uint_gt(r[i].trapped, 0);
    }
    ck_assert_uint_gt(d.invalidates, 0);
    device_stop(&d);
    device_close(&d);
}
END_TEST

/* ---- PCI ---- */

START_TEST(config_accesses)
{
    static const unsigned bad[] = {0, 3, 5, 6, 7, 8};
    const uint64_t base = (uint64_t)DEVICE << 32;
    struct device d;
    uint64_t value = 0;

    device_open(&d);
    claim(&d, HV_RANGE_PCI, DEVICE, DEVICE);
    device_start(&d);
    for (unsigned size = 1; size <= 4; size *= 2) {
        for (unsigned reg = 0; reg < 4096; reg += 129 * size) {
            ck_assert_int_eq(access_by(1, HV_RANGE_PCI, false, base | reg, size, &value), 0);
            ck_assert_uint_eq(value, value_at(base | reg) & ((1ull << size * 8) - 1));
        }
        ck_assert_int_eq(access_by(0, HV_RANGE_PCI, false, base + (1ull << 32), size, &value), 0);
        ck_assert_uint_eq(value, (1ull << size * 8) - 1);
        expect(access_by(0, HV_RANGE_PCI, false, base | (4097 - size), size, &value), EINVAL);
        ck_assert_int_eq(access_by(0, HV_RANGE_PCI, true, base | 8, size, &value), 0);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        expect(access_by(0, HV_RANGE_PCI, false, base, bad[i], &value), EINVAL);
    /* The ports' address is another matter. */
    value = 0x80000000 | DEVICE << 8 | 0x20;
    ck_assert_int_eq(access_by(0, HV_RANGE_PORT, true, 0xcf8, 4, &value), 0);
    ck_assert_int_eq(access_by(1, HV_RANGE_PORT, false, 0xcfd, 1, &value), 0);
    ck_assert_uint_eq(value, value_at(base | 0x21) & 0xff);
    device_stop(&d);
    device_close(&d);
}
END_TEST

/* By the public door: nobody has a function yet. */
START_TEST(config_accesses_of_a_vdevs_test)
{
    const uint64_t loc = QSL_PCI_MAKE_LOC(1, 2, 3) | 0x40;
    struct sim_rep rep = {.type = QST_PCI, .size = 4, .count = 1, .addr = loc};
    struct guest_system *gsp;
    uint64_t value;

    ck_assert_int_eq(guest_open_sim(&gsp, NULL, NULL), 0);
    ck_assert_int_eq(guest_configured(gsp), 0);
    for (unsigned size = 1; size <= 4; size *= 2) {
        ck_assert_int_eq(sim_read(gsp, 0, QST_PCI, loc, size, &value), 0);
        ck_assert_uint_eq(value, (1ull << size * 8) - 1);
        ck_assert_int_eq(sim_write(gsp, 0, QST_PCI, loc, size, 1), 0);
    }
    expect(sim_read(gsp, 0, QST_PCI, loc, 8, &value), EINVAL);
    expect(sim_read(gsp, 0, QST_PCI, loc | 0xffe, 4, &value), EINVAL);
    expect(sim_read(gsp, 0, QST_PCI_IO, loc, 4, &value), ENOTSUP);
    expect(sim_rep(gsp, 0, &rep), ENOTSUP);
    guest_close(gsp);
}
END_TEST

static Suite *sim_place_suite(void)
{
    Suite *suite = suite_create("sim places");
    TCase *t = tcase_create("guest");
    TCase *own = tcase_create("own");

    tcase_add_checked_fixture(t, setup_running, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, faults_do_half);
    tcase_add_test(t, read_only_page_and_its_neighbours);
    tcase_add_test(t, other_writes_of_the_guest);
    tcase_add_loop_test(t, moves_as_in_an_array, 0, 5);
    tcase_add_test(t, overlay_without_a_gap);
    tcase_add_test(t, config_accesses);
    suite_add_tcase(suite, t);
    tcase_add_test(own, config_accesses_of_a_vdevs_test);
    suite_add_tcase(suite, own);
    return suite;
}

CHECK_MAIN(sim_place_suite)
