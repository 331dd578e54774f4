/* SPDX-License-Identifier: BSD-2-Clause */
#include "gasp/gasp_internal.h"

#include <errno.h>
#include <string.h>
#include <xengasp/vdev.h>

#define ALL_FLAGS                                                                                  \
    (GRF_VIRT_ANY | GRF_PASS_ANY | GRF_NOCACHE | GRF_ACTIVE | GRF_PASSTHRU | GRF_DMA_USES |        \
     GRF_DMA_NO_USE | GRF_PRECIOUS | GRF_NOPERMS | GRF_STICKY | GRF_BACKUP_MASK)

#define VIRT_RW (GRF_VIRT_RD | GRF_VIRT_WR)

/* VIRT and PASS of one access; the bits of PASS lie 3 above those of VIRT. */
static bool contradicts(uint32_t flags)
{
    return (flags & GRF_VIRT_ANY) & ((flags & GRF_PASS_ANY) >> 3);
}

static int check_flags(const struct gasp_region *rgn)
{
    uint32_t flags = rgn->flags;

    if (flags == GRF_NONE) /* deletes: what gasp_region_info reported may be given back as it is */
        return 0;
    if (rgn->host_location || (flags & (GRF_NOCACHE | GRF_PASSTHRU | GRF_MEMORY)))
        return ENOTSUP;
    if ((flags & GRF_PASS_ANY) && !contradicts(flags))
        return ENOTSUP;
    if ((flags & GRF_VIRT_EX) && !(flags & VIRT_RW))
        return ENOTSUP;
    if ((flags & ~ALL_FLAGS) || contradicts(flags) || ((flags & GRF_VIRT_ANY) && !rgn->vdev))
        return EINVAL;
    return 0;
}

/* Checks all that doesn't need the map, and makes the map's kind of region. */
static int check_region(const struct gasp *gasp, const struct gasp_region *rgn, int space,
                        struct space_region *r)
{
    int rc;

    if (space < 0 || (rgn->guest.flags & QSF_REPORT_EXCEPTION) || gasp->ram_only)
        return ENOTSUP;
    rc = check_flags(rgn);
    if (!rc && rgn->guest.flags != QSF_NONE)
        rc = EINVAL;
    if (!rc)
        rc =
            range_make(&r->range, rgn->guest.location, rgn->guest.length, gasp->space[space].limit);
    if (!rc && !gasp_may_change(gasp, space))
        rc = EPERM;
    r->flags = rgn->flags;
    r->cookie = rgn->cookie;
    r->owner = rgn->vdev;
    return rc;
}

/* RAM comes and goes by guest_ram.h alone: here it would leave the map without leaving the guest.
 */
static bool changes_ram(const struct space_map *map, const struct space_region *r)
{
    const struct space_region *old = space_map_find(map, r->range.first);

    return old && (old->flags & GRF_MEMORY) && old->owner == r->owner && old->cookie == r->cookie &&
           (r->flags == GRF_NONE || range_inside(r->range, old->range));
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
    const struct space_region *taken = NULL;

    if (!gasp_may_complain(gasp))
        return;
    if (error == EBUSY)
        taken = space_map_meets(map, r->range, GRF_PRECIOUS);
    if (!taken)
        taken = space_map_meets(map, r->range, 0);
    gasp_log(gasp, GUEST_LOG_WARN, "%s [" PRIrange "] for %s: [" PRIrange "] is %s",
             space == GASP_MEMORY ? "memory" : "ports", range_arg(r->range),
             gasp_owner_name(gasp, r), range_arg(taken->range), gasp_owner_name(gasp, taken));
}

static void warn_qemu(struct gasp *gasp, const struct space_region *r)
{
    const char *name =
        gasp->type == HV_HVM && (r->flags & VIRT_RW) ? platform_qemu_port(r->range) : NULL;

    if (name && gasp_may_complain(gasp))
        gasp_log(gasp, GUEST_LOG_WARN, "ports [" PRIrange "] for %s hide QEMU's %s",
                 range_arg(r->range), gasp_owner_name(gasp, r), name);
}

/*
 * First Xen, then the map: so a change that Xen refuses leaves the map alone, and publishing, which
 * can't fail, comes last. Meanwhile an access gets the old answer or the new one. Where trapping
 * begins, it is sent to us and answered from the old map. Where trapping ends, Xen answers it as
 * the new map says (now: all ones, a hole), and what was already on its way to us is answered from
 * the old map. Where it traps before and after, Xen sees no change.
 */
static int set_one(struct gasp *gasp, const struct gasp_region *rgn)
{
    int space = gasp_space_of(rgn->guest.type);
    struct space_region r = {0};
    struct space_map *map = NULL;
    int rc = check_region(gasp, rgn, space, &r);

    if (rc)
        return rc;
    if (changes_ram(gasp->space[space].map, &r))
        return ENOTSUP;
    rc = space_map_set(gasp->space[space].map, &r, &map);
    if (rc == EBUSY || rc == EEXIST)
        gasp_log_taken(gasp, space, &r, rc);
    if (!rc)
        rc = trap_carry(gasp, space, map, r.range);
    if (rc) {
        space_map_free(map);
        return rc;
    }
    if (space == GASP_PORTS)
        warn_qemu(gasp, &r);
    space_publish(&gasp->space[space], map);
    return 0;
}

static const struct space_region *part_of(const struct space_map *map, const vdev_t *vdev)
{
    for (size_t i = 0; i < map->n; i++) {
        if (map->region[i].owner == vdev)
            return &map->region[i];
    }
    for (size_t i = 0; i < map->n_hidden; i++) {
        if (map->hidden[i].owner == vdev)
            return &map->hidden[i];
    }
    return NULL;
}

void gasp_drop_regions(struct gasp *gasp, const vdev_t *vdev)
{
    for (int s = 0; s < GASP_SPACES; s++) {
        const struct space_region *part;

        while (gasp->space[s].map && (part = part_of(gasp->space[s].map, vdev))) {
            struct space_region gone = {part->range, GRF_NONE, part->cookie, part->owner, 0};
            struct space_map *map;

            if (space_map_set(gasp->space[s].map, &gone, &map))
                break;
            /* Where Xen goes on trapping, nobody answers. */
            if (gasp->trap.n_servers > 0)
                trap_carry(gasp, s, map, gone.range);
            space_publish(&gasp->space[s], map);
        }
    }
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

int gasp_region_info(struct guest_system *gsp, const struct qvm_state_block *blk,
                     struct gasp_region *rgn)
{
    struct gasp *gasp = gasp_of(gsp);
    int space = gasp_space_of(blk->type);
    const struct space_region *found;
    struct space_region r;

    if (space < 0 || (blk->flags & QSF_REPORT_EXCEPTION))
        return ENOTSUP;
    if (blk->location > gasp->space[space].limit)
        return EOVERFLOW;
    rcu_enter();
    found = space_map_find(space_read(&gasp->space[space]), blk->location);
    if (found)
        r = *found;
    rcu_leave(&gasp->space[space]);
    if (!found)
        return ENOENT;
    *rgn = (struct gasp_region){
        .flags = r.flags,
        .cookie = r.owner == gasp ? 0 : r.cookie,
        .vdev = gasp_region_vdev(gasp, &r),
        .host_location = r.flags & GRF_MEMORY ? (uintptr_t)(gasp->ram.base + r.range.first) : 0,
        .guest = {r.range.first, range_length(r.range), blk->type, QSF_NONE},
    };
    return 0;
}
