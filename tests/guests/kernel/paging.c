/* SPDX-License-Identifier: BSD-2-Clause */
/* Identity mappings beyond the first 4 GiB, made when they are first needed, in 2 MiB pages. */
#include "kernel.h"

#define PRESENT_WRITABLE 3u
#define LARGE 0x80u
#define ADDRESS_BITS 0x000ffffffffff000u
#define LARGE_PAGE 0x200000u

extern uint64_t page_l4[512];

static uint64_t pool[64][512] __attribute__((aligned(4096)));
static size_t pool_used;

static uint64_t *next_level(uint64_t *entry)
{
    if (!*entry) {
        if (pool_used == ARRAY_SIZE(pool)) {
            say("out of page tables");
            say("done FAILED 1");
            shut_down();
        }
        *entry = (uint64_t)pool[pool_used++] | PRESENT_WRITABLE;
    }
    return (uint64_t *)(*entry & ADDRESS_BITS);
}

void reach(uint64_t first, uint64_t size)
{
    uint64_t last = first + size - 1;

    for (uint64_t at = first & ~(uint64_t)(LARGE_PAGE - 1); at <= last; at += LARGE_PAGE) {
        uint64_t *l3, *l2;

        if (at < (uint64_t)1 << 32)
            continue;
        l3 = next_level(&page_l4[at >> 39 & 511]);
        l2 = next_level(&l3[at >> 30 & 511]);
        l2[at >> 21 & 511] = at | LARGE | PRESENT_WRITABLE;
    }
}
