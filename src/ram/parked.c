/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that lie elsewhere while something covers their place: moved, not copied, so the content and
 * our mapping of it stay. The table of them is immutable and replaced as a whole, under ram->lock;
 * so the mapping looks at it under that lock, and dirty reporting in a read section.
 */
#include <stdlib.h>
#include <string.h>

#include "ram/ram_internal.h"

enum {
    CHUNK_ORDER = RAM_CHUNK_SHIFT - HV_PAGE_SHIFT,
    UPPER_TABLES =
        4, /* for 1 GiB and 512 GiB around the parking window, and around where it ends */
};

static size_t search(const struct ram_parked *parked, uint64_t gfn)
{
    size_t low = 0, high = parked ? parked->n : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (parked->page[middle].home < gfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct ram_parked_page *ram_parked_next(const struct ram_parked *parked, uint64_t gfn)
{
    size_t i = search(parked, gfn);

    return parked && i < parked->n ? &parked->page[i] : NULL;
}

/* The entry of a frame among those of its home, or NULL. */
static const struct ram_parked_page *find(const struct ram_parked *parked, uint64_t gfn,
                                          uint64_t frame)
{
    for (size_t i = search(parked, gfn); parked && i < parked->n && parked->page[i].home == gfn;
         i++) {
        if (parked->page[i].frame == frame)
            return &parked->page[i];
    }
    return NULL;
}

uint64_t ram_parked_row(const struct ram *ram, uint64_t gfn, uint64_t n, uint64_t frame,
                        uint64_t *at_r)
{
    const struct ram_parked *parked = ram->parked;
    const struct ram_parked_page *page = find(parked, gfn, frame), *next = page;
    uint64_t row;

    *at_r = page ? page->at : RAM_NOT_PARKED;
    if (page) {
        for (row = 1; row < n && row < RAM_CHUNK_PAGES; row++) {
            next = find(parked, gfn + row, frame);
            if (!next || next->at != page->at + row)
                break;
        }
        return row;
    }
    next = ram_parked_next(parked, gfn);
    while (next && next < parked->page + parked->n && next->frame != frame)
        next++;
    if (!next || next == parked->page + parked->n || next->home - gfn >= n)
        return n;
    return next->home - gfn;
}

void ram_parking_used(const struct ram *ram, uint64_t at, size_t n, bool used[])
{
    memset(used, false, n * sizeof(*used));
    for (size_t i = 0; ram->parked && i < ram->parked->n; i++) {
        if (ram->parked->page[i].at - at < n)
            used[ram->parked->page[i].at - at] = true;
    }
}

/* A copy with room for `more`; NULL with ENOMEM. */
static struct ram_parked *copy_table(const struct ram *ram, size_t more)
{
    size_t n = ram->parked ? ram->parked->n : 0;
    struct ram_parked *copy = malloc(sizeof(*copy) + (n + more) * sizeof(copy->page[0]));

    if (!copy)
        return NULL;
    copy->n = n;
    if (n > 0)
        memcpy(copy->page, ram->parked->page, n * sizeof(copy->page[0]));
    return copy;
}

static void reclaim(struct rcu_head *head)
{
    struct ram_parked *parked = caa_container_of(head, struct ram_parked, rcu);

    rcu_reclaim(head);
    rcu_reclaim(parked->domain);
    free(parked);
}

static void publish(struct ram *ram, struct ram_parked *parked)
{
    struct ram_parked *old = ram->parked;

    rcu_put(ram->parked, parked);
    if (!old)
        return;
    old->domain = ram;
    rcu_defer(&old->rcu, reclaim);
}

/* Keeps the order by home. There is room. */
static void insert(struct ram_parked *parked, struct ram_parked_page page)
{
    size_t i = search(parked, page.home);

    memmove(&parked->page[i + 1], &parked->page[i], (parked->n - i) * sizeof(page));
    parked->page[i] = page;
    parked->n++;
}

static void drop(struct ram_parked *parked, uint64_t gfn, uint64_t frame)
{
    size_t i = search(parked, gfn);

    while (i < parked->n && parked->page[i].home == gfn && parked->page[i].frame != frame)
        i++;
    if (i == parked->n || parked->page[i].home != gfn)
        return;
    memmove(&parked->page[i], &parked->page[i + 1], (parked->n - i - 1) * sizeof(parked->page[0]));
    parked->n--;
}

/* Adds tables to the guest's paging pool. 0 or -1. */
static int add_to_pool(struct hv *hv, uint64_t tables)
{
    uint64_t bytes;

    if (tables == 0)
        return 0;
    if (hv->ops->get_paging_pool(hv, &bytes) < 0)
        return errno == EOPNOTSUPP ? 0 : -1;
    if (hv->ops->set_paging_pool(hv, bytes + tables * HV_PAGE_SIZE) == 0)
        return 0;
    hv->ops->set_paging_pool(hv, bytes); /* it can stop half-way */
    return fail(ENOMEM);
}

/*
 * Xen's tables: one for each 2 MiB that a page leaves for the first time, which may have been a large
 * extent, and those of the place that it goes to. They come from the guest's paging pool, and must be
 * there beforehand: without, Xen loses the page. 0 or -1.
 */
static int add_tables(struct ram *ram, size_t n, uint64_t from, uint64_t to)
{
    const uint64_t first[] = {from >> CHUNK_ORDER, to >> CHUNK_ORDER};
    const uint64_t last[] = {(from + n - 1) >> CHUNK_ORDER, (to + n - 1) >> CHUNK_ORDER};
    uint8_t *has = ram->has_tables;
    uint64_t tables = 0;

    if (!has) {
        has = calloc(1, (ram->limit >> RAM_CHUNK_SHIFT) / 8);
        tables += UPPER_TABLES;
    }
    if (!has)
        return fail(ENOMEM);
    for (int side = 0; side < 2; side++) {
        for (uint64_t i = first[side]; i <= last[side]; i++)
            tables += !(has[i / 8] >> i % 8 & 1);
    }
    if (add_to_pool(ram->hv, tables) < 0) {
        if (!ram->has_tables)
            free(has);
        return -1;
    }
    ram->has_tables = has;
    for (int side = 0; side < 2; side++) {
        for (uint64_t i = first[side]; i <= last[side]; i++)
            has[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return 0;
}

/*
 * One by one, what is there: a guest may have given pages up. What a batch that failed has moved
 * already is where it should be. -1: a page could not be moved for another reason.
 */
static int relocate_each(struct ram *ram, size_t n, uint64_t from, uint64_t to, bool moved[])
{
    int err[RAM_CHUNK_PAGES];
    void *there = ram_map_aside(ram, to, n, err);

    if (!there)
        return -1;
    ram_unmap_aside(ram, there, n);
    for (size_t i = 0; i < n; i++) {
        moved[i] = !err[i] || ram->hv->ops->relocate(ram->hv, 1, from + i, to + i) == 0;
        if (!moved[i] && errno != EINVAL)
            return -1;
    }
    return 0;
}

/* Of a move that failed: those that have left their place come back. Where there is none at `to`
 * either Xen says EINVAL, and nothing happens. */
static void move_back(struct ram *ram, size_t n, uint64_t from, uint64_t to)
{
    int err[RAM_CHUNK_PAGES], saved = errno;
    void *there = ram_map_aside(ram, from, n, err);

    if (there)
        ram_unmap_aside(ram, there, n);
    for (size_t i = 0; i < n; i++) {
        if (!there || err[i])
            ram->hv->ops->relocate(ram->hv, 1, to + i, from + i);
    }
    errno = saved;
}

/* Moves n pages, at most RAM_CHUNK_PAGES. moved[i]: whether page i was there. All or nothing. */
static int move(struct ram *ram, size_t n, uint64_t from, uint64_t to, bool moved[])
{
    struct hv_extent there = {.gfn = to, .n = (uint32_t)n};
    int rc;

    memset(moved, true, n * sizeof(*moved));
    if (add_tables(ram, n, from, to) < 0)
        return -1;
    rc = ram->hv->ops->relocate(ram->hv, n, from, to);
    if (rc < 0 && errno == EINVAL)
        rc = relocate_each(ram, n, from, to, moved);
    if (rc < 0)
        move_back(ram, n, from, to);
    /* Should Xen be keeping a log of dirty pages: the page must be sent again, from its new place. */
    else
        ram->hv->ops->modified(ram->hv, 1, &there);
    return rc;
}

int ram_park(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame, uint64_t at, bool shown)
{
    bool moved[RAM_CHUNK_PAGES];
    struct ram_parked *parked;
    int rc;

    pthread_mutex_lock(&ram->lock);
    parked = copy_table(ram, n);
    rc = parked ? move(ram, n, gfn, at, moved) : fail(ENOMEM);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (moved[i])
            insert(parked, (struct ram_parked_page){gfn + i, at + i, frame, shown});
    }
    if (rc == 0)
        publish(ram, parked);
    else
        free(parked);
    pthread_mutex_unlock(&ram->lock);
    return rc;
}

int ram_unpark(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame, uint64_t at)
{
    bool moved[RAM_CHUNK_PAGES];
    struct ram_parked *parked;
    int rc;

    pthread_mutex_lock(&ram->lock);
    parked = copy_table(ram, 0);
    rc = parked ? move(ram, n, at, gfn, moved) : fail(ENOMEM);
    for (size_t i = 0; rc == 0 && i < n; i++)
        drop(parked, gfn + i, frame);
    if (rc == 0)
        publish(ram, parked);
    else
        free(parked);
    pthread_mutex_unlock(&ram->lock);
    return rc;
}

bool ram_parked_next_run(const struct ram *ram, size_t *i, struct ram_parked_run *run_r,
                         uint64_t *frame_r)
{
    const struct ram_parked *parked = ram->parked;
    const struct ram_parked_page *first = parked && *i < parked->n ? &parked->page[*i] : NULL;

    if (!first)
        return false;
    *run_r = (struct ram_parked_run){first->home, first->at, 0};
    *frame_r = first->frame;
    for (; *i < parked->n; ++*i, run_r->n++) {
        const struct ram_parked_page *page = &parked->page[*i];

        if (page->frame != first->frame || page->home != first->home + run_r->n ||
            page->at != first->at + run_r->n)
            break;
    }
    return true;
}

bool ram_any_parked(const struct ram *ram, struct range range)
{
    const struct ram_parked *parked = ram->parked;

    for (size_t i = search(parked, range.first >> HV_PAGE_SHIFT);
         parked && i < parked->n && parked->page[i].home <= range.last >> HV_PAGE_SHIFT; i++) {
        if (parked->page[i].frame == RAM_FRAME)
            return true;
    }
    return false;
}

int ram_present(struct ram *ram, uint64_t gfn, size_t n, bool there[])
{
    int err[RAM_CHUNK_PAGES];
    void *at = ram_map_aside(ram, gfn, n, err);

    if (!at)
        return fail(ENOMEM);
    ram_unmap_aside(ram, at, n);
    for (size_t i = 0; i < n; i++)
        there[i] = !err[i];
    return 0;
}

/* At most RAM_CHUNK_PAGES. */
static int take_run(struct ram *ram, struct ram_parked_run run)
{
    bool at_home[RAM_CHUNK_PAGES], at_place[RAM_CHUNK_PAGES];
    struct ram_parked *parked = copy_table(ram, run.n);

    if (!parked || ram_present(ram, run.home, run.n, at_home) < 0 ||
        ram_present(ram, run.at, run.n, at_place) < 0) {
        free(parked);
        return fail(ENOMEM);
    }
    for (uint64_t i = 0; i < run.n; i++) {
        if (!at_home[i] && at_place[i] && !find(parked, run.home + i, RAM_FRAME))
            insert(parked, (struct ram_parked_page){run.home + i, run.at + i, RAM_FRAME, true});
    }
    publish(ram, parked);
    return 0;
}

int ram_take_parked(struct ram *ram, struct ram_parked_run run)
{
    int rc = 0;

    pthread_mutex_lock(&ram->lock);
    while (run.n > 0 && rc == 0) {
        uint64_t n = run.n < RAM_CHUNK_PAGES ? run.n : RAM_CHUNK_PAGES;

        rc = take_run(ram, (struct ram_parked_run){run.home, run.at, n});
        run = (struct ram_parked_run){run.home + n, run.at + n, run.n - n};
    }
    pthread_mutex_unlock(&ram->lock);
    return rc;
}

int ram_park_new(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame, uint64_t at)
{
    struct ram_parked *parked;

    pthread_mutex_lock(&ram->lock);
    parked = copy_table(ram, n);
    for (size_t i = 0; parked && i < n; i++)
        insert(parked, (struct ram_parked_page){gfn + i, at + i, frame, false});
    if (parked)
        publish(ram, parked);
    pthread_mutex_unlock(&ram->lock);
    return parked ? 0 : fail(ENOMEM);
}

void ram_parked_gone(struct ram *ram, uint64_t gfn, size_t n, uint64_t frame)
{
    struct ram_parked *parked;

    pthread_mutex_lock(&ram->lock);
    parked = copy_table(ram, 0);
    for (size_t i = 0; parked && i < n; i++)
        drop(parked, gfn + i, frame);
    if (parked)
        publish(ram, parked);
    pthread_mutex_unlock(&ram->lock);
}

/* Page by page, those that are there. -1: not all; stops there, unless it is to go on. */
static int type_each(struct ram *ram, bool read_only, uint64_t n, uint64_t gfn, bool go_on)
{
    struct hv *hv = ram->hv;
    int rc = 0;

    for (uint64_t i = 0; i < n && (rc == 0 || go_on); i++) {
        if (hv->ops->set_ram_type(hv, read_only, 1, gfn + i) < 0 && errno != EINVAL)
            rc = -1;
    }
    return rc;
}

int ram_set_type(struct ram *ram, bool read_only, struct range range)
{
    uint64_t first = range.first >> HV_PAGE_SHIFT, n = range_length(range) >> HV_PAGE_SHIFT;
    int rc = ram->hv->ops->set_ram_type(ram->hv, read_only, n, first), saved;

    if (rc < 0 && errno == EINVAL)
        rc = type_each(ram, read_only, n, first, false);
    if (rc == 0)
        return 0;
    saved = errno;
    type_each(ram, !read_only, n, first, true);
    errno = saved;
    return rc;
}

/* Without memory for the new table the old one stays, which shows another page of the guest's there.
 */
void ram_show(struct ram *ram, struct range range, uint64_t frame)
{
    uint64_t first = range.first >> HV_PAGE_SHIFT, last = range.last >> HV_PAGE_SHIFT;
    const struct ram_parked_page *page = ram_parked_next(ram->parked, first);
    struct ram_parked *parked;

    if (!page || page->home > last)
        return;
    pthread_mutex_lock(&ram->lock);
    parked = copy_table(ram, 0);
    for (size_t i = search(parked, first); parked && i < parked->n && parked->page[i].home <= last;
         i++)
        parked->page[i].shown = parked->page[i].frame == frame;
    if (parked)
        publish(ram, parked);
    pthread_mutex_unlock(&ram->lock);
    ram_forget(ram, range);
}

void ram_parked_frames(const struct ram *ram, uint64_t first, uint64_t gfn[RAM_CHUNK_PAGES])
{
    const struct ram_parked *parked = ram->parked;

    for (size_t i = search(parked, first);
         parked && i < parked->n && parked->page[i].home - first < RAM_CHUNK_PAGES; i++) {
        if (parked->page[i].shown)
            gfn[parked->page[i].home - first] = parked->page[i].at;
    }
}
