/* SPDX-License-Identifier: BSD-2-Clause */
/* "NAME,key=value,...": how a vdev is configured, in a guest's configuration and on a command line
 * alike. */
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

int vdev_parse_location(const char *text, struct qvm_state_block *block)
{
    unsigned long long location;
    char *end;

    if (strncmp(text, "mem:", 4) == 0)
        block->type = QST_MEMORY;
    else if (strncmp(text, "io:", 3) == 0)
        block->type = QST_X86_IO;
    else
        return EINVAL;
    text = strchr(text, ':') + 1;
    if (*text < '0' || *text > '9')
        return EINVAL; /* strtoull would take a sign or blanks */
    errno = 0;
    location = strtoull(text, &end, 0);
    if (*end || errno)
        return EINVAL;
    block->location = location;
    return 0;
}
