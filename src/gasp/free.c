/* SPDX-License-Identifier: BSD-2-Clause */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <stdlib.h>

const struct range gasp_vdev_window = {0xfe000000, 0xfebfffff};

static const struct range port_window = {0x2000, 0x9fff};
static const struct range pci_window = {QSL_PCI_MAKE_LOC(0, 0x10, 0),
                                        QSL_PCI_MAKE_LOC(0, 0x1f, 0) + 0xff};
/* A slot each, in its function 0. */
#define PCI_SLOT (UINT64_C(1) << 35)
enum { PCI_FUNCTION_BYTES = 256 };

uint64_t gasp_above_ram(const struct gasp *gasp)
{
    const struct space_map *map = gasp->space[GASP_MEMORY].map;
    const struct space_cell *cell;

    for (size_t i = map->n; i > 0; i--) {
        cell = map->cell[i - 1];
        if (cell->layer[cell->n - 1].id == RAM_FRAME)
            return cell->range.last + 1;
    }
    return 0;
}

static int find(const struct gasp *gasp, int space, uint64_t size, uint64_t align,
                struct range window, uint64_t *start_r)
{
    if (window.last > gasp->space[space].limit)
        window.last = gasp->space[space].limit;
    if (window.first > window.last)
        return ENOSPC;
    return space_map_find_free(gasp->space[space].map, size, align, window, gasp->reserve[space],
                               gasp->n_reserve[space], start_r);
}

int gasp_find_ram_hole(const struct gasp *gasp, uint64_t size, uint64_t align, struct range window,
                       uint64_t *start_r)
{
    const struct range below = {window.first, gasp_vdev_window.first - 1};
    const struct range above = {gasp_vdev_window.last + 1, window.last};

    if (!range_overlap(window, gasp_vdev_window))
        return find(gasp, GASP_MEMORY, size, align, window, start_r);
    if (window.first < gasp_vdev_window.first &&
        !find(gasp, GASP_MEMORY, size, align, below, start_r))
        return 0;
    return find(gasp, GASP_MEMORY, size, align, above, start_r);
}

/* 0, or an errno value of what is wrong with a call; aligns 0 to 1. */
static int check_call(const struct gasp *gasp, int space, uint64_t size, uint64_t *align)
{
    if (space < 0)
        return ENOTSUP;
    if (*align == 0)
        *align = 1;
    if (size == 0 || (*align & (*align - 1)))
        return EINVAL;
    if (space == GASP_PCI) {
        if (size > PCI_FUNCTION_BYTES)
            return EINVAL;
        *align = *align > PCI_SLOT ? *align : PCI_SLOT;
    }
    return gasp_may_change(gasp, space) ? 0 : EPERM;
}

uint64_t gasp_find_free(struct guest_system *gsp, unsigned qst, uint64_t size, uint64_t align)
{
    const struct gasp *gasp = gasp_of(gsp);
    const struct range *window[GASP_SPACES] = {&gasp_vdev_window, &port_window, &pci_window};
    int space = gasp_space_of(qst);
    uint64_t start = QSL_NO_LOCATION;
    int rc = check_call(gasp, space, size, &align);

    if (!rc)
        rc = find(gasp, space, size, align, *window[space], &start);
    if (rc == ENOSPC && space == GASP_MEMORY && range_there(gasp->window))
        rc = find(gasp, space, size, align, gasp->window, &start);
    if (rc == ENOSPC && space == GASP_MEMORY && gasp->never_ran && !gasp->running)
        rc = find(gasp, space, size, align, (struct range){gasp_above_ram(gasp), UINT64_MAX},
                  &start);
    if (!rc)
        return start;
    errno = rc;
    return QSL_NO_LOCATION;
}

uint64_t gasp_find_free_range(struct guest_system *gsp, unsigned qst, uint64_t size, uint64_t align,
                              uint64_t min_addr, uint64_t max_addr)
{
    const struct gasp *gasp = gasp_of(gsp);
    int space = gasp_space_of(qst);
    uint64_t start = QSL_NO_LOCATION;
    int rc = check_call(gasp, space, size, &align);

    if ((!rc || rc == EPERM) && min_addr > max_addr)
        rc = EINVAL;
    if (!rc)
        rc = find(gasp, space, size, align, (struct range){min_addr, max_addr}, &start);
    if (!rc)
        return start;
    errno = rc;
    return QSL_NO_LOCATION;
}

int gasp_reserve(struct guest_system *gsp, const struct qvm_state_block *blk)
{
    struct gasp *gasp = gasp_of(gsp);
    int space = gasp_space_of(blk->type);
    struct range range, *more;
    int rc;

    if (space < 0 || gasp->ram_only) {
        errno = ENOTSUP;
        return -1;
    }
    rc = range_make(&range, blk->location, blk->length, gasp->space[space].limit);
    if (!rc && gasp->running)
        rc = EPERM;
    if (rc) {
        errno = rc;
        return -1;
    }
    more = realloc(gasp->reserve[space], (gasp->n_reserve[space] + 1) * sizeof(*more));
    if (!more)
        return -1;
    more[gasp->n_reserve[space]++] = range;
    gasp->reserve[space] = more;
    return 0;
}
