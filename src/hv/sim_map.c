/* SPDX-License-Identifier: BSD-2-Clause */
/* What we have mapped of the simulated guest's memory, with Linux's rules for such mappings. */
#include "hv/sim_internal.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>

/* One call of `map`: taken back as a whole only. */
struct sim_map {
    uintptr_t first, last;
    size_t n;
    uint64_t mfn[]; /* SIM_NO_FRAME: a hole */
};

/* Two that overlap are equal, which makes tfind look for an overlap. */
static int map_compare(const void *a, const void *b)
{
    const struct sim_map *x = a, *y = b;

    return x->last < y->first ? -1 : x->first > y->last;
}

static struct sim_map *map_find(struct sim *sim, uintptr_t first, uintptr_t last)
{
    struct sim_map key = {.first = first, .last = last}, **found;

    found = tfind(&key, &sim->maps, map_compare);
    return found ? *found : NULL;
}

/* Linux splits none of these mappings: what [first, last] holds must lie in it wholly. */
static bool map_would_split(struct sim *sim, uintptr_t first, uintptr_t last)
{
    struct sim_map *low = map_find(sim, first, first), *high = map_find(sim, last, last);

    return (low && low->first < first) || (high && high->last > last);
}

static void map_forget(struct sim *sim, struct sim_map *map)
{
    size_t i;

    tdelete(map, &sim->maps, map_compare);
    for (i = 0; i < map->n; i++) {
        if (map->mfn[i] == SIM_NO_FRAME)
            continue;
        sim->frame[map->mfn[i]]--;
        hv_sim_frame_settle(sim, map->mfn[i]);
        sim->mapped_pages--;
    }
    free(map);
}

/* Puts the bare reservation back over [at, at + n pages). */
static int reserve(struct sim *sim, void *at, size_t n)
{
    uintptr_t first = (uintptr_t)at, last = first + (n << HV_PAGE_SHIFT) - 1;
    struct sim_map *map;

    if (mmap(at, n << HV_PAGE_SHIFT, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -1;
    while ((map = map_find(sim, first, last)))
        map_forget(sim, map);
    return 0;
}

/* Maps runs of adjacent frames at one go. */
static int map_runs(struct sim *sim, void *at, int prot, const struct sim_map *map)
{
    size_t i, run;

    for (i = 0; i < map->n; i += run) {
        run = 1;
        if (map->mfn[i] == SIM_NO_FRAME)
            continue;
        while (i + run < map->n && map->mfn[i + run] == map->mfn[i] + run)
            run++;
        if (mmap((char *)at + (i << HV_PAGE_SHIFT), run << HV_PAGE_SHIFT, prot,
                 MAP_SHARED | MAP_FIXED, sim->memfd,
                 (off_t)(map->mfn[i] << HV_PAGE_SHIFT)) == MAP_FAILED)
            return -1;
    }
    return 0;
}

static struct sim_map *map_new(struct sim *sim, void *at, size_t n, const uint64_t gfn[], int err[])
{
    struct sim_map *map = malloc(sizeof(*map) + n * sizeof(map->mfn[0]));
    size_t i;

    if (!map)
        return NULL;
    map->first = (uintptr_t)at;
    map->last = map->first + (n << HV_PAGE_SHIFT) - 1;
    map->n = n;
    for (i = 0; i < n; i++) {
        map->mfn[i] = hv_sim_p2m_get(sim, gfn[i]);
        err[i] = map->mfn[i] != SIM_NO_FRAME ? 0 : hv_sim_gone(sim) ? ESRCH : EINVAL;
    }
    return map;
}

/* Under the lock. */
static int map_locked(struct sim *sim, void *at, int prot, size_t n, const uint64_t gfn[],
                      int err[])
{
    uintptr_t first = (uintptr_t)at;
    struct sim_map *map;
    size_t i;

    if (map_would_split(sim, first, first + (n << HV_PAGE_SHIFT) - 1)) {
        errno = ENOMEM;
        return -1;
    }
    map = map_new(sim, at, n, gfn, err);
    if (!map)
        return -1;
    if (reserve(sim, at, n) < 0) {
        free(map);
        return -1;
    }
    if (map_runs(sim, at, prot, map) < 0 || !tsearch(map, &sim->maps, map_compare)) {
        free(map);
        reserve(sim, at, n);
        errno = ENOMEM;
        return -1;
    }
    for (i = 0; i < n; i++) {
        if (map->mfn[i] == SIM_NO_FRAME)
            continue;
        sim->frame[map->mfn[i]]++;
        sim->mapped_pages++;
    }
    return 0;
}

static bool bad_span(const void *at, size_t n)
{
    return (uintptr_t)at % HV_PAGE_SIZE || n == 0 ||
           n > (UINTPTR_MAX - (uintptr_t)at) >> HV_PAGE_SHIFT;
}

int hv_sim_map(struct hv *hv, void *at, int prot, size_t n, const uint64_t gfn[], int err[])
{
    struct sim *sim = sim_of(hv);
    int rc;

    if (hv_sim_enter(sim) < 0)
        return -1;
    if (bad_span(at, n) || prot & ~(PROT_READ | PROT_WRITE)) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&sim->lock);
    rc = map_locked(sim, at, prot, n, gfn, err);
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

int hv_sim_unmap(struct hv *hv, void *at, size_t n)
{
    struct sim *sim = sim_of(hv);
    int rc = -1;

    if (bad_span(at, n)) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&sim->lock);
    if (map_would_split(sim, (uintptr_t)at, (uintptr_t)at + (n << HV_PAGE_SHIFT) - 1))
        errno = ENOMEM;
    else
        rc = reserve(sim, at, n);
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

void hv_sim_maps_dispose(struct sim *sim)
{
    tdestroy(sim->maps, free);
}
