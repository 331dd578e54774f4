/* SPDX-License-Identifier: BSD-2-Clause */
/* A vdev that sets the regions that it is told to, for maps with something to see. Not a device. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xengasp/gasp.h>
#include <xengasp/vdev.h>

enum { REGIONS = 8 };

struct paint {
    unsigned n;
    struct gasp_region region[REGIONS];
};

/* SPACE:FIRST:LENGTH:FLAGS[:COOKIE] */
static int paint_add(vdev_t *vdp, const char *text)
{
    struct paint *paint = vdp->v_device;
    unsigned long long first, length;
    unsigned flags, cookie = 0;
    char space[4];

    if (paint->n == REGIONS || sscanf(text, "%3[a-z]:%lli:%lli:%i:%i", space, (long long *)&first,
                                      (long long *)&length, (int *)&flags, (int *)&cookie) < 4)
        return EINVAL;
    paint->region[paint->n++] = (struct gasp_region){
        .flags = flags,
        .cookie = cookie,
        .vdev = vdp,
        .guest = {first, length,
                  strcmp(space, "mem") == 0   ? QST_MEMORY
                  : strcmp(space, "pci") == 0 ? QST_PCI
                                              : QST_X86_IO,
                  QSF_NONE},
    };
    return 0;
}

static int paint_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    struct paint *paint = vdp->v_device;

    if (ctrl == VDEV_CTRL_FIRST_OPTIDX)
        return paint_add(vdp, arg);
    if (ctrl == VDEV_CTRL_ASSIGN)
        return gasp_region_set_soft(vdp->v_gsp, paint->n, paint->region) == paint->n ? 0 : errno;
    return 0;
}

static const char *const paint_options[] = {"set", NULL};

static struct vdev_factory paint_factory = {
    .name = "paint",
    .summary = "regions for tests of map",
    .control = paint_control,
    .option_list = paint_options,
    .factory_flags = VFF_MANUAL_REGION | VFF_LOC_NO | VFF_THREADSAFE,
    .acc_sizes = VDEV_SIZES_ALL,
    .extra_space = sizeof(struct paint),
};

static void __attribute__((constructor)) paint_register(void)
{
    vdev_register_factory(&paint_factory, QVM_VDEV_ABI);
}
