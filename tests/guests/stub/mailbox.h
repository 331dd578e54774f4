/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stub is the kernel that xl loads where a VMM in dom0 loads the real one. The VMM writes into
 * the mailbox where that begins and where its start_info is. The stub adds to start_info what xl
 * knows, the memory map and rsdp, and goes there as the PVH boot protocol does.
 */
#ifndef STUB_MAILBOX_H
#define STUB_MAILBOX_H

#define STUB_MAILBOX 0x100000
/* The stub, and xl's start_info after it, lie below. */
#define STUB_END 0x200000

/* The mailbox: three 32-bit words, STUB_WAITS or STUB_GO, entry, start_info. */
#define STUB_WAITS 0x74696177
#define STUB_GO 0x216f6721

#endif
