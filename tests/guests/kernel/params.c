/* SPDX-License-Identifier: BSD-2-Clause */
/* The parameters that mkguest wrote into the file. */
#include "kernel.h"

extern const char params_text[PARAMS_SIZE - 16];

/* The word after `at`, NULL when there is none. Words are split by spaces and newlines. */
static const char *next_word(const char *at, size_t *length)
{
    const char *end = params_text + sizeof params_text;
    size_t n = 0;

    while (at < end && (*at == ' ' || *at == '\n'))
        at++;
    if (at == end || *at == '\0')
        return NULL;
    while (at + n < end && at[n] != '\0' && at[n] != ' ' && at[n] != '\n')
        n++;
    *length = n;
    return at;
}

static bool has(const char *word, size_t length, char c)
{
    while (length-- > 0) {
        if (word[length] == c)
            return true;
    }
    return false;
}

const char *next_access(const char *after, size_t *length)
{
    const char *word = next_word(after ? after : params_text, length);

    while (word && !has(word, *length, '@'))
        word = next_word(word + *length, length);
    return word;
}

const char *param_text(const char *key, size_t *length)
{
    size_t n;

    for (const char *w = next_word(params_text, &n); w; w = next_word(w + n, &n)) {
        size_t k = 0;

        while (k < n && key[k] && w[k] == key[k])
            k++;
        if (!key[k] && k < n && w[k] == '=') {
            *length = n - k - 1;
            return w + k + 1;
        }
    }
    return NULL;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

bool parse_number(const char **text, const char *end, uint64_t *value)
{
    const char *s = *text, *begin;
    int base = 10;

    if (end - s > 2 && s[0] == '0' && s[1] == 'x') {
        base = 16;
        s += 2;
    }
    *value = 0;
    for (begin = s; s < end && digit_of(*s) < base; s++)
        *value = *value * (uint64_t)base + (uint64_t)digit_of(*s);
    *text = s;
    return s > begin;
}

uint64_t param_number(const char *key, uint64_t otherwise)
{
    size_t n;
    uint64_t v;
    const char *s = param_text(key, &n);

    return s && parse_number(&s, s + n, &v) ? v : otherwise;
}

bool param_pair(const char *key, uint64_t *first, uint64_t *second)
{
    size_t n;
    const char *s = param_text(key, &n), *end;

    if (!s)
        return false;
    end = s + n;
    return parse_number(&s, end, first) && s < end && *s++ == ',' && parse_number(&s, end, second);
}

bool param_is(const char *key, const char *value)
{
    size_t n, i;
    const char *s = param_text(key, &n);

    if (!s)
        return false;
    for (i = 0; i < n && value[i] && s[i] == value[i]; i++)
        ;
    return i == n && !value[i];
}
