/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request taken apart. A plain access is one element. A string instruction is `count` of them,
 * each `size` further up or (DF) down; with data_is_ptr the other side is guest RAM and steps too,
 * while a port, or a register of PCI configuration space, stays where it is.
 */
#include "ioreq/ioreq.h"

/* Xen never sends more: the elements of one request lie in one page. */
enum { MAX_COUNT = HV_PAGE_SIZE };

static bool sensible(const struct ioreq_slot *req)
{
    bool size_ok = req->size == 1 || req->size == 2 || req->size == 4 || req->size == 8;

    if (req->type == IOREQ_PORT || req->type == IOREQ_PCI_CONFIG)
        return size_ok && req->size <= 4 && req->count >= 1 && req->count <= MAX_COUNT;
    return req->type == IOREQ_MEMORY && size_ok && req->count >= 1 && req->count <= MAX_COUNT;
}

/* One element between the device and guest RAM. RAM that isn't there reads all ones; writes to it
 * vanish. */
static void copy_element(struct ioreq_cpu *cpu, enum gasp_space space, bool read, uint64_t addr,
                         uint64_t gpa, unsigned size)
{
    struct ram *ram = &cpu->dispatch->gasp->ram;
    uint64_t value = UINT64_MAX;

    if (read) {
        ioreq_access(cpu, space, false, addr, size, &value);
        ram_write(ram, gpa, &value, size);
        return;
    }
    if (ram_read(ram, gpa, &value, size) < 0)
        value = UINT64_MAX;
    ioreq_access(cpu, space, true, addr, size, &value);
}

__attribute__((hot)) uint64_t ioreq_serve(struct ioreq_cpu *cpu, const struct ioreq_slot *req)
{
    uint8_t control = req->control;
    bool read = control & IOREQ_CONTROL_READ;
    enum gasp_space space = req->type == IOREQ_PORT         ? GASP_PORTS
                            : req->type == IOREQ_PCI_CONFIG ? GASP_PCI
                                                            : GASP_MEMORY;
    uint64_t value = req->data;
    uint64_t step;

    if (!sensible(req)) {
        atomic_fetch_add_explicit(&cpu->n.malformed, 1, memory_order_relaxed);
        return UINT64_MAX;
    }
    step = control & IOREQ_CONTROL_DF ? -(uint64_t)req->size : req->size;
    for (uint32_t i = 0; i < req->count; i++) {
        /* Unsigned: an address that wraps finds nothing there. */
        uint64_t addr = space == GASP_MEMORY ? req->addr + i * step : req->addr;

        if (control & IOREQ_CONTROL_DATA_IS_PTR)
            copy_element(cpu, space, read, addr, req->data + i * step, req->size);
        else
            ioreq_access(cpu, space, !read, addr, req->size, &value);
    }
    return value;
}
