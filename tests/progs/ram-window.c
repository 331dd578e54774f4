/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM that comes and goes in the gasp window of a running guest:
 *   ram-window DOMID WINDOW BYTES COUNT SEED
 * before the guest's first unpause; sets WINDOW bytes aside. At each line on stdin registers BYTES
 * COUNT times and gives them back each time but the last, when it leaves them with the pattern of
 * tests/guests/kernel/pattern.h and prints where (before, with another: the guest waits for this one).
 * Answers for the guest until stdin ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

#include "tests/guests/kernel/pattern.h"

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

struct look {
    uint64_t seed;
    uint64_t wrong;
};

/* Wants zeros, and leaves the pattern. */
static int on_page(vm_t *vm, uintptr_t gpa, void *vaddr, size_t size, size_t offset, void *cookie)
{
    struct look *look = cookie;
    uint64_t *word = vaddr;

    (void)vm;
    (void)gpa;
    for (size_t i = 0; i < size / 8; i++) {
        look->wrong += word[i] != 0;
        word[i] = pattern_word(look->seed, offset / 8 + i);
    }
    return 0;
}

static int come_and_go(struct guest_system *guest, uint64_t bytes, uint64_t count, uint64_t seed)
{
    struct look look = {0};
    uint64_t gpa = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (i > 0 && vm_ram_unregister(guest, gpa, bytes) < 0)
            return -1;
        gpa = vm_ram_register(guest, bytes);
        look.seed = i + 1 < count ? ~seed : seed;
        if (gpa == 0 || vm_ram_touch(guest, gpa, bytes, on_page, &look) < 0)
            return -1;
    }
    printf("at %#" PRIx64 ", %" PRIu64 " words were not zero\n", gpa, look.wrong);
    return look.wrong ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    struct guest_stats stats;
    struct guest_system *guest;
    char line[16];
    int rc = 0;

    if (argc != 6)
        return 2;
    options.gasp_window = number(argv[2]);
    if (guest_open_xen(&guest, (uint32_t)number(argv[1]), &options) < 0 ||
        guest_configured(guest) < 0) {
        perror("ram-window");
        return 1;
    }
    setlinebuf(stdout);
    puts("ready");
    while (rc == 0 && fgets(line, sizeof(line), stdin))
        rc = come_and_go(guest, number(argv[3]), number(argv[4]), number(argv[5]));
    if (rc < 0)
        perror("ram-window");
    guest_get_stats(guest, &stats);
    printf("the guest was paused %" PRIu64 " times\n", stats.pauses);
    guest_close(guest);
    return rc ? 1 : 0;
}
