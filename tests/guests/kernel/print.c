/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines in Xen's log, by its debug port 0xe9 (one character an exit, so lines are short). */
#include <stdarg.h>

#include "insn.h"
#include "kernel.h"

#define LINE_MAX 120

struct line {
    char text[LINE_MAX];
    size_t used;
};

static void add_char(struct line *line, char c)
{
    if (line->used < LINE_MAX)
        line->text[line->used++] = c;
}

static void add_text(struct line *line, const char *s, size_t max)
{
    while (max-- > 0 && *s)
        add_char(line, *s++);
}

static void add_number(struct line *line, uint64_t v, unsigned base)
{
    char digits[24];
    size_t n = 0;

    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    if (base == 16)
        add_text(line, "0x", 2);
    while (n > 0)
        add_char(line, digits[--n]);
}

/* One conversion, after its %. Returns what follows it. */
static const char *add_item(struct line *line, const char *f, va_list *args)
{
    size_t max = SIZE_MAX;
    bool is_long = false;

    if (f[0] == '.' && f[1] == '*') {
        max = (size_t)va_arg(*args, int);
        f += 2;
    }
    if (*f == 'l') {
        is_long = true;
        f++;
    }
    switch (*f) {
    case 's':
        add_text(line, va_arg(*args, const char *), max);
        break;
    case 'c':
        add_char(line, (char)va_arg(*args, int));
        break;
    case 'u':
    case 'x': {
        uint64_t v = is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);

        add_number(line, v, *f == 'x' ? 16 : 10);
        break;
    }
    default:
        add_char(line, *f);
    }
    return f + 1;
}

void say(const char *format, ...)
{
    static volatile char busy;
    struct line line = {.used = 0};
    va_list args;

    add_text(&line, "GUEST: ", SIZE_MAX);
    va_start(args, format);
    while (*format) {
        if (*format == '%')
            format = add_item(&line, format + 1, &args);
        else
            add_char(&line, *format++);
    }
    va_end(args);

    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE))
        __asm__ volatile("pause");
    for (size_t i = 0; i < line.used; i++)
        port_write(0xe9, 1, (uint8_t)line.text[i]);
    port_write(0xe9, 1, '\n');
    __atomic_clear(&busy, __ATOMIC_RELEASE);
}

/* The compiler calls these by itself. */
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int c, size_t n)
{
    rep_stos((uint64_t)to, (uint8_t)c, n, 1, false);
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    rep_movs((uint64_t)to, (uint64_t)from, n, 1, false);
    return to;
}
