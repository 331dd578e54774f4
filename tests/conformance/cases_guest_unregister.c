/* SPDX-License-Identifier: BSD-2-Clause */
/* vm_ram_unregister: RAM and what it raised go back to Xen, or nothing does. */
#include "tests/conformance/guest_ram.h"

static bool is_ram(struct guest *g, uint64_t gpa)
{
    uint64_t word;

    CHECK_OK(vm_ram_read(g->gsp, gpa, &word, 8));
    CHECK(has_page(g, gpa));
    return true;
}

static bool is_hole(struct guest *g, uint64_t gpa)
{
    const struct qvm_state_block at = {gpa, 0, QST_MEMORY, QSF_NONE};
    struct gasp_region rgn;
    uint64_t word;

    CHECK_FAILS(vm_ram_read(g->gsp, gpa, &word, 8), ENOENT);
    CHECK_EQUAL(gasp_region_info(g->gsp, &at, &rgn), ENOENT);
    CHECK(!has_page(g, gpa));
    return true;
}

static bool gives_all_back(struct guest *g, const struct fixture *f)
{
    uint64_t host_free = f->host_free(g);
    struct view before;

    CHECK(view_take(g, &before, MEM, EXTENT_PAGES + 2));
    for (uint64_t i = 1; i <= 3; i++) {
        CHECK_RC(register_ram(g, MEM, MIB2 + PAGE), 0);
        CHECK(is_zero(g, MEM, MIB2 + PAGE) && fill(g, MEM, MIB2 + PAGE, i)); /* it is mapped, too */
        CHECK_RC(unregister_ram(g, MEM, MIB2 + 1), 0);                       /* rounded up */
        CHECK(is_hole(g, MEM) && is_hole(g, MEM + MIB2));
        CHECK_NONE(vm_ram_allocate(g->gsp, 1), ENOMEM);
        CHECK(view_unchanged(g, &before));
        if (!f->real) /* where nobody else uses it */
            CHECK_EQUAL(f->host_free(g), host_free);
    }
    return true;
}

static bool gives_parts_back(struct guest *g, const struct fixture *f)
{
    struct view before, whole, part;

    (void)f;
    CHECK(view_take(g, &before, MEM, 4));
    CHECK_RC(register_ram(g, MEM, 3 * PAGE), 0);
    CHECK(view_take(g, &whole, MEM, 4));
    CHECK_RC(unregister_ram(g, MEM + PAGE, PAGE), 0);
    CHECK(is_ram(g, MEM) && is_hole(g, MEM + PAGE) && is_ram(g, MEM + 2 * PAGE));
    CHECK(view_take(g, &part, MEM, 4));
    CHECK_EQUAL(part.max_pages, whole.max_pages - 1);
    CHECK_EQUAL(part.nr_pages, whole.nr_pages - 1);
    CHECK_EQUAL(part.own_bytes, 2 * PAGE);
    CHECK_RC(unregister_ram(g, MEM, PAGE), 0);
    CHECK_RC(unregister_ram(g, MEM + 2 * PAGE, PAGE), 0);
    return view_unchanged(g, &before);
}

static bool gives_registrations_that_touch_back_at_once(struct guest *g, const struct fixture *f)
{
    struct view before;

    (void)f;
    CHECK(view_take(g, &before, MEM, EXTENT_PAGES + 6));
    CHECK_RC(register_ram(g, MEM, MIB2), 0);
    CHECK_RC(register_ram(g, MEM + MIB2, 5 * PAGE), 0);
    CHECK(fill(g, MEM, MIB2 + 5 * PAGE, 1));
    CHECK_RC(unregister_ram(g, MEM + PAGE, MIB2 + PAGE), 0);
    CHECK(is_ram(g, MEM) && is_hole(g, MEM + PAGE) && is_hole(g, MEM + MIB2 + PAGE));
    CHECK(is_filled(g, MEM, PAGE, 1) && is_filled(g, MEM + MIB2 + 2 * PAGE, 3 * PAGE, 1));
    CHECK_RC(unregister_ram(g, MEM, PAGE), 0);
    CHECK_RC(unregister_ram(g, MEM + MIB2 + 2 * PAGE, 3 * PAGE), 0);
    return view_unchanged(g, &before);
}

static const struct refused_row {
    uint64_t start, bytes;
    int rc;
} refused_rows[] = {
    {MEM, 0, EINVAL},
    {MEM + 1, PAGE, EINVAL},
    {MEM, UINT64_MAX, EOVERFLOW},
    {MEM, UINT64_MAX - PAGE, EOVERFLOW},
    {RAM_SPACE, PAGE, EOVERFLOW},
    {RAM_SPACE - PAGE, 2 * PAGE, EOVERFLOW},
    {MEM + 4 * PAGE, PAGE, ENOENT},     /* behind it */
    {MEM + 3 * PAGE, 2 * PAGE, ENOENT}, /* in part */
    {MEM - PAGE, 2 * PAGE, ENOENT},
    {0, PAGE, ENOENT},                    /* the guest's own */
    {RAM_BYTES - PAGE, 2 * PAGE, ENOENT}, /* and ours behind it */
    {MEM + PAGE, PAGE, EBUSY},            /* allocated, see below */
    {MEM, 4 * PAGE, EBUSY},
    {0xfee00000, PAGE, ENOENT},
};

static bool refused(struct guest *g, const struct fixture *f)
{
    struct view before;

    (void)f;
    CHECK_RC(register_ram(g, MEM, 4 * PAGE), 0);
    CHECK_RC(register_ram(g, RAM_BYTES, PAGE), 0);
    CHECK(fill(g, MEM, 4 * PAGE, 1));
    CHECK_RC(mark_ram(g, MEM + PAGE + 100, 1), 0);
    CHECK(view_take(g, &before, MEM, 4));
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        const struct refused_row *row = &refused_rows[i];
        int rc = unregister_ram(g, row->start, row->bytes);

        if (rc != row->rc)
            return COMPLAIN("row %zu: %s, not %s", i, rc_text(rc), rc_text(row->rc));
        CHECK(view_unchanged(g, &before));
        CHECK(is_filled(g, MEM, 4 * PAGE, 1));
    }
    CHECK_RC(free_ram(g, MEM + PAGE + 100, 1), 0);
    CHECK_RC(unregister_ram(g, MEM, 4 * PAGE), 0);
    return true;
}

/* Pages that the guest has given up are nobody's to give back. */
static bool passes_over_what_the_guest_gave_up(struct guest *g, const struct fixture *f)
{
    struct view before;

    (void)f;
    CHECK(view_take(g, &before, MEM, EXTENT_PAGES));
    CHECK_RC(register_ram(g, MEM, MIB2), 0);
    CHECK_EQUAL(depopulate_run(g, MEM / PAGE, 2), 2);
    CHECK_EQUAL(depopulate_run(g, MEM / PAGE + 5, 1), 1);
    CHECK_EQUAL(depopulate_run(g, MEM / PAGE + 511, 1), 1);
    CHECK_RC(unregister_ram(g, MEM, MIB2), 0);
    return view_unchanged(g, &before);
}

static bool takes_the_lock_after_start_up(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, 3 * PAGE), 0);
    CHECK_OK(guest_configured(g->gsp));
    CHECK_RC(unregister_ram(g, MEM, PAGE), 0);
    CHECK_EQUAL(gasp_lock(g->gsp, QST_MEMORY), 0);
    CHECK_RC(unregister_ram(g, MEM + PAGE, PAGE), 0);
    CHECK_EQUAL(gasp_unlock(g->gsp, QST_MEMORY), 0);
    CHECK_EQUAL(gasp_lock(g->gsp, QST_X86_IO), 0);
    CHECK_RC(unregister_ram(g, MEM + 2 * PAGE, PAGE), EDEADLK);
    CHECK_EQUAL(gasp_unlock(g->gsp, QST_X86_IO), 0);
    CHECK(is_hole(g, MEM) && is_hole(g, MEM + PAGE));
    return is_ram(g, MEM + 2 * PAGE);
}

const struct conformance_case guest_unregister_cases[] = {
    {"all of a registration is given back", gives_all_back, {WITH_RAM}},
    {"parts of one are given back", gives_parts_back, {WITH_RAM}},
    {"registrations that touch are given back at once",
     gives_registrations_that_touch_back_at_once,
     {WITH_RAM}},
    {"unregister refuses what it can't give back whole", refused, {WITH_RAM}},
    {"unregister passes over what the guest gave up",
     passes_over_what_the_guest_gave_up,
     {WITH_RAM}},
    {"unregister takes the lock after start-up", takes_the_lock_after_start_up, {WITH_RAM}},
    {NULL, NULL, {0}},
};
