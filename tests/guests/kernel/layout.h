/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that C and assembly share. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define PARAMS_SIZE 4096
#define MAX_CPUS 8
#define STACK_SIZE 16384
#define AP_START 0x8000
#define SEL_CODE32 0x08
#define SEL_DATA 0x10
#define SEL_CODE64 0x18

#endif
