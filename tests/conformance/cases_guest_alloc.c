/* SPDX-License-Identifier: BSD-2-Clause */
/* The allocator of registered RAM as its users see it: addresses, errno, what is logged. What it
 * does with blocks is for its fuzzer. */
#include "tests/conformance/guest_ram.h"

enum { BYTES = 64 * PAGE };

/* The largest free range; bytes 0: there is none. */
static bool largest_is(struct guest *g, uint64_t start, uint64_t bytes)
{
    uintptr_t addr = 1;
    size_t size = 2;

    errno = 0;
    if (vm_ram_find_largest_free_region(g->gsp, &addr, &size) < 0) {
        CHECK_EQUAL(errno, ENOENT);
        CHECK(addr == 1 && size == 2); /* as they were */
        return bytes == 0 ? true : COMPLAIN("nothing is free");
    }
    CHECK_EQUAL(addr, start);
    CHECK_EQUAL(size, bytes);
    return true;
}

static bool allocates_where_it_first_fits(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(largest_is(g, 0, 0));
    CHECK_NONE(vm_ram_allocate(g->gsp, 1), ENOMEM); /* what the guest came with is its own */
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK(largest_is(g, MEM, BYTES));
    CHECK_EQUAL(vm_ram_allocate(g->gsp, 0x10), MEM);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, 0x20), MEM + 0x10); /* to the byte */
    CHECK_EQUAL(vm_ram_allocate(g->gsp, PAGE), MEM + 0x30);
    CHECK_RC(free_ram(g, MEM + 0x10, 0x20), 0);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, 0x21), MEM + 0x30 + PAGE);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, 0x20), MEM + 0x10);
    CHECK(largest_is(g, MEM + 0x51 + PAGE, BYTES - 0x51 - PAGE));
    CHECK_NONE(vm_ram_allocate(g->gsp, BYTES), ENOMEM);
    CHECK_NONE(vm_ram_allocate(g->gsp, SIZE_MAX), ENOMEM);
    CHECK_NONE(vm_ram_allocate(g->gsp, 0), EINVAL);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, BYTES - 0x51 - PAGE), MEM + 0x51 + PAGE);
    CHECK(largest_is(g, 0, 0));
    CHECK_NONE(vm_ram_allocate(g->gsp, 1), ENOMEM);
    return true;
}

/* Every second page is free: of these the lowest is the largest, and the next to be allocated. */
static bool fills_holes_from_below(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    for (uint64_t at = MEM; at < MEM + BYTES; at += PAGE)
        CHECK_EQUAL(vm_ram_allocate(g->gsp, PAGE), at);
    for (uint64_t at = MEM + BYTES - PAGE; at >= MEM && at < MEM + BYTES; at -= 2 * PAGE) {
        CHECK_RC(free_ram(g, at, PAGE), 0);
        CHECK(largest_is(g, at, PAGE));
    }
    CHECK_NONE(vm_ram_allocate(g->gsp, PAGE + 1), ENOMEM);
    for (uint64_t at = MEM + PAGE; at < MEM + BYTES; at += 2 * PAGE) {
        CHECK(largest_is(g, at, PAGE));
        CHECK_EQUAL(vm_ram_allocate(g->gsp, PAGE), at);
    }
    return largest_is(g, 0, 0);
}

static bool marks_what_is_asked_for(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK_RC(mark_ram(g, MEM + 7, 3), 0);
    CHECK_RC(mark_ram(g, MEM + 7, 3), EBUSY);
    CHECK_RC(mark_ram(g, MEM + 8, 1), EBUSY);
    CHECK_RC(mark_ram(g, MEM, 8), EBUSY);
    CHECK_RC(mark_ram(g, MEM + 9, BYTES - 9), EBUSY);
    CHECK_RC(mark_ram(g, MEM, 7), 0);
    CHECK_RC(mark_ram(g, MEM + 10, BYTES - 9), ENOENT); /* one byte behind it */
    CHECK_RC(mark_ram(g, MEM - 1, 1), ENOENT);
    CHECK_RC(mark_ram(g, MEM - 1, 2), ENOENT); /* not all RAM comes before allocated in part */
    CHECK_RC(mark_ram(g, RAM_SPACE + PAGE, 1), ENOENT);
    CHECK_RC(mark_ram(g, 0xfee00000, PAGE), ENOENT);
    CHECK_RC(mark_ram(g, MEM + 10, 0), EINVAL);
    CHECK_RC(mark_ram(g, UINT64_MAX, 2), EINVAL);
    CHECK_RC(mark_ram(g, MEM + 10, UINT64_MAX), EINVAL);
    CHECK(largest_is(g, MEM + 10, BYTES - 10)); /* of all these, nothing is left */
    CHECK_RC(mark_ram(g, MEM + 10, BYTES - 10), 0);
    return largest_is(g, 0, 0);
}

static bool the_guests_own_ram_is_its_own(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(mark_ram(g, PAGE, PAGE), EBUSY);
    CHECK_RC(mark_ram(g, 0, RAM_BYTES), EBUSY);
    CHECK_RC(mark_ram(g, RAM_BYTES - 1, 2), ENOENT); /* not all RAM comes before that */
    CHECK_RC(free_ram(g, PAGE, PAGE), ENOENT);
    CHECK_RC(free_ram(g, 0, RAM_BYTES), ENOENT);
    CHECK_RC(register_ram(g, RAM_BYTES, PAGE), 0);
    CHECK_RC(mark_ram(g, RAM_BYTES - 1, 2), EBUSY);
    CHECK_RC(free_ram(g, RAM_BYTES - PAGE, 2 * PAGE), ENOENT);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, 1), RAM_BYTES);
    return true;
}

static bool frees_what_was_allocated_and_nothing_else(struct guest *g, const struct fixture *f)
{
    const uint64_t a = MEM + 2 * PAGE, b = MEM + 10 * PAGE;

    (void)f;
    CHECK_RC(free_ram(g, MEM, PAGE), ENOENT); /* before there is anything */
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK_RC(mark_ram(g, a, 8 * PAGE), 0);
    CHECK_RC(mark_ram(g, b, 100), 0);
    CHECK_RC(free_ram(g, a, 0), EINVAL);
    CHECK_RC(free_ram(g, UINT64_MAX, 2), EOVERFLOW);
    CHECK_RC(free_ram(g, a, UINT64_MAX), EOVERFLOW);
    CHECK_RC(free_ram(g, MEM, PAGE), ENOENT);         /* never allocated */
    CHECK_RC(free_ram(g, MEM, 4 * PAGE), ENOENT);     /* in part */
    CHECK_RC(free_ram(g, b, 101), ENOENT);            /* a byte too many */
    CHECK_RC(free_ram(g, MEM + BYTES, PAGE), ENOENT); /* not RAM */
    CHECK_RC(free_ram(g, RAM_SPACE, PAGE), ENOENT);
    CHECK_RC(free_ram(g, a, 8 * PAGE + 100), EINVAL);        /* two */
    CHECK_RC(free_ram(g, a + 7 * PAGE, PAGE + 100), EINVAL); /* of two */
    CHECK_RC(free_ram(g, a, 100), EINVAL);                   /* a part, not whole pages */
    CHECK_RC(free_ram(g, a + 8, PAGE), EINVAL);
    CHECK_RC(free_ram(g, b, 99), EINVAL);
    CHECK(largest_is(g, b + 100, BYTES - 10 * PAGE - 100)); /* of all these, nothing is left */
    CHECK_RC(free_ram(g, a + 2 * PAGE, PAGE), 0);
    CHECK_RC(free_ram(g, a + 2 * PAGE, PAGE), ENOENT); /* twice */
    CHECK_RC(free_ram(g, a, 3 * PAGE), ENOENT);
    CHECK_RC(free_ram(g, a, 2 * PAGE), 0); /* what was left of it: two allocations */
    CHECK_RC(free_ram(g, a + 3 * PAGE, 5 * PAGE), 0);
    CHECK_RC(free_ram(g, b, 100), 0);
    CHECK_RC(free_ram(g, b, 100), ENOENT);
    return largest_is(g, MEM, BYTES);
}

static bool allocations_that_touch_stay_two(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, PAGE), MEM);
    CHECK_EQUAL(vm_ram_allocate(g->gsp, PAGE), MEM + PAGE);
    CHECK_RC(free_ram(g, MEM, 2 * PAGE), EINVAL);
    CHECK_RC(free_ram(g, MEM + PAGE, PAGE), 0);
    CHECK_RC(mark_ram(g, MEM, 1), EBUSY);
    CHECK_RC(free_ram(g, MEM, PAGE), 0);
    return largest_is(g, MEM, BYTES);
}

static bool registrations_that_touch_are_one_place(struct guest *g, const struct fixture *f)
{
    char bytes[4];

    (void)f;
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK_RC(register_ram(g, MEM + BYTES, PAGE), 0);
    CHECK(largest_is(g, MEM, BYTES + PAGE));
    CHECK_RC(mark_ram(g, MEM + BYTES - 1, 2), 0);
    /* From free to allocated, and back, and from one registration to the other. */
    CHECK_OK(vm_ram_touch(g->gsp, MEM + BYTES - 2, 4, vm_guest_ram_read_callback, bytes));
    CHECK_RC(register_ram(g, MEM + BYTES + 2 * PAGE, PAGE), 0);
    CHECK_RC(mark_ram(g, MEM + BYTES + PAGE - 1, 2), ENOENT); /* a page lies between them */
    CHECK_RC(free_ram(g, MEM + BYTES - 1, 2), 0);
    return largest_is(g, MEM, BYTES + PAGE);
}

static bool of_equals_the_lowest_is_largest(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK_RC(mark_ram(g, MEM + 20 * PAGE, 4 * PAGE), 0);
    CHECK(largest_is(g, MEM + 24 * PAGE, 40 * PAGE));
    CHECK_RC(mark_ram(g, MEM + 44 * PAGE, 20 * PAGE), 0);
    return largest_is(g, MEM, 20 * PAGE);
}

static const struct align_row {
    size_t bytes, align;
    uint64_t found;
    int rc;
} align_rows[] = {
    {1, 1, MEM + 5, 0},
    {PAGE, PAGE, MEM + PAGE, 0},
    {3, 4, MEM + 8, 0},
    {PAGE, 32 * PAGE, MEM + 32 * PAGE, 0},
    {BYTES, 1, 0, ENOMEM},
    {33 * PAGE, 32 * PAGE, 0, ENOMEM},
    {1, UINT64_C(1) << 63, 0, ENOMEM},
    {SIZE_MAX, 1, 0, ENOMEM},
    {0, 1, 0, EINVAL},
    {1, 0, 0, EINVAL},
    {1, 3, 0, EINVAL},
};

static bool alloc_aligns(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, BYTES), 0);
    CHECK_RC(mark_ram(g, MEM, 5), 0);
    for (size_t i = 0; i < sizeof(align_rows) / sizeof(align_rows[0]); i++) {
        const struct align_row *row = &align_rows[i];
        uint64_t gpa = 4711;
        int rc = vm_ram_alloc(g->gsp, row->bytes, row->align, &gpa) == 0 ? 0 : errno;

        if (rc != row->rc || gpa != (rc ? 4711 : row->found))
            return COMPLAIN("row %zu: %s, %#lx", i, rc_text(rc), gpa);
        if (rc == 0)
            CHECK_RC(free_ram(g, gpa, row->bytes), 0);
    }
    return largest_is(g, MEM + 5, BYTES - 5);
}

/* Its limit is below what it has. */
static bool a_refused_registration_is_not_allocated(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, PAGE), 0);
    CHECK_OK(OPS(g)->set_max_pages(g->hv, RAM_PAGES / 2));
    CHECK_RC(register_ram(g, MEM + PAGE, PAGE), EDQUOT);
    CHECK_RC(mark_ram(g, MEM + PAGE, 1), ENOENT);
    CHECK(largest_is(g, MEM, PAGE));
    CHECK_OK(OPS(g)->set_max_pages(g->hv, g->max_pages));
    CHECK_RC(register_ram(g, MEM + PAGE, PAGE), 0);
    CHECK_RC(mark_ram(g, MEM + PAGE, 1), 0);
    return true;
}

const struct conformance_case guest_alloc_cases[] = {
    {"allocates where it first fits", allocates_where_it_first_fits, {WITH_RAM}},
    {"fills holes from below", fills_holes_from_below, {WITH_RAM}},
    {"marks what is asked for, to the byte", marks_what_is_asked_for, {WITH_RAM}},
    {"the guest's own RAM is its own", the_guests_own_ram_is_its_own, {WITH_RAM}},
    {"frees what was allocated and nothing else",
     frees_what_was_allocated_and_nothing_else,
     {WITH_RAM}},
    {"allocations that touch stay two", allocations_that_touch_stay_two, {WITH_RAM}},
    {"registrations that touch are one place", registrations_that_touch_are_one_place, {WITH_RAM}},
    {"of equals the lowest is the largest", of_equals_the_lowest_is_largest, {WITH_RAM}},
    {"alloc aligns", alloc_aligns, {WITH_RAM}},
    {"a refused registration isn't allocated", a_refused_registration_is_not_allocated, {WITH_RAM}},
    {NULL, NULL, {0}},
};
