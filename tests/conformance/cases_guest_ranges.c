/* SPDX-License-Identifier: BSD-2-Clause */
/* Trap ranges of a running guest: more of them than a server holds, and PCI configuration space. */
#include "gasp/gasp_internal.h"
#include "tests/conformance/plate.h"

enum { PORT = 0x2000, A_SERVER = HV_MAX_RANGES - 1, ALL = HV_MAX_SERVERS * A_SERVER };

/* One port, and a hole after it. */
static int set_port(struct guest *g, unsigned i, uint32_t flags)
{
    return plate_set_as(g, plate.vdev, i % 16,
                        &(struct qvm_state_block){PORT + 2 * i, 1, QST_X86_IO, 0}, flags);
}

static bool port_answers(struct guest *g, const struct fixture *f, unsigned i)
{
    return guest_reads(g, f, get(HV_RANGE_PORT, PORT + 2 * i, 1),
                       plate_value(i % 16, PORT + 2 * i));
}

static bool set_ports(struct guest *g, unsigned from, unsigned n, uint32_t flags)
{
    for (unsigned i = from; i < from + n; i++)
        CHECK_RC(set_port(g, i, flags), 0);
    return true;
}

/* None is there when the guest starts; each comes when it is needed. */
static bool servers_come_while_it_runs(struct guest *g, const struct fixture *f)
{
    const struct gasp *gasp = gasp_of(g->gsp);

    CHECK(plate_prepare(g) && plate_set_off(g, 0));
    CHECK_EQUAL(gasp->trap.n_servers, 0);
    for (unsigned n = 0; n < 3; n++) {
        CHECK(set_ports(g, n * A_SERVER, A_SERVER, VIRT));
        CHECK_EQUAL(gasp->trap.n_servers, n + 1);
        for (unsigned i = n * A_SERVER; i < (n + 1) * A_SERVER; i += 127)
            CHECK(port_answers(g, f, i));
        CHECK(guest_reads(g, f, get(HV_RANGE_PORT, PORT + 2 * n * A_SERVER + 1, 1), 0xff));
    }
    CHECK(port_answers(g, f, 0) && port_answers(g, f, A_SERVER));
    CHECK(set_ports(g, 0, 3 * A_SERVER, GRF_NONE));
    CHECK(guest_reads(g, f, get(HV_RANGE_PORT, PORT, 1), 0xff));
    return true;
}

static bool all_servers_full(struct guest *g, const struct fixture *f)
{
    const struct qvm_state_block middle = {0x9000, 16, QST_X86_IO, 0};
    struct qvm_state_block part = {0x9004, 4, QST_X86_IO, 0};

    CHECK(plate_prepare(g) && plate_set_off(g, 0));
    CHECK_RC(plate_set_as(g, plate.vdev, 5, &middle, VIRT), 0);
    CHECK(set_ports(g, 0, ALL - 1, VIRT));
    CHECK_EQUAL(gasp_of(g->gsp)->trap.n_servers, HV_MAX_SERVERS);
    CHECK_RC(set_port(g, ALL, VIRT), ENOSPC);
    CHECK(port_answers(g, f, 0) && port_answers(g, f, ALL - 2));
    /* The middle of a range: its server's spare, then another's, until none is left. */
    for (unsigned i = 0; i < 2; i++) {
        CHECK_RC(plate_set_as(g, plate.vdev, 5, &part, GRF_NONE), 0);
        CHECK(guest_reads(g, f, get(HV_RANGE_PORT, (uint32_t)part.location, 1), 0xff));
        CHECK(guest_reads(g, f, get(HV_RANGE_PORT, 0x900c, 1), plate_value(5, 0x900c)));
        part = (struct qvm_state_block){0x900a, 1, QST_X86_IO, 0};
    }
    CHECK_RC(plate_set_as(g, plate.vdev, 5, &part, GRF_NONE), ENOENT);
    /* One given back is one to have. */
    CHECK_RC(set_port(g, ALL - 2, GRF_NONE), 0);
    CHECK_RC(set_port(g, ALL, VIRT), 0);
    CHECK(port_answers(g, f, ALL));
    return true;
}

/* ---- PCI configuration space ---- */

enum { ADDRESS = 0xcf8, DATA = 0xcfc, SLOT = 0x12 };

static bool reads_config(struct guest *g, const struct fixture *f, unsigned slot, unsigned reg,
                         unsigned size, uint32_t wanted)
{
    CHECK(guest_writes(g, f, put(HV_RANGE_PORT, ADDRESS, 4, 1u << 31 | slot << 11 | (reg & 0xfc))));
    return guest_reads(g, f, get(HV_RANGE_PORT, DATA + reg % 4, size), wanted);
}

static bool pci_functions(struct guest *g, const struct fixture *f)
{
    const uint64_t at = QSL_PCI_MAKE_LOC(0, SLOT, 0);
    const struct qvm_state_block function = {at, 256, QST_PCI, 0};
    struct qvm_state_block odd = function;

    CHECK(plate_prepare(g) && plate_set_off(g, 0));
    CHECK_EQUAL(gasp_lock(g->gsp, QST_PCI), 0);
    CHECK_EQUAL(gasp_find_free(g->gsp, QST_PCI, 256, 0), QSL_PCI_MAKE_LOC(0, 0x10, 0));
    CHECK_EQUAL(gasp_unlock(g->gsp, QST_PCI), 0);
    CHECK(reads_config(g, f, SLOT, 0, 4, UINT32_MAX));
    CHECK_RC(plate_set_as(g, plate.vdev, 3, &function, VIRT), 0);
    CHECK(reads_config(g, f, SLOT, 0, 4, plate_value(3, at)));
    CHECK(reads_config(g, f, SLOT, 0x3d, 1, plate_value(3, at + 0x3d)));
    CHECK(reads_config(g, f, SLOT + 1, 0, 4, UINT32_MAX));
    CHECK(guest_writes(g, f, put(HV_RANGE_PORT, ADDRESS, 4, 1u << 31 | SLOT << 11 | 0x10)));
    CHECK(guest_writes(g, f, put(HV_RANGE_PORT, DATA, 4, 0xfe000000)));
    CHECK(plate.location == at + 0x10 && plate.value == 0xfe000000);
    odd.length = 128;
    CHECK_RC(plate_set_as(g, plate.vdev, 3, &odd, VIRT), EINVAL);
    odd = (struct qvm_state_block){at + 4, 256, QST_PCI, 0};
    CHECK_RC(plate_set_as(g, plate.vdev, 3, &odd, VIRT), EINVAL);
    odd = (struct qvm_state_block){QSL_PCI_MAKE_LOC(0xff, 0x1f, 7) + (UINT64_C(1) << 32), 256,
                                   QST_PCI, 0};
    CHECK_RC(plate_set_as(g, plate.vdev, 3, &odd, VIRT), EOVERFLOW);
    CHECK_RC(plate_set_as(g, plate.vdev, 3, &function, GRF_PASS_ANY | GRF_ACTIVE), ENOTSUP);
    CHECK_RC(plate_set_as(g, plate.vdev, 3, &function, GRF_NONE), 0);
    CHECK(reads_config(g, f, SLOT, 0, 4, UINT32_MAX));
    return true;
}

#define DRIVEN                                                                                     \
    {                                                                                              \
        WITH_RAM, .running = true                                                                  \
    }

const struct conformance_case guest_range_cases[] = {
    {"servers come while the guest runs", servers_come_while_it_runs, DRIVEN},
    {"all servers are full", all_servers_full, DRIVEN},
    {"functions of PCI configuration space", pci_functions, DRIVEN},
    {NULL, NULL, {0}},
};
