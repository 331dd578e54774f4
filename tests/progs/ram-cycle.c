/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM comes and goes: ram-cycle DOMID BYTES COUNT
 * Registers so much for a guest that hasn't run, uses it, and gives it back, COUNT times; then the
 * same in two parts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

static int fail(const char *what)
{
    fprintf(stderr, "ram-cycle: %s: %s\n", what, strerror(errno));
    return -1;
}

/* New RAM is zero; it keeps what is written. */
static int use(struct guest_system *guest, uint64_t gpa)
{
    uint64_t word = 1;

    if (vm_ram_load64(guest, gpa, &word) < 0 || word != 0)
        return fail("new RAM isn't zero");
    if (vm_ram_store64(guest, gpa, gpa) < 0 || vm_ram_load64(guest, gpa, &word) < 0 || word != gpa)
        return fail("it doesn't keep a word");
    return 0;
}

static int unregister_inside(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset,
                             void *cookie)
{
    (void)at;
    (void)offset;
    (void)cookie;
    return vm_ram_unregister(vm, gpa, size) == 0 ? 1 : errno != EBUSY;
}

static int expect_gone(struct guest_system *guest, uint64_t gpa)
{
    uint64_t word;

    errno = 0;
    return vm_ram_load64(guest, gpa, &word) < 0 && errno == ENOENT ? 0 : fail("it is still there");
}

static int cycle(struct guest_system *guest, size_t bytes, size_t first_part)
{
    uint64_t start = vm_ram_register(guest, bytes), last = start + bytes - 8;

    if (!start)
        return fail("register");
    if (use(guest, start) < 0 || use(guest, last) < 0)
        return -1;
    if (vm_ram_touch(guest, start, 4096, unregister_inside, NULL) != 0)
        return fail("unregistered while it is touched");
    if (first_part && (vm_ram_unregister(guest, start, first_part) < 0 ||
                       expect_gone(guest, start) < 0 || expect_gone(guest, start + first_part - 8)))
        return fail("a part");
    if (first_part && vm_ram_store64(guest, start + first_part, 1) < 0)
        return fail("the other part");
    if (vm_ram_unregister(guest, start + first_part, bytes - first_part) < 0)
        return fail("unregister");
    return expect_gone(guest, last);
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    struct guest_system *guest;
    int rc = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: ram-cycle DOMID BYTES COUNT\n");
        return 2;
    }
    if (guest_open_xen(&guest, (uint32_t)strtoul(argv[1], NULL, 0), &options) < 0) {
        fail("open");
        return 2;
    }
    for (long i = strtol(argv[3], NULL, 0); i > 0 && rc == 0; i--)
        rc = cycle(guest, strtoul(argv[2], NULL, 0), 0);
    if (rc == 0)
        rc = cycle(guest, strtoul(argv[2], NULL, 0), 3 * 4096);
    guest_close(guest);
    return rc ? 1 : 0;
}
