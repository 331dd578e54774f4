/* SPDX-License-Identifier: BSD-2-Clause */
/* The door of guest RAM: registering it is a change of the map, so it is here; the rest passes on
 * to ram/. */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A hole that turns out to be none (pages that we didn't know of) is passed over, this often: a guest
 * can put a page wherever it likes. */
enum { HOLES_TRIED = 256 };

/* RAM can be registered anywhere until the guest is told of it; then in its gasp window alone, as it
 * may use any other hole of its own accord. */
bool gasp_at_start(const struct gasp *gasp)
{
    return gasp->never_ran && !gasp->running;
}

bool gasp_in_window(const struct gasp *gasp, struct range range)
{
    return range_there(gasp->window) && range_inside(range, gasp->window);
}

/* A window that is kept from an earlier start is nothing for the start: the guest was told that there
 * is no RAM. */
static bool meets_window(const struct gasp *gasp, struct range range)
{
    return range_there(gasp->window) && range_overlap(range, gasp->window);
}

/* Registering changes the map, and code written for seL4 knows no lock. 0 or an errno value. */
static int begin(vm_t *vm)
{
    return gasp_of(vm)->ram_only ? ENOTSUP : gasp_lock(vm, QST_MEMORY);
}

static void changed(struct gasp *gasp)
{
    if (gasp->changed)
        gasp->changed(gasp);
}

/* Populates and publishes; the map has the range as free. 0 or an errno value, and nothing changed.
 */
static int add_ram(struct gasp *gasp, struct range range, bool whole_2m)
{
    struct space *memory = &gasp->space[GASP_MEMORY];
    const struct space_region region = {.range = range,
                                        .flags = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE};
    struct range *more = realloc(gasp->own_ram, (gasp->n_own_ram + 1) * sizeof(*more));
    uint64_t pages = range_length(range) >> HV_PAGE_SHIFT;
    struct space_map *map;
    int rc;

    if (!more)
        return ENOMEM;
    gasp->own_ram = more;
    map = space_draft(memory);
    rc = map ? space_map_set(map, &region) : ENOMEM;
    if (rc) {
        space_map_free(map);
        return rc;
    }
    /* Nobody gets it from the allocator before it is there. */
    rc = ram_allocator_add(gasp->ram.allocator, range);
    /* Counted before Xen has them: the guest's limit is set by it at any moment (balloon.c). */
    gasp->own_pages += pages;
    gasp_changing(gasp, range);
    if (!rc && ram_populate(&gasp->ram, range, whole_2m, gasp_in_window(gasp, range)) < 0) {
        rc = errno;
        ram_allocator_drop(gasp->ram.allocator, range);
    }
    if (!rc)
        space_publish(memory, map);
    gasp_changed(gasp);
    if (rc) {
        gasp->own_pages -= pages;
        space_map_free(map);
        return rc;
    }
    gasp->own_ram[gasp->n_own_ram++] = range;
    ram_allocator_give(gasp->ram.allocator, range, 1);
    changed(gasp);
    if (gasp->running)
        gasp_cover_top(gasp);
    return 0;
}

static int check_free(struct gasp *gasp, struct range range)
{
    const struct space_region wanted = {.range = range, .flags = GRF_MEMORY};
    const struct space_map *map = gasp->space[GASP_MEMORY].map;
    int rc = 0;

    if (space_map_meets(map, range, GRF_PRECIOUS, NULL))
        rc = EBUSY;
    else if (space_map_meets(map, range, 0, NULL))
        rc = EEXIST;
    if (rc)
        gasp_log_taken(gasp, GASP_MEMORY, &wanted, rc);
    return rc;
}

/* Whole pages around the bytes; unit: what they must be multiples of. 0 or an errno value. */
static int whole_pages(const struct gasp *gasp, uint64_t start, uint64_t bytes, uint64_t unit,
                       struct range *range_r)
{
    if (bytes == 0 || start % unit || (unit > HV_PAGE_SIZE && bytes % unit))
        return EINVAL;
    if (bytes > SIZE_MAX - (HV_PAGE_SIZE - 1))
        return EOVERFLOW;
    bytes = (bytes + HV_PAGE_SIZE - 1) & -(size_t)HV_PAGE_SIZE;
    return range_make(range_r, start, bytes, gasp->space[GASP_MEMORY].limit);
}

int gasp_register_at(struct gasp *gasp, uint64_t start, uint64_t bytes, bool untyped)
{
    struct range range;
    int rc = whole_pages(gasp, start, bytes, untyped ? RAM_CHUNK_SIZE : HV_PAGE_SIZE, &range);

    if (!rc && (gasp_at_start(gasp) ? meets_window(gasp, range) : !gasp_in_window(gasp, range)))
        rc = EBUSY;
    if (!rc)
        rc = check_free(gasp, range);
    if (!rc)
        rc = add_ram(gasp, range, untyped);
    return rc;
}

int vm_ram_register_at(vm_t *vm, uintptr_t start, size_t bytes, bool untyped)
{
    int rc = begin(vm);

    if (rc)
        return fail(rc);
    rc = gasp_register_at(gasp_of(vm), start, bytes, untyped);
    gasp_unlock(vm, QST_MEMORY);
    return rc ? fail(rc) : 0;
}

/* Bytes of the paging pool that n registrations were given. */
static int64_t pool_of(const struct range *ram, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += ram_pool_for(ram[i]);
    return (int64_t)bytes;
}

/* The registrations without what of them lies in the range. `left` has room for one more than there
 * are. */
static size_t own_ram_without(const struct gasp *gasp, struct range range, struct range *left)
{
    size_t n = 0;

    for (size_t i = 0; i < gasp->n_own_ram; i++) {
        struct range own = gasp->own_ram[i];

        if (!range_overlap(own, range)) {
            left[n++] = own;
            continue;
        }
        if (own.first < range.first)
            left[n++] = (struct range){own.first, range.first - 1};
        if (own.last > range.last)
            left[n++] = (struct range){range.last + 1, own.last};
    }
    return n;
}

/* The allocator has marked the range. 0 or an errno value, and nothing changed. */
static int give_back(struct gasp *gasp, struct range range)
{
    struct space *memory = &gasp->space[GASP_MEMORY];
    const struct space_region region = {.range = range}; /* flags 0 deletes */
    struct range *left = malloc((gasp->n_own_ram + 1) * sizeof(*left));
    struct space_map *map = space_draft(memory), *former;
    size_t n;
    int rc = left && map ? space_map_set(map, &region) : ENOMEM;

    if (rc) {
        space_map_free(map);
        free(left);
        return rc;
    }
    n = own_ram_without(gasp, range, left);
    gasp_changing(gasp, range);
    former = space_show(memory, map);
    gasp->own_pages -= range_length(range) >> HV_PAGE_SHIFT;
    if (ram_depopulate(&gasp->ram, range,
                       pool_of(gasp->own_ram, gasp->n_own_ram) - pool_of(left, n)) < 0) {
        rc = errno;
        gasp->own_pages += range_length(range) >> HV_PAGE_SHIFT;
        space_take_back(memory, former);
        gasp_changed(gasp);
        free(left);
        return rc;
    }
    space_keep(memory, former);
    gasp_changed(gasp);
    free(gasp->own_ram);
    gasp->own_ram = left;
    gasp->n_own_ram = n;
    changed(gasp);
    return 0;
}

int gasp_unregister(struct gasp *gasp, struct range range)
{
    int rc = ram_allocator_mark(gasp->ram.allocator, range);

    if (rc)
        return rc;
    /* Something lies over it, or it is ROM; or did so of an earlier service's, before ours is settled.
     */
    if (!space_map_plain(gasp->space[GASP_MEMORY].map, range,
                         GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE) ||
        ram_any_parked(&gasp->ram, range)) {
        ram_allocator_give(gasp->ram.allocator, range, 1);
        return EBUSY;
    }
    rc = give_back(gasp, range);
    if (rc)
        ram_allocator_give(gasp->ram.allocator, range, 1);
    else
        ram_allocator_drop(gasp->ram.allocator, range);
    return rc;
}

int vm_ram_unregister(vm_t *vm, uintptr_t start, size_t bytes)
{
    struct gasp *gasp = gasp_of(vm);
    struct range range;
    int rc = begin(vm);

    if (rc)
        return fail(rc);
    rc = whole_pages(gasp, start, bytes, HV_PAGE_SIZE, &range);
    if (!rc)
        rc = gasp_unregister(gasp, range);
    gasp_unlock(vm, QST_MEMORY);
    return rc ? fail(rc) : 0;
}

/* In the window's lowest hole. 0, or an errno value: ENOSPC no hole. */
static int add_ram_inside(struct gasp *gasp, uint64_t bytes, struct range window,
                          struct range *range_r)
{
    uint64_t align = bytes >= RAM_CHUNK_SIZE ? RAM_CHUNK_SIZE : HV_PAGE_SIZE;

    for (int i = 0; i < HOLES_TRIED && window.first < window.last; i++) {
        int rc = gasp_find_ram_hole(gasp, bytes, align, window, &range_r->first);

        if (rc)
            return rc;
        range_r->last = range_r->first + (bytes - 1);
        rc = add_ram(gasp, *range_r, false);
        if (rc != EEXIST)
            return rc;
        window.first = (gasp->ram.taken | (HV_PAGE_SIZE - 1)) + 1;
    }
    return ENOSPC;
}

/* Where there is room; 0 or an errno value. */
static int add_ram_somewhere(struct gasp *gasp, uint64_t bytes, struct range *found_r)
{
    uint64_t above = gasp_above_all(gasp);
    /* The topmost page stays free: Xen's log of dirty pages can't name it, so nothing of value may
     * lie there. */
    uint64_t top = gasp->space[GASP_MEMORY].limit - HV_PAGE_SIZE;
    int rc;

    if (bytes == 0)
        return EINVAL;
    if (bytes > top)
        return ENOSPC;
    bytes = (bytes + HV_PAGE_SIZE - 1) & -(uint64_t)HV_PAGE_SIZE;
    if (!gasp_at_start(gasp))
        return range_there(gasp->window) ? add_ram_inside(gasp, bytes, gasp->window, found_r)
                                         : ENOSPC;
    rc = add_ram_inside(gasp, bytes, (struct range){above, top}, found_r);
    /* Page 0 is never handed out: 0 is this call's failure. */
    if (rc == ENOSPC && above > HV_PAGE_SIZE)
        rc = add_ram_inside(gasp, bytes, (struct range){HV_PAGE_SIZE, above - 1}, found_r);
    return rc;
}

uintptr_t vm_ram_register(vm_t *vm, size_t bytes)
{
    struct range found;
    int rc = begin(vm);

    if (!rc) {
        rc = add_ram_somewhere(gasp_of(vm), bytes, &found);
        gasp_unlock(vm, QST_MEMORY);
    }
    if (!rc)
        return found.first;
    errno = rc;
    return 0;
}

int vm_ram_touch(vm_t *vm, uintptr_t addr, size_t size, ram_touch_callback_fn touch_callback,
                 void *cookie)
{
    return ram_touch(&gasp_of(vm)->ram, vm, addr, size, touch_callback, cookie,
                     touch_callback != vm_guest_ram_read_callback);
}

int vm_guest_ram_read_callback(vm_t *vm, uintptr_t guest_addr, void *vaddr, size_t size,
                               size_t offset, void *buf)
{
    (void)vm;
    (void)guest_addr;
    memcpy((char *)buf + offset, vaddr, size);
    return 0;
}

int vm_guest_ram_write_callback(vm_t *vm, uintptr_t guest_addr, void *vaddr, size_t size,
                                size_t offset, void *buf)
{
    (void)vm;
    (void)guest_addr;
    memcpy(vaddr, (const char *)buf + offset, size);
    return 0;
}

int vm_ram_read(vm_t *vm, uint64_t gpa, void *buf, size_t size)
{
    return ram_read(&gasp_of(vm)->ram, gpa, buf, size);
}

int vm_ram_write(vm_t *vm, uint64_t gpa, const void *buf, size_t size)
{
    return ram_write(&gasp_of(vm)->ram, gpa, buf, size);
}

#define LOAD_AND_STORE(bits)                                                                       \
    int vm_ram_load##bits(vm_t *vm, uint64_t gpa, uint##bits##_t *value_r)                         \
    {                                                                                              \
        return ram_load##bits(&gasp_of(vm)->ram, gpa, value_r);                                    \
    }                                                                                              \
    int vm_ram_store##bits(vm_t *vm, uint64_t gpa, uint##bits##_t value)                           \
    {                                                                                              \
        return ram_store##bits(&gasp_of(vm)->ram, gpa, value);                                     \
    }

LOAD_AND_STORE(8)
LOAD_AND_STORE(16)
LOAD_AND_STORE(32)
LOAD_AND_STORE(64)
