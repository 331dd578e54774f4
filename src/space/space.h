/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of one address space: which region is where. A map is immutable: a change makes a new map
 * beside the old one, and the new one is published or thrown away. So readers need no lock (a read
 * section of rcu.h), a change that Xen refuses costs nothing to undo, and what changed is the
 * difference of two maps.
 *
 * A region that was set is a layer; what a reader sees of it, and what it does not, are its parts.
 * Parts that answer lie in `region`; parts that nobody sees lie in `hidden`. For now layers are
 * disjoint, and what is hidden is what isn't GRF_ACTIVE. Overlays fit in so: a layer set over
 * another moves the covered parts of that one to `hidden`; taking it off brings back, byte by byte,
 * the hidden active part with the highest layer. Readers don't notice.
 */
#ifndef XENGASP_SPACE_H
#define XENGASP_SPACE_H

#include <stddef.h>

#include "space/range.h"
#include "space/rcu.h"

struct space_region {
    struct range range;
    uint32_t flags; /* GRF_* */
    uint32_t cookie;
    void *owner;    /* with the cookie: who may change it; NULL is the VM */
    uint64_t layer; /* the map's: one for all parts of it, higher the later; 0: the VM's RAM */
};

struct space_map {
    size_t n;
    /* The visible regions, ascending, disjoint: addresses apart from the rest, for the search. */
    uint64_t *last;
    struct space_region *region;
    size_t n_hidden;
    struct space_region *hidden; /* ascending; disjoint from the visible until there are overlays */
    uint64_t next_layer; /* one more in each map that is made of another, which tells them apart */
    struct rcu_head rcu;
    void *domain; /* of rcu.h: the struct space that it was published in */
};

struct space_map *space_map_new(void);      /* an empty one, or NULL with ENOMEM */
void space_map_free(struct space_map *map); /* NULL is fine */

/* A map of n regions that are ascending, disjoint and GRF_ACTIVE, their layers below next_layer.
 * NULL with ENOMEM. */
struct space_map *space_map_of(const struct space_region *region, size_t n, uint64_t next_layer);

/* Index of the region that holds addr, or of the first one above it, or map->n. */
size_t space_map_search(const struct space_map *map, uint64_t addr);

/* The region at addr, or NULL. */
static inline const struct space_region *space_map_find(const struct space_map *map, uint64_t addr)
{
    size_t i = space_map_search(map, addr);

    return i < map->n && map->region[i].range.first <= addr ? &map->region[i] : NULL;
}

/* True if every byte of the range belongs to a region that has all of `flags`. */
bool space_map_covered(const struct space_map *map, struct range range, uint32_t flags);

/* Some part, hidden or not, that has a byte in the range and all of `flags`; NULL if there is none.
 */
const struct space_region *space_map_meets(const struct space_map *map, struct range range,
                                           uint32_t flags);

/*
 * A new map in which the region is set: added, modified or deleted by the rules of gasp.h (flags 0
 * deletes). 0 or an errno value: EEXIST, EBUSY, ENOENT, EPERM, ENOMEM. Parts of one layer that
 * touch and have the same flags are one part; the VM's GRF_MEMORY regions are all one layer.
 */
int space_map_set(const struct space_map *map, const struct space_region *region,
                  struct space_map **new_r);

/*
 * The lowest start of `size` free bytes, aligned (a power of two), inside `window`, that touches no
 * part, hidden ones included, and none of the `avoid` ranges. 0, ENOSPC.
 */
int space_map_find_free(const struct space_map *map, uint64_t size, uint64_t align,
                        struct range window, const struct range *avoid, size_t n_avoid,
                        uint64_t *start_r);

/*
 * A space whose map is read while it is replaced. Readers: rcu_enter, space_read, use,
 * rcu_leave(space). One writer at a time (the caller's lock). The old map is freed when nobody
 * reads it any more; nobody waits for that.
 */
struct space {
    uint64_t
        limit; /* the last address. First: an atomic store hides a rcu.h domain at its address */
    struct space_map *map;
};

static inline const struct space_map *space_read(const struct space *space)
{
    return rcu_get(space->map);
}

int space_init(struct space *space, uint64_t limit); /* 0 or ENOMEM */
void space_dispose(struct space *space);             /* twice is fine; no readers any more */
void space_publish(struct space *space, struct space_map *map);

#endif
