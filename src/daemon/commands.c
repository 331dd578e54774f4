/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"

#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>

#include "guest/describe.h"

static void add_int(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

static void add_string(struct json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value));
}

static void add_block(struct json_object *object, const struct qvm_state_block *block)
{
    add_int(object, "first", block->location);
    add_int(object, "last", block->location + (block->length - 1));
}

static void add_uptime(struct json_object *object, const struct service *service)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    add_int(object, "uptime", (uint64_t)(now.tv_sec - service->started.tv_sec));
}

/* ---- map ---- */

struct map {
    const struct service *service;
    struct json_object *regions;
};

static void add_region(struct map *map, struct range range, const char *type, const char *owner)
{
    struct json_object *region = json_object_new_object();

    add_int(region, "first", range.first);
    add_int(region, "last", range.last);
    add_string(region, "type", type);
    add_string(region, "owner", owner);
    json_object_array_add(map->regions, region);
}

/* The lowest gasp_ram item that reaches into the range. */
static const struct config_ram *lowest_item(const struct config *config, struct range range)
{
    const struct config_ram *ram, *lowest = NULL;

    for (ram = config->ram; ram < config->ram + config->n_ram; ram++)
        if (range_overlap(ram->range, range) && (!lowest || ram->range.first < lowest->range.first))
            lowest = ram;
    return lowest;
}

/* RAM that we registered may be one region with the guest's own beside it. */
static void add_ram(struct map *map, struct range range)
{
    const struct config_ram *ram;
    struct range part;

    for (;;) {
        part = range;
        ram = lowest_item(&map->service->config, range);
        if (ram && ram->range.first > range.first) {
            part.last = ram->range.first - 1;
            ram = NULL;
        } else if (ram && ram->range.last < range.last) {
            part.last = ram->range.last;
        }
        add_region(map, part, "RAM", ram ? "gasp_ram" : "guest");
        if (part.last == range.last)
            return;
        range.first = part.last + 1;
    }
}

static int visit_region(void *arg, const struct gasp_region *rgn, const char *name)
{
    struct range range = {rgn->guest.location, rgn->guest.location + (rgn->guest.length - 1)};

    if (rgn->flags & GRF_MEMORY)
        add_ram(arg, range);
    else
        add_region(arg, range, rgn->flags & GRF_VIRT_ANY ? "vdev" : "reserved", name);
    return 0;
}

static void add_space(struct json_object *reply, const char *key, const struct service *service,
                      uint16_t type)
{
    struct map map = {.service = service, .regions = json_object_new_array()};

    guest_each_region(service->gsp, type, visit_region, &map);
    json_object_object_add(reply, key, map.regions);
}

static void command_map(struct service *service, struct json_object *reply)
{
    add_int(reply, "domid", service->domid);
    add_string(reply, "name", service->name);
    add_space(reply, "memory", service, QST_MEMORY);
    add_space(reply, "ports", service, QST_X86_IO);
}

/* ---- list, stats, stop ---- */

static int add_vdev(void *arg, const struct guest_vdev_info *info)
{
    struct json_object *vdev = json_object_new_object();

    add_string(vdev, "name", info->name);
    add_string(vdev, "vdev", info->factory);
    if (info->block.type != QST_NO_TYPE) {
        add_string(vdev, "space", info->block.type == QST_X86_IO ? "io" : "mem");
        add_block(vdev, &info->block);
    }
    add_int(vdev, "reads", info->reads);
    add_int(vdev, "writes", info->writes);
    json_object_array_add(arg, vdev);
    return 0;
}

static void command_list(struct service *service, struct json_object *reply)
{
    struct json_object *vdevs = json_object_new_array();
    struct guest_stats stats;

    guest_get_stats(service->gsp, &stats);
    guest_each_vdev(service->gsp, add_vdev, vdevs);
    add_int(reply, "domid", service->domid);
    add_string(reply, "name", service->name);
    add_int(reply, "pid", (uint64_t)getpid());
    add_uptime(reply, service);
    add_int(reply, "accesses", stats.accesses);
    json_object_object_add(reply, "vdevs", vdevs);
}

static void command_stats(struct service *service, struct json_object *reply)
{
    struct guest_stats stats;

    guest_get_stats(service->gsp, &stats);
    add_uptime(reply, service);
    add_int(reply, "requests", stats.requests);
    add_int(reply, "accesses", stats.accesses);
    add_int(reply, "unclaimed", stats.unclaimed);
    add_int(reply, "wakeups", stats.wakeups);
    add_int(reply, "polled", stats.polled);
    add_int(reply, "invalidations", stats.invalidations);
    add_int(reply, "malformed", stats.malformed);
    add_int(reply, "own_ns_quartile", guest_own_ns(&stats, 0.25));
    add_int(reply, "own_ns_median", guest_own_ns(&stats, 0.5));
    add_int(reply, "own_ns_p99", guest_own_ns(&stats, 0.99));
}

static void command_stop(struct service *service, struct json_object *reply)
{
    (void)reply;
    guest_stop(service->gsp);
}

const char *commands_handle(void *arg, const char *command, struct json_object *reply)
{
    static const struct {
        const char *name;
        void (*fn)(struct service *service, struct json_object *reply);
    } commands[] = {
        {"list", command_list},
        {"map", command_map},
        {"stats", command_stats},
        {"stop", command_stop},
    };
    size_t i;

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, command) == 0) {
            commands[i].fn(arg, reply);
            return NULL;
        }
    return "unknown command; expected list, map, stats or stop";
}
