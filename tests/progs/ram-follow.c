/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads all of a guest's RAM and writes some of it, again and again, while the guest's balloon takes
 * pages away and brings them back:
 *   ram-follow DOMID MIB
 * before the guest's first unpause. Registers 4 MiB at 2 GiB, which it writes; the guest has to keep
 * out (memmap=4M$2G). Answers for nothing, so Xen tells it nothing. On stdin:
 *   count TEXT    prints how many pages of the first MIB hold nothing but lines of TEXT (63 bytes)
 *   end           prints what was done, and ends
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

#define OWN UINT64_C(0x80000000)
enum { OWN_BYTES = 4 << 20, PAGE = 4096, LINE = 64 };

static struct guest_system *guest;
static uint64_t ram_bytes;
static atomic_bool ending;
static _Atomic uint64_t pages_read, pages_missing, pages_written, wrong;

static void *serve(void *arg)
{
    if (guest_run(guest) < 0)
        perror("ram-follow: guest_run");
    return arg;
}

static void *read_all(void *arg)
{
    char page[PAGE];

    for (uint64_t gpa = 0; !ending; gpa = gpa + PAGE < ram_bytes ? gpa + PAGE : 0) {
        if (vm_ram_read(guest, gpa, page, PAGE) == 0)
            pages_read++;
        else if (errno == ENOENT)
            pages_missing++;
        else
            wrong++;
    }
    return arg;
}

static void *write_own(void *arg)
{
    uint64_t page[PAGE / 8], seen[PAGE / 8];

    for (uint64_t n = 0; !ending; n++) {
        uint64_t gpa = OWN + n * PAGE % OWN_BYTES;

        for (unsigned i = 0; i < PAGE / 8; i++)
            page[i] = n * 1000 + i;
        if (vm_ram_write(guest, gpa, page, PAGE) < 0 || vm_ram_read(guest, gpa, seen, PAGE) < 0 ||
            memcmp(page, seen, PAGE) != 0)
            wrong++;
        pages_written++;
    }
    return arg;
}

static uint64_t count(const char *text)
{
    char page[PAGE], line[LINE + 1];
    uint64_t n = 0;

    snprintf(line, sizeof(line), "%-63.63s\n", text);
    for (uint64_t gpa = 0; gpa < ram_bytes; gpa += PAGE) {
        size_t at = 0;

        if (vm_ram_read(guest, gpa, page, PAGE) < 0)
            continue;
        while (at < PAGE && memcmp(page + at, line, LINE) == 0)
            at += LINE;
        n += at == PAGE;
    }
    return n;
}

int main(int argc, char **argv)
{
    static void *(*const part[])(void *) = {serve, read_all, write_own};
    pthread_t thread[3];
    char line[256];

    if (argc != 3 || guest_open_xen(&guest, (uint32_t)strtoul(argv[1], NULL, 0), NULL) < 0 ||
        vm_ram_register_at(guest, OWN, OWN_BYTES, false) < 0 || guest_configured(guest) < 0) {
        perror("ram-follow");
        return 1;
    }
    ram_bytes = strtoull(argv[2], NULL, 0) << 20;
    for (unsigned i = 0; i < 3; i++)
        if (pthread_create(&thread[i], NULL, part[i], NULL) != 0)
            return 1;
    setlinebuf(stdout);
    puts("ready");
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "count ", 6) == 0)
            printf("%s: %llu pages\n", line + 6, (unsigned long long)count(line + 6));
    }
    ending = true;
    guest_stop(guest);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    printf("read %llu pages, missed %llu, wrote %llu, wrong %llu\n", (unsigned long long)pages_read,
           (unsigned long long)pages_missing, (unsigned long long)pages_written,
           (unsigned long long)wrong);
    guest_close(guest);
    return wrong ? 1 : 0;
}
