/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket's "map". */
#include <errno.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "daemon/commands.h"
#include "guest/describe.h"

struct map {
    const struct service *service;
    const struct guest_view *view;
    const char *space;
    struct json_object *pieces, *layers;
    uint64_t left_out;
};

static const char *type_of(const struct guest_layer *layer)
{
    if (layer->owner == GUEST_OWNER_PLATFORM)
        return "reserved";
    if (layer->flags & GRF_VIRT_ANY)
        return "vdev";
    if (layer->flags & GRF_NOPERMS)
        return "noperms";
    if (layer->flags & GRF_MEMORY)
        return layer->flags & GRF_PASS_WR ? "RAM" : "ROM";
    return layer->flags & GRF_PASS_ANY ? "device" : "noperms";
}

static struct json_object *flag_list(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {GRF_VIRT_RD, "VIRT_RD"},       {GRF_VIRT_WR, "VIRT_WR"},
        {GRF_VIRT_EX, "VIRT_EX"},       {GRF_PASS_RD, "PASS_RD"},
        {GRF_PASS_WR, "PASS_WR"},       {GRF_PASS_EX, "PASS_EX"},
        {GRF_NOCACHE, "NOCACHE"},       {GRF_ACTIVE, "ACTIVE"},
        {GRF_MEMORY, "MEMORY"},         {GRF_PASSTHRU, "PASSTHRU"},
        {GRF_DMA_USES, "DMA_USES"},     {GRF_DMA_NO_USE, "DMA_NO_USE"},
        {GRF_DMA_SOURCE, "DMA_SOURCE"}, {GRF_DMA_TARGET, "DMA_TARGET"},
        {GRF_PRECIOUS, "PRECIOUS"},     {GRF_NOPERMS, "NOPERMS"},
        {GRF_BACKUP_MASK, "BACKUP"},
    };
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].flag)
            json_object_array_add(list, json_object_new_string(names[i].name));
    return list;
}

/* ---- whose RAM it is ---- */

/* The lowest gasp_ram item that reaches into the range. */
static const struct config_ram *lowest_item(const struct config *config, struct range range)
{
    const struct config_ram *ram, *lowest = NULL;

    for (ram = config->ram; ram < config->ram + config->n_ram; ram++)
        if (range_overlap(ram->range, range) && (!lowest || ram->range.first < lowest->range.first))
            lowest = ram;
    return lowest;
}

/* RAM that we registered may be one part with the guest's own beside it: shortens the range to what
 * has one owner, and names that. */
static const char *ram_owner(const struct config *config, struct range *range)
{
    const struct config_ram *ram = lowest_item(config, *range);

    if (ram && ram->range.first > range->first) {
        range->last = ram->range.first - 1;
        return "guest";
    }
    if (ram && ram->range.last < range->last)
        range->last = ram->range.last;
    return ram ? "gasp_ram" : "guest";
}

typedef void (*stretch_fn)(struct map *map, struct json_object *list,
                           const struct guest_part *stretch, const char *owner);

/* Calls fn for each stretch of the part that has one owner; `only`: that one's alone. */
static void each_stretch(struct map *map, const struct guest_part *part, const char *only,
                         stretch_fn fn, struct json_object *list)
{
    const struct guest_layer *layer = &map->view->layer[part->layer];
    struct guest_part stretch = *part;
    const char *owner = layer->name;

    for (;;) {
        stretch.range.last = part->range.last;
        if (layer->owner == GUEST_OWNER_VM && (layer->flags & GRF_MEMORY))
            owner = ram_owner(&map->service->config, &stretch.range);
        if (!only || strcmp(only, owner) == 0)
            fn(map, list, &stretch, owner);
        if (stretch.range.last == part->range.last)
            return;
        stretch.range.first = stretch.range.last + 1;
    }
}

/* ---- what goes into the reply ---- */

/* What a layer and a piece of one tell alike. */
static void describe(struct json_object *object, const struct guest_layer *layer, const char *owner)
{
    reply_number(object, "layer", layer->number);
    reply_string(object, "type", type_of(layer));
    reply_string(object, "owner", owner);
    reply_number(object, "cookie", layer->owner == GUEST_OWNER_PLATFORM ? 0 : layer->cookie);
    json_object_object_add(object, "flags", flag_list(layer->flags));
    if (layer->owner == GUEST_OWNER_VDEV && (layer->flags & GRF_VIRT_ANY)) {
        reply_number(object, "reads", layer->reads);
        reply_number(object, "writes", layer->writes);
    }
}

static void add_piece(struct map *map, struct json_object *list, const struct guest_part *stretch,
                      const char *owner)
{
    struct json_object *piece = json_object_new_object();

    reply_range(piece, stretch->range);
    describe(piece, &map->view->layer[stretch->layer], owner);
    json_object_array_add(list, piece);
}

static void add_part(struct map *map, struct json_object *list, const struct guest_part *stretch,
                     const char *owner)
{
    struct json_object *part = json_object_new_object();

    (void)map;
    (void)owner;
    reply_range(part, stretch->range);
    json_object_object_add(part, "visible", json_object_new_boolean(stretch->visible));
    json_object_array_add(list, part);
}

/* A layer, or what of one is `owner`'s, if anything is. */
static void add_layer(struct map *map, const struct guest_layer *layer, const char *owner)
{
    struct json_object *parts = json_object_new_array(), *object;

    for (size_t i = 0; i < layer->n_parts; i++)
        each_stretch(map, &layer->part[i], owner, add_part, parts);
    if (json_object_array_length(parts) == 0) {
        json_object_put(parts);
        return;
    }
    object = json_object_new_object();
    reply_string(object, "space", map->space);
    describe(object, layer, owner);
    json_object_object_add(object, "active", json_object_new_boolean(layer->flags & GRF_ACTIVE));
    json_object_object_add(object, "parts", parts);
    json_object_array_add(map->layers, object);
}

/* False: no memory. */
static bool add_space(struct map *map, struct json_object *reply, uint16_t type,
                      struct json_object *split)
{
    struct guest_view view;
    const struct guest_layer *layer;

    if (guest_view_take(map->service->gsp, type, &view))
        return errno != ENOMEM;
    map->view = &view;
    map->pieces = json_object_new_array();
    json_object_object_add(reply, map->space, map->pieces);
    for (size_t i = 0; i < view.n_pieces; i++)
        each_stretch(map, &view.piece[i], NULL, add_piece, map->pieces);
    for (layer = view.layer; layer < view.layer + view.n_layers; layer++) {
        if (layer->owner == GUEST_OWNER_VM && (layer->flags & GRF_MEMORY)) {
            add_layer(map, layer, "guest");
            add_layer(map, layer, "gasp_ram");
        } else {
            add_layer(map, layer, layer->name);
        }
    }
    for (size_t i = 0; i < view.n_split; i++) {
        struct json_object *run = json_object_new_object();

        reply_range(run, view.split[i]);
        json_object_array_add(split, run);
    }
    map->left_out += view.left_out;
    guest_view_dispose(&view);
    return true;
}

const char *map_describe(const struct service *service, struct json_object *reply)
{
    static const struct {
        uint16_t type;
        const char *name;
    } spaces[] = {{QST_MEMORY, "memory"}, {QST_X86_IO, "ports"}, {QST_PCI, "pci"}};
    struct json_object *split = json_object_new_array();
    struct map map = {.service = service, .layers = json_object_new_array()};

    reply_number(reply, "domid", service->domid);
    reply_string(reply, "name", service->name);
    json_object_object_add(reply, "sub_page", split);
    json_object_object_add(reply, "layers", map.layers);
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        map.space = spaces[i].name;
        if (!add_space(&map, reply, spaces[i].type, split))
            return "no memory";
    }
    if (map.left_out > 0)
        reply_number(reply, "left_out", map.left_out);
    return NULL;
}
