/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's life after it was opened. */
#include "guest/guest_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Where nothing tells us of a guest's end, it is looked for this often. */
enum { LOOK_EVERY_MS = 1000 };

int guest_add_vdev(struct guest_system *gsp, const char *spec)
{
    if (gsp->gasp.running || gsp->ram_only) {
        errno = EPERM;
        return -1;
    }
    return vdev_create(gsp, spec, &gsp->vdevs);
}

static int tell_vdevs(struct guest_system *gsp, unsigned ctrl)
{
    struct vdev *vdev;

    TAILQ_FOREACH (vdev, &gsp->vdevs, link) {
        int rc = vdev_control(vdev, ctrl, NULL);

        if (rc) {
            gasp_log(&gsp->gasp, GUEST_LOG_ERROR, "vdev %s: can't start: %s", vdev->name,
                     strerror(rc));
            errno = rc;
            return -1;
        }
    }
    return 0;
}

static void tell_guest(struct guest_system *gsp)
{
    int rc = gasp_extend_memory_map(&gsp->gasp);

    if (rc < 0)
        gasp_log(&gsp->gasp, GUEST_LOG_WARN,
                 "the guest's memory map could not be extended (%s): it won't know of RAM and "
                 "vdevs of ours, and may put mappings of its own there",
                 strerror(errno));
    else if (rc > 0 && gsp->gasp.n_own_ram > 0)
        gasp_log(&gsp->gasp, GUEST_LOG_WARN,
                 "nothing tells the guest of its registered RAM: it won't use it, and its firmware "
                 "may put something else there (no table for its first boot was found)");
}

static int set_aside(struct guest_system *gsp)
{
    int rc = gasp_set_aside(&gsp->gasp, gsp->options.gasp_window);

    if (!rc) {
        gasp_cover_top(&gsp->gasp);
        return 0;
    }
    gasp_log(&gsp->gasp, GUEST_LOG_ERROR, "no gasp window of %" PRIu64 " MiB: %s",
             gsp->options.gasp_window >> 20,
             rc == EBUSY ? "the guest has run, and what it uses is not known" : strerror(rc));
    errno = rc;
    return -1;
}

static int serve(struct gasp *gasp)
{
    return ioreq_add_server(&((struct guest_system *)gasp)->dispatch);
}

/* Not before accesses are answered: a page of RAM that something covers goes away now. */
static int settle(struct guest_system *gsp)
{
    int rc;

    gasp_lock(gsp, QST_MEMORY);
    rc = gasp_settle(&gsp->gasp);
    gasp_unlock(gsp, QST_MEMORY);
    if (!rc)
        return 0;
    gasp_log(&gsp->gasp, GUEST_LOG_ERROR, "what lies over the guest's RAM can't be put there: %s",
             strerror(rc));
    errno = rc;
    return -1;
}

int guest_configured(struct guest_system *gsp)
{
    struct vdev *vdev;

    if (gsp->gasp.running || gsp->ram_only) {
        errno = EPERM;
        return -1;
    }
    if (set_aside(gsp) < 0)
        return -1;
    TAILQ_FOREACH (vdev, &gsp->vdevs, link) {
        if (vdev_assign(vdev) < 0)
            return -1;
    }
    if (tell_vdevs(gsp, VDEV_CTRL_GUEST_CONFIGURED) < 0)
        return -1;
    tell_guest(gsp);
    if (record_save(gsp) < 0 || tell_vdevs(gsp, VDEV_CTRL_GUEST_STARTING) < 0)
        return -1;
    gsp->dispatch = (struct ioreq_dispatch){
        .gasp = &gsp->gasp,
        .unsupported = gsp->options.unsupported,
        .poll_limit_ns = gsp->options.poll_us * UINT64_C(1000),
        .work_fd = gsp->work_fd,
    };
    gsp->gasp.running = true;
    if (ioreq_start(&gsp->dispatch, gsp, gsp->n_cpus) < 0)
        return -1;
    gsp->gasp.serve = serve;
    return settle(gsp);
}

enum guest_end guest_look(struct guest_system *gsp)
{
    static const enum guest_end end[] = {
        [HV_POWEROFF] = GUEST_POWEROFF, [HV_REBOOT] = GUEST_REBOOT,
        [HV_SUSPEND] = GUEST_SUSPEND,   [HV_CRASH] = GUEST_CRASHED,
        [HV_WATCHDOG] = GUEST_CRASHED,  [HV_SOFT_RESET] = GUEST_REBOOT,
    };
    struct hv_info info;

    if (gsp->end != GUEST_ALIVE)
        return gsp->end;
    if (gsp->hv->ops->info(gsp->hv, &info) < 0) {
        if (errno == ESRCH)
            gsp->end = GUEST_DESTROYED;
    } else if (info.dying || memcmp(info.uuid, gsp->uuid, sizeof(gsp->uuid)) != 0) {
        gsp->end = GUEST_DESTROYED;
    } else if (info.shutdown) {
        gsp->end = (unsigned)info.shutdown_reason < sizeof(end) / sizeof(end[0])
                       ? end[info.shutdown_reason]
                       : GUEST_CRASHED;
    }
    return gsp->end;
}

enum guest_end guest_gone(struct guest_system *gsp)
{
    return gsp->end;
}

/* The shorter of two waits in ms; less than 0: none. */
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Waits for something to do, and does it. */
static int run_once(struct guest_system *gsp, struct pollfd fd[2])
{
    struct ram *ram = &gsp->gasp.ram;
    int wait = sooner(LOOK_EVERY_MS, sooner(ram_report(ram), balloon_look(gsp)));
    eventfd_t value;

    /* Each time: a chunk that was in use when it became stale is dropped a little later. Some, as it
     * takes long, and other things don't wait. */
    if (ram_drop_some(ram))
        wait = 0;
    if (poll(fd, 2, wait) < 0 && errno != EINTR)
        return -1;
    if (fd[0].revents & POLLIN)
        eventfd_read(gsp->work_fd, &value);
    if (fd[1].revents && (gsp->hv->ops->news(gsp->hv) & HV_NEWS_TARGET))
        balloon_target(gsp);
    return 0;
}

static int run(struct guest_system *gsp)
{
    struct pollfd fd[2] = {
        {.fd = gsp->work_fd, .events = POLLIN},
        {.fd = gsp->hv->ops->news_fd(gsp->hv), .events = POLLIN}, /* -1: poll ignores it */
    };

    balloon_target(gsp);
    while (!gsp->stop) {
        if (gsp->dispatch.aborted)
            return fail(EFAULT);
        if (guest_look(gsp) != GUEST_ALIVE)
            return 0;
        if (run_once(gsp, fd) < 0)
            return -1;
    }
    return 0;
}

int guest_run(struct guest_system *gsp)
{
    int rc;

    ram_watch(&gsp->gasp.ram, gsp->work_fd);
    rc = run(gsp);
    ram_watch(&gsp->gasp.ram, -1);
    return rc;
}

void guest_stop(struct guest_system *gsp)
{
    int saved = errno;

    gsp->stop = true;
    eventfd_write(gsp->work_fd, 1);
    errno = saved;
}

void guest_ram_changed(struct gasp *gasp)
{
    struct guest_system *gsp = (struct guest_system *)gasp;

    if (record_save(gsp) < 0)
        gasp_log(gasp, GUEST_LOG_WARN, "%s: the record of registered RAM could not be written: %s",
                 gsp->state_dir, strerror(errno));
}

/* While accesses are still answered: RAM that they cover comes back without a hole. A handler may set
 * a region anew meanwhile; that one goes when no handler runs any more. */
static void drop_regions(struct guest_system *gsp)
{
    static const uint16_t type[] = {QST_MEMORY, QST_X86_IO, QST_PCI};
    struct vdev *vdev;

    for (size_t i = 0; i < sizeof(type) / sizeof(type[0]); i++)
        gasp_lock(gsp, type[i]);
    TAILQ_FOREACH (vdev, &gsp->vdevs, link)
        gasp_drop_regions(&gsp->gasp, &vdev->public);
    gasp_drop_regions(&gsp->gasp, NULL);
    /* Nor may it add a server, which nobody would serve. */
    gsp->gasp.serve = NULL;
    for (size_t i = 0; i < sizeof(type) / sizeof(type[0]); i++)
        gasp_unlock(gsp, type[i]);
}

/* RAM that an earlier service parked, and this one never came to settle; or that could not come back
 * with the regions that covered it. */
static void bring_home(struct guest_system *gsp)
{
    if (!gsp->seeded || !ram_any_parked(&gsp->gasp.ram, (struct range){0, UINT64_MAX}))
        return;
    gasp_lock(gsp, QST_MEMORY);
    gasp_drop_regions(&gsp->gasp, NULL);
    gasp_settle(&gsp->gasp);
    gasp_unlock(gsp, QST_MEMORY);
}

void guest_close(struct guest_system *gsp)
{
    struct vdev *vdev;

    if (!gsp)
        return;
    if (gsp->gasp.running)
        drop_regions(gsp);
    ioreq_stop(&gsp->dispatch);
    while ((vdev = TAILQ_FIRST(&gsp->vdevs))) {
        TAILQ_REMOVE(&gsp->vdevs, vdev, link);
        vdev_destroy(vdev, true);
    }
    bring_home(gsp);
    trap_dispose(&gsp->gasp);
    if (gsp->lock_fd >= 0 && gsp->seeded)
        guest_ram_changed(&gsp->gasp);
    gasp_dispose(&gsp->gasp);
    record_unlock(gsp);
    if (gsp->work_fd >= 0)
        close(gsp->work_fd);
    gsp->hv->ops->close(gsp->hv);
    free(gsp);
}

size_t guest_own_ram(const struct guest_system *gsp, const struct range **range_r)
{
    *range_r = gsp->gasp.own_ram;
    return gsp->gasp.n_own_ram;
}

bool guest_has_ours(const struct guest_system *gsp)
{
    const struct gasp *gasp = &gsp->gasp;

    return gasp->n_own_ram > 0 || range_there(gasp->window) || range_there(gasp->parking);
}

void guest_get_stats(struct guest_system *gsp, struct guest_stats *stats_r)
{
    struct guest_stats sum = {0};

    for (unsigned i = 0; i < gsp->dispatch.n_cpus; i++) {
        const struct ioreq_counters *n = &gsp->dispatch.cpu[i].n;

        sum.requests += n->requests;
        sum.accesses += n->accesses;
        sum.unclaimed += n->unclaimed;
        sum.wakeups += n->wakeups;
        sum.polled += n->polled;
        sum.invalidations += n->invalidations;
        sum.malformed += n->malformed;
        for (unsigned step = 0; step < GUEST_TIME_STEPS; step++)
            sum.own_time[step] += n->own_time[step];
    }
    sum.pauses = gsp->gasp.ram.pauses;
    *stats_r = sum;
}

uint64_t guest_own_ns(const struct guest_stats *stats, double share)
{
    uint64_t all = 0, below = 0;

    for (unsigned step = 0; step < GUEST_TIME_STEPS; step++)
        all += stats->own_time[step];
    for (unsigned step = 0; step < GUEST_TIME_STEPS && all > 0; step++) {
        below += stats->own_time[step];
        if ((double)below >= (double)all * share && below > 0)
            return duration_step_end(step);
    }
    return 0;
}
