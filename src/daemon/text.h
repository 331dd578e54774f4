/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that come from elsewhere, before they are shown. */
#ifndef XENGASP_DAEMON_TEXT_H
#define XENGASP_DAEMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* What stands for a character that can't be shown. */
#define TEXT_REPLACEMENT 0xfffd

/*
 * The next character of a text, which *text moves past; 0 at its end. TEXT_REPLACEMENT for each byte
 * that isn't UTF-8 and for what would change its surroundings: controls, marks of direction, and
 * what has no width.
 */
uint32_t text_next(const char **text);

/* A copy of such characters alone: UTF-8 for certain. The caller's; NULL: no memory. */
char *text_clean(const char *text);

#endif
