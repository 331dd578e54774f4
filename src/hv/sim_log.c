/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of dirty pages, as a live migration turns it on. */
#include "hv/sim_internal.h"

#include <errno.h>
#include <stdlib.h>

int hv_sim_log(struct hv *hv, bool on)
{
    struct sim *sim = sim_of(hv);
    uint8_t *dirty = on ? calloc(sim->nr_frames, 1) : NULL;

    if (on && !dirty)
        return -1;
    pthread_mutex_lock(&sim->lock);
    free(sim->dirty);
    sim->dirty = dirty;
    pthread_mutex_unlock(&sim->lock);
    return 0;
}

bool hv_sim_logged(struct hv *hv, uint64_t gfn)
{
    struct sim *sim = sim_of(hv);
    bool logged = false;
    uint64_t mfn;

    pthread_mutex_lock(&sim->lock);
    mfn = hv_sim_p2m_get(sim, gfn);
    if (sim->dirty && mfn != SIM_NO_FRAME)
        logged = sim->dirty[mfn] == SIM_LOG_DIRTY;
    pthread_mutex_unlock(&sim->lock);
    return logged;
}

void hv_sim_log_write(struct sim *sim, uint64_t gfn)
{
    uint64_t mfn = sim->dirty ? hv_sim_p2m_get(sim, gfn) : SIM_NO_FRAME;

    if (mfn != SIM_NO_FRAME && sim->dirty[mfn] == SIM_LOG_CLEAN)
        sim->dirty[mfn] = SIM_LOG_DIRTY;
}

/* Under the lock. */
static void mark(struct sim *sim, const struct hv_extent *e)
{
    for (uint64_t i = 0; i < e->n; i++) {
        uint64_t mfn = hv_sim_p2m_get(sim, e->gfn + i);

        if (mfn != SIM_NO_FRAME)
            sim->dirty[mfn] = SIM_LOG_DIRTY;
    }
}

int hv_sim_modified(struct hv *hv, size_t n, const struct hv_extent extent[])
{
    struct sim *sim = sim_of(hv);
    int error = 0;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim))
        error = ESRCH;
    for (size_t i = n; i-- > 0 && sim->dirty && !error;) { /* Xen begins at the end */
        uint64_t end = extent[i].gfn + extent[i].n;

        /* Xen's own off-by-one: the topmost frame can't be named. */
        if (end <= extent[i].gfn || end > sim->max_gfn || extent[i].zero)
            error = EINVAL;
        else
            mark(sim, &extent[i]);
    }
    pthread_mutex_unlock(&sim->lock);
    if (!error)
        return 0;
    errno = error;
    return -1;
}

int hv_sim_logging(struct hv *hv)
{
    struct sim *sim = sim_of(hv);
    int rc;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    rc = hv_sim_gone(sim) ? -1 : sim->dirty ? 1 : 0;
    pthread_mutex_unlock(&sim->lock);
    if (rc < 0)
        errno = ESRCH;
    return rc;
}
