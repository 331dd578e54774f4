/* SPDX-License-Identifier: BSD-2-Clause */
/* Which operation comes next, and what is known after it. */
#include "tests/conformance/hvdiff.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { EXTENT = 1 << HV_ORDER_2M };

static const unsigned weight[KINDS] = {
    [POPULATE] = 14, [POPULATE_2M] = 3, [DEPOPULATE] = 10,     [DEPOPULATE_2M] = 3,
    [MAP] = 14,      [UNMAP] = 9,       [WRITE] = 12,          [READ] = 14,
    [SET_MAX] = 3,   [SET_POOL] = 2,    [PAUSE] = 1,           [UNPAUSE] = 1,
    [MODIFIED] = 1,  [BOOT_INFO] = 1,   [CREATE] = 5,          [DESTROY] = 2,
    [ENABLE] = 5,    [EXISTS] = 2,      [MAP_RANGE] = 14,      [UNMAP_RANGE] = 12,
    [COMB] = 1,      [PAGE_MAP] = 4,    [PAGE_UNMAP] = 3,      [PAGE_POKE] = 3,
    [PAGE_PEEK] = 4, [BIND] = 6,        [UNBIND] = 3,          [DRAIN] = 4,
    [UNMASK] = 3,    [NOTIFY] = 3,      [POPULATE_ABSURD] = 1, [RELOCATE] = 12,
    [SET_TYPE] = 4,
};

/* When a dying guest goes depends on its last mapping: those aren't touched. */
static const unsigned dying_weight[KINDS] = {
    [POPULATE] = 2,  [DEPOPULATE] = 2,  [MAP_ASIDE] = 4, [WRITE] = 2,     [READ] = 4,
    [SET_MAX] = 2,   [SET_POOL] = 2,    [PAUSE] = 2,     [UNPAUSE] = 1,   [MODIFIED] = 2,
    [BOOT_INFO] = 2, [CREATE] = 3,      [DESTROY] = 2,   [ENABLE] = 2,    [EXISTS] = 2,
    [MAP_RANGE] = 3, [UNMAP_RANGE] = 3, [PAGE_POKE] = 1, [PAGE_PEEK] = 2, [BIND] = 4,
    [UNBIND] = 1,    [DRAIN] = 2,       [UNMASK] = 2,    [NOTIFY] = 2,    [RELOCATE] = 2,
    [SET_TYPE] = 2,
};

static const unsigned running_weight[KINDS] = {
    [POPULATE] = 6, [POPULATE_2M] = 2, [DEPOPULATE] = 6, [DEPOPULATE_2M] = 1, [MAP] = 3,
    [UNMAP] = 2,    [WRITE] = 3,       [READ] = 3,       [SET_MAX] = 1,       [MODIFIED] = 1,
    [ATTEND] = 4,   [LEAVE] = 2,       [TURN] = 4,       [TRAP] = 24,         [ACCESS] = 48,
    [RELOCATE] = 8, [SET_TYPE] = 4,
};

uint64_t frame_gfn(unsigned frame)
{
    if (frame < REGION)
        return frame;
    if (frame < 2 * REGION)
        return 0x100000 + (frame - REGION);
    return 0x8000 + (uint64_t)(frame - 2 * REGION) * EXTENT;
}

static uint64_t next(struct model *m)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return m->random * 0x2545f4914f6cdd1d;
}

unsigned below(struct model *m, unsigned n)
{
    return (next(m) >> 33) % n;
}

static bool one_in(struct model *m, unsigned n)
{
    return below(m, n) == 0;
}

static enum kind choose(struct model *m, const unsigned w[KINDS])
{
    unsigned sum = 0, at;

    for (unsigned k = 0; k < KINDS; k++)
        sum += w[k];
    at = below(m, sum);
    for (unsigned k = 0;; k++) {
        if (at < w[k])
            return (enum kind)k;
        at -= w[k];
    }
}

/* Small numbers mostly, now and then a whole table's worth. */
static size_t length(struct model *m)
{
    switch (below(m, 8)) {
    case 0:
        return 1 + below(m, MAX_LIST);
    case 1:
        return EXTENT;
    case 2:
        return 1;
    default:
        return 1 + below(m, 40);
    }
}

static bool is_known(const struct model *m, unsigned page)
{
    return page && (m->content[page].known[0] || m->content[page].known[1]);
}

/* An index where something is, even something written, if a few tries find it. */
static unsigned choose_where(struct model *m, const unsigned page[], unsigned n, bool known)
{
    unsigned at = 0;

    for (unsigned i = 0; i < 200; i++) {
        at = below(m, n);
        if (known ? is_known(m, page[at]) : page[at] != 0)
            break;
    }
    return at;
}

static unsigned choose_mapped(struct model *m)
{
    return choose_where(m, m->window, WINDOW, false);
}

static void choose_frames(struct model *m, struct op *op)
{
    unsigned start;

    op->n = length(m);
    if (one_in(m, 5)) { /* here and there */
        op->n = 1 + below(m, 20);
        for (size_t i = 0; i < op->n; i++)
            op->frame[i] = below(m, FRAMES);
        return;
    }
    start = below(m, FRAMES);
    if (one_in(m, 3))
        start -= start % EXTENT;
    else if (one_in(m, 3))
        start = choose_where(m, m->frame, FRAMES, true);
    if (op->n > FRAMES - start)
        op->n = FRAMES - start;
    for (size_t i = 0; i < op->n; i++)
        op->frame[i] = start + i;
}

/* How many frames in a row there are from this one on. */
static size_t row(unsigned frame)
{
    return frame < REGION ? REGION - frame : frame < 2 * REGION ? 2 * REGION - frame : 1;
}

/* Mostly pages, from one to where there are no more, to another place or just beside their own. */
static void choose_move(struct model *m, struct op *op)
{
    unsigned from = choose_where(m, m->frame, FRAMES, one_in(m, 2)), to = below(m, FRAMES);
    size_t pages = 0;

    if (one_in(m, 6))
        from = below(m, FRAMES);
    if (one_in(m, 8))
        to = from + below(m, 4);
    else if (one_in(m, 8) && from > 4)
        to = from - below(m, 4);
    if (to >= FRAMES)
        to = from;
    while (pages < row(from) && m->frame[from + pages])
        pages++;
    op->n = length(m);
    if (op->n > pages && pages > 0 && !one_in(m, 3))
        op->n = pages;
    if (op->n > row(from))
        op->n = row(from);
    if (op->kind == RELOCATE && op->n > row(to))
        op->n = row(to);
    if (op->n > MAX_LIST)
        op->n = MAX_LIST;
    op->first = to;
    for (size_t i = 0; i < op->n; i++)
        op->frame[i] = from + i;
}

static void choose_extents(struct model *m, struct op *op)
{
    op->n = 1 + below(m, 2);
    for (size_t i = 0; i < op->n; i++)
        op->frame[i] = below(m, 2 * REGION / EXTENT) * EXTENT;
}

static void choose_window(struct model *m, struct op *op)
{
    choose_frames(m, op);
    op->prot = one_in(m, 6) ? PROT_READ : PROT_READ | PROT_WRITE;
    op->at = below(m, WINDOW);
    if (one_in(m, 4))
        op->at = choose_mapped(m);
    if (op->n > WINDOW - op->at)
        op->n = WINDOW - op->at;
}

/* Mostly what was mapped by one call; the model doesn't know exactly. */
static void choose_unmap(struct model *m, struct op *op)
{
    unsigned first = choose_mapped(m), last = first;

    if (one_in(m, 3)) {
        op->at = first;
        op->n = 1 + below(m, WINDOW - first);
        return;
    }
    while (first > 0 && m->window[first - 1])
        first--;
    while (last + 1 < WINDOW && m->window[last + 1])
        last++;
    op->at = first;
    op->n = last - first + 1;
}

static void choose_range(struct model *m, struct op *op)
{
    op->server = one_in(m, 10) ? below(m, 12) : below(m, 3);
    op->type = (enum hv_range_type)below(m, 3);
    if (one_in(m, 40))
        op->type = (enum hv_range_type)3;
    op->first = 0x1000 + below(m, 700);
    op->last = op->type == HV_RANGE_PCI ? op->first : op->first + below(m, 6);
    switch (below(m, 30)) {
    case 0:
        op->last = op->first + below(m, 700);
        break;
    case 1:
        op->last = op->first - 1;
        break;
    case 2:
        op->last = op->first = next(m);
        break;
    case 3:
        op->first = next(m) >> below(m, 60);
        op->last = UINT64_MAX;
        break;
    default:
        break;
    }
}

static void choose_rest(struct model *m, struct op *op)
{
    switch (op->kind) {
    case SET_MAX:
        op->first = one_in(m, 3) ? below(m, 3000) : 2000 + below(m, 20000);
        break;
    case SET_POOL: /* in pages; never so few that nothing works */
        op->first = 64 + below(m, 200);
        break;
    case MODIFIED:
        op->first = next(m) >> below(m, 64);
        op->last = below(m, 600);
        break;
    case DESTROY:
    case ENABLE:
    case PAGE_MAP:
        op->server = one_in(m, 10) ? below(m, 12) : below(m, 4);
        break;
    case COMB:
        op->server = below(m, 3);
        op->type = (enum hv_range_type)below(m, 3);
        op->first = 0x1000 + below(m, 500);
        break;
    case SHUT_DOWN:
        op->first = below(m, 5);
        break;
    default:
        break;
    }
}

void generate(struct model *m, struct op *op)
{
    memset(op, 0, sizeof(*op));
    op->number = ++m->number;
    do
        op->kind = choose(m, m->running ? running_weight : m->dying ? dying_weight : weight);
    while (op->kind == UNPAUSE && m->pauses == 0);
    op->at = choose_where(m, m->window, WINDOW, op->kind == READ);
    op->spot = below(m, SPOTS);
    op->on = !one_in(m, 3);
    op->handle = below(m, HANDLES);
    switch (op->kind) {
    case POPULATE:
    case DEPOPULATE:
        choose_frames(m, op);
        break;
    case POPULATE_2M:
    case DEPOPULATE_2M:
        choose_extents(m, op);
        break;
    case RELOCATE:
    case SET_TYPE:
        choose_move(m, op);
        break;
    case MAP:
    case MAP_ASIDE:
        choose_window(m, op);
        break;
    case UNMAP:
        choose_unmap(m, op);
        break;
    case MAP_RANGE:
    case UNMAP_RANGE:
        choose_range(m, op);
        break;
    case PAGE_UNMAP:
    case PAGE_POKE:
    case PAGE_PEEK:
        op->slot = below(m, PAGES);
        op->server = below(m, 3); /* here: a vCPU */
        break;
    case BIND:
    case UNBIND:
    case UNMASK:
    case NOTIFY:
        op->slot = below(m, op->kind == BIND ? PAGES : PORTS);
        op->server = below(m, 3);
        break;
    case ATTEND:
    case LEAVE:
    case TURN:
    case TRAP:
    case ACCESS:
        generate_running(m, op);
        break;
    default:
        choose_rest(m, op);
    }
    if (m->running && op->kind <= MAP)
        choose_running_frames(m, op);
}

void model_reset(struct model *m, bool running)
{
    struct model fresh = {.random = m->random, .number = m->number, .running = running};

    free(m->content);
    *m = fresh;
}

static unsigned new_page(struct model *m)
{
    unsigned page = ++m->nr_pages;

    if ((page & (page - 1)) == 0) { /* room for twice as many */
        m->content = realloc(m->content, 2 * page * sizeof(*m->content));
        if (!m->content)
            abort();
    }
    memset(&m->content[page], 0, sizeof(m->content[page]));
    return page;
}

static void learn_populate(struct model *m, const struct op *op, size_t done, unsigned each)
{
    for (size_t i = 0; i < done; i++)
        for (unsigned k = 0; k < each; k++) {
            m->frame[op->frame[i] + k] = new_page(m);
            m->type[op->frame[i] + k] = WRITABLE;
        }
}

static void learn_depopulate(struct model *m, const struct op *op, size_t done, unsigned each)
{
    unsigned *frame;

    for (size_t i = 0; i < done; i++)
        memset(&m->frame[op->frame[i]], 0, each * sizeof(*m->frame));
    if (done == op->n)
        return;
    /* The pages of an extent go one by one, up to its first hole. */
    frame = &m->frame[op->frame[done]];
    for (unsigned k = 0; k < each && frame[k]; k++)
        frame[k] = 0;
}

static void learn_map(struct model *m, const struct op *op, const struct outcome *out)
{
    for (size_t i = 0; i < op->n; i++) {
        unsigned *page = &m->frame[op->frame[i]];

        if (out->err[i] != 0) {
            *page = 0;
            m->window[op->at + i] = 0;
            continue;
        }
        if (!*page) {
            *page = new_page(m);
            m->type[op->frame[i]] = UNSURE;
        }
        m->window[op->at + i] = *page;
    }
}

/* How far it came nobody says: pages may lie there now, and what they hold isn't known. */
static void forget(struct model *m, unsigned first, size_t n)
{
    for (unsigned i = first; i < first + n; i++) {
        m->frame[i] = new_page(m);
        m->type[i] = UNSURE;
    }
}

static void learn_relocate(struct model *m, const struct op *op, const struct outcome *out)
{
    unsigned from = op->frame[0], to = op->first;

    if (out->rc < 0) {
        forget(m, from, op->n);
        forget(m, to, op->n);
        return;
    }
    for (size_t i = 0; i < op->n; i++) {
        unsigned page = m->frame[from + i] ? m->frame[from + i] : new_page(m);

        m->frame[from + i] = 0;
        m->frame[to + i] = page;
        m->type[to + i] = WRITABLE;
    }
}

static void learn_type(struct model *m, const struct op *op, const struct outcome *out)
{
    for (size_t i = 0; i < op->n; i++)
        m->type[op->frame[i]] = out->rc < 0 ? UNSURE : op->on ? READ_ONLY : WRITABLE;
}

static void learn_memory(struct model *m, const struct op *op, const struct outcome *out)
{
    unsigned page = m->window[op->at % WINDOW];

    switch (op->kind) {
    case POPULATE:
        learn_populate(m, op, out->rc, 1);
        break;
    case POPULATE_2M:
        learn_populate(m, op, out->rc, EXTENT);
        break;
    case DEPOPULATE:
        learn_depopulate(m, op, out->rc, 1);
        break;
    case DEPOPULATE_2M:
        learn_depopulate(m, op, out->rc, EXTENT);
        break;
    case RELOCATE:
        learn_relocate(m, op, out);
        break;
    case SET_TYPE:
        learn_type(m, op, out);
        break;
    case MAP:
        if (out->rc == 0)
            learn_map(m, op, out);
        break;
    case UNMAP:
        if (out->rc == 0)
            memset(&m->window[op->at], 0, op->n * sizeof(*m->window));
        break;
    case WRITE:
        if (out->copied && page) {
            m->content[page].known[op->spot] = true;
            m->content[page].value[op->spot] = op->number;
        }
        break;
    default:
        break;
    }
}

void learn(struct model *m, const struct op *op, const struct outcome *out)
{
    learn_memory(m, op, out);
    switch (op->kind) {
    case BIND:
        m->events[op->handle] += out->rc >= 0;
        break;
    case UNBIND: /* it drains, too */
    case DRAIN:
        m->events[op->handle] = 0;
        break;
    case ACCESS:
        learn_access(m, op);
        break;
    case PAUSE:
        m->pauses += out->rc == 0;
        break;
    case UNPAUSE:
        m->pauses -= out->rc == 0;
        break;
    case PAGE_MAP:
        if (out->rc >= 0)
            m->page[out->rc] = true;
        break;
    case PAGE_UNMAP:
        m->page[op->slot] = false;
        break;
    case END:
        m->dying = true;
        break;
    case RELEASE:
        memset(m->window, 0, sizeof(m->window));
        memset(m->page, 0, sizeof(m->page));
        break;
    default:
        break;
    }
}
