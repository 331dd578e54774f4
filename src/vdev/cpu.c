/* SPDX-License-Identifier: BSD-2-Clause */
/* The other operand of an access: what a handler fetches with guest_cpu_read and answers with
 * guest_cpu_write. */
#include <errno.h>

#include "vdev/vdev_internal.h"

unsigned guest_cpu_index(const struct guest_cpu *gcp)
{
    return gcp->index;
}

/* Its low bytes come first. Eight at most: a call of memcpy takes longer. */
static void copy_operand(void *to, const void *from, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static int check(const struct qvm_state_block *blk, unsigned nblks, unsigned data_len)
{
    if (blk->flags != QSF_NONE)
        return ENOTSUP;
    if (nblks != 1 || data_len == 0 || (blk->type == QST_CPUREGS && data_len > sizeof(uint64_t)))
        return EINVAL;
    return blk->type == QST_CPUREGS || blk->type == QST_MEMORY ? 0 : ENOTSUP;
}

__attribute__((hot)) int guest_cpu_read(struct guest_cpu *gcp, unsigned flags,
                                        const struct qvm_state_block *blk, unsigned nblks,
                                        void *data, unsigned data_len)
{
    int rc = check(blk, nblks, data_len);

    (void)flags;
    if (rc)
        return rc;
    if (blk->type == QST_CPUREGS) {
        copy_operand(data, &gcp->operand, data_len);
        return 0;
    }
    return ram_read(&gasp_of(gcp->gsp)->ram, blk->location, data, data_len) == 0 ? 0 : errno;
}

__attribute__((hot)) int guest_cpu_write(struct guest_cpu *gcp, unsigned flags,
                                         const struct qvm_state_block *blk, unsigned nblks,
                                         const void *data, unsigned data_len)
{
    int rc = check(blk, nblks, data_len);

    (void)flags;
    if (rc)
        return rc;
    if (blk->type == QST_CPUREGS) {
        gcp->operand = 0;
        copy_operand(&gcp->operand, data, data_len);
        return 0;
    }
    return ram_write(&gasp_of(gcp->gsp)->ram, blk->location, data, data_len) == 0 ? 0 : errno;
}

int guest_write_all_ones(struct guest_cpu *gcp, unsigned flags, const struct qvm_state_block *blk)
{
    uint64_t ones = UINT64_MAX;

    if (blk->length > sizeof(ones))
        return EINVAL;
    return guest_cpu_write(gcp, flags, blk, 1, &ones, (unsigned)blk->length);
}
