/* SPDX-License-Identifier: BSD-2-Clause */
/* vm_ram_touch and its callbacks, and the calls that need none: read, write, load, store. */
#include "tests/conformance/guest_ram.h"

/* What a touch called back with, and what the callback shall do. */
struct calls {
    struct guest *g;
    unsigned n;
    uint64_t gpa[16];
    size_t size[16], offset[16];
    unsigned fail_at; /* the call that fails, from 1 on */
    int result;       /* with this */
    unsigned wrong;
};

static int note(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset, void *cookie)
{
    struct calls *c = cookie;
    uint64_t there = 0;

    if (c->n < 16) {
        c->gpa[c->n] = gpa;
        c->size[c->n] = size;
        c->offset[c->n] = offset;
    }
    c->n++;
    /* The host address is that of the same byte. */
    memcpy(&there, at, size < 8 ? size : 8);
    if (vm != c->g->gsp || (gpa % 8 == 0 && size >= 8 && there != fill_word(gpa, 3)))
        c->wrong++;
    return c->n == c->fail_at ? c->result : 0;
}

static bool called_with(const struct calls *c, unsigned i, uint64_t gpa, size_t size, size_t offset)
{
    CHECK_EQUAL(c->gpa[i], gpa);
    CHECK_EQUAL(c->size[i], size);
    CHECK_EQUAL(c->offset[i], offset);
    return true;
}

static bool calls_once_for_each_page(struct guest *g, const struct fixture *f)
{
    struct calls c = {.g = g};

    (void)f;
    CHECK(fill(g, 0, RAM_BYTES, 3));
    CHECK_OK(vm_ram_touch(g->gsp, 0x10ff0, 0x2020, note, &c));
    CHECK_EQUAL(c.n, 4);
    CHECK(called_with(&c, 0, 0x10ff0, 0x10, 0) && called_with(&c, 1, 0x11000, PAGE, 0x10) &&
          called_with(&c, 2, 0x12000, PAGE, 0x1010) && called_with(&c, 3, 0x13000, 0x10, 0x2010));
    c.n = 0;
    CHECK_OK(vm_ram_touch(g->gsp, MIB2 - 1, 2, note, &c)); /* from one 2 MiB to the next */
    CHECK_EQUAL(c.n, 2);
    CHECK(called_with(&c, 0, MIB2 - 1, 1, 0) && called_with(&c, 1, MIB2, 1, 1));
    c.n = 0;
    CHECK_OK(vm_ram_touch(g->gsp, 0, RAM_BYTES, note, &c));
    CHECK_EQUAL(c.n, RAM_PAGES);
    c.n = 0;
    CHECK_OK(vm_ram_touch(g->gsp, RAM_BYTES - 1, 1, note, &c)); /* its last byte */
    CHECK(c.n == 1 && called_with(&c, 0, RAM_BYTES - 1, 1, 0));
    CHECK_EQUAL(c.wrong, 0);
    return true;
}

/* A touch of [gpa, gpa + size) fails so and calls nobody; reading and writing copy nothing. */
static bool refused(struct guest *g, uint64_t gpa, size_t size, int error)
{
    uint8_t buf[4 * PAGE];
    struct calls c = {.g = g};

    CHECK_FAILS(vm_ram_touch(g->gsp, gpa, size, note, &c), error);
    CHECK_EQUAL(c.n, 0);
    memset(buf, 0x77, sizeof(buf));
    CHECK_FAILS(vm_ram_read(g->gsp, gpa, buf, size), error);
    for (size_t i = 0; i < sizeof(buf); i++)
        CHECK_EQUAL(buf[i], 0x77);
    CHECK_FAILS(vm_ram_write(g->gsp, gpa, buf, size), error);
    return true;
}

/* At the first, a middle, and the last page: one that the guest gave up, one that never was RAM. */
static bool all_or_nothing_over_a_hole(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, 2 * PAGE), 0);
    CHECK_RC(register_ram(g, MEM + 3 * PAGE, 2 * PAGE), 0);
    CHECK_EQUAL(depopulate_run(g, 0x12, 1), 1);
    CHECK(fill(g, 0x10000, 2 * PAGE, 1) && fill(g, 0x13000, 2 * PAGE, 1));
    CHECK(fill(g, MEM, 2 * PAGE, 1) && fill(g, MEM + 3 * PAGE, 2 * PAGE, 1));
    for (uint64_t gpa = 0x10000; gpa <= 0x12000; gpa += PAGE)
        CHECK(refused(g, gpa, 3 * PAGE, ENOENT) && refused(g, gpa + 8, 3 * PAGE - 16, ENOENT));
    CHECK(refused(g, 0x11fff, 2, ENOENT) && refused(g, 0x12fff, 2, ENOENT));
    for (uint64_t gpa = MEM; gpa <= MEM + 2 * PAGE; gpa += PAGE)
        CHECK(refused(g, gpa, 3 * PAGE, ENOENT) && refused(g, gpa + 8, 3 * PAGE - 16, ENOENT));
    CHECK(refused(g, MEM - 1, 2, ENOENT) && refused(g, MEM + 5 * PAGE - 1, 2, ENOENT));
    CHECK(refused(g, MEM - MIB2, 2 * MIB2, ENOENT));
    CHECK(is_filled(g, 0x10000, 2 * PAGE, 1) && is_filled(g, 0x13000, 2 * PAGE, 1));
    return is_filled(g, MEM, 2 * PAGE, 1) && is_filled(g, MEM + 3 * PAGE, 2 * PAGE, 1);
}

static const struct {
    uint64_t gpa;
    size_t size;
    int error;
} outside[] = {
    {RAM_BYTES, 1, ENOENT},
    {RAM_BYTES - 1, 2, ENOENT},
    {MEM, 4, ENOENT}, /* a vdev's, see below */
    {MEM + 2, 1, ENOENT},
    {0xfee00000, 4, ENOENT},
    {0, RAM_SPACE, ENOENT},
    {RAM_SPACE - 1, 1, ENOENT},
    {RAM_SPACE - 1, 2, ENOENT},
    {RAM_SPACE, 4, ENOENT},
    {UINT64_MAX, 1, ENOENT},
    {UINT64_MAX - 7, 8, ENOENT},
    {UINT64_MAX, 2, EOVERFLOW},
    {0x1000, SIZE_MAX, EOVERFLOW},
    {UINT64_MAX - 0xfff, 0x12000, EOVERFLOW}, /* seL4's reads this "successfully" */
};

static bool nothing_outside_ram(struct guest *g, const struct fixture *f)
{
    uint64_t value = 0x55;

    (void)f;
    CHECK_RC(set_region(g, MEM, 4, VIRT), 0);
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        if (!refused(g, outside[i].gpa, outside[i].size, outside[i].error))
            return COMPLAIN("row %zu", i);
    CHECK_FAILS(vm_ram_load64(g->gsp, RAM_BYTES, &value), ENOENT);
    CHECK_FAILS(vm_ram_store8(g->gsp, UINT64_MAX, 1), ENOENT);
    CHECK_EQUAL(value, 0x55);
    CHECK_FAILS(vm_ram_touch(g->gsp, 0, 1, NULL, NULL), EINVAL);
    CHECK_FAILS(vm_ram_touch(g->gsp, UINT64_MAX, 2, NULL, NULL), EINVAL); /* before EOVERFLOW */
    CHECK_FAILS(vm_ram_touch(g->gsp, 0, 0, NULL, NULL), EINVAL);
    return true;
}

/* Wherever it is. */
static bool no_bytes_are_always_fine(struct guest *g, const struct fixture *f)
{
    static const uint64_t gpa[] = {0,          1,         RAM_BYTES - 1, RAM_BYTES,
                                   MEM,        RAM_SPACE, RAM_SPACE - 1, 2 * RAM_SPACE,
                                   0xfee00000, UINT64_MAX};
    struct calls c = {.g = g};

    (void)f;
    for (size_t i = 0; i < sizeof(gpa) / sizeof(gpa[0]); i++) {
        CHECK_OK(vm_ram_touch(g->gsp, gpa[i], 0, note, &c));
        CHECK_OK(vm_ram_read(g->gsp, gpa[i], NULL, 0));
        CHECK_OK(vm_ram_write(g->gsp, gpa[i], NULL, 0));
    }
    CHECK_EQUAL(c.n, 0);
    return true;
}

static bool goes_on_where_regions_touch(struct guest *g, const struct fixture *f)
{
    struct calls c = {.g = g};

    (void)f;
    CHECK_RC(register_ram(g, RAM_BYTES, PAGE), 0);
    CHECK_RC(register_ram(g, RAM_BYTES + PAGE, 3 * PAGE), 0);
    CHECK_RC(mark_ram(g, RAM_BYTES + PAGE + 5, PAGE), 0);
    CHECK(fill(g, RAM_BYTES - PAGE, 5 * PAGE, 3));
    CHECK_OK(vm_ram_touch(g->gsp, RAM_BYTES - PAGE, 5 * PAGE, note, &c));
    CHECK_EQUAL(c.n, 5);
    for (unsigned i = 0; i < 5; i++)
        CHECK(called_with(&c, i, RAM_BYTES - PAGE + i * PAGE, PAGE, i * PAGE));
    CHECK_EQUAL(c.wrong, 0);
    return true;
}

static bool a_callback_that_fails_ends_it(struct guest *g, const struct fixture *f)
{
    static const int results[] = {1, -1, 7, -4711};

    (void)f;
    CHECK(fill(g, 0, 8 * PAGE, 3));
    for (unsigned at = 1; at <= 5; at += 2)
        for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
            struct calls c = {.g = g, .fail_at = at, .result = results[i]};

            CHECK_EQUAL((unsigned)vm_ram_touch(g->gsp, 0, 5 * PAGE, note, &c),
                        (unsigned)results[i]);
            CHECK_EQUAL(c.n, at);
            CHECK_EQUAL(c.wrong, 0);
        }
    /* It isn't in use any more. */
    CHECK_RC(register_ram(g, RAM_BYTES, PAGE), 0);
    CHECK(fill(g, RAM_BYTES, PAGE, 3));
    CHECK_EQUAL(vm_ram_touch(g->gsp, RAM_BYTES - PAGE, 2 * PAGE, note,
                             &(struct calls){.g = g, .fail_at = 2, .result = 3}),
                3);
    CHECK_RC(unregister_ram(g, RAM_BYTES, PAGE), 0);
    return true;
}

/* ---- a callback that uses the guest itself ---- */

/* What was done in there; 0 or the line that went wrong. */
struct inside {
    struct guest *g;
    unsigned calls;
    int line;
};

#define INSIDE(what)                                                                               \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            in->line = __LINE__;                                                                   \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#define CHECK_INSIDE(gpa, bytes, callback)                                                         \
    do {                                                                                           \
        struct inside in_ = {.g = g};                                                              \
        int rc_ = vm_ram_touch(g->gsp, (gpa), (bytes), (callback), &in_);                          \
        if (rc_ != 0)                                                                              \
            return COMPLAIN("inside: line %d: %d, %s", in_.line, rc_, strerror(errno));            \
        CHECK_EQUAL(in_.calls, (bytes) / PAGE);                                                    \
    } while (0)

static int touch_again(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset, void *cookie)
{
    struct inside *in = cookie;
    uint64_t word = 0, other = gpa ^ 8 * PAGE; /* of the same 2 MiB; of another */
    uint64_t far = gpa ^ MIB2;

    (void)size;
    (void)offset;
    in->calls++;
    INSIDE(vm_ram_touch(vm, gpa, 8, vm_guest_ram_read_callback, &word) == 0);
    INSIDE(word == *(uint64_t *)at && word == fill_word(gpa, 3));
    INSIDE(vm_ram_touch(vm, other, 8, vm_guest_ram_write_callback, &gpa) == 0);
    INSIDE(vm_ram_write(vm, far, &gpa, 8) == 0);
    INSIDE(vm_ram_load64(vm, other, &word) == 0 && word == gpa);
    INSIDE(vm_ram_load64(vm, far, &word) == 0 && word == gpa);
    INSIDE(*(uint64_t *)at == fill_word(gpa, 3)); /* still there */
    return 0;
}

static bool a_callback_may_touch_again(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK(fill(g, 0, RAM_BYTES, 3));
    CHECK_INSIDE(0, 8 * PAGE, touch_again);
    return true;
}

/* While it is in use, and while another page of the same 2 MiB is, which are mapped as one. */
static int unregister_inside(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset,
                             void *cookie)
{
    struct inside *in = cookie;

    (void)vm;
    (void)size;
    (void)offset;
    in->calls++;
    INSIDE(unregister_ram(in->g, gpa, PAGE) == EBUSY);
    INSIDE(unregister_ram(in->g, MEM, 2 * MIB2) == EBUSY);
    INSIDE(unregister_ram(in->g, gpa ^ 8 * PAGE, PAGE) == EBUSY);
    INSIDE(*(uint64_t *)at == fill_word(gpa, 3));
    *(uint64_t *)at = 0;
    return 0;
}

static bool a_touch_keeps_its_ram(struct guest *g, const struct fixture *f)
{
    struct view before, during;

    (void)f;
    CHECK(view_take(g, &before, MEM, 2 * EXTENT_PAGES));
    CHECK_RC(register_ram(g, MEM, 2 * MIB2), 0);
    CHECK(view_take(g, &during, MEM, 2 * EXTENT_PAGES));
    CHECK(fill(g, MEM, 2 * MIB2, 3));
    CHECK_INSIDE(MEM, 3 * PAGE, unregister_inside);
    CHECK(view_unchanged(g, &during)); /* free as before, too */
    for (uint64_t i = 0; i < 3; i++) {
        CHECK(is_zero(g, MEM + i * PAGE, 8));
        CHECK(is_filled(g, MEM + i * PAGE + 8, PAGE - 8, 3));
    }
    CHECK(is_filled(g, MEM + 3 * PAGE, 2 * MIB2 - 3 * PAGE, 3));
    CHECK_RC(unregister_ram(g, MEM, 2 * MIB2), 0);
    return view_unchanged(g, &before);
}

static int register_inside(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset,
                           void *cookie)
{
    struct inside *in = cookie;
    uint64_t start = MEM + offset / PAGE * MIB2, word = 1;

    (void)size;
    in->calls++;
    INSIDE(register_ram(in->g, start, MIB2) == 0);
    INSIDE(vm_ram_allocate(vm, PAGE) == start);
    INSIDE(vm_ram_load64(vm, start, &word) == 0 && word == 0);
    INSIDE(vm_ram_store64(vm, start, gpa) == 0);
    INSIDE(register_ram(in->g, start, PAGE) == EEXIST);
    INSIDE(free_ram(in->g, start, PAGE) == 0 && mark_ram(in->g, start, MIB2) == 0);
    INSIDE(*(uint64_t *)at == fill_word(gpa, 3));
    return 0;
}

/* Start-up, as the cases are. */
static bool a_callback_may_register_and_allocate(struct guest *g, const struct fixture *f)
{
    uint64_t word;

    (void)f;
    CHECK(fill(g, 0, RAM_BYTES, 3));
    CHECK_INSIDE(0, 3 * PAGE, register_inside);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_OK(vm_ram_load64(g->gsp, MEM + i * MIB2, &word));
        CHECK_EQUAL(word, i * PAGE);
    }
    return is_filled(g, 0, RAM_BYTES, 3);
}

static int register_beside(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset,
                           void *cookie)
{
    struct inside *in = cookie;

    (void)vm;
    (void)size;
    (void)offset;
    in->calls++;
    INSIDE(register_ram(in->g, gpa + PAGE, PAGE) == 0);
    INSIDE(*(uint64_t *)at == fill_word(gpa, 3));
    return 0;
}

/* Into the same 2 MiB: there at the latest when the touch is over. */
static bool ram_beside_what_is_touched(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, PAGE), 0);
    CHECK(fill(g, MEM, PAGE, 3));
    CHECK_INSIDE(MEM, PAGE, register_beside);
    CHECK(is_filled(g, MEM, PAGE, 3) && is_zero(g, MEM + PAGE, PAGE));
    return fill(g, MEM, 2 * PAGE, 4) && is_filled(g, MEM, 2 * PAGE, 4);
}

/* ---- copies and words ---- */

/* buf + offset: libsel4vm's forget the offset. */
static bool the_ready_made_callbacks_copy(struct guest *g, const struct fixture *f)
{
    static uint8_t out[3 * PAGE], in[3 * PAGE];
    const uint64_t at = MIB2 - PAGE + 100; /* four pages, the first and the last in part */

    (void)f;
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + i / 256);
    CHECK_OK(vm_ram_touch(g->gsp, at, sizeof(out), vm_guest_ram_write_callback, out));
    CHECK_OK(vm_ram_read(g->gsp, at, in, sizeof(in)));
    CHECK(memcmp(in, out, sizeof(in)) == 0);
    memset(in, 0, sizeof(in));
    CHECK_OK(vm_ram_touch(g->gsp, at, sizeof(in), vm_guest_ram_read_callback, in));
    CHECK(memcmp(in, out, sizeof(in)) == 0);
    CHECK_FAILS(vm_ram_touch(g->gsp, RAM_BYTES - 1, 2, vm_guest_ram_read_callback, in), ENOENT);
    return true;
}

/* What we write is what the guest has, and the other way round: by a mapping of our own, across the
 * border of two 2 MiB, which are mapped apart. */
static bool what_is_written_is_what_the_guest_has(struct guest *g, const struct fixture *f)
{
    static uint8_t out[2 * PAGE], in[2 * PAGE];
    const uint64_t at = MIB2 - 2 * PAGE;
    struct window w;

    (void)f;
    CHECK(window_open(&w, 4) && map_run(g, &w, 0, at / PAGE, 4));
    memset(w.at, 0, 4 * PAGE);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t size = 1; size < 2 * PAGE - 32; size += size < 24 ? 1 : 1999)
        for (size_t start = 2 * PAGE - 20; start <= 2 * PAGE + 20; start++) {
            memset(w.at + start - 1, 0, size + 2);
            CHECK_OK(vm_ram_write(g->gsp, at + start, out, size));
            CHECK(memcmp(w.at + start, out, size) == 0);
            CHECK(w.at[start - 1] == 0 && w.at[start + size] == 0);
            memset(w.at + start, 0xa5, size);
            memset(in, 0, sizeof(in));
            CHECK_OK(vm_ram_read(g->gsp, at + start, in, size));
            CHECK(memcmp(w.at + start, in, size) == 0);
            CHECK_EQUAL(in[size], 0);
        }
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 4));
    window_close(&w);
    return true;
}

#define LOAD_AND_STORE(bits)                                                                       \
    do {                                                                                           \
        const uint64_t at = MEM + 8, word = UINT64_C(0x8877665544332211);                          \
        uint64_t there = UINT64_MAX;                                                               \
        uint##bits##_t value = 1;                                                                  \
                                                                                                   \
        CHECK_OK(vm_ram_write(g->gsp, at, &there, 8));                                             \
        CHECK_OK(vm_ram_store##bits(g->gsp, at, (uint##bits##_t)word));                            \
        CHECK_OK(vm_ram_read(g->gsp, at, &there, 8));                                              \
        CHECK_EQUAL(there, word | (bits == 64 ? 0 : UINT64_MAX << bits % 64));                     \
        CHECK_OK(vm_ram_load##bits(g->gsp, at, &value));                                           \
        CHECK_EQUAL(value, (uint##bits##_t)word);                                                  \
        value = 1;                                                                                 \
        CHECK_FAILS(vm_ram_load##bits(g->gsp, MEM + PAGE, &value), ENOENT);                        \
        CHECK_FAILS(vm_ram_store##bits(g->gsp, MEM + PAGE, 0), ENOENT);                            \
        for (uint64_t i = 1; i < bits / 8; i++) {                                                  \
            CHECK_FAILS(vm_ram_load##bits(g->gsp, at + i, &value), EINVAL);                        \
            CHECK_FAILS(vm_ram_store##bits(g->gsp, at + i, 0), EINVAL);                            \
            CHECK_FAILS(vm_ram_store##bits(g->gsp, MEM + PAGE + i, 0), EINVAL);                    \
        }                                                                                          \
        CHECK_EQUAL(value, 1);                                                                     \
        CHECK_OK(vm_ram_read(g->gsp, at, &there, 8));                                              \
        CHECK_EQUAL(there, word | (bits == 64 ? 0 : UINT64_MAX << bits % 64));                     \
    } while (0)

static bool words_are_loaded_and_stored(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_RC(register_ram(g, MEM, PAGE), 0);
    LOAD_AND_STORE(8);
    LOAD_AND_STORE(16);
    LOAD_AND_STORE(32);
    LOAD_AND_STORE(64);
    return true;
}

const struct conformance_case guest_touch_cases[] = {
    {"touch calls once for each page", calls_once_for_each_page, {WITH_RAM}},
    {"touch, read and write: all or nothing over a hole", all_or_nothing_over_a_hole, {WITH_RAM}},
    {"touch, read and write: nothing outside RAM", nothing_outside_ram, {WITH_RAM}},
    {"touching no bytes is always fine", no_bytes_are_always_fine, {WITH_RAM}},
    {"touch goes on where regions touch", goes_on_where_regions_touch, {WITH_RAM}},
    {"a callback that fails ends the touch", a_callback_that_fails_ends_it, {WITH_RAM}},
    {"a callback may touch again", a_callback_may_touch_again, {WITH_RAM}},
    {"a touch keeps its RAM", a_touch_keeps_its_ram, {WITH_RAM}},
    {"a callback may register and allocate", a_callback_may_register_and_allocate, {WITH_RAM}},
    {"RAM registered beside what is touched", ram_beside_what_is_touched, {WITH_RAM}},
    {"the ready-made callbacks copy", the_ready_made_callbacks_copy, {WITH_RAM}},
    {"what is written is what the guest has", what_is_written_is_what_the_guest_has, {WITH_RAM}},
    {"words are loaded and stored whole", words_are_loaded_and_stored, {WITH_RAM}},
    {NULL, NULL, {0}},
};
