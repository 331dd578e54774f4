/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of the port over Xen, when the library is built without it. */
#include <errno.h>

#include "hv/hv.h"

int hv_xen_open(struct hv **hv_r, uint32_t domid, const struct hv_logger *logger)
{
    (void)hv_r;
    (void)domid;
    (void)logger;
    errno = ENXIO;
    return -1;
}
