/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Covers RAM of a guest and uncovers it, again and again, while the guest runs:
 *   overlay-hammer DOMID VALUE
 * before the guest's first unpause. Answers for the guest until stdin ends, whose lines are
 *   ram ADDRESS VALUE             a 32-bit word in the guest's RAM
 *   cover ADDRESS LENGTH COUNT    with a vdev all of whose 32-bit words read VALUE
 *   pass ADDRESS LENGTH COUNT     the same, but reads go on to the RAM
 *   rom ADDRESS LENGTH COUNT      read-only
 *   keep ADDRESS LENGTH           read-only, and stays so
 * COUNT 0: until the next line. After each it says what the vdev was asked meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>
#include <xengasp/vdev.h>

#define TRAPS (GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE)
#define PASS (GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE)
#define ROM (GRF_MEMORY | GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE)

enum { LINGER_EVERY = 8, LINGER_MS = 20 };

static struct guest_system *guest;
static vdev_t *vdev;
static uint64_t words; /* two of VALUE */
static _Atomic uint64_t vdev_reads, vdev_writes;

static int cover_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    (void)ctrl;
    (void)arg;
    vdev = vdp;
    return 0;
}

static enum vdev_ref_status cover_read(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint64_t value = words >> 8 * (vopnd->location % 4);

    (void)vdp;
    (void)cookie;
    vdev_reads++;
    return guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, (unsigned)vopnd->length) ? VRS_BUS_ERROR
                                                                                     : VRS_NORMAL;
}

static enum vdev_ref_status cover_write(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    (void)vdp;
    (void)cookie;
    (void)vopnd;
    (void)oopnd;
    (void)gcp;
    vdev_writes++;
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

static void *serve(void *arg)
{
    if (guest_run(guest) < 0)
        perror("overlay-hammer: guest_run");
    return arg;
}

static int set(uint64_t at, uint64_t length, uint32_t flags)
{
    const struct gasp_region rgn = {
        .flags = flags, .vdev = vdev, .guest = {at, length, QST_MEMORY, QSF_NONE}};
    unsigned n;

    gasp_lock(guest, QST_MEMORY);
    n = gasp_region_set_soft(guest, 1, &rgn);
    gasp_unlock(guest, QST_MEMORY);
    return n == 1 ? 0 : -1;
}

static bool more_to_read(void)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&fd, 1, 0) != 0;
}

static uint64_t requests(void)
{
    struct guest_stats stats;

    guest_get_stats(guest, &stats);
    return stats.requests;
}

/* Now and then covered for so long that the guest comes by. */
static void linger(uint64_t n)
{
    uint64_t before = requests();

    for (unsigned ms = 0; n % LINGER_EVERY == 1 && ms < LINGER_MS && requests() == before; ms++)
        usleep(1000);
}

static int cover(uint64_t at, uint64_t length, uint32_t flags, uint64_t count)
{
    uint64_t n = 0;

    for (; count > 0 ? n < count : !more_to_read(); n++) {
        if (set(at, length, flags) < 0)
            return -1;
        if (flags & GRF_VIRT_WR)
            linger(n);
        if (set(at, length, GRF_NONE) < 0)
            return -1;
    }
    printf("%#" PRIx64 " bytes, flags %#x, set and deleted %" PRIu64
           " times; the vdev was read %" PRIu64 " times, written %" PRIu64 "\n",
           length, flags, n, vdev_reads, vdev_writes);
    return 0;
}

static int command(const char *line)
{
    uint64_t at, a, n = 0;
    char what[8];

    if (sscanf(line, "%7s %" SCNi64 " %" SCNi64 " %" SCNi64, what, &at, &a, &n) < 3) {
        errno = EINVAL;
        return -1;
    }
    if (strcmp(what, "ram") == 0)
        return vm_ram_store32(guest, at, (uint32_t)a);
    if (strcmp(what, "cover") == 0)
        return cover(at, a, TRAPS, n);
    if (strcmp(what, "pass") == 0)
        return cover(at, a, PASS, n);
    if (strcmp(what, "rom") == 0)
        return cover(at, a, ROM, n);
    if (strcmp(what, "keep") == 0)
        return set(at, a, ROM);
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    struct guest_stats stats;
    pthread_t runner;
    char line[80];
    int rc = 0;

    if (argc != 3)
        return 2;
    words = strtoull(argv[2], NULL, 0) * UINT64_C(0x100000001);
    if (guest_open_xen(&guest, (uint32_t)strtoull(argv[1], NULL, 0), &options) < 0 ||
        guest_add_vdev(guest, "cover") < 0 || guest_configured(guest) < 0 ||
        pthread_create(&runner, NULL, serve, NULL) != 0) {
        perror("overlay-hammer");
        return 1;
    }
    setvbuf(stdin, NULL, _IONBF, 0); /* more_to_read looks beneath it */
    setlinebuf(stdout);
    puts("ready");
    while (rc == 0 && fgets(line, sizeof(line), stdin)) {
        rc = command(line);
        if (rc < 0)
            perror(line);
        else
            puts("done");
    }
    guest_get_stats(guest, &stats);
    printf("paused %" PRIu64 " unclaimed %" PRIu64 " malformed %" PRIu64 " requests %" PRIu64 "\n",
           stats.pauses, stats.unclaimed, stats.malformed, stats.requests);
    guest_stop(guest);
    pthread_join(runner, NULL);
    guest_close(guest);
    return rc ? 1 : 0;
}
