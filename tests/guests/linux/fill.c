/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uses memory as a program does, until enough of it is where it is looked for:
 *   fill START SIZE MIB ALL_MIB
 * Touches pages of its own until MIB of them lie in the guest's physical [START, START + SIZE), as
 * /proc/self/pagemap tells, and it has ALL_MIB altogether, or until memory runs short. Each page is
 * filled with the pattern of pattern.h, its frame number as the seed, so that whoever sees the frame
 * can check it. Then it checks its pages, names some of them, waits for somebody who can write to the
 * guest's memory to put a word that isn't 0 where it says, and checks them once more. Fails when a
 * page holds something else, when there weren't enough, or when nobody comes.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "pattern.h"

enum {
    PAGE = 4096,
    WORDS = PAGE / 8,
    PAGES_A_MIB = 256,
    MOST_PAGES = 512 * PAGES_A_MIB,
    BATCH = 64,
    SHORT_MIB = 12, /* what is left to the rest of the guest */
    SAMPLES = 16,
    WAIT_SECONDS = 120,
};

struct fill {
    uint64_t start, size; /* of the physical memory that is looked for */
    uint64_t *mem;
    int pagemap;
    uint64_t n, inside;       /* pages, of which there */
    uint64_t pfn[MOST_PAGES]; /* of each */
};

static uint64_t *page(struct fill *f, uint64_t i)
{
    return f->mem + i * WORDS;
}

static int is_inside(const struct fill *f, uint64_t i)
{
    return f->pfn[i] * PAGE - f->start < f->size;
}

/* The frames of n pages; 0 if it is told. */
static int get_frames(struct fill *f, uint64_t first, uint64_t n, uint64_t *pfn)
{
    uint64_t at = (uintptr_t)page(f, first) / PAGE * 8;

    if (pread(f->pagemap, pfn, n * 8, (off_t)at) != (ssize_t)(n * 8))
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (!(pfn[i] >> 63)) /* it isn't present */
            return -1;
        pfn[i] &= (UINT64_C(1) << 55) - 1;
        if (!pfn[i]) /* hidden from who isn't root */
            return -1;
    }
    return 0;
}

static int memory_is_short(void)
{
    struct sysinfo info;

    return sysinfo(&info) < 0 || info.freeram * info.mem_unit >> 20 < SHORT_MIB;
}

static int take_batch(struct fill *f)
{
    for (uint64_t i = f->n; i < f->n + BATCH; i++)
        *(volatile uint64_t *)page(f, i) = 0;
    if (get_frames(f, f->n, BATCH, f->pfn + f->n) < 0) {
        fprintf(stderr, "fill: /proc/self/pagemap doesn't tell\n");
        return -1;
    }
    for (uint64_t i = f->n; i < f->n + BATCH; i++) {
        f->inside += is_inside(f, i);
        for (unsigned k = 0; k < WORDS; k++)
            page(f, i)[k] = pattern_word(f->pfn[i], k);
    }
    f->n += BATCH;
    return 0;
}

/* How many pages hold something else, or lie elsewhere by now. `but`: not this one. */
static uint64_t check(struct fill *f, uint64_t but)
{
    uint64_t wrong = 0, pfn;

    for (uint64_t i = 0; i < f->n; i++) {
        unsigned k = 0;

        if (i == but)
            continue;
        while (k < WORDS && page(f, i)[k] == pattern_word(f->pfn[i], k))
            k++;
        if (k == WORDS && get_frames(f, i, 1, &pfn) == 0 && pfn == f->pfn[i])
            continue;
        if (wrong++ < 4)
            printf("fill: the page at 0x%" PRIx64 " is wrong from word %u on\n", f->pfn[i] * PAGE,
                   k);
    }
    return wrong;
}

/* Names some of the pages that lie inside, and returns the last of them. */
static uint64_t name_samples(struct fill *f)
{
    uint64_t step = f->inside / SAMPLES + 1, seen = 0, last = 0;

    for (uint64_t i = 0; i < f->n; i++) {
        if (!is_inside(f, i))
            continue;
        if (seen++ % step == 0)
            printf("fill: sample 0x%" PRIx64 " %" PRIu64 "\n", f->pfn[i] * PAGE, f->pfn[i]);
        last = i;
    }
    return last;
}

static int wait_for_word(const uint64_t *word)
{
    for (int i = 0; i < WAIT_SECONDS * 10; i++) {
        if (*(const volatile uint64_t *)word)
            return 0;
        usleep(100000);
    }
    printf("fill: nobody came\n");
    return -1;
}

static int run(struct fill *f, uint64_t mib, uint64_t all_mib)
{
    uint64_t wrong, letter;

    while ((f->inside < mib * PAGES_A_MIB || f->n < all_mib * PAGES_A_MIB) &&
           f->n + BATCH <= MOST_PAGES && !memory_is_short())
        if (take_batch(f) < 0)
            return -1;
    wrong = check(f, UINT64_MAX);
    printf("fill: %" PRIu64 " pages, %" PRIu64 " of them inside, %" PRIu64 " wrong\n", f->n,
           f->inside, wrong);
    if (wrong || f->inside < mib * PAGES_A_MIB || f->n < all_mib * PAGES_A_MIB)
        return -1;
    letter = name_samples(f);
    page(f, letter)[0] = 0;
    printf("fill: waits for a word at 0x%" PRIx64 "\n", f->pfn[letter] * PAGE);
    fflush(stdout);
    if (wait_for_word(page(f, letter)) < 0)
        return -1;
    wrong = check(f, letter);
    printf("fill: has word 0x%" PRIx64 ", %" PRIu64 " pages wrong\n", page(f, letter)[0], wrong);
    return wrong ? -1 : 0;
}

int main(int argc, char **argv)
{
    static struct fill f;
    void *mem;

    if (argc != 5) {
        fprintf(stderr, "usage: fill START SIZE MIB ALL_MIB\n");
        return 2;
    }
    f.start = strtoull(argv[1], NULL, 0);
    f.size = strtoull(argv[2], NULL, 0);
    f.pagemap = open("/proc/self/pagemap", O_RDONLY);
    mem = mmap(NULL, (size_t)MOST_PAGES * PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f.pagemap < 0 || mem == MAP_FAILED) {
        perror("fill");
        return 1;
    }
    /* Small pages stay where they are; the kernel gathers them into large ones. */
    madvise(mem, (size_t)MOST_PAGES * PAGE, MADV_NOHUGEPAGE);
    f.mem = mem;
    return run(&f, strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0)) < 0 ? 1 : 0;
}
