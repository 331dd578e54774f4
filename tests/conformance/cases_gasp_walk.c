/* SPDX-License-Identifier: BSD-2-Clause */
/* gasp_walk_*: what of a range is memory; and gram_*, QNX's names for the allocator. */
#include "guest/guest_internal.h"
#include "tests/conformance/guest_ram.h"

/* ---- walking ---- */

enum { MOST_SPANS = 6 };

struct span {
    uint64_t loc, length;
};

/* The walk gives these spans, and ends so: 0, or an errno value. */
static bool walks(struct guest *g, struct span range, unsigned flags, const struct span want[],
                  unsigned n, int error)
{
    char *base = g->gsp->gasp.ram.base;
    struct gasp_walk_state ws;
    unsigned i;
    int rc;

    gasp_walk_init(&ws, g->gsp, range.loc, range.length, flags);
    for (i = 0; (rc = gasp_walk_next(&ws)) > 0; i++) {
        if (i == n || ws.guest_loc != want[i].loc || ws.length != want[i].length)
            return COMPLAIN("span %u: %#lx, %#lx bytes", i, ws.guest_loc, ws.length);
        CHECK_EQUAL(ws.host_loc, flags & GWS_HOST ? (uintptr_t)base + ws.guest_loc : 0);
        CHECK_EQUAL(ws.guest_loc + ws.length + ws.max_length, range.loc + range.length);
    }
    CHECK_EQUAL(i, n);
    for (unsigned again = 0; again < 2; again++) {
        if (rc != (error ? -1 : 0) || (error && errno != error))
            return COMPLAIN("ends with %d, %s", rc, strerror(errno));
        rc = gasp_walk_next(&ws);
    }
    errno = 0;
    CHECK_EQUAL(gasp_walk_count(g->gsp, range.loc, range.length, flags), error ? 0 : n);
    CHECK_EQUAL((unsigned)errno, (unsigned)error);
    return true;
}

#define WALKS(range, flags, error, ...)                                                            \
    do {                                                                                           \
        const struct span want_[MOST_SPANS] = {__VA_ARGS__};                                       \
        unsigned n_ = 0;                                                                           \
        while (n_ < MOST_SPANS && want_[n_].length > 0)                                            \
            n_++;                                                                                  \
        CHECK(walks(g, (struct span)range, (flags), want_, n_, (error)));                          \
    } while (0)
#define AT(loc, length)                                                                            \
    {                                                                                              \
        (loc), (length)                                                                            \
    }
#define NOTHING AT(0, 0)

/* RAM, a register of 4 bytes behind it, a hole, RAM again. */
static bool make_places(struct guest *g)
{
    CHECK_RC(register_ram(g, RAM_BYTES, 2 * PAGE), 0); /* touches the guest's own */
    CHECK_RC(register_ram(g, MEM, PAGE), 0);
    CHECK_RC(register_ram(g, MEM + PAGE, 3 * PAGE), 0);
    CHECK_RC(set_region(g, MEM + 4 * PAGE, 4, VIRT), 0);
    CHECK_RC(register_ram(g, MEM + 8 * PAGE, PAGE), 0);
    return true;
}

static bool spans_of_memory(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(make_places(g));
    /* As long as regions touch it is one span. */
    WALKS(AT(0, RAM_BYTES), GWS_NONE, 0, AT(0, RAM_BYTES));
    WALKS(AT(0x1003, 1), GWS_HOST, 0, AT(0x1003, 1));
    WALKS(AT(RAM_BYTES - 5, PAGE + 7), GWS_HOST, 0, AT(RAM_BYTES - 5, PAGE + 7));
    WALKS(AT(MEM + 1, 4 * PAGE - 2), GWS_HOST, 0, AT(MEM + 1, 4 * PAGE - 2));
    WALKS(AT(MEM + 1, 4 * PAGE - 2), GWS_SKIP, 0, AT(MEM + 1, 4 * PAGE - 2));
    /* What isn't memory ends it. */
    WALKS(AT(MEM, 8 * PAGE), GWS_HOST, ENOENT, AT(MEM, 4 * PAGE));
    WALKS(AT(RAM_BYTES + PAGE, PAGE + 1), GWS_NONE, ENOENT, AT(RAM_BYTES + PAGE, PAGE));
    WALKS(AT(MEM + 4 * PAGE, 4), GWS_NONE, ENOENT, NOTHING);
    WALKS(AT(MEM + 5 * PAGE, 4 * PAGE), GWS_NONE, ENOENT, NOTHING);
    WALKS(AT(0xfee00000, PAGE), GWS_NONE, ENOENT, NOTHING);
    return true;
}

static bool what_is_no_memory_can_be_skipped(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(make_places(g));
    WALKS(AT(0, RAM_SPACE), GWS_SKIP | GWS_HOST, 0, AT(0, RAM_BYTES + 2 * PAGE), AT(MEM, 4 * PAGE),
          AT(MEM + 8 * PAGE, PAGE));
    WALKS(AT(MEM - 1, 8 * PAGE + 2), GWS_SKIP, 0, AT(MEM, 4 * PAGE), AT(MEM + 8 * PAGE, 1));
    WALKS(AT(MEM + 4 * PAGE + 1, 5 * PAGE), GWS_SKIP, 0, AT(MEM + 8 * PAGE, PAGE));
    WALKS(AT(MEM + 4 * PAGE, 4 * PAGE), GWS_SKIP, 0, NOTHING);
    WALKS(AT(MEM + 6 * PAGE, PAGE), GWS_SKIP, 0, NOTHING);
    WALKS(AT(RAM_SPACE - 1, 1), GWS_SKIP, 0, NOTHING);
    return true;
}

static bool ranges_that_are_none(struct guest *g, const struct fixture *f)
{
    struct gasp_walk_state ws;

    (void)f;
    WALKS(AT(0x1000, 0), GWS_HOST, 0, NOTHING);
    WALKS(AT(UINT64_MAX, 0), GWS_NONE, 0, NOTHING);
    WALKS(AT(0x1000, PAGE), 2, EINVAL, NOTHING);
    WALKS(AT(0x1000, PAGE), GWS_HOST | 0x80000000, EINVAL, NOTHING);
    for (unsigned flags = GWS_NONE; flags <= GWS_SKIP; flags += GWS_SKIP) {
        WALKS(AT(0x1000, UINT64_MAX), flags, EOVERFLOW, NOTHING);
        WALKS(AT(0x1000, RAM_SPACE), flags, EOVERFLOW, NOTHING);
        WALKS(AT(RAM_SPACE, 1), flags, EOVERFLOW, NOTHING);
        WALKS(AT(UINT64_MAX, 1), flags, EOVERFLOW, NOTHING);
    }
    /* What is registered, or given back, meanwhile is seen from the next step on. */
    CHECK_RC(register_ram(g, MEM, PAGE), 0);
    gasp_walk_init(&ws, g->gsp, MEM, 3 * PAGE, GWS_NONE);
    CHECK_EQUAL((unsigned)gasp_walk_next(&ws), 1);
    CHECK_FAILS(gasp_walk_next(&ws), ENOENT);
    CHECK_RC(register_ram(g, MEM + PAGE, 2 * PAGE), 0);
    CHECK_RC(unregister_ram(g, MEM, PAGE), 0);
    CHECK_EQUAL((unsigned)gasp_walk_next(&ws), 1);
    CHECK(ws.guest_loc == MEM + PAGE && ws.length == 2 * PAGE);
    CHECK_EQUAL((unsigned)gasp_walk_next(&ws), 0);
    return true;
}

/* ---- gram ---- */

#define CHECK_NO_LOCATION(call, error)                                                             \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if ((call) != QSL_NO_LOCATION)                                                             \
            return COMPLAIN("%s succeeds", #call);                                                 \
        if (errno != (error))                                                                      \
            return COMPLAIN("%s: %s, not " #error, #call, strerror(errno));                        \
    } while (0)

/* What one way takes no other hands out. */
static bool gram_is_the_allocator(struct guest *g, const struct fixture *f)
{
    struct view before;

    (void)f;
    CHECK_RC(register_ram(g, MEM, 8 * PAGE), 0);
    CHECK(view_take(g, &before, MEM, 8));
    CHECK_EQUAL(gram_find_free(g->gsp, 100, 0, GRAM_HINT_NONE), MEM);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, 100), MEM + 100);
    CHECK_EQUAL(gram_find_free(g->gsp, PAGE, PAGE, 0), MEM + PAGE);
    CHECK_RC(gram_reserve(g->gsp, MEM + 2 * PAGE + 1, PAGE), 0);
    CHECK_EQUAL(gram_find_free(g->gsp, PAGE, 1, 0), MEM + 3 * PAGE + 1);
    CHECK_RC(unregister_ram(g, MEM, 8 * PAGE), EBUSY);
    CHECK_RC(mark_ram(g, MEM + PAGE + 5, 1), EBUSY);
    CHECK_RC(free_ram(g, MEM, 100), 0);
    CHECK_RC(free_ram(g, MEM + 100, 100), 0);
    CHECK_RC(free_ram(g, MEM + PAGE, PAGE), 0);
    CHECK_RC(free_ram(g, MEM + 2 * PAGE + 1, PAGE), 0);
    CHECK_RC(free_ram(g, MEM + 3 * PAGE + 1, PAGE), 0);
    return view_unchanged(g, &before);
}

static bool gram_looks_in_a_range(struct guest *g, const struct fixture *f)
{
    vm_t *vm = g->gsp;
    struct view before;

    (void)f;
    CHECK_RC(register_ram(g, MEM, 4 * PAGE), 0);
    CHECK_RC(register_ram(g, MEM + 8 * PAGE, 4 * PAGE), 0);
    CHECK(view_take(g, &before, MEM, 12));
    CHECK_EQUAL(gram_find_free_range(vm, 16, 16, 0, MEM + 1, MEM + 31), MEM + 16);
    CHECK_RC(free_ram(g, MEM + 16, 16), 0);
    CHECK_NO_LOCATION(gram_find_free_range(vm, 16, 16, 0, MEM + 1, MEM + 30), ENOMEM);
    CHECK_NO_LOCATION(gram_find_free_range(vm, PAGE, 1, 0, MEM + 3 * PAGE + 1, MEM + 9 * PAGE - 2),
                      ENOMEM);
    CHECK_NO_LOCATION(gram_find_free_range(vm, 1, 1, 0, 0, MEM - 1), ENOMEM);
    CHECK_NO_LOCATION(gram_find_free_range(vm, 1, 1, 0, MEM + 12 * PAGE, UINT64_MAX), ENOMEM);
    CHECK(view_unchanged(g, &before)); /* what was found, but not in the range, is free again */
    CHECK_EQUAL(gram_find_free_range(vm, PAGE, 1, 0, MEM + 3 * PAGE + 1, MEM + 9 * PAGE - 1),
                MEM + 8 * PAGE);
    CHECK_RC(free_ram(g, MEM + 8 * PAGE, PAGE), 0);
    return view_unchanged(g, &before);
}

static bool gram_refuses(struct guest *g, const struct fixture *f)
{
    vm_t *vm = g->gsp;

    (void)f;
    CHECK_NO_LOCATION(gram_find_free(vm, 1, 1, 0), ENOMEM); /* the guest's own isn't free */
    CHECK_RC(register_ram(g, MEM, 4 * PAGE), 0);
    CHECK_NO_LOCATION(gram_find_free(vm, 0, 1, 0), EINVAL);
    CHECK_NO_LOCATION(gram_find_free(vm, 1, 3, 0), EINVAL);
    CHECK_NO_LOCATION(gram_find_free(vm, 1, 1, 1), EINVAL);
    CHECK_NO_LOCATION(gram_find_free(vm, 4 * PAGE + 1, 1, 0), ENOMEM);
    CHECK_NO_LOCATION(gram_find_free(vm, UINT64_MAX, 1, 0), ENOMEM);
    CHECK_NO_LOCATION(gram_find_free_range(vm, 1, 1, 0, MEM + 1, MEM), EINVAL);
    CHECK_RC(gram_reserve(vm, MEM, 0), EINVAL);
    CHECK_RC(gram_reserve(vm, MEM, UINT64_MAX), EOVERFLOW);
    CHECK_RC(gram_reserve(vm, RAM_SPACE, 1), EOVERFLOW);
    CHECK_RC(gram_reserve(vm, MEM + 4 * PAGE - 1, 2), ENOENT);
    CHECK_RC(gram_reserve(vm, 0x1000, PAGE), EBUSY);
    CHECK_RC(gram_reserve(vm, MEM + 1, PAGE), 0);
    CHECK_RC(gram_reserve(vm, MEM + PAGE, PAGE), EBUSY);
    CHECK_OK(guest_configured(vm));
    CHECK_NO_LOCATION(gram_find_free(vm, 1, 1, 0), EPERM);
    CHECK_NO_LOCATION(gram_find_free_range(vm, 1, 1, 0, MEM, MEM + PAGE), EPERM);
    CHECK_RC(gram_reserve(vm, MEM + 2 * PAGE, PAGE), EPERM);
    return true;
}

const struct conformance_case gasp_walk_cases[] = {
    {"spans of memory", spans_of_memory, {WITH_RAM}},
    {"a walk may skip what is no memory", what_is_no_memory_can_be_skipped, {WITH_RAM}},
    {"a walk of no range, and of one that changes", ranges_that_are_none, {WITH_RAM}},
    {"gram_* is the allocator", gram_is_the_allocator, {WITH_RAM}},
    {"gram_find_free_range looks in its range", gram_looks_in_a_range, {WITH_RAM}},
    {"gram_* refuses", gram_refuses, {WITH_RAM}},
    {NULL, NULL, {0}},
};
