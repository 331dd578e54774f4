/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space, as a guest reaches it by the ports. */
#include "tests/conformance/device.h"

enum { ADDRESS = 0xcf8, DATA = 0xcfc, FUNCTION = 0x1a3 };

#define ON 0x80000000u

/* Lets the guest name a function's register; nobody hears of it. */
static bool choose(struct guest *g, const struct fixture *f, uint32_t on, unsigned function,
                   unsigned reg)
{
    return unclaimed(g, f, put(HV_RANGE_PORT, ADDRESS, 4, on | function << 8 | (reg & 0xfc)));
}

static uint64_t place(unsigned function, unsigned reg)
{
    return (uint64_t)function << 32 | reg;
}

/* Reads and writes a register, which d gets to see. */
static bool reached(struct device *d, const struct fixture *f, unsigned function, unsigned reg,
                    unsigned size)
{
    struct access a = get(HV_RANGE_PORT, DATA + reg % 4, size);
    uint32_t value;

    CHECK(choose(d->g, f, ON, function, reg));
    CHECK_OK(f->start(d->g, 0, &a));
    CHECK(asked(d, 0) && matches_config(d, 0, place(function, reg), a));
    CHECK(answer(d, 0, 0xa1b2c3d4e5f6a7b8));
    CHECK_OK(f->wait(d->g, 0, SOON, &value));
    CHECK_EQUAL(value, 0xe5f6a7b8 & (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1));
    a = put(HV_RANGE_PORT, a.addr, size, 0x41 + reg % 0x40);
    CHECK_OK(f->start(d->g, 0, &a));
    CHECK(asked(d, 0) && matches_config(d, 0, place(function, reg), a) && answer(d, 0, 0));
    CHECK_OK(f->wait(d->g, 0, SOON, &value));
    return true;
}

static bool is_nobodys(struct guest *g, const struct fixture *f, unsigned function)
{
    CHECK(choose(g, f, ON, function, 0x10));
    for (unsigned size = 1; size <= 4; size *= 2) {
        CHECK(unclaimed(g, f, get(HV_RANGE_PORT, DATA, size)));
        CHECK(unclaimed(g, f, put(HV_RANGE_PORT, DATA, size, 1)));
    }
    return true;
}

static bool registers_of_a_function(struct guest *g, const struct fixture *f)
{
    struct device d;

    CHECK(device_open(&d, g));
    CHECK(claim(&d, HV_RANGE_PCI, FUNCTION, FUNCTION));
    for (unsigned size = 1; size <= 4; size *= 2)
        for (unsigned reg = 0; reg < 4; reg += size)
            CHECK(reached(&d, f, FUNCTION, 0x3c + reg, size));
    CHECK(reached(&d, f, FUNCTION, 0, 4) && reached(&d, f, FUNCTION, 0xff, 1));
    CHECK(reached(&d, f, FUNCTION, 0x12, 4)); /* over the end of the data ports: theirs still */
    CHECK(is_nobodys(g, f, FUNCTION - 1) && is_nobodys(g, f, FUNCTION + 1));
    CHECK(is_nobodys(g, f, 0) && is_nobodys(g, f, 0xffff));
    CHECK_OK(ops(&d)->server_unmap_range(g->hv, d.server, HV_RANGE_PCI, FUNCTION, FUNCTION));
    CHECK(is_nobodys(g, f, FUNCTION));
    CHECK(silent(&d));
    return device_close(&d);
}

static bool many_functions(struct guest *g, const struct fixture *f)
{
    static const unsigned function[] = {0, 1, 2, 8, 0xff00, 0xffff};
    struct device d;

    CHECK(device_open(&d, g));
    for (unsigned i = 0; i < 6; i++)
        CHECK(claim(&d, HV_RANGE_PCI, function[i], function[i]));
    CHECK(claim(&d, HV_RANGE_PCI, 0x10000 | 5, 0x10000 | 5)); /* out of the ports' reach */
    for (unsigned i = 0; i < 6; i++)
        CHECK(reached(&d, f, function[i], 4 * i, 4));
    CHECK(is_nobodys(g, f, 5));
    CHECK_OK(ops(&d)->server_unmap_range(g->hv, d.server, HV_RANGE_PCI, 1, 1));
    CHECK(reached(&d, f, 0, 0, 4) && is_nobodys(g, f, 1) && reached(&d, f, 2, 0, 4));
    return device_close(&d);
}

static bool highest_server_has_it(struct guest *g, const struct fixture *f)
{
    struct device low, high;

    CHECK(device_open(&low, g) && device_open(&high, g));
    CHECK(claim(&high, HV_RANGE_PCI, FUNCTION, FUNCTION));
    CHECK(claim(&low, HV_RANGE_PCI, FUNCTION, FUNCTION));
    CHECK(claim(&low, HV_RANGE_PCI, FUNCTION + 1, FUNCTION + 1));
    CHECK(reached(&high, f, FUNCTION, 4, 4) && reached(&low, f, FUNCTION + 1, 4, 4));
    CHECK_OK(ops(&high)->server_enable(g->hv, high.server, false));
    CHECK(reached(&low, f, FUNCTION, 4, 4));
    CHECK_OK(ops(&high)->server_enable(g->hv, high.server, true));
    CHECK(reached(&high, f, FUNCTION, 4, 4));
    return device_close(&low) && device_close(&high);
}

/* Who has the ports themselves sees what is written to the first, and the others while it is off. */
static bool ports_of_the_bus(struct guest *g, const struct fixture *f)
{
    struct access on = put(HV_RANGE_PORT, ADDRESS, 4, ON | FUNCTION << 8);
    struct access off = put(HV_RANGE_PORT, ADDRESS, 4, FUNCTION << 8);
    struct device bus, device;

    CHECK(device_open(&bus, g) && device_open(&device, g));
    CHECK(claim(&bus, HV_RANGE_PORT, ADDRESS, DATA + 3));
    CHECK(claim(&device, HV_RANGE_PCI, FUNCTION, FUNCTION));
    CHECK(served_by(&bus, f, get(HV_RANGE_PORT, DATA, 4)));
    CHECK(served_by(&bus, f, on));
    CHECK(served_by(&bus, f, get(HV_RANGE_PORT, ADDRESS, 4)));
    CHECK_OK(f->start(g, 0, &(struct access){HV_RANGE_PORT, true, 1, DATA + 1, 0x99}));
    CHECK(asked(&device, 0) && answer(&device, 0, 0));
    CHECK_OK(f->wait(g, 0, SOON, &(uint32_t){0}));
    CHECK(served_by(&bus, f, put(HV_RANGE_PORT, ADDRESS, 2, 0))); /* that doesn't turn it off */
    CHECK_OK(
        ops(&device)->server_unmap_range(g->hv, device.server, HV_RANGE_PCI, FUNCTION, FUNCTION));
    CHECK(unclaimed(g, f, get(HV_RANGE_PORT, DATA, 4))); /* not the bus's either */
    CHECK(served_by(&bus, f, off));
    CHECK(served_by(&bus, f, get(HV_RANGE_PORT, DATA + 2, 2)));
    CHECK(silent(&device));
    return device_close(&bus) && device_close(&device);
}

#define RUNNING                                                                                    \
    {                                                                                              \
        .running = true                                                                            \
    }

const struct conformance_case pci_cases[] = {
    {"registers of a PCI function", registers_of_a_function, RUNNING},
    {"PCI functions apart", many_functions, RUNNING},
    {"of two servers with a PCI function the higher one", highest_server_has_it, RUNNING},
    {"the ports of the PCI bus", ports_of_the_bus, RUNNING},
    {NULL, NULL, {0}},
};
