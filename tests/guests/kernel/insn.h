/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that the hypervisor is to see, exactly one for each call. */
#ifndef INSN_H
#define INSN_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t mem_read(uint64_t at, unsigned size)
{
    uint64_t v = 0;

    switch (size) {
    case 1:
        __asm__ volatile("movb (%1), %b0" : "+q"(v) : "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("movw (%1), %w0" : "+r"(v) : "r"(at) : "memory");
        break;
    case 4:
        __asm__ volatile("movl (%1), %k0" : "+r"(v) : "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(at) : "memory");
    }
    return v;
}

static inline void mem_write(uint64_t at, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        __asm__ volatile("movb %b0, (%1)" : : "q"(v), "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("movw %w0, (%1)" : : "r"(v), "r"(at) : "memory");
        break;
    case 4:
        __asm__ volatile("movl %k0, (%1)" : : "r"(v), "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(at) : "memory");
    }
}

/* lock xadd: a read and a write of one instruction; returns what was there. */
static inline uint64_t mem_add(uint64_t at, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        __asm__ volatile("lock xaddb %b0, (%1)" : "+q"(v) : "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("lock xaddw %w0, (%1)" : "+r"(v) : "r"(at) : "memory");
        break;
    case 4:
        __asm__ volatile("lock xaddl %k0, (%1)" : "+r"(v) : "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("lock xaddq %0, (%1)" : "+r"(v) : "r"(at) : "memory");
    }
    return v;
}

static inline uint64_t port_read(uint16_t port, unsigned size)
{
    uint64_t v = 0;

    switch (size) {
    case 1:
        __asm__ volatile("inb %w1, %b0" : "+a"(v) : "d"(port));
        break;
    case 2:
        __asm__ volatile("inw %w1, %w0" : "+a"(v) : "d"(port));
        break;
    default:
        __asm__ volatile("inl %w1, %k0" : "+a"(v) : "d"(port));
    }
    return v;
}

static inline void port_write(uint16_t port, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        __asm__ volatile("outb %b0, %w1" : : "a"(v), "d"(port));
        break;
    case 2:
        __asm__ volatile("outw %w0, %w1" : : "a"(v), "d"(port));
        break;
    default:
        __asm__ volatile("outl %k0, %w1" : : "a"(v), "d"(port));
    }
}

/* A string instruction of every width in one direction; `down` begins at the last element. */
#define REP(insn, down, ...)                                                                       \
    do {                                                                                           \
        if (down)                                                                                  \
            __asm__ volatile("std\n\trep " insn "\n\tcld" __VA_ARGS__);                            \
        else                                                                                       \
            __asm__ volatile("rep " insn __VA_ARGS__);                                             \
    } while (0)

static inline void rep_movs(uint64_t to, uint64_t from, uint64_t n, unsigned size, bool down)
{
#define OPERANDS : "+D"(to), "+S"(from), "+c"(n) : : "memory"
    if (down) {
        to += (n - 1) * size;
        from += (n - 1) * size;
    }
    switch (size) {
    case 1:
        REP("movsb", down, OPERANDS);
        break;
    case 2:
        REP("movsw", down, OPERANDS);
        break;
    case 4:
        REP("movsl", down, OPERANDS);
        break;
    default:
        REP("movsq", down, OPERANDS);
    }
#undef OPERANDS
}

static inline void rep_stos(uint64_t to, uint64_t v, uint64_t n, unsigned size, bool down)
{
#define OPERANDS : "+D"(to), "+c"(n) : "a"(v) : "memory"
    if (down)
        to += (n - 1) * size;
    switch (size) {
    case 1:
        REP("stosb", down, OPERANDS);
        break;
    case 2:
        REP("stosw", down, OPERANDS);
        break;
    case 4:
        REP("stosl", down, OPERANDS);
        break;
    default:
        REP("stosq", down, OPERANDS);
    }
#undef OPERANDS
}

/* Returns the element that was read last. */
static inline uint64_t rep_lods(uint64_t from, uint64_t n, unsigned size, bool down)
{
    uint64_t v = 0;

#define OPERANDS : "+S"(from), "+c"(n), "+a"(v) : : "memory"
    if (down)
        from += (n - 1) * size;
    switch (size) {
    case 1:
        REP("lodsb", down, OPERANDS);
        break;
    case 2:
        REP("lodsw", down, OPERANDS);
        break;
    case 4:
        REP("lodsl", down, OPERANDS);
        break;
    default:
        REP("lodsq", down, OPERANDS);
    }
#undef OPERANDS
    return v;
}

static inline void rep_ins(uint64_t to, uint16_t port, uint64_t n, unsigned size, bool down)
{
#define OPERANDS : "+D"(to), "+c"(n) : "d"(port) : "memory"
    if (down)
        to += (n - 1) * size;
    switch (size) {
    case 1:
        REP("insb", down, OPERANDS);
        break;
    case 2:
        REP("insw", down, OPERANDS);
        break;
    default:
        REP("insl", down, OPERANDS);
    }
#undef OPERANDS
}

static inline void rep_outs(uint16_t port, uint64_t from, uint64_t n, unsigned size, bool down)
{
#define OPERANDS : "+S"(from), "+c"(n) : "d"(port) : "memory"
    if (down)
        from += (n - 1) * size;
    switch (size) {
    case 1:
        REP("outsb", down, OPERANDS);
        break;
    case 2:
        REP("outsw", down, OPERANDS);
        break;
    default:
        REP("outsl", down, OPERANDS);
    }
#undef OPERANDS
}
#undef REP

static inline uint64_t tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void cpuid(uint32_t leaf, uint32_t regs[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                     : "a"(leaf), "c"(0));
}

#endif
