/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of a whole guest share: one on the simulator, and its accesses. */
#ifndef XENGASP_TESTS_GUEST_FIXTURE_H
#define XENGASP_TESTS_GUEST_FIXTURE_H

#include "guest/guest_internal.h"
#include "tests/check_main.h"

#define MMIO 0xfe000000u
#define PORT 0x2000u

extern struct guest_system *gsp;
extern char log_text[16384]; /* what was logged since open_guest */
/* For the next open_guest; tear_down resets what tests change. */
extern struct guest_options options;

void open_guest(unsigned vcpus, bool hvm);
void add(const char *spec); /* a vdev */
void configured(void);      /* and the guest has run since */
void tear_down(void);

/* An access of vCPU 0. */
uint64_t rd(unsigned type, uint64_t addr, unsigned size);
void wr(unsigned type, uint64_t addr, unsigned size, uint64_t value);

#endif
