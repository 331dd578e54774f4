/* SPDX-License-Identifier: BSD-2-Clause */
/* The factories: the one list that belongs to the process. */
#include <errno.h>
#include <string.h>

#include "vdev/vdev_internal.h"

static struct vdev_factory *factories;
static pthread_mutex_t factories_lock = PTHREAD_MUTEX_INITIALIZER;

int vdev_register_factory_sized(struct vdev_factory *factory, unsigned abi, size_t size)
{
    struct vdev_factory **end;
    int rc = 0;

    /* Until there are plug-ins, all are built with this header. */
    if (abi != QVM_VDEV_ABI || size != sizeof(*factory) || !factory->control || !factory->name) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&factories_lock);
    for (end = &factories; *end && rc == 0; end = &(*end)->next) {
        if (*end == factory || strcmp((*end)->name, factory->name) == 0) {
            errno = EEXIST;
            rc = -1;
        }
    }
    if (rc == 0) {
        factory->size = size;
        factory->next = NULL;
        *end = factory;
    }
    pthread_mutex_unlock(&factories_lock);
    return rc;
}

const struct vdev_factory *vdev_factory_next(const struct vdev_factory *factory)
{
    const struct vdev_factory *next;

    pthread_mutex_lock(&factories_lock);
    next = factory ? factory->next : factories;
    pthread_mutex_unlock(&factories_lock);
    return next;
}
