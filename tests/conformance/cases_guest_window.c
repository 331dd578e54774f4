/* SPDX-License-Identifier: BSD-2-Clause */
/* RAM of a guest that runs: registered in its gasp window; and what of it Xen's log of dirty pages
 * is told. */
#include "gasp/gasp_internal.h"
#include "tests/conformance/guest_ram.h"

static int leave_it(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset, void *cookie)
{
    (void)vm;
    (void)gpa;
    (void)at;
    (void)size;
    (void)offset;
    (void)cookie;
    return 0;
}

static unsigned logged_pages(struct guest *g, const struct fixture *f, uint64_t gpa, unsigned n)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++)
        found += f->logged(g, gpa / PAGE + i);
    return found;
}

static bool writes_of_ours_are_logged(struct guest *g, const struct fixture *f)
{
    char buf[2 * PAGE] = {1};

    CHECK_RC(register_ram(g, MEM, 4 * MIB2), 0);
    CHECK_OK(vm_ram_read(g->gsp, MEM, buf, sizeof(buf)));
    CHECK_OK(f->log(g, true));
    CHECK_OK(vm_ram_touch(g->gsp, MEM, sizeof(buf), vm_guest_ram_read_callback, buf));
    CHECK_EQUAL(logged_pages(g, f, MEM, 64), 0);
    CHECK_OK(vm_ram_write(g->gsp, MEM + PAGE, buf, 1));
    CHECK(f->logged(g, MEM / PAGE + 1));
    CHECK_OK(vm_ram_write(g->gsp, MEM + MIB2 - PAGE, buf, sizeof(buf))); /* of two chunks */
    CHECK_OK(vm_ram_store32(g->gsp, MEM + 5 * PAGE, 1));
    CHECK_OK(vm_ram_touch(g->gsp, MEM + 8 * PAGE, 3 * PAGE, leave_it, NULL));
    CHECK_EQUAL(logged_pages(g, f, MEM, 512), 6);
    CHECK_EQUAL(logged_pages(g, f, MEM + MIB2, 512), 1);
    CHECK_OK(f->log(g, false));
    CHECK_OK(vm_ram_write(g->gsp, MEM, buf, 1));
    return true;
}

/* The topmost page can't be logged; so when all is configured it isn't RAM any more. */
static bool the_topmost_page_is_not_ram(struct guest *g, const struct fixture *f)
{
    uint64_t top = MEM + MIB2 - PAGE;

    CHECK_RC(register_ram(g, MEM, MIB2), 0);
    CHECK_OK(guest_configured(g->gsp));
    CHECK_OK(f->log(g, true));
    CHECK_OK(vm_ram_store8(g->gsp, top, 1));
    CHECK(f->logged(g, top / PAGE));
    return true;
}

enum { WINDOW = 32 * MIB };

/* The guest runs, as far as Xen knows: none of its vCPUs is set up. */
static bool set_off(struct guest *g, uint64_t *window_r)
{
    struct gasp *gasp = gasp_of(g->gsp);
    struct hv_info info;

    CHECK_EQUAL(gasp_set_aside(gasp, WINDOW), 0);
    CHECK_OK(guest_configured(g->gsp));
    CHECK_OK(OPS(g)->unpause(g->hv));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(!info.never_ran && !info.paused);
    *window_r = gasp->window.first;
    return true;
}

static bool is_paused(struct guest *g)
{
    struct hv_info info = {0};

    OPS(g)->info(g->hv, &info);
    return info.paused;
}

static bool ram_for_a_running_guest(struct guest *g, const struct fixture *f)
{
    struct view before;
    uint64_t at;

    (void)f;
    CHECK(set_off(g, &at));
    CHECK(view_take(g, &before, at, VIEW_PAGES));
    CHECK_RC(register_ram(g, MEM, PAGE), EBUSY);
    CHECK_RC(register_ram(g, at + WINDOW, PAGE), EBUSY); /* the parking window */
    CHECK_RC(register_ram(g, at + WINDOW - PAGE, 2 * PAGE), EBUSY);
    CHECK_RC(register_ram(g, at, 0), EINVAL);
    CHECK_NONE(vm_ram_register(g->gsp, WINDOW + PAGE), ENOSPC);
    CHECK(view_unchanged(g, &before));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQUAL(vm_ram_register(g->gsp, 20 * MIB + PAGE), at);
        CHECK(!is_paused(g));
        CHECK(is_zero(g, at, 20 * MIB + PAGE) && fill(g, at, 20 * MIB + PAGE, i));
        CHECK_RC(register_ram(g, at + 20 * MIB, PAGE), EEXIST);
        CHECK_RC(unregister_ram(g, at, 20 * MIB + PAGE), 0);
        CHECK(view_unchanged(g, &before));
    }
    return true;
}

/* A page that the guest has put there itself, in the first 16 MiB or the second. */
static bool pages_of_its_own(struct guest *g, const struct fixture *f)
{
    static const uint64_t at[] = {0, 16 * MIB - PAGE, 16 * MIB, 20 * MIB - PAGE};
    struct view before;
    uint64_t window;

    (void)f;
    CHECK(set_off(g, &window));
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        CHECK_EQUAL(populate_run(g, (window + at[i]) / PAGE, 1), 1);
        CHECK(view_take(g, &before, window, VIEW_PAGES));
        CHECK_RC(register_ram(g, window, 20 * MIB), EEXIST);
        CHECK(!is_paused(g) && view_unchanged(g, &before) && has_page(g, window + at[i]));
        CHECK_EQUAL(depopulate_run(g, (window + at[i]) / PAGE, 1), 1);
    }
    CHECK_RC(register_ram(g, window, 20 * MIB), 0);
    return true;
}

const struct conformance_case guest_window_cases[] = {
    {"writes of ours are logged", writes_of_ours_are_logged, {WITH_RAM}},
    {"the topmost page isn't RAM", the_topmost_page_is_not_ram, {WITH_RAM}},
    {"RAM for a running guest", ram_for_a_running_guest, {WITH_RAM}},
    {"a running guest's own pages are not replaced", pages_of_its_own, {WITH_RAM}},
    {NULL, NULL, {0}},
};
