/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM from dom0, beside the service that owns the guest's map; the counterpart of the
 * Linux guest's memtool:
 *   ram-tool DOMID read ADDRESS
 *   ram-tool DOMID write ADDRESS VALUE
 *   ram-tool DOMID fill ADDRESS LENGTH SEED     the pattern of tests/guests/kernel/pattern.h
 *   ram-tool DOMID check ADDRESS LENGTH SEED
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

#include "tests/guests/kernel/pattern.h"

struct job {
    uint64_t seed, wrong;
    bool check;
};

static int on_page(vm_t *vm, uintptr_t gpa, void *vaddr, size_t size, size_t offset, void *cookie)
{
    struct job *job = cookie;
    uint64_t *word = vaddr;

    (void)vm;
    for (size_t i = 0; i < size / 8; i++) {
        uint64_t expected = pattern_word(job->seed, offset / 8 + i);

        if (!job->check)
            word[i] = expected;
        else if (word[i] != expected && job->wrong++ == 0)
            fprintf(stderr, "ram-tool: %#lx holds %#llx, not %#llx\n", gpa + 8 * i,
                    (unsigned long long)word[i], (unsigned long long)expected);
    }
    return 0;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

static int run(struct guest_system *guest, int argc, char **argv)
{
    uint64_t word;

    if (argc == 4 && strcmp(argv[2], "read") == 0) {
        if (vm_ram_read(guest, number(argv[3]), &word, 8) < 0)
            return -1;
        printf("%#llx\n", (unsigned long long)word);
        return 0;
    }
    if (argc == 5 && strcmp(argv[2], "write") == 0) {
        word = number(argv[4]);
        return vm_ram_write(guest, number(argv[3]), &word, 8);
    }
    if (argc == 6) {
        struct job job = {.seed = number(argv[5]), .check = strcmp(argv[2], "check") == 0};

        if (vm_ram_touch(guest, number(argv[3]), number(argv[4]), on_page, &job) < 0)
            return -1;
        return job.wrong ? 1 : 0;
    }
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options), .ram_only = true};
    struct guest_system *guest;
    int rc;

    if (argc < 2 || guest_open_xen(&guest, (uint32_t)number(argv[1]), &options) < 0) {
        perror("ram-tool: open");
        return 2;
    }
    rc = run(guest, argc, argv);
    if (rc < 0)
        perror("ram-tool");
    guest_close(guest);
    return rc ? 1 : 0;
}
