/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An access, written as a word of the parameters:
 * KIND[SIZE][-]@ADDRESS[,COUNT][=VALUE[+STEP]][<PORT]
 *
 *   r w in out        one access (r4@0xfe000000=0x11, w8@..=5, in1@0x2000, out4@0x2000=7)
 *   add               lock xadd: VALUE is added, what was there is printed
 *   rmovs wmovs       rep movs from ADDRESS into RAM, from RAM to ADDRESS, COUNT elements
 *   stos lods         rep stos, rep lods
 *   ins outs          rep ins, rep outs
 *   ramr ramw         check, write the pattern of seed VALUE over COUNT bytes (pattern.h)
 *   until             read until VALUE is there
 *   irq               wait until the vector ADDRESS was taken VALUE times
 *   pause             wait ADDRESS thousands of TSC cycles
 *
 * A "-" after the size: the string instruction runs downwards. With a VALUE, element i that is read
 * must be VALUE + i * STEP; what is written is VALUE + i * STEP too. i counts upwards in memory; of
 * a port's elements, in time. <PORT is for run=bench: 4 bytes of that port are read before each
 * access, untimed.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "kernel.h"

enum access_kind {
    ACCESS_R,
    ACCESS_W,
    ACCESS_IN,
    ACCESS_OUT,
    ACCESS_ADD,
    ACCESS_RMOVS,
    ACCESS_WMOVS,
    ACCESS_STOS,
    ACCESS_LODS,
    ACCESS_INS,
    ACCESS_OUTS,
    ACCESS_RAMR,
    ACCESS_RAMW,
    ACCESS_UNTIL,
    ACCESS_IRQ,
    ACCESS_PAUSE,
    ACCESS_KINDS
};

#define ACCESS_ELEMENTS_MAX 512

struct access {
    enum access_kind kind;
    const char *text; /* the word itself, for messages */
    int text_length;
    unsigned size; /* bytes of an element */
    bool down;
    bool has_value;
    uint64_t at;    /* guest physical address, or port */
    uint64_t count; /* elements; bytes for ramr and ramw */
    uint64_t value;
    uint64_t step;
    bool has_before;
    uint64_t before; /* port */
};

/* Parses the first access after `after` (NULL: of all). Returns where to go on, NULL at the end. A
 * word that is none ends the kernel with a message. */
const char *access_next(const char *after, struct access *a);

/* Performs it without looking at the result, but for what the instruction returned. */
uint64_t access_perform(const struct access *a, void *buffer);

#endif
