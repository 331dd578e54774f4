/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers that a write moves elsewhere, to the address that is written: handlers that change the
 * map which led to them, while others do, too. Nothing stands still (a test that does is killed), and
 * the guest finds each register where it was moved to.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "tests/unit/guest_fixture.h"

#define RAM_AT UINT64_C(0x800000)
enum {
    PAGE = 4096,
    PAGES = 3,   /* of RAM, over which they move */
    PLACES = 64, /* of each, half over RAM, half where nothing is */
    MOVES = 2000,
    CLOSES = 25,
    WATCHDOG_S = 300,
    CPUS = 2,
};
#define RAM_VALUE 0x7a317a31u
#define ID 0x1d000000u

#define TRAPS (GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE)

/* The places of the two lie side by side, so that their ranges join and part; of RAM in the second
 * half of each page. */
static uint64_t place(unsigned who, uint64_t n)
{
    uint64_t k = n % PLACES / 2, offset = (k / PAGES * CPUS + who) * 4;

    return n % 2 ? RAM_AT + k % PAGES * PAGE + PAGE / 2 + offset : MMIO + k % PAGES * PAGE + offset;
}

/* ---- the vdevs ---- */

struct mover {
    _Atomic uint64_t at; /* changed under the lock of memory */
    uint32_t id;
    _Atomic uint64_t moves, failed;
};

static vdev_t *movers[CPUS];
static unsigned n_movers;
static void (*at_terminate)(void);

static struct gasp_region region_of(vdev_t *vdp, uint64_t at, uint32_t flags)
{
    return (struct gasp_region){.flags = flags, .vdev = vdp, .guest = {at, 4, QST_MEMORY, 0}};
}

static int mover_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    struct mover *mover = vdp->v_device;

    (void)arg;
    switch (ctrl) {
    case VDEV_CTRL_OPTIONS_END:
        mover->id = ID + n_movers;
        mover->at = place(n_movers, 0);
        movers[n_movers++] = vdp;
        break;
    case VDEV_CTRL_GUEST_CONFIGURED: {
        struct gasp_region region = region_of(vdp, mover->at, TRAPS);

        return gasp_region_set_soft(vdp->v_gsp, 1, &region) == 1 ? 0 : errno;
    }
    case VDEV_CTRL_TERMINATE:
        if (at_terminate)
            at_terminate();
        break;
    }
    return 0;
}

static enum vdev_ref_status mover_read(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    const struct mover *mover = vdp->v_device;

    (void)cookie;
    guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &mover->id, (unsigned)vopnd->length);
    return VRS_NORMAL;
}

static enum vdev_ref_status mover_write(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct mover *mover = vdp->v_device;
    struct gasp_region both[2];
    uint32_t to = 0;

    (void)cookie;
    guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &to, (unsigned)vopnd->length);
    gasp_lock(vdp->v_gsp, QST_MEMORY);
    both[0] = region_of(vdp, mover->at, GRF_NONE);
    both[1] = region_of(vdp, to, TRAPS);
    if (gasp_region_set_all(vdp->v_gsp, 2, both) == 0) {
        mover->at = to;
        mover->moves++;
    } else {
        mover->failed++;
    }
    gasp_unlock(vdp->v_gsp, QST_MEMORY);
    return VRS_NORMAL;
}

static struct vdev_factory factories[] = {
    {.name = "mover", .factory_flags = VFF_VDEV_MEM | VFF_MANUAL_REGION},
    {.name = "quickmover", .factory_flags = VFF_VDEV_MEM | VFF_MANUAL_REGION | VFF_THREADSAFE},
};

static void __attribute__((constructor)) mover_register(void)
{
    for (size_t i = 0; i < sizeof(factories) / sizeof(factories[0]); i++) {
        factories[i].summary = "moves";
        factories[i].control = mover_control;
        factories[i].vread = mover_read;
        factories[i].vwrite = mover_write;
        factories[i].acc_sizes = VDEV_SIZE(4);
        factories[i].extra_space = sizeof(struct mover);
        vdev_register_factory(&factories[i], QVM_VDEV_ABI);
    }
}

/* ---- the guest ---- */

struct cpu {
    pthread_t thread;
    unsigned index, whose; /* register */
    bool lonely;           /* nobody else moves or deletes it */
    _Atomic uint64_t rounds, wrong;
    char first[128];
};

static struct cpu cpus[CPUS];
static atomic_bool ending;

static void complain(struct cpu *cpu, const char *what, uint64_t addr, uint64_t got)
{
    if (cpu->wrong++ == 0)
        snprintf(cpu->first, sizeof(cpu->first), "round %llu, %s: %#llx is %#llx",
                 (unsigned long long)cpu->rounds, what, (unsigned long long)addr,
                 (unsigned long long)got);
}

static uint32_t get(struct cpu *cpu, uint64_t addr)
{
    uint64_t value = 0;

    if (sim_read(gsp, cpu->index, QST_MEMORY, addr, 4, &value) < 0)
        complain(cpu, "no answer", addr, 0);
    return (uint32_t)value;
}

static void put(struct cpu *cpu, uint64_t addr, uint32_t value)
{
    if (sim_write(gsp, cpu->index, QST_MEMORY, addr, 4, value) < 0)
        complain(cpu, "no answer", addr, 0);
}

static bool over_ram(uint64_t addr)
{
    return addr < MMIO;
}

/* What may be there when the register isn't: also what was written when it had just gone. */
static bool beneath(const struct cpu *cpu, uint64_t addr, uint32_t value)
{
    if (!over_ram(addr))
        return value == UINT32_MAX;
    if (value == RAM_VALUE || cpu->lonely)
        return value == RAM_VALUE;
    for (uint64_t n = 0; n < PLACES; n++) {
        if (value == place(cpu->whose, n))
            return true;
    }
    return false;
}

static void move_and_look(struct cpu *cpu)
{
    const struct mover *mover = movers[cpu->whose]->v_device;
    uint64_t from = mover->at, to = place(cpu->whose, cpu->rounds * 7 + cpu->index + 1);
    uint64_t beside = RAM_AT + cpu->rounds % PAGES * PAGE + 8 * (cpu->rounds % 200);
    uint32_t got;

    put(cpu, from, (uint32_t)to);
    got = get(cpu, to);
    if (got != mover->id && (cpu->lonely || !beneath(cpu, to, got)))
        complain(cpu, "the new place", to, got);
    got = from == to ? RAM_VALUE : get(cpu, from);
    if (from != to && (got != mover->id || cpu->lonely) && !beneath(cpu, from, got))
        complain(cpu, "the old place", from, got);
    got = get(cpu, beside);
    if (got != RAM_VALUE)
        complain(cpu, "beside", beside, got);
}

static void *drive(void *arg)
{
    struct cpu *cpu = arg;

    for (; !ending; cpu->rounds++)
        move_and_look(cpu);
    return NULL;
}

static void start(unsigned whose_second, bool lonely)
{
    for (unsigned i = 0; i < CPUS; i++) {
        cpus[i] = (struct cpu){.index = i, .whose = i ? whose_second : 0, .lonely = lonely};
        ck_assert_int_eq(pthread_create(&cpus[i].thread, NULL, drive, &cpus[i]), 0);
    }
}

static void end(void)
{
    ending = true;
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(cpus[i].thread, NULL);
}

static void nothing_wrong(void)
{
    for (unsigned i = 0; i < CPUS; i++)
        ck_assert_msg(cpus[i].wrong == 0, "vCPU %u: %llu wrong answers; %s", i,
                      (unsigned long long)cpus[i].wrong, cpus[i].first);
}

static uint64_t moves(void)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < n_movers; i++) {
        const struct mover *mover = movers[i]->v_device;

        least = mover->moves < least ? mover->moves : least;
    }
    return least;
}

static void wait_for_moves(uint64_t n)
{
    while (moves() < n && cpus[0].wrong == 0 && cpus[1].wrong == 0)
        usleep(1000);
}

static void ready(const char *name, unsigned n)
{
    static const char *const names[] = {"a", "b"};
    char spec[32];
    uint32_t word = RAM_VALUE;

    alarm(WATCHDOG_S);
    ending = false;
    n_movers = 0;
    open_guest(CPUS, false);
    for (unsigned i = 0; i < n; i++) {
        snprintf(spec, sizeof(spec), "%s,name=%s", name, names[i]);
        add(spec);
    }
    for (uint64_t at = RAM_AT; at < RAM_AT + PAGES * PAGE; at += 4)
        ck_assert_int_eq(vm_ram_write(gsp, at, &word, 4), 0);
    configured();
}

static const char *const kinds[] = {"mover", "quickmover"};

START_TEST(two_move_at_once)
{
    ready(kinds[_i], 2);
    start(1, true);
    wait_for_moves(MOVES);
    end();
    nothing_wrong();
    for (unsigned i = 0; i < CPUS; i++)
        ck_assert_uint_eq(((const struct mover *)movers[i]->v_device)->failed, 0);
}
END_TEST

/* Both vCPUs write to one register; who comes late writes to where it was. */
START_TEST(one_is_moved_by_two)
{
    const struct mover *mover;

    ready(kinds[_i], 1);
    mover = movers[0]->v_device;
    start(0, false);
    wait_for_moves(MOVES);
    end();
    nothing_wrong();
    for (uint64_t n = 0; n < PLACES; n++) {
        uint32_t got = get(&cpus[0], place(0, n));

        ck_assert_int_eq(got == mover->id, place(0, n) == mover->at);
    }
}
END_TEST

static void delete_and_set(uint64_t n)
{
    vdev_t *vdp = movers[n % n_movers];
    const struct mover *mover = vdp->v_device;
    struct gasp_region region;

    gasp_lock(gsp, QST_MEMORY);
    region = region_of(vdp, mover->at, GRF_NONE);
    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &region), 1);
    gasp_unlock(gsp, QST_MEMORY);
    usleep(n % 3 * 50);
    gasp_lock(gsp, QST_MEMORY);
    region = region_of(vdp, mover->at, TRAPS);
    ck_assert_uint_eq(gasp_region_set_soft(gsp, 1, &region), 1);
    gasp_unlock(gsp, QST_MEMORY);
}

START_TEST(another_thread_deletes_them)
{
    ready(kinds[_i], 2);
    start(1, false);
    for (uint64_t n = 0; n < MOVES || (moves() < MOVES / 10 && !cpus[0].wrong && !cpus[1].wrong);
         n++)
        delete_and_set(n);
    end();
    nothing_wrong();
}
END_TEST

static void end_once(void)
{
    at_terminate = NULL;
    end();
}

/* The guest runs on, and writes to them, until no handler runs any more. */
START_TEST(the_guest_is_closed_meanwhile)
{
    for (unsigned i = 0; i < CLOSES; i++) {
        ready(kinds[_i], 2);
        at_terminate = end_once;
        start(1, false);
        wait_for_moves(5 + i);
        guest_close(gsp);
        gsp = NULL;
        ck_assert_ptr_null((void *)at_terminate);
        nothing_wrong();
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("moving vdev");
    TCase *tc = tcase_create("moving vdev");

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, WATCHDOG_S);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_loop_test(tc, two_move_at_once, 0, 2);
    tcase_add_loop_test(tc, one_is_moved_by_two, 0, 2);
    tcase_add_loop_test(tc, another_thread_deletes_them, 0, 2);
    tcase_add_loop_test(tc, the_guest_is_closed_meanwhile, 0, 2);
    return s;
}

CHECK_MAIN(suite)
