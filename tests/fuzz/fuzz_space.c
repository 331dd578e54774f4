/* SPDX-License-Identifier: BSD-2-Clause */
/* The region map against an array with one cell a byte. */
#include <errno.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "space/space.h"
#include "tests/fuzz/fuzz.h"

enum { CELLS = 64, OWNERS = 3, AVOID_MAX = 2 };

struct cell {
    bool used;
    uint8_t owner, cookie;
    uint32_t flags, layer;
};

struct model {
    uint64_t base, limit; /* the cells are the last bytes of the space */
    struct cell cell[CELLS];
    uint32_t next_layer;
};

static char owners[OWNERS]; /* addresses to be owners */

static void *owner_of(unsigned i)
{
    return i == 0 ? NULL : &owners[i];
}

static bool cells_alike(const struct cell *a, const struct cell *b)
{
    return a->used == b->used && a->owner == b->owner && a->cookie == b->cookie &&
           a->flags == b->flags && a->layer == b->layer;
}

/* The rules of gasp.h, said of cells. */
static int model_set(struct model *m, unsigned first, unsigned last, struct cell want)
{
    const struct cell *at = &m->cell[first];
    bool used = false, own = false, precious = want.flags & GRF_PRECIOUS;
    bool one_layer = true, one_part = true;

    for (unsigned i = first; i <= last; i++) {
        const struct cell *c = &m->cell[i];
        bool mine = c->used && c->owner == want.owner && c->cookie == want.cookie;

        used |= c->used;
        own |= mine;
        precious |= c->used && (c->flags & GRF_PRECIOUS);
        one_layer &= mine && c->layer == at->layer;
        one_part &= mine && cells_alike(c, at);
    }
    if (want.flags == GRF_NONE) {
        if (!one_layer)
            return !used || own ? ENOENT : EPERM;
        memset(&m->cell[first], 0, (last - first + 1) * sizeof(*at));
        return 0;
    }
    want.used = true;
    if (!used) {
        want.layer = want.owner == 0 && (want.flags & GRF_MEMORY) ? 0 : ++m->next_layer;
    } else if (one_part) {
        want.layer = at->layer;
        want.flags |= at->flags & GRF_STICKY;
    } else {
        return precious ? EBUSY : EEXIST;
    }
    for (unsigned i = first; i <= last; i++)
        m->cell[i] = want;
    return 0;
}

static bool is_cell(const struct space_region *r, const struct cell *c)
{
    return c->used && r->owner == owner_of(c->owner) && r->cookie == c->cookie &&
           r->flags == c->flags;
}

/* The parts are the runs of like cells that are (not) active. */
static void check_parts(const struct model *m, const struct space_region *part, size_t n,
                        bool active)
{
    size_t k = 0;

    for (unsigned i = 0; i < CELLS;) {
        unsigned end = i + 1;

        while (end < CELLS && cells_alike(&m->cell[end], &m->cell[i]))
            end++;
        if (m->cell[i].used && !(m->cell[i].flags & GRF_ACTIVE) == !active) {
            CHECK(k < n);
            CHECK(part[k].range.first == m->base + i && part[k].range.last == m->base + (end - 1));
            CHECK(is_cell(&part[k], &m->cell[i]));
            k++;
        }
        i = end;
    }
    CHECK(k == n);
}

static void check_map(const struct model *m, const struct space_map *map)
{
    check_parts(m, map->region, map->n, true);
    check_parts(m, map->hidden, map->n_hidden, false);
    for (unsigned i = 0; i < CELLS; i++) {
        const struct space_region *r = space_map_find(map, m->base + i);

        if (m->cell[i].flags & GRF_ACTIVE)
            CHECK(r && range_has(r->range, m->base + i) && is_cell(r, &m->cell[i]));
        else
            CHECK(!r);
    }
    if (m->base > 0)
        CHECK(!space_map_find(map, m->base - 1) && !space_map_find(map, 0));
}

static struct range take_range(const struct model *m, struct input *in, unsigned *first,
                               unsigned *last)
{
    *first = take(in) % CELLS;
    *last = *first + take(in) % (CELLS - *first);
    return (struct range){m->base + *first, m->base + *last};
}

static void do_set(struct model *m, struct space_map **map, struct input *in)
{
    static const uint32_t some[] = {
        GRF_NONE,
        GRF_NONE,
        GRF_VIRT_RD | GRF_ACTIVE,
        GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
        GRF_VIRT_RD | GRF_VIRT_WR,
        GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE,
        GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE,
        GRF_NOPERMS | GRF_PRECIOUS,
        GRF_VIRT_WR | GRF_ACTIVE | GRF_PRECIOUS,
        GRF_NOPERMS | GRF_ACTIVE | GRF_DMA_SOURCE,
    };
    unsigned first, last;
    struct space_region region = {.range = take_range(m, in, &first, &last)};
    struct cell want = {.owner = (uint8_t)(take(in) % OWNERS), .cookie = take(in) % 4 == 0};
    struct space_map *new = NULL;
    int rc;

    want.flags = some[take(in) % (sizeof(some) / sizeof(some[0]))];
    region.owner = owner_of(want.owner);
    region.cookie = want.cookie;
    region.flags = want.flags;
    rc = space_map_set(*map, &region, &new);
    CHECK(!rc == !!new);
    check_map(m, *map); /* the old one is as it was */
    CHECK(rc == model_set(m, first, last, want));
    if (!rc) {
        space_map_free(*map);
        *map = new;
    }
    check_map(m, *map);
}

static void do_ask(const struct model *m, const struct space_map *map, struct input *in)
{
    static const uint32_t some[] = {0, GRF_MEMORY, GRF_VIRT_RD, GRF_PRECIOUS};
    unsigned first, last;
    struct range range = take_range(m, in, &first, &last);
    uint32_t flags = some[take(in) % 4];
    bool covered = true, meets = false;

    for (unsigned i = first; i <= last; i++) {
        const struct cell *c = &m->cell[i];
        bool has = c->used && (c->flags & flags) == flags;

        covered &= has && (c->flags & GRF_ACTIVE);
        meets |= has;
    }
    CHECK(space_map_covered(map, range, flags) == covered);
    CHECK(!!space_map_meets(map, range, flags) == meets);
}

static bool cell_free(const struct model *m, uint64_t addr, const struct range *avoid, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (range_has(avoid[i], addr))
            return false;
    return addr < m->base || !m->cell[addr - m->base].used;
}

static void do_find(const struct model *m, const struct space_map *map, struct input *in)
{
    struct range avoid[AVOID_MAX], window;
    unsigned first, last, n_avoid = take(in) % (AVOID_MAX + 1), below = take(in) % 8;
    uint64_t align = UINT64_C(1) << take(in) % 8, size = 1 + take(in) % 40, found = 0;
    int rc, want = ENOSPC;

    for (unsigned i = 0; i < n_avoid; i++)
        avoid[i] = take_range(m, in, &first, &last);
    window = take_range(m, in, &first, &last);
    if (m->base > 0)
        window.first -= below;
    if (take(in) % 16 == 0)
        size = UINT64_MAX - take(in);
    rc = space_map_find_free(map, size, align, window, avoid, n_avoid, &found);
    for (uint64_t start = window.first; want; start++) {
        uint64_t i = 0;

        if (size - 1 > window.last - start)
            break;
        while (i < size && cell_free(m, start + i, avoid, n_avoid))
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t limits[] = {CELLS - 1, 0xffff, (UINT64_C(1) << 40) - 1, UINT64_MAX};
    struct input in = {data, size};
    struct model m = {.limit = limits[take(&in) % 4]};
    struct space_map *map = space_map_new();

    CHECK(map);
    m.base = m.limit - (CELLS - 1);
    while (in.size > 0) {
        unsigned op = take(&in) % 8;

        if (op < 6)
            do_set(&m, &map, &in);
        else if (op == 6)
            do_ask(&m, map, &in);
        else
            do_find(&m, map, &in);
    }
    space_map_free(map);
    return 0;
}
