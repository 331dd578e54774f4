/* SPDX-License-Identifier: BSD-2-Clause */
/* The public sim.h, on the simulator's own door. */
#include <errno.h>
#include <xengasp/sim.h>

#include "guest/guest_internal.h"
#include "hv/sim.h"

enum { ANSWER_WITHIN_MS = 10000 };

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* Also lets a guest run that was made paused: somebody drives it now. */
static int check(struct guest_system *gsp, unsigned vcpu, unsigned type, unsigned size)
{
    struct hv_info info;

    if (!gsp->simulated || (type != QST_MEMORY && type != QST_X86_IO && type != QST_PCI))
        return refuse(ENOTSUP);
    if (vcpu >= gsp->n_cpus || (size != 1 && size != 2 && size != 4 && size != 8) ||
        (type != QST_MEMORY && size == 8))
        return refuse(EINVAL);
    if (!atomic_exchange(&gsp->sim_driven, true) && gsp->hv->ops->info(gsp->hv, &info) == 0 &&
        info.paused)
        return gsp->hv->ops->unpause(gsp->hv);
    return 0;
}

static enum hv_range_type range_type(unsigned type)
{
    switch (type) {
    case QST_MEMORY:
        return HV_RANGE_MEMORY;
    case QST_PCI:
        return HV_RANGE_PCI;
    default:
        return HV_RANGE_PORT;
    }
}

int sim_read(struct guest_system *gsp, unsigned vcpu, unsigned type, uint64_t addr, unsigned size,
             uint64_t *value_r)
{
    if (check(gsp, vcpu, type, size) < 0)
        return -1;
    return hv_sim_access(gsp->hv, vcpu, range_type(type), false, addr, size, value_r,
                         ANSWER_WITHIN_MS);
}

int sim_write(struct guest_system *gsp, unsigned vcpu, unsigned type, uint64_t addr, unsigned size,
              uint64_t value)
{
    if (check(gsp, vcpu, type, size) < 0)
        return -1;
    return hv_sim_access(gsp->hv, vcpu, range_type(type), true, addr, size, &value,
                         ANSWER_WITHIN_MS);
}

int sim_rep(struct guest_system *gsp, unsigned vcpu, const struct sim_rep *rep)
{
    uint64_t step = rep->down ? -(uint64_t)rep->size : rep->size;
    uint64_t addr = rep->addr, gpa = rep->gpa;
    uint32_t left = rep->count;

    if (check(gsp, vcpu, rep->type, rep->size) < 0)
        return -1;
    if (rep->type == QST_PCI) /* no string instruction goes there */
        return refuse(ENOTSUP);
    /* As Xen, in requests whose elements stay inside one page on both sides. */
    while (left > 0) {
        struct ioreq_slot req = {
            .addr = addr,
            .data = gpa,
            .size = rep->size,
            .type = rep->type == QST_MEMORY ? IOREQ_MEMORY : IOREQ_PORT,
            .control = IOREQ_CONTROL_DATA_IS_PTR | (rep->write ? 0 : IOREQ_CONTROL_READ) |
                       (rep->down ? IOREQ_CONTROL_DF : 0),
        };
        uint32_t n = 0;

        do {
            n++;
        } while (n < left && (gpa + n * step) >> HV_PAGE_SHIFT == gpa >> HV_PAGE_SHIFT &&
                 (rep->type == QST_X86_IO ||
                  (addr + n * step) >> HV_PAGE_SHIFT == addr >> HV_PAGE_SHIFT));
        req.count = n;
        if (hv_sim_request(gsp->hv, vcpu, &req, ANSWER_WITHIN_MS) < 0)
            return -1;
        left -= n;
        gpa += n * step;
        if (rep->type == QST_MEMORY)
            addr += n * step;
    }
    return 0;
}

int sim_balloon(struct guest_system *gsp, bool out, uint64_t gpa, uint64_t bytes)
{
    if (!gsp->simulated)
        return refuse(ENOTSUP);
    if (bytes == 0 || gpa % HV_PAGE_SIZE || bytes % HV_PAGE_SIZE)
        return refuse(EINVAL);
    return hv_sim_balloon(gsp->hv, out, gpa >> HV_PAGE_SHIFT, bytes >> HV_PAGE_SHIFT);
}

int sim_end(struct guest_system *gsp, enum guest_end how)
{
    if (!gsp->simulated)
        return refuse(ENOTSUP);
    switch (how) {
    case GUEST_POWEROFF:
        hv_sim_set_shutdown(gsp->hv, HV_POWEROFF);
        return 0;
    case GUEST_REBOOT:
        hv_sim_set_shutdown(gsp->hv, HV_REBOOT);
        return 0;
    case GUEST_SUSPEND:
        hv_sim_set_shutdown(gsp->hv, HV_SUSPEND);
        return 0;
    case GUEST_CRASHED:
        hv_sim_set_shutdown(gsp->hv, HV_CRASH);
        return 0;
    case GUEST_DESTROYED:
        hv_sim_destroy(gsp->hv);
        return 0;
    case GUEST_ALIVE:
        break;
    }
    return refuse(EINVAL);
}

int sim_fail_call(struct guest_system *gsp, unsigned long nth, int error)
{
    if (!gsp->simulated)
        return refuse(ENOTSUP);
    hv_sim_fail_call(gsp->hv, nth, error);
    return 0;
}

unsigned long sim_calls(struct guest_system *gsp)
{
    return gsp->simulated ? hv_sim_calls(gsp->hv) : 0;
}
