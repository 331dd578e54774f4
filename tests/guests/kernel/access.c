/* SPDX-License-Identifier: BSD-2-Clause */
#include "access.h"

#include "insn.h"

static const struct {
    const char *name;
    uint8_t sizes; /* allowed sizes, as a bit mask; 0: the kind has none */
    bool string;
    bool memory;
} kinds[ACCESS_KINDS] = {
    [ACCESS_R] = {"r", 1 | 2 | 4 | 8, false, true},
    [ACCESS_W] = {"w", 1 | 2 | 4 | 8, false, true},
    [ACCESS_IN] = {"in", 1 | 2 | 4, false, false},
    [ACCESS_OUT] = {"out", 1 | 2 | 4, false, false},
    [ACCESS_ADD] = {"add", 1 | 2 | 4 | 8, false, true},
    [ACCESS_RMOVS] = {"rmovs", 1 | 2 | 4 | 8, true, true},
    [ACCESS_WMOVS] = {"wmovs", 1 | 2 | 4 | 8, true, true},
    [ACCESS_STOS] = {"stos", 1 | 2 | 4 | 8, true, true},
    [ACCESS_LODS] = {"lods", 1 | 2 | 4 | 8, true, true},
    [ACCESS_INS] = {"ins", 1 | 2 | 4, true, false},
    [ACCESS_OUTS] = {"outs", 1 | 2 | 4, true, false},
    [ACCESS_RAMR] = {"ramr", 0, true, true},
    [ACCESS_RAMW] = {"ramw", 0, true, true},
    [ACCESS_UNTIL] = {"until", 1 | 2 | 4 | 8, false, true},
    [ACCESS_IRQ] = {"irq", 0, false, false},
    [ACCESS_PAUSE] = {"pause", 0, false, false},
};

static bool parse_kind(const char **text, const char *end, struct access *a)
{
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        const char *s = *text, *n = kinds[k].name;

        while (s < end && *n && *s == *n) {
            s++;
            n++;
        }
        if (*n || s == end || (*s >= 'a' && *s <= 'z'))
            continue;
        a->kind = (enum access_kind)k;
        *text = s;
        return true;
    }
    return false;
}

static bool skip(const char **text, const char *end, char c)
{
    if (*text == end || **text != c)
        return false;
    (*text)++;
    return true;
}

static bool parse(const char *s, const char *end, struct access *a)
{
    uint64_t size = 1;

    *a = (struct access){.text = s, .text_length = (int)(end - s), .count = 1};
    if (!parse_kind(&s, end, a))
        return false;
    if (kinds[a->kind].sizes && !parse_number(&s, end, &size))
        return false;
    if (kinds[a->kind].sizes && (size > 8 || !(kinds[a->kind].sizes & size)))
        return false;
    a->size = (unsigned)size;
    a->down = skip(&s, end, '-');
    if (!skip(&s, end, '@') || !parse_number(&s, end, &a->at))
        return false;
    if (skip(&s, end, ',') && (!kinds[a->kind].string || !parse_number(&s, end, &a->count)))
        return false;
    a->has_value = skip(&s, end, '=');
    if (a->has_value && !parse_number(&s, end, &a->value))
        return false;
    if (skip(&s, end, '+') && !parse_number(&s, end, &a->step))
        return false;
    a->has_before = skip(&s, end, '<');
    if (a->has_before && !parse_number(&s, end, &a->before))
        return false;
    return s == end && a->count > 0 && (!kinds[a->kind].sizes || a->count <= ACCESS_ELEMENTS_MAX);
}

const char *access_next(const char *after, struct access *a)
{
    size_t n;
    const char *word = next_access(after, &n);

    if (!word)
        return NULL;
    if (!parse(word, word + n, a)) {
        say("not an access: %.*s", (int)n, word);
        say("done FAILED 1");
        shut_down();
    }
    if (kinds[a->kind].memory)
        reach(a->at, a->count * a->size);
    return word + n;
}

uint64_t access_perform(const struct access *a, void *buffer)
{
    uint64_t ram = (uint64_t)buffer;
    uint16_t port = (uint16_t)a->at;

    switch (a->kind) {
    case ACCESS_R:
        return mem_read(a->at, a->size);
    case ACCESS_W:
        mem_write(a->at, a->size, a->value);
        break;
    case ACCESS_IN:
        return port_read(port, a->size);
    case ACCESS_OUT:
        port_write(port, a->size, a->value);
        break;
    case ACCESS_ADD:
        return mem_add(a->at, a->size, a->value);
    case ACCESS_RMOVS:
        rep_movs(ram, a->at, a->count, a->size, a->down);
        break;
    case ACCESS_WMOVS:
        rep_movs(a->at, ram, a->count, a->size, a->down);
        break;
    case ACCESS_STOS:
        rep_stos(a->at, a->value, a->count, a->size, a->down);
        break;
    case ACCESS_LODS:
        return rep_lods(a->at, a->count, a->size, a->down);
    case ACCESS_INS:
        rep_ins(ram, port, a->count, a->size, a->down);
        break;
    case ACCESS_OUTS:
        rep_outs(port, ram, a->count, a->size, a->down);
        break;
    default:
        break;
    }
    return 0;
}
