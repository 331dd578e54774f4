/* SPDX-License-Identifier: BSD-2-Clause */
/* Regions over RAM and over each other, as a running guest finds them. */
#include "gasp/gasp_internal.h"
#include "tests/conformance/plate.h"

/* ---- the guest, and what is set ---- */

enum { SEED = 7, WINDOW = 8 * MIB };
#define AT UINT64_C(0x201000) /* in the second large extent */

#define ROM (GRF_PASS_RD | GRF_PASS_EX | GRF_ACTIVE)
#define RAM (GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE)
#define DEVICE_MEMORY (GRF_PASS_ANY | GRF_ACTIVE)

static bool prepare(struct guest *g)
{
    return fill(g, MIB2, MIB2, SEED) && plate_prepare(g);
}

static bool set_off(struct guest *g)
{
    return plate_set_off(g, WINDOW);
}

static bool running(struct guest *g)
{
    return prepare(g) && set_off(g);
}

static int set_as(struct guest *g, vdev_t *vdev, unsigned cookie, uint64_t at, uint64_t bytes,
                  uint32_t flags)
{
    return plate_set_as(g, vdev, cookie, &(struct qvm_state_block){at, bytes, QST_MEMORY, 0},
                        flags);
}

static int set(struct guest *g, unsigned cookie, uint64_t at, uint64_t bytes, uint32_t flags)
{
    return set_as(g, plate.vdev, cookie, at, bytes, flags);
}

static bool reads(struct guest *g, const struct fixture *f, uint64_t at, unsigned size,
                  uint32_t wanted)
{
    return guest_reads(g, f, get(HV_RANGE_MEMORY, (uint32_t)at, size), wanted);
}

static bool writes(struct guest *g, const struct fixture *f, uint64_t at, unsigned size,
                   uint32_t value)
{
    return guest_writes(g, f, put(HV_RANGE_MEMORY, (uint32_t)at, size, value));
}

static uint32_t ram_value(uint64_t at)
{
    return (uint32_t)(fill_word(at & -(uint64_t)8, SEED) >> 8 * (at & 7));
}

static bool shows_ram(struct guest *g, const struct fixture *f, uint64_t at)
{
    uint32_t value;

    CHECK(reads(g, f, at, 4, ram_value(at)));
    CHECK_OK(vm_ram_read(g->gsp, at, &value, 4));
    CHECK_EQUAL(value, ram_value(at));
    return true;
}

static bool shows_plate(struct guest *g, const struct fixture *f, unsigned cookie, uint64_t at)
{
    uint32_t value;
    unsigned before = plate.writes;

    CHECK(reads(g, f, at, 4, plate_value(cookie, at)));
    CHECK(writes(g, f, at, 4, 0x1234567));
    CHECK(plate.writes == before + 1 && plate.location == at && plate.value == 0x1234567);
    CHECK_FAILS(vm_ram_read(g->gsp, at, &value, 4), ENOENT);
    CHECK_FAILS(vm_ram_write(g->gsp, at, &value, 4), ENOENT);
    return true;
}

static bool all_is_as_it_was(struct guest *g, const struct fixture *f, uint64_t pages)
{
    for (uint64_t at = MIB2 + 8; at < 2 * MIB2; at += 37 * PAGE)
        CHECK(shows_ram(g, f, at));
    CHECK(shows_ram(g, f, AT) && shows_ram(g, f, AT + PAGE - 4) && shows_ram(g, f, AT + PAGE));
    CHECK(is_filled(g, MIB2, MIB2, SEED));
    CHECK_EQUAL(charged(g), pages);
    return true;
}

/* ---- traps over RAM ---- */

static bool pages_come_and_go(struct guest *g, const struct fixture *f)
{
    static const struct {
        uint64_t at, bytes;
    } row[] = {{AT, PAGE}, {AT, 3 * PAGE}, {MIB2, MIB2}, {MIB2 - PAGE, 2 * PAGE}};
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        uint64_t last = row[i].at + row[i].bytes - 4;

        CHECK_RC(set(g, 1, row[i].at, row[i].bytes, VIRT), 0);
        CHECK(shows_plate(g, f, 1, row[i].at) && shows_plate(g, f, 1, last));
        CHECK(last + 4 == 2 * MIB2 || shows_ram(g, f, last + 4));
        CHECK_RC(set(g, 1, row[i].at, row[i].bytes, GRF_NONE), 0);
        CHECK(all_is_as_it_was(g, f, pages));
    }
    return true;
}

static bool a_register_in_a_page(struct guest *g, const struct fixture *f)
{
    const uint64_t at = AT + 0x100;
    uint32_t value = 0x55667788;
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    CHECK_RC(set(g, 2, at, 4, VIRT), 0);
    CHECK(shows_plate(g, f, 2, at));
    CHECK(shows_ram(g, f, AT) && shows_ram(g, f, at + 4) && shows_ram(g, f, AT + PAGE - 4));
    /* Half of it. */
    CHECK(reads(g, f, at - 2, 4, (ram_value(at - 2) & 0xffff) | plate_value(2, at) << 16));
    /* The rest is memory still, for both. */
    CHECK(writes(g, f, at + 8, 4, 0x11223344));
    CHECK_OK(vm_ram_read(g->gsp, at + 8, &value, 4));
    CHECK_EQUAL(value, 0x11223344);
    CHECK_OK(vm_ram_write(g->gsp, at + 12, &value, 4));
    CHECK(reads(g, f, at + 12, 4, 0x11223344));
    CHECK_RC(set(g, 2, at, 4, GRF_NONE), 0);
    CHECK(reads(g, f, at + 8, 4, 0x11223344) && reads(g, f, at + 12, 4, 0x11223344));
    CHECK(fill(g, at & -(uint64_t)8, 24, SEED));
    return all_is_as_it_was(g, f, pages);
}

static bool layers(struct guest *g, const struct fixture *f)
{
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    for (unsigned order = 0; order < 2; order++) {
        CHECK_RC(set(g, 1, AT, 2 * PAGE, VIRT), 0);
        CHECK_RC(set(g, 2, AT + 0x10, 0x10, VIRT), 0);
        CHECK(shows_plate(g, f, 1, AT + 0xc) && shows_plate(g, f, 2, AT + 0x10));
        CHECK(shows_plate(g, f, 1, AT + 0x20));
        CHECK_RC(set(g, 3, AT + 0xc, 8, VIRT), EEXIST);
        CHECK_RC(set(g, 4, AT, 2 * PAGE, GRF_NONE), EPERM);
        CHECK_RC(set(g, 1 + order, AT + 0x10 * order, order ? 0x10 : 2 * PAGE, GRF_NONE), 0);
        if (order == 0) /* the lower one: the register lies on RAM */
            CHECK(shows_plate(g, f, 2, AT + 0x10) && shows_ram(g, f, AT + PAGE));
        else
            CHECK(shows_plate(g, f, 1, AT + 0x10));
        CHECK_RC(set(g, 2 - order, AT + 0x10 * !order, order ? 2 * PAGE : 0x10, GRF_NONE), 0);
        CHECK(all_is_as_it_was(g, f, pages));
    }
    return true;
}

static bool decode_on_and_off(struct guest *g, const struct fixture *f)
{
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    CHECK_RC(set(g, 1, AT, PAGE, VIRT & ~GRF_ACTIVE), 0);
    CHECK(all_is_as_it_was(g, f, pages));
    CHECK_RC(set(g, 2, AT, 8, VIRT), 0); /* over the place that it holds */
    for (unsigned i = 0; i < 3; i++) {
        CHECK_RC(set(g, 1, AT, PAGE, VIRT), 0);
        CHECK(shows_plate(g, f, 2, AT) && shows_plate(g, f, 1, AT + 8));
        CHECK_RC(set(g, 1, AT + 8, PAGE - 8, VIRT & ~GRF_ACTIVE), 0);
        CHECK(shows_plate(g, f, 2, AT) && shows_ram(g, f, AT + 8));
        CHECK_RC(set(g, 1, AT + 8, PAGE - 8, VIRT), 0);
        CHECK(shows_plate(g, f, 1, AT + 8));
        CHECK_RC(set(g, 2, AT, 8, GRF_NONE), 0);
        CHECK_RC(set(g, 1, AT, PAGE, VIRT & ~GRF_ACTIVE), 0);
        CHECK(all_is_as_it_was(g, f, pages));
        CHECK_RC(set(g, 2, AT, 8, VIRT), 0);
    }
    CHECK_RC(set(g, 2, AT, 8, GRF_NONE), 0);
    CHECK_RC(set(g, 1, AT, PAGE, GRF_NONE), 0);
    return all_is_as_it_was(g, f, pages);
}

/* ---- other permissions ---- */

static bool is_rom(struct guest *g, const struct fixture *f, uint64_t at)
{
    uint32_t value = 0x600d;

    CHECK(shows_ram(g, f, at));
    CHECK(writes(g, f, at, 4, 0xbad) && shows_ram(g, f, at));
    CHECK_OK(vm_ram_write(g->gsp, at, &value, 4)); /* it holds the guest alone */
    CHECK(reads(g, f, at, 4, 0x600d));
    return fill(g, at & -(uint64_t)8, 8, SEED);
}

static bool rom(struct guest *g, const struct fixture *f)
{
    uint64_t pages, place;

    CHECK(running(g));
    pages = charged(g);
    for (unsigned i = 0; i < 2; i++) {
        vdev_t *vdev = i ? plate.vdev : NULL; /* a layer, or RAM itself */

        CHECK_RC(set_as(g, vdev, 0, AT, 2 * PAGE, ROM | GRF_MEMORY), 0);
        CHECK(is_rom(g, f, AT + 4) && is_rom(g, f, AT + PAGE) && shows_ram(g, f, AT + 2 * PAGE));
        /* Moved away and back it is ROM still; and so is the rest of a page. */
        CHECK_RC(set(g, 1, AT, PAGE, VIRT), 0);
        CHECK(shows_plate(g, f, 1, AT) && is_rom(g, f, AT + PAGE));
        /* Nor can it be written where it lies now. */
        CHECK_EQUAL(ram_parked_row(&gasp_of(g->gsp)->ram, AT / PAGE, 1, RAM_FRAME, &place), 1);
        CHECK(reads(g, f, place * PAGE + 8, 4, ram_value(AT + 8)));
        CHECK(writes(g, f, place * PAGE + 8, 4, 0xbad));
        CHECK_RC(set(g, 1, AT, PAGE, GRF_NONE), 0);
        CHECK(is_rom(g, f, AT));
        CHECK_RC(set(g, 1, AT, 4, VIRT), 0);
        CHECK(shows_plate(g, f, 1, AT) && is_rom(g, f, AT + 8));
        CHECK_RC(set(g, 1, AT, 4, GRF_NONE), 0);
        CHECK_RC(set_as(g, vdev, 0, AT, 2 * PAGE, i ? GRF_NONE : RAM), 0);
        CHECK(writes(g, f, AT, 4, 5) && reads(g, f, AT, 4, 5) && fill(g, AT, 8, SEED));
        CHECK(all_is_as_it_was(g, f, pages));
    }
    CHECK_RC(set_as(g, NULL, 0, AT + 4, 4, ROM), EINVAL);
    CHECK_RC(set_as(g, NULL, 0, MEM, PAGE, ROM | GRF_MEMORY), ENOTSUP);
    return true;
}

static bool reads_pass_and_writes_trap(struct guest *g, const struct fixture *f)
{
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    CHECK_RC(set(g, 1, AT, PAGE, GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE), 0);
    CHECK(reads(g, f, AT + 12, 4, ram_value(AT + 12)));
    CHECK(writes(g, f, AT + 12, 4, 77) && plate.writes == 1 && plate.value == 77);
    CHECK(reads(g, f, AT + 12, 4, ram_value(AT + 12)));
    CHECK_RC(set(g, 1, AT, PAGE, GRF_NONE), 0);
    CHECK_RC(set(g, 1, AT, PAGE, GRF_PASS_RD | GRF_PASS_EX | GRF_VIRT_WR | GRF_ACTIVE), ENOTSUP);
    CHECK_RC(set(g, 1, MEM, PAGE, GRF_PASS_RD | GRF_VIRT_WR | GRF_ACTIVE), ENOTSUP);
    return all_is_as_it_was(g, f, pages);
}

static bool nobody_may(struct guest *g, const struct fixture *f)
{
    static const uint64_t bytes[] = {PAGE, 8};
    uint32_t value;
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_RC(set_as(g, NULL, 1, AT, bytes[i], GRF_NOPERMS | GRF_ACTIVE), 0);
        CHECK(reads(g, f, AT + 4, 4, UINT32_MAX) && writes(g, f, AT + 4, 4, 1));
        CHECK_FAILS(vm_ram_read(g->gsp, AT + 4, &value, 4), ENOENT);
        CHECK(shows_ram(g, f, AT + bytes[i]));
        CHECK_RC(set_as(g, NULL, 1, AT, bytes[i], GRF_NONE), 0);
        CHECK(all_is_as_it_was(g, f, pages));
    }
    return true;
}

/* ---- device memory ---- */

static bool device_memory(struct guest *g, const struct fixture *f)
{
    struct gasp_region is;
    uint64_t pages;

    CHECK(prepare(g));
    CHECK_RC(set(g, 1, MEM, 3 * PAGE, DEVICE_MEMORY), 0);
    CHECK_RC(set(g, 2, MEM + 8 * PAGE, PAGE, ROM), 0);
    CHECK(set_off(g));
    pages = charged(g) - 4;
    CHECK(reads(g, f, MEM, 4, 0) && writes(g, f, MEM + PAGE, 4, 42) &&
          reads(g, f, MEM + PAGE, 4, 42));
    CHECK(writes(g, f, MEM + 8 * PAGE, 4, 42) && reads(g, f, MEM + 8 * PAGE, 4, 0));
    CHECK_FAILS(vm_ram_load32(g->gsp, MEM + PAGE, &(uint32_t){0}), ENOENT);
    CHECK_EQUAL(
        gasp_region_info(g->gsp, &(struct qvm_state_block){MEM + PAGE, 1, QST_MEMORY, 0}, &is), 0);
    CHECK(is.host_location == (uintptr_t)(gasp_of(g->gsp)->ram.base + MEM) &&
          is.guest.length == 3 * PAGE);
    /* Off and on it keeps its content; so beneath a register. */
    CHECK_RC(set(g, 1, MEM, 3 * PAGE, DEVICE_MEMORY & ~GRF_ACTIVE), 0);
    CHECK(reads(g, f, MEM + PAGE, 4, UINT32_MAX));
    CHECK_RC(set(g, 1, MEM, 3 * PAGE, DEVICE_MEMORY), 0);
    CHECK(reads(g, f, MEM + PAGE, 4, 42));
    CHECK_RC(set(g, 3, MEM + PAGE + 8, 8, VIRT), 0);
    CHECK(reads(g, f, MEM + PAGE, 4, 42) &&
          reads(g, f, MEM + PAGE + 8, 4, plate_value(3, MEM + PAGE + 8)));
    CHECK(writes(g, f, MEM + PAGE + 4, 4, 43) && reads(g, f, MEM + PAGE + 4, 4, 43));
    CHECK_RC(set(g, 1, MEM, 3 * PAGE, GRF_NONE), 0);
    CHECK(reads(g, f, MEM + PAGE, 4, UINT32_MAX) &&
          reads(g, f, MEM + PAGE + 8, 4, plate_value(3, MEM + PAGE + 8)));
    CHECK_RC(set(g, 3, MEM + PAGE + 8, 8, GRF_NONE), 0);
    CHECK_RC(set(g, 2, MEM + 8 * PAGE, PAGE, GRF_NONE), 0);
    CHECK_EQUAL(charged(g), pages);
    /* The guest may use any hole by now. */
    CHECK_RC(set(g, 1, MEM, PAGE, DEVICE_MEMORY), EBUSY);
    return true;
}

static bool device_memory_over_ram(struct guest *g, const struct fixture *f)
{
    uint64_t pages;

    CHECK(prepare(g));
    CHECK_RC(set(g, 1, AT, 2 * PAGE, DEVICE_MEMORY), 0);
    CHECK(set_off(g));
    pages = charged(g) - 2;
    CHECK(reads(g, f, AT, 4, 0) && writes(g, f, AT + 4, 4, 9) && reads(g, f, AT + 4, 4, 9));
    CHECK_RC(set(g, 1, AT, PAGE, DEVICE_MEMORY & ~GRF_ACTIVE), 0);
    CHECK(shows_ram(g, f, AT + 4) && reads(g, f, AT + PAGE, 4, 0));
    CHECK_RC(set(g, 1, AT, PAGE, DEVICE_MEMORY), 0);
    CHECK(reads(g, f, AT + 4, 4, 9));
    CHECK_RC(set(g, 1, AT, 2 * PAGE, GRF_NONE), 0);
    return all_is_as_it_was(g, f, pages);
}

static bool device_memory_in_the_window(struct guest *g, const struct fixture *f)
{
    uint64_t at, pages;

    CHECK(running(g));
    at = gasp_of(g->gsp)->window.first;
    pages = charged(g);
    CHECK(at < UINT64_C(1) << 32); /* where the driver reaches */
    CHECK_RC(set(g, 1, at, 4 * PAGE, DEVICE_MEMORY), 0);
    CHECK(writes(g, f, at + PAGE, 4, 3) && reads(g, f, at + PAGE, 4, 3));
    CHECK_RC(set(g, 1, at, 4 * PAGE, GRF_NONE), 0);
    CHECK(reads(g, f, at + PAGE, 4, UINT32_MAX));
    CHECK_EQUAL(charged(g), pages);
    return true;
}

/* ---- all or nothing; before the start ---- */

static bool all_or_nothing(struct guest *g, const struct fixture *f)
{
    struct gasp_region rgn[] = {
        {.flags = VIRT, .cookie = 1, .vdev = NULL, .guest = {AT, PAGE, QST_MEMORY, 0}},
        {.flags = VIRT, .cookie = 2, .vdev = NULL, .guest = {AT + 4, 4, QST_MEMORY, 0}},
        {.flags = VIRT, .cookie = 3, .vdev = NULL, .guest = {AT + 6, 4, QST_MEMORY, 0}},
    };
    uint64_t pages;

    CHECK(running(g));
    pages = charged(g);
    for (unsigned i = 0; i < 3; i++)
        rgn[i].vdev = plate.vdev;
    CHECK_FAILS(gasp_region_set_all(g->gsp, 3, rgn), EPERM);
    gasp_lock(g->gsp, QST_MEMORY);
    CHECK_FAILS(gasp_region_set_all(g->gsp, 3, rgn), EEXIST);
    CHECK(all_is_as_it_was(g, f, pages));
    CHECK_OK(gasp_region_set_all(g->gsp, 2, rgn));
    CHECK(shows_plate(g, f, 1, AT) && shows_plate(g, f, 2, AT + 4));
    rgn[0].flags = rgn[1].flags = GRF_NONE;
    CHECK_OK(gasp_region_set_all(g->gsp, 2, rgn));
    gasp_unlock(g->gsp, QST_MEMORY);
    return all_is_as_it_was(g, f, pages);
}

static bool set_before_the_start(struct guest *g, const struct fixture *f)
{
    uint64_t pages;

    CHECK(prepare(g));
    CHECK_RC(set(g, 1, AT, PAGE, VIRT), 0);
    CHECK_RC(set(g, 2, AT + PAGE, 4, VIRT), 0);
    CHECK_RC(set_as(g, NULL, 0, AT + 2 * PAGE, PAGE, ROM), 0);
    CHECK(set_off(g));
    pages = charged(g);
    CHECK(shows_plate(g, f, 1, AT) && shows_plate(g, f, 2, AT + PAGE));
    CHECK(shows_ram(g, f, AT + PAGE + 4) && is_rom(g, f, AT + 2 * PAGE));
    CHECK_RC(set(g, 1, AT, PAGE, GRF_NONE), 0);
    CHECK_RC(set(g, 2, AT + PAGE, 4, GRF_NONE), 0);
    return all_is_as_it_was(g, f, pages);
}

#define DRIVEN                                                                                     \
    {                                                                                              \
        WITH_RAM, .running = true                                                                  \
    }

const struct conformance_case guest_overlay_cases[] = {
    {"pages of RAM are covered and come back", pages_come_and_go, DRIVEN},
    {"a register in a page of RAM", a_register_in_a_page, DRIVEN},
    {"layers over layers", layers, DRIVEN},
    {"decode on and off", decode_on_and_off, DRIVEN},
    {"ROM", rom, DRIVEN},
    {"reads pass and writes trap", reads_pass_and_writes_trap, DRIVEN},
    {"nobody may", nobody_may, DRIVEN},
    {"device memory", device_memory, DRIVEN},
    {"device memory over RAM", device_memory_over_ram, DRIVEN},
    {"device memory of a running guest", device_memory_in_the_window, DRIVEN},
    {"all or nothing", all_or_nothing, DRIVEN},
    {"set before the start", set_before_the_start, DRIVEN},
    {NULL, NULL, {0}},
};
