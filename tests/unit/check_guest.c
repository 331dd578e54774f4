/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole house on a simulated guest: what a guest's accesses give, whatever it asks. */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "hv/sim.h"
#include "tests/unit/guest_fixture.h"

START_TEST(vdev_answers_every_size_in_memory_and_ports)
{
    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4096");
    add("store,name=ports,loc=io:0x2000,size=16");
    configured();
    for (unsigned size = 1; size <= 8; size *= 2) {
        uint64_t value = 0x8877665544332211u & (UINT64_MAX >> (64 - 8 * size));

        wr(QST_MEMORY, MMIO + 64, size, 0x8877665544332211u);
        ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 64, size), value);
        ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 64 + size, 1), 0);
        wr(QST_MEMORY, MMIO + 64, 8, 0);
        if (size == 8)
            continue;
        wr(QST_X86_IO, PORT + 4, size, value);
        ck_assert_uint_eq(rd(QST_X86_IO, PORT + 4, size), value);
        wr(QST_X86_IO, PORT + 4, 4, 0);
    }
}
END_TEST

START_TEST(unclaimed_reads_are_all_ones)
{
    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=16");
    configured();
    ck_assert_uint_eq(rd(QST_MEMORY, 0xd0000000, 4), 0xffffffff);
    ck_assert_uint_eq(rd(QST_X86_IO, 0x600, 2), 0xffff);
    wr(QST_X86_IO, 0x600, 1, 1);
    /* Half inside the vdev's range: Xen delivers it to nobody. */
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 14, 4), 0xffffffff);
}
END_TEST

/* [ store 4 ][ null 4 ][ store 2 ]: one merged range in Xen, so an access can span all three. */
START_TEST(access_over_several_vdevs_is_split)
{
    open_guest(1, false);
    add("store,name=a,loc=mem:0xfe000000,size=4");
    add("null,name=b,loc=mem:0xfe000004");
    add("store,name=c,loc=mem:0xfe000008,size=2");
    configured();
    wr(QST_MEMORY, MMIO, 4, 0x44332211);
    wr(QST_MEMORY, MMIO + 8, 2, 0x6655);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 8), 0x44332211);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 2, 8), UINT64_C(0x6655000000004433));
    wr(QST_MEMORY, MMIO + 2, 8, UINT64_C(0xa8a7a6a5a4a3a2a1));
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 4), 0xa2a12211);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 8, 2), 0xa8a7);
}
END_TEST

START_TEST(size_a_vdev_refuses_is_all_ones_beside_others_that_answer)
{
    open_guest(1, false);
    add("trace,loc=mem:0xfe000000"); /* 1, 2 and 4 bytes */
    add("store,loc=mem:0xfe000004,size=12");
    configured();
    wr(QST_MEMORY, MMIO, 4, 1000);
    wr(QST_MEMORY, MMIO + 4, 4, 7);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 8) >> 32, 7);
    ck_assert_uint_ge(rd(QST_MEMORY, MMIO, 4), 1000);
    ck_assert_uint_le(rd(QST_MEMORY, MMIO, 4), 1100);
}
END_TEST

static void fill_ram(uint64_t gpa, size_t n)
{
    uint8_t byte[256];

    for (size_t i = 0; i < n; i++)
        byte[i] = (uint8_t)(i + 1);
    ck_assert_int_eq(vm_ram_write(gsp, gpa, byte, n), 0);
}

/* rep movs to the device and back, both ways, over a page border of the RAM side. */
START_TEST(rep_movs_both_directions)
{
    uint64_t ram = 0x101000 - 8;
    uint8_t back[64];

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4096");
    configured();
    fill_ram(ram, 64);
    ck_assert_int_eq(sim_rep(gsp, 0,
                             &(struct sim_rep){.type = QST_MEMORY,
                                               .write = true,
                                               .size = 4,
                                               .count = 16,
                                               .addr = MMIO + 0x100,
                                               .gpa = ram}),
                     0);
    for (unsigned i = 0; i < 64; i++)
        ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 0x100 + i, 1), i + 1);
    /* Downwards: the last element first, into RAM that was cleared. */
    memset(back, 0, sizeof(back));
    ck_assert_int_eq(vm_ram_write(gsp, ram, back, 64), 0);
    ck_assert_int_eq(sim_rep(gsp, 0,
                             &(struct sim_rep){.type = QST_MEMORY,
                                               .down = true,
                                               .size = 2,
                                               .count = 32,
                                               .addr = MMIO + 0x100 + 62,
                                               .gpa = ram + 62}),
                     0);
    ck_assert_int_eq(vm_ram_read(gsp, ram, back, 64), 0);
    for (unsigned i = 0; i < 64; i++)
        ck_assert_uint_eq(back[i], i + 1);
}
END_TEST

START_TEST(rep_ins_and_outs_step_the_ram_side_alone)
{
    uint8_t back[8];

    open_guest(1, false);
    add("store,loc=io:0x2000,size=4");
    configured();
    fill_ram(0x100000, 8);
    ck_assert_int_eq(sim_rep(gsp, 0,
                             &(struct sim_rep){.type = QST_X86_IO,
                                               .write = true,
                                               .size = 1,
                                               .count = 8,
                                               .addr = PORT,
                                               .gpa = 0x100000}),
                     0);
    ck_assert_uint_eq(rd(QST_X86_IO, PORT, 1), 8); /* the last one that was written */
    ck_assert_int_eq(sim_rep(gsp, 0,
                             &(struct sim_rep){.type = QST_X86_IO,
                                               .size = 1,
                                               .count = 4,
                                               .down = true,
                                               .addr = PORT,
                                               .gpa = 0x100007}),
                     0);
    ck_assert_int_eq(vm_ram_read(gsp, 0x100000, back, 8), 0);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(back[i], i < 4 ? i + 1 : 8);
}
END_TEST

static int raw(struct ioreq_slot *req)
{
    return hv_sim_request(gsp->hv, 0, req, 5000);
}

/* rep stos: one value to `count` addresses. */
START_TEST(plain_write_with_a_count)
{
    struct ioreq_slot req = {.addr = MMIO + 12,
                             .data = 0xabcd,
                             .count = 4,
                             .size = 2,
                             .type = IOREQ_MEMORY,
                             .control = IOREQ_CONTROL_DF};

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=16");
    configured();
    ck_assert_int_eq(raw(&req), 0);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 4, 2), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(rd(QST_MEMORY, MMIO + 12 - 2 * i, 2), 0xabcd);
}
END_TEST

/* Nonsense in any field: an answer comes, the guest and we live on, and the next request is served.
 */
START_TEST(malformed_requests_are_answered)
{
    static const struct ioreq_slot bad[] = {
        {.addr = MMIO, .count = 1, .size = 0, .type = IOREQ_MEMORY, .control = IOREQ_CONTROL_READ},
        {.addr = MMIO, .count = 1, .size = 3, .type = IOREQ_MEMORY, .control = IOREQ_CONTROL_READ},
        {.addr = MMIO,
         .count = 1,
         .size = 0x80000000u,
         .type = IOREQ_MEMORY,
         .control = IOREQ_CONTROL_READ},
        {.addr = MMIO, .count = 0, .size = 4, .type = IOREQ_MEMORY, .control = IOREQ_CONTROL_READ},
        {.addr = MMIO, .count = UINT32_MAX, .size = 1, .type = IOREQ_MEMORY},
        {.addr = PORT, .count = 1, .size = 8, .type = IOREQ_PORT, .control = IOREQ_CONTROL_READ},
        {.addr = MMIO, .count = 1, .size = 4, .type = 77, .control = IOREQ_CONTROL_READ},
    };
    struct guest_stats stats;

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4096");
    add("store,name=p,loc=io:0x2000,size=16");
    configured();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ioreq_cpu *cpu = &gsp->dispatch.cpu[0];
        struct ioreq_slot req = {.addr = bad[i].addr,
                                 .count = bad[i].count,
                                 .size = bad[i].size,
                                 .type = bad[i].type,
                                 .control = bad[i].control};

        /* Straight to the server: Xen would never deliver most of them. */
        ck_assert_uint_eq(ioreq_serve(cpu, &req), UINT64_MAX);
    }
    guest_get_stats(gsp, &stats);
    ck_assert_uint_eq(stats.malformed, sizeof(bad) / sizeof(bad[0]));
    wr(QST_MEMORY, MMIO, 4, 5);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 4), 5);
}
END_TEST

/* RAM operands that aren't RAM: reads all ones, writes vanish. Also one that wraps at 2^64. */
START_TEST(string_operands_outside_ram)
{
    static const uint64_t nowhere[] = {UINT64_C(0x8000000000), 0xd0000000, UINT64_MAX - 3,
                                       UINT64_MAX};

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4096");
    configured();
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        struct ioreq_slot req = {.addr = MMIO,
                                 .data = nowhere[i],
                                 .count = 2,
                                 .size = 8,
                                 .type = IOREQ_MEMORY,
                                 .control = IOREQ_CONTROL_DATA_IS_PTR};

        wr(QST_MEMORY, MMIO, 8, 0);
        ck_assert_int_eq(raw(&req), 0);
        ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 8), UINT64_MAX);
        req.control |= IOREQ_CONTROL_READ;
        ck_assert_int_eq(raw(&req), 0);
    }
}
END_TEST

START_TEST(reads_and_writes_are_counted)
{
    struct guest_stats stats;

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4");
    configured();
    for (int i = 0; i < 10; i++)
        wr(QST_MEMORY, MMIO, 4, 1);
    for (int i = 0; i < 5; i++)
        rd(QST_MEMORY, MMIO, 4);
    guest_get_stats(gsp, &stats);
    ck_assert_uint_eq(stats.requests, 15);
    ck_assert_uint_eq(stats.accesses, 15);
    ck_assert_uint_eq(stats.unclaimed, 0);
    ck_assert_uint_ge(stats.wakeups, 1);
}
END_TEST

START_TEST(without_polling_every_request_is_an_event)
{
    struct guest_stats stats;

    options.poll_us = GUEST_POLL_NEVER;
    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4");
    configured();
    for (int i = 0; i < 200; i++)
        wr(QST_MEMORY, MMIO, 4, 1);
    guest_get_stats(gsp, &stats);
    ck_assert_uint_eq(stats.requests, 200);
    ck_assert_uint_eq(stats.polled, 0);
}
END_TEST

/* Polling that finds nothing becomes rare; one find, and it's back. */
START_TEST(polling_is_judged_by_what_it_finds)
{
    const struct ioreq_cpu *cpu;
    struct guest_stats stats;

    options.poll_us = 20;
    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=4");
    configured();
    cpu = &gsp->dispatch.cpu[0];
    gsp->dispatch.max_pollers = 1;
    for (int i = 0; i < 100 && cpu->misses < 3; i++) {
        wr(QST_MEMORY, MMIO, 4, 1);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    ck_assert_uint_eq(cpu->misses, 3);
    gsp->dispatch.poll_limit_ns = 1000000000;
    for (int i = 0; i < 100; i++)
        wr(QST_MEMORY, MMIO, 4, 1);
    guest_get_stats(gsp, &stats);
    ck_assert_uint_ge(stats.polled, 50); /* no polling after the first seven events */
    ck_assert_uint_eq(cpu->misses, 0);
}
END_TEST

START_TEST(own_time_is_told_to_a_quarter)
{
    struct guest_stats stats = {0};

    ck_assert_uint_eq(guest_own_ns(&stats, 0.5), 0);
    for (uint64_t ns = 1; ns < UINT64_C(1) << 32; ns += 1 + ns / 64) {
        unsigned step = duration_step_of(ns);

        ck_assert_uint_lt(ns, duration_step_end(step));
        ck_assert_uint_le(duration_step_end(step), ns + 1 + ns / 4);
    }
    ck_assert_uint_eq(duration_step_of(UINT64_MAX), GUEST_TIME_STEPS - 1);
    stats.own_time[duration_step_of(1000)] = 75;
    stats.own_time[duration_step_of(5000)] = 24;
    stats.own_time[duration_step_of(1000000)] = 1;
    ck_assert_uint_eq(guest_own_ns(&stats, 0.25), duration_step_end(duration_step_of(1000)));
    ck_assert_uint_eq(guest_own_ns(&stats, 0.99), duration_step_end(duration_step_of(5000)));
    ck_assert_uint_eq(guest_own_ns(&stats, 1), duration_step_end(duration_step_of(1000000)));
}
END_TEST

#ifndef MIXED_COUNT
#define MIXED_COUNT 20000
#endif

struct mixed {
    unsigned vcpu, wrong;
    unsigned long n;
};

/* Random reads and writes of one vCPU in its own part of the store, against a copy of it. */
static void *mixed_accesses(void *arg)
{
    struct mixed *job = arg;
    uint8_t copy[256] = {0};
    uint64_t x = 88172645463325252u + job->vcpu, value;

    for (unsigned long i = 0; i < job->n; i++) {
        unsigned size, at;
        bool port;

        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        port = x >> 40 & 1;
        size = 1u << (x >> 8 & (port ? 1 : 3));
        at = (port ? 128 : 0) + ((x >> 16) % (128 - size));
        value = x * UINT64_C(0x2545f4914f6cdd1d);
        if (x & 1) {
            memcpy(copy + at, &value, size);
            if (sim_write(gsp, job->vcpu, port ? QST_X86_IO : QST_MEMORY,
                          (port ? PORT : MMIO) + job->vcpu * 256 + at, size, value) < 0)
                job->wrong++;
        } else {
            uint64_t expected = 0;

            memcpy(&expected, copy + at, size);
            if (sim_read(gsp, job->vcpu, port ? QST_X86_IO : QST_MEMORY,
                         (port ? PORT : MMIO) + job->vcpu * 256 + at, size, &value) < 0 ||
                value != expected)
                job->wrong++;
        }
    }
    return NULL;
}

START_TEST(two_vcpus_get_no_wrong_answer)
{
    const char *n = getenv("XENGASP_MIXED_COUNT");
    struct mixed job[2] = {{.vcpu = 0}, {.vcpu = 1}};
    struct guest_stats stats;
    pthread_t thread[2];

    open_guest(2, false);
    add("store,loc=mem:0xfe000000,size=512");
    add("store,name=p,loc=io:0x2000,size=512");
    configured();
    for (int i = 0; i < 2; i++) {
        job[i].n = (n ? strtoul(n, NULL, 0) : MIXED_COUNT) / 2;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, mixed_accesses, &job[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        ck_assert_uint_eq(job[i].wrong, 0);
    }
    guest_get_stats(gsp, &stats);
    ck_assert_uint_eq(stats.requests, job[0].n + job[1].n);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("guest");
    TCase *tc = tcase_create("guest");

    tcase_set_timeout(tc, 3600);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, vdev_answers_every_size_in_memory_and_ports);
    tcase_add_test(tc, unclaimed_reads_are_all_ones);
    tcase_add_test(tc, access_over_several_vdevs_is_split);
    tcase_add_test(tc, size_a_vdev_refuses_is_all_ones_beside_others_that_answer);
    tcase_add_test(tc, rep_movs_both_directions);
    tcase_add_test(tc, rep_ins_and_outs_step_the_ram_side_alone);
    tcase_add_test(tc, plain_write_with_a_count);
    tcase_add_test(tc, malformed_requests_are_answered);
    tcase_add_test(tc, string_operands_outside_ram);
    tcase_add_test(tc, reads_and_writes_are_counted);
    tcase_add_test(tc, without_polling_every_request_is_an_event);
    tcase_add_test(tc, polling_is_judged_by_what_it_finds);
    tcase_add_test(tc, own_time_is_told_to_a_quarter);
    tcase_add_test(tc, two_vcpus_get_no_wrong_answer);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
