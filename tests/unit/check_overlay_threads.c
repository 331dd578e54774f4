/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM is covered and uncovered under the accesses of a running guest, which sees the one or the
 * other and never a hole. XENGASP_OVERLAY_COUNT says how often.
 *
 * The first times each hypervisor call waits, before and after, until the guest has made an access of
 * its own at that moment: so each state in between is looked at, however fast the machine is.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "tests/unit/guest_fixture.h"

#define PAGE_AT UINT64_C(0x800000)
enum {
    PAGE = 4096,
    WORD = 0x800, /* the register's offset */
    COUNT = 1000,
    LOOKED_AT = 25,        /* of them, in every state */
    LOOK_WITHIN_US = 3000, /* an access may have to wait for the change itself */
    CLOSES = 10,
    VCPUS = 2,
};

#define TRAPS (GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE)
#define ROM (GRF_MEMORY | GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE)

/* ---- the two right values: of RAM, and of what covers it ---- */

enum { RAM, VDEV };

static uint64_t value_of(int whose, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = size; i-- > 0;)
        value = value << 8 | (uint8_t)((offset + i) * 5 % 0x7f + (whose == RAM ? 0x80 : 1));
    return value;
}

/* ---- the vdev ---- */

static _Atomic uint64_t vdev_reads, vdev_writes, vdev_wrong;
static vdev_t *vdev;

static void (*at_terminate)(void);

static int cover_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    (void)arg;
    vdev = vdp;
    if (ctrl == VDEV_CTRL_TERMINATE && at_terminate)
        at_terminate();
    return 0;
}

static enum vdev_ref_status cover_read(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint64_t value = value_of(VDEV, vopnd->location - PAGE_AT, (unsigned)vopnd->length);

    (void)vdp;
    (void)cookie;
    vdev_reads++;
    guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, (unsigned)vopnd->length);
    return VRS_NORMAL;
}

/* The guest writes the RAM's value, wherever it lands; 0 where it should be dropped. */
static enum vdev_ref_status cover_write(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint64_t value = 0;

    (void)vdp;
    (void)cookie;
    vdev_writes++;
    guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, (unsigned)vopnd->length);
    vdev_wrong +=
        value && value != value_of(RAM, vopnd->location - PAGE_AT, (unsigned)vopnd->length);
    return VRS_NORMAL;
}

static struct vdev_factory cover_factory = {
    .name = "cover",
    .summary = "covers RAM",
    .control = cover_control,
    .vread = cover_read,
    .vwrite = cover_write,
    .factory_flags = VFF_VDEV_MEM | VFF_MANUAL_REGION | VFF_THREADSAFE,
    .acc_sizes = VDEV_SIZES_ALL,
};

static void __attribute__((constructor)) cover_register(void)
{
    vdev_register_factory(&cover_factory, QVM_VDEV_ABI);
}

/* ---- the guest ---- */

struct cpu {
    pthread_t thread;
    unsigned index;
    void (*round)(struct cpu *cpu, uint64_t n);
    _Atomic uint64_t rounds;
    _Atomic uint64_t wrong;
    uint64_t seen[2];
    uint64_t kept;   /* what it has written */
    char first[128]; /* wrong answer */
};

static struct cpu cpus[VCPUS];
static atomic_bool ending;

static void complain(struct cpu *cpu, uint64_t addr, unsigned size, uint64_t got)
{
    if (cpu->wrong++ == 0)
        snprintf(cpu->first, sizeof(cpu->first), "round %llu: %u bytes at %#llx are %#llx",
                 (unsigned long long)cpu->rounds, size, (unsigned long long)addr,
                 (unsigned long long)got);
}

static uint64_t get(struct cpu *cpu, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    if (sim_read(gsp, cpu->index, QST_MEMORY, addr, size, &value) < 0)
        complain(cpu, addr, size, 0);
    return value;
}

static void put(struct cpu *cpu, uint64_t addr, unsigned size, uint64_t value)
{
    if (sim_write(gsp, cpu->index, QST_MEMORY, addr, size, value) < 0)
        complain(cpu, addr, size, value);
}

static void *drive(void *arg)
{
    struct cpu *cpu = arg;

    while (!ending) {
        cpu->round(cpu, cpu->rounds);
        cpu->rounds++;
    }
    return NULL;
}

static void read_either(struct cpu *cpu, uint64_t offset, unsigned size)
{
    uint64_t got = get(cpu, PAGE_AT + offset, size);

    if (got == value_of(RAM, offset, size))
        cpu->seen[RAM]++;
    else if (got == value_of(VDEV, offset, size))
        cpu->seen[VDEV]++;
    else
        complain(cpu, PAGE_AT + offset, size, got);
}

static void read_page(struct cpu *cpu, uint64_t n)
{
    unsigned size = 1u << n % 4;

    read_either(cpu, n * 72 % PAGE / size * size, size);
}

/* The register, its parts, and now and then also what lies beside it. */
static void read_word(struct cpu *cpu, uint64_t n)
{
    uint64_t got;

    read_either(cpu, n % 4 == 3 ? WORD + 2 : WORD, n % 4 == 3 ? 2 : 4);
    if (n % 8 != 0)
        return;
    got = get(cpu, PAGE_AT + WORD, 8);
    if (got >> 32 != value_of(RAM, WORD + 4, 4) ||
        ((uint32_t)got != value_of(RAM, WORD, 4) && (uint32_t)got != value_of(VDEV, WORD, 4)))
        complain(cpu, PAGE_AT + WORD, 8, got);
}

static void write_and_read(struct cpu *cpu, uint64_t n, uint64_t addr)
{
    unsigned size = 1u << n % 4;
    uint64_t value = (n + 1) * UINT64_C(0x0101010101010101) & UINT64_MAX >> (64 - 8 * size), got;

    put(cpu, addr, size, value);
    got = get(cpu, addr, size);
    if (got != value)
        complain(cpu, addr, size, got);
}

/* The next page, and what is right into this one. */
static void write_beside(struct cpu *cpu, uint64_t n)
{
    uint64_t offset = n * 40 % PAGE;

    write_and_read(cpu, n, PAGE_AT + PAGE + n * 8 % PAGE);
    if (n % 4 == 0)
        put(cpu, PAGE_AT + offset, 8, value_of(RAM, offset, 8));
}

/* All of the page but 16 bytes, and what is right into the register. */
static void write_around(struct cpu *cpu, uint64_t n)
{
    uint64_t offset = n * 8 % PAGE;

    if (offset != WORD && offset != WORD + 8)
        write_and_read(cpu, n, PAGE_AT + offset);
    if (n % 4 == 0)
        put(cpu, PAGE_AT + WORD, 4, value_of(RAM, WORD, 4));
}

/* A write that is dropped leaves what there was. */
static void write_perhaps(struct cpu *cpu, uint64_t n)
{
    uint64_t got;

    put(cpu, PAGE_AT + WORD, 8, n + 1);
    got = get(cpu, PAGE_AT + WORD, 8);
    if (got == n + 1)
        cpu->seen[RAM]++;
    else if (got == cpu->kept)
        cpu->seen[VDEV]++;
    else
        complain(cpu, PAGE_AT + WORD, 8, got);
    cpu->kept = got;
}

static void read_ram(struct cpu *cpu, uint64_t n)
{
    uint64_t offset = n * 8 % PAGE;
    uint64_t got = get(cpu, PAGE_AT + offset, 8);

    cpu->seen[RAM]++;
    if (offset != WORD && got != value_of(RAM, offset, 8))
        complain(cpu, PAGE_AT + offset, 8, got);
}

/* ---- accesses between any two hypervisor calls ---- */

static const struct hv_ops *ops;
static bool looking; /* of the thread that changes the map */

static void let_guest_in(void)
{
    uint64_t until[VCPUS];

    for (unsigned i = 0; looking && i < VCPUS; i++)
        until[i] = cpus[i].rounds + 2;
    for (unsigned i = 0; looking && i < VCPUS; i++)
        for (unsigned us = 0; us < LOOK_WITHIN_US && cpus[i].rounds < until[i]; us += 50)
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

static int relocate(struct hv *hv, size_t n, uint64_t from, uint64_t to)
{
    int rc;

    let_guest_in();
    rc = ops->relocate(hv, n, from, to);
    let_guest_in();
    return rc;
}

static int set_ram_type(struct hv *hv, bool read_only, size_t n, uint64_t gfn)
{
    int rc;

    let_guest_in();
    rc = ops->set_ram_type(hv, read_only, n, gfn);
    let_guest_in();
    return rc;
}

static int map_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                     uint64_t last)
{
    int rc;

    let_guest_in();
    rc = ops->server_map_range(hv, server, type, first, last);
    let_guest_in();
    return rc;
}

static int unmap_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                       uint64_t last)
{
    int rc;

    let_guest_in();
    rc = ops->server_unmap_range(hv, server, type, first, last);
    let_guest_in();
    return rc;
}

static void look_between_calls(struct hv *hv)
{
    static struct hv_ops mine;

    ops = hv->ops;
    mine = *ops;
    mine.relocate = relocate;
    mine.set_ram_type = set_ram_type;
    mine.server_map_range = map_range;
    mine.server_unmap_range = unmap_range;
    hv->ops = &mine;
}

/* ---- the service ---- */

static void *run(void *arg)
{
    ck_assert_int_eq(guest_run(arg), 0);
    return NULL;
}

static void set(uint64_t at, uint64_t length, uint32_t flags)
{
    const struct gasp_region rgn = {
        .flags = flags, .vdev = vdev, .guest = {at, length, QST_MEMORY, 0}};
    unsigned n;

    ck_assert_int_eq(gasp_lock(gsp, QST_MEMORY), 0);
    n = gasp_region_set_soft(gsp, 1, &rgn);
    ck_assert_msg(n == 1, "flags %#x: %s: %s", flags, strerror(errno), log_text);
    ck_assert_int_eq(gasp_unlock(gsp, QST_MEMORY), 0);
}

static unsigned long count(void)
{
    const char *n = getenv("XENGASP_OVERLAY_COUNT");

    return n ? strtoul(n, NULL, 0) : COUNT;
}

struct job {
    uint64_t at, length;
    uint32_t flags;
    void (*round[VCPUS])(struct cpu *cpu, uint64_t n);
};

static void cover_and_uncover(const struct job *job)
{
    for (unsigned long i = 0; i < count(); i++) {
        looking = i < LOOKED_AT;
        set(job->at, job->length, job->flags);
        let_guest_in();
        set(job->at, job->length, GRF_NONE);
        let_guest_in();
        if (cpus[0].wrong || cpus[1].wrong)
            break;
    }
    looking = false;
}

static void start_guest(const struct job *job)
{
    for (uint64_t offset = 0; offset < PAGE; offset += 8) {
        uint64_t value = value_of(RAM, offset, 8);

        ck_assert_int_eq(vm_ram_write(gsp, PAGE_AT + offset, &value, 8), 0);
    }
    ending = false;
    for (unsigned i = 0; i < VCPUS; i++) {
        cpus[i] = (struct cpu){.index = i, .round = job->round[i]};
        cpus[i].kept = value_of(RAM, WORD, 8);
        ck_assert_int_eq(pthread_create(&cpus[i].thread, NULL, drive, &cpus[i]), 0);
    }
}

static void stop_guest(void)
{
    ending = true;
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_join(cpus[i].thread, NULL);
}

static void nothing_wrong(void)
{
    for (unsigned i = 0; i < VCPUS; i++)
        ck_assert_msg(cpus[i].wrong == 0, "vCPU %u: %llu wrong answers; %s", i,
                      (unsigned long long)cpus[i].wrong, cpus[i].first);
}

static void under_accesses(const struct job *job)
{
    pthread_t runner;

    ck_assert_int_eq(pthread_create(&runner, NULL, run, gsp), 0);
    start_guest(job);
    cover_and_uncover(job);
    stop_guest();
    guest_stop(gsp);
    pthread_join(runner, NULL);
    nothing_wrong();
}

static void ready(void)
{
    open_guest(VCPUS, false);
    add("cover");
    look_between_calls(gsp->hv);
    configured();
}

static void nothing_missed(uint64_t pauses)
{
    struct guest_stats stats;

    guest_get_stats(gsp, &stats);
    ck_assert_uint_eq(stats.unclaimed, 0);
    ck_assert_uint_eq(stats.malformed, 0);
    ck_assert_uint_eq(stats.pauses, pauses);
    ck_assert_uint_eq(vdev_wrong, 0);
}

START_TEST(a_page_is_covered)
{
    ready();
    under_accesses(&(struct job){PAGE_AT, PAGE, TRAPS, {read_page, write_beside}});
    ck_assert_uint_gt(cpus[0].seen[RAM], 0);
    ck_assert_uint_gt(cpus[0].seen[VDEV], 0);
    ck_assert_uint_gt(vdev_writes, 0);
    nothing_missed(0);
}
END_TEST

START_TEST(four_bytes_are_covered)
{
    ready();
    under_accesses(&(struct job){PAGE_AT + WORD, 4, TRAPS, {read_word, write_around}});
    ck_assert_uint_gt(cpus[0].seen[RAM], 0);
    ck_assert_uint_gt(cpus[0].seen[VDEV], 0);
    ck_assert_uint_gt(vdev_writes, 0);
    nothing_missed(0);
}
END_TEST

/* Reads go on to the page, wherever it lies. */
START_TEST(writes_alone_are_trapped)
{
    const uint32_t flags = GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE;

    ready();
    under_accesses(&(struct job){PAGE_AT, PAGE, flags, {read_page, write_beside}});
    ck_assert_uint_gt(cpus[0].seen[RAM], 0);
    ck_assert_uint_eq(cpus[0].seen[VDEV], 0);
    ck_assert_uint_eq(vdev_reads, 0);
    ck_assert_uint_gt(vdev_writes, 0);
    nothing_missed(0);
}
END_TEST

START_TEST(a_page_becomes_rom)
{
    ready();
    under_accesses(&(struct job){PAGE_AT, PAGE, ROM, {read_ram, write_perhaps}});
    ck_assert_uint_gt(cpus[1].seen[RAM], 0);
    ck_assert_uint_gt(cpus[1].seen[VDEV], 0);
    nothing_missed(0);
}
END_TEST

static void stop_once(void)
{
    at_terminate = NULL;
    stop_guest();
}

/* The guest runs on when nobody answers any more, and finds its RAM. */
static void write_rom(struct cpu *cpu, uint64_t n)
{
    uint64_t offset = n * 8 % PAGE;

    put(cpu, PAGE_AT + offset, 8, 0);
}

/* What the guest writes to read-only RAM is dropped, also when that has just come back. */
START_TEST(rom_is_covered)
{
    const struct gasp_region rom = {
        .flags = ROM, .cookie = 1, .guest = {PAGE_AT, PAGE, QST_MEMORY, 0}};

    ready();
    for (uint64_t offset = 0; offset < PAGE; offset += 8) {
        uint64_t value = value_of(RAM, offset, 8);

        ck_assert_int_eq(vm_ram_write(gsp, PAGE_AT + offset, &value, 8), 0);
    }
    gasp_lock(gsp, QST_MEMORY);
    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &rom), 1);
    gasp_unlock(gsp, QST_MEMORY);
    under_accesses(&(struct job){PAGE_AT + WORD, 4, TRAPS, {read_word, write_rom}});
    nothing_missed(count());
}
END_TEST

START_TEST(the_service_ends)
{
    static const struct job jobs[] = {
        {PAGE_AT, PAGE, TRAPS, {read_page, write_beside}},
        {PAGE_AT + WORD, 4, TRAPS, {read_word, write_around}},
    };

    for (unsigned i = 0; i < CLOSES; i++) {
        const struct job *job = &jobs[i % 2];

        ready();
        start_guest(job);
        while (cpus[0].rounds == 0)
            usleep(100);
        vdev_reads = 0;
        set(job->at, job->length, job->flags);
        /* One of two that follow each other is counted as seen. */
        while (vdev_reads < 2 && cpus[0].wrong == 0)
            usleep(100);
        looking = true;
        at_terminate = stop_once;
        guest_close(gsp);
        gsp = NULL;
        looking = false;
        nothing_wrong();
        ck_assert_uint_gt(cpus[0].seen[RAM], 0);
        ck_assert_uint_gt(cpus[0].seen[VDEV], 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("overlay threads");
    TCase *tc = tcase_create("overlay threads");

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 3600);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, a_page_is_covered);
    tcase_add_test(tc, four_bytes_are_covered);
    tcase_add_test(tc, writes_alone_are_trapped);
    tcase_add_test(tc, a_page_becomes_rom);
    tcase_add_test(tc, rom_is_covered);
    tcase_add_test(tc, the_service_ends);
    return s;
}

CHECK_MAIN(suite)
