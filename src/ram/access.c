/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading, writing and touching guest RAM. */
#include "ram/ram_internal.h"

#include <string.h>
#include <xengasp/gasp.h>

/* Bytes past the space's end are just not RAM; only a wrap at 2^64 is an overflow. */
static int ram_range(const struct ram *ram, uint64_t gpa, size_t size, struct range *range_r)
{
    int error = range_make(range_r, gpa, size, UINT64_MAX);

    if (error)
        return fail(error);
    return range_r->last < ram->limit ? 0 : fail(ENOENT);
}

/* Inside a read section. */
static bool is_ram(const struct ram *ram, struct range range)
{
    return space_map_covered(space_read(ram->memory), range, SPACE_RAM_HAS, SPACE_RAM_HASNT);
}

bool ram_has(struct ram *ram, struct range range)
{
    bool there;

    rcu_enter();
    there = is_ram(ram, range);
    rcu_done(ram->memory);
    rcu_leave(ram);
    return there;
}

/*
 * Aligned 1, 2, 4 and 8 bytes in one piece: a guest on another vCPU never sees half of them. In
 * order, too, which costs nothing on x86: what was read after is not older, what was written before
 * is there.
 */
static void copy_from_guest(void *to, const void *from, size_t size)
{
    if (size > 8)
        memcpy(to, from, size);
    else if (size == 1)
        *(uint8_t *)to = __atomic_load_n((const uint8_t *)from, __ATOMIC_ACQUIRE);
    else if ((uintptr_t)from % 8 == 0 && size == 8)
        memcpy(to, &(uint64_t){__atomic_load_n((const uint64_t *)from, __ATOMIC_ACQUIRE)}, 8);
    else if ((uintptr_t)from % 4 == 0 && size == 4)
        memcpy(to, &(uint32_t){__atomic_load_n((const uint32_t *)from, __ATOMIC_ACQUIRE)}, 4);
    else if ((uintptr_t)from % 2 == 0 && size == 2)
        memcpy(to, &(uint16_t){__atomic_load_n((const uint16_t *)from, __ATOMIC_ACQUIRE)}, 2);
    else
        memcpy(to, from, size);
}

static void copy_to_guest(void *to, const void *from, size_t size)
{
    uint64_t v64;
    uint32_t v32;
    uint16_t v16;

    if (size > 8)
        memcpy(to, from, size);
    else if (size == 1)
        __atomic_store_n((uint8_t *)to, *(const uint8_t *)from, __ATOMIC_RELEASE);
    else if ((uintptr_t)to % 8 == 0 && size == 8)
        __atomic_store_n((uint64_t *)to, (memcpy(&v64, from, 8), v64), __ATOMIC_RELEASE);
    else if ((uintptr_t)to % 4 == 0 && size == 4)
        __atomic_store_n((uint32_t *)to, (memcpy(&v32, from, 4), v32), __ATOMIC_RELEASE);
    else if ((uintptr_t)to % 2 == 0 && size == 2)
        __atomic_store_n((uint16_t *)to, (memcpy(&v16, from, 2), v16), __ATOMIC_RELEASE);
    else
        memcpy(to, from, size);
}

/* Inside a read section that found it mapped, or with it pinned. */
static void copy(struct ram *ram, bool write, struct range range, void *buf)
{
    char *host = ram_host(ram, range.first);

    if (write) {
        copy_to_guest(host, buf, range_length(range));
        ram_wrote(ram, range);
    } else {
        copy_from_guest(buf, host, range_length(range));
    }
}

/*
 * Inside a read section: the chunk that holds an address, if it is mapped and nothing has changed
 * since it was looked at. Then it tells what of it is RAM, and the map needn't be searched.
 */
static inline const struct ram_chunk *fresh_chunk(struct ram *ram, uint64_t gpa)
{
    const struct ram_chunk *chunk = rcu_get(ram->chunk[gpa >> RAM_CHUNK_SHIFT]);

    /* known_by before the pages, as they are written. */
    if (!chunk || __atomic_load_n(&chunk->generation, __ATOMIC_RELAXED) != ram->generation ||
        rcu_get(chunk->known_by) != space_read(ram->memory)->number)
        return NULL;
    return chunk;
}

/* Whether these bytes, which lie in one chunk, are RAM and can be touched. */
static inline bool ready_in_chunk(struct ram *ram, uint64_t gpa, size_t size)
{
    const struct ram_chunk *chunk = fresh_chunk(ram, gpa);
    uint64_t offset = gpa & (RAM_CHUNK_SIZE - 1);
    const struct ram_pages *pages;

    if (!chunk)
        return false;
    pages = rcu_get(chunk->pages);
    return !pages || ram_bits_set(pages->ready, offset >> HV_PAGE_SHIFT,
                                  (offset + size - 1) >> HV_PAGE_SHIFT);
}

/* The same of bytes in one page. */
static inline bool ready_in_page(struct ram *ram, uint64_t gpa)
{
    const struct ram_chunk *chunk = fresh_chunk(ram, gpa);
    size_t page = (gpa & (RAM_CHUNK_SIZE - 1)) >> HV_PAGE_SHIFT;
    const struct ram_pages *pages;

    if (!chunk)
        return false;
    pages = rcu_get(chunk->pages);
    return !pages || (__atomic_load_n(&pages->ready[page / 64], __ATOMIC_RELAXED) >> page % 64 & 1);
}

static bool ready(struct ram *ram, struct range range)
{
    for (uint64_t at = range.first;; at = (at | (RAM_CHUNK_SIZE - 1)) + 1) {
        uint64_t end = at | (RAM_CHUNK_SIZE - 1);

        end = end < range.last ? end : range.last;
        if (!ready_in_chunk(ram, at, end - at + 1))
            return false;
        if (end == range.last)
            return true;
    }
}

/* Pinning maps and validates. */
static int copy_pinned(struct ram *ram, bool write, struct range range, void *buf)
{
    if (ram_pin(ram, range) < 0)
        return -1;
    rcu_enter(); /* for the marks */
    copy(ram, write, range, buf);
    rcu_leave(ram);
    ram_unpin(ram, range);
    return 0;
}

/* Of several chunks, or of one that isn't mapped yet or perhaps out of date, or not of RAM. */
static __attribute__((noinline)) int copy_slowly(struct ram *ram, bool write, uint64_t gpa,
                                                 void *buf, size_t size)
{
    bool known, there, done;
    struct range range;

    if (size == 0)
        return 0;
    if (ram_range(ram, gpa, size, &range) < 0)
        return -1;
    rcu_enter();
    known = ready(ram, range);
    there = known || is_ram(ram, range);
    done = known || (there && ram_mapped(ram, range));
    if (done)
        copy(ram, write, range, buf);
    rcu_done(ram->memory);
    rcu_leave(ram);
    if (done && !known)
        ram_look_again(ram, range);
    if (done)
        return 0;
    return there ? copy_pinned(ram, write, range, buf) : fail(ENOENT);
}

int ram_access_shown(struct ram *ram, bool write, uint64_t gpa, void *buf, size_t size)
{
    const struct range range = {gpa, gpa + (size - 1)};
    bool done;

    rcu_enter();
    done = ram_mapped(ram, range);
    if (done)
        copy(ram, write, range, buf);
    rcu_leave(ram);
    return done ? 0 : copy_pinned(ram, write, range, buf);
}

static inline int ram_copy(struct ram *ram, bool write, uint64_t gpa, void *buf, size_t size)
{
    bool done = false;

    /* A size of 0 isn't. */
    if (gpa < ram->limit && size - 1 < RAM_CHUNK_SIZE - (gpa & (RAM_CHUNK_SIZE - 1))) {
        rcu_enter();
        done = ready_in_chunk(ram, gpa, size);
        if (done)
            copy(ram, write, (struct range){gpa, gpa + (size - 1)}, buf);
        rcu_done(ram->memory);
        rcu_leave(ram);
    }
    return done ? 0 : copy_slowly(ram, write, gpa, buf, size);
}

int ram_read(struct ram *ram, uint64_t gpa, void *buf, size_t size)
{
    return ram_copy(ram, false, gpa, buf, size);
}

int ram_write(struct ram *ram, uint64_t gpa, const void *buf, size_t size)
{
    return ram_copy(ram, true, gpa, (void *)buf, size); /* only read from */
}

/* An aligned word lies in one page. */
#define LOAD_AND_STORE(bits)                                                                       \
    int ram_load##bits(struct ram *ram, uint64_t gpa, uint##bits##_t *value_r)                     \
    {                                                                                              \
        uint##bits##_t value = 0;                                                                  \
        bool done = false;                                                                         \
                                                                                                   \
        if (gpa % sizeof(value))                                                                   \
            return fail(EINVAL);                                                                   \
        if (gpa < ram->limit) {                                                                    \
            rcu_enter();                                                                           \
            done = ready_in_page(ram, gpa);                                                        \
            if (done)                                                                              \
                value = __atomic_load_n((uint##bits##_t *)ram_host(ram, gpa), __ATOMIC_ACQUIRE);   \
            rcu_done(ram->memory);                                                                 \
            rcu_leave(ram);                                                                        \
        }                                                                                          \
        if (!done)                                                                                 \
            return copy_slowly(ram, false, gpa, value_r, sizeof(value));                           \
        *value_r = value;                                                                          \
        return 0;                                                                                  \
    }                                                                                              \
    int ram_store##bits(struct ram *ram, uint64_t gpa, uint##bits##_t value)                       \
    {                                                                                              \
        bool done = false;                                                                         \
                                                                                                   \
        if (gpa % sizeof(value))                                                                   \
            return fail(EINVAL);                                                                   \
        if (gpa < ram->limit) {                                                                    \
            rcu_enter();                                                                           \
            done = ready_in_page(ram, gpa);                                                        \
            if (done)                                                                              \
                __atomic_store_n((uint##bits##_t *)ram_host(ram, gpa), value, __ATOMIC_RELEASE);   \
            if (done)                                                                              \
                ram_wrote(ram, (struct range){gpa, gpa + (sizeof(value) - 1)});                    \
            rcu_done(ram->memory);                                                                 \
            rcu_leave(ram);                                                                        \
        }                                                                                          \
        return done ? 0 : copy_slowly(ram, true, gpa, &value, sizeof(value));                      \
    }

LOAD_AND_STORE(8)
LOAD_AND_STORE(16)
LOAD_AND_STORE(32)
LOAD_AND_STORE(64)

int ram_touch(struct ram *ram, vm_t *vm, uint64_t gpa, size_t size, ram_touch_callback_fn fn,
              void *cookie, bool writes)
{
    struct range range;
    uint64_t reached = gpa;
    int rc = 0;

    if (!fn)
        return fail(EINVAL);
    if (size == 0)
        return 0;
    if (ram_range(ram, gpa, size, &range) < 0)
        return -1;
    if (!ram_has(ram, range))
        return fail(ENOENT);
    if (ram_pin(ram, range) < 0)
        return -1;
    for (size_t offset = 0; offset < size && rc == 0;) {
        uint64_t at = gpa + offset;
        size_t in_page = HV_PAGE_SIZE - (at & (HV_PAGE_SIZE - 1));
        size_t part = in_page < size - offset ? in_page : size - offset;

        rc = fn(vm, at, ram_host(ram, at), part, offset, cookie);
        offset += part;
        reached = at + (part - 1);
    }
    /* What was written is there before its marks are looked at. */
    atomic_thread_fence(memory_order_seq_cst);
    if (writes)
        ram_wrote(ram, (struct range){gpa, reached});
    ram_unpin(ram, range);
    return rc;
}
