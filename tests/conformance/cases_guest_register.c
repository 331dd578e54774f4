/* SPDX-License-Identifier: BSD-2-Clause */
/* vm_ram_register_at, vm_ram_register: what they refuse, where RAM may lie, and that it is new. */
#include "tests/conformance/guest_ram.h"

/* ---- refused for what was asked ---- */

static const struct refused_row {
    uint64_t start, bytes;
    bool untyped;
    int error;
} refused_rows[] = {
    {MEM, 0, false, EINVAL},
    {MEM, 0, true, EINVAL},
    {0, 0, false, EINVAL},
    {MEM + 1, PAGE, false, EINVAL},
    {MEM + PAGE - 1, PAGE, false, EINVAL},
    {MEM + PAGE, MIB2, true, EINVAL},
    {MEM, MIB2 + PAGE, true, EINVAL},
    {MEM, MIB2 - 1, true, EINVAL},
    {MEM, PAGE, true, EINVAL},
    {RAM_SPACE - PAGE, PAGE + 1, false, EOVERFLOW}, /* its last page is behind the limit */
    {RAM_SPACE - PAGE, 2 * PAGE, false, EOVERFLOW},
    {RAM_SPACE - MIB2, 2 * MIB2, true, EOVERFLOW},
    {RAM_SPACE, PAGE, false, EOVERFLOW},
    {RAM_SPACE, MIB2, true, EOVERFLOW},
    {2 * RAM_SPACE, PAGE, false, EOVERFLOW},
    {UINT64_MAX - PAGE + 1, PAGE, false, EOVERFLOW},
    {UINT64_MAX - PAGE + 1, 2 * PAGE, false, EOVERFLOW}, /* wraps */
    {PAGE, UINT64_MAX, false, EOVERFLOW},
    {PAGE, UINT64_MAX - PAGE, false, EOVERFLOW},
    {MEM, UINT64_MAX - MEM + 1, false, EOVERFLOW}, /* to the very end */
    {MEM, UINT64_MAX - MEM - PAGE, false, EOVERFLOW},
    {0, RAM_SPACE, false, EBUSY}, /* there is something PRECIOUS in it, too */
    {0, PAGE, false, EEXIST},
    /* Of several errors the first: EINVAL, EOVERFLOW, EBUSY, EEXIST. */
    {RAM_SPACE + 1, PAGE, false, EINVAL},
    {UINT64_MAX, 0, false, EINVAL},
    {0xfee00001, PAGE, false, EINVAL},
    {0xfee00000, UINT64_MAX - PAGE, false, EOVERFLOW},
    {1, PAGE, false, EINVAL},
};

static bool refuses_what_makes_no_sense(struct guest *g, const struct fixture *f)
{
    struct view before;

    (void)f;
    CHECK(view_take(g, &before, MEM - PAGE, 4));
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        const struct refused_row *row = &refused_rows[i];
        int rc = row->untyped ? register_untyped(g, row->start, row->bytes)
                              : register_ram(g, row->start, row->bytes);

        if (rc != row->error)
            return COMPLAIN("row %zu: %s, not %s", i, rc_text(rc), rc_text(row->error));
        CHECK(view_unchanged(g, &before));
    }
    return true;
}

/* ---- refused for what is there ---- */

/* Something in the guest's way, in whole pages, with free pages before and behind it. */
struct obstacle {
    uint64_t gpa, pages;
    int error;
};

static bool refused_over(struct guest *g, const struct obstacle *o, int64_t pages_before,
                         int64_t pages_behind)
{
    uint64_t start = o->gpa - (uint64_t)(pages_before * PAGE);
    uint64_t bytes = (uint64_t)((int64_t)o->pages + pages_before + pages_behind) * PAGE;
    struct view before;
    int rc;

    if (o->gpa == 0 && pages_before > 0)
        return true;
    CHECK(view_take(g, &before, o->gpa < 2 * PAGE ? 0 : o->gpa - 2 * PAGE, 8));
    rc = register_ram(g, start, bytes);
    if (rc != o->error)
        return COMPLAIN("%ld pages before and %ld behind: %s, not %s", pages_before, pages_behind,
                        rc_text(rc), rc_text(o->error));
    return view_unchanged(g, &before);
}

static bool fits_beside(struct guest *g, uint64_t start)
{
    struct view before;

    CHECK(view_take(g, &before, start, 1));
    CHECK_RC(register_ram(g, start, PAGE), 0);
    CHECK(is_zero(g, start, PAGE));
    CHECK_RC(unregister_ram(g, start, PAGE), 0);
    return view_unchanged(g, &before);
}

/* Overlaps of every shape; and right beside it there is room. */
static bool stands_in_the_way(struct guest *g, struct obstacle o)
{
    int64_t n = (int64_t)o.pages;

    CHECK(refused_over(g, &o, 0, 0));
    CHECK(refused_over(g, &o, 0, 1 - n)); /* its first page alone */
    CHECK(refused_over(g, &o, 1 - n, 0)); /* its last */
    CHECK(refused_over(g, &o, 1, 1 - n)); /* one before and its first */
    CHECK(refused_over(g, &o, 1 - n, 1)); /* its last and one behind */
    CHECK(refused_over(g, &o, 1, 0));
    CHECK(refused_over(g, &o, 0, 1));
    CHECK(refused_over(g, &o, 1, 1)); /* all around */
    CHECK(refused_over(g, &o, EXTENT_PAGES + 3, EXTENT_PAGES + 3));
    if (n > 2)
        CHECK(refused_over(g, &o, -1, -1)); /* inside */
    if (o.gpa > 0)
        CHECK(fits_beside(g, o.gpa - PAGE));
    return fits_beside(g, o.gpa + o.pages * PAGE);
}

static bool over_the_guests_ram(struct guest *g, const struct fixture *f)
{
    (void)f;
    return stands_in_the_way(g, (struct obstacle){0, RAM_PAGES, EEXIST});
}

static bool over_registered_ram(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM + PAGE, 7 * PAGE), 0);
    CHECK_RC(register_ram(g, MEM + 8 * PAGE, PAGE), 0); /* two that touch */
    CHECK(fill(g, MEM + PAGE, 8 * PAGE, 1));
    CHECK(stands_in_the_way(g, (struct obstacle){MEM + PAGE, 8, EEXIST}));
    return is_filled(g, MEM + PAGE, 8 * PAGE, 1);
}

static bool over_a_vdev(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(set_region(g, MEM + PAGE + 8, 4, VIRT), 0);
    CHECK(stands_in_the_way(g, (struct obstacle){MEM + PAGE, 1, EEXIST}));
    CHECK_RC(set_region(g, MEM + MIB2 + PAGE - 1, 3 * PAGE, VIRT), 0);
    return stands_in_the_way(g, (struct obstacle){MEM + MIB2, 4, EEXIST});
}

static bool over_a_region_that_isnt_active(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(set_region(g, MEM + PAGE, 3 * PAGE, GRF_VIRT_RD), 0);
    return stands_in_the_way(g, (struct obstacle){MEM + PAGE, 3, EEXIST});
}

static bool over_a_precious_region(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(set_region(g, MEM + PAGE, 3 * PAGE, VIRT | GRF_PRECIOUS), 0);
    CHECK(stands_in_the_way(g, (struct obstacle){MEM + PAGE, 3, EBUSY}));
    /* Over that and another: EBUSY comes first, wherever it lies. */
    CHECK_RC(set_region(g, MEM, PAGE, VIRT), 0);
    CHECK_RC(set_region(g, MEM + 4 * PAGE, PAGE, VIRT), 0);
    CHECK_RC(register_ram(g, MEM, PAGE), EEXIST);
    CHECK_RC(register_ram(g, MEM, 2 * PAGE), EBUSY);
    CHECK_RC(register_ram(g, MEM, 5 * PAGE), EBUSY);
    CHECK_RC(register_ram(g, MEM + 3 * PAGE, 2 * PAGE), EBUSY);
    CHECK_RC(register_ram(g, MEM + 4 * PAGE, 2 * PAGE), EEXIST);
    return true;
}

static bool over_the_local_apic(struct guest *g, const struct fixture *f)
{
    (void)f;
    return stands_in_the_way(g, (struct obstacle){0xfee00000, 256, EBUSY});
}

/* Behind our back: Xen would replace them without a word. */
static bool over_pages_that_nobody_told_of(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_EQUAL(populate_run(g, MEM / PAGE + 1, 3), 3);
    return stands_in_the_way(g, (struct obstacle){MEM + PAGE, 3, EEXIST});
}

/* ---- what is given ---- */

static const struct given_row {
    uint64_t start, bytes;
    bool untyped;
    uint64_t pages;
} given_rows[] = {
    {MEM, PAGE, false, 1},
    {MEM, 1, false, 1}, /* rounded up */
    {MEM, PAGE + 1, false, 2},
    {MEM, 3 * PAGE - 1, false, 3},
    {MEM, MIB2, true, 512},
    {MEM, 2 * MIB2, true, 1024},
    {MEM + PAGE, MIB2, false, 512}, /* no whole extent in it */
    {MEM + MIB2 - PAGE, MIB2 + 2 * PAGE, false, 514},
    {RAM_BYTES, PAGE, false, 1},
    {RAM_SPACE - PAGE, PAGE, false, 1},
    {0xfee00000 - PAGE, PAGE, false, 1}, /* below the local APIC */
    {UINT64_C(0xff000000), PAGE, false, 1},
};

static bool given(struct guest *g, const struct given_row *row)
{
    uint64_t bytes = row->pages * PAGE;
    struct view before, after;
    struct gasp_region rgn;

    CHECK(view_take(g, &before, row->start, row->pages));
    CHECK_RC(row->untyped ? register_untyped(g, row->start, row->bytes)
                          : register_ram(g, row->start, row->bytes),
             0);
    CHECK(view_take(g, &after, row->start, row->pages));
    CHECK_EQUAL(after.nr_pages, before.nr_pages + row->pages);
    CHECK_EQUAL(after.max_pages, before.max_pages + row->pages);
    CHECK(after.paging_pool > before.paging_pool);
    CHECK_EQUAL(after.own_bytes, before.own_bytes + bytes);
    CHECK_EQUAL(after.free_start, row->start);
    CHECK_EQUAL(after.free_bytes, bytes);
    for (uint64_t i = 0; i < row->pages; i++)
        CHECK(!before.present[i] && after.present[i]);
    CHECK(is_zero(g, row->start, bytes));
    CHECK_EQUAL(gasp_region_info(
                    g->gsp, &(struct qvm_state_block){row->start, 0, QST_MEMORY, QSF_NONE}, &rgn),
                0);
    CHECK((rgn.flags & GRF_MEMORY) && !rgn.vdev);
    CHECK_RC(register_ram(g, row->start, row->bytes), EEXIST);
    CHECK_RC(register_ram(g, row->start + bytes - PAGE, PAGE),
             row->start + bytes > RAM_SPACE ? EOVERFLOW : EEXIST);
    CHECK_RC(unregister_ram(g, row->start, row->bytes), 0);
    return view_unchanged(g, &before);
}

static bool gives_whole_pages(struct guest *g, const struct fixture *f)
{
    (void)f;
    for (size_t i = 0; i < sizeof(given_rows) / sizeof(given_rows[0]); i++)
        if (!given(g, &given_rows[i]))
            return COMPLAIN("row %zu", i);
    return true;
}

/* What comes back to Xen is handed out again, as it was left. */
static bool new_ram_is_zero(struct guest *g, const struct fixture *f)
{
    enum { BYTES = 2 * MIB2 + 3 * PAGE };
    const uint64_t start = MEM + MIB2 - PAGE;

    (void)f;
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_RC(register_ram(g, start + i * 2 * MIB2, BYTES), 0);
        CHECK(is_zero(g, start + i * 2 * MIB2, BYTES));
        CHECK(fill(g, start + i * 2 * MIB2, BYTES, i));
        CHECK(is_filled(g, start + i * 2 * MIB2, BYTES, i));
        CHECK_RC(unregister_ram(g, start + i * 2 * MIB2, BYTES), 0);
    }
    CHECK_RC(register_ram(g, start, BYTES), 0);
    CHECK(is_zero(g, start, BYTES));
    /* And a part: beside it everything stays. */
    CHECK(fill(g, start, BYTES, 9));
    CHECK_RC(unregister_ram(g, start + PAGE, MIB2), 0);
    CHECK_RC(register_ram(g, start + PAGE, MIB2), 0);
    CHECK(is_filled(g, start, PAGE, 9) && is_zero(g, start + PAGE, MIB2));
    return is_filled(g, start + PAGE + MIB2, BYTES - PAGE - MIB2, 9);
}

/* Neighbours are one region, the guest's own RAM too. */
static bool neighbours_are_one(struct guest *g, const struct fixture *f)
{
    char text[] = "across the border";
    struct gasp_region rgn;

    (void)f;
    CHECK_RC(register_ram(g, RAM_BYTES, PAGE), 0);
    CHECK_RC(register_ram(g, RAM_BYTES + PAGE, PAGE), 0);
    CHECK_EQUAL(
        gasp_region_info(g->gsp, &(struct qvm_state_block){0, 0, QST_MEMORY, QSF_NONE}, &rgn), 0);
    CHECK_EQUAL(rgn.guest.length, RAM_BYTES + 2 * PAGE);
    CHECK_OK(vm_ram_write(g->gsp, RAM_BYTES - 5, text, sizeof(text)));
    memset(text, 0, sizeof(text));
    CHECK_OK(vm_ram_read(g->gsp, RAM_BYTES - 5, text, sizeof(text)));
    CHECK(strcmp(text, "across the border") == 0);
    return true;
}

/* ---- vm_ram_register ---- */

static bool chooses_a_place_above(struct guest *g, const struct fixture *f)
{
    uint64_t found;

    (void)f;
    CHECK_NONE(vm_ram_register(g->gsp, 0), EINVAL);
    CHECK_NONE(vm_ram_register(g->gsp, SIZE_MAX), ENOSPC);
    CHECK_NONE(vm_ram_register(g->gsp, SIZE_MAX - PAGE), ENOSPC);
    CHECK_NONE(vm_ram_register(g->gsp, RAM_SPACE), ENOSPC);
    CHECK_EQUAL(vm_ram_register(g->gsp, 1), RAM_BYTES); /* a page, just above */
    CHECK_EQUAL(vm_ram_register(g->gsp, 3 * PAGE), RAM_BYTES + PAGE);
    found = vm_ram_register(g->gsp, MIB2); /* aligned from 2 MiB up */
    CHECK_EQUAL(found, RAM_BYTES + MIB2);
    CHECK(is_zero(g, found, MIB2));
    CHECK_EQUAL(vm_ram_register(g->gsp, MIB2 - 1), found + MIB2); /* rounded up to 2 MiB */
    /* Pages that the map doesn't know of are passed over. */
    CHECK_EQUAL(populate_run(g, (found + 3 * MIB2) / PAGE, 1), 1);
    CHECK_EQUAL(vm_ram_register(g->gsp, 2 * MIB2), found + 4 * MIB2);
    CHECK_EQUAL(vm_ram_register(g->gsp, PAGE), found + 6 * MIB2);
    return true;
}

/* RAM up to just below the vdevs' window: the next goes above it and above the platform, not into
 * either. */
static bool keeps_out_of_the_vdevs_window(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, 0xfdfff000, PAGE), 0);
    CHECK_EQUAL(vm_ram_register(g->gsp, PAGE), 0xfec00000);
    CHECK_EQUAL(vm_ram_register(g->gsp, MIB2), 0xff000000);
    CHECK_EQUAL(vm_ram_register(g->gsp, 2 * MIB2), UINT64_C(0xff200000));
    return true;
}

/* Nothing above but the topmost page, which is kept: then below. */
static bool goes_below_when_above_is_full(struct guest *g, const struct fixture *f)
{
    const struct qvm_state_block all = {MIB, RAM_SPACE - MIB, QST_MEMORY, QSF_NONE};
    struct view before;

    (void)f;
    CHECK_RC(register_ram(g, RAM_SPACE - 2 * PAGE, PAGE), 0);
    CHECK_EQUAL(vm_ram_register(g->gsp, PAGE), RAM_BYTES);
    CHECK_OK(gasp_reserve(g->gsp, &all));
    CHECK(view_take(g, &before, RAM_SPACE - PAGE, 1));
    CHECK_NONE(vm_ram_register(g->gsp, PAGE), ENOSPC);
    return view_unchanged(g, &before);
}

const struct conformance_case guest_register_cases[] = {
    {"register_at refuses what makes no sense", refuses_what_makes_no_sense, {WITH_RAM}},
    {"no RAM over the guest's own", over_the_guests_ram, {WITH_RAM}},
    {"no RAM over registered RAM", over_registered_ram, {WITH_RAM}},
    {"no RAM over a vdev", over_a_vdev, {WITH_RAM}},
    {"no RAM over an inactive region", over_a_region_that_isnt_active, {WITH_RAM}},
    {"no RAM over a PRECIOUS region", over_a_precious_region, {WITH_RAM}},
    {"no RAM over the local APIC", over_the_local_apic, {WITH_RAM}},
    {"no RAM over pages that the map doesn't know", over_pages_that_nobody_told_of, {WITH_RAM}},
    {"register_at gives zeroed whole pages", gives_whole_pages, {WITH_RAM}},
    {"dirty pages come back zeroed", new_ram_is_zero, {WITH_RAM}},
    {"neighbouring RAM is one region", neighbours_are_one, {WITH_RAM}},
    {"register chooses a place above RAM", chooses_a_place_above, {WITH_RAM}},
    {"register keeps out of the vdevs' window", keeps_out_of_the_vdevs_window, {WITH_RAM}},
    {"register goes below when above is full", goes_below_when_above_is_full, {WITH_RAM}},
    {NULL, NULL, {0}},
};
