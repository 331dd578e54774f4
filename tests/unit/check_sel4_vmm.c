/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMM of tests/progs/sel4-vmm on a simulated guest: every byte of kernel and initrd, and files
 * that make no sense. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengasp/sim.h>

#include "ram/ram_internal.h"
#include "tests/guests/stub/mailbox.h"
#include "tests/progs/sel4-vmm/vmm.h"
#include "tests/unit/guest_fixture.h"

enum {
    PAGE = 4096,
    RAM_END = 64 << 20, /* of what the guest came with */
    OWN_BYTES = 2 << 20,
    BEFORE = 8 * PAGE, /* looked at before the kernel */
    SPAN = 32 * PAGE,  /* enough for the kernel and that */
    DIRT = 0xa5,
    INITRD_BYTES = 5 * PAGE + 321,
    KERNEL_SEGMENTS = 3,
    NOTES = KERNEL_SEGMENTS, /* index of that program header */
    NOTES_AT = sizeof(Elf64_Ehdr) + (KERNEL_SEGMENTS + 1) * sizeof(Elf64_Phdr),
};
#define NONE UINT64_MAX

/* Unaligned, out of order, one with its zeros in RAM that isn't zero, one with nothing else; addr
 * is from the kernel's start. */
static const struct {
    uint64_t addr, file_size, size;
} segments[KERNEL_SEGMENTS] = {
    {3 * PAGE + 123, 9 * PAGE + 77, 12 * PAGE},
    {0, 100, 2 * PAGE + 5},
    {16 * PAGE + 1, 0, PAGE},
};

struct notes {
    Elf64_Nhdr other;
    char other_name[4], other_desc[8];
    Elf64_Nhdr entry;
    char entry_name[4];
    uint64_t entry_desc;
};

struct elf {
    Elf64_Ehdr header;
    Elf64_Phdr segment[KERNEL_SEGMENTS + 1];
    struct notes notes;
    unsigned char data[14 * PAGE];
};
_Static_assert(offsetof(struct elf, notes) == NOTES_AT, "elf");

static struct elf elf;
static unsigned char initrd[INITRD_BYTES];
static int initrd_fd = -1;

static void fill(unsigned char *to, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        to[i] = seed >> 24;
    }
}

static int file_of(const void *data, size_t size)
{
    int fd = memfd_create("check", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
    return fd;
}

static void make_elf(uint64_t start)
{
    uint64_t offset = offsetof(struct elf, data) + 5;

    elf = (struct elf){
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                   .e_machine = EM_X86_64,
                   .e_phoff = offsetof(struct elf, segment),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = KERNEL_SEGMENTS + 1},
        .notes = {.other = {4, 8, 18},
                  .other_name = "GNU",
                  .entry = {4, 8, 18},
                  .entry_name = "Xen",
                  .entry_desc = start + 40}};
    fill(elf.data, sizeof(elf.data), 1);
    for (size_t i = 0; i < KERNEL_SEGMENTS; i++) {
        elf.segment[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                      .p_offset = offset,
                                      .p_paddr = start + segments[i].addr,
                                      .p_filesz = segments[i].file_size,
                                      .p_memsz = segments[i].size};
        offset += segments[i].file_size;
    }
    elf.segment[NOTES] =
        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = sizeof(struct notes)};
}

/* The guest's own RAM around the border isn't zero; the stub waits. */
static void set_up(void)
{
    static unsigned char dirt[SPAN];

    open_guest(1, false);
    memset(dirt, DIRT, sizeof(dirt));
    ck_assert_int_eq(vm_ram_write(gsp, RAM_END - SPAN, dirt, sizeof(dirt)), 0);
    ck_assert_int_eq(vm_ram_store32(gsp, STUB_MAILBOX, STUB_WAITS), 0);
    fill(initrd, sizeof(initrd), 2);
    initrd_fd = file_of(initrd, sizeof(initrd));
}

static void clean_up(void)
{
    close(initrd_fd);
    tear_down();
}

/* 0 or errno. */
static int boot(struct boot_input input, struct boot_result *result_r)
{
    int fd = file_of(&elf, sizeof(elf)), rc;

    input.kernel_fd = fd;
    if (input.ram_size == 0)
        input.ram_size = OWN_BYTES;
    errno = 0;
    rc = vmm_boot(gsp, &input, result_r) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

/* What is from `from` on; with no kernel, when `start` is NONE. */
static void expect_memory(uint64_t from, uint64_t to, uint64_t start)
{
    static unsigned char expected[SPAN], found[SPAN];
    const unsigned char *file = (const unsigned char *)&elf;

    ck_assert_uint_le(to - from, SPAN);
    for (uint64_t at = from; at < to; at++)
        expected[at - from] = at < RAM_END ? DIRT : 0;
    for (size_t i = 0; i < KERNEL_SEGMENTS && start != NONE; i++) {
        unsigned char *at = expected + (start + segments[i].addr - from);

        memset(at, 0, segments[i].size);
        memcpy(at, file + elf.segment[i].p_offset, segments[i].file_size);
    }
    ck_assert_int_eq(vm_ram_read(gsp, from, found, to - from), 0);
    for (uint64_t at = from; at < to; at++)
        if (expected[at - from] != found[at - from])
            ck_abort_msg("%#lx: %#x instead of %#x", at, found[at - from], expected[at - from]);
}

static uint32_t word_at(uint64_t gpa)
{
    uint32_t word = 0;

    ck_assert_int_eq(vm_ram_load32(gsp, gpa, &word), 0);
    return word;
}

static void expect_boot_page(const struct boot_result *result, const char *cmdline)
{
    struct boot_start_info info;
    struct boot_module module;
    char text[64] = "";

    ck_assert_int_eq(vm_ram_read(gsp, result->start_info, &info, sizeof(info)), 0);
    ck_assert_uint_eq(info.magic, BOOT_START_INFO_MAGIC);
    ck_assert_uint_eq(info.version, 1);
    ck_assert_uint_eq(info.nr_modules, 1);
    ck_assert_int_eq(vm_ram_read(gsp, info.modlist, &module, sizeof(module)), 0);
    ck_assert_uint_eq(module.start, result->initrd);
    ck_assert_uint_eq(module.size, INITRD_BYTES);
    ck_assert_int_eq(vm_ram_read(gsp, info.cmdline, text, strlen(cmdline) + 1), 0);
    ck_assert_str_eq(text, cmdline);
}

/* Xl's start_info, from which the stub takes the memory map. */
static bool map_has(uint64_t addr, uint64_t size)
{
    struct start_info_memmap_entry entry[START_INFO_MAX_ENTRIES];
    struct start_info info;
    uint64_t gpa;

    ck_assert_int_eq(ram_read_start_info(&gsp->gasp.ram, &gpa, &info, entry), 1);
    for (uint32_t i = 0; i < info.memmap_entries; i++)
        if (entry[i].type == RAM_MAP_RAM && entry[i].addr == addr && entry[i].size == size)
            return true;
    return false;
}

static const int64_t kernel_starts[] = {
    -5 * PAGE,  /* the first segment's bytes cross from xl's RAM into ours, the second's zeros are
                   in xl's */
    -PAGE,      /* the second's zeros cross */
    -18 * PAGE, /* all in xl's */
    -16 * PAGE - 1, /* the last begins in ours */
    9 * PAGE + 16,  /* all in ours */
};

START_TEST(loads_every_byte_across_the_border)
{
    static unsigned char found[OWN_BYTES];
    const uint64_t start = RAM_END + kernel_starts[_i];
    const uint64_t end = start + 17 * PAGE + 1, from = start - BEFORE;
    struct boot_result result;
    uintptr_t addr;
    size_t size;

    make_elf(start);
    if (_i % 2) { /* an entry of 4 bytes */
        elf.notes.entry.n_descsz = 4;
        elf.notes.entry_desc |= UINT64_C(1) << 63;
    }
    ck_assert_int_eq(boot((struct boot_input){.initrd_fd = initrd_fd, .cmdline = "a=b c"}, &result),
                     0);
    ck_assert_uint_eq(result.kernel.first, start);
    ck_assert_uint_eq(result.kernel.last, end - 1);
    ck_assert_uint_eq(result.kernel.entry, start + 40);
    expect_memory(from, end, start);
    ck_assert_uint_ge(result.initrd, end);
    ck_assert_uint_eq(result.initrd % PAGE, 0);
    ck_assert_uint_le(result.initrd + INITRD_BYTES, RAM_END + OWN_BYTES);
    ck_assert_int_eq(vm_ram_read(gsp, result.initrd, found, INITRD_BYTES), 0);
    ck_assert_mem_eq(found, initrd, INITRD_BYTES);
    ck_assert_int_eq(vm_ram_find_largest_free_region(gsp, &addr, &size), 0);
    ck_assert_uint_ge(addr, end);
    ck_assert_uint_le(addr + size, result.initrd);
    expect_boot_page(&result, "a=b c");
    ck_assert(map_has(RAM_END, OWN_BYTES));
    ck_assert_uint_eq(word_at(STUB_MAILBOX), STUB_GO);
    ck_assert_uint_eq(word_at(STUB_MAILBOX + 4), start + 40);
    ck_assert_uint_eq(word_at(STUB_MAILBOX + 8), result.start_info);
}
END_TEST

/* ---- files that make no sense ---- */

#define IN_HEADER(field) offsetof(struct elf, header.field), sizeof(elf.header.field)
#define IN_SEGMENT(i, field) offsetof(struct elf, segment[i].field), sizeof(elf.segment[0].field)
#define IN_NOTES(field) offsetof(struct elf, notes.field), sizeof(elf.notes.field)

static const struct bad {
    size_t at, size;
    uint64_t value;
    int error;
} bad[] = {
    {IN_HEADER(e_ident[1]), 'e', ENOEXEC},
    {IN_HEADER(e_ident[EI_CLASS]), ELFCLASS32, ENOEXEC},
    {IN_HEADER(e_ident[EI_DATA]), ELFDATA2MSB, ENOEXEC},
    {IN_HEADER(e_machine), EM_386, ENOEXEC},
    {IN_HEADER(e_phentsize), sizeof(Elf32_Phdr), ENOEXEC},
    {IN_HEADER(e_phnum), 0, ENOEXEC},
    {IN_HEADER(e_phnum), 33, ENOEXEC},
    {IN_HEADER(e_phnum), UINT16_MAX, ENOEXEC},
    {IN_HEADER(e_phoff), sizeof(elf) - 4 * sizeof(Elf64_Phdr) + 1, ENOEXEC},
    {IN_HEADER(e_phoff), UINT64_MAX - 8, ENOEXEC},
    {IN_SEGMENT(0, p_filesz), 12 * PAGE + 1, ENOEXEC}, /* more than p_memsz */
    {IN_SEGMENT(0, p_filesz), UINT64_MAX, ENOEXEC},
    {IN_SEGMENT(0, p_offset), sizeof(elf) - 9 * PAGE - 77 + 1, ENOEXEC}, /* a byte too far */
    {IN_SEGMENT(0, p_offset), UINT64_MAX - PAGE, ENOEXEC},
    {IN_SEGMENT(2, p_offset), sizeof(elf) + 1, ENOEXEC}, /* though nothing is read there */
    {IN_SEGMENT(0, p_memsz), -(RAM_END - 2 * PAGE + UINT64_C(123)) + 1,
     ENOEXEC}, /* wraps by a byte */
    {IN_SEGMENT(0, p_memsz), -(RAM_END - 2 * PAGE + UINT64_C(123)), ENOENT},
    {IN_SEGMENT(0, p_memsz), UINT64_MAX, ENOEXEC},
    {IN_SEGMENT(0, p_paddr), -(12 * PAGE) + 1, ENOEXEC}, /* wraps by a byte */
    {IN_SEGMENT(0, p_paddr), -(12 * PAGE), ENOENT},
    {IN_SEGMENT(0, p_paddr), UINT64_C(1) << 36, ENOENT},
    {IN_SEGMENT(0, p_paddr), RAM_END + OWN_BYTES, ENOENT},
    {IN_SEGMENT(0, p_paddr), RAM_END + OWN_BYTES - 12 * PAGE + 1, ENOENT}, /* a byte too far */
    {IN_SEGMENT(0, p_paddr), RAM_END + OWN_BYTES - 12 * PAGE, ENOMEM},     /* no room is left */
    {IN_SEGMENT(0, p_memsz), OWN_BYTES + 12 * PAGE, ENOENT},
    {IN_SEGMENT(1, p_memsz), 0, ENOEXEC}, /* the entry is in it */
    {IN_SEGMENT(1, p_type), PT_NULL, ENOEXEC},
    {IN_SEGMENT(NOTES, p_type), PT_NULL, ENOEXEC},
    {IN_SEGMENT(NOTES, p_offset), sizeof(elf), ENOEXEC},
    {IN_SEGMENT(NOTES, p_filesz), UINT64_MAX, ENOEXEC},
    {IN_SEGMENT(NOTES, p_filesz), 16385, ENOEXEC},
    {IN_SEGMENT(NOTES, p_filesz), sizeof(struct notes) - 1, ENOEXEC},
    {IN_SEGMENT(NOTES, p_filesz), offsetof(struct notes, entry) + 11, ENOEXEC},
    {IN_SEGMENT(NOTES, p_filesz), 0, ENOEXEC},
    {IN_NOTES(other.n_namesz), UINT32_MAX, ENOEXEC},
    {IN_NOTES(other.n_descsz), UINT32_MAX, ENOEXEC},
    {IN_NOTES(entry.n_type), 17, ENOEXEC},
    {IN_NOTES(entry_name), 'G', ENOEXEC},
    {IN_NOTES(entry.n_namesz), 3, ENOEXEC},
    {IN_NOTES(entry.n_descsz), 6, ENOEXEC},
    {IN_NOTES(entry.n_descsz), 4, 0},
    {IN_NOTES(entry_desc), RAM_END - BEFORE, ENOEXEC},        /* before the first segment */
    {IN_NOTES(entry_desc), RAM_END + 12 * PAGE + 1, ENOEXEC}, /* behind the last */
    {IN_NOTES(entry_desc), UINT64_C(1) << 32, ENOEXEC},
};

START_TEST(refuses_a_bad_kernel)
{
    const struct bad *row = &bad[_i];
    struct boot_result result;

    make_elf(RAM_END - 5 * PAGE);
    memcpy((char *)&elf + row->at, &row->value, row->size);
    ck_assert_int_eq(boot((struct boot_input){.initrd_fd = initrd_fd, .cmdline = ""}, &result),
                     row->error);
    if (!row->error)
        return;
    ck_assert_uint_eq(word_at(STUB_MAILBOX), STUB_WAITS);
    if (row->error == ENOEXEC) /* nothing has been written */
        expect_memory(RAM_END - SPAN / 2, RAM_END + SPAN / 2, NONE);
}
END_TEST

/* Wherever the file ends, all or nothing. */
START_TEST(refuses_a_truncated_kernel)
{
    struct kernel_image kernel;
    size_t needed;
    int fd;

    make_elf(RAM_END - 5 * PAGE);
    needed = elf.segment[1].p_offset + segments[1].file_size;
    ck_assert_int_eq(vm_ram_register_at(gsp, RAM_END, OWN_BYTES, false), 0);
    for (size_t size = 0; size < needed; size += size < offsetof(struct elf, data) ? 1 : 98) {
        fd = file_of(&elf, size);
        errno = 0;
        ck_assert_int_eq(image_load_kernel(gsp, fd, &kernel), -1);
        ck_assert_int_eq(errno, ENOEXEC);
        close(fd);
    }
    fd = file_of(&elf, needed - 1);
    ck_assert_int_eq(image_load_kernel(gsp, fd, &kernel), -1);
    close(fd);
    expect_memory(RAM_END - SPAN / 2, RAM_END + SPAN / 2, NONE);
    fd = file_of(&elf, needed);
    ck_assert_int_eq(image_load_kernel(gsp, fd, &kernel), 0);
    close(fd);
}
END_TEST

/* Each byte of the headers, to values that are near a border. */
START_TEST(survives_any_header)
{
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    const size_t end = offsetof(struct elf, data);
    unsigned loaded = 0, refused = 0;
    struct kernel_image kernel;
    int fd;

    make_elf(RAM_END - 5 * PAGE);
    ck_assert_int_eq(vm_ram_register_at(gsp, RAM_END, OWN_BYTES, false), 0);
    fd = file_of(&elf, sizeof(elf));
    for (size_t i = 0; i < end * sizeof(values); i++) {
        const size_t at = i / sizeof(values);

        ck_assert_int_eq(pwrite(fd, &values[i % sizeof(values)], 1, (off_t)at), 1);
        errno = 0;
        if (image_load_kernel(gsp, fd, &kernel) == 0)
            loaded++;
        else if (errno == ENOEXEC || errno == ENOENT)
            refused++;
        ck_assert_int_eq(pwrite(fd, (char *)&elf + at, 1, (off_t)at), 1);
    }
    close(fd);
    ck_assert_uint_eq(loaded + refused, end * sizeof(values));
    ck_assert_uint_gt(loaded, 100);
    ck_assert_uint_gt(refused, 500);
}
END_TEST

/* ---- the rest ---- */

/* Beside the kernel, which leaves OWN_BYTES - 12 * PAGE - 1, and the boot page. */
static const struct initrd_row {
    off_t size;
    int error;
} initrds[] = {
    {0, EINVAL},
    {OWN_BYTES, ENOMEM},
    {INT64_C(1) << 40, ENOMEM},
    {OWN_BYTES - 12 * PAGE - 1, ENOMEM}, /* but for its alignment */
    {OWN_BYTES - 13 * PAGE, ENOMEM},     /* but for the boot page */
    {OWN_BYTES - 15 * PAGE, 0},
};

START_TEST(finds_room_for_the_initrd)
{
    struct boot_input input = {.initrd_fd = memfd_create("check", MFD_CLOEXEC), .cmdline = ""};
    struct boot_result result;

    make_elf(RAM_END - 5 * PAGE);
    ck_assert_int_eq(ftruncate(input.initrd_fd, initrds[_i].size), 0);
    ck_assert_int_eq(boot(input, &result), initrds[_i].error);
    close(input.initrd_fd);
}
END_TEST

START_TEST(refuses_what_cannot_boot)
{
    static char cmdline[PAGE];
    struct boot_input input = {.initrd_fd = initrd_fd, .cmdline = ""};
    struct boot_result result;
    int expected = 0;

    make_elf(_i == 3 ? STUB_END - PAGE : RAM_END - 5 * PAGE);
    switch (_i) {
    case 0:
        ck_assert_int_eq(vm_ram_store32(gsp, STUB_MAILBOX, 0), 0); /* not the stub */
        expected = ENOTSUP;
        break;
    case 1:
        input.initrd_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        expected = EISDIR; /* what the callback met with */
        break;
    case 2:
        memset(cmdline, 'x', sizeof(cmdline) - 1);
        input.cmdline = cmdline;
        expected = E2BIG;
        break;
    case 3:
        expected = EADDRINUSE; /* the kernel lies over the stub */
        break;
    case 4:
        input.ram_size = UINT64_C(1) << 40;
        expected = EOVERFLOW;
        break;
    }
    ck_assert_int_eq(boot(input, &result), expected);
    ck_assert_uint_ne(word_at(STUB_MAILBOX), STUB_GO);
    if (input.initrd_fd != initrd_fd)
        close(input.initrd_fd);
}
END_TEST

/* The entry is for 32-bit mode. */
START_TEST(refuses_an_entry_above_4_gib)
{
    const uint64_t start = UINT64_C(1) << 32;
    int fd;
    struct kernel_image kernel;

    make_elf(start);
    ck_assert_int_eq(vm_ram_register_at(gsp, start, OWN_BYTES, false), 0);
    fd = file_of(&elf, sizeof(elf));
    errno = 0;
    ck_assert_int_eq(image_load_kernel(gsp, fd, &kernel), -1);
    ck_assert_int_eq(errno, ENOEXEC);
    close(fd);
}
END_TEST

/* The file became shorter while it was read: what the callback says is the touch's result. */
START_TEST(stops_where_a_file_ends)
{
    errno = 0;
    ck_assert_int_eq(image_load_file(gsp, initrd_fd, RAM_END - SPAN, INITRD_BYTES + 1), -1);
    ck_assert_int_eq(errno, EIO);
    ck_assert_int_eq(image_load_file(gsp, initrd_fd, RAM_END - SPAN, INITRD_BYTES), 0);
}
END_TEST

/* Of the hypervisor, each at a place of its own. Then there is no kernel to go to, or all of it. */
START_TEST(each_call_fails)
{
    bool all_tried = false;
    unsigned failed = 0;

    make_elf(RAM_END - 5 * PAGE);
    for (unsigned n = 1; !all_tried; n++) {
        const unsigned long calls = sim_calls(gsp);
        struct boot_result result;
        int error;

        ck_assert_int_eq(sim_fail_call(gsp, n, ENOMEM), 0);
        error = boot((struct boot_input){.initrd_fd = initrd_fd, .cmdline = ""}, &result);
        all_tried = sim_calls(gsp) - calls < n;
        ck_assert_int_eq(sim_fail_call(gsp, 0, 0), 0);
        failed += error != 0;
        ck_assert_int_eq(word_at(STUB_MAILBOX) == STUB_GO, error == 0);
        if (error == 0)
            expect_memory(RAM_END - 5 * PAGE - BEFORE, RAM_END + 12 * PAGE, RAM_END - 5 * PAGE);
        clean_up();
        set_up();
    }
    ck_assert_uint_gt(failed, 5);
}
END_TEST

static Suite *make_suite(void)
{
    enum {
        BAD = sizeof(bad) / sizeof(bad[0]),
        INITRDS = sizeof(initrds) / sizeof(initrds[0]),
        STARTS = sizeof(kernel_starts) / sizeof(kernel_starts[0]),
    };
    Suite *suite = suite_create("sel4_vmm");
    TCase *tc = tcase_create("sel4_vmm");

    tcase_add_checked_fixture(tc, set_up, clean_up);
    tcase_add_loop_test(tc, loads_every_byte_across_the_border, 0, STARTS);
    tcase_add_loop_test(tc, refuses_a_bad_kernel, 0, BAD);
    tcase_add_test(tc, refuses_a_truncated_kernel);
    tcase_add_test(tc, survives_any_header);
    tcase_add_loop_test(tc, finds_room_for_the_initrd, 0, INITRDS);
    tcase_add_loop_test(tc, refuses_what_cannot_boot, 0, 5);
    tcase_add_test(tc, refuses_an_entry_above_4_gib);
    tcase_add_test(tc, stops_where_a_file_ends);
    tcase_add_test(tc, each_call_fails);
    suite_add_tcase(suite, tc);
    return suite;
}

CHECK_MAIN(make_suite)
