/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pattern for memory that the test kernel, a Linux guest's memtool and programs in dom0 write and
 * check alike: the 64-bit word number i after the start, in little-endian order, is
 * pattern_word(seed, i). Lengths are multiples of 8.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdint.h>

static inline uint64_t pattern_word(uint64_t seed, uint64_t i)
{
    uint64_t v = seed * 0x9e3779b97f4a7c15u + i + 1; /* splitmix64 */

    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

#endif
