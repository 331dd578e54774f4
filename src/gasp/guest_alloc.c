/* SPDX-License-Identifier: BSD-2-Clause */
/* The door of the allocator: who of the VMM uses which part of registered RAM. */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <string.h>

/* The calls that return nothing: errno and a warning on failure, errno as it was on success. */
static void tell(struct gasp *gasp, const char *call, uintptr_t start, size_t bytes, int error)
{
    if (!error)
        return;
    if (gasp_may_complain(gasp))
        gasp_log(gasp, GUEST_LOG_WARN, "%s of 0x%zx bytes at 0x%zx: %s", call, bytes, start,
                 error == ENOENT  ? "not all of it is RAM that can be so used"
                 : error == EBUSY ? "part of it is allocated"
                                  : strerror(error));
    errno = error;
}

int gasp_mark_allocated(struct gasp *gasp, struct range range)
{
    int rc = ram_allocator_mark(gasp->ram.allocator, range);

    /* What the guest came with is allocated, by the guest. */
    return rc == ENOENT && ram_has(&gasp->ram, range) ? EBUSY : rc;
}

void vm_ram_mark_allocated(vm_t *vm, uintptr_t start, size_t bytes)
{
    struct gasp *gasp = gasp_of(vm);
    struct range range;
    int saved = errno;
    int rc = range_make(&range, start, bytes, UINT64_MAX) ? EINVAL : 0;

    if (!rc)
        rc = gasp_mark_allocated(gasp, range);
    errno = saved;
    tell(gasp, __func__, start, bytes, rc);
}

int vm_ram_alloc(vm_t *vm, size_t bytes, size_t align, uint64_t *gpa_r)
{
    int rc = EINVAL;

    if (bytes > 0 && align > 0 && (align & (align - 1)) == 0)
        rc = ram_allocator_take(gasp_of(vm)->ram.allocator, bytes, align, 0, gpa_r);
    return rc ? fail(rc) : 0;
}

uintptr_t vm_ram_allocate(vm_t *vm, size_t bytes)
{
    uint64_t start;
    int rc = EINVAL;

    if (bytes > 0) /* page 0 is passed over: 0 is this call's failure */
        rc = ram_allocator_take(gasp_of(vm)->ram.allocator, bytes, 1, HV_PAGE_SIZE, &start);
    if (!rc)
        return start;
    errno = rc;
    return 0;
}

void vm_ram_free(vm_t *vm, uintptr_t start, size_t bytes)
{
    struct gasp *gasp = gasp_of(vm);
    struct range range;
    int saved = errno;
    int rc = range_make(&range, start, bytes, UINT64_MAX);

    if (!rc)
        rc = ram_allocator_give(gasp->ram.allocator, range, HV_PAGE_SIZE);
    errno = saved;
    tell(gasp, __func__, start, bytes, rc);
}

int vm_ram_find_largest_free_region(vm_t *vm, uintptr_t *addr, size_t *size)
{
    struct range range;

    if (!ram_allocator_largest(gasp_of(vm)->ram.allocator, &range))
        return fail(ENOENT);
    *addr = range.first;
    *size = range_length(range);
    return 0;
}
