/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pointers to guest memory that stay valid until they are given back: a pin of the chunks that they
 * lie in, and an entry in a table, by which a wrong gasp_unmap is told from a right one.
 *
 * Why the lock of the space isn't needed. Who changes what memory is, or which pages it has, says
 * so before (gasp_changing) and after (gasp_changed). Who maps looks at the map, pins, and then, in
 * one step with entering the table, sees whether a change of that range is under way or any has
 * ended since the look; if so, it gives back the pin, waits for the end, and looks again. If not,
 * the map and the pages that were pinned belong together, and a change that begins later finds the
 * pin: it refuses (EBUSY), or moves pages without taking them away. To look at the map once more
 * after pinning would not do: the pages may have gone and others come, the pin having mapped the
 * old ones just before.
 *
 * The wait is for Xen, and for no thread that may be waiting for this one: a change calls nobody,
 * and the pin is given back first. That one drops what it pinned if it became stale meanwhile, or
 * else pages that are being given back to Xen would stay with the guest.
 */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xengasp/vdev.h>

/* At the end so many are named in the log, the others are counted. */
enum { FORGOTTEN_NAMED = 8 };

/* One for each range, however often it is mapped. */
struct mapping {
    struct range range;
    unsigned count;
    bool writes; /* one of them may; they can't be told apart, so from then on all count as such */
    char name[32]; /* who was the first to map it */
};

struct wish {
    uint32_t has, hasnt; /* flags of the regions that will do */
    int prot;
    bool some; /* a part from the start on will do */
    const char *name;
};

static int by_range(const void *a, const void *b)
{
    const struct mapping *x = a, *y = b;

    if (x->range.first != y->range.first)
        return x->range.first < y->range.first ? -1 : 1;
    return (x->range.last > y->range.last) - (x->range.last < y->range.last);
}

uint64_t gasp_stretch(const struct space_map *map, struct range range, uint32_t has, uint32_t hasnt)
{
    struct space_region piece;
    uint64_t at = range.first;

    while (space_map_find(map, at, &piece) && space_flags_match(piece.flags, has, hasnt)) {
        if (piece.range.last >= range.last)
            return range_length(range);
        at = piece.range.last + 1;
    }
    return at - range.first;
}

/* Shortens the range to what can be mapped of it. 0 or an errno value. */
static int look(struct gasp *gasp, const struct wish *wish, uint32_t has, struct range *range)
{
    struct space *memory = &gasp->space[GASP_MEMORY];
    const struct space_map *map;
    uint64_t there, writable;

    rcu_enter();
    map = space_read(memory);
    there = gasp_stretch(map, *range, has, wish->hasnt);
    writable =
        wish->prot & PROT_WRITE ? gasp_stretch(map, *range, has | GRF_PASS_WR, wish->hasnt) : there;
    rcu_leave(memory);
    if (there == 0 || (!wish->some && there < range_length(*range)))
        return ENOENT;
    if (writable == 0 || (!wish->some && writable < range_length(*range)))
        return EACCES;
    range->last = range->first + (writable - 1);
    return 0;
}

/* A chunk is mapped as a whole: who pins one for another page of it would keep those that go, too.
 */
void gasp_changing(struct gasp *gasp, struct range range)
{
    if (range_there(range)) {
        range.first &= -RAM_CHUNK_SIZE;
        range.last |= RAM_CHUNK_SIZE - 1;
    }
    pthread_mutex_lock(&gasp->mapped.lock);
    gasp->mapped.changing = range;
    pthread_mutex_unlock(&gasp->mapped.lock);
}

void gasp_changed(struct gasp *gasp)
{
    pthread_mutex_lock(&gasp->mapped.lock);
    gasp->mapped.changing = (struct range){0};
    gasp->mapped.changes++;
    pthread_cond_broadcast(&gasp->mapped.settled);
    pthread_mutex_unlock(&gasp->mapped.lock);
}

/* Under the lock. */
static bool is_changing(const struct gasp_mapped *mapped, struct range range)
{
    return range_there(mapped->changing) && range_overlap(mapped->changing, range);
}

/* Waits until no change of the range is under way. The changes so far, and whether device memory is
 * there yet: not before the end of start-up. */
static uint64_t settled(struct gasp *gasp, struct range range, bool *devices_r)
{
    struct gasp_mapped *mapped = &gasp->mapped;
    uint64_t changes;

    pthread_mutex_lock(&mapped->lock);
    while (is_changing(mapped, range))
        pthread_cond_wait(&mapped->settled, &mapped->lock);
    changes = mapped->changes;
    *devices_r = gasp->settled;
    pthread_mutex_unlock(&mapped->lock);
    return changes;
}

/* Under the lock. 0 or ENOMEM. */
static int enter(struct gasp_mapped *mapped, int prot, struct mapping **mine)
{
    struct mapping **found = tsearch(*mine, &mapped->tree, by_range);

    if (!found)
        return ENOMEM;
    (*found)->count++;
    (*found)->writes |= prot & PROT_WRITE;
    if (*found == *mine)
        *mine = NULL;
    return 0;
}

/* Maps what can be mapped of a range. 0, or an errno value: EAGAIN it must be tried again. *mine:
 * an entry for the table, NULL once it is in there. */
static int try_map(struct gasp *gasp, const struct wish *wish, struct range range,
                   struct mapping **mine, struct range *found_r)
{
    bool devices, pinned = false, sure;
    uint64_t changes = settled(gasp, range, &devices);
    struct range found = range;
    int rc = look(gasp, wish, devices ? wish->has : SPACE_RAM_HAS, &found);

    if (!rc) {
        pinned = (wish->some ? ram_pin_some(&gasp->ram, &found) : ram_pin(&gasp->ram, found)) == 0;
        rc = pinned ? 0 : errno;
    }
    (*mine)->range = found;
    pthread_mutex_lock(&gasp->mapped.lock);
    sure = gasp->mapped.changes == changes && !is_changing(&gasp->mapped, range);
    if (!sure)
        rc = EAGAIN;
    if (!rc)
        rc = enter(&gasp->mapped, wish->prot, mine);
    pthread_mutex_unlock(&gasp->mapped.lock);
    if (rc && pinned)
        ram_unpin(&gasp->ram, found);
    if (!sure && pinned)
        ram_drop_stale(&gasp->ram);
    *found_r = found;
    return rc;
}

/* 0 or an errno value. */
static int map_range(struct gasp *gasp, const struct wish *wish, struct range *range)
{
    struct mapping *mine = calloc(1, sizeof(*mine));
    struct range found;
    int rc;

    if (!mine)
        return ENOMEM;
    snprintf(mine->name, sizeof(mine->name), "%s", wish->name);
    do {
        rc = try_map(gasp, wish, *range, &mine, &found);
    } while (rc == EAGAIN);
    free(mine);
    if (!rc)
        *range = found;
    return rc;
}

static void *map_out(struct gasp *gasp, const struct wish *wish, uint64_t gpa, size_t *length)
{
    uint64_t limit = gasp->space[GASP_MEMORY].limit, bytes = *length;
    struct range range;
    int rc = wish->prot && !(wish->prot & ~(PROT_READ | PROT_WRITE)) ? 0 : EINVAL;

    if (wish->some && gpa <= limit && bytes > limit - gpa)
        bytes = limit - gpa + 1;
    if (!rc)
        rc = range_make(&range, gpa, bytes, limit);
    if (!rc)
        rc = map_range(gasp, wish, &range);
    if (rc) {
        errno = rc;
        return NULL;
    }
    *length = range_length(range);
    return gasp->ram.base + range.first;
}

void *gasp_map_sys(struct guest_system *gsp, int prot, uint64_t gpa, size_t length)
{
    const struct wish wish = {GASP_PAGES_HAS, GASP_PAGES_HASNT, prot, false, "the VM"};

    return map_out(gasp_of(gsp), &wish, gpa, &length);
}

static const char *name_of(const vdev_t *vdev)
{
    return vdev->v_name ? vdev->v_name : "a vdev";
}

void *gasp_map_vdma(const vdev_t *vdev, int prot, uint64_t gpa, size_t length)
{
    struct wish wish = {SPACE_RAM_HAS, SPACE_RAM_HASNT, prot, false, NULL};

    if (!vdev) {
        errno = EINVAL;
        return NULL;
    }
    wish.name = name_of(vdev);
    return map_out(gasp_of(vdev->v_gsp), &wish, gpa, &length);
}

void *gasp_map_contig(const vdev_t *vdev, int prot, uint64_t *gpa, size_t *length)
{
    struct wish wish = {SPACE_RAM_HAS, SPACE_RAM_HASNT, prot, true, NULL};

    if (!vdev) {
        errno = EINVAL;
        return NULL;
    }
    wish.name = name_of(vdev);
    return map_out(gasp_of(vdev->v_gsp), &wish, *gpa, length);
}

static void give_back(struct gasp *gasp, struct range range, bool written)
{
    if (written)
        ram_unpin_written(&gasp->ram, range);
    else
        ram_unpin(&gasp->ram, range);
}

int gasp_unmap(struct guest_system *gsp, void *ptr, size_t length)
{
    struct gasp *gasp = gasp_of(gsp);
    /* What lies below the base wraps, and so beyond the limit. */
    uint64_t gpa = (uintptr_t)ptr - (uintptr_t)gasp->ram.base;
    struct mapping key, **found, *last = NULL;
    bool written = false;

    if (range_make(&key.range, gpa, length, gasp->space[GASP_MEMORY].limit))
        return EINVAL;
    pthread_mutex_lock(&gasp->mapped.lock);
    found = tfind(&key, &gasp->mapped.tree, by_range);
    if (found) {
        written = (*found)->writes;
        if (--(*found)->count == 0) {
            last = *found;
            tdelete(last, &gasp->mapped.tree, by_range);
        }
    }
    pthread_mutex_unlock(&gasp->mapped.lock);
    if (!found)
        return EINVAL;
    free(last);
    give_back(gasp, key.range, written);
    return 0;
}

void gasp_unmap_forgotten(struct gasp *gasp)
{
    unsigned n = 0;

    while (gasp->mapped.tree) {
        struct mapping *mapping = *(struct mapping **)gasp->mapped.tree; /* a node's first member */

        if (++n <= FORGOTTEN_NAMED)
            gasp_log(gasp, GUEST_LOG_WARN,
                     "memory [" PRIrange "] was mapped for %s and never unmapped (gasp_unmap)",
                     range_arg(mapping->range), mapping->name);
        tdelete(mapping, &gasp->mapped.tree, by_range);
        for (; mapping->count > 0; mapping->count--)
            give_back(gasp, mapping->range, mapping->writes);
        free(mapping);
    }
    if (n > FORGOTTEN_NAMED)
        gasp_log(gasp, GUEST_LOG_WARN, "nor were %u more", n - FORGOTTEN_NAMED);
}
