/* SPDX-License-Identifier: BSD-2-Clause */
/* The region map against an array with one cell a byte, each with its stack of layers. */
#include <errno.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "space/space.h"
#include "tests/failing_malloc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/space_model.h"

enum { OWNERS = 3, AVOID_MAX = 2, NEST_MAX = 6 };

static char owners[OWNERS]; /* addresses to be owners */

/* ---- the map is as the array ---- */

static bool is_layer(const struct space_region *r, const struct layer *layer)
{
    return r->layer == layer->number && r->owner == layer->owner && r->cookie == layer->cookie &&
           r->flags == layer->flags;
}

static void check_cell(const struct model *m, struct span run, const struct space_cell *cell)
{
    const struct stack *stack = &m->at[run.first];
    const struct space_layer *seen = space_cell_visible(cell);

    CHECK(cell->range.first == m->base + run.first && cell->range.last == m->base + run.last);
    CHECK(cell->n == stack->n);
    for (unsigned k = 0; k < stack->n; k++) {
        const struct space_layer *layer = &cell->layer[k];

        CHECK(layer->id == stack->layer[k].number && layer->owner == stack->layer[k].owner);
        CHECK(layer->flags == stack->layer[k].flags && layer->cookie == stack->layer[k].cookie);
    }
    CHECK(!seen == !seen_at(m, run.first));
    CHECK(!seen || seen - cell->layer == seen_at(m, run.first) - stack->layer);
}

/* The cells are the runs of bytes with the same stack. */
static void check_cells(const struct model *m, const struct space_map *map)
{
    struct span run;
    size_t n = 0;

    for (unsigned i = 0; i < CELLS; i = run.last + 1) {
        run = run_at(m, i, same_stack);
        CHECK(space_map_search(map, m->base + run.first) == n);
        CHECK(space_map_search(map, m->base + run.last) == n);
        if (m->at[i].n == 0)
            continue;
        CHECK(n < map->n);
        CHECK(map->last[n] == map->cell[n]->range.last);
        check_cell(m, run, map->cell[n++]);
    }
    CHECK(n == map->n && n <= map->room);
}

static void check_look(const struct model *m, const struct space_map *map, unsigned at,
                       unsigned last)
{
    struct range range = {m->base + at, m->base + last};
    struct span run = run_at(m, at, same_seen);
    const struct layer *layer = seen_at(m, at);
    struct space_region seen;

    CHECK(space_map_look(map, range, &seen) == !!layer);
    CHECK(range_has(seen.range, range.first));
    CHECK(!layer || (seen.range.first >= m->base + run.first && is_layer(&seen, layer)));
    /* No further than it goes, and as far as asked for. */
    CHECK(seen.range.last <= m->base + run.last || (!layer && run.last == CELLS - 1));
    CHECK(seen.range.last >= (range.last < m->base + run.last ? range.last : m->base + run.last));
}

static void check_piece(const struct model *m, const struct space_map *map, unsigned at,
                        unsigned last)
{
    struct range range = {m->base + at, m->base + last};
    struct space_region piece;
    struct span run;

    check_look(m, map, at, at);
    check_look(m, map, at, last);
    CHECK(space_map_find(map, range.first, &piece) == !!seen_at(m, at));
    while (at <= last && !seen_at(m, at))
        at++;
    CHECK(space_map_next(map, range, &piece) == (at <= last));
    if (at > last)
        return;
    run = run_at(m, at, same_seen);
    CHECK(piece.range.first == m->base + run.first && piece.range.last == m->base + run.last);
    CHECK(is_layer(&piece, seen_at(m, at)));
}

/* A part that was found: a layer has it all. */
static void check_part(const struct model *m, const struct space_region *part)
{
    struct span s = span_of(m, part->range);

    CHECK(part->range.first >= m->base && s.last < CELLS && s.first <= s.last);
    for (unsigned i = s.first; i <= s.last; i++) {
        const struct layer *layer = find_layer(&m->at[i], part->layer);

        CHECK(layer && is_layer(part, layer));
    }
}

static void check_owned(const struct model *m, const struct space_map *map)
{
    for (unsigned o = 0; o < OWNERS; o++) {
        void *owner = o ? &owners[o] : NULL;
        struct space_region part;
        bool any = false;

        for (unsigned i = 0; i < CELLS; i++)
            for (unsigned k = 0; k < m->at[i].n; k++)
                any |= m->at[i].layer[k].owner == owner && m->at[i].layer[k].number != 0;
        CHECK(space_map_owned(map, owner, &part) == any);
        if (!any)
            continue;
        CHECK(part.owner == owner && part.layer != 0);
        check_part(m, &part);
        for (const struct layer *l = m->at[part.range.first - m->base].layer;
             l->number != part.layer; l++)
            CHECK(l->owner != owner);
    }
}

/* At both ends of each cell and hole, `far` bytes on. */
static void check_map(const struct model *m, const struct space_map *map, unsigned far)
{
    struct space_region piece;
    struct span run;

    check_cells(m, map);
    check_owned(m, map);
    for (unsigned i = 0; i < CELLS; i = run.last + 1) {
        unsigned last = i + far < CELLS ? i + far : CELLS - 1;

        run = run_at(m, i, same_stack);
        check_piece(m, map, i, last > run.last ? last : run.last);
        check_piece(m, map, run.last, last > run.last ? last : run.last);
    }
    if (m->base > 0)
        CHECK(!space_map_find(map, m->base - 1, &piece) && !space_map_find(map, 0, &piece));
}

static void check_same(const struct space_map *a, const struct space_map *b)
{
    CHECK(a->n == b->n);
    for (size_t i = 0; i < a->n; i++) {
        const struct space_cell *x = a->cell[i], *y = b->cell[i];

        CHECK(a->last[i] == b->last[i]);
        CHECK(x->range.first == y->range.first && x->range.last == y->range.last);
        CHECK(x->n == y->n && x->visible == y->visible);
        CHECK(memcmp(x->layer, y->layer, x->n * sizeof(x->layer[0])) == 0);
    }
}

/* ---- steps ---- */

/* One space for all inputs: each leaves it empty. */
static struct space space;

struct state {
    struct model published, drafted;
    struct space_map *draft; /* NULL: none is begun */
};

/* Anywhere; or a piece or a cell, or a part of it. */
static struct range take_range(const struct model *m, struct input *in)
{
    unsigned how = take(in) % 8, at = take(in) % CELLS;
    struct span s = {0, CELLS - 1};

    if (how > 1)
        s = run_at(m, at, how % 2 ? same_stack : same_seen);
    if (how < 6) {
        s.first = at;
        s.last = at + take(in) % (s.last - at + 1);
    }
    return (struct range){m->base + s.first, m->base + s.last};
}

static struct space_region take_region(const struct model *m, struct input *in)
{
    enum { VIRT = GRF_VIRT_RD | GRF_VIRT_WR, RAM = GRF_PASS_ANY | GRF_MEMORY };
    static const uint32_t some[] = {
        GRF_NONE,
        GRF_NONE,
        GRF_NONE,
        VIRT | GRF_ACTIVE,
        VIRT | GRF_ACTIVE,
        VIRT,
        GRF_VIRT_RD | GRF_ACTIVE,
        RAM | GRF_ACTIVE,
        RAM | GRF_ACTIVE,
        RAM,
        (RAM & ~(uint32_t)GRF_PASS_WR) | GRF_ACTIVE,
        GRF_PASS_ANY | GRF_ACTIVE,
        GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE | GRF_DMA_TARGET,
        GRF_NOPERMS | GRF_ACTIVE,
        GRF_NOPERMS | GRF_PRECIOUS,
        VIRT | GRF_ACTIVE | GRF_PRECIOUS,
    };
    struct space_region r = {.range = take_range(m, in)};
    unsigned who = take(in);

    r.owner = who % OWNERS ? &owners[who % OWNERS] : NULL;
    r.cookie = who / OWNERS % 4 == 0;
    r.flags = some[take(in) % (sizeof(some) / sizeof(some[0]))];
    return r;
}

static bool has_room(const struct model *m, struct range range)
{
    struct span s = span_of(m, range);

    for (unsigned i = s.first; i <= s.last; i++)
        if (m->at[i].n == DEPTH)
            return false;
    return true;
}

static void check_own(const struct model *m, const struct space_map *map,
                      const struct space_region *r)
{
    const struct layer *own = own_layer(m, span_of(m, r->range), r);
    struct space_layer layer;

    CHECK(space_map_own(map, r, &layer) == !!own);
    CHECK(!own || layer.id == own->number);
}

/* In both. fail: the allocation that fails, if there are so many; then it is tried once more. */
static int set_both(struct model *m, struct space_map *map, const struct space_region *r,
                    unsigned fail)
{
    enum kind kind;
    int rc;

    check_own(m, map, r);
    malloc_fail(fail);
    rc = space_map_set(map, r);
    if (malloc_failed()) {
        CHECK(rc == ENOMEM);
        check_cells(m, map);
        rc = space_map_set(map, r);
    }
    CHECK(rc == model_set(m, r, &kind));
    check_cells(m, map);
    return rc;
}

static bool would_add(const struct model *m, const struct space_region *r)
{
    static struct model trial;
    enum kind kind;

    if (r->flags == GRF_NONE || !has_room(m, r->range))
        return false;
    trial = *m;
    model_set(&trial, r, &kind);
    return kind == ADDED;
}

static struct space_map *draft_of(const struct space_map *map)
{
    struct space_map *draft = space_map_draft(map, ++space.numbers);

    CHECK(draft);
    return draft;
}

/*
 * Up to n regions are added, of which one may be at hand, and deleted again: the map is what it
 * was. Those that are all active in any order, else the last first (a delete takes the topmost
 * layer that holds the range, and over an inactive one there may be a larger one of the same owner).
 */
static void do_nest(const struct model *at, const struct space_map *map,
                    const struct space_region *first, unsigned n, struct input *in)
{
    static struct model m;
    struct space_region done[NEST_MAX];
    struct space_map *draft = draft_of(map);
    unsigned added = 0;
    bool active = true;

    m = *at;
    for (unsigned i = 0; i < n; i++) {
        struct space_region r = first ? *first : take_region(&m, in);

        if (!would_add(&m, &r))
            continue;
        CHECK(set_both(&m, draft, &r, 0) == 0);
        active &= !!(r.flags & GRF_ACTIVE);
        done[added++] = r;
    }
    while (added > 0) {
        unsigned i = active ? take(in) % added : added - 1;

        done[i].flags = GRF_NONE;
        CHECK(set_both(&m, draft, &done[i], 0) == 0);
        done[i] = done[--added];
    }
    check_same(draft, map);
    space_map_free(draft);
}

static void do_set(struct state *s, struct input *in)
{
    struct model *m = &s->drafted;
    struct space_region r = take_region(m, in);
    unsigned fail = take(in) % 16;

    if (r.flags != GRF_NONE && !has_room(m, r.range))
        return;
    if (!s->draft)
        s->draft = draft_of(space.map);
    do_nest(m, s->draft, &r, 1, in);
    set_both(m, s->draft, &r, fail);
    check_map(m, s->draft, fail);
}

static void do_settle(struct state *s, unsigned how)
{
    struct space_map *former;

    if (!s->draft)
        return;
    if (how == 0) {
        space_map_free(s->draft);
        s->drafted = s->published;
    } else if (how == 1) {
        former = space_show(&space, s->draft);
        check_cells(&s->drafted, space.map);
        check_cells(&s->published, former); /* readers may still be on it */
        space_take_back(&space, former);
        s->drafted = s->published;
    } else {
        space_publish(&space, s->draft);
        s->published = s->drafted;
    }
    s->draft = NULL;
    check_map(&s->published, space.map, how);
}

static void do_ask(const struct model *m, const struct space_map *map, struct input *in)
{
    static const uint32_t some[] = {0, GRF_MEMORY, GRF_VIRT_RD, GRF_PRECIOUS, SPACE_RAM_HAS};
    struct range range = take_range(m, in);
    struct span s = span_of(m, range);
    uint32_t has = some[take(in) % 5], hasnt = take(in) % 2 ? SPACE_RAM_HASNT & ~has : 0;
    uint32_t plain = m->at[s.first].n > 0 ? m->at[s.first].layer[0].flags : GRF_ACTIVE;
    bool covered = true, meets = false, is_plain = true;
    struct space_region part;

    for (unsigned i = s.first; i <= s.last; i++) {
        const struct stack *stack = &m->at[i];
        const struct layer *seen = seen_at(m, i);

        covered &= seen && (seen->flags & has) == has && !(seen->flags & hasnt);
        is_plain &= stack->n == 1 && stack->layer[0].flags == plain;
        for (unsigned k = 0; k < stack->n; k++)
            meets |= (stack->layer[k].flags & has) == has;
    }
    CHECK(space_map_covered(map, range, has, hasnt) == covered);
    CHECK(space_map_plain(map, range, plain) == is_plain);
    CHECK(space_map_meets(map, range, has, NULL) == meets);
    CHECK(space_map_meets(map, range, has, &part) == meets);
    if (meets) {
        CHECK(range_overlap(part.range, range) && (part.flags & has) == has);
        check_part(m, &part);
    }
}

static bool byte_free(const struct model *m, uint64_t addr, const struct range *avoid, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (range_has(avoid[i], addr))
            return false;
    return addr < m->base || m->at[addr - m->base].n == 0;
}

static void do_find(const struct model *m, const struct space_map *map, struct input *in)
{
    unsigned n_avoid = take(in) % (AVOID_MAX + 1), below = take(in) % 8;
    uint64_t align = UINT64_C(1) << take(in) % 8, size = 1 + take(in) % 40, found = 0;
    struct range avoid[AVOID_MAX], window;
    int rc, want = ENOSPC;

    for (unsigned i = 0; i < n_avoid; i++)
        avoid[i] = take_range(m, in);
    window = take_range(m, in);
    if (m->base > 0)
        window.first -= below;
    if (take(in) % 16 == 0)
        size = UINT64_MAX - take(in);
    rc = space_map_find_free(map, size, align, window, avoid, n_avoid, &found);
    for (uint64_t start = window.first; want; start++) {
        uint64_t i = 0;

        if (size - 1 > window.last - start)
            break;
        while (i < size && byte_free(m, start + i, avoid, n_avoid))
            i++;
        if (i == size && start % align == 0) {
            CHECK(!rc && found == start);
            want = 0;
        }
        if (start == window.last)
            break;
    }
    CHECK(rc == want);
}

/* Everything goes, the topmost layer of each cell first. */
static void empty(struct state *s)
{
    if (!s->draft)
        s->draft = draft_of(space.map);
    while (s->draft->n > 0) {
        const struct space_cell *cell = s->draft->cell[s->draft->n / 2];
        struct space_region r = {.range = cell->range};

        r.owner = cell->layer[0].owner;
        r.cookie = cell->layer[0].cookie;
        CHECK(set_both(&s->drafted, s->draft, &r, 0) == 0);
    }
    do_settle(s, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t limits[] = {CELLS - 1, 0xffff, (UINT64_C(1) << 40) - 1, UINT64_MAX};
    static struct state s;
    struct input in = {data, size};

    CHECK(space.map || space_init(&space, UINT64_MAX) == 0);
    memset(&s, 0, sizeof(s));
    s.published.base = limits[take(&in) % 4] - (CELLS - 1);
    s.published.next = space.map->next_layer;
    s.drafted = s.published;
    while (in.size > 0) {
        const struct space_map *map = s.draft ? s.draft : space.map;
        unsigned op = take(&in) % 16;

        if (op < 9)
            do_set(&s, &in);
        else if (op < 11)
            do_settle(&s, take(&in) % 4);
        else if (op < 13)
            do_ask(&s.drafted, map, &in);
        else if (op < 14)
            do_nest(&s.drafted, map, NULL, 1 + take(&in) % NEST_MAX, &in);
        else
            do_find(&s.drafted, map, &in);
    }
    check_map(&s.published, space.map, 1); /* whatever was drafted */
    empty(&s);
    return 0;
}
