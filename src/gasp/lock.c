/* SPDX-License-Identifier: BSD-2-Clause */
#include "gasp/gasp_internal.h"

#include <errno.h>

int gasp_space_of(unsigned type)
{
    switch (type) {
    case QST_MEMORY:
        return GASP_MEMORY;
    case QST_X86_IO:
        return GASP_PORTS;
    case QST_PCI:
        return GASP_PCI;
    default:
        return -1;
    }
}

/* Nobody but this thread can make the answer change. */
bool gasp_locked(const struct gasp *gasp, enum gasp_space space)
{
    return pthread_equal(atomic_load_explicit(&gasp->lock[space].owner, memory_order_relaxed),
                         pthread_self());
}

bool gasp_may_change(const struct gasp *gasp, enum gasp_space space)
{
    return !gasp->running || gasp_locked(gasp, space);
}

void gasp_locks_init(struct gasp *gasp)
{
    for (int s = 0; s < GASP_SPACES; s++)
        pthread_mutex_init(&gasp->lock[s].mutex, NULL);
}

void gasp_locks_dispose(struct gasp *gasp)
{
    for (int s = 0; s < GASP_SPACES; s++)
        pthread_mutex_destroy(&gasp->lock[s].mutex);
}

int gasp_lock(struct guest_system *gsp, uint16_t type)
{
    struct gasp *gasp = gasp_of(gsp);
    int space = gasp_space_of(type);
    struct gasp_lock *lock;

    if (space < 0)
        return EINVAL;
    lock = &gasp->lock[space];
    if (!gasp_locked(gasp, space)) {
        for (int later = space + 1; later < GASP_SPACES; later++)
            if (gasp_locked(gasp, later))
                return EDEADLK;
        pthread_mutex_lock(&lock->mutex);
        atomic_store_explicit(&lock->owner, pthread_self(), memory_order_relaxed);
    }
    lock->depth++;
    return 0;
}

int gasp_unlock(struct guest_system *gsp, uint16_t type)
{
    struct gasp *gasp = gasp_of(gsp);
    int space = gasp_space_of(type);
    struct gasp_lock *lock;

    if (space < 0)
        return EINVAL;
    if (!gasp_locked(gasp, space))
        return EPERM;
    lock = &gasp->lock[space];
    if (--lock->depth == 0) {
        atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
        pthread_mutex_unlock(&lock->mutex);
    }
    return 0;
}
