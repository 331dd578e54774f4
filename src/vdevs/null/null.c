/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * null: reads give zero, writes vanish. The template of a vdev: copy this file, rename, and fill
 * in.
 */
#include <xengasp/vdev.h>

/* What an instance keeps; v_device points to one, zeroed. */
struct null {
    uint64_t writes;
};

/* Called at each step of the vdev's life, see vdev.h. 0, or an errno value that refuses. */
static int null_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    const struct null *null = vdp->v_device;

    (void)arg;
    if (ctrl == VDEV_CTRL_STATUS)
        vdev_log(vdp, GUEST_LOG_INFO, "%llu writes", (unsigned long long)null->writes);
    return 0;
}

/* The guest reads vopnd->length bytes at vdev_offset(vdp, vopnd). */
static enum vdev_ref_status null_read(vdev_t *vdp, unsigned cookie,
                                      const struct qvm_state_block *vopnd,
                                      const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint64_t zero = 0;

    (void)vdp;
    (void)cookie;
    return guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &zero, (unsigned)vopnd->length) ? VRS_BUS_ERROR
                                                                                    : VRS_NORMAL;
}

/* The guest writes; guest_cpu_read would fetch what. */
static enum vdev_ref_status null_write(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct null *null = vdp->v_device;

    (void)cookie;
    (void)vopnd;
    (void)oopnd;
    (void)gcp;
    null->writes++;
    return VRS_NORMAL;
}

static struct vdev_factory null_factory = {
    .name = "null",
    .summary = "reads give zero, writes vanish",
    .control = null_control,
    .vread = null_read,
    .vwrite = null_write,
    .factory_flags = VFF_VDEV_MEM | VFF_VDEV_X86_IO,
    .acc_sizes = VDEV_SIZES_ALL,
    .extra_space = sizeof(struct null),
    .length = 4,
};

static void __attribute__((constructor)) null_register(void)
{
    vdev_register_factory(&null_factory, QVM_VDEV_ABI);
}
