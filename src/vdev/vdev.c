/* SPDX-License-Identifier: BSD-2-Clause */
/* An instance's life, and the calls into it. */
#include "vdev/vdev_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define log_error(gsp, ...) gasp_log(gasp_of(gsp), GUEST_LOG_ERROR, __VA_ARGS__)

static struct vdev_factory *find_factory(const char *name)
{
    const struct vdev_factory *factory = NULL;

    while ((factory = vdev_factory_next(factory))) {
        if (strcmp(factory->name, name) == 0)
            break;
    }
    return (struct vdev_factory *)factory; /* a vdev sees its own factory as it registered it */
}

static bool serialised(const struct vdev *vdev)
{
    return !(vdev->public.v_factory->factory_flags & VFF_THREADSAFE);
}

int vdev_control(struct vdev *vdev, unsigned ctrl, const char *arg)
{
    int rc;

    if (serialised(vdev))
        pthread_mutex_lock(&vdev->lock);
    rc = vdev->public.v_factory->control(&vdev->public, ctrl, arg);
    if (serialised(vdev))
        pthread_mutex_unlock(&vdev->lock);
    return rc;
}

static struct vdev *vdev_new(struct guest_system *gsp, struct vdev_factory *factory)
{
    struct vdev *vdev = calloc(1, sizeof(*vdev));
    pthread_mutexattr_t attr;

    if (!vdev)
        return NULL;
    vdev->public.v_device = calloc(1, factory->extra_space ? factory->extra_space : 1);
    vdev->name = strdup(factory->name);
    pthread_mutex_init(&vdev->lock, NULL);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, factory->factory_flags & VFF_MUTEX_RECURSIVE
                                         ? PTHREAD_MUTEX_RECURSIVE
                                         : PTHREAD_MUTEX_DEFAULT);
    pthread_mutex_init(&vdev->public.v_mtx, &attr);
    pthread_mutexattr_destroy(&attr);
    vdev->public.v_factory = factory;
    vdev->public.v_gsp = gsp;
    vdev->public.v_name = vdev->name;
    vdev->public.v_block = (struct qvm_state_block){.length = factory->length, .type = QST_NO_TYPE};
    if (vdev->public.v_device && vdev->name)
        return vdev;
    vdev_destroy(vdev, false);
    return NULL;
}

void vdev_destroy(struct vdev *vdev, bool terminate)
{
    if (terminate)
        vdev_control(vdev, VDEV_CTRL_TERMINATE, NULL);
    gasp_drop_regions(gasp_of(vdev->public.v_gsp), &vdev->public);
    pthread_mutex_destroy(&vdev->public.v_mtx);
    pthread_mutex_destroy(&vdev->lock);
    free(vdev->public.v_device);
    free(vdev->name);
    free(vdev);
}

/* "loc=" and "name=", which every vdev has. 0, EINVAL, ENOMEM, or ENOENT: not one of these. */
static int common_option(struct vdev *vdev, const struct vdev_option *option)
{
    unsigned flags = vdev->public.v_factory->factory_flags;
    struct qvm_state_block *block = &vdev->public.v_block;

    if (strcmp(option->key, "name") == 0 && option->value && *option->value) {
        char *name = strdup(option->value);

        if (!name)
            return ENOMEM;
        free(vdev->name);
        vdev->name = name;
        vdev->public.v_name = name;
        return 0;
    }
    if (strcmp(option->key, "loc") != 0)
        return ENOENT;
    if (flags & VFF_LOC_NO) {
        log_error(vdev->public.v_gsp, "vdev %s: it takes no location", vdev->name);
        return EINVAL;
    }
    if (!option->value || vdev_parse_location(option->value, block) != 0) {
        log_error(vdev->public.v_gsp, "vdev %s: loc=%s: expected mem:ADDRESS or io:PORT",
                  vdev->name, option->value ? option->value : "");
        return EINVAL;
    }
    if (!(flags & (block->type == QST_MEMORY ? VFF_VDEV_MEM : VFF_VDEV_X86_IO))) {
        log_error(vdev->public.v_gsp, "vdev %s: loc=%s: this vdev can't lie in %s", vdev->name,
                  option->value, block->type == QST_MEMORY ? "memory" : "I/O ports");
        return EINVAL;
    }
    return 0;
}

/* One of the vdev's own options. 0 or an errno value, logged. */
static int own_option(struct vdev *vdev, const struct vdev_option *option)
{
    const char *const *list = vdev->public.v_factory->option_list;

    for (unsigned n = 0; list && list[n]; n++) {
        bool no_value = list[n][0] == '0';
        int rc;

        if (strcmp(list[n] + no_value, option->key) != 0)
            continue;
        if (no_value != !option->value) {
            log_error(vdev->public.v_gsp, "vdev %s: %s: expected %s", vdev->name, option->key,
                      no_value ? "no value" : "a value");
            return EINVAL;
        }
        rc = vdev_control(vdev, VDEV_CTRL_FIRST_OPTIDX + n, option->value);
        if (rc)
            log_error(vdev->public.v_gsp, "vdev %s: %s=%s: refused: %s", vdev->name, option->key,
                      option->value ? option->value : "", strerror(rc));
        return rc;
    }
    log_error(vdev->public.v_gsp, "vdev %s: unknown option \"%s\"", vdev->name, option->key);
    return EINVAL;
}

static int set_region(struct vdev *vdev)
{
    struct gasp_region region = {.flags = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
                                 .vdev = &vdev->public,
                                 .guest = vdev->public.v_block};

    /* What is configured covers nothing: that would be an oversight. */
    if (!gasp_is_free(gasp_of(vdev->public.v_gsp), &region))
        errno = EEXIST;
    else if (gasp_region_set_soft(vdev->public.v_gsp, 1, &region) == 1) {
        vdev->placed = true;
        return 0;
    }
    log_error(vdev->public.v_gsp, "vdev %s: can't lie at %s:%#llx, %llu bytes: %s", vdev->name,
              region.guest.type == QST_MEMORY ? "mem" : "io",
              (unsigned long long)region.guest.location, (unsigned long long)region.guest.length,
              strerror(errno));
    return -1;
}

static bool sets_own_regions(const struct vdev *vdev)
{
    return vdev->public.v_factory->factory_flags & VFF_MANUAL_REGION;
}

int vdev_create(struct guest_system *gsp, const char *text, struct vdev_list *list)
{
    struct vdev_spec spec;
    struct vdev_factory *factory;
    struct vdev *vdev = NULL;
    bool started = false;
    int rc = 0;

    if (vdev_spec_parse(text, &spec) < 0) {
        log_error(gsp, "vdev \"%s\": expected NAME or NAME,key=value,...", text);
        return -1;
    }
    factory = find_factory(spec.name);
    if (!factory) {
        log_error(gsp, "vdev \"%s\": there is no vdev of this name", spec.name);
        rc = ENOENT;
        goto out;
    }
    vdev = vdev_new(gsp, factory);
    rc = vdev ? vdev_control(vdev, VDEV_CTRL_OPTIONS_START, NULL) : ENOMEM;
    started = rc == 0;
    for (size_t i = 0; i < spec.n && rc == 0; i++) {
        rc = common_option(vdev, &spec.option[i]);
        if (rc == ENOENT)
            rc = own_option(vdev, &spec.option[i]);
    }
    if (rc == 0)
        rc = vdev_control(vdev, VDEV_CTRL_OPTIONS_END, NULL);
    if (rc == 0 && vdev->public.v_block.type != QST_NO_TYPE && !sets_own_regions(vdev) &&
        set_region(vdev) < 0)
        rc = errno;
    if (rc == 0) {
        TAILQ_INSERT_TAIL(list, vdev, link);
        vdev = NULL;
    }
out:
    if (vdev)
        vdev_destroy(vdev, started);
    vdev_spec_dispose(&spec);
    errno = rc;
    return rc ? -1 : 0;
}

int vdev_assign(struct vdev *vdev)
{
    struct qvm_state_block *block = &vdev->public.v_block;
    int rc = vdev_control(vdev, VDEV_CTRL_ASSIGN, NULL);
    uint64_t location;

    if (rc) {
        log_error(vdev->public.v_gsp, "vdev %s: can't be placed: %s", vdev->name, strerror(rc));
        errno = rc;
        return -1;
    }
    if (vdev->placed || sets_own_regions(vdev) ||
        vdev->public.v_factory->factory_flags & VFF_LOC_NO)
        return 0;
    if (block->type == QST_NO_TYPE) {
        uint16_t type =
            vdev->public.v_factory->factory_flags & VFF_VDEV_MEM ? QST_MEMORY : QST_X86_IO;

        location = gasp_find_free(vdev->public.v_gsp, type, block->length,
                                  type == QST_MEMORY ? HV_PAGE_SIZE : 8);
        if (location == QSL_NO_LOCATION) {
            log_error(vdev->public.v_gsp, "vdev %s: no free location of %llu bytes: %s", vdev->name,
                      (unsigned long long)block->length, strerror(errno));
            return -1;
        }
        block->type = type;
        block->location = location;
    }
    return set_region(vdev);
}

__attribute__((hot)) bool vdev_access(struct vdev *vdev, uint32_t cookie, uint16_t type, bool write,
                                      uint64_t addr, unsigned size, struct guest_cpu *cpu,
                                      uint64_t *value)
{
    const struct vdev_factory *factory = vdev->public.v_factory;
    struct qvm_state_block vopnd = {.location = addr, .length = size, .type = type};
    struct qvm_state_block oopnd = {.length = size, .type = QST_CPUREGS};
    enum vdev_ref_status status;

    atomic_fetch_add_explicit(write ? &vdev->writes : &vdev->reads, 1, memory_order_relaxed);
    if (!(write ? factory->vwrite : factory->vread) || !(factory->acc_sizes & VDEV_SIZE(size)))
        return false;
    cpu->operand = write ? *value : UINT64_MAX; /* a vread that answers nothing gives all ones */
    if (serialised(vdev))
        pthread_mutex_lock(&vdev->lock);
    status = (write ? factory->vwrite : factory->vread)(&vdev->public, cookie, &vopnd, &oopnd, cpu);
    if (serialised(vdev))
        pthread_mutex_unlock(&vdev->lock);
    if (status != VRS_NORMAL)
        return false;
    if (!write)
        *value = cpu->operand;
    return true;
}

void vdev_log(vdev_t *vdp, enum guest_log_level level, const char *format, ...)
{
    struct vdev *vdev = vdev_core(vdp);
    uint64_t dropped;
    char line[256];
    va_list ap;

    if (!log_limit_pass(&vdev->limit, &dropped))
        return;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    if (dropped > 0)
        gasp_log(gasp_of(vdp->v_gsp), level, "%s: (%llu lines left out)", vdev->name,
                 (unsigned long long)dropped);
    gasp_log(gasp_of(vdp->v_gsp), level, "%s: %s", vdev->name, line);
}
