/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace: a 32-bit location that counts up once a second and can be written; with "emit-logger"
 * every access is logged (at a bounded rate). After the sample vdev of the QNX manual.
 */
#include <time.h>
#include <xengasp/vdev.h>

struct trace {
    uint32_t base;  /* the value at `since` */
    uint64_t since; /* seconds */
    int log;
};

enum { OPT_EMIT_LOGGER };
static const char *const options[] = {[OPT_EMIT_LOGGER] = "0emit-logger", NULL};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec;
}

static uint32_t value(const struct trace *trace)
{
    return trace->base + (uint32_t)(now() - trace->since);
}

static int trace_control(vdev_t *vdp, unsigned ctrl, const char *arg)
{
    struct trace *trace = vdp->v_device;

    (void)arg;
    switch (ctrl) {
    case VDEV_CTRL_FIRST_OPTIDX + OPT_EMIT_LOGGER:
        trace->log = 1;
        break;
    case VDEV_CTRL_GUEST_STARTING:
        trace->since = now();
        break;
    case VDEV_CTRL_STATUS:
        vdev_log(vdp, GUEST_LOG_INFO, "the location holds %#x", value(trace));
        break;
    }
    return 0;
}

static void emit(vdev_t *vdp, const char *what, const struct qvm_state_block *vopnd, uint64_t data,
                 const struct guest_cpu *gcp)
{
    const struct trace *trace = vdp->v_device;

    if (trace->log)
        vdev_log(vdp, GUEST_LOG_INFO, "vCPU %u %s %llu bytes at %s:%#llx: %#llx",
                 guest_cpu_index(gcp), what, (unsigned long long)vopnd->length,
                 vopnd->type == QST_MEMORY ? "mem" : "io", (unsigned long long)vopnd->location,
                 (unsigned long long)data);
}

/* A part of the location, as little-endian memory has it. */
static enum vdev_ref_status trace_read(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint32_t data = value(vdp->v_device) >> 8 * vdev_offset(vdp, vopnd);

    (void)cookie;
    if (guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &data, (unsigned)vopnd->length))
        return VRS_BUS_ERROR;
    emit(vdp, "reads", vopnd, data & (UINT64_MAX >> (64 - 8 * vopnd->length)), gcp);
    return VRS_NORMAL;
}

static enum vdev_ref_status trace_write(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct trace *trace = vdp->v_device;
    unsigned shift = 8 * (unsigned)vdev_offset(vdp, vopnd);
    uint32_t mask = (uint32_t)(UINT64_MAX >> (64 - 8 * vopnd->length)) << shift;
    uint32_t data = 0;

    (void)cookie;
    if (guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &data, (unsigned)vopnd->length))
        return VRS_BUS_ERROR;
    trace->base = (value(trace) & ~mask) | (data << shift & mask);
    trace->since = now();
    emit(vdp, "writes", vopnd, data, gcp);
    return VRS_NORMAL;
}

static struct vdev_factory trace_factory = {
    .name = "trace",
    .summary = "a 32-bit location that counts seconds and logs its accesses",
    .control = trace_control,
    .vread = trace_read,
    .vwrite = trace_write,
    .option_list = options,
    .factory_flags = VFF_VDEV_MEM | VFF_VDEV_X86_IO,
    .acc_sizes = VDEV_SIZE(1) | VDEV_SIZE(2) | VDEV_SIZE(4),
    .extra_space = sizeof(struct trace),
    .length = 4,
};

static void __attribute__((constructor)) trace_register(void)
{
    vdev_register_factory(&trace_factory, QVM_VDEV_ABI);
}
