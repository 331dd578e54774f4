/* SPDX-License-Identifier: BSD-2-Clause */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_SEGMENTS = 32,
    MAX_NOTES = 16384, /* bytes of a note segment; more can't be needed */
    PVH_ENTRY = 18,    /* XEN_ELFNOTE_PHYS32_ENTRY */
};

struct elf_file {
    int fd;
    uint64_t size;
    Elf64_Ehdr header;
    Elf64_Phdr segment[MAX_SEGMENTS];
};

struct file_part {
    int fd;
    uint64_t start, size; /* in the file; what is beyond it is zero */
};

static int fail(int error)
{
    errno = error;
    return -1;
}

int image_touch(vm_t *vm, uintptr_t addr, size_t size, ram_touch_callback_fn fn, void *cookie)
{
    int rc;

    errno = EFAULT; /* libsel4vm tells nothing but -1 */
    rc = vm_ram_touch(vm, addr, size, fn, cookie);
    return rc > 0 ? fail(rc) : rc;
}

static int read_file(int fd, void *buf, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)buf + done, size - done, (off_t)(at + done));

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return n == 0 ? EIO : errno;
    }
    return 0;
}

/* Straight from the file into the guest's page. */
static int load_page(vm_t *vm, uintptr_t guest_addr, void *vaddr, size_t size, size_t offset,
                     void *cookie)
{
    const struct file_part *part = cookie;
    size_t there = 0;

    (void)vm;
    (void)guest_addr;
    if (offset < part->size)
        there = part->size - offset < size ? part->size - offset : size;
    memset((char *)vaddr + there, 0, size - there);
    return read_file(part->fd, vaddr, there, part->start + offset);
}

int image_load_file(vm_t *vm, int fd, uintptr_t addr, size_t size)
{
    struct file_part part = {.fd = fd, .size = size};

    return image_touch(vm, addr, size, load_page, &part);
}

static bool inside(uint64_t start, uint64_t size, uint64_t limit)
{
    return start <= limit && size <= limit - start;
}

static int read_headers(struct elf_file *elf)
{
    const Elf64_Ehdr *header = &elf->header;
    struct stat st;
    int error;

    if (fstat(elf->fd, &st) < 0)
        return -1;
    elf->size = (uint64_t)st.st_size;
    if (elf->size < sizeof(*header))
        return fail(ENOEXEC);
    error = read_file(elf->fd, &elf->header, sizeof(*header), 0);
    if (error)
        return fail(error);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
        header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_X86_64 ||
        header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > MAX_SEGMENTS ||
        !inside(header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr), elf->size))
        return fail(ENOEXEC);
    error = read_file(elf->fd, elf->segment, header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
    return error ? fail(error) : 0;
}

/* All that is to be read lies in the file, and what is loaded in an address space. */
static int check_segments(const struct elf_file *elf, struct kernel_image *kernel_r)
{
    *kernel_r = (struct kernel_image){.first = UINTPTR_MAX};
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf->segment[i];
        uintptr_t last;

        if (segment->p_type != PT_LOAD && segment->p_type != PT_NOTE)
            continue;
        if (!inside(segment->p_offset, segment->p_filesz, elf->size))
            return fail(ENOEXEC);
        if (segment->p_type == PT_NOTE || segment->p_memsz == 0)
            continue;
        if (segment->p_filesz > segment->p_memsz ||
            !inside(segment->p_paddr, segment->p_memsz - 1, UINTPTR_MAX))
            return fail(ENOEXEC);
        last = segment->p_paddr + (segment->p_memsz - 1);
        if (segment->p_paddr < kernel_r->first)
            kernel_r->first = segment->p_paddr;
        if (last > kernel_r->last)
            kernel_r->last = last;
    }
    return kernel_r->first <= kernel_r->last ? 0 : fail(ENOEXEC);
}

/* The PVH entry among the notes: a word of 4 or 8 bytes. */
static bool entry_of(const char *notes, size_t size, uint64_t *entry_r)
{
    static const char owner[] = "Xen";
    Elf64_Nhdr note;

    for (size_t at = 0; size - at >= sizeof(note);) {
        size_t name = at + sizeof(note), desc, end;

        memcpy(&note, notes + at, sizeof(note));
        desc = name + ((size_t)note.n_namesz + 3) / 4 * 4;
        end = desc + ((size_t)note.n_descsz + 3) / 4 * 4;
        if (end > size)
            return false;
        if (note.n_type == PVH_ENTRY && note.n_namesz == sizeof(owner) &&
            memcmp(notes + name, owner, sizeof(owner)) == 0 &&
            (note.n_descsz == 4 || note.n_descsz == 8)) {
            *entry_r = 0;
            memcpy(entry_r, notes + desc, note.n_descsz);
            return true;
        }
        at = end;
    }
    return false;
}

static bool is_loaded(const struct elf_file *elf, uint64_t addr)
{
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf->segment[i];

        if (segment->p_type == PT_LOAD && addr >= segment->p_paddr &&
            addr - segment->p_paddr < segment->p_memsz)
            return true;
    }
    return false;
}

static int find_entry(const struct elf_file *elf, uint32_t *entry_r)
{
    char notes[MAX_NOTES];

    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf->segment[i];
        uint64_t entry;
        int error;

        if (segment->p_type != PT_NOTE || segment->p_filesz > sizeof(notes))
            continue;
        error = read_file(elf->fd, notes, segment->p_filesz, segment->p_offset);
        if (error)
            return fail(error);
        if (!entry_of(notes, segment->p_filesz, &entry))
            continue;
        if (entry > UINT32_MAX || !is_loaded(elf, entry))
            return fail(ENOEXEC);
        *entry_r = (uint32_t)entry;
        return 0;
    }
    return fail(ENOEXEC);
}

int image_load_kernel(vm_t *vm, int fd, struct kernel_image *kernel_r)
{
    struct elf_file elf = {.fd = fd};

    if (read_headers(&elf) < 0 || check_segments(&elf, kernel_r) < 0 ||
        find_entry(&elf, &kernel_r->entry) < 0)
        return -1;
    for (unsigned i = 0; i < elf.header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf.segment[i];
        struct file_part part = {fd, segment->p_offset, segment->p_filesz};

        if (segment->p_type == PT_LOAD && segment->p_memsz > 0 &&
            image_touch(vm, segment->p_paddr, segment->p_memsz, load_page, &part) != 0)
            return -1;
    }
    return 0;
}
