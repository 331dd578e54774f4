/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a guest's memory space is set aside for later: the gasp window, in which RAM may be
 * registered once the guest runs; the parking window, to which pages of RAM will move while
 * something lies over them; and above these the spare page. Chosen at the end of start-up of a
 * guest that never ran, which is told to keep out; a later service has them from the record.
 */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <string.h>

/* With the spare page, which is the last one. */
#define PARKING_BYTES (UINT64_C(16) << 20)

/* Of an HVM guest below 2 GiB, where hvmloader puts no BARs: what is reserved above 4 GiB it
 * doesn't spare. */
static uint64_t last_address(const struct gasp *gasp)
{
    return gasp->type == HV_HVM ? 0x7fffffff : gasp->space[GASP_MEMORY].limit;
}

static int find_above(const struct gasp *gasp, uint64_t first, uint64_t size, struct range *range_r)
{
    uint64_t last = last_address(gasp), start;
    int rc;

    if (first > last)
        return ENOSPC;
    rc = gasp_find_ram_hole(gasp, size, RAM_CHUNK_SIZE, (struct range){first, last}, &start);
    return rc ? rc : range_make(range_r, start, size, last);
}

/* A region of the platform's: nobody puts anything there, and the map shows what it is. */
static int claim_parking(struct gasp *gasp, struct range range)
{
    const struct space_region region = {
        .range = range,
        .flags = GRF_PRECIOUS | GRF_ACTIVE,
        .cookie = PLATFORM_PARKING,
        .owner = gasp,
    };
    struct space_map *map = space_draft(&gasp->space[GASP_MEMORY]);
    int rc = map ? space_map_set(map, &region) : ENOMEM;

    if (rc) {
        space_map_free(map);
        return rc;
    }
    space_publish(&gasp->space[GASP_MEMORY], map);
    gasp->parking = range;
    return 0;
}

uint64_t gasp_above_all(const struct gasp *gasp)
{
    uint64_t above = gasp_above_ram(gasp);

    if (range_there(gasp->window) && gasp->window.last >= above)
        above = gasp->window.last + 1;
    if (range_there(gasp->parking) && gasp->parking.last >= above)
        above = gasp->parking.last + 1;
    return above;
}

int gasp_set_aside(struct gasp *gasp, uint64_t window)
{
    struct range range;
    int rc;

    if (!gasp->never_ran)
        return window > 0 && !range_there(gasp->window) ? EBUSY : 0;
    if (window > 0 && !range_there(gasp->window)) {
        if (window > gasp->space[GASP_MEMORY].limit)
            return ENOSPC;
        window = (window + RAM_CHUNK_SIZE - 1) & -RAM_CHUNK_SIZE;
        rc = find_above(gasp, gasp_above_all(gasp), window, &range);
        if (rc)
            return rc;
        gasp->window = range;
    }
    if (range_there(gasp->parking))
        return 0;
    /* A guest that leaves no place for it does without. */
    rc = find_above(gasp, gasp_above_all(gasp), PARKING_BYTES, &range);
    return rc == ENOSPC ? 0 : rc ? rc : claim_parking(gasp, range);
}

int gasp_take_aside(struct gasp *gasp, struct range window, struct range parking)
{
    gasp->window = window;
    return range_there(parking) ? claim_parking(gasp, parking) : 0;
}

void gasp_cover_top(struct gasp *gasp)
{
    struct range spare = {gasp->parking.last - (HV_PAGE_SIZE - 1), gasp->parking.last};
    bool done = false;
    struct hv_info info;
    uint64_t top;

    if (gasp->hv->ops->info(gasp->hv, &info) < 0)
        return;
    top = (info.nr_gfns - 1) << HV_PAGE_SHIFT;
    if (!space_map_meets(gasp->space[GASP_MEMORY].map, (struct range){top, top}, GRF_MEMORY, NULL))
        return;
    errno = ENOSPC;
    if (range_there(gasp->parking) && spare.first > top)
        done = ram_populate(&gasp->ram, spare, false, true) == 0;
    if (done)
        gasp->own_pages++;
    else
        gasp_log(gasp, GUEST_LOG_WARN,
                 "no page could be put above the guest's RAM (%s): should it migrate, what is "
                 "written to its topmost page meanwhile may be lost",
                 strerror(errno));
}
