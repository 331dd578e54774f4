/* SPDX-License-Identifier: BSD-2-Clause */
/* See mailbox.h. Entered as PVH says: 32-bit mode, flat segments, no paging, ebx: start_info. */
#include "mailbox.h"

    .section .note.Xen, "a", @note
    .align 4
    .long 4, 4, 18                      /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long start

    .section .mailbox, "aw"
mailbox:
    .long STUB_WAITS, 0, 0

    .text
    .code32
    .globl start
start:
    cld
    cmpl $STUB_GO, mailbox
    jne nobody
    mov mailbox + 8, %edx
    lea 32(%ebx), %esi                  /* rsdp, memmap, memmap_entries */
    lea 32(%edx), %edi
    mov $5, %ecx
    rep movsl
    mov %edx, %ebx
    jmp *mailbox + 4

nobody:
    mov $text, %esi
    mov $text_end - text, %ecx
    mov $0xe9, %edx                     /* Xen's debug console */
    rep outsb
    cli
    hlt                                 /* the only vCPU: the guest is off */

text:
    .ascii "GUEST: the stub finds no kernel\n"
text_end:

    .section .note.GNU-stack, "", @progbits
