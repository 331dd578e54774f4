/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Ranges, both ends in them. */
static const uint32_t unshown[][2] = {
    {0x01, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x300, 0x36f},   {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x180b, 0x180f}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0x20d0, 0x20ff}, {0xd800, 0xdfff}, {0xe000, 0xf8ff},
    {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xfffe, 0xffff},
};

static bool can_show(uint32_t c)
{
    for (size_t i = 0; i < sizeof(unshown) / sizeof(unshown[0]); i++)
        if (unshown[i][0] <= c && c <= unshown[i][1])
            return false;
    return c < 0xe0000; /* above it: tags, more selectors, what is for private use */
}

uint32_t text_next(const char **text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)*text;
    unsigned more = s[0] < 0x80 ? 0 : s[0] < 0xc0 ? 4 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    uint32_t c = s[0];

    if (c == 0)
        return 0;
    if (more > 0)
        c &= 0x3fu >> more;
    for (unsigned i = 1; i <= more; i++) {
        if (more == 4 || (s[i] & 0xc0) != 0x80) {
            *text += 1;
            return TEXT_REPLACEMENT;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    *text += 1 + more;
    return c >= least[more] && c <= 0x10ffff && s[0] < 0xf8 && can_show(c) ? c : TEXT_REPLACEMENT;
}

static char *put(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

char *text_clean(const char *text)
{
    char *clean = malloc(3 * strlen(text) + 1), *to = clean; /* a byte becomes three at most */
    uint32_t c;

    if (!clean)
        return NULL;
    while ((c = text_next(&text)))
        to = put(to, c);
    *to = '\0';
    return clean;
}
