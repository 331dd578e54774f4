/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of the first vCPU in 32-bit mode without paging (PVH entry, or in place of an HVM guest's
 * firmware), of the others in real mode, and of interrupts.
 */
#include "layout.h"

    .section .note.Xen, "a", @note
    .align 4
    .long 4, 4, 18                      /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long start

    .section .params, "aw"
    .globl params
params:
    .ascii "XENGASP-PARAMS: "
    .globl params_text
params_text:
    .fill PARAMS_SIZE - 16, 1, 0

    .text
    .code32
    .globl start
start:
    cld
    mov $page_l2, %edi                  /* 2 MiB pages for the first 4 GiB, at the same address */
    mov $0x83, %eax                     /* present, writable, large */
    xor %edx, %edx
1:  mov %eax, (%edi)
    mov %edx, 4(%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b

    mov $page_l3, %edi
    mov $page_l2 + 3, %eax
    mov $4, %ecx
2:  mov %eax, (%edi)
    add $8, %edi
    add $0x1000, %eax
    loop 2b
    movl $page_l3 + 3, page_l4

    xor %ebx, %ebx                      /* vCPU number */
    lgdt gdt_pointer

enter_long_mode:                        /* ebx: vCPU number */
    mov %cr4, %eax
    or $0x20, %eax                      /* PAE */
    mov %eax, %cr4
    mov $page_l4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx               /* EFER */
    rdmsr
    or $0x100, %eax                     /* long mode enable */
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax                /* paging, protection */
    mov %eax, %cr0
    ljmp $SEL_CODE64, $in_long_mode

    .code64
in_long_mode:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %ebx, %edi
    mov %ebx, %eax
    inc %eax
    imul $STACK_SIZE, %eax, %eax
    lea stacks(%rax), %rsp
    call cpu_main
3:  hlt
    jmp 3b

    /* Copied to AP_START below 1 MiB, where a vCPU begins in real mode with cs = AP_START / 16. */
    .code16
    .globl ap_start, ap_start_end
ap_start:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl gdt_pointer_copy - ap_start
    mov $1, %eax
    mov %eax, %cr0
    ljmpl $SEL_CODE32, $ap_protected
gdt_pointer_copy:
    .word gdt_end - gdt - 1
    .long gdt
ap_start_end:

    .code32
ap_protected:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %ss
    mov $1, %eax
    cpuid
    shr $25, %ebx                       /* APIC id is twice the vCPU's number */
    jmp enter_long_mode

    .code64
    /* One entry a vector. The CPU pushes an error code for some exceptions; the others get a 0. */
    .globl vector_entries
    .align 16
vector_entries:
    .set vector, 0
    .rept 256
    .align 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    push $0
    .endif
    push $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    cld
    mov 9 * 8(%rsp), %rdi               /* vector */
    mov 10 * 8(%rsp), %rsi              /* error code */
    mov 11 * 8(%rsp), %rdx              /* rip */
    call interrupt
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

    .data
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            /* SEL_CODE32 */
    .quad 0x00cf93000000ffff            /* SEL_DATA */
    .quad 0x00af9b000000ffff            /* SEL_CODE64 */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .bss
    .align 4096
    .globl page_l4, hypercall_page
page_l4:
    .space 4096
page_l3:
    .space 4096
page_l2:
    .space 4 * 4096
hypercall_page:
    .space 4096
stacks:
    .space STACK_SIZE * MAX_CPUS

    .section .note.GNU-stack, "", @progbits
