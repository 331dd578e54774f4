/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/plate.h"

#include "gasp/gasp_internal.h"

struct plate plate;

uint32_t plate_value(unsigned cookie, uint64_t location)
{
    return 0xa0000000u | cookie << 24 | (location & 0xffffff);
}

static int plate_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    (void)arg;
    if (ctrl == VDEV_CTRL_OPTIONS_START)
        plate = (struct plate){.vdev = vdp};
    return 0;
}

static enum vdev_ref_status plate_read(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint64_t value = plate_value(cookie, vopnd->location);

    (void)vdp;
    return guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, (unsigned)vopnd->length) ? VRS_BUS_ERROR
                                                                                     : VRS_NORMAL;
}

static enum vdev_ref_status plate_write(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    (void)vdp;
    (void)cookie;
    plate.writes++;
    plate.location = vopnd->location;
    plate.value = 0;
    return guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &plate.value, (unsigned)vopnd->length)
               ? VRS_BUS_ERROR
               : VRS_NORMAL;
}

static struct vdev_factory plate_factory = {
    .name = "plate",
    .control = plate_control,
    .vread = plate_read,
    .vwrite = plate_write,
    .factory_flags = VFF_VDEV_LOC_TYPES | VFF_MANUAL_REGION,
    .acc_sizes = VDEV_SIZES_ALL,
};

static void __attribute__((constructor)) plate_register(void)
{
    vdev_register_factory(&plate_factory, QVM_VDEV_ABI);
}

int plate_set_as(struct guest *g, vdev_t *vdev, unsigned cookie, const struct qvm_state_block *at,
                 uint32_t flags)
{
    const struct gasp_region rgn = {.flags = flags, .cookie = cookie, .vdev = vdev, .guest = *at};
    int rc;

    gasp_lock(g->gsp, at->type);
    rc = gasp_region_set_soft(g->gsp, 1, &rgn) == 1 ? 0 : errno;
    gasp_unlock(g->gsp, at->type);
    return rc;
}

bool guest_reads(struct guest *g, const struct fixture *f, struct access a, uint32_t wanted)
{
    uint32_t value;

    CHECK_OK(f->start(g, 0, &a));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    if (value != (wanted & (UINT32_MAX >> (32 - 8 * a.size))))
        return COMPLAIN("%#x reads %#x, not %#x", a.addr, value, wanted);
    return true;
}

bool guest_writes(struct guest *g, const struct fixture *f, struct access a)
{
    uint32_t value;

    CHECK_OK(f->start(g, 0, &a));
    CHECK_OK(f->wait(g, 0, SOON, &value));
    return true;
}

bool plate_prepare(struct guest *g)
{
    CHECK_OK(guest_add_vdev(g->gsp, "plate"));
    return true;
}

bool plate_set_off(struct guest *g, uint64_t window)
{
    CHECK_EQUAL(gasp_set_aside(gasp_of(g->gsp), window), 0);
    CHECK_OK(guest_configured(g->gsp));
    CHECK_OK(OPS(g)->unpause(g->hv));
    return true;
}
