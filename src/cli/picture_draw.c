/* SPDX-License-Identifier: BSD-2-Clause */
/* What was laid out, as SVG. It has no scripts and refers to nothing outside. */
#include <stdarg.h>
#include <string.h>

#include "cli/picture.h"
#include "daemon/text.h"

enum { CARDS = 9, LEGEND_HEIGHT = 22 };

/* Colours are classes, so that one place says what they are in the dark. */
static const char style[] =
    "text{font-family:sans-serif;font-size:13px;fill:#1f2328}\n"
    ".h{font-size:20px;font-weight:bold}.c{font-size:15px;font-weight:bold}\n"
    ".n{font-weight:bold}.a{font-family:monospace;font-size:12px}\n"
    ".m{font-size:12px;fill:#57606a}.w{font-size:12px;fill:#a04100}\n"
    ".g{font-size:11px;fill:#57606a}\n"
    ".bg{fill:#fff}.sh{fill:#000;fill-opacity:.22}\n"
    ".ld{stroke:#8c959f;fill:none}.dot{fill:#57606a}.br{stroke:#8c959f;stroke-width:1.3;fill:none}"
    "\n"
    ".sp{stroke:#c65d00;stroke-width:2.5;fill:none}.hl{stroke:#57606a;stroke-width:1.4}\n"
    ".p{stroke-width:1.3}.card{stroke-opacity:.45;stroke-width:1}\n"
    ".ram{fill:#d7e7f8;stroke:#4f83b8}.own{fill:#93bfec;stroke:#2b669f}\n"
    ".rom{fill:#e7dbf5;stroke:#8059ab}.dev{fill:#c5ebdf;stroke:#2c8a73}\n"
    ".vdev{fill:#fdd49b;stroke:#b96f12}.plat{fill:#e3e6ea;stroke:#7d8590}\n"
    ".none{fill:#f7dcdc;stroke:#b25353}.mix{fill:#efe9d2;stroke:#8d7f45}\n"
    ".off{fill:url(#xg-hatch);stroke-dasharray:5 3}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3}.m,.g{fill:#9da7b3}.w{fill:#ffa657}\n"
    ".bg{fill:#0f141a}.sh{fill:#000;fill-opacity:.6}\n"
    ".ld,.br{stroke:#6e7681}.dot{fill:#9da7b3}.sp{stroke:#ff9a3c}.hl{stroke:#9da7b3}\n"
    ".ram{fill:#1d3a57;stroke:#5b93c9}.own{fill:#2c6396;stroke:#8cc0f2}\n"
    ".rom{fill:#40305a;stroke:#a987d6}.dev{fill:#17483d;stroke:#4fb59a}\n"
    ".vdev{fill:#70470f;stroke:#e9a23b}.plat{fill:#2d333b;stroke:#818b96}\n"
    ".none{fill:#532a2a;stroke:#d07f7f}.mix{fill:#453f22;stroke:#b7a75e}\n"
    ".off{fill:url(#xg-hatch)}\n"
    "}\n";

static const struct {
    const char *class, *meaning;
} kinds[N_KINDS] = {
    [KIND_GUEST_RAM] = {"ram", "RAM that the guest came with"},
    [KIND_OUR_RAM] = {"own", "RAM of ours"},
    [KIND_ROM] = {"rom", "ROM"},
    [KIND_DEVICE] = {"dev", "a device's own memory"},
    [KIND_VDEV] = {"vdev", "a vdev answers"},
    [KIND_PLATFORM] = {"plat", "kept by Xen and the toolstack"},
    [KIND_NOPERMS] = {"none", "no access"},
    [KIND_MIXED] = {"mix", "of several kinds"},
};

/* Markup's own characters as what stands for them. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            putc(*text, out);
        }
}

static void put_text(FILE *out, const char *class, double x, double y, const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

/* ---- plates ---- */

/* How far a plate of this level is drawn in from the bar's sides. */
static void insets(const struct bar *bar, unsigned level, double *left_r, double *right_r)
{
    unsigned highest = 1;
    double step;

    for (size_t i = 0; i < bar->n; i++)
        if (bar->plate[i]->level > highest)
            highest = bar->plate[i]->level;
    step = (bar->width - 40) / highest;
    if (step > 26)
        step = 26;
    *left_r = 0.35 * step * level;
    *right_r = 0.65 * step * level;
}

static void put_title(FILE *out, const struct bar *bar, const struct plate *plate)
{
    char place[PLACE_TEXT], size[SIZE_TEXT];

    fputs("<title>", out);
    put_escaped(out, plate->owner);
    fprintf(out, "\n%s", picture_place(bar->space, plate->range, place));
    if (!plate->members && bar->space != PICTURE_PCI)
        fprintf(out, "\n%s", picture_size(bar->space, range_length(plate->range), size));
    if (!plate->members && !plate->active)
        fputs("\ninactive", out);
    else if (!plate->seen)
        fputs("\ncovered", out);
    if (plate->counted)
        fprintf(out, "\n%" PRIu64 " reads, %" PRIu64 " writes", plate->reads, plate->writes);
    fputs("</title>", out);
}

static void put_rect(FILE *out, const char *class, double x, double y, double width, double height)
{
    fprintf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\"", class,
            x, y, width, height);
    fputs(" rx=\"2.5\"/>", out);
}

/* Those that are drawn together: some edges to see, and all to point at. */
static void draw_members(FILE *out, const struct bar *bar, const struct plate *group, double x,
                         double width)
{
    double y = group->y, height = group->height / (double)group->n_members;
    size_t cards = group->n_members < CARDS ? group->n_members : CARDS;

    for (size_t i = 1; i < cards; i++) {
        double at = group->y + group->height * (double)i / (double)cards;

        fprintf(out, "<path class=\"card %s\" d=\"M%.1f %.1fh%.1f\"/>\n", kinds[group->kind].class,
                x, at, width);
    }
    for (const struct plate *m = group->members; m; m = m->next, y += height) {
        fprintf(out,
                "<rect fill-opacity=\"0\" x=\"%.1f\" y=\"%.3f\" width=\"%.1f\" height=\"%.3f\">", x,
                y, width, height);
        put_title(out, bar, m);
        fputs("</rect>\n", out);
    }
}

static void draw_plate(FILE *out, const struct bar *bar, const struct plate *plate)
{
    double left, right, width;
    char class[32];

    insets(bar, plate->level, &left, &right);
    width = bar->width - left - right;
    snprintf(class, sizeof(class), "p %s%s", kinds[plate->kind].class, plate->active ? "" : " off");
    fputs("<g>", out);
    put_title(out, bar, plate);
    if (right >= 8 * plate->level && plate->level > 0 && plate->active)
        put_rect(out, "sh", bar->x + left + 2.5, plate->y + 3.5, width, plate->height - 3);
    put_rect(out, class, bar->x + left, plate->y + 1, width, plate->height - 2);
    fputs("</g>\n", out);
    if (plate->members)
        draw_members(out, bar, plate, bar->x + left, width);
    if (plate->n_split > 0)
        fprintf(out, "<path class=\"sp\" d=\"M%.1f %.1fh-6v%.1fh6\"/>\n", bar->x - 3, plate->y + 2,
                plate->height - 4);
}

static const char *hole_text(const struct bar *bar, const struct row *row, bool word,
                             char text[SIZE_TEXT + 8])
{
    picture_size(bar->space, range_length(row->range), text);
    return word ? strcat(text, " empty") : text;
}

/* Whether there is room for the word in all of them. */
static bool word_fits(const struct bar *bar)
{
    char text[SIZE_TEXT + 8];

    for (size_t i = 0; i < bar->n_rows; i++)
        if (bar->row[i].hole && picture_text_width(hole_text(bar, &bar->row[i], true, text), 11,
                                                   FACE_PLAIN) > bar->width)
            return false;
    return true;
}

/* Torn edges, and between them how much is left out. */
static void draw_hole(FILE *out, const struct bar *bar, const struct row *row)
{
    const unsigned teeth = 12;
    double step = bar->width / (2 * teeth);
    char text[SIZE_TEXT + 8];

    for (int edge = 0; edge < 2; edge++) {
        fprintf(out, "<path class=\"br\" d=\"M%.1f %.1f", bar->x,
                edge ? row->y + row->height - 2 : row->y + 5);
        for (unsigned i = 0; i < teeth; i++)
            fprintf(out, "l%.2f -3l%.2f 3", step, step);
        fputs("\"/>\n", out);
    }
    if (bar->space == PICTURE_PCI)
        return;
    fprintf(out, "<text class=\"g\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">",
            bar->x + bar->width / 2, row->y + row->height / 2 + 4);
    put_escaped(out, hole_text(bar, row, word_fits(bar), text));
    fputs("</text>\n", out);
}

/* From the strip of the plate that can be seen to its label. */
static void draw_leader(FILE *out, const struct bar *bar, const struct label *label)
{
    double left, right, next, x = bar->x + bar->width, y = label->y + label->height / 2;

    if (!label->plate)
        return;
    insets(bar, label->plate->level, &left, &right);
    insets(bar, label->plate->level + 1, &left, &next);
    next = next - right > 12 ? 12 : next - right;
    fprintf(out, "<path class=\"ld\" d=\"M%.1f %.1fH%.1fL%.1f %.1f\"/>", x - right - next / 2,
            label->anchor, x + 5, bar->label_x - 5, y);
    fprintf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>\n",
            x - right - next / 2, label->anchor);
}

static void draw_labels(FILE *out, const struct bar *bar, double height)
{
    /* What is wider than was reckoned is cut off, not written over its neighbour. */
    fprintf(out, "<svg x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%.1f\">\n", bar->label_x,
            bar->label_width + 4, height);
    for (size_t i = 0; i < bar->n_labels; i++)
        for (unsigned k = 0; k < bar->label[i].n_lines; k++)
            put_text(out, bar->label[i].line[k].class, 0, bar->label[i].y + 16 + 15 * k,
                     bar->label[i].line[k].text);
    fputs("</svg>\n", out);
}

static void draw_bar(FILE *out, const struct bar *bar, double height)
{
    char text[64];
    unsigned level, highest = 0;

    put_text(out, "c", bar->x, 104, picture_titles[bar->space]);
    if (bar->n == 0)
        snprintf(text, sizeof(text), "empty");
    else
        snprintf(text, sizeof(text), "%zu %s", bar->n_seen,
                 bar->n_seen == 1 ? "region" : "regions");
    put_text(out, "m", bar->x, 121, text);
    for (size_t i = 0; i < bar->n_rows; i++)
        if (bar->row[i].hole)
            draw_hole(out, bar, &bar->row[i]);
    for (size_t i = 0; i < bar->n; i++)
        if (bar->plate[i]->level > highest)
            highest = bar->plate[i]->level;
    for (level = 0; level <= highest; level++)
        for (size_t i = 0; i < bar->n; i++)
            if (bar->plate[i]->level == level)
                draw_plate(out, bar, bar->plate[i]);
    for (size_t i = 0; i < bar->n_labels; i++)
        draw_leader(out, bar, &bar->label[i]);
    if (bar->n_labels > 0)
        draw_labels(out, bar, height);
}

/* ---- the legend ---- */

struct legend {
    FILE *out; /* NULL: only to know how high it is */
    double x, y;
};

/* Where an item of this text goes; its sign is 22 wide and 14 high. */
static void legend_next(struct legend *legend, const char *text)
{
    double width = 22 + 7 + picture_text_width(text, 12, FACE_PLAIN) + 14;

    if (legend->x + width > PICTURE_WIDTH - 24 && legend->x > 24) {
        legend->x = 24;
        legend->y += LEGEND_HEIGHT;
    }
    if (legend->out)
        put_text(legend->out, "m", legend->x + 29, legend->y + 11, text);
    legend->x += width;
}

static void legend_rect(struct legend *legend, const char *class, const char *text)
{
    double width = 22 + 7 + picture_text_width(text, 12, FACE_PLAIN) + 14;

    legend_next(legend, text);
    if (legend->out) {
        put_rect(legend->out, class, legend->x - width, legend->y, 22, 14);
        putc('\n', legend->out);
    }
}

static void legend_path(struct legend *legend, const char *class, const char *path, double down,
                        const char *text)
{
    double width = 22 + 7 + picture_text_width(text, 12, FACE_PLAIN) + 14;

    legend_next(legend, text);
    if (legend->out)
        fprintf(legend->out, "<path class=\"%s\" d=\"M%.1f %.1f%s\"/>\n", class, legend->x - width,
                legend->y + down, path);
}

static bool shown(const struct picture *picture, int kind, bool inactive)
{
    for (int s = 0; s < PICTURE_SPACES; s++)
        for (size_t i = 0; i < picture->bar[s].n; i++)
            if (inactive ? !picture->bar[s].plate[i]->active
                         : (int)picture->bar[s].plate[i]->kind == kind)
                return true;
    return false;
}

/* A length of the memory's scale that is a power of two, and easy to see. */
static void draw_scale(struct legend *legend, const struct bar *bar)
{
    char size[SIZE_TEXT], path[32], text[96];
    uint64_t bytes = 1;

    if (bar->scale <= 0)
        return;
    while (bar->scale * (double)bytes < 12 && bytes < UINT64_C(1) << 62)
        bytes *= 2;
    snprintf(text, sizeof(text), "%s of memory; what is too small for that is drawn higher",
             picture_size(PICTURE_MEMORY, bytes, size));
    snprintf(path, sizeof(path), "h9m-4.5 0v%.1fm-4.5 0h9", bar->scale * (double)bytes);
    legend_path(legend, "br", path, 0, text);
}

/* The y below it. */
static double draw_legend(FILE *out, const struct picture *picture, double y)
{
    struct legend legend = {out, 24, y};
    bool layered = false;

    for (int k = 0; k < N_KINDS; k++) {
        char class[16];

        snprintf(class, sizeof(class), "p %s", kinds[k].class);
        if (shown(picture, k, false))
            legend_rect(&legend, class, kinds[k].meaning);
    }
    if (shown(picture, 0, true))
        legend_rect(&legend, "p plat off", "inactive: the guest sees what is beneath");
    for (int s = 0; s < PICTURE_SPACES; s++)
        for (size_t i = 0; i < picture->bar[s].n; i++)
            layered |= picture->bar[s].plate[i]->level > 0;
    if (layered)
        legend_path(&legend, "ld", "h16v8h-16zm6 -4h16v8h-16z", 5, "lies over what is beneath");
    legend_path(&legend, "br", "l4 -3l4 3l4 -3l4 3l4 -3", 9, "nothing there, shortened");
    if (picture->any_split)
        legend_path(&legend, "sp", "h-6v10h6", 2,
                    "page of RAM with a vdev in it: the service answers it byte for byte; not "
                    "right for locked operations");
    draw_scale(&legend, &picture->bar[PICTURE_MEMORY]);
    if (picture->left_out > 0) {
        char text[64];

        snprintf(text, sizeof(text), "%" PRIu64 " parts more are left out", picture->left_out);
        legend_next(&legend, text);
    }
    return legend.y + LEGEND_HEIGHT;
}

/* ---- the page ---- */

static void draw_head(FILE *out, const struct picture *picture, double height)
{
    char text[64];

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
            "viewBox=\"0 0 %d %.0f\" role=\"img\" aria-labelledby=\"xg-title xg-desc\">\n"
            "<title id=\"xg-title\">Address spaces of ",
            PICTURE_WIDTH, height, PICTURE_WIDTH, height);
    put_escaped(out, picture->name);
    fputs("</title>\n<desc id=\"xg-desc\">What guest ", out);
    put_escaped(out, picture->name);
    fputs(" sees, addresses going down.", out);
    for (int s = 0; s < PICTURE_SPACES; s++) {
        const struct bar *bar = &picture->bar[s];

        fprintf(out, " %s: %zu regions%s", picture_titles[s], bar->n_seen, bar->n ? ":" : ".");
        for (size_t i = 0; i < bar->n; i++) {
            char place[PLACE_TEXT];

            fprintf(out, " %s ", picture_place(s, bar->plate[i]->range, place));
            put_escaped(out, bar->plate[i]->owner);
            putc(i + 1 < bar->n ? ',' : '.', out);
        }
    }
    fprintf(
        out,
        "</desc>\n<style>\n%s</style>\n"
        "<defs><pattern id=\"xg-hatch\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" "
        "patternTransform=\"rotate(45)\"><path class=\"hl\" d=\"M0 0V7\"/></pattern></defs>\n"
        "<rect class=\"bg\" width=\"%d\" height=\"%.0f\"/>\n",
        style, PICTURE_WIDTH, height);
    /* As a label: what doesn't fit is cut off. */
    fprintf(out, "<svg x=\"24\" y=\"0\" width=\"%d\" height=\"80\">\n", PICTURE_WIDTH - 48);
    put_text(out, "h", 0, 44, picture->name);
    snprintf(text, sizeof(text), "domain %" PRIu64 ", its address spaces as it sees them",
             picture->domid);
    put_text(out, "m", 0, 65, text);
    fputs("</svg>\n", out);
}

void picture_draw(const struct picture *picture, FILE *out)
{
    double bottom = 0, end;

    for (int s = 0; s < PICTURE_SPACES; s++)
        if (picture->bar[s].bottom > bottom)
            bottom = picture->bar[s].bottom;
    bottom += 30;
    end = draw_legend(NULL, picture, bottom) + 12;
    draw_head(out, picture, end);
    for (int s = 0; s < PICTURE_SPACES; s++)
        draw_bar(out, &picture->bar[s], bottom);
    draw_legend(out, picture, bottom);
    fputs("</svg>\n", out);
}
