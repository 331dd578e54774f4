/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/guest_ram.h"

#include <stdlib.h>

#include "guest/describe.h"
#include "guest/guest_internal.h"

/* ---- calls ---- */

const char *rc_text(int rc)
{
    return rc < 0 ? "nothing that is allowed" : rc == 0 ? "success" : strerrordesc_np(rc);
}

int register_ram(struct guest *g, uint64_t start, uint64_t bytes)
{
    return vm_ram_register_at(g->gsp, start, bytes, false) == 0 ? 0 : errno;
}

int register_untyped(struct guest *g, uint64_t start, uint64_t bytes)
{
    return vm_ram_register_at(g->gsp, start, bytes, true) == 0 ? 0 : errno;
}

int unregister_ram(struct guest *g, uint64_t start, uint64_t bytes)
{
    return vm_ram_unregister(g->gsp, start, bytes) == 0 ? 0 : errno;
}

/* A value that no call gives. */
enum { KEPT = 4711 };

int mark_ram(struct guest *g, uint64_t start, uint64_t bytes)
{
    guest_log_forget();
    errno = KEPT;
    vm_ram_mark_allocated(g->gsp, start, bytes);
    if (errno == KEPT)
        return guest_log_has("vm_ram") ? -1 : 0;
    return guest_log_has("vm_ram_mark_allocated") ? errno : -1;
}

int free_ram(struct guest *g, uint64_t start, uint64_t bytes)
{
    guest_log_forget();
    errno = KEPT;
    vm_ram_free(g->gsp, start, bytes);
    if (errno == KEPT)
        return guest_log_has("vm_ram") ? -1 : 0;
    return guest_log_has("vm_ram_free") ? errno : -1;
}

int set_region(struct guest *g, uint64_t start, uint64_t bytes, uint32_t flags)
{
    static vdev_t vdev = {.v_name = "a test's vdev"};
    const struct gasp_region rgn = {
        .flags = flags, .vdev = &vdev, .guest = {start, bytes, QST_MEMORY, QSF_NONE}};

    return gasp_region_set_soft(g->gsp, 1, &rgn) == 1 ? 0 : errno;
}

/* ---- content ---- */

uint64_t fill_word(uint64_t gpa, uint64_t seed)
{
    return gpa ^ seed * 0x9e3779b97f4a7c15u;
}

struct content {
    bool write, zero, wrong;
    uint64_t seed;
};

static int on_page(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset, void *cookie)
{
    struct content *c = cookie;
    uint64_t *word = at;

    (void)vm;
    (void)offset;
    for (size_t i = 0; i < size / 8; i++) {
        uint64_t wanted = c->zero ? 0 : fill_word(gpa + 8 * i, c->seed);

        if (c->write)
            word[i] = wanted;
        c->wrong = word[i] != wanted;
        if (c->wrong) {
            COMPLAIN("%#lx holds %#lx, not %#lx", gpa + 8 * i, word[i], wanted);
            break;
        }
    }
    return c->wrong;
}

static bool touch_content(struct guest *g, uint64_t gpa, uint64_t bytes, struct content c)
{
    if (vm_ram_touch(g->gsp, gpa, bytes, on_page, &c) == 0)
        return true;
    return c.wrong ? false : COMPLAIN("%#lx: %s", gpa, strerror(errno));
}

bool is_zero(struct guest *g, uint64_t gpa, uint64_t bytes)
{
    return touch_content(g, gpa, bytes, (struct content){.zero = true});
}

bool fill(struct guest *g, uint64_t gpa, uint64_t bytes, uint64_t seed)
{
    return touch_content(g, gpa, bytes, (struct content){.write = true, .seed = seed});
}

bool is_filled(struct guest *g, uint64_t gpa, uint64_t bytes, uint64_t seed)
{
    return touch_content(g, gpa, bytes, (struct content){.seed = seed});
}

/* ---- views ---- */

static bool look_at_pages(struct guest *g, uint64_t gfn, size_t n, bool present[])
{
    uint64_t list[EXTENT_PAGES];
    int err[EXTENT_PAGES];
    struct window w;
    bool ok;

    if (!window_open(&w, n))
        return false;
    for (size_t i = 0; i < n; i++)
        list[i] = gfn + i;
    ok = OPS(g)->map(g->hv, w.at, PROT_READ, n, list, err) == 0 ||
         COMPLAIN("map: %s", strerror(errno));
    for (size_t i = 0; ok && i < n; i++)
        present[i] = err[i] == 0;
    OPS(g)->unmap(g->hv, w.at, n);
    window_close(&w);
    return ok;
}

bool has_page(struct guest *g, uint64_t gpa)
{
    bool present = false;

    return look_at_pages(g, gpa / PAGE, 1, &present) && present;
}

static int keep_region(void *arg, const struct gasp_region *rgn, const char *name)
{
    struct view *v = arg;

    (void)name;
    if (v->n_regions == VIEW_REGIONS)
        return -1;
    v->region[v->n_regions++] = *rgn;
    return 0;
}

bool view_take(struct guest *g, struct view *v, uint64_t gpa, uint64_t pages)
{
    const struct range *own;
    struct hv_info info;
    size_t n = guest_own_ram(g->gsp, &own);

    *v = (struct view){.first_gfn = gpa / PAGE, .pages = pages};
    CHECK(pages <= VIEW_PAGES);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    v->nr_pages = info.nr_pages;
    v->max_pages = info.max_pages;
    CHECK_OK(OPS(g)->get_paging_pool(g->hv, &v->paging_pool));
    CHECK_OK(guest_each_region(g->gsp, QST_MEMORY, keep_region, v));
    if (vm_ram_find_largest_free_region(g->gsp, &v->free_start, &v->free_bytes) < 0)
        CHECK_EQUAL(errno, ENOENT);
    for (size_t i = 0; i < n; i++)
        v->own_bytes += range_length(own[i]);
    for (uint64_t i = 0; i < pages; i += EXTENT_PAGES) {
        size_t some = pages - i < EXTENT_PAGES ? pages - i : EXTENT_PAGES;

        CHECK(look_at_pages(g, v->first_gfn + i, some, v->present + i));
    }
    return true;
}

static bool same_regions(const struct view *a, const struct view *b)
{
    for (size_t i = 0; i < a->n_regions; i++) {
        const struct gasp_region *x = &a->region[i], *y = &b->region[i];

        if (x->flags != y->flags || x->cookie != y->cookie || x->vdev != y->vdev ||
            x->guest.location != y->guest.location || x->guest.length != y->guest.length)
            return COMPLAIN("the region at %#lx is another", x->guest.location);
    }
    return true;
}

bool view_unchanged(struct guest *g, const struct view *before)
{
    struct view *now = malloc(sizeof(*now));
    bool ok = now && view_take(g, now, before->first_gfn * PAGE, before->pages);

#define SAME(what)                                                                                 \
    if (ok && now->what != before->what)                                                           \
    ok = COMPLAIN("%s: %#llx, was %#llx", #what, (unsigned long long)now->what,                    \
                  (unsigned long long)before->what)
    SAME(nr_pages);
    SAME(max_pages);
    SAME(paging_pool);
    SAME(n_regions);
    SAME(free_start);
    SAME(free_bytes);
    SAME(own_bytes);
#undef SAME
    ok = ok && same_regions(before, now);
    for (uint64_t i = 0; ok && i < before->pages; i++)
        if (now->present[i] != before->present[i])
            ok = COMPLAIN("page %#lx %s", (before->first_gfn + i) * PAGE,
                          now->present[i] ? "has come" : "is gone");
    free(now);
    return ok;
}
