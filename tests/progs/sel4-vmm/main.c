/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boots a guest that `xl create -p` made with the stub as its kernel:
 *   sel4-vmm DOMID BYTES KERNEL INITRD COMMAND-LINE
 * BYTES of RAM are registered behind what xl gave. KERNEL is an ELF file with a PVH entry.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm.h"

static int boot(struct guest_system *guest, struct boot_input *input)
{
    struct boot_result result;

    if (vmm_boot(guest, input, &result) < 0) {
        perror("sel4-vmm");
        return 1;
    }
    printf("ram %#lx %#zx\n", input->ram, input->ram_size);
    printf("kernel %#lx %#lx entry %#x\n", result.kernel.first,
           result.kernel.last - result.kernel.first + 1, result.kernel.entry);
    printf("initrd %#lx %#zx\n", result.initrd, result.initrd_size);
    printf("start_info %#lx\n", result.start_info);
    return 0;
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    struct guest_system *guest;
    struct boot_input input;
    int rc;

    if (argc != 6) {
        fprintf(stderr, "usage: sel4-vmm DOMID BYTES KERNEL INITRD COMMAND-LINE\n");
        return 2;
    }
    input = (struct boot_input){.ram_size = strtoul(argv[2], NULL, 0),
                                .kernel_fd = open(argv[3], O_RDONLY | O_CLOEXEC),
                                .initrd_fd = open(argv[4], O_RDONLY | O_CLOEXEC),
                                .cmdline = argv[5]};
    if (input.kernel_fd < 0 || input.initrd_fd < 0 ||
        guest_open_xen(&guest, (uint32_t)strtoul(argv[1], NULL, 0), &options) < 0) {
        perror("sel4-vmm: open");
        return 2;
    }
    rc = boot(guest, &input);
    guest_close(guest);
    return rc;
}
