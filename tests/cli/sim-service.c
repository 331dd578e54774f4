/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service without Xen: serves a simulated guest on a control socket until it is asked to stop, so
 * that the command line has somebody to talk to.  sim-service FILE DOMID, with $XENGASP_RUNDIR.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/commands.h"
#include "daemon/control.h"
#include "daemon/place.h"

int main(int argc, char **argv)
{
    struct service service = {0};
    struct guest_options options = {.size = sizeof(options)};
    char path[PATH_MAX], *error = NULL;
    struct control *control;
    int status = 1;

    if (argc != 3 || !parse_domid(argv[2], &service.domid))
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &service.started);
    if (config_read(&service.config, argv[1], &error))
        goto out;
    service.name = strdup(service.config.name);
    if (guest_open_sim(&service.gsp, NULL, &options) ||
        config_apply(service.gsp, &service.config, "/nonexistent/chosen", &error) ||
        guest_configured(service.gsp))
        goto out;
    run_path(path, service.domid, "");
    mkdir(path, 0750);
    run_path(path, service.domid, "control");
    control = control_open(path, commands_handle, &service);
    if (control && control_start(control) == 0) {
        puts("ready");
        fflush(stdout);
        status = guest_run(service.gsp) ? 1 : 0;
        control_stop(control);
    }
    guest_close(service.gsp);
    service.gsp = NULL;
    puts("closed");
    fflush(stdout);
    control_close(control);
out:
    if (error)
        fprintf(stderr, "sim-service: %s\n", error);
    free(error);
    free(service.name);
    config_dispose(&service.config);
    return status;
}
