/* SPDX-License-Identifier: BSD-2-Clause */
/* libsel4vm's name for the header, so that what is written for libsel4vm compiles as it is. */
#include <xengasp/guest_ram.h>
