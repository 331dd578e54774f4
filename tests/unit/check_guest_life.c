/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole house on a simulated guest: from its configuration to its end, with what goes wrong. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>
#include <xengasp/vdev.h>

#include "guest/describe.h"
#include "hv/sim.h"
#include "tests/unit/guest_fixture.h"

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
    ck_assert_uint_ne(rd(QST_MEMORY, MMIO, 8), UINT64_MAX); /* split in two: fine */
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

static int early_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    struct gasp_region region = {.flags = GRF_VIRT_RD | GRF_ACTIVE,
                                 .vdev = vdp,
                                 .guest = {MMIO, 0x1000, QST_MEMORY, QSF_NONE}};

    (void)arg;
    if (ctrl == VDEV_CTRL_OPTIONS_START)
        return gasp_region_set_soft(vdp->v_gsp, 1, &region) == 1 ? 0 : errno;
    return ctrl == VDEV_CTRL_OPTIONS_END ? EPROTO : 0;
}

static struct vdev_factory early_factory = {
    .name = "early",
    .summary = "sets its region, then fails",
    .control = early_control,
    .factory_flags = VFF_VDEV_MEM | VFF_MANUAL_REGION,
    .acc_sizes = VDEV_SIZES_ALL,
};

static void __attribute__((constructor)) early_register(void)
{
    vdev_register_factory(&early_factory, QVM_VDEV_ABI);
}

START_TEST(a_vdev_that_fails_leaves_no_region)
{
    struct qvm_state_block at = {MMIO, 1, QST_MEMORY, QSF_NONE};
    struct gasp_region region;
    struct hv_sim_usage usage;

    open_guest(1, false);
    errno = 0;
    ck_assert_int_eq(guest_add_vdev(gsp, "early"), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert_int_eq(gasp_region_info(gsp, &at, &region), ENOENT);
    hv_sim_usage(gsp->hv, &usage);
    ck_assert_uint_eq(usage.ranges, 0);
    add("store,loc=mem:0xfe000000,size=0x1000");
    configured();
    wr(QST_MEMORY, MMIO, 4, 5);
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 4), 5);
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

static Suite *suite(void)
{
    Suite *s = suite_create("guest_life");
    TCase *tc = tcase_create("guest_life");

    tcase_set_timeout(tc, 3600);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, unsupported_access_is_logged_or_ends_the_run);
    tcase_add_test(tc, a_vdev_that_fails_leaves_no_region);
    tcase_add_test(tc, the_end_of_the_guest_ends_the_run);
    tcase_add_test(tc, stop_from_another_thread);
    tcase_add_test(tc, errors_of_a_vdev_name_what_was_expected);
    tcase_add_test(tc, vdev_without_a_location_gets_one);
    tcase_add_test(tc, ranges_and_servers_run_out);
    tcase_add_test(tc, regions_change_while_the_guest_runs);
    tcase_add_test(tc, ballooned_pages_are_let_go);
    tcase_add_test(tc, every_hypervisor_call_may_fail);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
