/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzzers share. Each is built twice: with libFuzzer, and with replay.c as a test that
 * plays files back, or makes inputs up from a seed.
 */
#ifndef XENGASP_TESTS_FUZZ_H
#define XENGASP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct input {
    const uint8_t *data;
    size_t size;
};

/* The next byte; 0 when there are no more. */
static inline unsigned take(struct input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

#endif
