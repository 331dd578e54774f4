/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest physical memory from user space, by /dev/mem:
 *   memtool read SIZE ADDRESS            prints what was read; SIZE is 1, 2, 4 or 8 bytes
 *   memtool write SIZE ADDRESS VALUE
 *   memtool fill ADDRESS LENGTH SEED     writes the pattern of pattern.h; LENGTH in bytes, by 8
 *   memtool check ADDRESS LENGTH SEED    fails unless the pattern is there
 * The kernel allows what isn't its own RAM (CONFIG_STRICT_DEVMEM).
 */
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pattern.h"

static int usage(void)
{
    fprintf(stderr, "usage: memtool read SIZE ADDRESS | write SIZE ADDRESS VALUE |\n"
                    "       fill ADDRESS LENGTH SEED | check ADDRESS LENGTH SEED\n");
    return 2;
}

/* Maps [at, at + length); the mapping stays for the process's short life. */
static volatile void *map(uint64_t at, uint64_t length)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), before = at % page;
    int fd = open("/dev/mem", O_RDWR | O_SYNC);
    char *to;

    if (fd < 0) {
        perror("memtool: /dev/mem");
        exit(1);
    }
    to = mmap(NULL, length + before, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(at - before));
    if (to == MAP_FAILED) {
        perror("memtool: mmap");
        exit(1);
    }
    return to + before;
}

static uint64_t load(volatile void *m, uint64_t size)
{
    switch (size) {
    case 1:
        return *(volatile uint8_t *)m;
    case 2:
        return *(volatile uint16_t *)m;
    case 4:
        return *(volatile uint32_t *)m;
    default:
        return *(volatile uint64_t *)m;
    }
}

static void store(volatile void *m, uint64_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)m = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)m = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)m = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)m = value;
    }
}

static int is_size(uint64_t n)
{
    return n == 1 || n == 2 || n == 4 || n == 8;
}

static int pattern(int writing, uint64_t at, uint64_t length, uint64_t seed)
{
    volatile uint64_t *m = map(at, length);
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < length / 8; i++) {
        if (writing)
            m[i] = pattern_word(seed, i);
        else if (m[i] != pattern_word(seed, i) && wrong++ < 4)
            printf("memtool: wrong at 0x%" PRIx64 ": 0x%" PRIx64 "\n", at + i * 8, m[i]);
    }
    if (!writing)
        printf("memtool: %" PRIu64 " words, %" PRIu64 " wrong\n", length / 8, wrong);
    return wrong > 0;
}

int main(int argc, char **argv)
{
    uint64_t n[3] = {0};

    for (int i = 2; i < argc && i < 5; i++)
        n[i - 2] = strtoull(argv[i], NULL, 0);
    if (argc == 4 && !strcmp(argv[1], "read") && is_size(n[0])) {
        printf("0x%" PRIx64 "\n", load(map(n[1], n[0]), n[0]));
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "write") && is_size(n[0])) {
        store(map(n[1], n[0]), n[0], n[2]);
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "fill") && n[1])
        return pattern(1, n[0], n[1], n[2]);
    if (argc == 5 && !strcmp(argv[1], "check") && n[1])
        return pattern(0, n[0], n[1], n[2]);
    return usage();
}
