/* SPDX-License-Identifier: BSD-2-Clause */
/* A fuzzer's main without libFuzzer. */
#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { DEFAULT_ROUNDS = 5000, INPUT_BYTES = 600 };

static int play_file(const char *name)
{
    uint8_t data[1 << 16];
    FILE *file = fopen(name, "rb");
    size_t size;

    if (!file) {
        perror(name);
        return -1;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

/* A file, or every file of a directory. */
static int play(const char *name)
{
    DIR *dir = opendir(name);
    struct dirent *entry;
    char path[PATH_MAX];
    int failed = 0;

    if (!dir)
        return play_file(name);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
        if (entry->d_name[0] != '.')
            failed |= play_file(path);
    }
    closedir(dir);
    return failed;
}

static void play_random(uint64_t seed, unsigned long rounds)
{
    uint8_t data[INPUT_BYTES];

    for (unsigned long round = 0; round < rounds; round++) {
        for (size_t i = 0; i < sizeof(data); i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            data[i] = (uint8_t)(seed >> 32);
        }
        LLVMFuzzerTestOneInput(data, sizeof(data));
    }
}

/* PROGRAM [FILE|DIRECTORY...], or PROGRAM -s SEED ROUNDS */
int main(int argc, char **argv)
{
    int failed = 0;

    if (argc == 4 && strcmp(argv[1], "-s") == 0)
        play_random(strtoull(argv[2], NULL, 0) | 1, strtoul(argv[3], NULL, 0));
    else if (argc > 1)
        for (int i = 1; i < argc; i++)
            failed |= play(argv[i]);
    else
        play_random(1, DEFAULT_ROUNDS);
    printf("1..1\n%s 1 - as the array of cells says\n", failed ? "not ok" : "ok");
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
