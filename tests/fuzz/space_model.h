/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the region map is compared with: an array with one cell a byte, each with its stack of
 * layers, and the rules of gasp.h, said of bytes. Slow, and shares nothing with src/space but types.
 */
#ifndef XENGASP_TESTS_SPACE_MODEL_H
#define XENGASP_TESTS_SPACE_MODEL_H

#include "space/space.h"

enum { CELLS = 64, DEPTH = 12 };

struct layer {
    uint64_t number; /* 0: RAM */
    void *owner;
    uint32_t flags, cookie;
};

struct stack {
    unsigned n;
    struct layer layer[DEPTH]; /* the topmost first */
};

struct model {
    uint64_t base, next; /* the cells are the last bytes of the space */
    struct stack at[CELLS];
};

struct span {
    unsigned first, last;
};

enum kind { NOTHING, ADDED, MODIFIED, DELETED };

struct span span_of(const struct model *m, struct range range);

/* The layer with that number, what is seen at a byte, whether two bytes look (or are) the same; NULL:
 * there is none. */
const struct layer *find_layer(const struct stack *stack, uint64_t number);
const struct layer *seen_at(const struct model *m, unsigned i);
bool same_seen(const struct model *m, unsigned i, unsigned j);
bool same_stack(const struct model *m, unsigned i, unsigned j);

/* The bytes around one that are like it. */
struct span run_at(const struct model *m, unsigned at,
                   bool (*same)(const struct model *, unsigned, unsigned));

/* The layer that r would modify or delete, or NULL. */
const struct layer *own_layer(const struct model *m, struct span s, const struct space_region *r);

/* 0 or an errno value, and nothing changed. There is room in the stacks. */
int model_set(struct model *m, const struct space_region *r, enum kind *kind_r);

#endif
