/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps, drafts of them, and looking at them; what setting a region does is in set.c. */
#include "space/space.h"

#include <stdlib.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "space/draft.h"

enum { ROOM = 8 }; /* for so many cells more than there are */

/* One block for both rows. */
static bool rows_alloc(struct space_map *map, size_t room)
{
    char *rows = malloc(room * (sizeof(*map->last) + sizeof(*map->cell)));

    if (!rows)
        return false;
    map->last = (uint64_t *)rows;
    map->cell = (struct space_cell **)(rows + room * sizeof(*map->last));
    map->room = room;
    return true;
}

static struct space_map *map_alloc(size_t room)
{
    struct space_map *map = calloc(1, sizeof(*map));

    if (!map)
        return NULL;
    if (rows_alloc(map, room))
        return map;
    free(map);
    return NULL;
}

struct space_map *space_map_new(void)
{
    struct space_map *map = map_alloc(ROOM);

    if (map) {
        map->number = 1;
        map->next_layer = 1;
    }
    return map;
}

static void copy_rows(struct space_map *to, const struct space_map *from)
{
    to->n = from->n;
    memcpy(to->last, from->last, from->n * sizeof(*to->last));
    memcpy(to->cell, from->cell, from->n * sizeof(struct space_cell *));
}

struct space_map *space_map_draft(const struct space_map *map, uint64_t number)
{
    struct space_map *draft = map_alloc(map->n + ROOM);

    if (!draft)
        return NULL;
    copy_rows(draft, map);
    draft->number = number;
    draft->next_layer = map->next_layer;
    return draft;
}

bool draft_make_room(struct space_map *draft, size_t cells, size_t dropped)
{
    struct space_cell **more;
    uint64_t *rows = draft->last;

    if (draft->n_dropped + dropped > draft->dropped_room) {
        size_t room = 2 * (draft->n_dropped + dropped);

        more = realloc(draft->dropped, room * sizeof(struct space_cell *));
        if (!more)
            return false;
        draft->dropped = more;
        draft->dropped_room = room;
    }
    if (cells > draft->room) {
        const struct space_map before = *draft;

        if (!rows_alloc(draft, cells + cells / 2))
            return false;
        copy_rows(draft, &before);
        free(rows);
    }
    return true;
}

static void free_shell(struct space_map *map)
{
    free(map->dropped);
    free(map->last);
    free(map);
}

static void free_own_cells(struct space_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        if (map->cell[i]->born == map->number)
            free(map->cell[i]);
    }
}

void space_map_free(struct space_map *draft)
{
    if (!draft)
        return;
    free_own_cells(draft);
    free_shell(draft);
}

/* ---- looking ---- */

/* Not to be predicted: for the compiler, which then selects without a branch. */
#define even_odds(condition) __builtin_expect_with_probability(condition, 1, 0.5)

/*
 * The lower bound in `last`. Several places are compared at once: their loads don't wait for each
 * other, as those of halving do. No branch depends on what was found.
 */
__attribute__((hot)) size_t space_map_search(const struct space_map *map, uint64_t addr)
{
    const uint64_t *base = map->last;
    size_t n = map->n, below = 0;

    while (n >= 16) {
        size_t part = n / 4;
        const uint64_t *a = base + part, *b = a + part, *c = b + part;

        base = even_odds(a[-1] < addr) ? a : base;
        base = even_odds(b[-1] < addr) ? b : base;
        base = even_odds(c[-1] < addr) ? c : base;
        n -= 3 * part;
    }
    for (size_t i = 0; i < n; i++)
        below += base[i] < addr;
    return (size_t)(base - map->last) + below;
}

static bool same_piece(const struct space_layer *a, const struct space_layer *b)
{
    return a && b && a->id == b->id && a->flags == b->flags;
}

static void tell(struct space_region *r, struct range range, const struct space_layer *layer)
{
    *r = (struct space_region){range, layer->flags, layer->cookie, layer->owner, layer->id};
}

/* How far what ends at `last`, before cell i, goes on as the same piece, but not further than needed.
 */
static uint64_t piece_end(const struct space_map *map, size_t i, uint64_t last, uint64_t needed,
                          const struct space_layer *layer)
{
    while (last < needed && i < map->n && map->cell[i]->range.first - last == 1 &&
           same_piece(space_cell_visible(map->cell[i]), layer))
        last = map->last[i++];
    return last;
}

/* The same of a hole. */
static uint64_t hole_end(const struct space_map *map, size_t i, uint64_t needed)
{
    while (i < map->n && map->cell[i]->range.first <= needed && !space_cell_visible(map->cell[i]))
        i++;
    return i < map->n ? map->cell[i]->range.first - 1 : UINT64_MAX;
}

__attribute__((hot)) bool space_map_look(const struct space_map *map, struct range range,
                                         struct space_region *seen_r)
{
    size_t i = space_map_search(map, range.first);
    const struct space_cell *cell = i < map->n ? map->cell[i] : NULL;
    const struct space_layer *layer =
        cell && cell->range.first <= range.first ? space_cell_visible(cell) : NULL;

    if (!layer) {
        *seen_r = (struct space_region){.range = {range.first, hole_end(map, i, range.last)}};
        return false;
    }
    tell(seen_r, cell->range, layer);
    if (cell->range.last < range.last)
        seen_r->range.last = piece_end(map, i + 1, cell->range.last, range.last, layer);
    return true;
}

/* The whole piece of cell i, which has a visible layer. */
static void whole_piece(const struct space_map *map, size_t i, struct space_region *piece_r)
{
    const struct space_layer *layer = space_cell_visible(map->cell[i]);
    struct range range = {map->cell[i]->range.first,
                          piece_end(map, i + 1, map->last[i], UINT64_MAX, layer)};

    while (i > 0 && range.first - map->last[i - 1] == 1 &&
           same_piece(space_cell_visible(map->cell[i - 1]), layer))
        range.first = map->cell[--i]->range.first;
    tell(piece_r, range, layer);
}

bool space_map_next(const struct space_map *map, struct range range, struct space_region *piece_r)
{
    for (size_t i = space_map_search(map, range.first);
         i < map->n && map->cell[i]->range.first <= range.last; i++) {
        if (space_cell_visible(map->cell[i])) {
            whole_piece(map, i, piece_r);
            return true;
        }
    }
    return false;
}

bool space_map_find(const struct space_map *map, uint64_t addr, struct space_region *piece_r)
{
    return space_map_next(map, (struct range){addr, addr}, piece_r);
}

bool space_map_covered(const struct space_map *map, struct range range, uint32_t has,
                       uint32_t hasnt)
{
    uint64_t addr = range.first;

    for (size_t i = space_map_search(map, addr); i < map->n; i++) {
        const struct space_layer *layer = space_cell_visible(map->cell[i]);

        if (map->cell[i]->range.first > addr || !layer ||
            !space_flags_match(layer->flags, has, hasnt))
            return false;
        if (map->last[i] >= range.last)
            return true;
        addr = map->last[i] + 1;
    }
    return false;
}

bool space_map_plain(const struct space_map *map, struct range range, uint32_t flags)
{
    uint64_t addr = range.first;

    for (size_t i = space_map_search(map, addr); i < map->n; i++) {
        const struct space_cell *cell = map->cell[i];

        if (cell->range.first > addr || cell->n > 1 || cell->layer[0].flags != flags)
            return false;
        if (map->last[i] >= range.last)
            return true;
        addr = map->last[i] + 1;
    }
    return false;
}

bool space_map_meets(const struct space_map *map, struct range range, uint32_t flags,
                     struct space_region *part_r)
{
    for (size_t i = space_map_search(map, range.first);
         i < map->n && map->cell[i]->range.first <= range.last; i++) {
        const struct space_cell *cell = map->cell[i];

        for (uint32_t k = 0; k < cell->n; k++) {
            if ((cell->layer[k].flags & flags) != flags)
                continue;
            if (part_r)
                tell(part_r, cell->range, &cell->layer[k]);
            return true;
        }
    }
    return false;
}

bool space_map_owned(const struct space_map *map, const void *owner, struct space_region *part_r)
{
    for (size_t i = 0; i < map->n; i++) {
        for (uint32_t k = 0; k < map->cell[i]->n; k++) {
            if (map->cell[i]->layer[k].owner != owner || map->cell[i]->layer[k].id == 0)
                continue;
            tell(part_r, map->cell[i]->range, &map->cell[i]->layer[k]);
            return true;
        }
    }
    return false;
}

/* Moves *addr up to the last address that is taken in the way of [*addr, *addr + size); true if there
 * is one. *i: the first cell that ends at *addr or above. */
static bool skip_cells(const struct space_map *map, size_t *i, uint64_t *addr, uint64_t size)
{
    while (*i < map->n && map->last[*i] < *addr)
        ++*i;
    if (*i == map->n ||
        (map->cell[*i]->range.first > *addr && map->cell[*i]->range.first - *addr >= size))
        return false;
    /* And those behind it, as long as there isn't enough between them. Mostly their ends alone tell:
     * then the cells themselves, which lie scattered in memory, needn't be looked at. */
    while (*i + 1 < map->n && (map->last[*i + 1] - map->last[*i] <= size ||
                               map->cell[*i + 1]->range.first - map->last[*i] <= size))
        ++*i;
    *addr = map->last[*i];
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
    size_t i = space_map_search(map, window.first);
    uint64_t addr = window.first;

    for (;;) {
        uint64_t up = -addr & (align - 1);

        if (up > window.last - addr)
            return ENOSPC;
        addr += up;
        if (size - 1 > window.last - addr)
            return ENOSPC;
        if (!skip_cells(map, &i, &addr, size) && !skip_avoid(avoid, n_avoid, &addr, size))
            break;
        if (addr >= window.last)
            return ENOSPC;
        addr++;
    }
    *start_r = addr;
    return 0;
}

/* ---- a space ---- */

int space_init(struct space *space, uint64_t limit)
{
    space->limit = limit;
    space->numbers = 1;
    space->map = space_map_new();
    return space->map ? 0 : ENOMEM;
}

void space_dispose(struct space *space)
{
    if (!space->map)
        return;
    rcu_drain();
    rcu_reclaim(space);
    for (size_t i = 0; i < space->map->n; i++)
        free(space->map->cell[i]);
    free_shell(space->map);
    space->map = NULL;
}

struct space_map *space_draft(struct space *space)
{
    return space_map_draft(space->map, ++space->numbers);
}

static void reclaim(struct rcu_head *head)
{
    struct space_map *map = caa_container_of(head, struct space_map, rcu);
    void *domain;

    rcu_reclaim(head);
    domain = map->domain;
    rcu_reclaim(domain);
    if (map->taken_back)
        free_own_cells(map);
    else
        for (size_t i = 0; i < map->n_dropped; i++)
            free(map->dropped[i]);
    free_shell(map);
    rcu_done(domain); /* it has read cells that others free */
}

static void retire(struct space *space, struct space_map *map)
{
    map->domain = space;
    rcu_defer(&map->rcu, reclaim);
}

struct space_map *space_show(struct space *space, struct space_map *draft)
{
    struct space_map *former = space->map;

    rcu_put(space->map, draft);
    return former;
}

/* The former goes, and with it what the present one doesn't have: older readers are gone by then,
 * too. */
void space_keep(struct space *space, struct space_map *former)
{
    struct space_map *map = space->map;

    former->dropped = map->dropped;
    former->n_dropped = map->n_dropped;
    map->dropped = NULL;
    map->n_dropped = map->dropped_room = 0;
    retire(space, former);
}

void space_take_back(struct space *space, struct space_map *former)
{
    struct space_map *map = space->map;

    map->taken_back = true;
    rcu_put(space->map, former);
    retire(space, map);
}

void space_publish(struct space *space, struct space_map *draft)
{
    space_keep(space, space_show(space, draft));
}
