/* SPDX-License-Identifier: BSD-2-Clause */
/* Walking a range of guest addresses, span by span. The state says where to go on and holds
 * nothing, so it needs no disposal; each step looks at the map as it is then. */
#include "gasp/gasp_internal.h"

#include <errno.h>

#define ALL_FLAGS (GWS_HOST | GWS_SKIP)

/* Where the first memory in the range begins; false: there is none. */
static bool skip(const struct space_map *map, struct range *range)
{
    struct space_region piece;

    while (space_map_next(map, *range, &piece)) {
        if (piece.range.first > range->first)
            range->first = piece.range.first;
        if (space_flags_match(piece.flags, GASP_PAGES_HAS, GASP_PAGES_HASNT))
            return true;
        if (piece.range.last >= range->last)
            return false;
        range->first = piece.range.last + 1;
    }
    return false;
}

/* The first span of a range. 1; 0: none is left; -1: there is none at its start. */
static int first_span(struct gasp *gasp, struct range range, unsigned flags, struct range *span_r)
{
    struct space *memory = &gasp->space[GASP_MEMORY];
    const struct space_map *map;
    bool there = true;
    uint64_t bytes;

    rcu_enter();
    map = space_read(memory);
    if (flags & GWS_SKIP)
        there = skip(map, &range);
    bytes = there ? gasp_stretch(map, range, GASP_PAGES_HAS, GASP_PAGES_HASNT) : 0;
    rcu_leave(memory);
    if (!there)
        return 0;
    if (bytes == 0)
        return fail(ENOENT);
    *span_r = (struct range){range.first, range.first + (bytes - 1)};
    return 1;
}

void gasp_walk_init(struct gasp_walk_state *ws, struct guest_system *gsp, uint64_t loc,
                    uint64_t length, unsigned flags)
{
    *ws = (struct gasp_walk_state){
        .gsp = gsp, .guest_loc = loc, .max_length = length, .flags = flags};
}

int gasp_walk_next(struct gasp_walk_state *ws)
{
    struct gasp *gasp = gasp_of(ws->gsp);
    struct range left, span;
    int rc;

    if (ws->flags & ~ALL_FLAGS)
        return fail(EINVAL);
    if (ws->max_length == 0)
        return 0;
    rc = range_make(&left, ws->guest_loc + ws->length, ws->max_length,
                    gasp->space[GASP_MEMORY].limit);
    if (rc)
        return fail(rc);
    rc = first_span(gasp, left, ws->flags, &span);
    if (rc <= 0)
        return rc;
    ws->guest_loc = span.first;
    ws->length = range_length(span);
    ws->host_loc = ws->flags & GWS_HOST ? (uintptr_t)(gasp->ram.base + span.first) : 0;
    ws->max_length = left.last - span.last;
    return 1;
}

unsigned gasp_walk_count(struct guest_system *gsp, uint64_t loc, uint64_t length, unsigned flags)
{
    struct gasp_walk_state ws;
    unsigned n = 0;
    int rc;

    gasp_walk_init(&ws, gsp, loc, length, flags);
    while ((rc = gasp_walk_next(&ws)) > 0)
        n++;
    return rc < 0 ? 0 : n;
}
