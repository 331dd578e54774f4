/* SPDX-License-Identifier: BSD-2-Clause */
/* Short-lived mappings of guest frames, beside the chunks that readers use. */
#include "ram/ram_internal.h"

#include <string.h>
#include <sys/mman.h>

void *ram_map_aside(struct ram *ram, uint64_t gfn, size_t n, int err[])
{
    uint64_t gfns[RAM_CHUNK_PAGES];
    void *at =
        mmap(NULL, n * HV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    for (size_t i = 0; i < n; i++)
        gfns[i] = gfn + i;
    if (ram->hv->ops->map(ram->hv, at, PROT_READ | PROT_WRITE, n, gfns, err) == 0)
        return at;
    munmap(at, n * HV_PAGE_SIZE);
    return NULL;
}

void ram_unmap_aside(struct ram *ram, void *at, size_t n)
{
    int saved = errno;

    if (!at)
        return;
    ram->hv->ops->unmap(ram->hv, at, n);
    munmap(at, n * HV_PAGE_SIZE);
    errno = saved;
}

int ram_copy_aside(struct ram *ram, bool write, uint64_t gpa, void *buf, size_t size)
{
    uint64_t gfn = gpa >> HV_PAGE_SHIFT;
    size_t offset = gpa & (HV_PAGE_SIZE - 1);
    size_t n = (offset + size + HV_PAGE_SIZE - 1) >> HV_PAGE_SHIFT;
    int err[RAM_CHUNK_PAGES];
    char *at;

    if (n > RAM_CHUNK_PAGES)
        return fail(EINVAL);
    at = ram_map_aside(ram, gfn, n, err);
    if (!at)
        return fail(ENOMEM);
    for (size_t i = 0; i < n; i++) {
        if (err[i]) {
            ram_unmap_aside(ram, at, n);
            return fail(ENOENT);
        }
    }
    if (write)
        memcpy(at + offset, buf, size);
    else
        memcpy(buf, at + offset, size);
    ram_unmap_aside(ram, at, n);
    return 0;
}
