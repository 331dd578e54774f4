/* SPDX-License-Identifier: BSD-2-Clause */
/* Regions over RAM and device memory, as the guest and the host see them: on a guest that is served. */
#include <errno.h>
#include <string.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>
#include <xengasp/vdev.h>

#include "hv/sim.h"
#include "ram/ram_internal.h"
#include "tests/unit/guest_fixture.h"

#define R UINT64_C(0x800000) /* RAM */
enum { PAGE = 4096, MIB = 1 << 20 };
enum {
    VIRT = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
    ROM = GRF_PASS_RD | GRF_PASS_EX | GRF_MEMORY | GRF_ACTIVE,
    DEVICE = GRF_PASS_ANY | GRF_ACTIVE,
    READS_PASS = GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE,
};

/* ---- a vdev that answers anywhere: each byte is its region's cookie ---- */

static vdev_t *echo;
static uint64_t written, written_at;

static int echo_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    (void)arg;
    if (ctrl == VDEV_CTRL_OPTIONS_END)
        echo = vdp;
    return 0;
}

static enum vdev_ref_status echo_read(vdev_t *vdp, unsigned cookie,
                                      const struct qvm_state_block *vopnd,
                                      const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint64_t value = cookie * UINT64_C(0x0101010101010101);

    (void)vdp;
    guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, (unsigned)vopnd->length);
    return VRS_NORMAL;
}

static enum vdev_ref_status echo_write(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    (void)vdp;
    (void)cookie;
    written = 0;
    written_at = vopnd->location;
    guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &written, (unsigned)vopnd->length);
    return VRS_NORMAL;
}

static struct vdev_factory echo_factory = {
    .name = "echo",
    .summary = "answers anywhere",
    .control = echo_control,
    .vread = echo_read,
    .vwrite = echo_write,
    .factory_flags = VFF_VDEV_MEM | VFF_MANUAL_REGION | VFF_THREADSAFE,
    .acc_sizes = VDEV_SIZES_ALL,
};

static void __attribute__((constructor)) echo_register(void)
{
    vdev_register_factory(&echo_factory, QVM_VDEV_ABI);
}

/* ---- helpers ---- */

/* 0 or an errno value. */
static int set(uint64_t at, uint64_t length, uint32_t flags, uint32_t cookie)
{
    const struct gasp_region rgn = {
        .flags = flags, .cookie = cookie, .vdev = echo, .guest = {at, length, QST_MEMORY, 0}};
    int rc;

    gasp_lock(gsp, QST_MEMORY);
    rc = gasp_region_set_soft(gsp, 1, &rgn) == 1 ? 0 : errno;
    gasp_unlock(gsp, QST_MEMORY);
    return rc;
}

static void must(int rc)
{
    ck_assert_msg(rc == 0, "%s: %s", strerror(rc), log_text);
}

static uint64_t word(uint64_t gpa)
{
    return gpa * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/* The first and the last word of each page. */
static void stamp(uint64_t at, uint64_t pages)
{
    for (uint64_t gpa = at; gpa < at + pages * PAGE; gpa += PAGE) {
        wr(QST_MEMORY, gpa, 8, word(gpa));
        wr(QST_MEMORY, gpa + PAGE - 8, 8, word(gpa + PAGE - 8));
    }
}

/* By the guest, and by the host. */
static void expect_word(uint64_t gpa)
{
    uint64_t value = 0;

    if (rd(QST_MEMORY, gpa, 8) != word(gpa))
        ck_abort_msg("the guest reads another word at %#jx", (uintmax_t)gpa);
    if (vm_ram_read(gsp, gpa, &value, 8) < 0 || value != word(gpa))
        ck_abort_msg("the host reads another word at %#jx", (uintmax_t)gpa);
}

static void expect_stamps(uint64_t at, uint64_t pages)
{
    for (uint64_t gpa = at; gpa < at + pages * PAGE; gpa += PAGE) {
        expect_word(gpa);
        expect_word(gpa + PAGE - 8);
    }
}

static int host_reads(uint64_t gpa, uint64_t *value_r, size_t size)
{
    *value_r = 0;
    return vm_ram_read(gsp, gpa, value_r, size) == 0 ? 0 : errno;
}

static void new_mapping(void)
{
    ram_invalidate(&gsp->gasp.ram);
    ram_drop_stale(&gsp->gasp.ram);
}

static size_t parked(void)
{
    return gsp->gasp.ram.parked ? gsp->gasp.ram.parked->n : 0;
}

static void open_echo(void)
{
    options.gasp_window = 8 * MIB;
    open_guest(1, false);
    options.gasp_window = 0;
    add("echo");
    configured();
}

/* RAM in the gasp window, where device memory may come while the guest runs. */
static uint64_t window_ram(uint64_t bytes)
{
    uint64_t at = vm_ram_register(gsp, bytes);

    ck_assert_uint_ne(at, 0);
    return at;
}

/* ---- RAM ---- */

static const struct {
    uint64_t at, length, pages; /* that it leaves */
} covers[] = {
    {R, PAGE, 1},      {R + PAGE, 3 * PAGE, 3},          {R + 0x804, 4, 1},
    {R + 0xffc, 8, 2}, {R + PAGE - 8, 2 * PAGE + 16, 4}, {R + 0x10000, 3 * MIB, 768},
};

START_TEST(ram_comes_back)
{
    const uint64_t at = covers[_i].at, length = covers[_i].length;
    uint64_t value;

    stamp(R - PAGE, 801);
    for (unsigned cookie = 1; cookie <= 3; cookie++) {
        must(set(at, length, VIRT, cookie));
        ck_assert_uint_eq(parked(), covers[_i].pages);
        ck_assert_uint_eq(rd(QST_MEMORY, at, 4), cookie * 0x01010101u);
        ck_assert_uint_eq(rd(QST_MEMORY, at + length - 4, 4), cookie * 0x01010101u);
        wr(QST_MEMORY, at + length - 4, 4, 0x4711);
        ck_assert(written == 0x4711 && written_at == at + length - 4);
        ck_assert_int_eq(host_reads(at, &value, 4), ENOENT);
        ck_assert_int_eq(host_reads(at + length - 1, &value, 1), ENOENT);
        ck_assert_int_eq(host_reads(at - 4, &value, 8), ENOENT);
        ck_assert_int_eq(host_reads(at + length - 4, &value, 8), ENOENT);
        ck_assert_int_eq(vm_ram_write(gsp, at, &value, 4), -1);
        ck_assert_int_eq(host_reads(at - 4, &value, 4), 0);
        ck_assert_int_eq(host_reads(at + length, &value, 4), 0);
        expect_word((at & -(uint64_t)PAGE) - PAGE);
        expect_word((at + length + 2 * PAGE) & -(uint64_t)PAGE);
        if (cookie == 2)
            new_mapping();
        must(set(at, length, GRF_NONE, cookie));
        ck_assert_uint_eq(parked(), 0);
        expect_stamps(R - PAGE, 801);
    }
    ck_assert_uint_eq(gsp->gasp.ram.pauses, 0);
}
END_TEST

/* Of a page that is covered in part the rest is memory: to the guest, by way of us, and to the host. */
START_TEST(the_rest_of_a_page_is_memory)
{
    uint64_t value;

    stamp(R, 3);
    must(set(R + PAGE + 0x10, 8, VIRT, 7));
    for (int again = 0; again < 2; again++) {
        expect_stamps(R, 3);
        wr(QST_MEMORY, R + PAGE + 0x18, 8, 0x1122334455667788);
        ck_assert_int_eq(host_reads(R + PAGE + 0x18, &value, 8), 0);
        ck_assert_uint_eq(value, 0x1122334455667788);
        value = 0xabcdef;
        ck_assert_int_eq(vm_ram_write(gsp, R + PAGE + 0x18, &value, 8), 0);
        ck_assert_uint_eq(rd(QST_MEMORY, R + PAGE + 0x18, 8), 0xabcdef);
        /* Half of it is the vdev's. */
        ck_assert_uint_eq(rd(QST_MEMORY, R + PAGE + 0x14, 8), 0x00abcdef07070707);
        wr(QST_MEMORY, R + PAGE + 0xc, 8, 0x5566778811223344);
        ck_assert(written == 0x55667788 && written_at == R + PAGE + 0x10);
        ck_assert_uint_eq(rd(QST_MEMORY, R + PAGE + 0xc, 4), 0x11223344);
        new_mapping();
    }
    must(set(R + PAGE + 0x10, 8, GRF_NONE, 7));
    ck_assert_uint_eq(rd(QST_MEMORY, R + PAGE + 0x18, 8), 0xabcdef);
    expect_stamps(R, 3);
}
END_TEST

/* A page that the guest has given up is none, covered or not; the others aren't harmed. */
START_TEST(what_the_guest_gave_up_stays_away)
{
    uint64_t value;

    stamp(R, 8);
    ck_assert_int_eq(sim_balloon(gsp, true, R + 2 * PAGE, 2 * PAGE), 0);
    must(set(R + PAGE, 4 * PAGE, VIRT, 3));
    ck_assert_uint_eq(parked(), 2);
    ck_assert_uint_eq(rd(QST_MEMORY, R + 2 * PAGE, 1), 3);
    must(set(R + PAGE, 4 * PAGE, GRF_NONE, 3));
    new_mapping();
    ck_assert_int_eq(host_reads(R + 2 * PAGE, &value, 8), ENOENT);
    expect_stamps(R, 2);
    expect_stamps(R + 4 * PAGE, 4);
    must(set(R + 2 * PAGE + 8, 8, VIRT, 4));
    ck_assert_uint_eq(rd(QST_MEMORY, R + 2 * PAGE + 8, 4), 0x04040404);
    ck_assert_uint_eq(rd(QST_MEMORY, R + 2 * PAGE, 8), UINT64_MAX);
    must(set(R + 2 * PAGE + 8, 8, GRF_NONE, 4));
    must(set(R, 8 * PAGE, ROM, 5));
    must(set(R, 8 * PAGE, GRF_NONE, 5));
    ck_assert_int_eq(sim_balloon(gsp, false, R + 2 * PAGE, 2 * PAGE), 0);
    stamp(R + 2 * PAGE, 2);
    new_mapping();
    expect_stamps(R, 8);
}
END_TEST

START_TEST(rom_is_not_written)
{
    stamp(R, 4);
    must(set(R + PAGE, 2 * PAGE, ROM, 1));
    for (int again = 0; again < 3; again++) {
        wr(QST_MEMORY, R + PAGE, 8, 1);
        wr(QST_MEMORY, R + 3 * PAGE - 8, 8, 1);
        expect_stamps(R, 4);
        if (again == 0) { /* what leaves and comes back is still ROM; parts of pages are, too */
            must(set(R + PAGE, PAGE, VIRT, 2));
            must(set(R + PAGE, PAGE, GRF_NONE, 2));
        } else if (again == 1) {
            must(set(R + PAGE + 8, 8, VIRT, 2));
        }
    }
    must(set(R + PAGE + 8, 8, GRF_NONE, 2));
    must(set(R + PAGE, 2 * PAGE, GRF_NONE, 1));
    stamp(R + PAGE, 2);
    wr(QST_MEMORY, R + PAGE + 8, 8, 5);
    ck_assert_uint_eq(rd(QST_MEMORY, R + PAGE + 8, 8), 5);
}
END_TEST

START_TEST(writes_trap_and_reads_pass)
{
    uint64_t value;

    stamp(R, 3);
    must(set(R + PAGE, PAGE, READS_PASS, 9));
    wr(QST_MEMORY, R + PAGE, 8, 0x4711);
    ck_assert(written == 0x4711 && written_at == R + PAGE);
    ck_assert_uint_eq(rd(QST_MEMORY, R + PAGE, 8), word(R + PAGE));
    ck_assert_int_eq(host_reads(R + PAGE, &value, 8), ENOENT); /* not RAM */
    new_mapping();
    ck_assert_uint_eq(rd(QST_MEMORY, R + 2 * PAGE - 8, 8), word(R + 2 * PAGE - 8));
    must(set(R + PAGE, PAGE, GRF_NONE, 9));
    expect_stamps(R, 3);
}
END_TEST

/* ---- device memory ---- */

START_TEST(device_memory_in_a_hole)
{
    uint64_t at = gsp->gasp.window.first + MIB, value;

    for (int again = 0; again < 2; again++) {
        must(set(at, 3 * PAGE, DEVICE, 1));
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 8), 0);
        wr(QST_MEMORY, at + PAGE, 8, 0x4711);
        wr(QST_MEMORY, at + PAGE + 16, 8, 0x4712);
        ck_assert_int_eq(host_reads(at + PAGE, &value, 8), ENOENT);
        must(set(at + PAGE, PAGE, VIRT, 2));
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 1), 2);
        must(set(at + PAGE, PAGE, GRF_NONE, 2));
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 8), 0x4711);
        must(set(at + PAGE, 8, VIRT, 3)); /* in part */
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 1), 3);
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE + 16, 8), 0x4712);
        must(set(at + PAGE, 8, GRF_NONE, 3));
        must(set(at, 3 * PAGE, GRF_PASS_ANY, 1)); /* off and on */
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 8), UINT64_MAX);
        must(set(at, 3 * PAGE, DEVICE, 1));
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 8), 0x4711);
        must(set(at + PAGE, PAGE, GRF_NONE, 1)); /* piece by piece */
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 8), UINT64_MAX);
        must(set(at, PAGE, GRF_NONE, 1));
        must(set(at + 2 * PAGE, PAGE, GRF_NONE, 1));
    }
}
END_TEST

START_TEST(device_memory_over_ram)
{
    uint64_t at = window_ram(2 * MIB);

    stamp(at, 8);
    for (int again = 0; again < 2; again++) {
        must(set(at + PAGE, 4 * PAGE, DEVICE, 1));
        expect_word(at);
        ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE, 8), 0);
        wr(QST_MEMORY, at + 2 * PAGE, 8, 0x99);
        must(set(at + 2 * PAGE, PAGE, DEVICE, 2)); /* a layer more */
        ck_assert_uint_eq(rd(QST_MEMORY, at + 2 * PAGE, 8), 0);
        must(set(at + 2 * PAGE + 64, 64, VIRT, 3));
        ck_assert_uint_eq(rd(QST_MEMORY, at + 2 * PAGE, 8), 0);
        must(set(at + 2 * PAGE, PAGE, GRF_NONE, 2)); /* from beneath */
        ck_assert_uint_eq(rd(QST_MEMORY, at + 2 * PAGE, 8), 0x99);
        ck_assert_uint_eq(rd(QST_MEMORY, at + 2 * PAGE + 64, 1), 3);
        must(set(at + PAGE, 4 * PAGE, GRF_NONE, 1));
        ck_assert_uint_eq(rd(QST_MEMORY, at + 2 * PAGE, 8), word(at + 2 * PAGE));
        must(set(at + 2 * PAGE + 64, 64, GRF_NONE, 3));
        expect_stamps(at, 8);
    }
    ck_assert_uint_eq(parked(), 0);
    ck_assert_int_eq(vm_ram_unregister(gsp, at, 2 * MIB), 0);
}
END_TEST

/* Who has device memory mapped keeps it. */
START_TEST(pinned_device_memory_stays)
{
    uint64_t at = gsp->gasp.window.first + 2 * MIB;
    struct range range = {at, at + PAGE - 1};
    struct hv_sim_usage before, after;

    must(set(at, 2 * PAGE, DEVICE, 1));
    wr(QST_MEMORY, at, 8, 0x4711);
    ck_assert_int_eq(ram_pin(&gsp->gasp.ram, range), 0);
    hv_sim_usage(gsp->hv, &before);
    ck_assert_int_eq(set(at, 2 * PAGE, GRF_NONE, 1), EBUSY);
    ck_assert_int_eq(set(at + PAGE, PAGE, GRF_NONE, 1), EBUSY);
    hv_sim_usage(gsp->hv, &after);
    ck_assert(before.nr_pages == after.nr_pages && before.ranges == after.ranges);
    ck_assert_uint_eq(rd(QST_MEMORY, at, 8), 0x4711);
    ram_unpin(&gsp->gasp.ram, range);
    must(set(at, 2 * PAGE, GRF_NONE, 1));
    ck_assert_uint_eq(rd(QST_MEMORY, at, 8), UINT64_MAX);
}
END_TEST

/* Also when RAM is to come back, and has done so already when that is found. */
START_TEST(pinned_device_memory_stays_over_ram)
{
    uint64_t at = window_ram(2 * MIB);
    struct range range = {at, at + PAGE - 1};

    stamp(at, 4);
    must(set(at + PAGE, 2 * PAGE, DEVICE, 1));
    wr(QST_MEMORY, at + PAGE + 8, 8, 0x4711);
    wr(QST_MEMORY, at + 2 * PAGE + 8, 8, 0x4712);
    must(set(at + PAGE + 0x100, 8, VIRT, 2));
    ck_assert_int_eq(ram_pin(&gsp->gasp.ram, range), 0);
    ck_assert_int_eq(set(at + PAGE, 2 * PAGE, GRF_NONE, 1), EBUSY);
    ram_unpin(&gsp->gasp.ram, range);
    new_mapping();
    ck_assert_uint_eq(rd(QST_MEMORY, at + PAGE + 8, 8), 0x4711);
    ck_assert_uint_eq(rd(QST_MEMORY, at + 2 * PAGE + 8, 8), 0x4712);
    must(set(at + PAGE, 2 * PAGE, GRF_NONE, 1));
    must(set(at + PAGE + 0x100, 8, GRF_NONE, 2));
    expect_stamps(at, 4);
}
END_TEST

/* A guest that runs may use any hole but the window. */
START_TEST(device_memory_outside_the_window)
{
    uint64_t first = gsp->gasp.window.first, last = gsp->gasp.window.last;

    ck_assert_int_eq(set(MMIO, PAGE, DEVICE, 1), EBUSY);
    ck_assert_int_eq(set(R, PAGE, DEVICE, 1), EBUSY);
    ck_assert_int_eq(set(last + 1 - PAGE, 2 * PAGE, DEVICE, 1), EBUSY);
    ck_assert_int_eq(set(gsp->gasp.parking.first, PAGE, VIRT, 1), EBUSY);
    ck_assert_int_eq(set(first + 8, PAGE, DEVICE, 1), EINVAL);
    ck_assert_int_eq(set(first, PAGE - 8, DEVICE, 1), EINVAL);
    ck_assert_int_eq(set(R - PAGE, 64 * MIB, VIRT, 1), EEXIST);
    ck_assert_int_eq(set(R, PAGE, VIRT | GRF_PRECIOUS, 1), EBUSY);
    ck_assert_int_eq(set(R, PAGE, GRF_NONE, 1), EPERM);
    ck_assert_int_eq(set(first, PAGE, GRF_NONE, 1), ENOENT);
    must(set(last + 1 - PAGE, PAGE, DEVICE, 1));
    ck_assert_int_eq(set(last + 1 - PAGE, PAGE, ROM, 1), ENOTSUP);
    ck_assert_int_eq(set(last + 1 - PAGE, PAGE / 2, GRF_NONE, 1), EINVAL);
    must(set(last + 1 - PAGE, PAGE, GRF_NONE, 1));
    ck_assert_uint_eq(parked(), 0);
}
END_TEST

/* ---- what there is only so much of ---- */

START_TEST(the_parking_window_is_full)
{
    enum { PLACES = 16 * MIB / PAGE - 1 }; /* but for the spare page */

    stamp(R, 1);
    stamp(R + (PLACES - 1) * (uint64_t)PAGE, 2);
    ck_assert_int_eq(set(R, (PLACES + 1) * (uint64_t)PAGE, VIRT, 1), ENOSPC);
    ck_assert_uint_eq(parked(), 0);
    expect_stamps(R, 1);
    must(set(R + PAGE, (PLACES - 1) * (uint64_t)PAGE, VIRT, 1));
    must(set(R + 16, 4, VIRT, 2)); /* the last place */
    ck_assert_int_eq(set(R + (PLACES + 8) * (uint64_t)PAGE, 4, VIRT, 3), ENOSPC);
    ck_assert_uint_eq(parked(), PLACES);
    expect_stamps(R, 1);
    must(set(R + PAGE, (PLACES - 1) * (uint64_t)PAGE, GRF_NONE, 1));
    must(set(R + (PLACES + 8) * (uint64_t)PAGE, 4, VIRT, 3));
    must(set(R + 16, 4, GRF_NONE, 2));
    expect_stamps(R, 1);
    expect_stamps(R + (PLACES - 1) * (uint64_t)PAGE, 2);
}
END_TEST

/* Pages that lay side by side find places that don't, and come back in order. */
START_TEST(places_lie_apart)
{
    enum { PLACES = 16 * MIB / PAGE - 1 };

    stamp(R, 20);
    for (uint64_t i = 0; i < PLACES; i++)
        must(set(R + MIB + 2 * i * PAGE, PAGE, GRF_NOPERMS | GRF_ACTIVE, 1));
    for (uint64_t i = 0; i < 20; i++)
        must(set(R + MIB + 2 * (7 + 3 * i) * PAGE, PAGE, GRF_NONE, 1));
    must(set(R, 20 * PAGE, VIRT, 2));
    ck_assert_uint_eq(parked(), PLACES);
    ck_assert_uint_eq(rd(QST_MEMORY, R + 19 * PAGE, 1), 2);
    must(set(R + 3 * PAGE, 16, GRF_NONE, 2)); /* what was beneath, at its place */
    expect_word(R + 3 * PAGE);
    must(set(R, 3 * PAGE, GRF_NONE, 2));
    must(set(R + 3 * PAGE + 16, 17 * PAGE - 16, GRF_NONE, 2));
    expect_stamps(R, 20);
}
END_TEST

/* A guest that ran before we knew it has no place to park at. */
START_TEST(no_parking_window)
{
    struct sim_options sim = {.size = sizeof(sim), .vcpus = 1, .running = true};

    tear_down();
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
    add("echo");
    configured();
    stamp(R, 1);
    log_text[0] = '\0';
    ck_assert_int_eq(set(R, PAGE, VIRT, 1), ENOSPC);
    ck_assert_ptr_nonnull(strstr(log_text, "without a place"));
    expect_stamps(R, 1);
    must(set(MMIO, PAGE, VIRT, 1));
    ck_assert_uint_eq(rd(QST_MEMORY, MMIO, 1), 1);
}
END_TEST

/* Ranges and servers run out: nothing of the one over the limit is left. */
START_TEST(ranges_run_out)
{
    const unsigned most = HV_MAX_SERVERS * (HV_MAX_RANGES - 1);
    const uint64_t over = R + 2 * (uint64_t)most * PAGE;
    struct hv_sim_usage usage;

    stamp(R, 6);
    stamp(over, 1);
    for (uint64_t i = 0; i < most; i++)
        must(set(R + 2 * i * PAGE, PAGE, VIRT, 1));
    hv_sim_usage(gsp->hv, &usage);
    ck_assert(usage.ranges == most && usage.servers == HV_MAX_SERVERS);
    ck_assert_int_eq(set(over, PAGE, VIRT, 2), ENOSPC);
    ck_assert_int_eq(set(over + 16, 4, VIRT, 2), ENOSPC);
    ck_assert_uint_eq(parked(), most);
    expect_stamps(over, 1);
    must(set(R + 100 * PAGE + 0x400, 0x100, GRF_NONE, 1)); /* the page traps as a whole */
    must(set(R + PAGE, PAGE, VIRT, 2));                    /* between two: one less */
    must(set(over, PAGE, VIRT, 2));
    ck_assert_uint_eq(rd(QST_MEMORY, over, 1), 2);
    must(set(R + PAGE, PAGE, GRF_NONE,
             2)); /* the middle of one, at the limit: the spare is for it */
    expect_word(R + PAGE);
    ck_assert_uint_eq(rd(QST_MEMORY, R, 1), 1);
    ck_assert_uint_eq(rd(QST_MEMORY, R + 2 * PAGE, 1), 1);
    hv_sim_usage(gsp->hv, &usage);
    ck_assert(usage.ranges == most + 1 && !usage.crashed);
}
END_TEST

START_TEST(the_guest_dies)
{
    stamp(R, 2);
    must(set(R, PAGE, VIRT, 1));
    hv_sim_destroy(gsp->hv);
    ck_assert_int_eq(set(R + PAGE, PAGE, VIRT, 1), ESRCH);
    ck_assert_int_eq(set(R, PAGE, GRF_NONE, 1), ESRCH);
}
END_TEST

/* What was sent to us before the change is answered by what is there after it. */
START_TEST(a_request_in_flight)
{
    struct ioreq_slot req = {
        .addr = R + 8, .count = 1, .size = 8, .type = IOREQ_MEMORY, .control = IOREQ_CONTROL_READ};
    struct ioreq_cpu *cpu = &gsp->dispatch.cpu[0];
    struct ioreq_slot wreq = req;

    wr(QST_MEMORY, R + 8, 8, 0x1234);
    must(set(R, PAGE, VIRT, 1));
    ck_assert_uint_eq(ioreq_serve(cpu, &req), 0x0101010101010101);
    must(set(R, PAGE, VIRT, 2));
    ck_assert_uint_eq(ioreq_serve(cpu, &req), 0x0202020202020202);
    must(set(R, PAGE, GRF_NONE, 2));
    must(set(R, PAGE, GRF_NONE, 1));
    ck_assert_uint_eq(ioreq_serve(cpu, &req), 0x1234);
    wreq.control = 0;
    wreq.data = 0x5678;
    ioreq_serve(cpu, &wreq);
    ck_assert_uint_eq(rd(QST_MEMORY, R + 8, 8), 0x5678);
    req.addr = MMIO;
    ck_assert_uint_eq(ioreq_serve(cpu, &req), UINT64_MAX);
}
END_TEST

/* When the service goes, RAM is where it belongs. */
START_TEST(closing_leaves_none_parked)
{
    must(set(R, 4 * PAGE, VIRT, 1));
    must(set(R + 8 * PAGE + 4, 4, VIRT, 2));
    must(set(R + 6 * PAGE, 6 * PAGE, ROM, 3) == EEXIST ? 0 : EINVAL);
    gasp_lock(gsp, QST_MEMORY);
    gasp_drop_regions(&gsp->gasp, echo);
    gasp_unlock(gsp, QST_MEMORY);
    ck_assert_uint_eq(parked(), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("overlay");
    TCase *t = tcase_create("overlay");

    tcase_add_checked_fixture(t, open_echo, tear_down);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, ram_comes_back, 0, sizeof(covers) / sizeof(covers[0]));
    tcase_add_test(t, the_rest_of_a_page_is_memory);
    tcase_add_test(t, what_the_guest_gave_up_stays_away);
    tcase_add_test(t, rom_is_not_written);
    tcase_add_test(t, writes_trap_and_reads_pass);
    tcase_add_test(t, device_memory_in_a_hole);
    tcase_add_test(t, device_memory_over_ram);
    tcase_add_test(t, pinned_device_memory_stays);
    tcase_add_test(t, pinned_device_memory_stays_over_ram);
    tcase_add_test(t, device_memory_outside_the_window);
    tcase_add_test(t, places_lie_apart);
    tcase_add_test(t, the_parking_window_is_full);
    tcase_add_test(t, no_parking_window);
    tcase_add_test(t, ranges_run_out);
    tcase_add_test(t, the_guest_dies);
    tcase_add_test(t, a_request_in_flight);
    tcase_add_test(t, closing_leaves_none_parked);
    suite_add_tcase(suite, t);
    return suite;
}

CHECK_MAIN(make_suite)
