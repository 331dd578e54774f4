/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to a guest, on Xen or simulated. */
#include "guest/guest_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "hv/sim.h"

#define DEFAULT_STATE_DIR "/run/xengasp"
enum { DEFAULT_POLL_US = 300 };
#define DEFAULT_MEMORY_LIMIT (UINT64_C(1) << 40)

__attribute__((format(printf, 3, 0))) static void
log_to_stderr(void *arg, enum guest_log_level level, const char *format, va_list ap)
{
    (void)arg;
    if (level > GUEST_LOG_WARN)
        return;
    fputs(level == GUEST_LOG_ERROR ? "xengasp: error: " : "xengasp: warning: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
}

/* What Xen's libraries say. They repeat at length what their caller then reports, so their errors
 * are for debugging. */
__attribute__((format(printf, 3, 0))) static void log_from_hv(void *arg, int level,
                                                              const char *format, va_list ap)
{
    struct guest_system *gsp = arg;

    gsp->gasp.log(gsp->gasp.log_arg, level <= LOG_WARNING ? GUEST_LOG_INFO : GUEST_LOG_DEBUG,
                  format, ap);
}

static int take_options(struct guest_system *gsp, const struct guest_options *options)
{
    struct guest_options *mine = &gsp->options;

    *mine = (struct guest_options){0};
    if (options) {
        if (options->size < sizeof(size_t) || options->size > sizeof(*mine)) {
            errno = EINVAL;
            return -1;
        }
        memcpy(mine, options, options->size);
    }
    if (!mine->log)
        mine->log = log_to_stderr;
    if (mine->poll_us == 0)
        mine->poll_us = DEFAULT_POLL_US;
    else if (mine->poll_us == GUEST_POLL_NEVER)
        mine->poll_us = 0;
    if (mine->memory_limit == 0)
        mine->memory_limit = DEFAULT_MEMORY_LIMIT;
    if (!mine->state_dir)
        mine->state_dir = DEFAULT_STATE_DIR;
    /* A power of two from 4 GiB up to what a process can reserve. */
    if (mine->memory_limit < UINT64_C(1) << 32 || mine->memory_limit > UINT64_C(1) << 46 ||
        (mine->memory_limit & (mine->memory_limit - 1)) ||
        mine->unsupported > GUEST_UNSUPPORTED_ABORT) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

static struct guest_system *new_guest(const struct guest_options *options)
{
    struct guest_system *gsp = calloc(1, sizeof(*gsp));

    if (!gsp)
        return NULL;
    TAILQ_INIT(&gsp->vdevs);
    gsp->lock_fd = -1;
    gsp->work_fd = -1;
    if (take_options(gsp, options) < 0) {
        free(gsp);
        return NULL;
    }
    gsp->gasp.log = gsp->options.log;
    gsp->gasp.log_arg = gsp->options.log_arg;
    gsp->hv_logger = (struct hv_logger){.log = log_from_hv, .arg = gsp};
    return gsp;
}

/* Somebody else's ioreq servers: an HVM guest has QEMU's, others none. Where two claim a range, the
 * higher id wins. */
static void look_for_servers(struct guest_system *gsp)
{
    unsigned n = 0, expected = gsp->type == HV_HVM;

    for (unsigned id = 0; id < HV_MAX_SERVERS; id++)
        n += gsp->hv->ops->server_exists(gsp->hv, id);
    if (n > expected)
        gasp_log(&gsp->gasp, GUEST_LOG_WARN,
                 "the guest has %u ioreq server%s that we don't know: another emulator, or one "
                 "that died; "
                 "where ranges overlap, one of the two is never asked",
                 n - expected, n - expected > 1 ? "s" : "");
}

static int set_up(struct guest_system *gsp)
{
    struct gasp_kept kept = {0};
    struct hv_info info;
    int rc = -1;

    if (gsp->hv->ops->info(gsp->hv, &info) < 0)
        return -1;
    if (info.pod_pages > 0) {
        gasp_log(&gsp->gasp, GUEST_LOG_ERROR,
                 "the guest is populated on demand (maxmem= above memory=): touching its RAM would "
                 "populate it");
        errno = ENOTSUP;
        return -1;
    }
    gsp->n_cpus = info.max_vcpus;
    gsp->type = info.type;
    memcpy(gsp->uuid, info.uuid, sizeof(gsp->uuid));
    gsp->work_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gsp->work_fd < 0)
        return -1;
    if (gsp->state_dir[0] && !gsp->ram_only && record_lock(gsp) < 0)
        return -1;
    if (gsp->state_dir[0] && record_load(gsp, &kept) < 0)
        goto out;
    if (gasp_init(&gsp->gasp, gsp->hv, &info, &gsp->options) < 0)
        goto out;
    if (gasp_seed(&gsp->gasp, &info, &kept) < 0)
        goto out;
    gsp->seeded = true;
    if (!gsp->ram_only)
        gsp->gasp.changed = guest_ram_changed;
    if (!gsp->ram_only)
        look_for_servers(gsp);
    rc = 0;
out:
    free(kept.guest);
    free(kept.ram);
    free(kept.run);
    return rc;
}

static int finish_open(struct guest_system *gsp, struct guest_system **gsp_r)
{
    int saved;

    if (set_up(gsp) == 0) {
        *gsp_r = gsp;
        return 0;
    }
    saved = errno;
    guest_close(gsp);
    errno = saved;
    return -1;
}

int guest_open_xen(struct guest_system **gsp_r, uint32_t domid, const struct guest_options *options)
{
    struct guest_system *gsp = new_guest(options);

    if (!gsp)
        return -1;
    gsp->domid = domid;
    gsp->ram_only = gsp->options.ram_only;
    if (hv_xen_open(&gsp->hv, domid, &gsp->hv_logger) < 0) {
        free(gsp);
        return -1;
    }
    snprintf(gsp->state_dir, sizeof(gsp->state_dir), "%s/%u", gsp->options.state_dir, domid);
    return finish_open(gsp, gsp_r);
}

int guest_open_sim(struct guest_system **gsp_r, const struct sim_options *sim,
                   const struct guest_options *options)
{
    struct sim_options mine = {0};
    struct hv_sim_options hv = {0};
    struct guest_system *gsp;

    if (sim) {
        if (sim->size < sizeof(size_t) || sim->size > sizeof(mine)) {
            errno = EINVAL;
            return -1;
        }
        memcpy(&mine, sim, sim->size);
    }
    gsp = new_guest(options);
    if (!gsp)
        return -1;
    gsp->simulated = true;
    gsp->ram_only = gsp->options.ram_only;
    hv.type = mine.hvm ? HV_HVM : HV_PVH;
    hv.vcpus = mine.vcpus ? mine.vcpus : 1;
    hv.ram_bytes = mine.ram_bytes ? mine.ram_bytes : UINT64_C(64) << 20;
    hv.host_pages = mine.host_bytes >> HV_PAGE_SHIFT;
    hv.running = mine.running;
    if (hv_sim_open(&gsp->hv, &hv) < 0) {
        free(gsp);
        return -1;
    }
    return finish_open(gsp, gsp_r);
}
