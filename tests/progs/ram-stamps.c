/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a guest that migrates loses what dom0 writes into its RAM meanwhile:
 *   ram-stamps DOMID write FILE   before the guest's first unpause: registers 4 MiB at 2 GiB (the
 *                                 guest has to keep out: memmap=4M$2G) and writes ascending numbers
 *                                 into its pages until the guest is suspended; puts them into FILE
 *   ram-stamps DOMID check FILE   whether the guest that arrived has them. What was written after
 *                                 the guest was suspended isn't part of it: the last numbers may
 *                                 miss
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

#define OWN UINT64_C(0x80000000)
enum { PAGE = 4096, PAGES = 1024, BYTES = PAGES * PAGE };
/* A page each 2 ms, and the guest's end is seen within 200. */
enum { EVERY_NS = 2000000, MAY_MISS = 200 };

static struct guest_system *guest;

static void *serve(void *arg)
{
    if (guest_run(guest) < 0)
        perror("ram-stamps: guest_run");
    return arg;
}

static int write_stamps(const char *file)
{
    static uint64_t stamp[PAGES];
    uint64_t n = 0;
    pthread_t thread;
    FILE *out;

    if (vm_ram_register_at(guest, OWN, BYTES, false) < 0 || guest_configured(guest) < 0 ||
        pthread_create(&thread, NULL, serve, NULL) != 0)
        return -1;
    puts("ready");
    fflush(stdout);
    while (guest_gone(guest) == GUEST_ALIVE) {
        /* In no order that follows the addresses, as migration does. */
        unsigned page = n * 397 % PAGES;

        stamp[page] = ++n;
        if (vm_ram_store64(guest, OWN + page * (uint64_t)PAGE + 8 * (n % 512), n) < 0 ||
            vm_ram_store64(guest, OWN + page * (uint64_t)PAGE, n) < 0)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = EVERY_NS}, NULL);
    }
    pthread_join(thread, NULL);
    printf("ended as %d after %llu writes\n", guest_gone(guest), (unsigned long long)n);
    out = fopen(file, "w");
    if (!out || fwrite(stamp, sizeof(stamp), 1, out) != 1)
        return -1;
    return fclose(out);
}

static int check_stamps(const char *file)
{
    uint64_t stamp[PAGES], last = 0, found;
    unsigned missing = 0, lost = 0;
    FILE *in = fopen(file, "r");

    if (!in || fread(stamp, sizeof(stamp), 1, in) != 1)
        return -1;
    fclose(in);
    for (unsigned i = 0; i < PAGES; i++)
        last = stamp[i] > last ? stamp[i] : last;
    for (unsigned i = 0; i < PAGES; i++) {
        if (vm_ram_load64(guest, OWN + i * (uint64_t)PAGE, &found) < 0)
            return -1;
        if (found == stamp[i])
            continue;
        missing++;
        if (stamp[i] + MAY_MISS < last) {
            lost++;
            printf("page %u has %llu, not %llu of %llu\n", i, (unsigned long long)found,
                   (unsigned long long)stamp[i], (unsigned long long)last);
        }
    }
    printf("%u pages, %u written after the guest was suspended, %u lost\n", PAGES, missing - lost,
           lost);
    return lost ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    bool check = argc == 4 && strcmp(argv[2], "check") == 0;
    int rc;

    options.ram_only = check;
    if (argc != 4 || guest_open_xen(&guest, (uint32_t)strtoul(argv[1], NULL, 0), &options) < 0) {
        perror("ram-stamps");
        return 2;
    }
    rc = check ? check_stamps(argv[3]) : write_stamps(argv[3]);
    if (rc < 0)
        perror("ram-stamps");
    guest_close(guest);
    return rc ? 1 : 0;
}
