/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store-service DOMID [-p POLL_US] [-s STATE_DIR] [-r START,SIZE]... [-t SECONDS] VDEV...
 *
 * A whole service on the public interface: registers RAM, adds vdevs (beside "store" those of the
 * library's user), says "ready" on stdout, serves until the guest is gone or the time is over, and
 * prints what it counted.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

static struct guest_system *guest;

static void stop(int signo)
{
    (void)signo;
    guest_stop(guest);
}

static int fail(const char *what)
{
    fprintf(stderr, "store-service: %s: %s\n", what, strerror(errno));
    guest_close(guest);
    return 1;
}

static int register_ram(const char *spec)
{
    char *end;
    unsigned long long start = strtoull(spec, &end, 0), size;

    if (*end != ',') {
        errno = EINVAL;
        return -1;
    }
    size = strtoull(end + 1, NULL, 0);
    return vm_ram_register_at(guest, start, size, false);
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    const char *ram[16];
    size_t n_ram = 0;
    struct guest_stats n;
    int opt;

    while ((opt = getopt(argc, argv, "p:s:r:t:")) != -1) {
        if (opt == 'p')
            options.poll_us = atoi(optarg) ? (unsigned)atoi(optarg) : GUEST_POLL_NEVER;
        else if (opt == 's')
            options.state_dir = optarg;
        else if (opt == 'r' && n_ram < sizeof(ram) / sizeof(ram[0]))
            ram[n_ram++] = optarg;
        else if (opt == 't')
            alarm((unsigned)strtoul(optarg, NULL, 0));
        else
            return 2;
    }
    if (optind == argc)
        return 2;
    if (guest_open_xen(&guest, (uint32_t)strtoul(argv[optind], NULL, 0), &options) < 0)
        return fail("open");
    for (size_t i = 0; i < n_ram; i++) {
        if (register_ram(ram[i]) < 0)
            return fail(ram[i]);
    }
    for (int i = optind + 1; i < argc; i++) {
        if (guest_add_vdev(guest, argv[i]) < 0)
            return fail(argv[i]);
    }
    if (guest_configured(guest) < 0)
        return fail("configured");
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = stop}, NULL);
    puts("ready");
    fflush(stdout);
    if (guest_run(guest) < 0)
        return fail("run");
    guest_get_stats(guest, &n);
    printf(
        "end %d requests %llu accesses %llu unclaimed %llu malformed %llu wakeups %llu polled %llu "
        "invalidations %llu own_ns %llu %llu %llu\n",
        (int)guest_gone(guest), (unsigned long long)n.requests, (unsigned long long)n.accesses,
        (unsigned long long)n.unclaimed, (unsigned long long)n.malformed,
        (unsigned long long)n.wakeups, (unsigned long long)n.polled,
        (unsigned long long)n.invalidations, (unsigned long long)guest_own_ns(&n, 0.25),
        (unsigned long long)guest_own_ns(&n, 0.5), (unsigned long long)guest_own_ns(&n, 0.99));
    guest_close(guest);
    return 0;
}
