/* SPDX-License-Identifier: BSD-2-Clause */
/* Setting regions: the rules that are not the map's own (space/set.c), and what each is in Xen. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/vdev.h>

#include "gasp/change.h"

#define ALL_FLAGS                                                                                  \
    (GRF_VIRT_ANY | GRF_PASS_ANY | GRF_NOCACHE | GRF_ACTIVE | GRF_PASSTHRU | GRF_DMA_USES |        \
     GRF_DMA_NO_USE | GRF_PRECIOUS | GRF_NOPERMS | GRF_STICKY | GRF_BACKUP_MASK)

#define VIRT_RW (GRF_VIRT_RD | GRF_VIRT_WR)
#define RAM_FLAGS (GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE)

enum { PCI_FUNCTION_LAST = 0xff };

/* VIRT and PASS of one access; the bits of PASS lie 3 above those of VIRT. */
static bool contradicts(uint32_t flags)
{
    return (flags & GRF_VIRT_ANY) & ((flags & GRF_PASS_ANY) >> 3);
}

/* What Xen can't do: memory that can't be read, or only executed; reads that trap where writes pass;
 * executing from a page whose writes trap. */
static bool unsupported(uint32_t flags, int space)
{
    uint32_t pass = flags & GRF_PASS_ANY;

    if (flags & (GRF_NOCACHE | GRF_PASSTHRU))
        return true;
    if (space != GASP_MEMORY && (flags & GRF_MEMORY))
        return true;
    if ((flags & GRF_VIRT_EX) && !(flags & VIRT_RW))
        return true;
    if (!pass || contradicts(flags))
        return false;
    return space != GASP_MEMORY || !(pass & GRF_PASS_RD) ||
           ((flags & GRF_VIRT_WR) && (pass & GRF_PASS_EX));
}

static int check_flags(const struct gasp_region *rgn, int space)
{
    uint32_t flags = rgn->flags;

    if (flags == GRF_NONE) /* deletes: what gasp_region_info reported may be given back as it is */
        return 0;
    if (rgn->host_location || unsupported(flags, space))
        return ENOTSUP;
    if ((flags & ~ALL_FLAGS) || contradicts(flags) || ((flags & GRF_VIRT_ANY) && !rgn->vdev) ||
        ((flags & GRF_NOPERMS) && (flags & (GRF_VIRT_ANY | GRF_PASS_ANY))))
        return EINVAL;
    return 0;
}

static bool whole_pages(struct range r)
{
    return r.first % HV_PAGE_SIZE == 0 && (r.last + 1) % HV_PAGE_SIZE == 0;
}

/* Checks all that doesn't need the map, and makes the map's kind of region. */
static int check_region(const struct gasp *gasp, const struct gasp_region *rgn, int space,
                        struct space_region *r)
{
    int rc;

    if (space < 0 || (rgn->guest.flags & QSF_REPORT_EXCEPTION) || gasp->ram_only)
        return ENOTSUP;
    rc = check_flags(rgn, space);
    if (!rc && rgn->guest.flags != QSF_NONE)
        rc = EINVAL;
    if (!rc)
        rc =
            range_make(&r->range, rgn->guest.location, rgn->guest.length, gasp->space[space].limit);
    if (!rc && (rgn->flags & GRF_PASS_ANY) && !whole_pages(r->range))
        rc = EINVAL;
    if (!rc && space == GASP_PCI &&
        (r->range.first << (64 - GASP_PCI_SHIFT) ||
         r->range.last - r->range.first != PCI_FUNCTION_LAST))
        rc = EINVAL;
    if (!rc && !gasp_may_change(gasp, space))
        rc = EPERM;
    r->flags = rgn->flags;
    r->cookie = rgn->cookie;
    r->owner = rgn->vdev;
    return rc;
}

/* Whether the guest's RAM is beneath all of the range. */
static bool over_ram(const struct space_map *map, struct range range)
{
    uint64_t next = range.first;

    for (size_t i = space_map_search(map, next); i < map->n; i++) {
        const struct space_cell *cell = map->cell[i];

        if (cell->range.first > next || cell->layer[cell->n - 1].id != RAM_FRAME)
            return false;
        if (cell->range.last >= range.last)
            return true;
        next = cell->range.last + 1;
    }
    return false;
}

/*
 * Memory: RAM with other permissions has to be over RAM, and can't become device memory, which has
 * pages of its own, nor the other way round. own: the layer that is changed, or NULL.
 */
static int check_memory(const struct gasp *gasp, const struct space_map *map,
                        const struct space_region *r, const struct space_layer *own)
{
    uint32_t flags = r->flags | (own ? own->flags & GRF_STICKY : 0);
    bool has_own_pages = (flags & GRF_PASS_ANY) && !(flags & (GRF_MEMORY | VIRT_RW));

    if (r->flags == GRF_NONE)
        return 0;
    if ((flags & (GRF_PASS_ANY | GRF_MEMORY)) && !has_own_pages && !over_ram(map, r->range))
        return ENOTSUP;
    if (own && (own->flags & GRF_PASS_ANY) && (flags & GRF_PASS_ANY) &&
        has_own_pages == !!(own->flags & (GRF_MEMORY | VIRT_RW)))
        return ENOTSUP;
    if (has_own_pages && !gasp_at_start(gasp) && !gasp_in_window(gasp, r->range) &&
        !(own && (own->flags & GRF_PASS_ANY)))
        return EBUSY;
    return 0;
}

const char *gasp_owner_name(const struct gasp *gasp, const struct space_region *region)
{
    const vdev_t *vdev = gasp_region_vdev(gasp, region);

    if (region->owner == gasp)
        return platform_name(region->cookie);
    if (vdev)
        return vdev->v_name ? vdev->v_name : "a vdev";
    return region->flags & GRF_MEMORY ? "RAM" : "the VM";
}

bool gasp_may_complain(struct gasp *gasp)
{
    uint64_t dropped;

    return !gasp->running || log_limit_pass(&gasp->limit, &dropped);
}

void gasp_log_taken(struct gasp *gasp, enum gasp_space space, const struct space_region *r,
                    int error)
{
    const struct space_map *map = gasp->space[space].map;
    struct space_region taken;

    if (!gasp_may_complain(gasp))
        return;
    if ((error != EBUSY || !space_map_meets(map, r->range, GRF_PRECIOUS, &taken)) &&
        !space_map_next(map, r->range, &taken) && !space_map_meets(map, r->range, 0, &taken))
        return;
    gasp_log(gasp, GUEST_LOG_WARN, "%s [" PRIrange "] for %s: [" PRIrange "] is %s",
             space == GASP_MEMORY ? "memory" : "ports", range_arg(r->range),
             gasp_owner_name(gasp, r), range_arg(taken.range), gasp_owner_name(gasp, &taken));
}

bool gasp_is_free(struct gasp *gasp, const struct gasp_region *rgn)
{
    int space = gasp_space_of(rgn->guest.type);
    struct space_region r = {.owner = rgn->vdev, .cookie = rgn->cookie}, there;

    if (space < 0 ||
        range_make(&r.range, rgn->guest.location, rgn->guest.length, gasp->space[space].limit))
        return true; /* that is for who sets it to say */
    if (space_map_meets(gasp->space[space].map, r.range, GRF_PRECIOUS, NULL) ||
        !space_map_next(gasp->space[space].map, r.range, &there))
        return true;
    gasp_log_taken(gasp, space, &r, EEXIST);
    return false;
}

static void warn_qemu(struct gasp *gasp, const struct space_region *r)
{
    const char *name =
        gasp->type == HV_HVM && (r->flags & VIRT_RW) ? platform_qemu_port(r->range) : NULL;

    if (name && gasp_may_complain(gasp))
        gasp_log(gasp, GUEST_LOG_WARN, "ports [" PRIrange "] for %s hide QEMU's %s",
                 range_arg(r->range), gasp_owner_name(gasp, r), name);
}

/* What Xen can't do byte by byte is said once, where it begins. */
static void tell_cut(struct gasp *gasp, const struct space_region *r)
{
    const struct space_map *map = gasp->space[GASP_MEMORY].map;
    uint64_t gfn[2] = {r->range.first >> HV_PAGE_SHIFT, r->range.last >> HV_PAGE_SHIFT};
    struct page_run run;

    for (int i = 0; i < 2; i++) {
        if (i > 0 && gfn[1] == gfn[0])
            break;
        frames_look(map, gfn[i], &run);
        if (run.cut && gasp_may_complain(gasp))
            gasp_log(gasp, GUEST_LOG_INFO,
                     "the page at %#llx is memory and %s: the service answers for all of it, which "
                     "is not right for locked operations, executing, page tables and accesses over "
                     "8 bytes",
                     (unsigned long long)(gfn[i] << HV_PAGE_SHIFT), gasp_owner_name(gasp, r));
    }
}

static const struct space_map *map_of(const struct change *change, int space)
{
    return change->draft[space] ? change->draft[space] : change->gasp->space[space].map;
}

enum kind { SET_REGION, ADD_RAM, REMOVE_RAM };

/* Checks an entry against the map as it will be by then. 0 or an errno value. */
static int check_entry(const struct change *change, int space, const struct space_region *r,
                       enum kind *kind_r)
{
    const struct space_map *map = map_of(change, space);
    struct space_layer own;
    bool there = space_map_own(map, r, &own);

    *kind_r = SET_REGION;
    if (space != GASP_MEMORY)
        return 0;
    if (there && (own.flags & (GRF_PASS_ANY | GRF_MEMORY)) && !whole_pages(r->range))
        return EINVAL;
    if (there && own.id == RAM_FRAME && r->flags == GRF_NONE) {
        *kind_r = REMOVE_RAM;
        return 0;
    }
    if (!there && r->flags == RAM_FLAGS && !r->owner && r->cookie == 0 &&
        !space_map_meets(map, r->range, 0, NULL)) {
        *kind_r = ADD_RAM;
        return 0;
    }
    return check_memory(change->gasp, map, r, there ? &own : NULL);
}

static int change_ram(struct gasp *gasp, const struct space_region *r, enum kind kind)
{
    uint64_t bytes = range_length(r->range);

    return kind == ADD_RAM ? gasp_register_at(gasp, r->range.first, bytes, false)
                           : gasp_unregister(gasp, r->range);
}

/* Adds an entry to a change. alone: it is all of it, so it may be RAM, which is *done_r at once. */
static int add_entry(struct change *change, const struct gasp_region *rgn, bool alone,
                     struct space_region *r, bool *done_r)
{
    struct gasp *gasp = change->gasp;
    int space = gasp_space_of(rgn->guest.type);
    enum kind kind;
    int rc;

    *r = (struct space_region){0};
    *done_r = false;
    rc = check_region(gasp, rgn, space, r);
    if (!rc)
        rc = check_entry(change, space, r, &kind);
    if (rc)
        return rc;
    if (kind != SET_REGION) {
        *done_r = true;
        return alone ? change_ram(gasp, r, kind) : ENOTSUP;
    }
    rc = change_set(change, space, r);
    if (rc == EBUSY || rc == EEXIST)
        gasp_log_taken(gasp, space, r, rc);
    return rc;
}

/* What is to be said of a region that was set. */
static void tell_set(struct gasp *gasp, uint16_t type, const struct space_region *r)
{
    if (type == QST_X86_IO)
        warn_qemu(gasp, r);
    else if (type == QST_MEMORY && r->flags != GRF_NONE)
        tell_cut(gasp, r);
}

static int set_one(struct gasp *gasp, const struct gasp_region *rgn)
{
    struct change change;
    struct space_region r;
    bool done;
    int rc;

    change_begin(&change, gasp);
    rc = add_entry(&change, rgn, true, &r, &done);
    if (!rc && !done)
        rc = change_make(&change);
    change_end(&change);
    if (!rc && !done)
        tell_set(gasp, rgn->guest.type, &r);
    return rc;
}

unsigned gasp_region_set_soft(struct guest_system *gsp, unsigned n, const struct gasp_region *rgn)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = rgn[i].guest.length == 0 ? 0 : set_one(gasp_of(gsp), &rgn[i]);

        if (rc) {
            errno = rc;
            return i;
        }
    }
    return n;
}

int gasp_region_set_all(struct guest_system *gsp, unsigned n, const struct gasp_region *rgn)
{
    struct gasp *gasp = gasp_of(gsp);
    unsigned entries = 0;
    struct space_region r;
    struct change change;
    bool done = false;
    int rc = 0;

    for (unsigned i = 0; i < n; i++)
        entries += rgn[i].guest.length != 0;
    change_begin(&change, gasp);
    for (unsigned i = 0; i < n && !rc; i++) {
        if (rgn[i].guest.length != 0)
            rc = add_entry(&change, &rgn[i], entries == 1, &r, &done);
    }
    if (!rc && !done)
        rc = change_make(&change);
    change_end(&change);
    for (unsigned i = 0; i < n && !rc && !done; i++) {
        if (rgn[i].guest.length != 0 &&
            check_region(gasp, &rgn[i], gasp_space_of(rgn[i].guest.type), &r) == 0)
            tell_set(gasp, rgn[i].guest.type, &r);
    }
    return rc ? fail(rc) : 0;
}

void gasp_set_fatal(struct guest_system *gsp, void (*fn)(void *arg, int code), void *arg)
{
    gasp_of(gsp)->fatal = fn;
    gasp_of(gsp)->fatal_arg = arg;
}

void gasp_region_set(struct guest_system *gsp, unsigned n, const struct gasp_region *rgn)
{
    struct gasp *gasp = gasp_of(gsp);
    enum { AT_START = 64, RUNNING = 96 }; /* as QNX's qvm ends */
    int code = gasp->running ? RUNNING : AT_START;

    for (unsigned i = 0; i < n; i++) {
        const struct qvm_state_block *at = &rgn[i].guest;
        int rc = gasp_space_of(at->type) < 0 ? ENOTSUP : gasp_lock(gsp, at->type);

        if (!rc) {
            rc = at->length == 0 ? 0 : set_one(gasp, &rgn[i]);
            gasp_unlock(gsp, at->type);
        }
        if (!rc)
            continue;
        gasp_log(gasp, GUEST_LOG_ERROR,
                 "%s can't have 0x%llx bytes at 0x%llx of space %u with flags %#x: %s",
                 rgn[i].vdev && rgn[i].vdev->v_name ? rgn[i].vdev->v_name : "the VM",
                 (unsigned long long)at->length, (unsigned long long)at->location, at->type,
                 rgn[i].flags, strerror(rc));
        if (!gasp->fatal)
            exit(code);
        gasp->fatal(gasp->fatal_arg, code);
        return;
    }
}

void gasp_drop_regions(struct gasp *gasp, const vdev_t *vdev)
{
    for (int s = 0; s < GASP_SPACES; s++) {
        struct space_region part;

        while (gasp->space[s].map && space_map_owned(gasp->space[s].map, vdev, &part)) {
            struct change change;
            int rc;

            part.flags = GRF_NONE;
            change_begin(&change, gasp);
            rc = change_set(&change, s, &part);
            if (!rc && change_make(&change) != 0) {
                /* Where Xen goes on trapping, nobody answers. */
                change_end(&change);
                change_begin(&change, gasp);
                rc = change_set(&change, s, &part);
                if (!rc)
                    space_publish(&gasp->space[s], change.draft[s]);
                change.draft[s] = NULL;
            }
            change_end(&change);
            if (rc)
                break;
        }
    }
}

int gasp_region_info(struct guest_system *gsp, const struct qvm_state_block *blk,
                     struct gasp_region *rgn)
{
    struct gasp *gasp = gasp_of(gsp);
    int space = gasp_space_of(blk->type);
    struct space_region r;
    bool found;

    if (space < 0 || (blk->flags & QSF_REPORT_EXCEPTION))
        return ENOTSUP;
    if (blk->location > gasp->space[space].limit)
        return EOVERFLOW;
    rcu_enter();
    found = space_map_find(space_read(&gasp->space[space]), blk->location, &r);
    rcu_leave(&gasp->space[space]);
    if (!found)
        return ENOENT;
    *rgn = (struct gasp_region){
        .flags = r.flags,
        .cookie = r.owner == gasp ? 0 : r.cookie,
        .vdev = gasp_region_vdev(gasp, &r),
        .host_location = r.flags & GRF_PASS_ANY ? (uintptr_t)(gasp->ram.base + r.range.first) : 0,
        .guest = {r.range.first, range_length(r.range), blk->type, QSF_NONE},
    };
    return 0;
}
