/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's ioreq servers: their pages, their ranges, and which of them an access goes
 * to. */
#include "hv/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- ranges, as Xen's rangesets keep them ---- */

/* The index of the highest range that begins at or below x; -1: none. */
static int range_below(const struct sim_ranges *set, uint64_t x)
{
    int low = 0, high = (int)set->n;

    while (low < high) {
        int mid = (low + high) / 2;

        if (set->r[mid].first <= x)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

static bool ranges_contain(const struct sim_ranges *set, uint64_t first, uint64_t last)
{
    int i = range_below(set, first);

    return i >= 0 && set->r[i].last >= last;
}

static bool ranges_overlap(const struct sim_ranges *set, uint64_t first, uint64_t last)
{
    int i = range_below(set, last);

    return i >= 0 && set->r[i].last >= first;
}

static void range_drop(struct sim_ranges *set, int i)
{
    set->n--;
    memmove(&set->r[i], &set->r[i + 1], (set->n - (unsigned)i) * sizeof(set->r[0]));
}

static int range_insert(struct sim_ranges *set, int i, uint64_t first, uint64_t last)
{
    if (set->n == HV_MAX_RANGES) {
        errno = ENOMEM;
        return -1;
    }
    memmove(&set->r[i + 1], &set->r[i], (set->n - (unsigned)i) * sizeof(set->r[0]));
    set->r[i] = (struct sim_range){first, last};
    set->n++;
    return 0;
}

static int ranges_add(struct sim_ranges *set, uint64_t first, uint64_t last)
{
    int below = range_below(set, first), above = below + 1;
    bool joins_below, joins_above;

    if (ranges_overlap(set, first, last)) {
        errno = EEXIST;
        return -1;
    }
    joins_below = below >= 0 && set->r[below].last + 1 == first;
    joins_above = above < (int)set->n && last + 1 == set->r[above].first;
    if (set->n == HV_MAX_RANGES && joins_above && !joins_below) {
        errno = ENOMEM; /* Xen makes a range of it first, then joins the two */
        return -1;
    }
    if (joins_below && joins_above) {
        set->r[below].last = set->r[above].last;
        range_drop(set, above);
    } else if (joins_below) {
        set->r[below].last = last;
    } else if (joins_above) {
        set->r[above].first = first;
    } else {
        return range_insert(set, above, first, last);
    }
    return 0;
}

static int ranges_remove(struct sim_ranges *set, uint64_t first, uint64_t last)
{
    int i = range_below(set, first);
    struct sim_range *r;

    if (!ranges_contain(set, first, last)) {
        errno = ENOENT;
        return -1;
    }
    r = &set->r[i];
    if (r->first == first && r->last == last) {
        range_drop(set, i);
    } else if (r->first == first) {
        r->first = last + 1;
    } else if (r->last == last) {
        r->last = first - 1;
    } else {
        if (range_insert(set, i + 1, last + 1, r->last) < 0)
            return -1;
        r->last = first - 1;
    }
    return 0;
}

/* ---- the page ---- */

static void page_settle(struct sim *sim, struct sim_ioreq_page *page)
{
    if (page->maps > 0 || page->has_server)
        return;
    munmap(page->xens, IOREQ_PAGE_BYTES);
    close(page->fd);
    free(page);
    sim->host_free++;
}

/* One more mapping, so that each is gone when it is unmapped. */
static struct ioreq_page *page_map(const struct sim_ioreq_page *page)
{
    void *at = mmap(NULL, IOREQ_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);

    return at == MAP_FAILED ? NULL : at;
}

static struct sim_ioreq_page *page_new(struct sim *sim)
{
    struct sim_ioreq_page *page;

    if (sim->host_free == 0) {
        errno = ENOMEM;
        return NULL;
    }
    page = calloc(1, sizeof(*page));
    if (!page)
        return NULL;
    page->fd = memfd_create("xengasp-sim-ioreq", MFD_CLOEXEC);
    if (page->fd >= 0 && ftruncate(page->fd, IOREQ_PAGE_BYTES) == 0)
        page->xens = page_map(page);
    if (!page->xens) {
        if (page->fd >= 0)
            close(page->fd);
        free(page);
        return NULL;
    }
    page->has_server = true;
    sim->host_free--;
    return page;
}

/* Under the lock. */
static void map_drop(struct sim *sim, struct sim_ioreq_map *map)
{
    struct sim_ioreq_page *page = map->page;

    LIST_REMOVE(map, link);
    munmap(map->at, IOREQ_PAGE_BYTES);
    if (map->at == page->xens) {
        page->xens = page->next;
        page->next = NULL;
    }
    page->maps--;
    sim->ioreq_maps--;
    page_settle(sim, page);
    free(map);
}

void hv_sim_ioreq_pages_dispose(struct sim *sim)
{
    while (!LIST_EMPTY(&sim->ioreq_map_list))
        map_drop(sim, LIST_FIRST(&sim->ioreq_map_list));
}

/* Under the lock. NULL with ENOENT, or what else Xen says of a guest in this state. */
static struct sim_server *get(struct sim *sim, unsigned id)
{
    if (id < HV_MAX_SERVERS && sim->server[id])
        return sim->server[id];
    errno = hv_sim_gone(sim) ? ESRCH : ENOENT;
    return NULL;
}

/*
 * Under the lock. The first one gets the address that Xen itself uses, and Xen the new one for
 * later: so thread checkers see that both sides touch the same memory.
 */
static struct sim_ioreq_map *map_locked(struct sim *sim, unsigned server)
{
    struct sim_server *s = get(sim, server);
    struct sim_ioreq_map *map;

    if (!s)
        return NULL;
    if (!s->page)
        s->page = page_new(sim);
    if (!s->page)
        return NULL;
    map = calloc(1, sizeof(*map));
    if (!map)
        return NULL;
    map->page = s->page;
    map->at = page_map(s->page);
    if (!map->at) {
        free(map);
        return NULL;
    }
    if (!s->page->next) {
        s->page->next = map->at;
        map->at = s->page->xens;
    }
    s->page->maps++;
    sim->ioreq_maps++;
    LIST_INSERT_HEAD(&sim->ioreq_map_list, map, link);
    return map;
}

int hv_sim_ioreq_page_map(struct hv *hv, unsigned server, struct ioreq_page **page_r)
{
    struct sim *sim = sim_of(hv);
    struct sim_ioreq_map *map;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    map = map_locked(sim, server);
    if (map)
        *page_r = map->at;
    pthread_mutex_unlock(&sim->lock);
    return map ? 0 : -1;
}

int hv_sim_ioreq_page_unmap(struct hv *hv, struct ioreq_page *page)
{
    struct sim *sim = sim_of(hv);
    struct sim_ioreq_map *map;

    pthread_mutex_lock(&sim->lock);
    LIST_FOREACH (map, &sim->ioreq_map_list, link)
        if (map->at == page)
            break;
    if (map)
        map_drop(sim, map);
    pthread_mutex_unlock(&sim->lock);
    if (map)
        return 0;
    errno = EINVAL;
    return -1;
}

/* ---- life ---- */

void hv_sim_server_put(struct sim *sim, struct sim_server *server)
{
    if (--server->refs > 0)
        return;
    if (server->page) {
        server->page->has_server = false;
        page_settle(sim, server->page);
    }
    free(server);
}

static void ports_close(struct sim *sim, struct sim_server *s)
{
    unsigned i;

    for (i = 0; i < sim->max_vcpus; i++)
        if (s->port[i])
            hv_sim_port_close(s->port[i]);
}

/* Under the lock. */
static void destroy(struct sim *sim, unsigned id)
{
    struct sim_server *s = sim->server[id];

    sim->server[id] = NULL;
    ports_close(sim, s);
    atomic_store(&s->dead, true);
    hv_sim_vcpus_wake(sim);
    hv_sim_server_put(sim, s);
}

void hv_sim_servers_destroy(struct sim *sim)
{
    unsigned i;

    for (i = 0; i < HV_MAX_SERVERS; i++)
        if (sim->server[i])
            destroy(sim, i);
}

/* Under the lock. */
static int create_locked(struct sim *sim, unsigned *server_r)
{
    struct sim_server *s;
    unsigned id, i;

    if (sim->dying) {
        errno = hv_sim_gone(sim) ? ESRCH : EINVAL;
        return -1;
    }
    for (id = 0; id < HV_MAX_SERVERS && sim->server[id]; id++)
        ;
    if (id == HV_MAX_SERVERS) {
        errno = ENOSPC;
        return -1;
    }
    s = calloc(1, sizeof(*s));
    if (!s)
        return -1;
    for (i = 0; i < sim->max_vcpus; i++) {
        s->port[i] = hv_sim_port_open(sim, i);
        if (!s->port[i]) {
            ports_close(sim, s);
            free(s);
            return -1;
        }
    }
    s->refs = 1;
    sim->server[id] = s;
    *server_r = id;
    return 0;
}

int hv_sim_server_create(struct hv *hv, unsigned *server_r)
{
    struct sim *sim = sim_of(hv);
    int rc;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    rc = create_locked(sim, server_r);
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

int hv_sim_server_destroy(struct hv *hv, unsigned server)
{
    struct sim *sim = sim_of(hv);
    int rc = -1;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (get(sim, server)) {
        destroy(sim, server);
        rc = 0;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

/* The ports are written when the server becomes enabled, and only into a page that is there by
 * then. */
int hv_sim_server_enable(struct hv *hv, unsigned server, bool on)
{
    struct sim *sim = sim_of(hv);
    struct sim_server *s;
    unsigned i;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    s = get(sim, server);
    if (s) {
        for (i = 0; on && !s->enabled && s->page && i < sim->max_vcpus; i++)
            s->page->xens->slot[i].vp_eport = (uint32_t)(s->port[i] - sim->port);
        s->enabled = on;
    }
    pthread_mutex_unlock(&sim->lock);
    return s ? 0 : -1;
}

bool hv_sim_server_exists(struct hv *hv, unsigned server)
{
    struct sim *sim = sim_of(hv);
    bool exists;

    if (hv_sim_enter(sim) < 0)
        return false;
    pthread_mutex_lock(&sim->lock);
    exists = get(sim, server);
    pthread_mutex_unlock(&sim->lock);
    return exists;
}

static int change_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                        uint64_t last, int (*change)(struct sim_ranges *, uint64_t, uint64_t))
{
    struct sim *sim = sim_of(hv);
    struct sim_server *s;
    int rc = -1;

    if (hv_sim_enter(sim) < 0)
        return -1;
    if ((unsigned)type >= SIM_RANGE_TYPES ||
        (type == HV_RANGE_PCI && (first != last || first > UINT32_MAX))) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&sim->lock);
    s = get(sim, server);
    if (first > last && !hv_sim_gone(sim))
        errno = EINVAL;
    else if (s)
        rc = change(&s->ranges[type], first, last);
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

int hv_sim_server_map_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                            uint64_t last)
{
    return change_range(hv, server, type, first, last, ranges_add);
}

int hv_sim_server_unmap_range(struct hv *hv, unsigned server, enum hv_range_type type,
                              uint64_t first, uint64_t last)
{
    return change_range(hv, server, type, first, last, ranges_remove);
}

/* ---- choosing ---- */

/* What a request touches, REP and its direction included. false: it runs over an end of the
 * addresses. */
static bool span_of(const struct ioreq_slot *req, uint64_t *first, uint64_t *last)
{
    uint64_t size = req->size ? req->size : 1;
    uint64_t rest = (req->count ? req->count - 1 : 0) * size;

    *first = *last = req->addr;
    if (req->type == IOREQ_PCI_CONFIG) {
        *first = *last = req->addr >> 32;
        return true;
    }
    if (req->type == IOREQ_MEMORY && req->control & IOREQ_CONTROL_DF) {
        if (__builtin_sub_overflow(*first, rest, first))
            return false;
    } else if (req->type == IOREQ_MEMORY && __builtin_add_overflow(*last, rest, last)) {
        return false;
    }
    return !__builtin_add_overflow(*last, size - 1, last);
}

struct sim_server *hv_sim_server_select(struct sim *sim, const struct ioreq_slot *req)
{
    uint64_t first, last;
    unsigned id;

    if (!span_of(req, &first, &last))
        return NULL;
    for (id = HV_MAX_SERVERS; id-- > 0;) {
        struct sim_server *s = sim->server[id];

        if (s && s->enabled && ranges_contain(&s->ranges[req->type], first, last))
            return s;
    }
    return NULL;
}
