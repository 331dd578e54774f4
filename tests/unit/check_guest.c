/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole house on a simulated guest: what a guest's accesses give, whatever it asks. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>
#include <xengasp/vdev.h>

#include "guest/describe.h"
#include "guest/guest_internal.h"
#include "hv/sim.h"
#include "tests/check_main.h"

#define MMIO 0xfe000000u
#define PORT 0x2000u

static struct guest_system *gsp;
static char log_text[16384];

__attribute__((format(printf, 3, 0))) static void log_to_text(void *arg, enum guest_log_level level,
                                                              const char *format, va_list ap)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    size_t used;

    (void)arg;
    (void)level;
    pthread_mutex_lock(&lock);
    used = strlen(log_text);
    vsnprintf(log_text + used, sizeof(log_text) - used, format, ap);
    strncat(log_text, "\n", sizeof(log_text) - strlen(log_text) - 1);
    pthread_mutex_unlock(&lock);
}

static struct guest_options options = {.size = sizeof(options),
                                       .log = log_to_text,
                                       .poll_us = GUEST_POLL_DEFAULT,
                                       .memory_limit = UINT64_C(1) << 36};

static void open_guest(unsigned vcpus, bool hvm)
{
    struct sim_options sim = {.size = sizeof(sim), .vcpus = vcpus, .hvm = hvm};

    log_text[0] = '\0';
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
}

static void add(const char *spec)
{
    ck_assert_msg(guest_add_vdev(gsp, spec) == 0, "%s: %s: %s", spec, strerror(errno), log_text);
}

static void configured(void)
{
    uint64_t value;

    ck_assert_msg(guest_configured(gsp) == 0, "%s: %s", strerror(errno), log_text);
    sim_read(gsp, 0, QST_MEMORY, 0, 1, &value); /* the guest runs from here */
}

static void tear_down(void)
{
    guest_close(gsp);
    gsp = NULL;
    options.poll_us = GUEST_POLL_DEFAULT;
    options.unsupported = GUEST_UNSUPPORTED_IGNORE;
}

static uint64_t rd(unsigned type, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    ck_assert_msg(sim_read(gsp, 0, type, addr, size, &value) == 0, "read: %s", strerror(errno));
    return value;
}

static void wr(unsigned type, uint64_t addr, unsigned size, uint64_t value)
{
    ck_assert_msg(sim_write(gsp, 0, type, addr, size, value) == 0, "write: %s", strerror(errno));
}

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

    options.poll_us = 0;
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

static int end_after_abort(void)
{
    int rc = guest_run(gsp);

    return rc == 0 ? 0 : errno;
}

START_TEST(unsupported_access_is_logged_or_ends_the_run)
{
    options.unsupported = GUEST_UNSUPPORTED_ABORT;
    open_guest(1, false);
    add("trace,loc=mem:0xfe000000");
    add("trace,name=t2,loc=mem:0xfe000004");
    configured();
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 8) & 0, 0); /* split in two: fine */
    ck_assert_ptr_null(strstr(log_text, "nobody answers"));
    {
        /* A region without access: NOPERMS takes no range, so go through a vdev that refuses. */
        struct ioreq_slot req = {.addr = MMIO + 0x100000,
                                 .count = 1,
                                 .size = 4,
                                 .type = IOREQ_MEMORY,
                                 .control = IOREQ_CONTROL_READ};

        ck_assert_uint_eq(ioreq_serve(&gsp->dispatch.cpu[0], &req), 0xffffffff);
    }
    ck_assert_ptr_nonnull(strstr(log_text, "nobody answers a read of 4 bytes at mem:0xfe100000"));
    ck_assert_int_eq(end_after_abort(), EFAULT);
}
END_TEST

static void *run_guest(void *arg)
{
    *(int *)arg = guest_run(gsp);
    return NULL;
}

START_TEST(the_end_of_the_guest_ends_the_run)
{
    static const enum guest_end ends[] = {GUEST_POWEROFF, GUEST_REBOOT, GUEST_CRASHED,
                                          GUEST_DESTROYED};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        pthread_t thread;
        int rc = -2;

        open_guest(1, false);
        add("null,loc=mem:0xfe000000");
        configured();
        ck_assert_int_eq(pthread_create(&thread, NULL, run_guest, &rc), 0);
        ck_assert_int_eq(sim_end(gsp, ends[i]), 0);
        pthread_join(thread, NULL);
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(guest_gone(gsp), ends[i]);
        tear_down();
    }
}
END_TEST

START_TEST(stop_from_another_thread)
{
    pthread_t thread;
    int rc = -2;

    open_guest(1, false);
    configured();
    ck_assert_int_eq(pthread_create(&thread, NULL, run_guest, &rc), 0);
    guest_stop(gsp);
    pthread_join(thread, NULL);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(guest_gone(gsp), GUEST_ALIVE);
}
END_TEST

START_TEST(errors_of_a_vdev_name_what_was_expected)
{
    static const struct {
        const char *spec;
        int error;
        const char *says;
    } row[] = {
        {"nosuch", ENOENT, "vdev \"nosuch\": there is no vdev of this name"},
        {"", EINVAL, "expected NAME or NAME,key=value"},
        {"store,=3", EINVAL, "expected NAME or NAME,key=value"},
        {"store,loc=0x1000", EINVAL, "loc=0x1000: expected mem:ADDRESS or io:PORT"},
        {"store,loc=mem:-1", EINVAL, "expected mem:ADDRESS or io:PORT"},
        {"store,loc", EINVAL, "expected mem:ADDRESS or io:PORT"},
        {"store,colour=red", EINVAL, "unknown option \"colour\""},
        {"store,size=many", EINVAL, "size=many: refused"},
        {"store,size", EINVAL, "size: expected a value"},
        {"trace,emit-logger=1", EINVAL, "emit-logger: expected no value"},
        {"store,loc=mem:0xfee00000", EBUSY, "the local APIC"},
        {"store,loc=mem:0x1000", EEXIST, "can't lie at mem:0x1000"},
        {"store,loc=io:0xfffe,size=4", EOVERFLOW, "can't lie at io:0xfffe"},
        {"store,loc=mem:0xfe000000", EEXIST, "can't lie at mem:0xfe000000"},
    };

    open_guest(1, false);
    add("null,loc=mem:0xfe000000");
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        log_text[0] = '\0';
        errno = 0;
        ck_assert_int_eq(guest_add_vdev(gsp, row[i].spec), -1);
        ck_assert_msg(errno == row[i].error, "%s: %s, not %s", row[i].spec, strerror(errno),
                      strerror(row[i].error));
        ck_assert_msg(strstr(log_text, row[i].says) != NULL, "%s: \"%s\" says nothing of \"%s\"",
                      row[i].spec, log_text, row[i].says);
    }
    configured();
    ck_assert_int_eq(guest_add_vdev(gsp, "null"), -1);
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

static int find_vdev(void *arg, const struct guest_vdev_info *info)
{
    *(struct qvm_state_block *)arg = info->block;
    return 0;
}

START_TEST(vdev_without_a_location_gets_one)
{
    struct qvm_state_block block;

    open_guest(1, false);
    add("store");
    configured();
    ck_assert_int_eq(guest_each_vdev(gsp, find_vdev, &block), 0);
    ck_assert_int_eq(block.type, QST_MEMORY);
    ck_assert_uint_eq(block.location, 0xfe000000);
    wr(QST_MEMORY, block.location, 4, 77);
    ck_assert_uint_eq(rd(QST_MEMORY, block.location, 4), 77);
}
END_TEST

/* Eight servers with 255 ranges each, every other port: the next one finds no place, and nothing
 * breaks. */
START_TEST(ranges_and_servers_run_out)
{
    struct gasp_region region = {.flags = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
                                 .guest = {.length = 4, .type = QST_MEMORY}};
    unsigned n = 0;

    open_guest(1, false);
    add("store,loc=io:0x2000");
    region.vdev = &TAILQ_FIRST(&gsp->vdevs)->public;
    for (;; n++) {
        region.guest.location = 0x90000000 + n * 16;
        if (gasp_region_set_soft(gsp, 1, &region) != 1)
            break;
        ck_assert_uint_lt(n, 5000);
    }
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_uint_eq(n, 8 * 255);
    configured();
    wr(QST_X86_IO, PORT, 4, 9);
    ck_assert_uint_eq(rd(QST_X86_IO, PORT, 4), 9);
}
END_TEST

START_TEST(regions_change_while_the_guest_runs)
{
    struct gasp_region region = {.flags = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
                                 .guest = {.location = MMIO, .length = 16, .type = QST_MEMORY}};

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=16");
    configured();
    region.vdev = &TAILQ_FIRST(&gsp->vdevs)->public;
    wr(QST_MEMORY, MMIO, 4, 5);
    region.flags = GRF_NONE;
    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &region), 0);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(gasp_lock(gsp, QST_MEMORY), 0);
    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &region), 1);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 4), 0xffffffff);
    region.flags = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE;
    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &region), 1);
    ck_assert_int_eq(gasp_unlock(gsp, QST_MEMORY), 0);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 4), 5);
}
END_TEST

/* The guest gives pages up: nothing of ours keeps them, what's gone is ENOENT, the rest is as it
 * was. */
START_TEST(ballooned_pages_are_let_go)
{
    struct hv_sim_usage before, after;
    pthread_t thread;
    uint32_t word = 0x12345678, back = 0;
    int rc = -2, tries = 0;

    open_guest(1, false);
    add("store,loc=mem:0xfe000000,size=16");
    configured();
    ck_assert_int_eq(pthread_create(&thread, NULL, run_guest, &rc), 0);
    ck_assert_int_eq(vm_ram_write(gsp, 0x200000, &word, 4), 0);
    ck_assert_int_eq(vm_ram_write(gsp, 0x201000, &word, 4), 0);
    hv_sim_usage(gsp->hv, &before);
    ck_assert_int_eq(sim_balloon(gsp, true, 0x201000, 0x1000), 0);
    rd(QST_MEMORY, MMIO, 4); /* INVALIDATE comes before it */
    do {
        struct timespec ms = {.tv_nsec = 1000000};

        nanosleep(&ms, NULL);
        hv_sim_usage(gsp->hv, &after);
    } while (after.nr_pages != before.nr_pages - 1 && ++tries < 2000);
    ck_assert_uint_eq(after.nr_pages, before.nr_pages - 1);
    ck_assert_int_eq(vm_ram_read(gsp, 0x201000, &back, 4), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_uint_eq(back, 0);
    ck_assert_int_eq(vm_ram_read(gsp, 0x200000, &back, 4), 0);
    ck_assert_uint_eq(back, word);
    guest_stop(gsp);
    pthread_join(thread, NULL);
}
END_TEST

/* The n-th hypervisor call fails, for all n, in a whole life of a guest: everything is given back,
 * the guest lives. */
START_TEST(every_hypervisor_call_may_fail)
{
    unsigned long total = 0;

    for (unsigned long nth = 0; nth == 0 || nth <= total; nth++) {
        struct sim_options sim = {.size = sizeof(sim), .vcpus = 2};
        struct hv_sim_usage before, after;
        struct hv *hv;
        bool ok;

        log_text[0] = '\0';
        ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
        hv = gsp->hv;
        hv_sim_usage(hv, &before);
        if (nth > 0)
            hv_sim_fail_call(hv, nth, ENOMEM);
        total = nth ? total : hv_sim_calls(hv);
        ok = vm_ram_register_at(gsp, 0x100000000u, 4u << 20, false) == 0;
        if (!ok) {
            hv_sim_usage(hv, &after);
            ck_assert_msg(after.nr_pages == before.nr_pages, "call %lu: %lu pages left", nth,
                          (unsigned long)(after.nr_pages - before.nr_pages));
        }
        ok = guest_add_vdev(gsp, "store,loc=mem:0xfe000000") == 0 && ok;
        ok = guest_add_vdev(gsp, "store,name=p,loc=io:0x2000,size=8") == 0 && ok;
        ok = guest_configured(gsp) == 0 && ok;
        if (nth == 0)
            total = hv_sim_calls(hv) - total;
        ck_assert_msg(ok || nth > 0, "without a fault it must work: %s", log_text);
        hv_sim_fail_call(hv, 0, 0);
        /* As guest_close does, but for closing the simulator, which still has to be asked. */
        ioreq_stop(&gsp->dispatch);
        trap_dispose(&gsp->gasp);
        ram_dispose(&gsp->gasp.ram);
        hv_sim_usage(hv, &after);
        ck_assert_msg(after.servers == 0 && after.ranges == 0 && after.ioreq_pages == 0 &&
                          after.bound_ports == 0 && after.mapped_pages == 0 && !after.crashed &&
                          after.pause_count == before.pause_count,
                      "call %lu: left behind: %u servers, %u ranges, %u pages of requests, %u "
                      "ports, %lu mapped pages",
                      nth, after.servers, after.ranges, after.ioreq_pages, after.bound_ports,
                      (unsigned long)after.mapped_pages);
        tear_down();
    }
    ck_assert_uint_gt(total, 20);
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
    tcase_add_test(tc, unsupported_access_is_logged_or_ends_the_run);
    tcase_add_test(tc, the_end_of_the_guest_ends_the_run);
    tcase_add_test(tc, stop_from_another_thread);
    tcase_add_test(tc, errors_of_a_vdev_name_what_was_expected);
    tcase_add_test(tc, vdev_without_a_location_gets_one);
    tcase_add_test(tc, ranges_and_servers_run_out);
    tcase_add_test(tc, regions_change_while_the_guest_runs);
    tcase_add_test(tc, ballooned_pages_are_let_go);
    tcase_add_test(tc, every_hypervisor_call_may_fail);
    tcase_add_test(tc, two_vcpus_get_no_wrong_answer);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
