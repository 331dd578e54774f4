/* SPDX-License-Identifier: BSD-2-Clause */
/* A vdev that sets its regions as it is told, for a running guest to find. */
#ifndef XENGASP_CONFORMANCE_PLATE_H
#define XENGASP_CONFORMANCE_PLATE_H

#include <xengasp/vdev.h>

#include "tests/conformance/device.h"
#include "tests/conformance/guest_ram.h"

/* Of the guest at hand; it is added with guest_add_vdev(gsp, "plate"). */
extern struct plate {
    vdev_t *vdev;
    unsigned writes; /* so many, and the last of them: */
    uint64_t location, value;
} plate;

/* What a read gives: where it was made, and by which cookie. */
uint32_t plate_value(unsigned cookie, uint64_t location);

/* Sets a region in the space's lock; 0 or an errno value. vdev NULL: the VM's. */
int plate_set_as(struct guest *g, vdev_t *vdev, unsigned cookie, const struct qvm_state_block *at,
                 uint32_t flags);

/* vCPU 0 reads or writes, and it comes out as it should. */
bool guest_reads(struct guest *g, const struct fixture *f, struct access a, uint32_t wanted);
bool guest_writes(struct guest *g, const struct fixture *f, struct access a);

/* Adds the vdev; and sets the guest off, with this gasp window. */
bool plate_prepare(struct guest *g);
bool plate_set_off(struct guest *g, uint64_t window);

#endif
