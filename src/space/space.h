/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of one address space: which region is where, and which lies over which.
 *
 * A region that was set is a layer; a later one that lies inside it covers its part. The map is a
 * row of cells: a cell is a stretch of addresses with one stack of layers, the topmost first, as
 * long as it can be (neighbours differ). Of a stack the guest sees the topmost layer that is
 * GRF_ACTIVE. A piece is what it sees of one layer: a stretch of neighbouring cells in which that
 * layer is the visible one, with the same flags.
 *
 *     layer 2             [ B        ]
 *     layer 1   [ A                            ]
 *     cells     [ A      ][ B over A ][ A      ]      pieces: A, B, A
 *
 * Cells are immutable once a map that has them is published, and maps share them. A change is made
 * to a draft, a copy of the row, which is published or thrown away. So readers need no lock (a read
 * section of rcu.h), a change that Xen refuses costs nothing to undo, and what changed is the
 * difference of two maps.
 */
#ifndef XENGASP_SPACE_H
#define XENGASP_SPACE_H

#include <stddef.h>

#include "space/range.h"
#include "space/rcu.h"

/* A region to be set, or a piece or a layer's part that was found. */
struct space_region {
    struct range range;
    uint32_t flags; /* GRF_* */
    uint32_t cookie;
    void *owner;    /* with the cookie: who may change it; NULL is the VM */
    uint64_t layer; /* the map's: one for all parts of it, higher the later; 0: the VM's RAM */
};

struct space_layer {
    uint64_t id; /* space_region.layer */
    void *owner;
    uint32_t flags, cookie;
};

struct space_cell {
    struct range range;
    uint64_t born;    /* the number of the map that it was made for */
    uint32_t n;       /* layers, at least one */
    uint32_t visible; /* index of the visible one; n: none is */
    struct space_layer layer[];
};

struct space_map {
    size_t n;
    /* Ascending, disjoint: addresses apart from the rest, for the search. */
    uint64_t *last;
    struct space_cell **cell;
    uint64_t number; /* no two maps of a space have the same */
    /* Of the writer's. */
    uint64_t next_layer;
    size_t room;                 /* of last and cell */
    struct space_cell **dropped; /* of the map that this is a draft of: no cells of this one */
    size_t n_dropped, dropped_room;
    bool taken_back;
    struct rcu_head rcu;
    void *domain; /* of rcu.h: the struct space that it was published in */
};

/* What guest RAM is, to those who read and write it: GRF_MEMORY that is neither covered nor
 * forbidden. For space_map_covered. */
#define SPACE_RAM_HAS (GRF_MEMORY | GRF_PASS_RD)
#define SPACE_RAM_HASNT (GRF_VIRT_ANY | GRF_NOPERMS)
static inline bool space_flags_match(uint32_t flags, uint32_t has, uint32_t hasnt)
{
    return (flags & (has | hasnt)) == has;
}

/* ---- drafts ---- */

struct space_map *space_map_new(void); /* an empty draft, or NULL with ENOMEM */
/* A draft that begins as a copy. number: not used before. NULL with ENOMEM. The map must outlive
 * it, unless it is published. */
struct space_map *space_map_draft(const struct space_map *map, uint64_t number);
void space_map_free(struct space_map *draft); /* NULL is fine */

/*
 * Sets the region in a draft: added, modified or deleted by the rules of gasp.h (flags 0 deletes).
 * 0; or an errno value, and nothing changed: EEXIST, EBUSY, ENOENT, EPERM, ENOMEM. Parts of one
 * layer that touch and have the same flags are one part; the VM's (cookie 0) GRF_MEMORY regions are
 * all one layer.
 */
int space_map_set(struct space_map *draft, const struct space_region *region);

/* Which layer of the region's owner that would change: the topmost that goes through all of the range
 * and, unless the region is to be deleted, is either visible or inactive there, with the same flags. */
bool space_map_own(const struct space_map *map, const struct space_region *region,
                   struct space_layer *layer_r);

/* ---- looking ---- */

/* Index of the cell that holds addr, or of the first one above it, or map->n. */
size_t space_map_search(const struct space_map *map, uint64_t addr);

static inline const struct space_layer *space_cell_visible(const struct space_cell *cell)
{
    return cell->visible < cell->n ? &cell->layer[cell->visible] : NULL;
}

/* The piece at addr. */
bool space_map_find(const struct space_map *map, uint64_t addr, struct space_region *piece_r);

/*
 * What is seen of [range.first, range.last] from its start on, and how far: the piece there, or a
 * hole (false), as far as range.last or beyond, or to its own end. Only range, flags, cookie, owner
 * and layer of a piece are set, its range beginning anywhere in it.
 */
bool space_map_look(const struct space_map *map, struct range range, struct space_region *seen_r);

/* The first piece with an address in the range; false: none has. In ascending order: then with the
 * range beginning behind that one. */
bool space_map_next(const struct space_map *map, struct range range, struct space_region *piece_r);

/* True if every byte of the range is in a piece that has all flags of `has` and none of `hasnt`. */
bool space_map_covered(const struct space_map *map, struct range range, uint32_t has,
                       uint32_t hasnt);

/* True if every byte of the range is in a cell of one layer, which has these flags. */
bool space_map_plain(const struct space_map *map, struct range range, uint32_t flags);

/* Some part of a layer, visible or not, that has a byte in the range and all of `flags`; false: there
 * is none. part_r may be NULL. */
bool space_map_meets(const struct space_map *map, struct range range, uint32_t flags,
                     struct space_region *part_r);

/* Some part of a layer of the owner's but RAM, the topmost of those at its place. */
bool space_map_owned(const struct space_map *map, const void *owner, struct space_region *part_r);

/*
 * The lowest start of `size` free bytes, aligned (a power of two), inside `window`, that touches no
 * cell, so no hidden layer either, and none of the `avoid` ranges. 0, ENOSPC.
 */
int space_map_find_free(const struct space_map *map, uint64_t size, uint64_t align,
                        struct range window, const struct range *avoid, size_t n_avoid,
                        uint64_t *start_r);

/* ---- a space ---- */

/*
 * A space whose map is read while it is replaced. Readers: rcu_enter, space_read, use,
 * rcu_leave(space). One writer at a time (the caller's lock). The old map is freed when nobody
 * reads it any more; nobody waits for that.
 */
struct space {
    uint64_t
        limit; /* the last address. First: an atomic store hides a rcu.h domain at its address */
    struct space_map *map;
    uint64_t numbers; /* given to maps so far */
};

static inline const struct space_map *space_read(const struct space *space)
{
    return rcu_get(space->map);
}

int space_init(struct space *space, uint64_t limit); /* 0 or ENOMEM */
void space_dispose(struct space *space);             /* twice is fine; no readers any more */

struct space_map *space_draft(struct space *space); /* of what is published; NULL with ENOMEM */
void space_publish(struct space *space, struct space_map *draft);

/* The same in two steps, for who may have to go back: first published, then settled by one of the
 * others. `former` is what space_show returned. */
struct space_map *space_show(struct space *space, struct space_map *draft);
void space_keep(struct space *space, struct space_map *former);
void space_take_back(struct space *space, struct space_map *former);

#endif
