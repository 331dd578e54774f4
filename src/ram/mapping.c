/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host mapping. A chunk is published once it is mapped; readers use it inside an RCU read
 * section, or pin it. It is unmapped as a whole, and only when nobody is inside: unpublished, a
 * grace period, unmapped. (Mapping over a chunk in use would give its readers SIGBUS, and Linux
 * lets no part of one be replaced.)
 */
#include "ram/ram_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <xengasp/gasp.h>

#include "space/clock.h"

/* A page that was a hole when its chunk was mapped may have come back since (Xen doesn't tell):
 * look again, this seldom. */
enum { HOLE_LOOK_AGAIN_MS = 100 };

/* Unmapping a chunk takes milliseconds on Xen, and readers that need another wait meanwhile. */
enum { DROP_AT_ONCE = 4 };

int ram_init(struct ram *ram, struct hv *hv, struct space *memory, uint64_t limit)
{
    size_t chunks = limit >> RAM_CHUNK_SHIFT;

    *ram = (struct ram){.hv = hv, .memory = memory, .limit = limit, .generation = 1, .watcher = -1};
    pthread_mutex_init(&ram->lock, NULL);
    ram->allocator = ram_allocator_new();
    if (!ram->allocator)
        return fail(ENOMEM);
    ram->base = mmap(NULL, limit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram->base == MAP_FAILED) {
        ram->base = NULL;
        return fail(ENOMEM);
    }
    /* Pages of this table that are never used are never backed. */
    ram->chunk = mmap(NULL, chunks * sizeof(*ram->chunk), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram->chunk == MAP_FAILED) {
        ram->chunk = NULL;
        ram_dispose(ram);
        return fail(ENOMEM);
    }
    return 0;
}

/* Readers find it no more; to be unmapped after a grace period. */
static void unpublish(struct ram *ram, struct ram_chunk *chunk)
{
    LIST_REMOVE(chunk, link);
    rcu_put(ram->chunk[chunk->index], NULL);
}

static void unmap_chunk(struct ram *ram, struct ram_chunk *chunk)
{
    ram_report_chunk(ram, chunk);
    ram->hv->ops->unmap(ram->hv, ram_host(ram, chunk->index * RAM_CHUNK_SIZE), RAM_CHUNK_PAGES);
    free(chunk->pages);
    free(chunk);
}

void ram_dispose(struct ram *ram)
{
    struct ram_chunk *chunk;

    if (!ram->hv)
        return;
    while ((chunk = LIST_FIRST(&ram->mapped))) {
        unpublish(ram, chunk);
        unmap_chunk(ram, chunk);
    }
    if (ram->chunk)
        munmap(ram->chunk, (ram->limit >> RAM_CHUNK_SHIFT) * sizeof(*ram->chunk));
    if (ram->base)
        munmap(ram->base, ram->limit);
    ram_allocator_free(ram->allocator);
    free(ram->parked);
    free(ram->has_tables);
    pthread_mutex_destroy(&ram->lock);
    *ram = (struct ram){0};
}

/* All valid, none ready. */
static struct ram_pages *pages_new(void)
{
    struct ram_pages *pages = malloc(sizeof(*pages));

    if (pages) {
        memset(pages->valid, 0xff, sizeof(pages->valid));
        memset(pages->ready, 0, sizeof(pages->ready));
    }
    return pages;
}

/* Which pages the mapping has. */
static int note_valid(struct ram_chunk *chunk, const int err[])
{
    for (size_t page = 0; page < RAM_CHUNK_PAGES; page++) {
        if (!err[page])
            continue;
        if (!chunk->pages)
            chunk->pages = pages_new();
        if (!chunk->pages)
            return -1;
        chunk->pages->valid[page / 64] &= ~(UINT64_C(1) << page % 64);
    }
    return 0;
}

static struct ram_chunk *map_chunk(struct ram *ram, size_t i)
{
    uint64_t gfn[RAM_CHUNK_PAGES];
    int err[RAM_CHUNK_PAGES];
    struct ram_chunk *chunk = calloc(1, sizeof(*chunk));

    if (!chunk)
        return NULL;
    for (size_t page = 0; page < RAM_CHUNK_PAGES; page++)
        gfn[page] = i * RAM_CHUNK_PAGES + page;
    ram_parked_frames(ram, i * RAM_CHUNK_PAGES, gfn);
    /* Read before the mapping is made, so that a page given up during it makes the chunk stale. */
    chunk->generation = ram->generation;
    chunk->mapped_ns = clock_ns();
    if (ram->hv->ops->map(ram->hv, ram_host(ram, i * RAM_CHUNK_SIZE), PROT_READ | PROT_WRITE,
                          RAM_CHUNK_PAGES, gfn, err) < 0) {
        free(chunk);
        return NULL;
    }
    chunk->index = (uint32_t)i;
    if (note_valid(chunk, err) < 0) {
        unmap_chunk(ram, chunk);
        return NULL;
    }
    LIST_INSERT_HEAD(&ram->mapped, chunk, link);
    rcu_put(ram->chunk[i], chunk);
    return chunk;
}

/* True if the pages of the range that lie in chunk i can be touched. */
static bool chunk_valid(const struct ram_chunk *chunk, size_t i, struct range range)
{
    uint64_t start = i * RAM_CHUNK_SIZE;
    size_t first = range.first > start ? (range.first - start) >> HV_PAGE_SHIFT : 0;
    size_t last = range.last - start < RAM_CHUNK_SIZE ? (range.last - start) >> HV_PAGE_SHIFT
                                                      : RAM_CHUNK_PAGES - 1;

    const struct ram_pages *pages = rcu_get(chunk->pages);

    return !pages || ram_bits_set(pages->valid, first, last);
}

bool ram_mapped(struct ram *ram, struct range range)
{
    for (size_t i = range.first >> RAM_CHUNK_SHIFT; i <= range.last >> RAM_CHUNK_SHIFT; i++) {
        const struct ram_chunk *chunk = rcu_get(ram->chunk[i]);

        if (!chunk || __atomic_load_n(&chunk->generation, __ATOMIC_RELAXED) != ram->generation ||
            !chunk_valid(chunk, i, range))
            return false;
    }
    return true;
}

/* Which whole pages of a range of RAM may be read without asking the map again. */
static void add_ready(uint64_t ready[], const uint64_t valid[], struct range ram,
                      struct range chunk)
{
    uint64_t first = ram.first > chunk.first ? ram.first - chunk.first : 0;
    uint64_t end = (ram.last < chunk.last ? ram.last : chunk.last) - chunk.first + 1;

    first = (first + HV_PAGE_SIZE - 1) >> HV_PAGE_SHIFT;
    end >>= HV_PAGE_SHIFT;
    for (size_t word = first / 64; first < end && word <= (end - 1) / 64; word++)
        ready[word] |= valid[word] & ram_bits(word, first, end - 1);
}

/*
 * Notes what of the chunk is RAM by the map, so that readers need not search it; under the lock. A
 * reader may still hold the map before: it finds pages of the one or of the other, as if it had come
 * a little later. When there is no memory for it readers go on asking.
 */
static void note_ram(struct ram_chunk *chunk, const struct space_map *map)
{
    uint64_t start = chunk->index * RAM_CHUNK_SIZE, ready[RAM_CHUNK_PAGES / 64] = {0};
    struct range range = {start, start + (RAM_CHUNK_SIZE - 1)};
    struct ram_pages *pages = chunk->pages;
    struct space_region piece;

    if (!pages && !space_map_covered(map, range, SPACE_RAM_HAS, SPACE_RAM_HASNT)) {
        pages = pages_new();
        if (!pages)
            return;
        rcu_put(chunk->pages, pages);
    }
    for (struct range rest = range; pages && space_map_next(map, rest, &piece);) {
        if (space_flags_match(piece.flags, SPACE_RAM_HAS, SPACE_RAM_HASNT))
            add_ready(ready, pages->valid, piece.range, range);
        if (piece.range.last >= range.last)
            break;
        rest.first = piece.range.last + 1;
    }
    for (size_t word = 0; pages && word < RAM_CHUNK_PAGES / 64; word++)
        __atomic_store_n(&pages->ready[word], ready[word], __ATOMIC_RELAXED);
    rcu_put(chunk->known_by, map->number);
}

static void look_at_map(struct ram *ram, struct ram_chunk *chunk)
{
    const struct space_map *map;

    rcu_enter();
    map = space_read(ram->memory);
    if (chunk->known_by != map->number)
        note_ram(chunk, map);
    rcu_done(ram->memory);
    rcu_leave(ram);
}

void ram_look_again(struct ram *ram, struct range range)
{
    if (pthread_mutex_trylock(&ram->lock) != 0)
        return;
    for (size_t i = range.first >> RAM_CHUNK_SHIFT; i <= range.last >> RAM_CHUNK_SHIFT; i++) {
        if (ram->chunk[i])
            look_at_map(ram, ram->chunk[i]);
    }
    pthread_mutex_unlock(&ram->lock);
}

static bool chunk_stale(const struct ram *ram, const struct ram_chunk *chunk)
{
    return chunk->pins == 0 && chunk->generation != ram->generation;
}

/* The chunk, mapped, with the pages of the range valid; under the lock. NULL with errno. */
static struct ram_chunk *need_chunk(struct ram *ram, size_t i, struct range range)
{
    struct ram_chunk *chunk = ram->chunk[i];

    if (chunk && chunk->pins == 0 && !chunk_stale(ram, chunk) && !chunk_valid(chunk, i, range) &&
        clock_ns() - chunk->mapped_ns > HOLE_LOOK_AGAIN_MS * UINT64_C(1000000))
        __atomic_store_n(&chunk->generation, 0, __ATOMIC_RELAXED);
    if (chunk && chunk_stale(ram, chunk)) {
        unpublish(ram, chunk);
        rcu_wait(ram);
        unmap_chunk(ram, chunk);
        chunk = NULL;
    }
    if (!chunk)
        chunk = map_chunk(ram, i);
    if (!chunk) {
        errno = ENOMEM;
        return NULL;
    }
    look_at_map(ram, chunk);
    if (!chunk_valid(chunk, i, range)) {
        errno = ENOENT;
        return NULL;
    }
    return chunk;
}

static void unpin_locked(struct ram *ram, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        ram->chunk[i]->pins--;
}

int ram_pin(struct ram *ram, struct range range)
{
    size_t first = range.first >> RAM_CHUNK_SHIFT;
    int rc = 0;

    pthread_mutex_lock(&ram->lock);
    for (size_t i = first; i <= range.last >> RAM_CHUNK_SHIFT; i++) {
        struct ram_chunk *chunk = need_chunk(ram, i, range);

        if (!chunk) {
            unpin_locked(ram, first, i);
            rc = -1;
            break;
        }
        chunk->pins++;
    }
    pthread_mutex_unlock(&ram->lock);
    return rc;
}

/* How many bytes of the chunk can be touched from an address on. */
static uint64_t valid_bytes(const struct ram_chunk *chunk, uint64_t at)
{
    uint64_t offset = at & (RAM_CHUNK_SIZE - 1), end = offset >> HV_PAGE_SHIFT;

    while (end < RAM_CHUNK_PAGES &&
           (!chunk->pages || (chunk->pages->valid[end / 64] >> end % 64 & 1)))
        end++;
    end <<= HV_PAGE_SHIFT;
    return end > offset ? end - offset : 0;
}

int ram_pin_some(struct ram *ram, struct range *range)
{
    uint64_t at = range->first, bytes; /* pinned as far as that */

    pthread_mutex_lock(&ram->lock);
    do {
        size_t i = at >> RAM_CHUNK_SHIFT;
        struct ram_chunk *chunk = need_chunk(ram, i, *range);

        if (!chunk && errno == ENOENT) /* some of it may be there */
            chunk = ram->chunk[i];
        bytes = chunk ? valid_bytes(chunk, at) : 0;
        if (bytes > 0)
            chunk->pins++;
        at += bytes;
    } while (bytes > 0 && at <= range->last);
    pthread_mutex_unlock(&ram->lock);
    if (at == range->first)
        return -1;
    if (at <= range->last)
        range->last = at - 1;
    return 0;
}

void ram_unpin(struct ram *ram, struct range range)
{
    pthread_mutex_lock(&ram->lock);
    unpin_locked(ram, range.first >> RAM_CHUNK_SHIFT, (range.last >> RAM_CHUNK_SHIFT) + 1);
    pthread_mutex_unlock(&ram->lock);
}

void ram_unpin_written(struct ram *ram, struct range range)
{
    /* What was written is there before its marks are looked at. */
    atomic_thread_fence(memory_order_seq_cst);
    ram_wrote(ram, range);
    ram_unpin(ram, range);
}

void ram_invalidate(struct ram *ram)
{
    atomic_fetch_add(&ram->generation, 1);
}

/* Pages of a chunk that is in use are not to be found until it is mapped anew: what it shows there
 * isn't theirs any more. (Without memory to note that in, they are.) */
static void hide(struct ram_chunk *chunk, struct range range)
{
    uint64_t start = chunk->index * RAM_CHUNK_SIZE;
    size_t first = range.first > start ? (range.first - start) >> HV_PAGE_SHIFT : 0;
    size_t last = range.last - start < RAM_CHUNK_SIZE ? (range.last - start) >> HV_PAGE_SHIFT
                                                      : RAM_CHUNK_PAGES - 1;
    struct ram_pages *pages = chunk->pages ? chunk->pages : pages_new();

    if (!pages)
        return;
    for (size_t word = first / 64; word <= last / 64; word++)
        __atomic_fetch_and(&pages->valid[word], ~ram_bits(word, first, last), __ATOMIC_RELAXED);
    if (pages != chunk->pages)
        rcu_put(chunk->pages, pages);
}

void ram_forget(struct ram *ram, struct range range)
{
    pthread_mutex_lock(&ram->lock);
    for (size_t i = range.first >> RAM_CHUNK_SHIFT; i <= range.last >> RAM_CHUNK_SHIFT; i++) {
        struct ram_chunk *chunk = ram->chunk[i];

        if (!chunk)
            continue;
        __atomic_store_n(&chunk->generation, 0, __ATOMIC_RELAXED);
        if (chunk->pins > 0)
            hide(chunk, range);
    }
    pthread_mutex_unlock(&ram->lock);
}

bool ram_pinned(struct ram *ram, struct range range)
{
    bool pinned = false;

    pthread_mutex_lock(&ram->lock);
    for (size_t i = range.first >> RAM_CHUNK_SHIFT; i <= range.last >> RAM_CHUNK_SHIFT; i++)
        pinned |= ram->chunk[i] && ram->chunk[i]->pins > 0;
    pthread_mutex_unlock(&ram->lock);
    return pinned;
}

int ram_drop(struct ram *ram, struct range range)
{
    size_t first = range.first >> RAM_CHUNK_SHIFT, end = (range.last >> RAM_CHUNK_SHIFT) + 1;
    struct ram_chunk_list dropped = LIST_HEAD_INITIALIZER(dropped);
    struct ram_chunk *chunk;
    bool pinned = false;

    pthread_mutex_lock(&ram->lock);
    for (size_t i = first; i < end; i++)
        pinned |= ram->chunk[i] && ram->chunk[i]->pins > 0;
    for (size_t i = first; i < end && !pinned; i++) {
        chunk = ram->chunk[i];
        if (!chunk)
            continue;
        unpublish(ram, chunk);
        LIST_INSERT_HEAD(&dropped, chunk, link);
    }
    if (!LIST_EMPTY(&dropped))
        rcu_wait(ram);
    while ((chunk = LIST_FIRST(&dropped))) {
        LIST_REMOVE(chunk, link);
        unmap_chunk(ram, chunk);
    }
    pthread_mutex_unlock(&ram->lock);
    return pinned ? fail(EBUSY) : 0;
}

/* Drops some that are stale since `generation` or before; true if there may be more. */
static bool drop_some(struct ram *ram, uint64_t generation)
{
    struct ram_chunk *stale[DROP_AT_ONCE], *chunk, *next;
    size_t n = 0;

    pthread_mutex_lock(&ram->lock);
    for (chunk = LIST_FIRST(&ram->mapped); chunk && n < DROP_AT_ONCE; chunk = next) {
        next = LIST_NEXT(chunk, link);
        if (chunk->pins > 0 || chunk->generation >= generation)
            continue;
        unpublish(ram, chunk);
        stale[n++] = chunk;
    }
    if (n > 0)
        rcu_wait(ram);
    for (size_t i = 0; i < n; i++)
        unmap_chunk(ram, stale[i]);
    pthread_mutex_unlock(&ram->lock);
    return n == DROP_AT_ONCE;
}

bool ram_drop_some(struct ram *ram)
{
    return drop_some(ram, ram->generation);
}

/* What became stale meanwhile is left: a guest can make it so as fast as it is mapped again. */
void ram_drop_stale(struct ram *ram)
{
    uint64_t generation = ram->generation;

    while (drop_some(ram, generation))
        nanosleep(&(struct timespec){.tv_nsec = 1}, NULL); /* lets in who waits for the lock */
}
