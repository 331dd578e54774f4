/* SPDX-License-Identifier: BSD-2-Clause */
#include "space/space.h"

#include <stdlib.h>
#include <string.h>
#include <xengasp/gasp.h>

struct parts {
    struct space_region *part;
    size_t n;
};

static struct parts visible(const struct space_map *map)
{
    return (struct parts){map->region, map->n};
}

static struct parts hidden(const struct space_map *map)
{
    return (struct parts){map->hidden, map->n_hidden};
}

/* One allocation: the map, its visible and its hidden parts, and the addresses for the search. */
static struct space_map *map_alloc(size_t n, size_t n_hidden)
{
    size_t parts = (n + n_hidden) * sizeof(struct space_region);
    struct space_map *map = malloc(sizeof(*map) + parts + n * sizeof(*map->last));

    if (!map)
        return NULL;
    *map = (struct space_map){.next_layer = 1};
    map->region = (struct space_region *)(map + 1);
    map->hidden = map->region + n;
    map->last = (uint64_t *)(map->hidden + n_hidden);
    return map;
}

struct space_map *space_map_new(void)
{
    return map_alloc(0, 0);
}

void space_map_free(struct space_map *map)
{
    free(map);
}

/* The lower bound in `last`. The loop's only branch is its end: the step is arithmetic. */
__attribute__((hot)) size_t space_map_search(const struct space_map *map, uint64_t addr)
{
    const uint64_t *base = map->last;
    size_t n = map->n;

    while (n > 1) {
        size_t half = n / 2;

        base += half & -(size_t)(base[half - 1] < addr);
        n -= half;
    }
    return (size_t)(base - map->last) + (n == 1 && *base < addr);
}

/* The same among any parts. */
static size_t search_parts(struct parts in, uint64_t addr)
{
    size_t low = 0, high = in.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (in.part[middle].range.last < addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool space_map_covered(const struct space_map *map, struct range range, uint32_t flags)
{
    uint64_t addr = range.first;

    for (size_t i = space_map_search(map, addr); i < map->n; i++) {
        const struct space_region *region = &map->region[i];

        if (region->range.first > addr || (region->flags & flags) != flags)
            return false;
        if (region->range.last >= range.last)
            return true;
        addr = region->range.last + 1;
    }
    return false;
}

const struct space_region *space_map_meets(const struct space_map *map, struct range range,
                                           uint32_t flags)
{
    const struct parts side[] = {visible(map), hidden(map)};

    for (int s = 0; s < 2; s++) {
        size_t i = search_parts(side[s], range.first);

        for (; i < side[s].n && side[s].part[i].range.first <= range.last; i++)
            if ((side[s].part[i].flags & flags) == flags)
                return &side[s].part[i];
    }
    return NULL;
}

static bool same_owner(const struct space_region *a, const struct space_region *b)
{
    return a->owner == b->owner && a->cookie == b->cookie;
}

/* Whether a part of the owner's lies in the range. */
static bool owner_meets(const struct space_map *map, const struct space_region *region)
{
    const struct parts side[] = {visible(map), hidden(map)};

    for (int s = 0; s < 2; s++) {
        size_t i = search_parts(side[s], region->range.first);

        for (; i < side[s].n && side[s].part[i].range.first <= region->range.last; i++)
            if (same_owner(&side[s].part[i], region))
                return true;
    }
    return false;
}

/* The part at addr that is of this layer, and of the same owner as `region`; or NULL. */
static const struct space_region *find_own(const struct space_map *map,
                                           const struct space_region *region, uint64_t addr,
                                           uint64_t layer)
{
    const struct parts side[] = {visible(map), hidden(map)};

    for (int s = 0; s < 2; s++) {
        size_t i = search_parts(side[s], addr);

        if (i < side[s].n && side[s].part[i].range.first <= addr &&
            side[s].part[i].layer == layer && same_owner(&side[s].part[i], region))
            return &side[s].part[i];
    }
    return NULL;
}

/* 0 if the named range lies wholly in one layer of the owner's. */
static int check_delete(const struct space_map *map, const struct space_region *region)
{
    const struct range at = {region->range.first, region->range.first};
    const struct space_region *part = space_map_meets(map, at, 0);
    uint64_t layer;

    if (!space_map_meets(map, region->range, 0))
        return ENOENT;
    if (!owner_meets(map, region))
        return EPERM;
    if (!part || !same_owner(part, region))
        return ENOENT;
    layer = part->layer;
    while (part && part->range.last < region->range.last)
        part = find_own(map, region, part->range.last + 1, layer);
    return part ? 0 : ENOENT;
}

/* 0 if the region can be set; then *part_r is what goes into the map. */
static int check_set(const struct space_map *map, const struct space_region *region,
                     struct space_region *part_r)
{
    const struct space_region *old = space_map_meets(map, region->range, 0);

    *part_r = *region;
    if (!old) {
        part_r->layer = !region->owner && (region->flags & GRF_MEMORY) ? 0 : map->next_layer;
        return 0;
    }
    if (same_owner(old, region) && range_inside(region->range, old->range)) {
        part_r->layer = old->layer;
        part_r->flags |= old->flags & GRF_STICKY;
        return 0;
    }
    if ((region->flags & GRF_PRECIOUS) || space_map_meets(map, region->range, GRF_PRECIOUS))
        return EBUSY;
    return EEXIST;
}

/* Appends a part above all others; one that goes on where the last one ends, and is like it, makes
 * it longer. */
static void append(struct parts *out, const struct space_region *part)
{
    struct space_region *before = out->n > 0 ? &out->part[out->n - 1] : NULL;

    if (before && before->layer == part->layer && before->flags == part->flags &&
        same_owner(before, part) && part->range.first - before->range.last == 1)
        before->range.last = part->range.last;
    else
        out->part[out->n++] = *part;
}

/* Copies `in` with `part` in the place of what is in the range; part NULL: with nothing there. At
 * most 2 more. */
static void replace(struct parts *out, struct parts in, struct range range,
                    const struct space_region *part)
{
    size_t i = search_parts(in, range.first);
    struct space_region rest;

    if (i > 0)
        memcpy(out->part, in.part, i * sizeof(*in.part));
    out->n = i;
    if (i < in.n && in.part[i].range.first < range.first) {
        rest = in.part[i];
        rest.range.last = range.first - 1;
        append(out, &rest);
    }
    if (part)
        append(out, part);
    while (i < in.n && in.part[i].range.last <= range.last)
        i++;
    if (i == in.n)
        return;
    rest = in.part[i++];
    if (rest.range.first <= range.last)
        rest.range.first = range.last + 1;
    append(out, &rest);
    if (i < in.n)
        memcpy(out->part + out->n, in.part + i, (in.n - i) * sizeof(*in.part));
    out->n += in.n - i;
}

static void set_last(struct space_map *map)
{
    for (size_t i = 0; i < map->n; i++)
        map->last[i] = map->region[i].range.last;
}

struct space_map *space_map_of(const struct space_region *region, size_t n, uint64_t next_layer)
{
    struct space_map *map = map_alloc(n, 0);
    struct parts parts;

    if (!map)
        return NULL;
    parts = visible(map);
    for (size_t i = 0; i < n; i++)
        append(&parts, &region[i]);
    map->n = parts.n;
    map->next_layer = next_layer;
    set_last(map);
    return map;
}

int space_map_set(const struct space_map *map, const struct space_region *region,
                  struct space_map **new_r)
{
    bool deletes = region->flags == 0, active = region->flags & GRF_ACTIVE;
    struct parts seen, unseen;
    struct space_region part;
    struct space_map *new;
    int rc = deletes ? check_delete(map, region) : check_set(map, region, &part);

    if (rc)
        return rc;
    new = map_alloc(map->n + 2, map->n_hidden + 2);
    if (!new)
        return ENOMEM;
    seen = visible(new);
    unseen = hidden(new);
    replace(&seen, visible(map), region->range, !deletes && active ? &part : NULL);
    replace(&unseen, hidden(map), region->range, !deletes && !active ? &part : NULL);
    new->n = seen.n;
    new->n_hidden = unseen.n;
    new->next_layer = map->next_layer + 1;
    set_last(new);
    *new_r = new;
    return 0;
}

/* Moves *addr up past the parts that [*addr, *addr + size) meets; true if it moved. *i: where to go
 * on looking. */
static bool skip_parts(struct parts in, size_t *i, uint64_t *addr, uint64_t size)
{
    while (*i < in.n && in.part[*i].range.last < *addr)
        ++*i;
    if (*i == in.n || (in.part[*i].range.first > *addr && in.part[*i].range.first - *addr >= size))
        return false;
    *addr = in.part[*i].range.last; /* still taken; the caller goes one further */
    return true;
}

static bool skip_avoid(const struct range *avoid, size_t n, uint64_t *addr, uint64_t size)
{
    for (size_t i = 0; i < n; i++) {
        if (range_overlap(avoid[i], (struct range){*addr, *addr + (size - 1)})) {
            *addr = avoid[i].last;
            return true;
        }
    }
    return false;
}

int space_map_find_free(const struct space_map *map, uint64_t size, uint64_t align,
                        struct range window, const struct range *avoid, size_t n_avoid,
                        uint64_t *start_r)
{
    size_t i = search_parts(visible(map), window.first),
           j = search_parts(hidden(map), window.first);
    uint64_t addr = window.first;

    for (;;) {
        uint64_t up = -addr & (align - 1);

        if (up > window.last - addr)
            return ENOSPC;
        addr += up;
        if (size - 1 > window.last - addr)
            return ENOSPC;
        if (!skip_parts(visible(map), &i, &addr, size) &&
            !skip_parts(hidden(map), &j, &addr, size) && !skip_avoid(avoid, n_avoid, &addr, size))
            break;
        if (addr >= window.last)
            return ENOSPC;
        addr++;
    }
    *start_r = addr;
    return 0;
}

int space_init(struct space *space, uint64_t limit)
{
    space->limit = limit;
    space->map = space_map_new();
    return space->map ? 0 : ENOMEM;
}

void space_dispose(struct space *space)
{
    if (!space->map)
        return;
    rcu_drain();
    space_map_free(space->map);
    space->map = NULL;
}

static void reclaim(struct rcu_head *head)
{
    struct space_map *map = caa_container_of(head, struct space_map, rcu);

    rcu_reclaim(head);
    rcu_reclaim(map->domain);
    space_map_free(map);
}

void space_publish(struct space *space, struct space_map *map)
{
    struct space_map *old = space->map;

    rcu_put(space->map, map);
    old->domain = space;
    rcu_defer(&old->rcu, reclaim);
}
