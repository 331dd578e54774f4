/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/background.h"
#include "daemon/control.h"
#include "daemon/log.h"
#include "daemon/place.h"
#include "daemon/spawn.h"
#include "guest/guest_internal.h"

#define log_error(...) log_line(GUEST_LOG_ERROR, __VA_ARGS__)

/* For the signal handler alone. */
static struct guest_system *served;

static void on_signal(int signal)
{
    (void)signal;
    guest_stop(served);
}

/* Signals wait, but while main() is in guest_run. Threads inherit this, so they never get one. */
static void hold_signals(int how)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(how, &set, NULL);
}

static int attach(struct service *service)
{
    struct guest_options options = {
        .size = sizeof(options),
        .log = log_guest,
        .poll_us = service->poll_us,
        .unsupported = service->config.unsupported,
        .state_dir = run_dir(),
        .gasp_window = service->config.window,
    };
    pid_t pid;

    if (guest_open_xen(&service->gsp, service->domid, &options) == 0)
        return 0;
    switch (errno) {
    case EBUSY:
        pid = run_read_pid(service->domid);
        log_error("domain %u (%s) has a service already: process %d%s", service->domid,
                  service->name, (int)pid, pid ? "" : " (it is beginning or ending)");
        break;
    case ESRCH:
        log_error("domain %u (%s) is gone", service->domid, service->name);
        break;
    case ENOTSUP:
        log_error("domain %u (%s) is not a guest that can be served: it must be PVH or HVM, not "
                  "populated on demand, with at most 128 vCPUs",
                  service->domid, service->name);
        break;
    case ENXIO:
        log_error("no Xen on this machine");
        break;
    default:
        log_error("can't attach to domain %u (%s): %s", service->domid, service->name,
                  strerror(errno));
    }
    return -1;
}

/* Everything up to the moment when the guest may run. -1: logged. */
static int start(struct service *service, struct control **control_r)
{
    char path[PATH_MAX], *error = NULL;

    run_path(path, service->domid, "pid");
    if (run_write_pid(path)) {
        log_error("%s: %s", path, strerror(errno));
        return -1;
    }
    run_path(path, service->domid, "chosen");
    if (config_apply(service->gsp, &service->config, path, &error)) {
        log_error("%s", error ? error : "out of memory");
        free(error);
        return -1;
    }
    if (guest_configured(service->gsp)) {
        log_error("domain %u (%s) can't be served: %s", service->domid, service->name,
                  errno == ENOSPC ? "no ioreq server, range or address space is left"
                                  : strerror(errno));
        return -1;
    }
    run_path(path, service->domid, "control");
    *control_r = control_open(path, commands_handle, service);
    if (!*control_r || control_start(*control_r)) {
        log_error("%s: %s", path, strerror(errno));
        return -1;
    }
    if (config_interrupted()) {
        log_error("interrupted while starting");
        return -1;
    }
    if (store_publish(service->domid)) {
        log_error("xenstore can't be written: %s", strerror(errno));
        return -1;
    }
    if (service->pidfile && run_write_pid(service->pidfile)) {
        log_error("%s: %s", service->pidfile, strerror(errno));
        return -1;
    }
    return 0;
}

/* Xen keeps a guest that has ended until somebody destroys it; xl was told not to (create -e). */
static void destroy_domain(const struct service *service)
{
    char id[12];
    const char *const argv[] = {"xl", "destroy", id, NULL};
    pid_t pid;
    int status;

    snprintf(id, sizeof(id), "%u", service->domid);
    pid = spawn(argv);
    if (pid < 0) {
        log_error("xl: %s: domain %u is left behind", strerror(errno), service->domid);
        return;
    }
    status = spawn_wait(pid);
    if (status)
        log_line(GUEST_LOG_WARN, "xl destroy %s: exit status %d", id, status);
}

enum ending { LEAVE_DOMAIN, DESTROY_DOMAIN, DOMAIN_GONE };

static enum ending how_it_ended(const struct service *service, int error)
{
    static const char *const how[] = {
        [GUEST_ALIVE] = "asked to stop",
        [GUEST_POWEROFF] = "the guest has powered off",
        [GUEST_REBOOT] = "the guest wants to reboot, which is not supported yet",
        [GUEST_SUSPEND] = "the guest has been suspended",
        [GUEST_CRASHED] = "the guest has crashed",
        [GUEST_DESTROYED] = "the guest has been destroyed",
    };
    enum guest_end end = guest_gone(service->gsp);

    if (error == EFAULT) {
        log_error("gasp_unsupported: the guest made an access that no vdev takes");
        return DESTROY_DOMAIN;
    }
    if (error)
        log_error("can't go on: %s", strerror(error));
    else
        log_line(GUEST_LOG_INFO, "%s", how[end]);
    switch (end) {
    case GUEST_ALIVE:
    case GUEST_SUSPEND: /* somebody saves it, and destroys it when that is done */
        return LEAVE_DOMAIN;
    case GUEST_DESTROYED:
        return DOMAIN_GONE;
    default:
        return DESTROY_DOMAIN;
    }
}

/* Until the guest is gone or somebody ends us. An exit status. */
static int serve(struct service *service, enum ending *ending_r)
{
    struct sigaction action = {.sa_handler = on_signal};
    int error;

    served = service->gsp;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    hold_signals(SIG_UNBLOCK);
    error = guest_run(service->gsp) ? errno : 0;
    hold_signals(SIG_BLOCK);
    *ending_r = how_it_ended(service, error);
    return error ? EXIT_LATER : 0;
}

/*
 * What the socket, xenstore and the pid file say is withdrawn while the guest's lock is held: later
 * it may be the next service's. Clients are hung up on last. Our directory stays while the guest is
 * there and has something of ours, which a service started anew must know of.
 */
static void give_back(struct service *service, struct control *control, enum ending ending)
{
    bool keep = ending == LEAVE_DOMAIN && guest_has_ours(service->gsp);
    char path[PATH_MAX];

    if (control)
        control_stop(control);
    store_withdraw(service->domid);
    run_path(path, service->domid, "pid");
    unlink(path);
    guest_close(service->gsp);
    if (ending == DESTROY_DOMAIN)
        destroy_domain(service);
    if (!keep)
        run_remove(service->domid);
    run_sweep();
    log_line(GUEST_LOG_INFO, "ended");
    control_close(control);
}

int service_run(struct service *service, int ready_fd)
{
    enum ending ending = LEAVE_DOMAIN;
    struct control *control = NULL;
    int status = EXIT_BEFORE;

    hold_signals(SIG_BLOCK);
    clock_gettime(CLOCK_MONOTONIC, &service->started);
    run_sweep();
    if (attach(service)) {
        run_sweep(); /* the guest may have ended meanwhile */
        return EXIT_BEFORE;
    }
    if (start(service, &control) == 0) {
        log_line(GUEST_LOG_INFO, "serving domain %u (%s)", service->domid, service->name);
        if (ready_fd >= 0)
            log_leave_terminal();
        background_ready(ready_fd);
        status = serve(service, &ending);
        if (service->pidfile)
            unlink(service->pidfile);
    }
    give_back(service, control, ending);
    return status;
}
