/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>

#include "daemon/text.h"
#include "guest/describe.h"

void reply_number(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

void reply_string(struct json_object *object, const char *key, const char *value)
{
    char *clean = text_clean(value);

    if (clean)
        json_object_object_add(object, key, json_object_new_string(clean));
    free(clean);
}

void reply_range(struct json_object *object, struct range range)
{
    reply_number(object, "first", range.first);
    reply_number(object, "last", range.last);
}

static void add_uptime(struct json_object *object, const struct service *service)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    reply_number(object, "uptime", (uint64_t)(now.tv_sec - service->started.tv_sec));
}

static const char *command_map(struct service *service, struct json_object *reply)
{
    return map_describe(service, reply);
}

static int add_vdev(void *arg, const struct guest_vdev_info *info)
{
    struct json_object *vdev = json_object_new_object();

    reply_string(vdev, "name", info->name);
    reply_string(vdev, "vdev", info->factory);
    if (info->block.type != QST_NO_TYPE) {
        reply_string(vdev, "space", info->block.type == QST_X86_IO ? "io" : "mem");
        reply_range(vdev, (struct range){info->block.location,
                                         info->block.location + (info->block.length - 1)});
    }
    reply_number(vdev, "reads", info->reads);
    reply_number(vdev, "writes", info->writes);
    json_object_array_add(arg, vdev);
    return 0;
}

static const char *command_list(struct service *service, struct json_object *reply)
{
    struct json_object *vdevs = json_object_new_array();
    struct guest_stats stats;

    guest_get_stats(service->gsp, &stats);
    guest_each_vdev(service->gsp, add_vdev, vdevs);
    reply_number(reply, "domid", service->domid);
    reply_string(reply, "name", service->name);
    reply_number(reply, "pid", (uint64_t)getpid());
    add_uptime(reply, service);
    reply_number(reply, "accesses", stats.accesses);
    json_object_object_add(reply, "vdevs", vdevs);
    return NULL;
}

static const char *command_stats(struct service *service, struct json_object *reply)
{
    struct guest_stats stats;

    guest_get_stats(service->gsp, &stats);
    add_uptime(reply, service);
    reply_number(reply, "requests", stats.requests);
    reply_number(reply, "accesses", stats.accesses);
    reply_number(reply, "unclaimed", stats.unclaimed);
    reply_number(reply, "wakeups", stats.wakeups);
    reply_number(reply, "polled", stats.polled);
    reply_number(reply, "invalidations", stats.invalidations);
    reply_number(reply, "malformed", stats.malformed);
    reply_number(reply, "own_ns_quartile", guest_own_ns(&stats, 0.25));
    reply_number(reply, "own_ns_median", guest_own_ns(&stats, 0.5));
    reply_number(reply, "own_ns_p99", guest_own_ns(&stats, 0.99));
    return NULL;
}

static const char *command_stop(struct service *service, struct json_object *reply)
{
    (void)reply;
    guest_stop(service->gsp);
    return NULL;
}

const char *commands_handle(void *arg, const char *command, struct json_object *reply)
{
    static const struct {
        const char *name;
        const char *(*fn)(struct service *service, struct json_object *reply);
    } commands[] = {
        {"list", command_list},
        {"map", command_map},
        {"stats", command_stats},
        {"stop", command_stop},
    };
    size_t i;

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].fn(arg, reply);
    return "unknown command; expected list, map, stats or stop";
}
