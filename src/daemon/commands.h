/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service answers on its control socket. */
#ifndef XENGASP_DAEMON_COMMANDS_H
#define XENGASP_DAEMON_COMMANDS_H

#include <json-c/json.h>
#include <time.h>
#include <xengasp/guest.h>

#include "daemon/config.h"
#include "space/range.h"

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

/* Parts of a reply. A string is shown as text_clean has it. */
void reply_number(struct json_object *object, const char *key, uint64_t value);
void reply_string(struct json_object *object, const char *key, const char *value);
void reply_range(struct json_object *object, struct range range);

/* map.c. NULL, or what went wrong. */
const char *map_describe(const struct service *service, struct json_object *reply);

#endif
