/* SPDX-License-Identifier: BSD-2-Clause */
/* Boots a guest of Xen's through boot.h: a guest that hasn't run and whose kernel is
 * tests/guests/stub. */
#ifndef SEL4_VMM_VMM_H
#define SEL4_VMM_VMM_H

#include <xengasp/guest.h>

#include "boot.h"

/*
 * input->ram is chosen: what is registered follows the guest's own RAM. The guest can be closed and
 * unpaused then. 0, or -1 with errno, and the guest is of no use any more: as boot_load, ENOTSUP
 * (the guest's kernel isn't the stub), EADDRINUSE (the kernel wants to lie over the stub),
 * EOVERFLOW (the boot page is above 4 GiB), what guest_configured gives.
 */
int vmm_boot(struct guest_system *guest, struct boot_input *input, struct boot_result *result_r);

#endif
