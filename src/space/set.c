/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Setting a region: which of adding, modifying and deleting it is, whether the rules allow it, and
 * the change of the draft's cells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "space/draft.h"
#include "space/space.h"

/* What becomes of the stacks of a stretch: this layer is put in at its place, or gets these flags,
 * or goes. */
struct edit {
    struct range range;
    enum { EDIT_ADD, EDIT_MODIFY, EDIT_REMOVE } kind;
    struct space_layer layer;
};

/* The cells in the place of those from index `first` to before `end`. */
struct row {
    size_t first, end, n;
    struct space_cell **cell;
    struct space_cell *some[8]; /* which are mostly enough */
};

static bool is_owner(const struct space_layer *layer, const struct space_region *region)
{
    return layer->owner == region->owner && layer->cookie == region->cookie;
}

static const struct space_layer *layer_in(const struct space_cell *cell, uint64_t id)
{
    for (uint32_t k = 0; k < cell->n; k++) {
        if (cell->layer[k].id == id)
            return &cell->layer[k];
    }
    return NULL;
}

/* ---- the cells ---- */

static bool same_stack(const struct space_cell *a, const struct space_cell *b)
{
    return a->n == b->n && memcmp(a->layer, b->layer, a->n * sizeof(a->layer[0])) == 0;
}

static void find_visible(struct space_cell *cell)
{
    cell->visible = 0;
    while (cell->visible < cell->n && !(cell->layer[cell->visible].flags & GRF_ACTIVE))
        cell->visible++;
}

/* A cell with the stack of `of` (NULL: of nothing) after the edit (NULL: as it is). *cell_r NULL:
 * nothing is left. False: no memory. */
static bool make_cell(const struct space_map *draft, struct range range,
                      const struct space_cell *of, const struct edit *edit,
                      struct space_cell **cell_r)
{
    uint32_t n = of ? of->n : 0, k;
    struct space_cell *cell;

    *cell_r = NULL;
    if (edit && edit->kind == EDIT_REMOVE && n == 1)
        return true;
    cell = malloc(sizeof(*cell) + (n + 1) * sizeof(cell->layer[0]));
    if (!cell)
        return false;
    cell->range = range;
    cell->born = draft->number;
    cell->n = 0;
    for (k = 0; k < n && !(edit && of->layer[k].id <= edit->layer.id); k++)
        cell->layer[cell->n++] = of->layer[k];
    if (edit && edit->kind != EDIT_REMOVE)
        cell->layer[cell->n++] = edit->layer;
    if (edit && edit->kind != EDIT_ADD)
        k++;
    for (; k < n; k++)
        cell->layer[cell->n++] = of->layer[k];
    find_visible(cell);
    *cell_r = cell;
    return true;
}

/* Adds a cell to the row, or to its last one if that goes on in it. */
static bool append(const struct space_map *draft, struct row *row, struct range range,
                   const struct space_cell *of, const struct edit *edit)
{
    struct space_cell *before = row->n > 0 ? row->cell[row->n - 1] : NULL, *cell;

    if (!make_cell(draft, range, of, edit, &cell))
        return false;
    if (!cell)
        return true;
    if (before && range.first - before->range.last == 1 && same_stack(before, cell)) {
        before->range.last = range.last;
        free(cell);
    } else {
        row->cell[row->n++] = cell;
    }
    return true;
}

/* The stretch as the edit makes it, with what its outermost cells have outside. */
static bool fill_row(const struct space_map *draft, struct row *row, const struct edit *edit)
{
    uint64_t first = edit->range.first, last = edit->range.last;

    for (size_t i = row->first; i < row->end; i++) {
        const struct space_cell *cell = draft->cell[i];
        struct range in = {cell->range.first > first ? cell->range.first : first,
                           cell->range.last < last ? cell->range.last : last};

        if (cell->range.first < first &&
            !append(draft, row, (struct range){cell->range.first, first - 1}, cell, NULL))
            return false;
        if (in.first > first && edit->kind == EDIT_ADD &&
            !append(draft, row, (struct range){first, in.first - 1}, NULL, edit))
            return false;
        if (!append(draft, row, in, cell, edit))
            return false;
        if (cell->range.last > last)
            return append(draft, row, (struct range){last + 1, cell->range.last}, cell, NULL);
        first = in.last + 1;
        if (in.last == last)
            return true;
    }
    return edit->kind != EDIT_ADD || append(draft, row, (struct range){first, last}, NULL, edit);
}

/* The row's ends go on in their neighbours if those are alike. */
static void join_neighbours(const struct space_map *draft, struct row *row)
{
    struct space_cell *begin = row->cell[0], *end = row->cell[row->n - 1];

    if (row->first > 0 && begin->range.first - draft->last[row->first - 1] == 1 &&
        same_stack(begin, draft->cell[row->first - 1]))
        begin->range.first = draft->cell[--row->first]->range.first;
    if (row->end < draft->n && draft->cell[row->end]->range.first - end->range.last == 1 &&
        same_stack(end, draft->cell[row->end]))
        end->range.last = draft->last[row->end++];
}

/* There is room. */
static void put_row(struct space_map *draft, const struct row *row)
{
    size_t rest = draft->n - row->end, to = row->first + row->n;

    for (size_t i = row->first; i < row->end; i++) {
        if (draft->cell[i]->born == draft->number)
            free(draft->cell[i]);
        else
            draft->dropped[draft->n_dropped++] = draft->cell[i];
    }
    memmove(draft->last + to, draft->last + row->end, rest * sizeof(*draft->last));
    memmove(draft->cell + to, draft->cell + row->end, rest * sizeof(struct space_cell *));
    for (size_t i = 0; i < row->n; i++) {
        draft->cell[row->first + i] = row->cell[i];
        draft->last[row->first + i] = row->cell[i]->range.last;
    }
    draft->n = to + rest;
}

/* 0 or ENOMEM, and nothing changed. */
static int edit_cells(struct space_map *draft, const struct edit *edit)
{
    struct row row = {.first = space_map_search(draft, edit->range.first)};
    size_t most;
    bool done;

    for (row.end = row.first;
         row.end < draft->n && draft->cell[row.end]->range.first <= edit->range.last;)
        row.end++;
    most = 2 * (row.end - row.first) + 3;
    row.cell = most <= sizeof(row.some) / sizeof(row.some[0])
                   ? row.some
                   : malloc(most * sizeof(struct space_cell *));
    if (!row.cell)
        return ENOMEM;
    done = fill_row(draft, &row, edit);
    if (done && row.n > 0)
        join_neighbours(draft, &row);
    done = done &&
           draft_make_room(draft, draft->n - (row.end - row.first) + row.n, row.end - row.first);
    if (done)
        put_row(draft, &row);
    for (size_t i = 0; i < row.n && !done; i++)
        free(row.cell[i]);
    if (row.cell != row.some)
        free(row.cell);
    return done ? 0 : ENOMEM;
}

/* ---- the rules ---- */

/*
 * Whether the layer goes through all of the range: for deleting. For modifying it also has the same
 * flags all over, and is visible all over, or inactive.
 */
static bool goes_through(const struct space_map *map, struct range range, uint64_t id,
                         bool to_modify)
{
    const struct space_layer *layer, *first = NULL;
    uint64_t addr = range.first;

    for (size_t i = space_map_search(map, addr); i < map->n; i++) {
        const struct space_cell *cell = map->cell[i];

        layer = cell->range.first <= addr ? layer_in(cell, id) : NULL;
        if (!first)
            first = layer;
        if (!layer)
            return false;
        if (to_modify && (layer->flags != first->flags ||
                          ((layer->flags & GRF_ACTIVE) && layer != space_cell_visible(cell))))
            return false;
        if (cell->range.last >= range.last)
            return true;
        addr = cell->range.last + 1;
    }
    return false;
}

/* The topmost layer of the region's owner that goes through, or NULL. */
static const struct space_layer *find_own(const struct space_map *map,
                                          const struct space_region *region, bool to_modify)
{
    size_t i = space_map_search(map, region->range.first);
    const struct space_cell *cell = i < map->n ? map->cell[i] : NULL;

    for (uint32_t k = 0; cell && k < cell->n; k++) {
        const struct space_layer *layer = &cell->layer[k];

        if (is_owner(layer, region) && goes_through(map, region->range, layer->id, to_modify))
            return layer;
    }
    return NULL;
}

static bool owner_meets(const struct space_map *map, const struct space_region *region)
{
    for (size_t i = space_map_search(map, region->range.first);
         i < map->n && map->cell[i]->range.first <= region->range.last; i++) {
        for (uint32_t k = 0; k < map->cell[i]->n; k++) {
            if (is_owner(&map->cell[i]->layer[k], region))
                return true;
        }
    }
    return false;
}

/* Whether anything but the layer lies in the range, visible or not. */
static bool others_meet(const struct space_map *map, struct range range, uint64_t id)
{
    for (size_t i = space_map_search(map, range.first);
         i < map->n && map->cell[i]->range.first <= range.last; i++) {
        if (map->cell[i]->n > 1 || map->cell[i]->layer[0].id != id)
            return true;
    }
    return false;
}

static int remove_layer(struct space_map *draft, const struct space_region *region)
{
    const struct space_layer *layer = find_own(draft, region, false);

    if (layer)
        return edit_cells(draft, &(struct edit){region->range, EDIT_REMOVE, *layer});
    if (!space_map_meets(draft, region->range, 0, NULL) || owner_meets(draft, region))
        return ENOENT;
    return EPERM;
}

static int modify(struct space_map *draft, const struct space_region *region,
                  struct space_layer layer)
{
    if ((region->flags & GRF_PRECIOUS) && others_meet(draft, region->range, layer.id))
        return EBUSY;
    layer.flags = region->flags | (layer.flags & GRF_STICKY);
    return edit_cells(draft, &(struct edit){region->range, EDIT_MODIFY, layer});
}

static int add(struct space_map *draft, const struct space_region *region)
{
    bool precious = region->flags & GRF_PRECIOUS;
    bool ram = !region->owner && region->cookie == 0 && (region->flags & GRF_MEMORY);
    struct edit edit = {.range = region->range, .kind = EDIT_ADD};
    struct space_region seen;
    int rc;

    if (space_map_meets(draft, region->range, precious ? 0 : GRF_PRECIOUS, NULL))
        return EBUSY;
    /* All RAM is one layer, the lowest: it can't cover what is there. */
    if (ram && space_map_meets(draft, region->range, 0, NULL))
        return EEXIST;
    /* Inside one piece, or in one hole. */
    space_map_look(draft, region->range, &seen);
    if (seen.range.last < region->range.last)
        return EEXIST;
    edit.layer = (struct space_layer){ram ? 0 : draft->next_layer, region->owner, region->flags,
                                      region->cookie};
    rc = edit_cells(draft, &edit);
    if (!rc && !ram)
        draft->next_layer++;
    return rc;
}

bool space_map_own(const struct space_map *map, const struct space_region *region,
                   struct space_layer *layer_r)
{
    const struct space_layer *own = find_own(map, region, region->flags != GRF_NONE);

    if (own)
        *layer_r = *own;
    return own;
}

int space_map_set(struct space_map *draft, const struct space_region *region)
{
    const struct space_layer *own;

    if (region->flags == GRF_NONE)
        return remove_layer(draft, region);
    own = find_own(draft, region, true);
    return own ? modify(draft, region, *own) : add(draft, region);
}
