/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel's image and other files into guest RAM, by libsel4vm's calls alone: compiles against
 * libsel4vm as it is. Functions return 0, or -1 with errno: ENOEXEC (not an x86-64 ELF kernel with
 * a PVH entry, or its headers make no sense), EIO (the file is too short), what reading a file or
 * vm_ram_touch gives (ENOENT: not all of it is guest RAM; EFAULT where the library sets no errno).
 */
#ifndef SEL4_VMM_IMAGE_H
#define SEL4_VMM_IMAGE_H

#include <sel4vm/guest_ram.h>

struct kernel_image {
    uintptr_t first, last; /* what its segments cover, holes and all */
    uint32_t entry;        /* in 32-bit mode, paging off */
};

/* vm_ram_touch with an errno in any case; what a callback returns is one. */
int image_touch(vm_t *vm, uintptr_t addr, size_t size, ram_touch_callback_fn fn, void *cookie);

/* The first `size` bytes of a file, to addr. */
int image_load_file(vm_t *vm, int fd, uintptr_t addr, size_t size);

/* A kernel where its program headers say. Guest RAM is written once all of them make sense. */
int image_load_kernel(vm_t *vm, int fd, struct kernel_image *kernel_r);

#endif
