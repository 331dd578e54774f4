/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's pages once they are there: moving them, and what the guest may do with them.
 */
#include "hv/sim_internal.h"

#include <errno.h>

/* 0 or an errno. As Xen, in this order, and nothing is undone. */
static int move_page(struct sim *sim, uint64_t from, uint64_t to)
{
    uint64_t mfn = hv_sim_p2m_get(sim, from), there = hv_sim_p2m_get(sim, to);

    if (mfn == SIM_NO_FRAME)
        return EINVAL;
    if (there != SIM_NO_FRAME && there != mfn && !hv_sim_depopulate_page(sim, to))
        return errno;
    if (from != to) {
        hv_sim_invalidate_later(sim);
        if (hv_sim_p2m_set(sim, from, HV_ORDER_4K, SIM_NO_FRAME) < 0)
            return errno;
    }
    /* Should this fail, the page has no place any more. */
    if (hv_sim_p2m_set(sim, to, HV_ORDER_4K, mfn) < 0)
        return errno;
    sim->frame[mfn] &= ~SIM_FRAME_READ_ONLY;
    if (sim->dirty && from != to) /* the log goes by place */
        sim->dirty[mfn] = SIM_LOG_UNWATCHED;
    return 0;
}

/* 0 or an errno. */
static int relocate(struct sim *sim, size_t n, uint64_t from, uint64_t to)
{
    int error = 0;
    size_t i;

    if (hv_sim_gone(sim))
        return ESRCH;
    if (to == UINT64_MAX)
        return EINVAL;
    if (from + n < from || to + n < to)
        return EOVERFLOW;
    for (i = 0; i < n && !error; i++)
        error = move_page(sim, from + i, to + i);
    return error;
}

static int result(int error)
{
    if (!error)
        return 0;
    errno = error;
    return -1;
}

/* Begins a call about n pages, with the lock taken. What a fault leaves of n is less, and its errno
 * comes back. */
static int begin(struct sim *sim, size_t *n)
{
    int fault = 0;

    if (hv_sim_enter(sim) < 0) {
        fault = errno;
        *n /= 2;
    }
    pthread_mutex_lock(&sim->lock);
    return fault;
}

int hv_sim_relocate(struct hv *hv, size_t n, uint64_t from, uint64_t to)
{
    struct sim *sim = sim_of(hv);
    int fault = begin(sim, &n), error;

    error = n > UINT32_MAX ? EINVAL : relocate(sim, n, from, to);
    pthread_mutex_unlock(&sim->lock);
    return result(fault ? fault : error);
}

/* 0 or an errno. A type is a page's own, so an extent is broken up for it. */
static int set_type(struct sim *sim, bool read_only, uint64_t gfn)
{
    uint64_t mfn = hv_sim_p2m_get(sim, gfn);

    if (mfn == SIM_NO_FRAME)
        return EINVAL;
    if (hv_sim_p2m_set(sim, gfn, HV_ORDER_4K, mfn) < 0)
        return ENOMEM;
    sim->frame[mfn] &= ~SIM_FRAME_READ_ONLY;
    if (read_only)
        sim->frame[mfn] |= SIM_FRAME_READ_ONLY;
    else if (sim->dirty && sim->dirty[mfn] == SIM_LOG_CLEAN)
        sim->dirty[mfn] = SIM_LOG_UNWATCHED;
    return 0;
}

static int set_types(struct sim *sim, bool read_only, size_t n, uint64_t gfn)
{
    uint64_t last = gfn + n - 1;
    int error = 0;

    if (hv_sim_gone(sim))
        return ESRCH;
    if (gfn > last || last > sim->max_gfn)
        return EINVAL;
    for (; gfn <= last && !error; gfn++)
        error = set_type(sim, read_only, gfn);
    return error;
}

int hv_sim_set_ram_type(struct hv *hv, bool read_only, size_t n, uint64_t gfn)
{
    struct sim *sim = sim_of(hv);
    int fault = begin(sim, &n), error;

    error = n > UINT32_MAX ? EINVAL : set_types(sim, read_only, n, gfn);
    pthread_mutex_unlock(&sim->lock);
    return result(fault ? fault : error);
}
