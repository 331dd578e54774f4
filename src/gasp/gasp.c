/* SPDX-License-Identifier: BSD-2-Clause */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* hvmloader puts PCI BARs here, at most; it isn't forbidden, but nothing of ours chooses to lie
 * there. */
static const struct range hvm_bars = {0x80000000, 0xfbffffff};

void gasp_log(const struct gasp *gasp, enum guest_log_level level, const char *format, ...)
{
    int saved = errno; /* callers tell what failed after having logged it */
    va_list ap;

    va_start(ap, format);
    gasp->log(gasp->log_arg, level, format, ap);
    va_end(ap);
    errno = saved;
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
    pthread_mutex_init(&gasp->mapped.lock, NULL);
    pthread_cond_init(&gasp->mapped.settled, NULL);
    if (space_init(&gasp->space[GASP_MEMORY], options->memory_limit - 1) == 0 &&
        space_init(&gasp->space[GASP_PORTS], 0xffff) == 0 &&
        space_init(&gasp->space[GASP_PCI], QSL_PCI_MAKE_LOC(0xff, 0x1f, 7) + 0xff) == 0 &&
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
    gasp_unmap_forgotten(gasp);
    ram_dispose(&gasp->ram);
    for (int s = 0; s < GASP_SPACES; s++) {
        space_dispose(&gasp->space[s]);
        free(gasp->reserve[s]);
    }
    free(gasp->own_ram);
    free(gasp->device);
    free(gasp->guest_ram);
    gasp_locks_dispose(gasp);
    pthread_mutex_destroy(&gasp->mapped.lock);
    pthread_cond_destroy(&gasp->mapped.settled);
    *gasp = (struct gasp){.log = gasp->log, .log_arg = gasp->log_arg};
}

/* No reader has seen the map yet, so there is no draft. 0 or -1 with errno.
 */
static int seed(struct gasp *gasp, int space, const struct space_region *region)
{
    int rc = space_map_set(gasp->space[space].map, region);

    if (!rc)
        return 0;
    errno = rc;
    return -1;
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

/* RAM, but for what of it lies in the platform's regions: pages of Xen's count as the guest's too. */
static int seed_ram(struct gasp *gasp, const struct range *ram, size_t n)
{
    const struct space *memory = &gasp->space[GASP_MEMORY];
    struct space_region part = {.flags = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE}, fixed;

    for (size_t i = 0; i < n && ram[i].first <= memory->limit; i++) {
        uint64_t last = ram[i].last < memory->limit ? ram[i].last : memory->limit;
        uint64_t next = ram[i].first;

        while (next <= last) {
            bool meets = space_map_next(memory->map, (struct range){next, last}, &fixed);

            part.range = (struct range){next, meets ? fixed.range.first - 1 : last};
            if ((!meets || fixed.range.first > next) && seed(gasp, GASP_MEMORY, &part) < 0)
                return -1;
            next = (meets ? fixed.range.last : last) + 1;
        }
    }
    return 0;
}

/* What an earlier service registered stays registered, ballooned out or not. */
static int seed_own_ram(struct gasp *gasp, const struct range *hint, size_t n_hint)
{
    if (n_hint == 0)
        return 0;
    gasp->own_ram = malloc(n_hint * sizeof(*gasp->own_ram));
    if (!gasp->own_ram)
        return -1;
    memcpy(gasp->own_ram, hint, n_hint * sizeof(*hint));
    gasp->n_own_ram = n_hint;
    for (size_t i = 0; i < n_hint; i++) {
        int rc = ram_allocator_add(gasp->ram.allocator, hint[i]);

        if (rc) {
            errno = rc;
            return -1;
        }
        ram_allocator_give(gasp->ram.allocator, hint[i], 1);
        gasp->own_pages += range_length(hint[i]) >> HV_PAGE_SHIFT;
    }
    return 0;
}

static struct range *copy_ranges(const struct range *a, size_t n_a, const struct range *b,
                                 size_t n_b)
{
    struct range *both = malloc((n_a + n_b) * sizeof(*both));

    if (both && n_a > 0)
        memcpy(both, a, n_a * sizeof(*a));
    if (both && n_b > 0)
        memcpy(both + n_a, b, n_b * sizeof(*b));
    return both;
}

/* All RAM, as it was kept. */
static int kept_ram(struct gasp *gasp, const struct gasp_kept *kept, struct range **ram_r,
                    size_t *n_r)
{
    *ram_r = copy_ranges(kept->guest, kept->n_guest, kept->ram, kept->n_ram);
    gasp->guest_ram = copy_ranges(kept->guest, kept->n_guest, NULL, 0);
    if (!*ram_r || !gasp->guest_ram) {
        free(*ram_r);
        return -1;
    }
    gasp->n_guest_ram = kept->n_guest;
    *n_r = ram_merge(*ram_r, kept->n_guest + kept->n_ram);
    return 0;
}

/* All RAM, as it is found. Before the guest's first boot that is what it came with, exactly. */
static int found_ram(struct gasp *gasp, const struct hv_info *info, const struct gasp_kept *kept,
                     struct range **ram_r, size_t *n_r)
{
    int rc = ram_discover(&gasp->ram, info, kept->ram, kept->n_ram, ram_r, n_r);

    if (rc > 0)
        gasp_log(gasp, GUEST_LOG_WARN,
                 "the guest's pages lie too far apart to find them all: what is missing isn't "
                 "known as its RAM");
    if (rc != 0 || !info->never_ran || kept->n_ram > 0 || *n_r == 0)
        return rc < 0 ? -1 : 0;
    gasp->guest_ram = copy_ranges(*ram_r, *n_r, NULL, 0);
    gasp->n_guest_ram = gasp->guest_ram ? *n_r : 0;
    return 0;
}

static int add_platform(struct gasp *gasp)
{
    if (seed_platform(gasp) < 0)
        return -1;
    if (gasp->type != HV_HVM)
        return 0;
    gasp->reserve[GASP_MEMORY] = malloc(sizeof(hvm_bars));
    if (!gasp->reserve[GASP_MEMORY])
        return -1;
    gasp->reserve[GASP_MEMORY][gasp->n_reserve[GASP_MEMORY]++] = hvm_bars;
    return 0;
}

int gasp_seed(struct gasp *gasp, const struct hv_info *info, const struct gasp_kept *kept)
{
    struct range *ram = NULL;
    size_t n = 0;
    int rc;

    if (add_platform(gasp) < 0)
        return -1;
    rc = kept->n_guest > 0 ? kept_ram(gasp, kept, &ram, &n) : found_ram(gasp, info, kept, &ram, &n);
    if (rc < 0)
        return -1;
    rc = seed_ram(gasp, ram, n) < 0 || seed_own_ram(gasp, kept->ram, kept->n_ram) < 0 ? -1 : 0;
    free(ram);
    if (rc < 0)
        return -1;
    rc = gasp_take_aside(gasp, kept->window, kept->parking);
    /* The spare page, if an earlier service has put it there. */
    if (!rc && range_there(gasp->parking) &&
        info->nr_gfns == (gasp->parking.last >> HV_PAGE_SHIFT) + 1)
        gasp->own_pages++;
    if (!rc && !gasp->ram_only)
        rc = gasp_take_runs(gasp, kept->run, kept->n_run);
    if (!rc)
        return 0;
    errno = rc;
    return -1;
}

static int by_first(const void *a, const void *b)
{
    const struct ram_map_entry *x = a, *y = b;

    return (x->range.first > y->range.first) - (x->range.first < y->range.first);
}

/* Adds the whole pages around every region that is neither over RAM nor the platform's. */
static size_t reserve_regions(const struct gasp *gasp, const struct space_map *map,
                              struct ram_map_entry *entry)
{
    size_t added = 0;

    for (size_t i = 0; i < map->n; i++) {
        const struct space_layer *lowest = &map->cell[i]->layer[map->cell[i]->n - 1];
        struct range r = map->cell[i]->range;

        if ((lowest->flags & GRF_MEMORY) || lowest->owner == gasp ||
            (range_there(gasp->window) && range_inside(r, gasp->window)))
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
    int rc = 0;

    if (!gasp->never_ran)
        return 0;
    entry = malloc((3 + gasp->n_own_ram + map->n) * sizeof(*entry));
    if (!entry)
        return -1;
    for (size_t i = 0; i < gasp->n_own_ram; i++) {
        if (!range_there(gasp->window) || !range_overlap(gasp->own_ram[i], gasp->window))
            entry[n++] = (struct ram_map_entry){gasp->own_ram[i], RAM_MAP_RAM};
    }
    if (range_there(gasp->window))
        entry[n++] = (struct ram_map_entry){gasp->window, RAM_MAP_RESERVED};
    if (range_there(gasp->parking))
        entry[n++] = (struct ram_map_entry){gasp->parking, RAM_MAP_UNUSABLE};
    n += reserve_regions(gasp, map, entry + n);
    /* The guest's own mappings must keep out of where vdevs may still come to lie. RAM may have
     * been put there. */
    if (!space_map_meets(map, gasp_vdev_window, GRF_MEMORY, NULL))
        entry[n++] = (struct ram_map_entry){gasp_vdev_window, RAM_MAP_RESERVED};
    if (n > 0) {
        n = merge_entries(entry, n);
        rc = gasp->type == HV_HVM ? ram_extend_hvm_map(&gasp->ram, entry, n)
                                  : ram_extend_memory_map(&gasp->ram, entry, n);
    }
    free(entry);
    return rc;
}
