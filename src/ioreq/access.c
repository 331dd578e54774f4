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
    const struct space_map *map;
    uint64_t last; /* of the region, or of the hole */
    size_t i;

    rcu_enter();
    map = space_read(space);
    i = space_map_search(map, addr);
    if (i < map->n && map->region[i].range.first <= addr) {
        piece.found = true;
        piece.region = map->region[i];
        last = piece.region.range.last;
    } else {
        last = i < map->n ? map->region[i].range.first - 1 : UINT64_MAX;
    }
    rcu_leave(space);
    piece.size = power_of_two_up_to(last - addr < rest - 1 ? last - addr + 1 : rest);
    return piece;
}

static void not_answered(struct ioreq_cpu *cpu, enum gasp_space space, bool write, uint64_t addr,
                         unsigned size)
{
    struct ioreq_dispatch *dispatch = cpu->dispatch;
    uint64_t dropped;

    atomic_fetch_add_explicit(&cpu->n.unclaimed, 1, memory_order_relaxed);
    if (dispatch->unsupported == GUEST_UNSUPPORTED_IGNORE)
        return;
    if (log_limit_pass(&dispatch->limit, &dropped))
        gasp_log(dispatch->gasp, GUEST_LOG_WARN,
                 "vCPU %u: nobody answers a %s of %u bytes at %s:%#llx (%llu more)",
                 cpu->guest.index, write ? "write" : "read", size,
                 space == GASP_MEMORY ? "mem" : "io", (unsigned long long)addr,
                 (unsigned long long)dropped);
    if (dispatch->unsupported == GUEST_UNSUPPORTED_ABORT) {
        dispatch->aborted = true;
        eventfd_write(dispatch->work_fd, 1);
    }
}

/* False if nobody answered; then *value is untouched. */
static bool access_piece(struct ioreq_cpu *cpu, enum gasp_space space, const struct piece *piece,
                         bool write, uint64_t addr, uint64_t *value)
{
    const struct space_region *region = &piece->region;
    struct ram *ram = &cpu->dispatch->gasp->ram;

    if (!piece->found || !(region->flags & GRF_ACTIVE))
        return false;
    if (region->flags & (write ? GRF_VIRT_WR : GRF_VIRT_RD))
        return region->owner && vdev_access(region->owner, region->cookie,
                                            space == GASP_MEMORY ? QST_MEMORY : QST_X86_IO, write,
                                            addr, piece->size, &cpu->guest, value);
    if (space != GASP_MEMORY || !(region->flags & GRF_MEMORY))
        return false;
    /* RAM that has come to where the request was made for. */
    return (write ? ram_write(ram, addr, value, piece->size)
                  : ram_read(ram, addr, value, piece->size)) == 0;
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
