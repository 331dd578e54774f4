/* SPDX-License-Identifier: BSD-2-Clause */
/* A few instructions for the vCPUs of a bare domain: they make the accesses that they are told to.
 */
#ifndef XENGASP_CONFORMANCE_DRIVE_XEN_H
#define XENGASP_CONFORMANCE_DRIVE_XEN_H

#include <xenctrl.h>

#include "tests/conformance/fixture.h"

/* Puts the code into a new domain, sets its vCPUs up and lets it run; has_ram: the pages are there,
 * and the case sets it off. */
int drive_open(struct guest *g, xc_interface *xch, bool has_ram);
void drive_close(struct guest *g);
int drive_start(struct guest *g, unsigned vcpu, const struct access *a);
int drive_wait(struct guest *g, unsigned vcpu, int ms, uint32_t *value_r);

#endif
