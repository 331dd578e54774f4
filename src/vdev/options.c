/* SPDX-License-Identifier: BSD-2-Clause */
/* "NAME,key=value,...": how a vdev is configured, in a guest's configuration and on a command line
 * alike. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vdev/vdev_internal.h"

int vdev_spec_parse(const char *text, struct vdev_spec *spec_r)
{
    struct vdev_spec spec = {.text = strdup(text)};
    size_t commas = 0;
    char *rest, *word;

    for (const char *c = text; *c; c++)
        commas += *c == ',';
    spec.option = calloc(commas + 1, sizeof(*spec.option));
    rest = spec.text;
    if (!spec.text || !spec.option) {
        vdev_spec_dispose(&spec);
        errno = ENOMEM;
        return -1;
    }
    spec.name = strsep(&rest, ",");
    while ((word = strsep(&rest, ","))) {
        struct vdev_option *option = &spec.option[spec.n++];

        option->value = word;
        option->key = strsep(&option->value, "=");
        if (!*option->key)
            spec.name = spec.text + strlen(text); /* "": refused below */
    }
    if (!*spec.name) {
        vdev_spec_dispose(&spec);
        errno = EINVAL;
        return -1;
    }
    *spec_r = spec;
    return 0;
}

void vdev_spec_dispose(struct vdev_spec *spec)
{
    free(spec->text);
    free(spec->option);
    *spec = (struct vdev_spec){0};
}

int vdev_parse_number(const char *text, uint64_t *value_r)
{
    static const char units[] = "KMG";
    bool hex = strncmp(text, "0x", 2) == 0;
    const char *unit;
    unsigned shift;
    char *end;

    /* strtoull would take blanks and signs. */
    if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
        return EINVAL;
    errno = 0;
    *value_r = strtoull(text, &end, hex ? 16 : 10);
    if (errno)
        return EOVERFLOW;
    if (*end) {
        unit = strchr(units, *end);
        if (!unit || end[1])
            return EINVAL;
        shift = 10 * (unsigned)(unit - units + 1);
        if (*value_r > UINT64_MAX >> shift)
            return EOVERFLOW;
        *value_r <<= shift;
    }
    return 0;
}

int vdev_parse_location(const char *text, struct qvm_state_block *block)
{
    if (strncmp(text, "mem:", 4) == 0)
        block->type = QST_MEMORY;
    else if (strncmp(text, "io:", 3) == 0)
        block->type = QST_X86_IO;
    else
        return EINVAL;
    return vdev_parse_number(strchr(text, ':') + 1, &block->location) ? EINVAL : 0;
}
