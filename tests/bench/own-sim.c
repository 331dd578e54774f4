/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our own time a request without Xen and without an emulator: reads of a store vdev by a simulated
 * guest.  own-sim [COUNT] prints a line as the service of the benchmark does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/guest.h>
#include <xengasp/sim.h>

int main(int argc, char *argv[])
{
    struct sim_options sim = {.size = sizeof(sim), .vcpus = 1};
    struct guest_options options = {.size = sizeof(options)};
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
    struct guest_system *guest = NULL;
    struct guest_stats n;
    uint64_t value;

    if (guest_open_sim(&guest, &sim, &options) < 0 ||
        guest_add_vdev(guest, "store,loc=io:0x2000,size=16") < 0 || guest_configured(guest) < 0)
        goto failed;
    for (unsigned long i = 0; i < count; i++) {
        if (sim_read(guest, 0, QST_X86_IO, 0x2000, 4, &value) < 0)
            goto failed;
    }
    guest_get_stats(guest, &n);
    printf("own simulator own_ns %llu %llu %llu\n", (unsigned long long)guest_own_ns(&n, 0.25),
           (unsigned long long)guest_own_ns(&n, 0.5), (unsigned long long)guest_own_ns(&n, 0.99));
    guest_close(guest);
    return 0;
failed:
    fprintf(stderr, "own-sim: %s\n", strerror(errno));
    guest_close(guest);
    return 1;
}
