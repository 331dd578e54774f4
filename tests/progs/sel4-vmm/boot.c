/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

enum { PAGE = 4096 };

/* One page, so that its touch is one call: libsel4vm's write callback forgets the offset. */
struct boot_page {
    struct boot_start_info info;
    struct boot_module initrd;
    char cmdline[PAGE - sizeof(struct boot_start_info) - sizeof(struct boot_module)];
};
_Static_assert(sizeof(struct boot_page) == PAGE, "boot_page");

static int fail(int error)
{
    errno = error;
    return -1;
}

/* What of the kernel lies in our RAM is no longer free; the rest is the guest's anyway. */
static int mark_kernel(vm_t *vm, const struct boot_input *input, const struct kernel_image *kernel)
{
    uintptr_t first = kernel->first > input->ram ? kernel->first : input->ram;
    uintptr_t last = input->ram + (input->ram_size - 1);

    if (kernel->last < last)
        last = kernel->last;
    if (first > last)
        return 0;
    errno = 0; /* libsel4vm has nothing to tell */
    vm_ram_mark_allocated(vm, first, last - first + 1);
    return errno ? -1 : 0;
}

/* At the end of the largest free range, far from what grows up from below. */
static int place_initrd(vm_t *vm, int fd, struct boot_result *result)
{
    uintptr_t free_start;
    size_t free_size;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -1;
    if (st.st_size <= 0)
        return fail(EINVAL);
    result->initrd_size = (size_t)st.st_size;
    if (vm_ram_find_largest_free_region(vm, &free_start, &free_size) != 0 ||
        free_size < result->initrd_size)
        return fail(ENOMEM);
    result->initrd = (free_start + free_size - result->initrd_size) & -(uintptr_t)PAGE;
    if (result->initrd < free_start)
        return fail(ENOMEM);
    errno = 0;
    vm_ram_mark_allocated(vm, result->initrd, result->initrd_size);
    return errno ? -1 : 0;
}

static int write_start_info(vm_t *vm, const char *cmdline, struct boot_result *result)
{
    struct boot_page page = {0};
    uintptr_t at;

    if (strlen(cmdline) >= sizeof(page.cmdline))
        return fail(E2BIG);
    /* vm_ram_allocate doesn't align. */
    at = vm_ram_allocate(vm, 2 * PAGE - 1);
    if (at == 0)
        return fail(ENOMEM);
    at = (at + PAGE - 1) & -(uintptr_t)PAGE;
    page.info = (struct boot_start_info){.magic = BOOT_START_INFO_MAGIC,
                                         .version = 1,
                                         .nr_modules = 1,
                                         .modlist = at + offsetof(struct boot_page, initrd),
                                         .cmdline = at + offsetof(struct boot_page, cmdline)};
    page.initrd = (struct boot_module){.start = result->initrd, .size = result->initrd_size};
    strcpy(page.cmdline, cmdline);
    result->start_info = at;
    return image_touch(vm, at, sizeof(page), vm_guest_ram_write_callback, &page);
}

int boot_load(vm_t *vm, const struct boot_input *input, struct boot_result *result_r)
{
    *result_r = (struct boot_result){0};
    errno = ENOMEM; /* should the call set none */
    if (vm_ram_register_at(vm, input->ram, input->ram_size, false) != 0)
        return -1;
    if (image_load_kernel(vm, input->kernel_fd, &result_r->kernel) < 0 ||
        mark_kernel(vm, input, &result_r->kernel) < 0 ||
        place_initrd(vm, input->initrd_fd, result_r) < 0 ||
        image_load_file(vm, input->initrd_fd, result_r->initrd, result_r->initrd_size) < 0)
        return -1;
    return write_start_info(vm, input->cmdline, result_r);
}
