/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is to tell about a guest: for the control socket and the pictures. Any thread, while
 * running. */
#ifndef XENGASP_GUEST_DESCRIBE_H
#define XENGASP_GUEST_DESCRIBE_H

#include <xengasp/gasp.h>
#include <xengasp/guest.h>

/* One visible region: `name` tells whose it is ("RAM", "trace", "LAPIC", ...). Non-zero ends the
 * walk. */
typedef int (*guest_region_fn)(void *arg, const struct gasp_region *rgn, const char *name);

/* The visible regions of a space in ascending order, as of one moment. The last callback's result,
 * or -1 with errno. */
int guest_each_region(struct guest_system *gsp, uint16_t type, guest_region_fn fn, void *arg);

struct guest_vdev_info {
    const char *name; /* "name=" or the factory's */
    const char *factory;
    struct qvm_state_block block;
    uint64_t reads, writes;
};
typedef int (*guest_vdev_fn)(void *arg, const struct guest_vdev_info *info);
int guest_each_vdev(struct guest_system *gsp, guest_vdev_fn fn, void *arg);

#endif
