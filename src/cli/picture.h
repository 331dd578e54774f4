/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map as a picture. Three steps: picture.c makes plates of the reply, picture_group.c draws
 * together what would be too many, picture_layout.c says where on the page all of it goes, and
 * picture_draw.c writes that.
 *
 * Each space is a bar, addresses going down. A layer is a plate on it; one that was set over another
 * lies on top, smaller, so that a strip of each can be seen. A row is a stretch of addresses between
 * two edges of plates, or a hole: rows have the heights.
 */
#ifndef XENGASP_CLI_PICTURE_H
#define XENGASP_CLI_PICTURE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "space/range.h"

enum {
    PICTURE_WIDTH = 1000,
    PICTURE_PLATES = 28, /* in a bar: more are drawn together */
    PICTURE_LINES = 7,   /* of a label */
};

enum kind {
    KIND_GUEST_RAM,
    KIND_OUR_RAM,
    KIND_ROM,
    KIND_DEVICE,
    KIND_VDEV,
    KIND_PLATFORM,
    KIND_NOPERMS,
    KIND_MIXED,
    N_KINDS,
};

enum picture_space { PICTURE_MEMORY, PICTURE_PORTS, PICTURE_PCI, PICTURE_SPACES };

struct plate {
    struct range range;
    uint64_t number; /* the layer's */
    enum kind kind;
    bool active, seen; /* seen: some of it */
    bool counted;
    uint64_t reads, writes;
    char access[4]; /* access_text */
    uint64_t cookie;
    char *owner;           /* cleaned; the plate's own */
    size_t n_split;        /* pages of which it is a part only: "sub_page" */
    uint64_t split;        /* the first of them */
    unsigned level;        /* how many plates lie beneath, at most */
    struct plate *members; /* drawn together: these, ascending, by next */
    size_t n_members;
    uint64_t each; /* their size, if it is the same */
    struct plate *next;
    double y, height; /* on the page */
};

struct label {
    const struct plate *plate;
    size_t more; /* without a plate: so many layers more */
    unsigned n_lines;
    struct {
        char *text;
        const char *class;
    } line[PICTURE_LINES];
    size_t row;    /* of bar.row: that it stands by */
    double anchor; /* where on the plate it points at */
    double y, height;
};

struct row {
    struct range range;
    bool hole;
    double y, height;
};

struct bar {
    enum picture_space space;
    size_t n_seen;        /* regions that the guest sees */
    struct plate **plate; /* by address, a lower layer first */
    size_t n;
    struct row *row;
    size_t n_rows;
    struct label *label; /* from the top down */
    size_t n_labels;
    double x, width, label_x, label_width, top, bottom;
    double scale; /* a byte's height where it is to scale; 0: nowhere */
};

struct picture {
    uint64_t domid;
    char *name;
    bool any_split;
    uint64_t left_out;
    struct bar bar[PICTURE_SPACES];
};

/* picture.c */
extern const char *const picture_titles[PICTURE_SPACES];
struct plate *plate_new(void);
void plate_free(struct plate *plate); /* with its members; NULL is fine */
/* "00:10.0 0x00-0xff" or "0x1000-0x1fff". */
enum { PLACE_TEXT = 48, SIZE_TEXT = 40 };
const char *picture_place(enum picture_space space, struct range range, char text[PLACE_TEXT]);
/* "4 KiB"; what isn't a round number is rounded and says so. */
const char *picture_size(enum picture_space space, uint64_t size, char text[SIZE_TEXT]);

/* picture_group.c. 0, or -1: no memory. */
int picture_group(struct bar *bar);

/* picture_layout.c. 0, or -1: no memory. */
int picture_layout(struct picture *picture);
/* How wide a text may be, at this size: rather too much than too little. */
enum face { FACE_PLAIN, FACE_BOLD, FACE_FIXED };
double picture_text_width(const char *text, double size, enum face face);

/* picture_draw.c */
void picture_draw(const struct picture *picture, FILE *out);

#endif
