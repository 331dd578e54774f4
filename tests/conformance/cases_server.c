/* SPDX-License-Identifier: BSD-2-Clause */
/* ioreq servers and their ranges. */
#include "tests/conformance/conformance.h"

static bool eight_servers(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK(!OPS(g)->server_exists(g->hv, 0));
    for (unsigned i = 0; i < HV_MAX_SERVERS; i++) {
        CHECK_OK(OPS(g)->server_create(g->hv, &id));
        CHECK_EQUAL(id, i);
        CHECK(OPS(g)->server_exists(g->hv, i));
    }
    CHECK_FAILS(OPS(g)->server_create(g->hv, &id), ENOSPC);
    CHECK(!OPS(g)->server_exists(g->hv, HV_MAX_SERVERS));
    return true;
}

static bool lowest_free_id(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    for (unsigned i = 0; i < HV_MAX_SERVERS; i++)
        CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->server_destroy(g->hv, 5));
    CHECK_OK(OPS(g)->server_destroy(g->hv, 3));
    CHECK(!OPS(g)->server_exists(g->hv, 3));
    CHECK(OPS(g)->server_exists(g->hv, 4));
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_EQUAL(id, 3);
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_EQUAL(id, 5);
    CHECK_FAILS(OPS(g)->server_create(g->hv, &id), ENOSPC);
    return true;
}

static bool unknown_server(struct guest *g, const struct fixture *f)
{
    static const unsigned unknown[] = {1, 7, 8, 0xffff, 0x10000, ~0u};
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    for (unsigned i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
        id = unknown[i];
        CHECK(!OPS(g)->server_exists(g->hv, id));
        CHECK_FAILS(OPS(g)->server_destroy(g->hv, id), ENOENT);
        CHECK_FAILS(OPS(g)->server_enable(g->hv, id, true), ENOENT);
        CHECK_FAILS(OPS(g)->server_enable(g->hv, id, false), ENOENT);
        CHECK_FAILS(OPS(g)->server_map_range(g->hv, id, HV_RANGE_PORT, 1, 1), ENOENT);
        CHECK_FAILS(OPS(g)->server_unmap_range(g->hv, id, HV_RANGE_PCI, 1, 1), ENOENT);
        /* A range the wrong way round is noticed before that. */
        CHECK_FAILS(OPS(g)->server_map_range(g->hv, id, HV_RANGE_PORT, 2, 1), EINVAL);
    }
    return true;
}

static bool enable_and_disable_repeat(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, false));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    CHECK_OK(OPS(g)->server_destroy(g->hv, id));
    CHECK_FAILS(OPS(g)->server_destroy(g->hv, id), ENOENT);
    return true;
}

static int map(struct guest *g, enum hv_range_type type, uint64_t first, uint64_t last)
{
    return OPS(g)->server_map_range(g->hv, 0, type, first, last);
}

static int unmap(struct guest *g, enum hv_range_type type, uint64_t first, uint64_t last)
{
    return OPS(g)->server_unmap_range(g->hv, 0, type, first, last);
}

static bool ranges_of(struct guest *g, enum hv_range_type t)
{
    CHECK_OK(map(g, t, 0x100, 0x1ff));
    CHECK_FAILS(map(g, t, 0x100, 0x1ff), EEXIST);
    CHECK_FAILS(map(g, t, 0x150, 0x150), EEXIST);
    CHECK_FAILS(map(g, t, 0x0ff, 0x100), EEXIST);
    CHECK_FAILS(map(g, t, 0x1ff, 0x200), EEXIST);
    CHECK_FAILS(map(g, t, 0x000, 0xfff), EEXIST);
    CHECK_FAILS(map(g, t, 0x300, 0x2ff), EINVAL);
    CHECK_OK(map(g, t, 0x200, 0x2ff)); /* grows together with the first */
    CHECK_FAILS(unmap(g, t, 0x300, 0x2ff), EINVAL);
    CHECK_FAILS(unmap(g, t, 0x300, 0x300), ENOENT);
    CHECK_FAILS(unmap(g, t, 0x0ff, 0x1ff), ENOENT);
    CHECK_FAILS(unmap(g, t, 0x280, 0x300), ENOENT);
    CHECK_OK(unmap(g, t, 0x180, 0x27f)); /* across the seam */
    CHECK_FAILS(unmap(g, t, 0x100, 0x2ff), ENOENT);
    CHECK_OK(map(g, t, 0x1ff, 0x1ff));
    CHECK_OK(unmap(g, t, 0x100, 0x17f));
    CHECK_OK(unmap(g, t, 0x1ff, 0x1ff));
    CHECK_OK(unmap(g, t, 0x280, 0x2ff));
    CHECK_OK(map(g, t, 0, UINT64_MAX)); /* no end of the address space is known here */
    CHECK_OK(unmap(g, t, 0, UINT64_MAX));
    return true;
}

static bool port_and_memory_ranges(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_EQUAL(id, 0);
    if (!ranges_of(g, HV_RANGE_PORT) || !ranges_of(g, HV_RANGE_MEMORY))
        return false;
    CHECK_FAILS(map(g, (enum hv_range_type)3, 1, 1), EINVAL);
    CHECK_FAILS(unmap(g, (enum hv_range_type)3, 1, 1), EINVAL);
    return true;
}

static bool pci_ranges(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(map(g, HV_RANGE_PCI, 0x10, 0x10));
    CHECK_FAILS(map(g, HV_RANGE_PCI, 0x10, 0x10), EEXIST);
    CHECK_OK(map(g, HV_RANGE_PCI, 0x11, 0x11));
    CHECK_OK(map(g, HV_RANGE_PCI, 0xffffffff, 0xffffffff));
    CHECK_FAILS(map(g, HV_RANGE_PCI, 0x100000000, 0x100000000), EINVAL);
    CHECK_FAILS(map(g, HV_RANGE_PCI, 0x20, 0x21), EINVAL);
    CHECK_FAILS(unmap(g, HV_RANGE_PCI, 0x10, 0x11), EINVAL);
    CHECK_FAILS(unmap(g, HV_RANGE_PCI, 0x12, 0x12), ENOENT);
    CHECK_OK(unmap(g, HV_RANGE_PCI, 0x10, 0x10));
    CHECK_FAILS(unmap(g, HV_RANGE_PCI, 0x10, 0x10), ENOENT);
    CHECK_OK(unmap(g, HV_RANGE_PCI, 0x11, 0x11));
    return true;
}

static bool kinds_are_apart(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(map(g, HV_RANGE_PORT, 0x40, 0x40));
    CHECK_OK(map(g, HV_RANGE_MEMORY, 0x40, 0x40));
    CHECK_OK(map(g, HV_RANGE_PCI, 0x40, 0x40));
    CHECK_OK(unmap(g, HV_RANGE_MEMORY, 0x40, 0x40));
    CHECK_FAILS(unmap(g, HV_RANGE_MEMORY, 0x40, 0x40), ENOENT);
    CHECK_OK(unmap(g, HV_RANGE_PORT, 0x40, 0x40));
    CHECK_OK(unmap(g, HV_RANGE_PCI, 0x40, 0x40));
    return true;
}

static bool servers_are_apart(struct guest *g, const struct fixture *f)
{
    unsigned a, b;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &a));
    CHECK_OK(OPS(g)->server_create(g->hv, &b));
    CHECK_OK(OPS(g)->server_map_range(g->hv, a, HV_RANGE_MEMORY, 0x1000, 0x1fff));
    CHECK_OK(OPS(g)->server_map_range(g->hv, b, HV_RANGE_MEMORY, 0x1800, 0x27ff));
    CHECK_OK(OPS(g)->server_unmap_range(g->hv, b, HV_RANGE_MEMORY, 0x1800, 0x27ff));
    CHECK_FAILS(OPS(g)->server_unmap_range(g->hv, b, HV_RANGE_MEMORY, 0x1800, 0x1fff), ENOENT);
    CHECK_OK(OPS(g)->server_unmap_range(g->hv, a, HV_RANGE_MEMORY, 0x1000, 0x1fff));
    return true;
}

static bool ranges_go_with_the_server(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(map(g, HV_RANGE_PORT, 0x40, 0x4f));
    CHECK_OK(OPS(g)->server_destroy(g->hv, id));
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_EQUAL(id, 0);
    CHECK_FAILS(unmap(g, HV_RANGE_PORT, 0x40, 0x4f), ENOENT);
    CHECK_OK(map(g, HV_RANGE_PORT, 0x40, 0x4f));
    return true;
}

/* Range i of many that don't touch. */
static int map_nth(struct guest *g, enum hv_range_type t, unsigned i)
{
    return map(g, t, 0x1000 + 4 * i, 0x1000 + 4 * i + (t == HV_RANGE_PCI ? 0 : 2));
}

static bool full_of(struct guest *g, enum hv_range_type t)
{
    for (unsigned i = 0; i < HV_MAX_RANGES; i++)
        CHECK_OK(map_nth(g, t, i));
    CHECK_FAILS(map_nth(g, t, HV_MAX_RANGES), ENOMEM);
    CHECK_FAILS(map_nth(g, t, 5), EEXIST); /* looked at first */
    /* What touches the end of one needs no slot, and may free one. At its start it needs one. */
    CHECK_FAILS(map(g, t, 0x0fff, 0x0fff), ENOMEM);
    if (t == HV_RANGE_PCI) {
        CHECK_OK(map(g, t, 0x1001, 0x1001));
    } else {
        CHECK_OK(map(g, t, 0x1003, 0x1003));
        CHECK_OK(map_nth(g, t, HV_MAX_RANGES));
        CHECK_FAILS(map_nth(g, t, HV_MAX_RANGES + 1), ENOMEM);
        /* The middle of one makes two of it. */
        CHECK_FAILS(unmap(g, t, 0x1009, 0x1009), ENOMEM);
        CHECK_OK(unmap(g, t, 0x1008, 0x1008));
        CHECK_OK(unmap(g, t, 0x100a, 0x100a));
        CHECK_OK(unmap(g, t, 0x1009, 0x1009));
        CHECK_OK(unmap(g, t, 0x100d, 0x100d));
        CHECK_FAILS(unmap(g, t, 0x1011, 0x1011), ENOMEM);
    }
    return true;
}

static bool full_of_ranges(struct guest *g, const struct fixture *f)
{
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    if (!full_of(g, HV_RANGE_PORT) || !full_of(g, HV_RANGE_MEMORY) || !full_of(g, HV_RANGE_PCI))
        return false;
    CHECK_OK(OPS(g)->server_destroy(g->hv, id));
    return true;
}

/* Ports, pages and ranges of dead servers must not pile up. */
static bool many_servers_in_turn(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page;
    unsigned id;

    (void)f;
    for (unsigned i = 0; i < 300; i++) {
        CHECK_OK(OPS(g)->server_create(g->hv, &id));
        CHECK_EQUAL(id, 0);
        CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
        CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
        CHECK_OK(map(g, HV_RANGE_PORT, 1, 1));
        CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
        CHECK_OK(OPS(g)->server_destroy(g->hv, id));
    }
    return true;
}

const struct conformance_case server_cases[] = {
    {"eight servers and no more", eight_servers, {0}},
    {"a new server gets the lowest free id", lowest_free_id, {0}},
    {"calls on an unknown server", unknown_server, {0}},
    {"enabling and disabling may repeat", enable_and_disable_repeat, {0}},
    {"port and memory ranges", port_and_memory_ranges, {0}},
    {"PCI functions", pci_ranges, {0}},
    {"the kinds of range are apart", kinds_are_apart, {0}},
    {"servers are apart", servers_are_apart, {0}},
    {"ranges go with their server", ranges_go_with_the_server, {0}},
    {"256 ranges and no more", full_of_ranges, {0}},
    {"300 servers, one after the other", many_servers_in_turn, {0}},
    {NULL, NULL, {0}},
};
