/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A red-black tree of blocks by address, each node with the size of the largest free block below
 * it: that leads to the first fit without looking at what is too small.
 */
#include "ram/allocator.h"

#include <pthread.h>
#include <stdlib.h>

struct block;
static void update(struct block *block);
#define RB_AUGMENT(block) update(block)
#include <bsd/sys/tree.h>

struct block {
    RB_ENTRY(block) link;
    struct range range;
    bool allocated;
    uint64_t largest; /* bytes of the largest free block in this subtree, 0: none */
};
RB_HEAD(block_tree, block);

struct ram_allocator {
    struct block_tree tree;
    pthread_mutex_t lock;
};

/* Blocks are disjoint, so a key that overlaps one is equal to it. */
static int compare(const struct block *a, const struct block *b)
{
    return a->range.first > b->range.last ? 1 : a->range.last < b->range.first ? -1 : 0;
}

RB_GENERATE_INTERNAL(block_tree, block, link, compare, __attribute__((unused)) static)

static uint64_t free_bytes(const struct block *block)
{
    return block->allocated ? 0 : range_length(block->range);
}

static void update(struct block *block)
{
    const struct block *left = RB_LEFT(block, link), *right = RB_RIGHT(block, link);

    block->largest = free_bytes(block);
    if (left && left->largest > block->largest)
        block->largest = left->largest;
    if (right && right->largest > block->largest)
        block->largest = right->largest;
}

/* Upwards as far as it matters; the other half of a subtree is looked at only where the largest has
 * become smaller. */
static void change(struct block *block, struct range range, bool allocated)
{
    uint64_t before = block->largest, was;

    block->range = range;
    block->allocated = allocated;
    update(block);
    for (struct block *up = RB_PARENT(block, link); up && block->largest != before;
         block = up, up = RB_PARENT(up, link), before = was) {
        was = up->largest;
        if (block->largest > was)
            up->largest = block->largest;
        else if (before == was)
            update(up);
        else
            return;
    }
}

/* The tree updates what it turns around, but not all the way up: so a block comes and goes as an
 * allocated one, which counts for nothing. */
static void insert(struct ram_allocator *allocator, struct block *block, struct range range,
                   bool allocated)
{
    *block = (struct block){.range = range, .allocated = true};
    RB_INSERT(block_tree, &allocator->tree, block);
    change(block, range, allocated);
}

/* The same of a block right behind another, which needn't be looked for. */
static void insert_after(struct ram_allocator *allocator, struct block *before, struct block *block,
                         struct range range, bool allocated)
{
    struct block *parent = RB_RIGHT(before, link);

    *block = (struct block){.range = range, .allocated = true};
    if (parent) {
        while (RB_LEFT(parent, link))
            parent = RB_LEFT(parent, link);
        RB_LEFT(parent, link) = block;
    } else {
        parent = before;
        RB_RIGHT(parent, link) = block;
    }
    RB_SET(block, parent, link);
    block_tree_RB_INSERT_COLOR(&allocator->tree, block);
    change(block, range, allocated);
}

static void discard(struct ram_allocator *allocator, struct block *block)
{
    change(block, block->range, true);
    RB_REMOVE(block_tree, &allocator->tree, block);
    free(block);
}

static struct block *block_at(struct ram_allocator *allocator, uint64_t addr)
{
    struct block key = {.range = {addr, addr}};

    return RB_FIND(block_tree, &allocator->tree, &key);
}

/* Divides a block so that the range, which lies in it, is a block of its own: this one. */
static int carve(struct ram_allocator *allocator, struct block *block, struct range range)
{
    struct range whole = block->range;
    struct block *before = NULL, *after = NULL;

    if (range.first > whole.first && !(before = malloc(sizeof(*before))))
        return ENOMEM;
    if (range.last < whole.last && !(after = malloc(sizeof(*after)))) {
        free(before);
        return ENOMEM;
    }
    change(block, range, block->allocated);
    if (before)
        insert(allocator, before, (struct range){whole.first, range.first - 1}, block->allocated);
    if (after)
        insert_after(allocator, block, after, (struct range){range.last + 1, whole.last},
                     block->allocated);
    return 0;
}

static void join_free_neighbours(struct ram_allocator *allocator, struct block *block)
{
    struct block *before = RB_PREV(block_tree, &allocator->tree, block);
    struct block *after = RB_NEXT(block_tree, &allocator->tree, block);
    struct range range = block->range;

    if (before && !before->allocated && range.first - before->range.last == 1) {
        range.first = before->range.first;
        discard(allocator, before);
    }
    if (after && !after->allocated && after->range.first - range.last == 1) {
        range.last = after->range.last;
        discard(allocator, after);
    }
    change(block, range, false);
}

struct ram_allocator *ram_allocator_new(void)
{
    struct ram_allocator *allocator = malloc(sizeof(*allocator));

    if (!allocator)
        return NULL;
    RB_INIT(&allocator->tree);
    pthread_mutex_init(&allocator->lock, NULL);
    return allocator;
}

void ram_allocator_free(struct ram_allocator *allocator)
{
    if (!allocator)
        return;
    while (!RB_EMPTY(&allocator->tree))
        discard(allocator, RB_ROOT(&allocator->tree));
    pthread_mutex_destroy(&allocator->lock);
    free(allocator);
}

int ram_allocator_add(struct ram_allocator *allocator, struct range range)
{
    struct block *block = malloc(sizeof(*block)), key = {.range = range};
    bool known;

    if (!block)
        return ENOMEM;
    pthread_mutex_lock(&allocator->lock);
    known = RB_FIND(block_tree, &allocator->tree, &key);
    if (!known)
        insert(allocator, block, range, true);
    pthread_mutex_unlock(&allocator->lock);
    if (known)
        free(block);
    return known ? EEXIST : 0;
}

void ram_allocator_drop(struct ram_allocator *allocator, struct range range)
{
    pthread_mutex_lock(&allocator->lock);
    discard(allocator, block_at(allocator, range.first));
    pthread_mutex_unlock(&allocator->lock);
}

/* What a range consists of. */
struct look {
    bool hole, free, allocated; /* a byte that is unknown, free, allocated */
    unsigned blocks;
    struct block *first; /* the one that holds its first byte, or NULL */
};

static struct look look_at(struct ram_allocator *allocator, struct range range)
{
    struct block *block = block_at(allocator, range.first);
    struct look look = {.hole = !block, .first = block};
    uint64_t next = range.first;

    for (; block && block->range.first <= range.last;
         block = RB_NEXT(block_tree, &allocator->tree, block)) {
        if (look.blocks++ > 0 && block->range.first != next)
            look.hole = true;
        look.free |= !block->allocated;
        look.allocated |= block->allocated;
        next = block->range.last + 1;
        if (block->range.last >= range.last)
            return look;
    }
    look.hole = true;
    return look;
}

int ram_allocator_mark(struct ram_allocator *allocator, struct range range)
{
    struct look look;
    int rc;

    pthread_mutex_lock(&allocator->lock);
    look = look_at(allocator, range);
    rc = look.hole ? ENOENT : look.allocated ? EBUSY : 0;
    if (!rc) /* it is one block, as free neighbours are joined */
        rc = carve(allocator, look.first, range);
    if (!rc)
        change(look.first, range, true);
    pthread_mutex_unlock(&allocator->lock);
    return rc;
}

static bool fits(const struct block *block, uint64_t bytes, uint64_t align, uint64_t min,
                 uint64_t *start_r)
{
    uint64_t from = block->range.first > min ? block->range.first : min;
    uint64_t start = (from + (align - 1)) & -align;

    *start_r = start;
    return !block->allocated && start >= from && start <= block->range.last &&
           bytes - 1 <= block->range.last - start;
}

/* The depth is the tree's. */
static struct block *first_fit(struct block *block, uint64_t bytes, uint64_t align, uint64_t min,
                               uint64_t *start_r)
{
    struct block *found;

    if (!block || block->largest < bytes)
        return NULL;
    found = first_fit(RB_LEFT(block, link), bytes, align, min, start_r);
    if (found)
        return found;
    if (fits(block, bytes, align, min, start_r))
        return block;
    return first_fit(RB_RIGHT(block, link), bytes, align, min, start_r);
}

int ram_allocator_take(struct ram_allocator *allocator, uint64_t bytes, uint64_t align,
                       uint64_t min, uint64_t *start_r)
{
    struct block *block;
    uint64_t start;
    int rc = ENOMEM;

    pthread_mutex_lock(&allocator->lock);
    block = first_fit(RB_ROOT(&allocator->tree), bytes, align, min, &start);
    if (block)
        rc = carve(allocator, block, (struct range){start, start + (bytes - 1)});
    if (!rc) {
        change(block, block->range, true);
        *start_r = start;
    }
    pthread_mutex_unlock(&allocator->lock);
    return rc;
}

int ram_allocator_give(struct ram_allocator *allocator, struct range range, uint64_t unit)
{
    bool whole_units = range.first % unit == 0 && (range.last + 1) % unit == 0;
    struct look look;
    int rc;

    pthread_mutex_lock(&allocator->lock);
    look = look_at(allocator, range);
    if (look.hole || look.free)
        rc = ENOENT;
    else if (look.blocks > 1 || (!range_inside(look.first->range, range) && !whole_units))
        rc = EINVAL;
    else
        rc = carve(allocator, look.first, range);
    if (!rc)
        join_free_neighbours(allocator, look.first);
    pthread_mutex_unlock(&allocator->lock);
    return rc;
}

bool ram_allocator_largest(struct ram_allocator *allocator, struct range *range_r)
{
    const struct block *block;
    bool found;

    pthread_mutex_lock(&allocator->lock);
    block = RB_ROOT(&allocator->tree);
    found = block && block->largest > 0;
    while (found) {
        const struct block *left = RB_LEFT(block, link);

        if (left && left->largest == block->largest) {
            block = left;
        } else if (free_bytes(block) == block->largest) {
            *range_r = block->range;
            break;
        } else {
            block = RB_RIGHT(block, link);
        }
    }
    pthread_mutex_unlock(&allocator->lock);
    return found;
}
