/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run=mixed vcpus=N count=C seed=S mmio=BASE,SIZE port=BASE,SIZE: a random but repeatable mix of C
 * accesses from every vCPU on windows that answer like plain memory; a string instruction counts
 * once. Each vCPU has a slice of its own of each window, writes all of it at first, and keeps a
 * copy of what it wrote, against which every answer is checked. aligned=1 leaves out accesses that
 * aren't aligned to their size.
 */
#include "insn.h"
#include "kernel.h"

#define SLICE_MAX 4096
#define ELEMENTS_MAX 16
#define COMPLAINTS_MAX 5

struct window {
    uint64_t base;
    uint64_t size; /* of this vCPU's slice; 0: there is none */
    uint8_t copy[SLICE_MAX];
};

struct mixer {
    unsigned cpu;
    uint64_t random;
    uint64_t wrong;
    struct window mmio, port;
    uint8_t ram[ELEMENTS_MAX * 8];
};

/* A randomly chosen place: `n` elements of `size` bytes at `offset` of a window. */
struct span {
    uint64_t offset, n;
    unsigned size;
    bool down;
};

static struct mixer mixers[MAX_CPUS];
static uint64_t count;
static bool aligned;

static uint64_t draw(struct mixer *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random * 0x2545f4914f6cdd1d >> 16;
}

static struct span draw_span(struct mixer *m, const struct window *w, unsigned size_max,
                             uint64_t n_max)
{
    struct span s = {.size = 1u << draw(m) % (size_max == 8 ? 4 : 3), .down = draw(m) & 1};

    s.n = 1 + draw(m) % n_max;
    s.offset = draw(m) % (w->size - s.n * s.size + 1);
    if (aligned)
        s.offset -= s.offset % s.size;
    return s;
}

static uint64_t get(const uint8_t *at, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)at[i] << i * 8;
    return v;
}

static void put(uint8_t *at, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(v >> i * 8);
}

static void check(struct mixer *m, const char *what, const struct window *w, const struct span *s,
                  uint64_t got, uint64_t want)
{
    if (got == want || m->wrong++ >= COMPLAINTS_MAX)
        return;
    say("mixed vcpu%u WRONG %s%u%s at %lx n %lu: %lx, expected %lx", m->cpu, what, s->size,
        s->down ? "-" : "", w->base + s->offset, s->n, got, want);
}

/* Where element i of a string instruction lies, i counting in the order of execution. */
static uint64_t place(const struct span *s, uint64_t i)
{
    return (s->down ? s->n - 1 - i : i) * s->size;
}

static void fill_ram(struct mixer *m)
{
    for (unsigned i = 0; i < sizeof m->ram; i += 8)
        put(&m->ram[i], 8, draw(m));
}

static void mmio_read(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, 1);

    check(m, "r", w, &s, mem_read(w->base + s.offset, s.size), get(&w->copy[s.offset], s.size));
}

static void mmio_write(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, 1);
    uint64_t v = draw(m);

    mem_write(w->base + s.offset, s.size, v);
    put(&w->copy[s.offset], s.size, v);
}

static void mmio_movs_in(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, ELEMENTS_MAX);

    fill_ram(m);
    rep_movs((uint64_t)m->ram, w->base + s.offset, s.n, s.size, s.down);
    for (uint64_t i = 0; i < s.n * s.size; i += s.size)
        check(m, "movs in ", w, &s, get(&m->ram[i], s.size), get(&w->copy[s.offset + i], s.size));
}

static void mmio_movs_out(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, ELEMENTS_MAX);

    fill_ram(m);
    rep_movs(w->base + s.offset, (uint64_t)m->ram, s.n, s.size, s.down);
    for (uint64_t i = 0; i < s.n * s.size; i++)
        w->copy[s.offset + i] = m->ram[i];
}

/* From the window to itself; where the spans overlap, the order of the elements shows. */
static void mmio_movs_within(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, ELEMENTS_MAX);
    uint64_t to = draw(m) % (w->size - s.n * s.size + 1);

    if (aligned)
        to -= to % s.size;
    rep_movs(w->base + to, w->base + s.offset, s.n, s.size, s.down);
    for (uint64_t i = 0; i < s.n; i++)
        put(&w->copy[to + place(&s, i)], s.size, get(&w->copy[s.offset + place(&s, i)], s.size));
}

static void mmio_stos(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, ELEMENTS_MAX);
    uint64_t v = draw(m);

    rep_stos(w->base + s.offset, v, s.n, s.size, s.down);
    for (uint64_t i = 0; i < s.n; i++)
        put(&w->copy[s.offset + place(&s, i)], s.size, v);
}

static void mmio_lods(struct mixer *m)
{
    struct window *w = &m->mmio;
    struct span s = draw_span(m, w, 8, ELEMENTS_MAX);

    check(m, "lods", w, &s, rep_lods(w->base + s.offset, s.n, s.size, s.down),
          get(&w->copy[s.offset + place(&s, s.n - 1)], s.size));
}

static void port_in(struct mixer *m)
{
    struct window *w = &m->port;
    struct span s = draw_span(m, w, 4, 1);

    check(m, "in", w, &s, port_read((uint16_t)(w->base + s.offset), s.size),
          get(&w->copy[s.offset], s.size));
}

static void port_out(struct mixer *m)
{
    struct window *w = &m->port;
    struct span s = draw_span(m, w, 4, 1);
    uint64_t v = draw(m);

    port_write((uint16_t)(w->base + s.offset), s.size, v);
    put(&w->copy[s.offset], s.size, v);
}

static void port_ins(struct mixer *m)
{
    struct window *w = &m->port;
    struct span s = draw_span(m, w, 4, 1);

    s.n = 1 + draw(m) % ELEMENTS_MAX;
    fill_ram(m);
    rep_ins((uint64_t)m->ram, (uint16_t)(w->base + s.offset), s.n, s.size, s.down);
    for (uint64_t i = 0; i < s.n; i++)
        check(m, "ins", w, &s, get(&m->ram[i * s.size], s.size), get(&w->copy[s.offset], s.size));
}

static void port_outs(struct mixer *m)
{
    struct window *w = &m->port;
    struct span s = draw_span(m, w, 4, 1);

    s.n = 1 + draw(m) % ELEMENTS_MAX;
    fill_ram(m);
    rep_outs((uint16_t)(w->base + s.offset), (uint64_t)m->ram, s.n, s.size, s.down);
    put(&w->copy[s.offset], s.size, get(&m->ram[place(&s, s.n - 1)], s.size));
}

static void (*const mmio_steps[])(struct mixer *m) = {
    mmio_read,     mmio_write,       mmio_read, mmio_write, mmio_movs_in,
    mmio_movs_out, mmio_movs_within, mmio_stos, mmio_lods,
};

static void (*const port_steps[])(struct mixer *m) = {
    port_in, port_out, port_in, port_out, port_ins, port_outs,
};

/* Gives the windows, whatever they hold, known content. */
static void write_all(struct mixer *m)
{
    for (uint64_t i = 0; i + 8 <= m->mmio.size; i += 8) {
        uint64_t v = draw(m);

        mem_write(m->mmio.base + i, 8, v);
        put(&m->mmio.copy[i], 8, v);
    }
    for (uint64_t i = 0; i + 4 <= m->port.size; i += 4) {
        uint64_t v = draw(m);

        port_write((uint16_t)(m->port.base + i), 4, v);
        put(&m->port.copy[i], 4, v);
    }
}

static void mix(unsigned cpu)
{
    struct mixer *m = &mixers[cpu];

    write_all(m);
    for (uint64_t n = 0; n < count; n++) {
        bool port = !m->mmio.size || (m->port.size && draw(m) % 3 == 0);

        if (port)
            port_steps[draw(m) % ARRAY_SIZE(port_steps)](m);
        else
            mmio_steps[draw(m) % ARRAY_SIZE(mmio_steps)](m);
    }
    say("mixed vcpu%u done %lu accesses %lu wrong", cpu, count, m->wrong);
}

/* A slice is a multiple of 8 bytes, at least the longest string, and no larger than a copy. */
static bool set_slice(struct window *w, const char *key, unsigned cpu, unsigned cpus)
{
    uint64_t base, size;

    if (!param_pair(key, &base, &size))
        return true;
    reach(base, size);
    w->size = size / cpus & ~(uint64_t)7;
    w->base = base + cpu * w->size;
    if (w->size > SLICE_MAX)
        w->size = SLICE_MAX;
    return w->size >= (*key == 'm' ? ELEMENTS_MAX * 8 : 8);
}

uint64_t run_mixed(void)
{
    unsigned cpus = (unsigned)param_number("vcpus", 1);
    uint64_t seed = param_number("seed", 1), wrong = 0;

    count = param_number("count", 1000);
    aligned = param_number("aligned", 0);
    if (cpus < 1 || cpus > MAX_CPUS) {
        say("vcpus= must be 1 to %u", MAX_CPUS);
        return 1;
    }
    for (unsigned i = 0; i < cpus; i++) {
        struct mixer *m = &mixers[i];

        m->cpu = i;
        m->random = (seed + 1) * 0x9e3779b97f4a7c15u + i * 0x1000003;
        if (!set_slice(&m->mmio, "mmio", i, cpus) || !set_slice(&m->port, "port", i, cpus) ||
            (!m->mmio.size && !m->port.size)) {
            say("mixed needs mmio=BASE,SIZE or port=BASE,SIZE, large enough");
            return 1;
        }
    }
    start_other_cpus(cpus, mix);
    mix(0);
    wait_for_other_cpus();
    for (unsigned i = 0; i < cpus; i++)
        wrong += mixers[i].wrong;
    return wrong;
}
