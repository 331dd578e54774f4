/* SPDX-License-Identifier: BSD-2-Clause */
/* A copy of a space's map, taken apart into layers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/describe.h"
#include "guest/guest_internal.h"

/* A layer in one cell, then in all neighbouring ones where it looks the same. */
struct found {
    struct space_region region;
    bool visible;
};

struct finds {
    struct found *found;
    size_t n, room;
    size_t left_out;
};

static bool find_add(struct finds *finds, const struct space_cell *cell, uint32_t i)
{
    const struct space_layer *layer = &cell->layer[i];
    struct found *more;

    if (finds->n == GUEST_VIEW_PARTS) {
        finds->left_out++;
        return true;
    }
    if (finds->n == finds->room) {
        finds->room = finds->room ? 2 * finds->room : 64;
        more = reallocarray(finds->found, finds->room, sizeof(*more));
        if (!more)
            return false;
        finds->found = more;
    }
    finds->found[finds->n++] = (struct found){
        .region = {cell->range, layer->flags, layer->cookie, layer->owner, layer->id},
        .visible = i == cell->visible,
    };
    return true;
}

/* ---- pages that are seen in part ---- */

struct splits {
    struct guest_view *view;
    size_t room;
    uint64_t page;
    bool seen, answered; /* of the page, so far */
};

static bool split_end(struct splits *s)
{
    struct guest_view *view = s->view;
    struct range *more, page = {s->page, s->page + (HV_PAGE_SIZE - 1)};

    if (!s->seen || !s->answered)
        return true;
    if (view->n_split > 0 && view->split[view->n_split - 1].last + 1 == page.first) {
        view->split[view->n_split - 1].last = page.last;
        return true;
    }
    if (view->n_split == s->room) {
        s->room = s->room ? 2 * s->room : 16;
        more = reallocarray(view->split, s->room, sizeof(*more));
        if (!more)
            return false;
        view->split = more;
    }
    view->split[view->n_split++] = page;
    return true;
}

static bool split_page(struct splits *s, uint64_t addr, uint32_t flags)
{
    uint64_t page = addr & ~(uint64_t)(HV_PAGE_SIZE - 1);

    if (page != s->page) {
        if (!split_end(s))
            return false;
        s->page = page;
        s->seen = s->answered = false;
    }
    if (flags & (GRF_VIRT_ANY | GRF_NOPERMS))
        s->answered = true;
    else if (flags & GRF_PASS_ANY)
        s->seen = true;
    return true;
}

/* Only a piece's first and last page can be another one's as well. */
static bool split_look(struct splits *s, const struct space_cell *cell)
{
    const struct space_layer *layer = space_cell_visible(cell);

    return !layer || (split_page(s, cell->range.first, layer->flags) &&
                      split_page(s, cell->range.last, layer->flags));
}

/* ---- layers ---- */

static int by_layer(const void *left, const void *right)
{
    const struct space_region *a = &((const struct found *)left)->region;
    const struct space_region *b = &((const struct found *)right)->region;

    if (a->layer != b->layer)
        return a->layer < b->layer ? -1 : 1;
    if (a->flags != b->flags)
        return a->flags < b->flags ? -1 : 1;
    return a->range.first < b->range.first ? -1 : a->range.first > b->range.first;
}

static bool same_layer(const struct found *a, const struct found *b)
{
    return a->region.layer == b->region.layer && a->region.flags == b->region.flags;
}

static void join(struct finds *finds)
{
    struct found *found = finds->found;
    size_t n = 0;

    for (size_t i = 0; i < finds->n; i++)
        if (n > 0 && same_layer(&found[n - 1], &found[i]) &&
            found[n - 1].visible == found[i].visible &&
            found[i].region.range.first - found[n - 1].region.range.last == 1)
            found[n - 1].region.range.last = found[i].region.range.last;
        else
            found[n++] = found[i];
    finds->n = n;
}

/* Its name is copied: the view may outlive the vdev. */
static bool layer_describe(struct guest_system *gsp, struct guest_layer *layer,
                           const struct space_region *region)
{
    struct gasp *gasp = &gsp->gasp;
    vdev_t *vdev = gasp_region_vdev(gasp, region);

    *layer = (struct guest_layer){
        .number = region->layer,
        .flags = region->flags,
        .cookie = region->cookie,
        .owner = vdev                    ? GUEST_OWNER_VDEV
                 : region->owner == gasp ? GUEST_OWNER_PLATFORM
                                         : GUEST_OWNER_VM,
        .name = strdup(gasp_owner_name(gasp, region)),
    };
    if (vdev) {
        layer->reads = vdev_core(vdev)->reads;
        layer->writes = vdev_core(vdev)->writes;
    }
    return layer->name != NULL;
}

static bool view_fill(struct guest_system *gsp, struct guest_view *view, const struct finds *finds)
{
    struct guest_layer *layer = NULL;

    view->layer = calloc(finds->n + 1, sizeof(*view->layer));
    view->part = calloc(finds->n + 1, sizeof(*view->part));
    if (!view->layer || !view->part)
        return false;
    for (size_t i = 0; i < finds->n; i++) {
        const struct found *found = &finds->found[i];

        if (i == 0 || !same_layer(found - 1, found)) {
            layer = &view->layer[view->n_layers++];
            if (!layer_describe(gsp, layer, &found->region))
                return false;
            layer->part = &view->part[i];
        }
        view->part[view->n_parts++] =
            (struct guest_part){found->region.range, found->visible, (size_t)(layer - view->layer)};
        layer->n_parts++;
    }
    return true;
}

static int by_address(const void *left, const void *right)
{
    const struct guest_part *a = left, *b = right;

    return a->range.first < b->range.first ? -1 : a->range.first > b->range.first;
}

static bool view_pieces(struct guest_view *view)
{
    view->piece = calloc(view->n_parts + 1, sizeof(*view->piece));
    if (!view->piece)
        return false;
    for (size_t i = 0; i < view->n_parts; i++)
        if (view->part[i].visible)
            view->piece[view->n_pieces++] = view->part[i];
    qsort(view->piece, view->n_pieces, sizeof(*view->piece), by_address);
    return true;
}

/* In the read section: what it finds are pointers to the owners. */
static bool view_read(struct guest_system *gsp, const struct space_map *map,
                      struct guest_view *view)
{
    struct splits splits = {.view = view, .page = UINT64_MAX};
    struct finds finds = {0};
    bool ok = true;

    for (size_t i = 0; i < map->n && ok; i++) {
        for (uint32_t k = map->cell[i]->n; k > 0 && ok; k--)
            ok = find_add(&finds, map->cell[i], k - 1);
        if (ok && view->type == QST_MEMORY && finds.left_out == 0)
            ok = split_look(&splits, map->cell[i]);
    }
    view->left_out = finds.left_out;
    if (finds.n > 0)
        qsort(finds.found, finds.n, sizeof(*finds.found), by_layer);
    join(&finds);
    ok = ok && split_end(&splits) && view_fill(gsp, view, &finds);
    free(finds.found);
    return ok;
}

int guest_view_take(struct guest_system *gsp, uint16_t type, struct guest_view *view_r)
{
    int space = gasp_space_of(type);
    bool ok;

    *view_r = (struct guest_view){.type = type};
    if (space < 0) {
        errno = ENOTSUP;
        return -1;
    }
    rcu_enter();
    ok = view_read(gsp, space_read(&gsp->gasp.space[space]), view_r);
    rcu_leave(&gsp->gasp.space[space]);
    if (ok && view_pieces(view_r))
        return 0;
    guest_view_dispose(view_r);
    errno = ENOMEM;
    return -1;
}

void guest_view_dispose(struct guest_view *view)
{
    for (size_t i = 0; i < view->n_layers; i++)
        free(view->layer[i].name);
    free(view->layer);
    free(view->part);
    free(view->piece);
    free(view->split);
    *view = (struct guest_view){0};
}
