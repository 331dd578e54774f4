/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include <ctype.h>
#include <fcntl.h>
#include <libxlutil.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/vdev.h>

#include "guest/guest_internal.h"

enum { FILE_MAX = 1 << 20, PAGE = 4096, EXTENT = 2 << 20 };

#define MEMORY_LAST ((UINT64_C(1) << 40) - 1)
#define PORT_LAST UINT64_C(0xffff)
#define A_NUMBER "a number (decimal or 0x..., with K, M or G after it if wanted)"

struct parser {
    struct config *config;
    XLU_Config *xlu;
    const char *key;
    size_t item;      /* from 1; 0: the key holds no list */
    const char *text; /* the value, NULL: none to show */
    char **error_r;
};

int config_error(char **error_r, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (vasprintf(error_r, format, ap) < 0)
        *error_r = NULL;
    va_end(ap);
    return -1;
}

int config_item_error(char **error_r, const struct config *config, const char *key, size_t item,
                      const char *text, const char *format, ...)
{
    char number[32] = "", *message = NULL;
    va_list ap;

    if (item > 0)
        snprintf(number, sizeof(number), " item %zu", item);
    va_start(ap, format);
    if (vasprintf(&message, format, ap) < 0)
        message = NULL;
    va_end(ap);
    config_error(error_r, "%s: %s%s%s%s%s: %s", config->file, key, number, text ? " \"" : "",
                 text ? text : "", text ? "\"" : "", message ? message : "out of memory");
    free(message);
    return -1;
}

/* Where the parser is, and what is wrong there. */
#define bad(p, ...)                                                                                \
    config_item_error((p)->error_r, (p)->config, (p)->key, (p)->item, (p)->text, __VA_ARGS__)

int config_number(const char *text, uint64_t *value_r)
{
    return vdev_parse_number(text, value_r);
}

static int number(struct parser *p, const char *what, const char *text, uint64_t *value_r)
{
    int err = config_number(text, value_r);

    if (err == EOVERFLOW)
        return bad(p, "%s: \"%s\" is more than 64 bits hold", what, text);
    if (err)
        return bad(p, "%s: expected " A_NUMBER ", not \"%s\"", what, text);
    return 0;
}

/* A string, or NULL when the key isn't there or holds something else. */
static const char *get_string(struct parser *p, const char *key)
{
    const char *value;

    p->key = key;
    p->text = xlu_cfg_get_string(p->xlu, key, &value, 1) == 0 ? value : NULL;
    return p->text;
}

static bool has_key(struct parser *p, const char *key)
{
    const char *string;

    return xlu_cfg_get_string(p->xlu, key, &string, 1) != ESRCH;
}

/* ---- gasp_ram ---- */

struct ram_keys {
    char *start, *size, *untyped;
};

/* Takes "key=value,..." apart, in place. */
static int ram_keys(struct parser *p, char *text, struct ram_keys *keys)
{
    char *pair, *value, **slot;

    while ((pair = strsep(&text, ","))) {
        value = strchr(pair, '=');
        if (!value)
            return bad(p, "expected key=value, not \"%s\"", pair);
        *value++ = '\0';
        slot = !strcmp(pair, "start")     ? &keys->start
               : !strcmp(pair, "size")    ? &keys->size
               : !strcmp(pair, "untyped") ? &keys->untyped
                                          : NULL;
        if (!slot)
            return bad(p, "unknown key \"%s\"; expected start, size or untyped", pair);
        if (*slot)
            return bad(p, "%s is given twice", pair);
        *slot = value;
    }
    return 0;
}

static int ram_check(struct parser *p, struct config_ram *ram, uint64_t start)
{
    uint64_t unit = ram->untyped ? EXTENT : PAGE;
    const struct config_ram *other;

    if (ram->size == 0)
        return bad(p, "size: expected at least one byte");
    if (ram->size - 1 > MEMORY_LAST)
        return bad(p, "size: more than the 1024 GiB that a guest's address space has");
    ram->size = (ram->size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    if (ram->untyped && ram->size % EXTENT)
        return bad(p, "size: with untyped=1 expected a multiple of 2M");
    if (!ram->placed)
        return 0;
    if (start % unit)
        return bad(p, "start: expected a multiple of %s",
                   ram->untyped ? "2M with untyped=1" : "4K");
    if (range_make(&ram->range, start, ram->size, MEMORY_LAST))
        return bad(p, "ends beyond the 1024 GiB that a guest's address space has");
    for (other = p->config->ram; other < p->config->ram + p->config->n_ram; other++)
        if (other->placed && range_overlap(other->range, ram->range))
            return bad(p, "overlaps item %td \"%s\"", other - p->config->ram + 1, other->text);
    return 0;
}

static int parse_ram(struct parser *p, char *text)
{
    struct config *config = p->config;
    struct config_ram *ram = reallocarray(config->ram, config->n_ram + 1, sizeof(*ram));
    struct ram_keys keys = {0};
    uint64_t start = 0;

    if (!ram)
        return -1;
    config->ram = ram;
    ram += config->n_ram;
    *ram = (struct config_ram){0};
    if (ram_keys(p, text, &keys))
        return -1;
    if (!keys.size)
        return bad(p, "size= is missing");
    if (number(p, "size", keys.size, &ram->size))
        return -1;
    if (keys.start && number(p, "start", keys.start, &start))
        return -1;
    if (keys.untyped && strcmp(keys.untyped, "0") && strcmp(keys.untyped, "1"))
        return bad(p, "untyped: expected 0 or 1, not \"%s\"", keys.untyped);
    ram->placed = keys.start;
    ram->untyped = keys.untyped && keys.untyped[0] == '1';
    if (ram_check(p, ram, start))
        return -1;
    ram->text = strdup(p->text);
    if (!ram->text)
        return -1;
    config->n_ram++;
    return 0;
}

/* ---- gasp_window ---- */

/* "size=SIZE", and nothing else for now. */
static int parse_window(struct parser *p)
{
    const char *value = get_string(p, "gasp_window");

    if (!has_key(p, "gasp_window"))
        return 0;
    if (!value || strncmp(value, "size=", 5) != 0)
        return bad(p, "expected \"size=SIZE\"");
    if (number(p, "size", value + 5, &p->config->window))
        return -1;
    if (p->config->window == 0)
        return bad(p, "size: expected at least one byte");
    if (p->config->window - 1 > MEMORY_LAST)
        return bad(p, "size: more than the 1024 GiB that a guest's address space has");
    p->text = NULL;
    return 0;
}

/* ---- gasp_reserve, gasp_vdev ---- */

static int parse_reserve(struct parser *p, char *text)
{
    struct config *config = p->config;
    struct config_reserve *reserve;
    bool port = strncmp(text, "io:", 3) == 0;
    char *location, *size;
    struct range range;

    if (!port && strncmp(text, "mem:", 4) != 0)
        return bad(p, "expected mem:ADDRESS,SIZE or io:PORT,SIZE");
    size = text + (port ? 3 : 4);
    location = strsep(&size, ",");
    if (!size)
        return bad(p, "the size is missing; expected mem:ADDRESS,SIZE or io:PORT,SIZE");
    reserve = reallocarray(config->reserve, config->n_reserve + 1, sizeof(*reserve));
    if (!reserve)
        return -1;
    config->reserve = reserve;
    reserve += config->n_reserve;
    *reserve = (struct config_reserve){0};
    reserve->block.type = port ? QST_X86_IO : QST_MEMORY;
    if (number(p, port ? "port" : "address", location, &reserve->block.location) ||
        number(p, "size", size, &reserve->block.length))
        return -1;
    switch (range_make(&range, reserve->block.location, reserve->block.length,
                       port ? PORT_LAST : MEMORY_LAST)) {
    case 0:
        break;
    case EINVAL:
        return bad(p, "size: expected at least one byte");
    default:
        return bad(p, "ends beyond %s",
                   port ? "port 0xffff" : "the 1024 GiB that a guest's address space has");
    }
    reserve->text = strdup(p->text);
    if (!reserve->text)
        return -1;
    config->n_reserve++;
    return 0;
}

static bool vdev_known(const char *name)
{
    const struct vdev_factory *factory = NULL;

    while ((factory = vdev_factory_next(factory)))
        if (strcmp(factory->name, name) == 0)
            return true;
    return false;
}

/* What the guest will be decides whether an interrupt line exists; all else is the vdev's to judge.
 */
static int parse_vdev(struct parser *p, char *text)
{
    char *name = strsep(&text, ","), *pair, **vdev;

    if (!*name)
        return bad(p, "expected NAME,key=value,...");
    if (!vdev_known(name))
        return bad(p, "there is no vdev \"%s\"; xengasp vdevs lists those that there are", name);
    while ((pair = strsep(&text, ",")))
        if (!p->config->hvm && (!strncmp(pair, "intr=isa:", 9) || !strncmp(pair, "intr=pci:", 9)))
            return bad(p, "%s: a PVH guest has no interrupt controller for a wired interrupt",
                       pair);
    vdev = reallocarray(p->config->vdev, p->config->n_vdev + 1, sizeof(*vdev));
    if (!vdev)
        return -1;
    p->config->vdev = vdev;
    vdev[p->config->n_vdev] = strdup(p->text);
    if (!vdev[p->config->n_vdev])
        return -1;
    p->config->n_vdev++;
    return 0;
}

/* ---- the file ---- */

/* Gives each item of the list `key`, as a copy to take apart, to parse(), which adds it to the
 * configuration. */
static int parse_list(struct parser *p, const char *key, int (*parse)(struct parser *p, char *text))
{
    XLU_ConfigList *list;
    char *copy;
    int n, err, rc = 0;

    p->key = key;
    err = xlu_cfg_get_list(p->xlu, key, &list, &n, 1);
    if (err == ESRCH)
        return 0;
    if (err)
        return bad(p, "expected a list: [ \"...\", ... ]");
    for (p->item = 1; rc == 0 && p->item <= (size_t)n; p->item++) {
        p->text = xlu_cfg_get_listitem(list, (int)p->item - 1);
        copy = p->text ? strdup(p->text) : NULL;
        if (copy)
            rc = parse(p, copy);
        else
            rc = p->text ? -1 : bad(p, "expected a string");
        free(copy);
    }
    p->item = 0;
    p->text = NULL;
    return rc;
}

static const char *const known_keys[] = {
    "gasp_ram", "gasp_reserve", "gasp_vdev", "gasp_unsupported", "gasp_rom", "gasp_window", NULL,
};

/*
 * libxlutil can't list the keys of a file, and xl is silent about those that it doesn't know.
 * Outside strings and comments a word can only be a key.
 */
static int find_unknown_key(struct parser *p, const char *text, const char *end)
{
    const char *const *known;
    const char *begin;
    char quote;

    while (text < end) {
        if (*text == '"' || *text == '\'') {
            quote = *text++;
            while (text < end && *text != quote && *text != '\n')
                text += *text == '\\' ? 2 : 1;
        } else if (*text == '#') {
            while (text < end && *text != '\n')
                text++;
        } else if (isalpha((unsigned char)*text)) {
            for (begin = text; text < end && (isalnum((unsigned char)*text) || *text == '_');
                 text++)
                ;
            if (strncmp(begin, "gasp_", 5) != 0)
                continue;
            for (known = known_keys; *known; known++)
                if (strlen(*known) == (size_t)(text - begin) &&
                    !strncmp(*known, begin, (size_t)(text - begin)))
                    break;
            if (!*known)
                return config_error(p->error_r,
                                    "%s: unknown key \"%.*s\"; expected gasp_ram, gasp_reserve, "
                                    "gasp_vdev, gasp_window or gasp_unsupported",
                                    p->config->file, (int)(text - begin), begin);
            continue;
        }
        text++;
    }
    return 0;
}

/* 0 MiB: the key isn't there. */
static int parse_mib(struct parser *p, const char *key, long *mib_r)
{
    int err = xlu_cfg_get_bounded_long(p->xlu, key, 1, 1 << 20, mib_r, 1);

    p->key = key;
    if (err == ESRCH)
        *mib_r = 0;
    return err && err != ESRCH ? bad(p, "expected MiB, at most 1048576") : 0;
}

/* xl's own keys. */
static int parse_guest(struct parser *p)
{
    struct config *config = p->config;
    long memory, maxmem;
    const char *type;

    if (!get_string(p, "name") || !*p->text)
        return bad(p, "expected the guest's name");
    if (strspn(p->text, "0123456789") == strlen(p->text))
        return bad(p, "expected a name that isn't a number: xl and we take one for a domain's id");
    config->name = strdup(p->text);
    if (!config->name)
        return -1;
    type = get_string(p, "type");
    if (!type && get_string(p, "builder"))
        type = strcmp(p->text, "hvm") == 0 ? "hvm" : "pv";
    p->key = "type";
    if (!type || (strcmp(type, "pvh") && strcmp(type, "hvm")))
        return bad(p, "expected type = \"pvh\" or \"hvm\": a PV guest has no physical address "
                      "space to put vdevs in");
    config->hvm = strcmp(type, "hvm") == 0;
    p->text = NULL;
    if (parse_mib(p, "memory", &memory) || parse_mib(p, "maxmem", &maxmem))
        return -1;
    if (memory && maxmem > memory)
        return bad(p,
                   "%ld is more than memory = %ld: Xen would fill such a guest's memory on "
                   "demand, which the service can't serve",
                   maxmem, memory);
    /* xl gives a guest all of its maxmem then. */
    config->memory = (uint64_t)(memory ? memory : maxmem) << 20;
    return 0;
}

static int parse_unsupported(struct parser *p)
{
    const char *value = get_string(p, "gasp_unsupported");

    if (!has_key(p, "gasp_unsupported") || (value && !strcmp(value, "ignore")))
        p->config->unsupported = GUEST_UNSUPPORTED_IGNORE;
    else if (value && !strcmp(value, "log"))
        p->config->unsupported = GUEST_UNSUPPORTED_LOG;
    else if (value && !strcmp(value, "abort"))
        p->config->unsupported = GUEST_UNSUPPORTED_ABORT;
    else
        return bad(p, "expected \"ignore\", \"log\" or \"abort\"");
    p->text = NULL;
    return 0;
}

static int parse_keys(struct parser *p)
{
    p->key = "gasp_rom";
    if (has_key(p, "gasp_rom"))
        return bad(p, "not supported yet");
    if (parse_guest(p) || parse_unsupported(p) || parse_window(p) ||
        parse_list(p, "gasp_ram", parse_ram) || parse_list(p, "gasp_reserve", parse_reserve))
        return -1;
    return parse_list(p, "gasp_vdev", parse_vdev);
}

int config_parse(struct config *config, const char *file, const char *text, size_t length,
                 char **error_r)
{
    struct parser p = {.config = config, .error_r = error_r};
    char *report_text = NULL;
    size_t report_size = 0;
    FILE *report;
    int rc;

    *config = (struct config){.file = strdup(file)};
    *error_r = NULL;
    report = open_memstream(&report_text, &report_size);
    p.xlu = report ? xlu_cfg_init(report, file) : NULL;
    if (!p.xlu || !config->file) {
        rc = -1;
    } else if (length > FILE_MAX || memchr(text, '\0', length)) {
        rc = config_error(error_r, "%s: expected a text file of at most 1 MiB", file);
    } else if (xlu_cfg_readdata(p.xlu, text, (int)length)) {
        fflush(report);
        rc = config_error(error_r, "%.*s", (int)strcspn(report_text, "\n"), report_text);
    } else {
        rc = find_unknown_key(&p, text, text + length);
        if (rc == 0)
            rc = parse_keys(&p);
    }
    if (p.xlu)
        xlu_cfg_destroy(p.xlu);
    if (report)
        fclose(report);
    free(report_text);
    if (rc)
        config_dispose(config);
    return rc;
}

int config_read(struct config *config, const char *file, char **error_r)
{
    char *text = malloc(FILE_MAX + 1);
    size_t length = 0;
    ssize_t n = 0;
    int fd = -1, rc;

    *config = (struct config){0};
    *error_r = NULL;
    if (!text)
        return -1;
    fd = open(file, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length <= FILE_MAX &&
           (n = read(fd, text + length, FILE_MAX + 1 - length)) > 0)
        length += (size_t)n;
    if (fd < 0 || n < 0)
        rc = config_error(error_r, "%s: %s", file, strerror(errno));
    else
        rc = config_parse(config, file, text, length, error_r);
    if (fd >= 0)
        close(fd);
    free(text);
    return rc;
}

void config_dispose(struct config *config)
{
    size_t i;

    for (i = 0; i < config->n_ram; i++)
        free(config->ram[i].text);
    for (i = 0; i < config->n_reserve; i++)
        free(config->reserve[i].text);
    for (i = 0; i < config->n_vdev; i++)
        free(config->vdev[i]);
    free(config->ram);
    free(config->reserve);
    free(config->vdev);
    free(config->name);
    free(config->file);
    *config = (struct config){0};
}
