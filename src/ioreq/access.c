/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One access, divided at the borders of regions. Xen hands an access over whole when it lies in one
 * server's ranges, and neighbouring vdevs share a range: so it can span several of them, or bytes
 * that have just been taken away.
 */
#include "ioreq/ioreq.h"

#include <sys/eventfd.h>

struct piece {
    unsigned size; /* a power of two */
    bool found;
    struct space_region region; /* a copy: the map may change while the handler runs */
};

static unsigned power_of_two_up_to(uint64_t n)
{
    return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/* What answers at addr, and how many of the `rest` bytes from there on. */
static struct piece find_piece(struct space *space, uint64_t addr, unsigned rest)
{
    struct piece piece = {.found = false};
    uint64_t last = addr + (rest - 1);

    if (last < addr)
        last = UINT64_MAX;
    rcu_enter();
    piece.found = space_map_look(space_read(space), (struct range){addr, last}, &piece.region);
    rcu_leave(space);
    if (piece.region.range.last < last)
        last = piece.region.range.last;
    piece.size = power_of_two_up_to(last - addr + 1);
    return piece;
}

static void not_answered(struct ioreq_cpu *cpu, enum gasp_space space, bool write, uint64_t addr,
                         unsigned size)
{
    static const char *const name[GASP_SPACES] = {"mem", "io", "pci"};
    struct ioreq_dispatch *dispatch = cpu->dispatch;
    uint64_t dropped;

    atomic_fetch_add_explicit(&cpu->n.unclaimed, 1, memory_order_relaxed);
    if (dispatch->unsupported == GUEST_UNSUPPORTED_IGNORE)
        return;
    if (log_limit_pass(&dispatch->limit, &dropped))
        gasp_log(dispatch->gasp, GUEST_LOG_WARN,
                 "vCPU %u: nobody answers a %s of %u bytes at %s:%#llx (%llu more)",
                 cpu->guest.index, write ? "write" : "read", size, name[space],
                 (unsigned long long)addr, (unsigned long long)dropped);
    if (dispatch->unsupported == GUEST_UNSUPPORTED_ABORT) {
        dispatch->aborted = true;
        eventfd_write(dispatch->work_fd, 1);
    }
}

/* False if nobody answered; then *value is untouched. */
static bool access_piece(struct ioreq_cpu *cpu, enum gasp_space space, const struct piece *piece,
                         bool write, uint64_t addr, uint64_t *value)
{
    static const uint16_t type[GASP_SPACES] = {
        [GASP_MEMORY] = QST_MEMORY, [GASP_PORTS] = QST_X86_IO, [GASP_PCI] = QST_PCI};
    const struct space_region *region = &piece->region;

    if (!piece->found)
        return false;
    if (region->flags & (write ? GRF_VIRT_WR : GRF_VIRT_RD))
        return region->owner && vdev_access(region->owner, region->cookie, type[space], write, addr,
                                            piece->size, &cpu->guest, value);
    if (region->flags & GRF_NOPERMS) {
        *value = UINT64_MAX;
        return true;
    }
    /* Memory that has come to where the request was made for, or of which a part is covered. */
    if (region->flags & (write ? GRF_PASS_WR : GRF_PASS_RD))
        return ram_access_shown(&cpu->dispatch->gasp->ram, write, addr, value, piece->size) == 0;
    return write && (region->flags & GRF_PASS_RD); /* ROM: dropped */
}

static uint64_t ones(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

__attribute__((hot)) void ioreq_access(struct ioreq_cpu *cpu, enum gasp_space space, bool write,
                                       uint64_t addr, unsigned size, uint64_t *value)
{
    uint64_t result = 0;

    for (unsigned done = 0; done < size;) {
        struct piece piece =
            find_piece(&cpu->dispatch->gasp->space[space], addr + done, size - done);
        uint64_t part = write ? *value >> 8 * done & ones(piece.size) : 0;

        if (!access_piece(cpu, space, &piece, write, addr + done, &part)) {
            not_answered(cpu, space, write, addr + done, piece.size);
            part = UINT64_MAX;
        }
        result |= (part & ones(piece.size)) << 8 * done;
        done += piece.size;
        atomic_fetch_add_explicit(&cpu->n.accesses, 1, memory_order_relaxed);
    }
    if (!write)
        *value = result;
}
