/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VMM does for its guest to boot: registers RAM, puts kernel, initrd and the PVH boot
 * protocol's start_info there. By libsel4vm's calls alone, as image.h. Errors as there, and EINVAL
 * (an empty initrd), E2BIG (the command line), ENOMEM (no room), what vm_ram_register_at gives.
 */
#ifndef SEL4_VMM_BOOT_H
#define SEL4_VMM_BOOT_H

#include "image.h"

/* The PVH boot protocol's, as far as it is used here. */
struct boot_start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};
struct boot_module {
    uint64_t start, size, cmdline, reserved;
};
enum { BOOT_START_INFO_MAGIC = 0x336ec578 };

struct boot_input {
    uintptr_t ram; /* to be registered for the guest */
    size_t ram_size;
    int kernel_fd, initrd_fd;
    const char *cmdline;
};

struct boot_result {
    struct kernel_image kernel;
    uintptr_t initrd;
    size_t initrd_size;
    uintptr_t start_info; /* complete but for the memory map and rsdp, which are the platform's */
};

/* The kernel may lie in RAM that the guest has already, in what is registered, or across. */
int boot_load(vm_t *vm, const struct boot_input *input, struct boot_result *result_r);

#endif
