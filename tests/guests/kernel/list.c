/* SPDX-License-Identifier: BSD-2-Clause */
/* run=list: the accesses of the parameters one after the other, printed and checked; repeat=N: so
 * often, printing only what is wrong after the first time. run=spin: for ever, without a word. */
#include "access.h"
#include "insn.h"
#include "pattern.h"

static uint64_t buffer[ACCESS_ELEMENTS_MAX] __attribute__((aligned(4096)));
static bool quiet;

static uint64_t masked(uint64_t v, unsigned size)
{
    return size == 8 ? v : v & (((uint64_t)1 << size * 8) - 1);
}

/* Element i of a string, numbered as access.h says: a port's elements in time, so that of a
 * downward transfer number 0 is the last in memory. */
static uint64_t slot(const struct access *a, uint64_t i)
{
    bool port = a->kind == ACCESS_INS || a->kind == ACCESS_OUTS;

    return (uint64_t)buffer + (port && a->down ? a->count - 1 - i : i) * a->size;
}

static uint64_t wanted(const struct access *a, uint64_t i)
{
    return masked(a->value + i * a->step, a->size);
}

static uint64_t judge(const struct access *a, uint64_t got, uint64_t want)
{
    bool wrong = a->has_value && got != want;

    if (wrong)
        say("%.*s = %lx WRONG expected %lx", a->text_length, a->text, got, want);
    else if (!quiet)
        say("%.*s = %lx%s", a->text_length, a->text, got, a->has_value ? " ok" : "");
    return wrong;
}

static uint64_t judge_string(const struct access *a)
{
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < a->count; i++) {
        uint64_t got = mem_read(slot(a, i), a->size);

        if (a->has_value && got != wanted(a, i) && wrong++ < 4)
            say("%.*s element %lu = %lx WRONG expected %lx", a->text_length, a->text, i, got,
                wanted(a, i));
        else if (!a->has_value && !quiet && i < 8)
            say("%.*s element %lu = %lx", a->text_length, a->text, i, got);
    }
    if (a->has_value && !wrong && !quiet)
        say("%.*s ok", a->text_length, a->text);
    return wrong > 0;
}

static uint64_t do_pattern(const struct access *a)
{
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < a->count / 8; i++) {
        uint64_t want = pattern_word(a->value, i), at = a->at + i * 8, got;

        if (a->kind == ACCESS_RAMW) {
            mem_write(at, 8, want);
            continue;
        }
        got = mem_read(at, 8);
        if (got != want && wrong++ < 4)
            say("ram %lx = %lx WRONG expected %lx", at, got, want);
    }
    if (wrong)
        say("%.*s %lu words WRONG", a->text_length, a->text, wrong);
    else if (!quiet)
        say("%.*s ok", a->text_length, a->text);
    return wrong > 0;
}

static uint64_t do_wait(const struct access *a)
{
    uint64_t begin = tsc();

    switch (a->kind) {
    case ACCESS_UNTIL:
        while (mem_read(a->at, a->size) != masked(a->value, a->size))
            __asm__ volatile("pause");
        break;
    case ACCESS_IRQ:
        while (interrupt_count((unsigned)a->at) < (a->has_value ? a->value : 1))
            __asm__ volatile("pause");
        break;
    default:
        while (tsc() - begin < a->at * 1000)
            __asm__ volatile("pause");
    }
    if (!quiet)
        say("%.*s ok", a->text_length, a->text);
    return 0;
}

static uint64_t do_access(const struct access *a)
{
    uint64_t got;

    switch (a->kind) {
    case ACCESS_RAMR:
    case ACCESS_RAMW:
        return do_pattern(a);
    case ACCESS_UNTIL:
    case ACCESS_IRQ:
    case ACCESS_PAUSE:
        return do_wait(a);
    case ACCESS_WMOVS:
    case ACCESS_OUTS:
        for (uint64_t i = 0; i < a->count; i++)
            mem_write(slot(a, i), a->size, wanted(a, i));
        break;
    default:
        break;
    }

    got = access_perform(a, buffer);
    switch (a->kind) {
    case ACCESS_R:
    case ACCESS_IN:
        return judge(a, got, wanted(a, 0));
    case ACCESS_LODS:
        return judge(a, got, wanted(a, a->down ? 0 : a->count - 1));
    case ACCESS_RMOVS:
    case ACCESS_INS:
        return judge_string(a);
    case ACCESS_ADD:
        if (!quiet)
            say("%.*s was %lx", a->text_length, a->text, got);
        return 0;
    default:
        if (!quiet)
            say("%.*s", a->text_length, a->text);
        return 0;
    }
}

uint64_t run_list(void)
{
    uint64_t wrong = 0, rounds = param_number("repeat", 1);
    struct access a;

    for (uint64_t round = 0; round < rounds; round++) {
        quiet = round > 0;
        for (const char *at = access_next(NULL, &a); at; at = access_next(at, &a))
            wrong += do_access(&a);
    }
    return wrong;
}

uint64_t run_spin(void)
{
    struct access a;

    say("spinning");
    for (;;) {
        for (const char *at = access_next(NULL, &a); at; at = access_next(at, &a))
            access_perform(&a, buffer);
    }
}
