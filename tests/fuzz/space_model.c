/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/space_model.h"

#include <errno.h>
#include <xengasp/gasp.h>

struct span span_of(const struct model *m, struct range range)
{
    return (struct span){(unsigned)(range.first - m->base), (unsigned)(range.last - m->base)};
}

static bool is_of(const struct layer *layer, const struct space_region *r)
{
    return layer->owner == r->owner && layer->cookie == r->cookie;
}

const struct layer *find_layer(const struct stack *stack, uint64_t number)
{
    for (unsigned k = 0; k < stack->n; k++)
        if (stack->layer[k].number == number)
            return &stack->layer[k];
    return NULL;
}

const struct layer *seen_at(const struct model *m, unsigned i)
{
    for (unsigned k = 0; k < m->at[i].n; k++)
        if (m->at[i].layer[k].flags & GRF_ACTIVE)
            return &m->at[i].layer[k];
    return NULL;
}

static bool same_layer(const struct layer *a, const struct layer *b)
{
    return a->number == b->number && a->flags == b->flags;
}

bool same_seen(const struct model *m, unsigned i, unsigned j)
{
    const struct layer *a = seen_at(m, i), *b = seen_at(m, j);

    return a && b ? same_layer(a, b) : a == b;
}

bool same_stack(const struct model *m, unsigned i, unsigned j)
{
    if (m->at[i].n != m->at[j].n)
        return false;
    for (unsigned k = 0; k < m->at[i].n; k++)
        if (!same_layer(&m->at[i].layer[k], &m->at[j].layer[k]))
            return false;
    return true;
}

struct span run_at(const struct model *m, unsigned at,
                   bool (*same)(const struct model *, unsigned, unsigned))
{
    struct span run = {at, at};

    while (run.first > 0 && same(m, run.first - 1, at))
        run.first--;
    while (run.last < CELLS - 1 && same(m, run.last + 1, at))
        run.last++;
    return run;
}

/* Whether r's delete (or modify) may take this layer: it is everywhere; to be modified, it is the
 * same everywhere, and either inactive or what is seen. */
static bool may_take(const struct model *m, struct span s, uint64_t number, bool modify)
{
    const struct layer *first = find_layer(&m->at[s.first], number);

    for (unsigned i = s.first; i <= s.last; i++) {
        const struct layer *layer = find_layer(&m->at[i], number);

        if (!layer)
            return false;
        if (modify && layer->flags != first->flags)
            return false;
        if (modify && (layer->flags & GRF_ACTIVE) && seen_at(m, i) != layer)
            return false;
    }
    return true;
}

const struct layer *own_layer(const struct model *m, struct span s, const struct space_region *r)
{
    const struct stack *stack = &m->at[s.first];

    for (unsigned k = 0; k < stack->n; k++)
        if (is_of(&stack->layer[k], r) &&
            may_take(m, s, stack->layer[k].number, r->flags != GRF_NONE))
            return &stack->layer[k];
    return NULL;
}

static int model_delete(struct model *m, struct span s, const struct space_region *r)
{
    const struct layer *own = own_layer(m, s, r);
    uint64_t number = own ? own->number : 0;
    bool any = false, any_own = false;

    for (unsigned i = s.first; i <= s.last; i++) {
        struct stack *stack = &m->at[i];

        for (unsigned k = 0; k < stack->n; k++) {
            any = true;
            any_own |= is_of(&stack->layer[k], r);
            if (!own || stack->layer[k].number != number)
                continue;
            for (stack->n--; k < stack->n; k++)
                stack->layer[k] = stack->layer[k + 1];
        }
    }
    if (own)
        return 0;
    return any && !any_own ? EPERM : ENOENT;
}

static int model_modify(struct model *m, struct span s, const struct space_region *r,
                        struct layer own)
{
    for (unsigned i = s.first; i <= s.last; i++)
        if ((r->flags & GRF_PRECIOUS) && m->at[i].n > 1)
            return EBUSY;
    for (unsigned i = s.first; i <= s.last; i++)
        for (unsigned k = 0; k < m->at[i].n; k++)
            if (m->at[i].layer[k].number == own.number)
                m->at[i].layer[k].flags = r->flags | (own.flags & GRF_STICKY);
    return 0;
}

static int model_add(struct model *m, struct span s, const struct space_region *r)
{
    bool ram = !r->owner && r->cookie == 0 && (r->flags & GRF_MEMORY), any = false, one = true;
    struct layer layer = {ram ? 0 : m->next, r->owner, r->flags, r->cookie};
    bool precious = false;

    for (unsigned i = s.first; i <= s.last; i++) {
        any |= m->at[i].n > 0;
        one &= same_seen(m, i, s.first);
        for (unsigned k = 0; k < m->at[i].n; k++)
            precious |= (m->at[i].layer[k].flags | r->flags) & GRF_PRECIOUS;
    }
    if (precious)
        return EBUSY;
    if (!one || (ram && any))
        return EEXIST;
    for (unsigned i = s.first; i <= s.last; i++) {
        struct stack *stack = &m->at[i];

        for (unsigned k = stack->n++; k > 0; k--)
            stack->layer[k] = stack->layer[k - 1];
        stack->layer[0] = layer;
    }
    m->next += !ram;
    return 0;
}

int model_set(struct model *m, const struct space_region *r, enum kind *kind_r)
{
    struct span s = span_of(m, r->range);
    const struct layer *own = own_layer(m, s, r);
    int rc;

    *kind_r = r->flags == GRF_NONE ? DELETED : own ? MODIFIED : ADDED;
    rc = *kind_r == DELETED    ? model_delete(m, s, r)
         : *kind_r == MODIFIED ? model_modify(m, s, r, *own)
                               : model_add(m, s, r);
    if (rc)
        *kind_r = NOTHING;
    return rc;
}
