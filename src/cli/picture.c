/* SPDX-License-Identifier: BSD-2-Clause */
/* From the reply to plates. */
#include "cli/picture.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/text.h"

const char *const picture_titles[PICTURE_SPACES] = {"Memory", "I/O ports", "PCI configuration"};
static const char *const keys[PICTURE_SPACES] = {"memory", "ports", "pci"};

struct plate *plate_new(void)
{
    return calloc(1, sizeof(struct plate));
}

void plate_free(struct plate *plate)
{
    struct plate *next;

    if (!plate)
        return;
    for (struct plate *member = plate->members; member; member = next) {
        next = member->next;
        plate_free(member);
    }
    free(plate->owner);
    free(plate);
}

const char *picture_place(enum picture_space space, struct range range, char text[PLACE_TEXT])
{
    unsigned function = (unsigned)(range.first >> 32), last = (unsigned)(range.last >> 32);

    if (space != PICTURE_PCI && range.first == range.last)
        snprintf(text, PLACE_TEXT, "0x%" PRIx64, range.first);
    else if (space != PICTURE_PCI)
        snprintf(text, PLACE_TEXT, "0x%" PRIx64 "-0x%" PRIx64, range.first, range.last);
    else if (function != last)
        snprintf(text, PLACE_TEXT, "%02x:%02x.%x-%02x:%02x.%x", function >> 8, function >> 3 & 0x1f,
                 function & 7, last >> 8, last >> 3 & 0x1f, last & 7);
    else if ((range.first & UINT32_MAX) == 0 && (range.last & UINT32_MAX) == 0xff)
        snprintf(text, PLACE_TEXT, "%02x:%02x.%x", function >> 8, function >> 3 & 0x1f,
                 function & 7);
    else
        snprintf(text, PLACE_TEXT, "%02x:%02x.%x 0x%02x-0x%02x", function >> 8,
                 function >> 3 & 0x1f, function & 7, (unsigned)(range.first & UINT32_MAX),
                 (unsigned)(range.last & UINT32_MAX));
    return text;
}

const char *picture_size(enum picture_space space, uint64_t size, char text[SIZE_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    const char *one = size == 1 ? "byte" : "bytes";
    double scaled = (double)size;
    unsigned unit = 0;

    if (space == PICTURE_PORTS) {
        snprintf(text, SIZE_TEXT, "%" PRIu64 " %s", size, size == 1 ? "port" : "ports");
        return text;
    }
    while (unit < 5 && scaled >= 1023.5) {
        scaled /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, SIZE_TEXT, "%" PRIu64 " %s", size, one);
    else if (size % (UINT64_C(1) << (10 * unit)) == 0)
        snprintf(text, SIZE_TEXT, "%.0f %s", scaled, units[unit]);
    else if (unit == 1 && size < 10000)
        snprintf(text, SIZE_TEXT, "%" PRIu64 " bytes", size);
    else if (scaled * 4 == (double)(uint64_t)(scaled * 4))
        snprintf(text, SIZE_TEXT, "%g %s", scaled, units[unit]);
    else
        snprintf(text, SIZE_TEXT, scaled < 1000 ? "≈%.3g %s" : "≈%.0f %s", scaled, units[unit]);
    return text;
}

static enum kind kind_of(const char *type, const char *owner)
{
    static const struct {
        const char *type;
        enum kind kind;
    } kinds[] = {{"ROM", KIND_ROM},
                 {"device", KIND_DEVICE},
                 {"vdev", KIND_VDEV},
                 {"reserved", KIND_PLATFORM}};

    if (strcmp(type, "RAM") == 0)
        return strcmp(owner, "gasp_ram") == 0 ? KIND_OUR_RAM : KIND_GUEST_RAM;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].kind;
    return KIND_NOPERMS;
}

static const char *owner_text(enum kind kind, struct json_object *layer)
{
    const char *owner = json_text(layer, "owner");

    if (kind == KIND_GUEST_RAM)
        return "RAM of the guest";
    if (kind == KIND_OUR_RAM)
        return "RAM of ours (gasp_ram)";
    return owner[strspn(owner, " ")] ? owner : "(no name)";
}

static int add_plate(struct bar *bar, struct plate *plate)
{
    struct plate **more;

    if ((bar->n & (bar->n - 1)) == 0) { /* 0, or a power of two: full */
        more = reallocarray(bar->plate, bar->n ? 2 * bar->n : 1, sizeof(struct plate *));
        if (!more) {
            plate_free(plate);
            return -1;
        }
        bar->plate = more;
    }
    bar->plate[bar->n++] = plate;
    return 0;
}

static struct plate *layer_plate(struct json_object *layer, struct range range)
{
    struct plate *plate = plate_new();

    if (!plate)
        return NULL;
    plate->range = range;
    plate->number = json_number(layer, "layer");
    plate->kind = kind_of(json_text(layer, "type"), json_text(layer, "owner"));
    plate->active = json_object_get_boolean(json_part(layer, "active"));
    plate->counted = json_part(layer, "reads") != NULL;
    plate->reads = json_number(layer, "reads");
    plate->writes = json_number(layer, "writes");
    plate->cookie = json_number(layer, "cookie");
    access_text(json_part(layer, "flags"), plate->access);
    plate->owner = text_clean(owner_text(plate->kind, layer));
    if (plate->owner)
        return plate;
    plate_free(plate);
    return NULL;
}

/* Pages that only in part are the plate's, where that is visible. */
static void mark_split(struct plate *plate, struct range visible, struct json_object *split)
{
    struct range run;

    if (plate->kind != KIND_VDEV && plate->kind != KIND_NOPERMS)
        return;
    for (size_t i = 0; split && i < json_object_array_length(split); i++) {
        run = json_range(json_object_array_get_idx(split, i));
        if (!range_overlap(run, visible))
            continue;
        if (plate->n_split == 0)
            plate->split = run.first > visible.first ? run.first : visible.first & ~UINT64_C(0xfff);
        plate->n_split += ((run.last < visible.last ? run.last : visible.last) >> 12) -
                          ((run.first > visible.first ? run.first : visible.first) >> 12) + 1;
    }
}

/* A plate for each stretch of a layer, whatever lies over it. */
static int read_layer(struct bar *bar, struct json_object *layer, struct json_object *split)
{
    struct json_object *parts = json_part(layer, "parts"), *part;
    struct plate *plate = NULL;
    struct range range;

    for (size_t i = 0; parts && i < json_object_array_length(parts); i++) {
        part = json_object_array_get_idx(parts, i);
        range = json_range(part);
        if (range.last < range.first)
            continue;
        if (plate && range.first - plate->range.last == 1) {
            plate->range.last = range.last;
        } else {
            plate = layer_plate(layer, range);
            if (!plate || add_plate(bar, plate))
                return -1;
        }
        if (!json_object_get_boolean(json_part(part, "visible")))
            continue;
        plate->seen = true;
        if (bar->space == PICTURE_MEMORY)
            mark_split(plate, range, split);
    }
    return 0;
}

static int read_space(struct bar *bar, struct json_object *map)
{
    struct json_object *layers = json_part(map, "layers"), *layer;
    struct json_object *pieces = json_part(map, keys[bar->space]);

    bar->n_seen = pieces ? json_object_array_length(pieces) : 0;
    for (size_t i = 0; layers && i < json_object_array_length(layers); i++) {
        layer = json_object_array_get_idx(layers, i);
        if (strcmp(json_text(layer, "space"), keys[bar->space]) == 0 &&
            read_layer(bar, layer, json_part(map, "sub_page")))
            return -1;
    }
    return 0;
}

static int lay_out(struct picture *picture)
{
    for (int s = 0; s < PICTURE_SPACES; s++)
        if (picture_group(&picture->bar[s]))
            return -1;
    return picture_layout(picture);
}

static void dispose(struct picture *picture)
{
    for (struct bar *bar = picture->bar; bar < picture->bar + PICTURE_SPACES; bar++) {
        for (size_t i = 0; i < bar->n; i++)
            plate_free(bar->plate[i]);
        for (size_t i = 0; i < bar->n_labels; i++)
            for (unsigned k = 0; k < bar->label[i].n_lines; k++)
                free(bar->label[i].line[k].text);
        free(bar->plate);
        free(bar->label);
        free(bar->row);
    }
    free(picture->name);
}

int picture_print(struct json_object *map, FILE *out)
{
    struct picture picture = {.domid = json_number(map, "domid"),
                              .name = text_clean(json_text(map, "name")),
                              .left_out = json_number(map, "left_out")};
    int rc = picture.name ? 0 : -1;

    for (int s = 0; s < PICTURE_SPACES && rc == 0; s++) {
        picture.bar[s].space = s;
        rc = read_space(&picture.bar[s], map);
    }
    if (rc == 0)
        rc = lay_out(&picture);
    if (rc == 0)
        picture_draw(&picture, out);
    dispose(&picture);
    return rc;
}
