/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share. */
#ifndef XENGASP_RAM_INTERNAL_H
#define XENGASP_RAM_INTERNAL_H

#include "ram/ram.h"

/* One bit a page of a chunk. */
struct ram_pages {
    uint64_t valid[RAM_CHUNK_PAGES / 64]; /* can be touched; bits only go, see ram_forget */
    uint64_t ready[RAM_CHUNK_PAGES / 64]; /* valid, and RAM by the map of known_by */
};

struct ram_chunk {
    LIST_ENTRY(ram_chunk) link;
    uint64_t generation; /* of the guest's pages when it was mapped; 0: known to be out of date */
    uint64_t mapped_ns;  /* when */
    uint64_t known_by;   /* number of the map that told which pages are RAM; 0: none yet */
    struct ram_pages *pages; /* NULL: all are valid and, by that map, RAM. Set once */
    uint32_t index;          /* its place in ram->chunk */
    unsigned pins;           /* under ram->lock */
    /* Written by us, and Xen wasn't told yet: a bit for each RAM_MARK_PAGES. */
    _Atomic uint64_t written;
};
enum { RAM_MARK_PAGES = RAM_CHUNK_PAGES / 64 };

static inline uint64_t ram_bits(size_t word, size_t first, size_t last)
{
    uint64_t from = word == first / 64 ? ~UINT64_C(0) << first % 64 : ~UINT64_C(0);
    uint64_t to = word == last / 64 ? ~UINT64_C(0) >> (63 - last % 64) : ~UINT64_C(0);

    return from & to;
}

/* Whether the bits of all these pages are set. They may be changed meanwhile. */
static inline bool ram_bits_set(const uint64_t bits[], size_t first, size_t last)
{
    for (size_t word = first / 64; word <= last / 64; word++) {
        if (~__atomic_load_n(&bits[word], __ATOMIC_RELAXED) & ram_bits(word, first, last))
            return false;
    }
    return true;
}

/* The host address of a guest address. */
static inline char *ram_host(const struct ram *ram, uint64_t gpa)
{
    return ram->base + gpa;
}

/* True if the range can be touched as it is now; inside a read section. */
bool ram_mapped(struct ram *ram, struct range range);

/* The map has changed since the chunks of a range, which are mapped, learned of it what is RAM: they
 * learn it anew, unless somebody is busy with them. */
void ram_look_again(struct ram *ram, struct range range);

/* The chunks of a range must be looked at again, although the guest said nothing: we changed its
 * pages ourselves. Of a chunk that is pinned they aren't found before that. */
void ram_forget(struct ram *ram, struct range range);

struct ram_parked {
    struct rcu_head rcu;
    void *domain; /* of rcu.h */
    size_t n;
    struct ram_parked_page {
        uint64_t home, at; /* frame numbers */
        uint64_t frame;
        bool shown;
    } page[]; /* ascending by home */
};
/* The first from this frame on, or NULL. */
const struct ram_parked_page *ram_parked_next(const struct ram_parked *parked, uint64_t gfn);
/* Under the lock: puts where they lie in place of the frames of a chunk that are parked and shown. */
void ram_parked_frames(const struct ram *ram, uint64_t first, uint64_t gfn[RAM_CHUNK_PAGES]);

/* We wrote there: inside a read section that found it mapped, or with it pinned. */
void ram_wrote(struct ram *ram, struct range range);
/* Tells what is marked as written in a chunk that nobody uses any more. */
void ram_report_chunk(struct ram *ram, struct ram_chunk *chunk);

/*
 * A mapping of up to 512 frames beside the chunks, for looking and zeroing: it goes away at once.
 * err[i] as in hv->map. unmap: NULL is fine.
 */
void *ram_map_aside(struct ram *ram, uint64_t gfn, size_t n, int err[]);
void ram_unmap_aside(struct ram *ram, void *at, size_t n);

/* Copies between buf and guest-physical memory of any kind, mapped aside. All or nothing: ENOENT,
 * ENOMEM. */
int ram_copy_aside(struct ram *ram, bool write, uint64_t gpa, void *buf, size_t size);

/*
 * The start_info of the PVH boot protocol (xen/include/public/arch-x86/hvm/start_info.h), as far as
 * it is used here.
 */
enum { START_INFO_MAGIC = 0x336ec578, START_INFO_MAX_ENTRIES = 128 };
struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
    uint64_t memmap_paddr; /* from version 1 */
    uint32_t memmap_entries, reserved;
};
struct start_info_memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

/* The RAM of an HVM guest that never ran: how many ranges. 0: it has no hvm_info; -1: ENOMEM. */
enum { HVM_RAM_RANGES = 3 };
int ram_read_hvm_info(struct ram *ram, struct range range_r[HVM_RAM_RANGES]);

/*
 * Reads the start_info of a guest that never ran, and its map (START_INFO_MAX_ENTRIES of room). 1:
 * read; 0: the guest has none; -1: EINVAL it makes no sense, ENOMEM.
 */
int ram_read_start_info(struct ram *ram, uint64_t *gpa_r, struct start_info *info_r,
                        struct start_info_memmap_entry *entry_r);

#endif
