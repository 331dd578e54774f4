/* SPDX-License-Identifier: BSD-2-Clause */
/* xengasp map: the command, and its text. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char map_help[] =
    "usage: xengasp map [--output text|json|svg] DOMAIN\n"
    "Shows a guest's address spaces as they are now: range, size, type and owner of what it sees,\n"
    "and beneath each what that covers.\n"
    "\n"
    "  -o, --output FORMAT   text (default), json, or svg: a picture\n"
    "  -h, --help            this text\n";

/* What isn't seen at its place: a part of a layer. */
struct hidden {
    struct range range;
    uint64_t number;
    struct json_object *layer;
};

struct hidden_list {
    struct hidden *hidden;
    size_t n;
};

static int by_address(const void *left, const void *right)
{
    const struct hidden *a = left, *b = right;

    if (a->range.first != b->range.first)
        return a->range.first < b->range.first ? -1 : 1;
    return a->number > b->number ? -1 : a->number < b->number;
}

static int highest_first(const void *left, const void *right)
{
    const struct hidden *a = left, *b = right;

    if (a->number != b->number)
        return a->number > b->number ? -1 : 1;
    return a->range.first < b->range.first ? -1 : a->range.first > b->range.first;
}

static int hidden_add(struct hidden_list *list, const struct hidden *hidden)
{
    struct hidden *more = reallocarray(list->hidden, list->n + 1, sizeof(*more));

    if (!more)
        return -1;
    list->hidden = more;
    more[list->n++] = *hidden;
    return 0;
}

/* All of a space, by address. */
static int hidden_of(struct json_object *map, const char *space, struct hidden_list *list)
{
    struct json_object *layers = json_part(map, "layers"), *parts, *part;
    struct hidden hidden;

    for (size_t i = 0; layers && i < json_object_array_length(layers); i++) {
        hidden.layer = json_object_array_get_idx(layers, i);
        hidden.number = json_number(hidden.layer, "layer");
        parts = json_part(hidden.layer, "parts");
        if (strcmp(json_text(hidden.layer, "space"), space) != 0)
            continue;
        for (size_t k = 0; parts && k < json_object_array_length(parts); k++) {
            part = json_object_array_get_idx(parts, k);
            hidden.range = json_range(part);
            if (!json_object_get_boolean(json_part(part, "visible")) && hidden_add(list, &hidden))
                return -1;
        }
    }
    if (list->n > 0)
        qsort(list->hidden, list->n, sizeof(*list->hidden), by_address);
    return 0;
}

/* ---- lines ---- */

static bool is_pci(const char *space)
{
    return strcmp(space, "pci") == 0;
}

/* A function of PCI is told as one tells it. */
static void print_range(const char *space, struct range range)
{
    char text[40];

    if (!is_pci(space)) {
        printf(PRIrange, range_arg(range));
        return;
    }
    snprintf(text, sizeof(text), "%02x:%02x.%x 0x%02x-0x%02x", (unsigned)(range.first >> 40),
             (unsigned)(range.first >> 35 & 0x1f), (unsigned)(range.first >> 32 & 7),
             (unsigned)(range.first & UINT32_MAX), (unsigned)(range.last & UINT32_MAX));
    printf("%-37s", text);
}

/* What the type doesn't tell already. */
static void print_notes(struct json_object *region)
{
    static const char *const usual[][2] = {
        {"RAM", "rwx"}, {"ROM", "r-x"}, {"vdev", "RW-"}, {"device", "rwx"}};
    struct json_object *flags = json_part(region, "flags");
    const char *type = json_text(region, "type"), *expected = "---";
    char access[ACCESS_TEXT];

    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (strcmp(type, usual[i][0]) == 0)
            expected = usual[i][1];
    if (flags && strcmp(access_text(flags, access), expected) != 0)
        printf("  %s", access);
    if (json_has(flags, "NOCACHE"))
        printf("  uncached");
    if (json_has(flags, "PRECIOUS") && strcmp(type, "reserved") != 0)
        printf("  precious");
    if (json_number(region, "cookie") > 0)
        printf("  cookie %" PRIu64, json_number(region, "cookie"));
    if (json_part(region, "reads"))
        printf("  reads %" PRIu64 "  writes %" PRIu64, json_number(region, "reads"),
               json_number(region, "writes"));
}

static void print_place(const char *space, unsigned indent, struct range range)
{
    char size[24];

    printf("%*s", (int)indent, "");
    print_range(space, range);
    printf(" %8s", size_text(range_length(range), size));
}

static void print_line(const char *space, unsigned indent, struct range range,
                       struct json_object *region)
{
    print_place(space, indent, range);
    printf("  %-8s  ", json_text(region, "type"));
    print_name(json_text(region, "owner"));
    print_notes(region);
}

/* What isn't seen inside the range, each under what lies over it. */
static int print_hidden(const char *space, const struct hidden_list *all, struct range range)
{
    enum { DEEPEST = 12 };
    struct hidden_list in = {0};
    struct hidden part;
    unsigned depth;
    int rc = 0;

    for (size_t i = 0; i < all->n && all->hidden[i].range.first <= range.last && rc == 0; i++) {
        part = all->hidden[i];
        if (!range_overlap(part.range, range))
            continue;
        if (part.range.first < range.first)
            part.range.first = range.first;
        if (part.range.last > range.last)
            part.range.last = range.last;
        rc = hidden_add(&in, &part);
    }
    if (in.n > 0)
        qsort(in.hidden, in.n, sizeof(*in.hidden), highest_first);
    for (size_t i = 0; i < in.n; i++) {
        depth = 1;
        for (size_t k = 0; k < i && depth < DEEPEST; k++)
            depth += in.hidden[k].number != in.hidden[i].number &&
                     range_overlap(in.hidden[k].range, in.hidden[i].range);
        print_line(space, 2 + 2 * depth, in.hidden[i].range, in.hidden[i].layer);
        puts(json_object_get_boolean(json_part(in.hidden[i].layer, "active")) ? "  covered"
                                                                              : "  inactive");
    }
    free(in.hidden);
    return rc;
}

/* Where nothing is seen below `end` but something would be, if it were active. */
static int print_unseen(const char *space, const struct hidden_list *all, uint64_t *next,
                        uint64_t end, size_t *i)
{
    struct range stretch;

    for (; *next < end && *i < all->n && all->hidden[*i].range.first < end; ++*i) {
        struct range range = all->hidden[*i].range;

        if (range.last < *next)
            continue;
        stretch.first = range.first > *next ? range.first : *next;
        stretch.last = range.last < end ? range.last : end - 1;
        for (size_t k = *i + 1; k < all->n && all->hidden[k].range.first <= stretch.last; k++)
            if (all->hidden[k].range.last > stretch.last && all->hidden[k].range.last < end)
                stretch.last = all->hidden[k].range.last;
        print_place(space, 2, stretch);
        puts("  nothing");
        if (print_hidden(space, all, stretch))
            return -1;
        *next = stretch.last + 1;
        if (range.last >= end)
            break;
    }
    return 0;
}

static int print_space(const char *title, struct json_object *map, const char *space)
{
    struct json_object *pieces = json_part(map, space), *piece;
    struct hidden_list hidden = {0};
    struct range range;
    uint64_t next = 0;
    size_t unseen = 0;
    int rc = hidden_of(map, space, &hidden);

    puts(title);
    for (size_t i = 0; pieces && i < json_object_array_length(pieces) && rc == 0; i++) {
        piece = json_object_array_get_idx(pieces, i);
        range = json_range(piece);
        rc = print_unseen(space, &hidden, &next, range.first, &unseen);
        print_line(space, 2, range, piece);
        putchar('\n');
        if (rc == 0)
            rc = print_hidden(space, &hidden, range);
        next = range.last + 1;
    }
    if (rc == 0)
        rc = print_unseen(space, &hidden, &next, UINT64_MAX, &unseen);
    free(hidden.hidden);
    return rc;
}

static int print_map(struct json_object *map)
{
    struct json_object *split = json_part(map, "sub_page");
    size_t n = split ? json_object_array_length(split) : 0;

    if (print_space("memory", map, "memory") || print_space("ports", map, "ports") ||
        print_space("PCI configuration space", map, "pci"))
        return -1;
    if (n > 0)
        puts("pages answered by the service, byte for byte: not right for locked operations,\n"
             "instruction fetches, page tables and accesses of more than 8 bytes");
    for (size_t i = 0; i < n; i++) {
        print_place("memory", 2, json_range(json_object_array_get_idx(split, i)));
        putchar('\n');
    }
    if (json_part(map, "left_out"))
        printf("%" PRIu64 " parts more are left out\n", json_number(map, "left_out"));
    return 0;
}

int command_map(int argc, char **argv)
{
    enum output output = OUTPUT_SVG;
    struct json_object *map;
    uint32_t domid;
    int status, rc = 0;

    if (simple_options(argc, argv, map_help, 1, &output, &status))
        return status;
    if (service_find(argv[optind], &domid))
        return EXIT_FAILED;
    map = service_ask(domid, "map");
    if (!map)
        return EXIT_FAILED;
    json_object_object_del(map, "ok");
    if (output == OUTPUT_JSON)
        json_print(map);
    else if (output == OUTPUT_SVG)
        rc = picture_print(map, stdout);
    else
        rc = print_map(map);
    json_object_put(map);
    return rc ? fail("no memory") : 0;
}
