/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is to tell about a guest: for the control socket and the pictures. Any thread, while
 * running. */
#ifndef XENGASP_GUEST_DESCRIBE_H
#define XENGASP_GUEST_DESCRIBE_H

#include <stdbool.h>
#include <xengasp/gasp.h>
#include <xengasp/guest.h>

#include "space/range.h"

/* One visible region: `name` tells whose it is ("RAM", "trace", "LAPIC", ...). Non-zero ends the
 * walk. */
typedef int (*guest_region_fn)(void *arg, const struct gasp_region *rgn, const char *name);

/* The visible regions of a space in ascending order, as of one moment. The last callback's result,
 * or -1 with errno. */
int guest_each_region(struct guest_system *gsp, uint16_t type, guest_region_fn fn, void *arg);

/* ---- a space with all its layers ---- */

/* A guest can have its RAM in as many pieces as it likes, so a view has room for this many parts:
 * one for each layer of each cell. */
enum { GUEST_VIEW_PARTS = 16384 };

enum guest_owner { GUEST_OWNER_VM, GUEST_OWNER_PLATFORM, GUEST_OWNER_VDEV };

/* A stretch of a layer that the guest sees throughout, or nowhere: beneath another one, or inactive.
 * As long as it can be. */
struct guest_part {
    struct range range;
    bool visible;
    size_t layer; /* index into guest_view.layer */
};

/* What of a layer has the same flags, so a layer may be here more than once. */
struct guest_layer {
    uint64_t number; /* the higher, the later it was set */
    enum guest_owner owner;
    char *name; /* the owner's */
    uint32_t flags, cookie;
    uint64_t reads, writes; /* the vdev's, in all its regions */
    size_t n_parts;
    const struct guest_part *part; /* ascending */
};

struct guest_view {
    uint16_t type;
    size_t n_layers;
    struct guest_layer *layer; /* the lowest first */
    size_t n_parts;
    struct guest_part *part;
    size_t left_out; /* parts that there was no room for: those with the highest addresses */
    size_t n_pieces;
    struct guest_part *piece; /* the visible parts, ascending */
    /* Runs of pages of memory of which the guest sees some bytes itself, and the service answers
     * for others: so for the whole page, which isn't right for locked operations and the like. */
    size_t n_split;
    struct range *split;
};

/* A space as of one moment. 0, or -1 with errno: ENOMEM, ENOTSUP (type). */
int guest_view_take(struct guest_system *gsp, uint16_t type, struct guest_view *view_r);
void guest_view_dispose(struct guest_view *view); /* all zero is fine */

struct guest_vdev_info {
    const char *name; /* "name=" or the factory's */
    const char *factory;
    struct qvm_state_block block;
    uint64_t reads, writes;
};
typedef int (*guest_vdev_fn)(void *arg, const struct guest_vdev_info *info);
int guest_each_vdev(struct guest_system *gsp, guest_vdev_fn fn, void *arg);

#endif
