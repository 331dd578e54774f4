/* SPDX-License-Identifier: BSD-2-Clause */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <stdlib.h>

/* hvmloader puts PCI BARs here; it isn't forbidden, but nothing of ours chooses to lie there. */
static const struct range hvm_bars = {0xf0000000, 0xfbffffff};

void gasp_log(const struct gasp *gasp, enum guest_log_level level, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    gasp->log(gasp->log_arg, level, format, ap);
    va_end(ap);
}

int gasp_init(struct gasp *gasp, struct hv *hv, const struct hv_info *info,
              const struct guest_options *options)
{
    *gasp = (struct gasp){
        .hv = hv,
        .type = info->type,
        .never_ran = info->never_ran,
        .ram_only = options->ram_only,
        .log = options->log,
        .log_arg = options->log_arg,
    };
    gasp_locks_init(gasp);
    if (space_init(&gasp->space[GASP_MEMORY], options->memory_limit - 1) == 0 &&
        space_init(&gasp->space[GASP_PORTS], 0xffff) == 0 &&
        ram_init(&gasp->ram, hv, &gasp->space[GASP_MEMORY], options->memory_limit) == 0)
        return 0;
    gasp_dispose(gasp);
    errno = ENOMEM;
    return -1;
}

void gasp_dispose(struct gasp *gasp)
{
    if (!gasp->hv)
        return;
    ram_dispose(&gasp->ram);
    for (int s = 0; s < GASP_SPACES; s++) {
        space_dispose(&gasp->space[s]);
        free(gasp->reserve[s]);
    }
    free(gasp->own_ram);
    gasp_locks_dispose(gasp);
    *gasp = (struct gasp){.log = gasp->log, .log_arg = gasp->log_arg};
}

/* No reader has seen the map yet, so it is changed in place of being published. 0 or -1 with errno.
 */
static int seed(struct gasp *gasp, int space, const struct space_region *region)
{
    struct space_map *map;
    int rc = space_map_set(gasp->space[space].map, region, &map);

    if (rc) {
        errno = rc;
        return -1;
    }
    space_map_free(gasp->space[space].map);
    gasp->space[space].map = map;
    return 0;
}

static int seed_platform(struct gasp *gasp)
{
    struct space_region region = {.flags = GRF_PRECIOUS | GRF_ACTIVE, .owner = gasp};
    enum gasp_space space;

    for (size_t i = 0; platform_next(gasp->type, &i, &space, &region.range); i++) {
        region.cookie = (uint32_t)i;
        if (seed(gasp, space, &region) < 0)
            return -1;
    }
    return 0;
}

/* RAM, but for what of it lies in the platform's regions: pages of Xen's count as the guest's too.
 */
static int seed_ram(struct gasp *gasp, struct range range)
{
    struct space_region region = {.flags = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE};
    uint64_t limit = gasp->space[GASP_MEMORY].limit;

    if (range.first > limit)
        return 0;
    if (range.last > limit)
        range.last = limit;
    for (;;) {
        const struct space_region *taken = space_map_meets(gasp->space[GASP_MEMORY].map, range, 0);
        struct range there;

        region.range = range;
        if (!taken)
            return seed(gasp, GASP_MEMORY, &region);
        there = taken->range;
        region.range.last = there.first - 1;
        if (there.first > range.first && seed(gasp, GASP_MEMORY, &region) < 0)
            return -1;
        if (there.last >= range.last)
            return 0;
        range.first = there.last + 1;
    }
}

/* What an earlier service registered, and is still there, stays registered. */
static int seed_own_ram(struct gasp *gasp, const struct range *hint, size_t n_hint)
{
    if (n_hint == 0)
        return 0;
    gasp->own_ram = malloc(n_hint * sizeof(*gasp->own_ram));
    if (!gasp->own_ram)
        return -1;
    for (size_t i = 0; i < n_hint; i++)
        if (space_map_covered(gasp->space[GASP_MEMORY].map, hint[i], GRF_MEMORY))
            gasp->own_ram[gasp->n_own_ram++] = hint[i];
    return 0;
}

int gasp_seed(struct gasp *gasp, const struct hv_info *info, const struct range *hint,
              size_t n_hint)
{
    struct range *ram = NULL;
    size_t n = 0, i = 0;
    int rc = -1;

    if (seed_platform(gasp) < 0)
        return -1;
    if (gasp->type == HV_HVM) {
        gasp->reserve[GASP_MEMORY] = malloc(sizeof(hvm_bars));
        if (!gasp->reserve[GASP_MEMORY])
            return -1;
        gasp->reserve[GASP_MEMORY][gasp->n_reserve[GASP_MEMORY]++] = hvm_bars;
    }
    if (ram_discover(&gasp->ram, info, hint, n_hint, &ram, &n) < 0)
        return -1;
    while (i < n && seed_ram(gasp, ram[i]) == 0)
        i++;
    if (i == n)
        rc = seed_own_ram(gasp, hint, n_hint);
    free(ram);
    return rc;
}

static int by_first(const void *a, const void *b)
{
    const struct ram_map_entry *x = a, *y = b;

    return (x->range.first > y->range.first) - (x->range.first < y->range.first);
}

/* Adds the whole pages around every region that is neither RAM nor the platform's. */
static size_t reserve_regions(const struct gasp *gasp, const struct space_region *region, size_t n,
                              struct ram_map_entry *entry)
{
    size_t added = 0;

    for (size_t i = 0; i < n; i++) {
        struct range r = region[i].range;

        if ((region[i].flags & GRF_MEMORY) || region[i].owner == gasp)
            continue;
        entry[added++] = (struct ram_map_entry){
            {r.first & -(uint64_t)HV_PAGE_SIZE, r.last | (HV_PAGE_SIZE - 1)}, RAM_MAP_RESERVED};
    }
    return added;
}

/* Reserved entries that meet or touch become one. Returns how many are left. */
static size_t merge_entries(struct ram_map_entry *entry, size_t n)
{
    size_t out = 0;

    qsort(entry, n, sizeof(*entry), by_first);
    for (size_t i = 1; i < n; i++) {
        struct ram_map_entry *last = &entry[out];

        if (entry[i].type == RAM_MAP_RESERVED && last->type == RAM_MAP_RESERVED &&
            (range_overlap(entry[i].range, last->range) ||
             entry[i].range.first - last->range.last == 1)) {
            if (entry[i].range.last > last->range.last)
                last->range.last = entry[i].range.last;
        } else {
            entry[++out] = entry[i];
        }
    }
    return out + 1;
}

int gasp_extend_memory_map(struct gasp *gasp)
{
    const struct space_map *map = gasp->space[GASP_MEMORY].map;
    struct ram_map_entry *entry;
    size_t n = 0;
    int rc;

    if (!gasp->never_ran)
        return 0;
    entry = malloc((1 + gasp->n_own_ram + map->n + map->n_hidden) * sizeof(*entry));
    if (!entry)
        return -1;
    for (size_t i = 0; i < gasp->n_own_ram; i++)
        entry[n++] = (struct ram_map_entry){gasp->own_ram[i], RAM_MAP_RAM};
    n += reserve_regions(gasp, map->region, map->n, entry + n);
    n += reserve_regions(gasp, map->hidden, map->n_hidden, entry + n);
    /* The guest's own mappings must keep out of where vdevs may still come to lie. RAM may have
     * been put there. */
    if (!space_map_meets(map, gasp_vdev_window, GRF_MEMORY))
        entry[n++] = (struct ram_map_entry){gasp_vdev_window, RAM_MAP_RESERVED};
    rc = n > 0 ? ram_extend_memory_map(&gasp->ram, entry, merge_entries(entry, n)) : 0;
    free(entry);
    return rc;
}
