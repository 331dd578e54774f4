/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map that a PVH guest finds in its start_info at its first boot. Linux takes its RAM
 * from it, and puts mappings of its own into any hole of it: so what we register must be in there,
 * and what our vdevs answer for must not be a hole.
 */
#include "ram/ram_internal.h"

#include <string.h>

int ram_read_start_info(struct ram *ram, uint64_t *gpa_r, struct start_info *info_r,
                        struct start_info_memmap_entry *entry_r)
{
    size_t bytes;

    if (ram->hv->ops->boot_info(ram->hv, gpa_r) < 0)
        return -1;
    if (*gpa_r == 0)
        return 0;
    /* A guest of another boot protocol can have anything in that register. */
    if (*gpa_r >= ram->limit || ram_copy_aside(ram, false, *gpa_r, info_r, sizeof(*info_r)) < 0)
        return errno == ENOMEM ? -1 : 0;
    if (info_r->magic != START_INFO_MAGIC || info_r->version < 1 || info_r->memmap_entries == 0)
        return 0;
    if (info_r->memmap_entries > START_INFO_MAX_ENTRIES || info_r->memmap_paddr >= ram->limit)
        return fail(EINVAL);
    bytes = info_r->memmap_entries * sizeof(*entry_r);
    if (ram_copy_aside(ram, false, info_r->memmap_paddr, entry_r, bytes) < 0)
        return errno == ENOMEM ? -1 : fail(EINVAL);
    return 1;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/*
 * Room for a longer table: the toolstack lays start_info and what it points to in whole pages of
 * their own, so the tail of the last of these is free. entries: of the map as it is. 0: not enough
 * of it.
 */
static uint64_t find_room(struct ram *ram, uint64_t gpa, const struct start_info *info,
                          uint32_t entries, size_t bytes)
{
    enum { MODLIST_ENTRY = 32, CMDLINE_MAX = 2 * HV_PAGE_SIZE };
    char page[HV_PAGE_SIZE];
    uint64_t end = gpa + sizeof(*info);
    uint64_t limit = gpa + 16 * HV_PAGE_SIZE;

    if (info->modlist_paddr >= gpa && info->modlist_paddr < limit)
        end = max64(end, info->modlist_paddr + (uint64_t)info->nr_modules * MODLIST_ENTRY);
    if (info->memmap_paddr >= gpa && info->memmap_paddr < limit)
        end = max64(end, info->memmap_paddr + entries * sizeof(struct start_info_memmap_entry));
    if (info->cmdline_paddr >= gpa && info->cmdline_paddr < limit) {
        uint64_t at = info->cmdline_paddr;
        char *nul = NULL;

        while (!nul && at < info->cmdline_paddr + CMDLINE_MAX) {
            size_t part = HV_PAGE_SIZE - at % HV_PAGE_SIZE;

            if (ram_copy_aside(ram, false, at, page, part) < 0)
                return 0;
            nul = memchr(page, 0, part);
            at += nul ? (size_t)(nul - page) + 1 : part;
        }
        end = max64(end, at);
    }
    end = (end + 7) & -UINT64_C(8);
    return end < limit && end % HV_PAGE_SIZE + bytes <= HV_PAGE_SIZE && end % HV_PAGE_SIZE ? end
                                                                                           : 0;
}

/*
 * Linux takes its address space for foreign pages ("Xen scratch") in whole blocks at their borders,
 * and without PCI it forgets what is reserved above 1 MiB; what is unusable it keeps in mind. A
 * driver can't claim unusable memory, though. So what is reserved stays so, and some unusable page
 * of the same block keeps Linux out of all of it.
 */
#define LINUX_BLOCK (UINT64_C(128) << 20)

struct memory_map {
    struct start_info_memmap_entry entry[START_INFO_MAX_ENTRIES];
    uint32_t n;
};

static int append(struct memory_map *map, struct range range, enum ram_map_type type)
{
    if (map->n == START_INFO_MAX_ENTRIES)
        return fail(ENOSPC);
    map->entry[map->n++] = (struct start_info_memmap_entry){
        .addr = range.first, .size = range_length(range), .type = type};
    return 0;
}

/* The entry that has a byte in the range; reserved_too: else one that Linux keeps in mind. */
static const struct start_info_memmap_entry *meets(const struct memory_map *map, struct range range,
                                                   bool reserved_too)
{
    for (uint32_t i = 0; i < map->n; i++) {
        const struct start_info_memmap_entry *e = &map->entry[i];
        struct range r;

        if ((reserved_too || e->type != RAM_MAP_RESERVED) &&
            range_make(&r, e->addr, e->size, UINT64_MAX) == 0 && range_overlap(r, range))
            return e;
    }
    return NULL;
}

/* Puts an unusable page into the block if nothing there keeps Linux out yet. */
static int guard_block(struct memory_map *map, struct range block)
{
    uint64_t page = block.first;
    const struct start_info_memmap_entry *e;

    if (meets(map, block, false))
        return 0;
    while (page < block.last &&
           (e = meets(map, (struct range){page, page + (HV_PAGE_SIZE - 1)}, true)))
        page = (e->addr + e->size + (HV_PAGE_SIZE - 1)) & -(uint64_t)HV_PAGE_SIZE;
    if (page >= block.last)
        return 0; /* full of what is reserved by others */
    return append(map, (struct range){page, page + (HV_PAGE_SIZE - 1)}, RAM_MAP_UNUSABLE);
}

/* What fills a block by itself leaves no page for that: it is unusable as a whole. */
static bool fills_block(struct range range)
{
    uint64_t block = (range.first + (LINUX_BLOCK - 1)) & -LINUX_BLOCK;

    return block >= range.first && block + (LINUX_BLOCK - 1) <= range.last;
}

static int guard(struct memory_map *map, struct range range)
{
    for (uint64_t block = range.first & -LINUX_BLOCK; block <= range.last; block += LINUX_BLOCK) {
        if (guard_block(map, (struct range){block, block + (LINUX_BLOCK - 1)}) < 0)
            return -1;
    }
    return 0;
}

/* 1: an entry holds it already. 0: none does. -1 with EEXIST: an entry says RAM where this isn't,
 * or the other way round. */
static int in_map(const struct memory_map *map, const struct ram_map_entry *entry)
{
    for (uint32_t i = 0; i < map->n; i++) {
        const struct start_info_memmap_entry *e = &map->entry[i];
        struct range old;

        if (range_make(&old, e->addr, e->size, UINT64_MAX) != 0 ||
            !range_overlap(old, entry->range))
            continue;
        if ((e->type == RAM_MAP_RAM) != (entry->type == RAM_MAP_RAM))
            return fail(EEXIST);
        if (range_inside(entry->range, old))
            return 1;
    }
    return 0;
}

/* Adds to the map what it lacks, and what guards it. */
static int extend(struct memory_map *map, const struct ram_map_entry *entry, size_t n)
{
    uint32_t old_n = map->n;

    for (size_t i = 0; i < n; i++) {
        int there = in_map(map, &entry[i]);
        enum ram_map_type type = entry[i].type;

        if (type == RAM_MAP_RESERVED && fills_block(entry[i].range))
            type = RAM_MAP_UNUSABLE;
        if (there < 0 || (there == 0 && append(map, entry[i].range, type) < 0))
            return -1;
    }
    if (map->n == old_n)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (entry[i].type == RAM_MAP_RESERVED && !fills_block(entry[i].range) &&
            guard(map, entry[i].range) < 0)
            return -1;
    }
    return 0;
}

int ram_extend_memory_map(struct ram *ram, const struct ram_map_entry *entry, size_t n)
{
    struct memory_map map;
    struct start_info info;
    uint64_t gpa, room;
    uint32_t old_n;
    int rc = ram_read_start_info(ram, &gpa, &info, map.entry);

    if (rc <= 0)
        return rc == 0 ? 1 : -1;
    map.n = old_n = info.memmap_entries;
    if (extend(&map, entry, n) < 0)
        return -1;
    if (map.n == old_n)
        return 0;
    room = find_room(ram, gpa, &info, old_n, map.n * sizeof(map.entry[0]));
    if (!room)
        return fail(ENOSPC);
    /* The table first: until the last write the guest has its old map. */
    if (ram_copy_aside(ram, true, room, map.entry, map.n * sizeof(map.entry[0])) < 0)
        return -1;
    info.memmap_entries = map.n;
    info.memmap_paddr = room;
    return ram_copy_aside(ram, true, gpa, &info, sizeof(info));
}
