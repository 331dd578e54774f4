/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/describe.h"

#include <errno.h>

#include "guest/guest_internal.h"

int guest_each_region(struct guest_system *gsp, uint16_t type, guest_region_fn fn, void *arg)
{
    struct space *space;
    const struct space_map *map;
    struct range rest;
    struct space_region region;
    int rc = 0;

    if (type != QST_MEMORY && type != QST_X86_IO) {
        errno = ENOTSUP;
        return -1;
    }
    space = &gsp->gasp.space[type == QST_MEMORY ? GASP_MEMORY : GASP_PORTS];
    /* The whole walk is one read section, so it shows one moment; fn must not wait for changes of
     * the map. */
    rest = (struct range){0, space->limit};
    rcu_enter();
    map = space_read(space);
    while (rc == 0 && space_map_next(map, rest, &region)) {
        struct gasp_region rgn = {
            .flags = region.flags,
            .cookie = region.cookie,
            .vdev = gasp_region_vdev(&gsp->gasp, &region),
            .guest = {.location = region.range.first,
                      .length = range_length(region.range),
                      .type = type},
        };

        rc = fn(arg, &rgn, gasp_owner_name(&gsp->gasp, &region));
        if (region.range.last >= rest.last)
            break;
        rest.first = region.range.last + 1;
    }
    rcu_leave(space);
    return rc;
}

int guest_each_vdev(struct guest_system *gsp, guest_vdev_fn fn, void *arg)
{
    struct vdev *vdev;
    int rc = 0;

    TAILQ_FOREACH (vdev, &gsp->vdevs, link) {
        struct guest_vdev_info info = {
            .name = vdev->name,
            .factory = vdev->public.v_factory->name,
            .block = vdev->public.v_block,
            .reads = vdev->reads,
            .writes = vdev->writes,
        };

        rc = fn(arg, &info);
        if (rc)
            break;
    }
    return rc;
}
