/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service answers on its control socket. */
#ifndef XENGASP_DAEMON_COMMANDS_H
#define XENGASP_DAEMON_COMMANDS_H

#include <json-c/json.h>
#include <time.h>
#include <xengasp/guest.h>

#include "daemon/config.h"

/* One guest's service. */
struct service {
    uint32_t domid;
    char *name; /* the guest's */
    struct config config;
    char *pidfile; /* may be NULL */
    unsigned poll_us;
    struct guest_system *gsp;
    struct timespec started; /* CLOCK_MONOTONIC */
};

/* A control_fn; arg is the service. */
const char *commands_handle(void *arg, const char *command, struct json_object *reply);

#endif
