/* SPDX-License-Identifier: BSD-2-Clause */
/* The allocator of RAM against an array with one cell a byte. */
#include "ram/allocator.h"
#include "tests/fuzz/fuzz.h"

enum { CELLS = 64, UNIT = 4, UNKNOWN = -1, FREE = 0 };

struct model {
    uint64_t base;
    int cell[CELLS]; /* or which allocation it is of, each with a number of its own */
    int next;
};

static void fill(struct model *m, struct range range, int value)
{
    for (uint64_t at = range.first; at <= range.last; at++)
        m->cell[at - m->base] = value;
}

static bool all(const struct model *m, struct range range, int value)
{
    for (uint64_t at = range.first; at <= range.last; at++)
        if (m->cell[at - m->base] != value)
            return false;
    return true;
}

static bool any(const struct model *m, struct range range, int value)
{
    for (uint64_t at = range.first; at <= range.last; at++)
        if (m->cell[at - m->base] == value)
            return true;
    return false;
}

/* The allocation that a cell is of. */
static struct range allocation(const struct model *m, uint64_t addr)
{
    struct range range = {addr, addr};
    int number = m->cell[addr - m->base];

    while (range.first > m->base && m->cell[range.first - 1 - m->base] == number)
        range.first--;
    while (range.last < m->base + CELLS - 1 && m->cell[range.last + 1 - m->base] == number)
        range.last++;
    return range;
}

static struct range take_range(const struct model *m, struct input *in)
{
    unsigned first = take(in) % CELLS;

    return (struct range){m->base + first, m->base + first + take(in) % (CELLS - first)};
}

static int model_mark(struct model *m, struct range range)
{
    if (any(m, range, UNKNOWN))
        return ENOENT;
    if (!all(m, range, FREE))
        return EBUSY;
    fill(m, range, ++m->next);
    return 0;
}

/* What is left of a divided allocation are two. */
static int model_give(struct model *m, struct range range)
{
    struct range whole;

    if (any(m, range, UNKNOWN) || any(m, range, FREE))
        return ENOENT;
    if (!all(m, range, m->cell[range.first - m->base]))
        return EINVAL;
    whole = allocation(m, range.first);
    if (!range_inside(whole, range) && (range.first % UNIT || (range.last + 1) % UNIT))
        return EINVAL;
    if (whole.last > range.last)
        fill(m, (struct range){range.last + 1, whole.last}, ++m->next);
    fill(m, range, FREE);
    return 0;
}

static int model_take(struct model *m, uint64_t bytes, uint64_t align, uint64_t min,
                      uint64_t *start_r)
{
    for (uint64_t start = m->base; bytes <= CELLS && start - m->base <= CELLS - bytes; start++) {
        struct range range = {start, start + (bytes - 1)};

        if (start < min || start % align || !all(m, range, FREE))
            continue;
        fill(m, range, ++m->next);
        *start_r = start;
        return 0;
    }
    return ENOMEM;
}

static void check_largest(const struct model *m, struct ram_allocator *allocator)
{
    struct range best = {0, 0}, found;
    uint64_t size = 0;

    for (uint64_t i = 0, run = 0; i < CELLS; i++) {
        run = m->cell[i] == FREE ? run + 1 : 0;
        if (run > size) {
            size = run;
            best = (struct range){m->base + i + 1 - run, m->base + i};
        }
    }
    CHECK(ram_allocator_largest(allocator, &found) == (size > 0));
    CHECK(size == 0 || (found.first == best.first && found.last == best.last));
}

static void do_add(struct model *m, struct ram_allocator *allocator, struct range range, bool keep)
{
    int rc = all(m, range, UNKNOWN) ? 0 : EEXIST;

    CHECK(ram_allocator_add(allocator, range) == rc);
    if (rc)
        return;
    fill(m, range, ++m->next);
    if (!keep)
        CHECK(ram_allocator_give(allocator, range, UNIT) == model_give(m, range));
}

static void do_drop(struct model *m, struct ram_allocator *allocator, uint64_t addr)
{
    struct range whole;

    if (m->cell[addr - m->base] <= FREE)
        return;
    whole = allocation(m, addr);
    ram_allocator_drop(allocator, whole);
    fill(m, whole, UNKNOWN);
}

static void do_take(struct model *m, struct ram_allocator *allocator, struct input *in)
{
    uint64_t bytes = 1 + take(in) % 20, align = UINT64_C(1) << take(in) % 6, found, want;
    uint64_t min = take(in) % 4 ? 0 : m->base + take(in) % CELLS;
    int rc;

    if (take(in) % 32 == 0)
        bytes = UINT64_MAX - take(in);
    rc = ram_allocator_take(allocator, bytes, align, min, &found);
    CHECK(rc == model_take(m, bytes, align, min, &want));
    CHECK(rc || found == want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t bases[] = {0, 0x1000, (UINT64_C(1) << 40) - CELLS,
                                     (UINT64_C(1) << 52) - CELLS};
    struct input in = {data, size};
    struct model m = {.base = bases[take(&in) % 4]};
    struct ram_allocator *allocator = ram_allocator_new();

    CHECK(allocator);
    fill(&m, (struct range){m.base, m.base + (CELLS - 1)}, UNKNOWN);
    do_add(&m, allocator, take_range(&m, &in), false);
    while (in.size > 0) {
        unsigned op = take(&in) % 16;
        struct range range = take_range(&m, &in);

        if (op == 0)
            do_add(&m, allocator, range, take(&in) % 4 == 0);
        else if (op == 1)
            do_drop(&m, allocator, range.first);
        else if (op < 5)
            CHECK(ram_allocator_mark(allocator, range) == model_mark(&m, range));
        else if (op < 8)
            CHECK(ram_allocator_give(allocator, range, UNIT) == model_give(&m, range));
        else if (op < 12 && m.cell[range.first - m.base] > FREE) { /* a whole one is seldom hit */
            range = allocation(&m, range.first);
            CHECK(ram_allocator_give(allocator, range, UNIT) == model_give(&m, range));
        } else
            do_take(&m, allocator, &in);
        check_largest(&m, allocator);
    }
    ram_allocator_free(allocator);
    return 0;
}
