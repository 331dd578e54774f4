/* SPDX-License-Identifier: BSD-2-Clause */
/* store: a vdev that behaves like memory, of any size. Whatever a guest writes, it reads back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/vdev.h>

struct store {
    uint8_t *byte;
};

enum { OPT_SIZE };
static const char *const options[] = {[OPT_SIZE] = "size", NULL};

static int store_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    struct store *store = vdp->v_device;
    char *end;

    switch (ctrl) {
    case VDEV_CTRL_FIRST_OPTIDX + OPT_SIZE:
        vdp->v_block.length = strtoull(arg, &end, 0);
        return *end || vdp->v_block.length == 0 ? EINVAL : 0;
    case VDEV_CTRL_OPTIONS_END:
        store->byte = calloc(1, vdp->v_block.length);
        return store->byte ? 0 : ENOMEM;
    case VDEV_CTRL_TERMINATE:
        free(store->byte);
        break;
    }
    return 0;
}

static enum vdev_ref_status store_read(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    const struct store *store = vdp->v_device;

    (void)cookie;
    return guest_cpu_write(gcp, GXF_NONE, oopnd, 1, store->byte + vdev_offset(vdp, vopnd),
                           (unsigned)vopnd->length)
               ? VRS_BUS_ERROR
               : VRS_NORMAL;
}

static enum vdev_ref_status store_write(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct store *store = vdp->v_device;

    (void)cookie;
    return guest_cpu_read(gcp, GXF_NONE, oopnd, 1, store->byte + vdev_offset(vdp, vopnd),
                          (unsigned)vopnd->length)
               ? VRS_BUS_ERROR
               : VRS_NORMAL;
}

static struct vdev_factory store_factory = {
    .name = "store",
    .summary = "behaves like memory",
    .control = store_control,
    .vread = store_read,
    .vwrite = store_write,
    .option_list = options,
    .factory_flags = VFF_VDEV_MEM | VFF_VDEV_X86_IO | VFF_THREADSAFE, /* plain bytes, as memory */
    .acc_sizes = VDEV_SIZES_ALL,
    .extra_space = sizeof(struct store),
    .length = 4096,
};

static void __attribute__((constructor)) store_register(void)
{
    vdev_register_factory(&store_factory, QVM_VDEV_ABI);
}
