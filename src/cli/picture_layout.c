/* SPDX-License-Identifier: BSD-2-Clause */
/* Where on the page things go. */
#include <stdlib.h>
#include <string.h>

#include "cli/picture.h"
#include "daemon/text.h"

enum {
    MARGIN = 24,
    BETWEEN = 26,
    TOP = 132,
    HOLE_HEIGHT = 22,
    ROW_HEIGHT = 13, /* without a label */
    LINE_HEIGHT = 15,
    LABEL_GAP = 8,
    LEADER = 26,     /* between bar and label */
    FOR_SCALE = 260, /* what being to scale may add to a bar's height */
    HIDDEN_LABELS = 3,
};

/* ---- rows ---- */

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static bool plate_at(const struct plate *plate, struct range range)
{
    return range_inside(range, plate->range);
}

/* A row between any two edges, the stretch below the first plate too. */
static int make_rows(struct bar *bar)
{
    uint64_t *edge = calloc(2 * bar->n + 1, sizeof(*edge));
    size_t n = 0;

    bar->row = calloc(2 * bar->n + 1, sizeof(*bar->row));
    if (!edge || !bar->row) {
        free(edge);
        return -1;
    }
    if (bar->space != PICTURE_PCI)
        edge[n++] = 0;
    for (size_t i = 0; i < bar->n; i++) {
        edge[n++] = bar->plate[i]->range.first;
        edge[n++] = bar->plate[i]->range.last + 1; /* below 2^64: spaces end before */
    }
    qsort(edge, n, sizeof(*edge), by_value);
    for (size_t i = 0; i + 1 < n; i++) {
        struct row row = {.range = {edge[i], edge[i + 1] - 1}, .hole = true};

        if (edge[i] == edge[i + 1])
            continue;
        for (size_t k = 0; k < bar->n && row.hole; k++)
            row.hole = !plate_at(bar->plate[k], row.range);
        bar->row[bar->n_rows++] = row;
    }
    free(edge);
    return 0;
}

/* What the guest sees there. A group counts as one that is active. */
static const struct plate *top_plate(const struct bar *bar, const struct row *row)
{
    const struct plate *top = NULL;

    for (size_t i = 0; i < bar->n; i++)
        if (bar->plate[i]->active && plate_at(bar->plate[i], row->range) &&
            (!top || bar->plate[i]->level > top->level))
            top = bar->plate[i];
    return top;
}

/* The row by which the plate's label stands: the longest of those where it is seen, or of all. */
static size_t label_row(const struct bar *bar, const struct plate *plate)
{
    size_t best = SIZE_MAX;
    bool best_seen = false;

    for (size_t i = 0; i < bar->n_rows; i++) {
        bool seen = top_plate(bar, &bar->row[i]) == plate;

        if (!plate_at(plate, bar->row[i].range) || (best_seen && !seen))
            continue;
        if (best == SIZE_MAX || seen != best_seen ||
            range_length(bar->row[i].range) > range_length(bar->row[best].range)) {
            best = i;
            best_seen = seen;
        }
    }
    return best;
}

/* ---- the lines of a label ---- */

/* Where a line mustn't end. */
#define SPACE "\u00a0"

double picture_text_width(const char *text, double size, enum face face)
{
    double width = 0;
    uint32_t c;

    while ((c = text_next(&text)))
        if (c >= 0x1f000)
            width += 1.4;
        else if (c >= 0x2e80 || (c >= 0x1100 && c < 0x2000))
            width += 1.1;
        else if (face == FACE_FIXED)
            width += 0.61;
        else if (c < 0x80 && strchr(" ijlI.,:;'|![]()/", (int)c))
            width += 0.4;
        else if (c < 0x80 && strchr("fcrstz-", (int)c))
            width += 0.58;
        else if (c < 0x80 && strchr("mwMW@%", (int)c))
            width += 1.1;
        else
            width += c >= 'A' && c <= 'Z' ? 0.79 : 0.71;
    return face == FACE_PLAIN ? 0.92 * width * size : width * size;
}

/* How many bytes of it fit, a whole word if there is one. */
static size_t fit(const char *text, double size, enum face face, double width)
{
    const char *at = text, *word = NULL;
    char piece[8];

    while (*at) {
        const char *start = at;
        uint32_t c = text_next(&at);

        memcpy(piece, start, (size_t)(at - start));
        piece[at - start] = '\0';
        width -= picture_text_width(piece, size, face);
        if (width < 0)
            return (size_t)((word ? word : start) - text);
        if (c == ' ')
            word = at;
    }
    return (size_t)(at - text);
}

static int add_line(struct label *label, const char *class, const char *text, size_t n,
                    const char *end)
{
    if (label->n_lines == PICTURE_LINES)
        return 0;
    label->line[label->n_lines].class = class;
    if (asprintf(&label->line[label->n_lines].text, "%.*s%s", (int)n, text, end) < 0) {
        label->line[label->n_lines].text = NULL;
        return -1;
    }
    label->n_lines++;
    return 0;
}

/* On so many lines at most. */
static int add_wrapped(struct label *label, enum face face, const char *text, double width,
                       unsigned lines)
{
    const char *class = face == FACE_BOLD ? "n" : "m";
    double size = face == FACE_BOLD ? 13 : 12;
    size_t n;

    for (; lines > 0; lines--) {
        n = fit(text, size, face, width);
        if (n == 0)
            n = strlen(text); /* cut when it is drawn */
        if (text[n] == '\0' || lines > 1) {
            if (add_line(label, class, text, n, ""))
                return -1;
        } else {
            return add_line(label, class, text, fit(text, size, face, width - size), "…");
        }
        text += n;
        text += *text == ' ';
        if (*text == '\0')
            return 0;
    }
    return 0;
}

static size_t add_count(char *text, size_t room, uint64_t n, const char *what)
{
    return (size_t)snprintf(text, room, ", %" PRIu64 SPACE "%s%s", n, what, n == 1 ? "" : "s");
}

/* Size, what is out of the ordinary, accesses. */
static const char *notes_text(const struct bar *bar, const struct plate *plate, char *text,
                              size_t room)
{
    static const char *const usual[N_KINDS] = {
        [KIND_GUEST_RAM] = "rwx", [KIND_OUR_RAM] = "rwx", [KIND_ROM] = "r-x",
        [KIND_DEVICE] = "rwx",    [KIND_VDEV] = "RW-",
    };
    char size[SIZE_TEXT];
    size_t n = 0;

    if (plate->members && plate->each > 0 && bar->space != PICTURE_PCI)
        n += (size_t)snprintf(text + n, room - n, ", each" SPACE "%s",
                              picture_size(bar->space, plate->each, size));
    if (!plate->members && bar->space != PICTURE_PCI)
        n += (size_t)snprintf(text + n, room - n, ", %s",
                              picture_size(bar->space, range_length(plate->range), size));
    if (!plate->active)
        n += (size_t)snprintf(text + n, room - n, ", inactive");
    else if (!plate->seen)
        n += (size_t)snprintf(text + n, room - n, ", covered");
    if (plate->access[0] && usual[plate->kind] && strcmp(plate->access, usual[plate->kind]) != 0)
        n += (size_t)snprintf(text + n, room - n, ", %s", plate->access);
    if (plate->cookie > 0)
        n += (size_t)snprintf(text + n, room - n, ", cookie" SPACE "%" PRIu64, plate->cookie);
    if (plate->counted) {
        n += add_count(text + n, room - n, plate->reads, "read");
        n += add_count(text + n, room - n, plate->writes, "write");
    }
    return n > 2 ? text + 2 : "";
}

static int label_lines(const struct bar *bar, struct label *label)
{
    const struct plate *plate = label->plate;
    char place[PLACE_TEXT], text[256];
    const char *notes;

    if (!plate) {
        snprintf(text, sizeof(text), "and %zu layers more", label->more);
        return add_line(label, "m", text, strlen(text), "");
    }
    notes = notes_text(bar, plate, text, sizeof(text));
    if (add_wrapped(label, FACE_BOLD, plate->owner, bar->label_width, 3))
        return -1;
    picture_place(bar->space, plate->range, place);
    if (add_line(label, "a", place, strlen(place), ""))
        return -1;
    if (*notes && add_wrapped(label, FACE_PLAIN, notes, bar->label_width, 3))
        return -1;
    if (plate->n_split == 0)
        return 0;
    if (plate->n_split == 1)
        snprintf(text, sizeof(text), "page 0x%" PRIx64 " byte for byte", plate->split);
    else
        snprintf(text, sizeof(text), "%zu pages byte for byte", plate->n_split);
    return add_line(label, "w", text, strlen(text), "");
}

/* ---- heights ---- */

/* The labels of a row, the topmost plate's first; of those that aren't seen only some. */
static int row_labels(struct bar *bar, size_t row, const size_t *row_of)
{
    size_t first = bar->n_labels, hidden = 0;
    double height = 0;

    for (size_t i = bar->n; i-- > 0;) {
        struct label label = {.plate = bar->plate[i], .row = row};

        if (row_of[i] != row)
            continue;
        if (!label.plate->seen && ++hidden > HIDDEN_LABELS)
            continue;
        if (label_lines(bar, &label))
            return -1;
        bar->label[bar->n_labels++] = label;
    }
    if (hidden > HIDDEN_LABELS) {
        struct label label = {.more = hidden - HIDDEN_LABELS, .row = row};

        if (label_lines(bar, &label))
            return -1;
        bar->label[bar->n_labels++] = label;
    }
    for (size_t i = first; i < bar->n_labels; i++) {
        bar->label[i].height = bar->label[i].n_lines * LINE_HEIGHT + LABEL_GAP;
        height += bar->label[i].height;
    }
    if (bar->row[row].hole) {
        bar->row[row].height = HOLE_HEIGHT;
        return 0;
    }
    /* A label may stand beside half of the holes around it. */
    if (row > 0 && bar->row[row - 1].hole)
        height -= HOLE_HEIGHT / 2;
    if (row + 1 < bar->n_rows && bar->row[row + 1].hole)
        height -= HOLE_HEIGHT / 2;
    bar->row[row].height = height > ROW_HEIGHT ? height : ROW_HEIGHT;
    return 0;
}

static double height_at(double scale, const struct row *row)
{
    double height = row->hole ? 0 : scale * (double)range_length(row->range);

    return height > row->height ? height : row->height;
}

/* Where it helps: the space whose large regions are what one wants to compare. */
static void set_scale(struct bar *bar)
{
    double low = 0, high = 1, least = 0, sum;

    if (bar->space != PICTURE_MEMORY || bar->n == 0)
        return;
    for (size_t i = 0; i < bar->n_rows; i++)
        least += bar->row[i].height;
    for (int step = 0; step < 100; step++) {
        double middle = (low + high) / 2;

        sum = 0;
        for (size_t i = 0; i < bar->n_rows; i++)
            sum += height_at(middle, &bar->row[i]);
        if (sum > least + FOR_SCALE)
            high = middle;
        else
            low = middle;
    }
    bar->scale = low;
    for (size_t i = 0; i < bar->n_rows; i++)
        bar->row[i].height = height_at(low, &bar->row[i]);
}

static void stack_rows(struct bar *bar)
{
    double y = TOP;

    bar->top = y;
    for (size_t i = 0; i < bar->n_rows; i++) {
        bar->row[i].y = y;
        y += bar->row[i].height;
    }
    bar->bottom = y;
    for (size_t i = 0; i < bar->n; i++) {
        struct plate *plate = bar->plate[i];

        plate->height = 0;
        for (size_t k = 0; k < bar->n_rows; k++) {
            if (!plate_at(plate, bar->row[k].range))
                continue;
            if (plate->height == 0)
                plate->y = bar->row[k].y;
            plate->height = bar->row[k].y + bar->row[k].height - plate->y;
        }
    }
}

/* ---- labels ---- */

/*
 * Each as near to its anchor as the others let it be: labels that would overlap become a block, which
 * stands where its labels want it on average.
 */
static int spread_labels(struct bar *bar)
{
    struct block {
        size_t first;
        double wish, height; /* wish: of its top, for all its labels together */
        double y;
    } *block = calloc(bar->n_labels + 1, sizeof(*block));
    size_t n = 0, label = 0;

    if (!block)
        return -1;
    for (size_t i = 0; i < bar->n_labels; i++) {
        double wish = bar->label[i].anchor - bar->label[i].height / 2;

        block[n++] = (struct block){i, wish, bar->label[i].height, wish < TOP ? TOP : wish};
        while (n > 1 && block[n - 2].y + block[n - 2].height > block[n - 1].y) {
            struct block *a = &block[n - 2], *b = &block[n - 1];
            double n_a = (double)(b->first - a->first), n_b = (double)(i + 1 - b->first);

            a->wish = (a->wish * n_a + (b->wish - a->height) * n_b) / (n_a + n_b);
            a->height += b->height;
            a->y = a->wish < TOP ? TOP : a->wish;
            n--;
        }
    }
    for (size_t i = 0; i < n; i++) {
        double y = block[i].y;

        for (; label < (i + 1 < n ? block[i + 1].first : bar->n_labels); label++) {
            bar->label[label].y = y;
            y += bar->label[label].height;
        }
        if (y > bar->bottom)
            bar->bottom = y;
    }
    free(block);
    return 0;
}

static int label_all(struct bar *bar)
{
    size_t *row_of = calloc(bar->n + 1, sizeof(*row_of)), next = 0;
    int rc = row_of ? 0 : -1;

    bar->label = calloc(bar->n + bar->n_rows + 1, sizeof(*bar->label));
    if (!bar->label)
        rc = -1;
    for (size_t i = 0; i < bar->n && rc == 0; i++)
        row_of[i] = label_row(bar, bar->plate[i]);
    for (size_t i = 0; i < bar->n_rows && rc == 0; i++)
        rc = row_labels(bar, i, row_of);
    if (rc == 0) {
        set_scale(bar);
        stack_rows(bar);
    }
    /* The labels of a row share its height. */
    for (size_t i = 0; i < bar->n_rows && rc == 0; i++) {
        double sum = 0, y = bar->row[i].y;
        size_t end = next;

        while (end < bar->n_labels && bar->label[end].row == i)
            sum += bar->label[end++].height;
        for (; next < end; next++) {
            double share = bar->row[i].height * bar->label[next].height / sum;

            bar->label[next].anchor = y + share / 2;
            y += share;
        }
    }
    free(row_of);
    return rc ? rc : spread_labels(bar);
}

/* ---- the page ---- */

int picture_layout(struct picture *picture)
{
    static const double shares[PICTURE_SPACES] = {380, 290, 230};
    static const double empty = 146; /* for a title alone */
    double x = MARGIN, sum = 0, room = PICTURE_WIDTH - 2 * MARGIN - 2 * BETWEEN;

    for (int s = 0; s < PICTURE_SPACES; s++) {
        if (picture->bar[s].n > 0)
            sum += shares[s];
        else
            room -= empty;
    }
    for (int s = 0; s < PICTURE_SPACES; s++) {
        struct bar *bar = &picture->bar[s];
        double width = bar->n > 0 ? room * shares[s] / sum : empty;

        bar->x = x;
        bar->width = width * 0.3;
        bar->label_x = x + bar->width + LEADER;
        bar->label_width = width - bar->width - LEADER;
        x += width + BETWEEN;
        bar->top = bar->bottom = TOP;
        for (size_t i = 0; i < bar->n; i++)
            if (bar->plate[i]->n_split > 0)
                picture->any_split = true;
        if (bar->n > 0 && (make_rows(bar) || label_all(bar)))
            return -1;
    }
    return 0;
}
