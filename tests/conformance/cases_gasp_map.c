/* SPDX-License-Identifier: BSD-2-Clause */
/* gasp_map_sys, gasp_map_vdma, gasp_map_contig and gasp_unmap. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <xengasp/vdev.h>

#include "guest/guest_internal.h"
#include "tests/conformance/guest_ram.h"

static vdev_t dma_of(struct guest *g)
{
    return (vdev_t){.v_name = "dma", .v_gsp = g->gsp};
}

static void *map_sys(struct guest *g, int prot, uint64_t gpa, size_t length)
{
    void *at = gasp_map_sys(g->gsp, prot, gpa, length);

    if (!at)
        COMPLAIN("%#lx, %#zx bytes: %s", gpa, length, strerror(errno));
    return at;
}

#define MAP(at, prot, gpa, length) CHECK((at = map_sys(g, (prot), (gpa), (length))) != NULL)
#define UNMAP(at, length) CHECK_RC(gasp_unmap(g->gsp, (at), (length)), 0)

/* ---- what can be mapped ---- */

enum { SYS, VDMA, CONTIG, WAYS };

/* 0 or an errno value, and *length_r as many bytes as were mapped. -1: something that is never
 * allowed. */
static int try_map(struct guest *g, int way, int prot, uint64_t gpa, size_t length,
                   size_t *length_r)
{
    const vdev_t dma = dma_of(g);
    uint64_t before = gpa;
    void *at;

    *length_r = length;
    errno = 0;
    at = way == SYS    ? gasp_map_sys(g->gsp, prot, gpa, length)
         : way == VDMA ? gasp_map_vdma(&dma, prot, gpa, length)
                       : gasp_map_contig(&dma, prot, &gpa, length_r);
    if (gpa != before || (!at && *length_r != length))
        return -1;
    if (!at)
        return errno ? errno : -1;
    return gasp_unmap(g->gsp, at, *length_r) == 0 ? 0 : -1;
}

static const struct {
    int prot;
    uint64_t gpa;
    size_t length;
    int error;        /* of sys and vdma */
    int contig_error; /* 0: so many bytes are mapped */
    size_t contig;
} map_rows[] = {
    {PROT_READ, 0x1000, PAGE, 0, 0, PAGE},
    {RW, 0x1fff, 2, 0, 0, 2},
    {PROT_WRITE, RAM_BYTES - 1, 1, 0, 0, 1},
    {PROT_READ, MIB2 - 1, 2, 0, 0, 2},
    {RW, 0, RAM_BYTES, 0, 0, RAM_BYTES},
    {PROT_NONE, 0x1000, PAGE, EINVAL, EINVAL, 0},
    {PROT_EXEC, 0x1000, PAGE, EINVAL, EINVAL, 0},
    {RW | PROT_EXEC, 0x1000, PAGE, EINVAL, EINVAL, 0},
    {PROT_READ | 0x10000, 0x1000, PAGE, EINVAL, EINVAL, 0},
    {PROT_READ, 0x1000, 0, EINVAL, EINVAL, 0},
    {PROT_READ, MEM, 0, EINVAL, EINVAL, 0},
    {PROT_READ, UINT64_MAX, 0, EINVAL, EINVAL, 0},
    {PROT_READ, RAM_BYTES, 1, ENOENT, ENOENT, 0},
    {PROT_READ, RAM_BYTES - 1, 2, ENOENT, 0, 1},
    {RW, 0x1000, RAM_BYTES, ENOENT, 0, RAM_BYTES - 0x1000},
    {PROT_READ, MEM, 4, ENOENT, ENOENT, 0}, /* a vdev's, see below */
    {PROT_READ, MEM + 2, 1, ENOENT, ENOENT, 0},
    {PROT_READ, MEM - MIB2, 2 * MIB2, ENOENT, ENOENT, 0},
    {PROT_READ, 0xfee00000, 4, ENOENT, ENOENT, 0}, /* the platform's */
    {PROT_READ, 0, RAM_SPACE, ENOENT, 0, RAM_BYTES},
    {PROT_READ, RAM_SPACE - 1, 1, ENOENT, ENOENT, 0},
    {PROT_READ, RAM_SPACE - 1, 2, EOVERFLOW, ENOENT, 0},
    {PROT_READ, RAM_SPACE, 4, EOVERFLOW, EOVERFLOW, 0},
    {PROT_READ, UINT64_MAX, 1, EOVERFLOW, EOVERFLOW, 0},
    {PROT_READ, UINT64_MAX, 2, EOVERFLOW, EOVERFLOW, 0},
    {PROT_READ, 0x1000, SIZE_MAX, EOVERFLOW, 0, RAM_BYTES - 0x1000},
    {PROT_READ, 0x1000, SIZE_MAX - 0xfff, EOVERFLOW, 0, RAM_BYTES - 0x1000},
};

static bool what_can_be_mapped(struct guest *g, const struct fixture *f)
{
    uint64_t gpa = 0x1000;
    size_t length = PAGE;

    (void)f;
    CHECK_RC(set_region(g, MEM, 4, VIRT), 0);
    for (size_t i = 0; i < sizeof(map_rows) / sizeof(map_rows[0]); i++)
        for (int way = SYS; way < WAYS; way++) {
            int wanted = way == CONTIG ? map_rows[i].contig_error : map_rows[i].error;
            int rc =
                try_map(g, way, map_rows[i].prot, map_rows[i].gpa, map_rows[i].length, &length);

            if (rc != wanted)
                return COMPLAIN("row %zu, way %d: %s, not %s", i, way, rc_text(rc),
                                rc_text(wanted));
            if (rc == 0 && way == CONTIG && length != map_rows[i].contig)
                return COMPLAIN("row %zu: %#zx bytes", i, length);
        }
    CHECK(!gasp_map_vdma(NULL, PROT_READ, 0x1000, PAGE) && errno == EINVAL);
    errno = 0;
    CHECK(!gasp_map_contig(NULL, PROT_READ, &gpa, &length) && errno == EINVAL);
    return true;
}

/* What the guest has is what the pointer shows, and the other way round, to the byte; across the
 * border of two 2 MiB, and of two registrations. */
static bool a_mapping_is_what_the_guest_has(struct guest *g, const struct fixture *f)
{
    const uint64_t start = MEM + MIB2 - 2 * PAGE;
    const vdev_t dma = dma_of(g);
    struct window w;
    uint8_t *at, *again;

    (void)f;
    CHECK_RC(register_ram(g, MEM, MIB2 - PAGE), 0);
    CHECK_RC(register_ram(g, MEM + MIB2 - PAGE, 3 * PAGE), 0);
    CHECK(fill(g, start, 4 * PAGE, 1));
    CHECK(window_open(&w, 4) && map_run(g, &w, 0, start / PAGE, 4));
    MAP(at, RW, start + 5, 4 * PAGE - 10);
    CHECK(memcmp(at, w.at + 5, 4 * PAGE - 10) == 0);
    for (size_t i = 0; i < 4 * PAGE - 10; i++)
        at[i] = (uint8_t)(i * 7 + i / 256);
    CHECK(memcmp(at, w.at + 5, 4 * PAGE - 10) == 0);
    memset(w.at + PAGE, 0x5a, 2 * PAGE);
    for (size_t i = PAGE; i < 3 * PAGE; i++)
        CHECK_EQUAL(at[i - 5], 0x5a);
    /* At one distance, whoever maps it. */
    again = gasp_map_vdma(&dma, PROT_READ, start + PAGE, 1);
    CHECK(again == at - 5 + PAGE);
    UNMAP(again, 1);
    UNMAP(at, 4 * PAGE - 10);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 4));
    window_close(&w);
    return true;
}

/* As far as it goes in one piece. */
static bool contig_ends_at_the_first_gap(struct guest *g, const struct fixture *f)
{
    static const struct {
        uint64_t gpa;
        size_t length, mapped; /* 0: ENOENT */
    } rows[] = {
        {0, MIB2, 0x12000},
        {0x11fff, 2, 1},
        {0x11000, PAGE, PAGE},
        {0x12000, PAGE, 0},
        {0x12fff, 2, 0},
        {0x13000, PAGE, PAGE},
        {0x13001, RAM_BYTES, MIB2 - 0x13001},
        {MIB2 - 1, 2, 1},
        {MIB2, PAGE, 0},
        {MIB2 + PAGE, RAM_BYTES, RAM_BYTES - MIB2 - 2 * PAGE},
        {RAM_BYTES - PAGE, PAGE, 0},
        {MEM + 4, 2 * MIB2, MIB2 + PAGE - 4},
        {MEM + MIB2, 2 * MIB2, PAGE},
    };
    size_t length;

    (void)f;
    CHECK(fill(g, 0, RAM_BYTES, 1));
    CHECK_EQUAL(depopulate_run(g, 0x12, 1), 1);
    CHECK_EQUAL(depopulate_run(g, EXTENT_PAGES, 1), 1);
    CHECK_EQUAL(depopulate_run(g, RAM_PAGES - 1, 1), 1);
    ram_invalidate(&g->gsp->gasp.ram);
    CHECK_RC(register_ram(g, MEM, MIB2 + PAGE), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = try_map(g, CONTIG, RW, rows[i].gpa, rows[i].length, &length);

        if (rc != (rows[i].mapped ? 0 : ENOENT) || (rc == 0 && length != rows[i].mapped))
            return COMPLAIN("row %zu: %s, %#zx bytes", i, rc_text(rc), length);
    }
    CHECK_RC(try_map(g, SYS, PROT_READ, 0x11000, 2 * PAGE, &length), ENOENT);
    CHECK_RC(try_map(g, VDMA, PROT_READ, 0x12000, 2 * PAGE, &length), ENOENT);
    CHECK_RC(unregister_ram(g, MEM, MIB2 + PAGE), 0); /* nothing is left pinned */
    return true;
}

/* ---- gasp_unmap ---- */

static bool unmap_knows_what_is_mapped(struct guest *g, const struct fixture *f)
{
    char *at, *other;
    int local;

    (void)f;
    CHECK_RC(register_ram(g, MEM, MIB2), 0);
    CHECK_RC(gasp_unmap(g->gsp, NULL, PAGE), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, &local, sizeof(local)), EINVAL);
    MAP(at, PROT_READ, MEM, 2 * PAGE);
    CHECK_RC(gasp_unmap(g->gsp, at, PAGE), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at, 2 * PAGE - 1), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at, 2 * PAGE + 1), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at, 0), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at, SIZE_MAX), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at + PAGE, PAGE), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at + 1, 2 * PAGE - 1), EINVAL);
    CHECK_RC(gasp_unmap(g->gsp, at - MEM - 1, 2 * PAGE), EINVAL); /* before all */
    CHECK_RC(gasp_unmap(g->gsp, at - MEM + RAM_SPACE, 2 * PAGE), EINVAL);
    /* It is as it was: mapped once. */
    CHECK_RC(unregister_ram(g, MEM, MIB2), EBUSY);
    MAP(other, RW, MEM, 2 * PAGE);
    CHECK(other == at);
    MAP(other, RW, MEM + PAGE, PAGE); /* another range */
    UNMAP(at, 2 * PAGE);
    CHECK_RC(unregister_ram(g, MEM, MIB2), EBUSY);
    UNMAP(at, 2 * PAGE);
    CHECK_RC(gasp_unmap(g->gsp, at, 2 * PAGE), EINVAL);
    CHECK_RC(unregister_ram(g, MEM, MIB2), EBUSY);
    UNMAP(other, PAGE);
    CHECK_RC(unregister_ram(g, MEM, MIB2), 0);
    CHECK_RC(gasp_unmap(g->gsp, other, PAGE), EINVAL);
    return true;
}

/* While any of its 2 MiB is mapped; nothing else changes. */
static bool mapped_ram_stays(struct guest *g, const struct fixture *f)
{
    struct view before, during;
    uint64_t *at;

    (void)f;
    CHECK(view_take(g, &before, MEM, 2 * EXTENT_PAGES));
    CHECK_RC(register_ram(g, MEM, 2 * MIB2), 0);
    CHECK(view_take(g, &during, MEM, 2 * EXTENT_PAGES));
    CHECK(fill(g, MEM, 2 * MIB2, 3));
    MAP(at, RW, MEM + MIB2 - PAGE, 8);
    CHECK_RC(unregister_ram(g, MEM, 2 * MIB2), EBUSY);
    CHECK_RC(unregister_ram(g, MEM + MIB2 - PAGE, PAGE), EBUSY);
    CHECK_RC(unregister_ram(g, MEM, PAGE), EBUSY);
    CHECK(view_unchanged(g, &during));
    CHECK_EQUAL(*at, fill_word(MEM + MIB2 - PAGE, 3));
    CHECK_RC(unregister_ram(g, MEM + MIB2, MIB2), 0);
    UNMAP(at, 8);
    CHECK_RC(unregister_ram(g, MEM, MIB2), 0);
    return view_unchanged(g, &before);
}

/* ROM; and device memory over RAM, which is there when start-up is over, but not seen while its 2 MiB
 * are mapped from before. */
static bool memory_of_other_kinds(struct guest *g, const struct fixture *f)
{
    const uint64_t rom = MEM + 2 * PAGE, device = MEM + PAGE;
    size_t length;
    uint64_t *at, *ram;
    struct window w;

    (void)f;
    CHECK_RC(register_ram(g, MEM, 4 * PAGE), 0);
    CHECK(fill(g, MEM, 4 * PAGE, 1));
    CHECK_RC(set_region(g, rom, PAGE, GRF_MEMORY | GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE), 0);
    CHECK_RC(set_region(g, device, PAGE, GRF_PASS_ANY | GRF_ACTIVE), 0);
    CHECK_RC(try_map(g, SYS, PROT_READ, device, PAGE, &length), ENOENT);
    MAP(ram, RW, MEM, PAGE);
    CHECK_OK(guest_configured(g->gsp));
    CHECK_RC(try_map(g, SYS, PROT_READ, device, PAGE, &length), ENOENT);
    CHECK_RC(try_map(g, SYS, RW, MEM, 8, &length), 0);
    CHECK_EQUAL(*ram, fill_word(MEM, 1));
    UNMAP(ram, PAGE);
    MAP(at, RW, device, PAGE);
    for (size_t i = 0; i < PAGE / 8; i++)
        CHECK_EQUAL(at[i], 0);
    at[1] = 42;
    CHECK(window_open(&w, 1) && map_run(g, &w, 0, device / PAGE, 1));
    CHECK_EQUAL(((uint64_t *)w.at)[1], 42);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    window_close(&w);
    UNMAP(at, PAGE);
    CHECK_RC(try_map(g, VDMA, PROT_READ, device, PAGE, &length), ENOENT);
    CHECK_RC(try_map(g, SYS, PROT_READ, MEM, 4 * PAGE, &length), 0);
    CHECK_RC(try_map(g, SYS, RW, MEM, 4 * PAGE, &length), EACCES);
    CHECK_RC(try_map(g, VDMA, RW, rom, 1, &length), EACCES);
    CHECK_RC(try_map(g, CONTIG, PROT_READ, rom - 8, 2 * PAGE, &length), ENOENT);
    CHECK_RC(try_map(g, CONTIG, PROT_READ, rom, 4 * PAGE, &length), 0);
    CHECK_EQUAL(length, 2 * PAGE);
    MAP(at, PROT_READ, rom, PAGE);
    CHECK_EQUAL(at[3], fill_word(rom + 24, 1));
    UNMAP(at, PAGE);
    return true;
}

/* ---- the log of dirty pages ---- */

static unsigned logged_pages(struct guest *g, const struct fixture *f, uint64_t gpa, unsigned n)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++)
        found += f->logged(g, gpa / PAGE + i);
    return found;
}

static bool unmapping_tells_what_was_written(struct guest *g, const struct fixture *f)
{
    char *read, *write, *both;

    CHECK_RC(register_ram(g, MEM, 2 * MIB2), 0);
    CHECK(fill(g, MEM, 2 * MIB2, 1));
    CHECK_OK(f->log(g, true));
    MAP(read, PROT_READ, MEM, MIB2);
    MAP(write, RW, MEM + MIB2 - PAGE - 1, PAGE + 2); /* three pages of two 2 MiB */
    write[1] = 1;
    UNMAP(read, MIB2);
    CHECK_EQUAL(logged_pages(g, f, MEM, 8) + logged_pages(g, f, MEM + MIB2 - 8 * PAGE, 16), 0);
    UNMAP(write, PAGE + 2);
    CHECK_EQUAL(logged_pages(g, f, MEM, 8), 0);
    CHECK_EQUAL(logged_pages(g, f, MEM + MIB2 - 8 * PAGE, 16), 3);
    CHECK_EQUAL(logged_pages(g, f, MEM + MIB2 - 2 * PAGE, 3), 3);
    /* One range for reading and for writing: which of them goes first can't be told. */
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(f->log(g, false));
        CHECK_OK(f->log(g, true));
        MAP(read, i == 0 ? PROT_READ : PROT_WRITE, MEM, PAGE);
        MAP(both, i == 0 ? PROT_WRITE : PROT_READ, MEM, PAGE);
        CHECK(read == both);
        UNMAP(read, PAGE);
        both[2] = 2;
        CHECK_EQUAL(logged_pages(g, f, MEM, 8), 1);
        CHECK_OK(f->log(g, false));
        CHECK_OK(f->log(g, true));
        UNMAP(both, PAGE);
        CHECK_EQUAL(logged_pages(g, f, MEM, 8), 1);
    }
    CHECK_OK(f->log(g, false));
    return true;
}

/* ---- a guest that balloons ---- */

static void hear_of_it(struct guest *g)
{
    ram_invalidate(&g->gsp->gasp.ram);
    ram_drop_stale(&g->gsp->gasp.ram);
}

/* What is mapped goes on showing the old page, though the guest has another one by then. */
static bool given_up_under_a_mapping(struct guest *g, const struct fixture *f)
{
    uint64_t own = charged(g), *at;
    struct window w;
    size_t length;

    (void)f;
    CHECK(fill(g, 0, RAM_BYTES, 1));
    MAP(at, RW, 0x11000, 4 * PAGE);
    CHECK_EQUAL(depopulate_run(g, 0x12, 2), 2);
    hear_of_it(g);
    for (size_t i = 0; i < 4 * PAGE / 8; i++)
        CHECK_EQUAL(at[i], fill_word(0x11000 + 8 * i, 1));
    at[PAGE / 8] = 5;
    CHECK_EQUAL(at[PAGE / 8], 5);
    CHECK(!has_page(g, 0x12000) && !has_page(g, 0x13000));
    CHECK_EQUAL(populate_run(g, 0x13, 1), 1);
    CHECK(window_open(&w, 1) && map_run(g, &w, 0, 0x13, 1));
    *(uint64_t *)w.at = 7;
    hear_of_it(g);
    CHECK_EQUAL(at[2 * PAGE / 8], fill_word(0x13000, 1));
    UNMAP(at, 4 * PAGE);
    hear_of_it(g);
    CHECK_EQUAL(charged(g), own - 1);
    CHECK_RC(try_map(g, SYS, PROT_READ, 0x11000, 4 * PAGE, &length), ENOENT);
    CHECK_RC(try_map(g, CONTIG, PROT_READ, 0x11000, 4 * PAGE, &length), 0);
    CHECK_EQUAL(length, PAGE);
    MAP(at, RW, 0x13000, 2 * PAGE);
    CHECK_EQUAL(*at, 7);
    *at = 8;
    CHECK_EQUAL(*(uint64_t *)w.at, 8);
    CHECK_EQUAL(at[PAGE / 8], fill_word(0x14000, 1));
    UNMAP(at, 2 * PAGE);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    window_close(&w);
    return true;
}

/* ---- threads ---- */

enum { MAPPERS = 2 };
#define COMES (MEM + MIB2 - PAGE) /* two pages, of two 2 MiB that come and go */

struct mapper {
    struct guest *g;
    size_t number;
    _Atomic bool *over;
    unsigned long mapped, refused;
};

/* The guest has it under this mapping, whatever comes and goes. */
static const char *use_mapping(struct mapper *m, uint64_t *at, uint64_t value)
{
    uint64_t *word = at + m->number, seen;
    struct window w;
    bool there;

    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    if (!window_open(&w, 1))
        return "no address space";
    there = map_run(m->g, &w, 0, COMES / PAGE, 1);
    seen = there ? __atomic_load_n((uint64_t *)w.at + m->number, __ATOMIC_ACQUIRE) : 0;
    OPS(m->g)->unmap(m->g->hv, w.at, 1);
    window_close(&w);
    if (!there)
        return "what is mapped here is gone from the guest";
    return seen == value ? NULL : "what is mapped here isn't the guest's";
}

static void *map_and_unmap(void *arg)
{
    struct mapper *m = arg;
    const char *failed;

    for (uint64_t i = 1; !*m->over; i++) {
        uint64_t *at = gasp_map_sys(m->g->gsp, RW, COMES, 2 * PAGE);

        nanosleep(&(struct timespec){.tv_nsec = (long)(i % 7 * 20000)}, NULL);
        if (!at) {
            if (errno != ENOENT)
                return (void *)"neither mapped nor ENOENT";
            m->refused++;
            continue;
        }
        m->mapped++;
        failed = use_mapping(m, at, i);
        if (gasp_unmap(m->g->gsp, at, 2 * PAGE))
            failed = "it can't be unmapped";
        if (failed)
            return (void *)(uintptr_t)failed;
        sched_yield();
    }
    return NULL;
}

/* Now and then it stays for a while: on Xen mapping takes longer than a change leaves it alone. */
static bool come_and_go(struct guest *g, unsigned rounds, unsigned *busy_r)
{
    *busy_r = 0;
    for (unsigned i = 0; i < rounds; i++) {
        int rc = register_ram(g, MEM, 2 * MIB2);

        CHECK_RC(rc, 0);
        nanosleep(&(struct timespec){.tv_nsec = i % 4 ? 1000 : 30000000}, NULL);
        while ((rc = unregister_ram(g, MEM, 2 * MIB2)) == EBUSY) {
            ++*busy_r;
            sched_yield();
        }
        CHECK_RC(rc, 0);
    }
    return true;
}

static bool mappings_while_it_comes_and_goes(struct guest *g, const struct fixture *f)
{
    struct mapper mapper[MAPPERS];
    _Atomic bool over = false;
    pthread_t thread[MAPPERS];
    struct view before;
    unsigned busy;
    void *failed;
    bool ok;

    CHECK(view_take(g, &before, MEM, 2 * EXTENT_PAGES));
    for (size_t i = 0; i < MAPPERS; i++) {
        mapper[i] = (struct mapper){.g = g, .number = i, .over = &over};
        CHECK_EQUAL(pthread_create(&thread[i], NULL, map_and_unmap, &mapper[i]), 0);
    }
    ok = come_and_go(g, f->real ? 60 : 200, &busy);
    over = true;
    for (size_t i = 0; i < MAPPERS; i++) {
        pthread_join(thread[i], &failed);
        if (failed)
            ok = COMPLAIN("mapper %zu: %s", i, (char *)failed);
    }
    CHECK(ok);
    CHECK(mapper[0].mapped + mapper[1].mapped > 0);
    CHECK(mapper[0].refused + mapper[1].refused > 0);
    CHECK(busy > 0);
    hear_of_it(g);
    return view_unchanged(g, &before);
}

const struct conformance_case gasp_map_cases[] = {
    {"what can be mapped, and how much", what_can_be_mapped, {WITH_RAM}},
    {"a mapping is what the guest has", a_mapping_is_what_the_guest_has, {WITH_RAM}},
    {"contig ends at the first gap", contig_ends_at_the_first_gap, {WITH_RAM}},
    {"unmap knows what is mapped", unmap_knows_what_is_mapped, {WITH_RAM}},
    {"mapped RAM stays", mapped_ram_stays, {WITH_RAM}},
    {"ROM and device memory are mapped", memory_of_other_kinds, {WITH_RAM}},
    {"unmapping tells what was written", unmapping_tells_what_was_written, {WITH_RAM}},
    {"pages given up under a mapping", given_up_under_a_mapping, {WITH_RAM}},
    {"mappings while RAM comes and goes", mappings_while_it_comes_and_goes, {WITH_RAM}},
    {NULL, NULL, {0}},
};
