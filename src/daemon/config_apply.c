/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xengasp/gasp.h>
#include <xengasp/guest_ram.h>

#include "daemon/log.h"
#include "guest/describe.h"
#include "guest/guest_internal.h"

/* The simulated machine needs a few bytes a page: of a large guest's RAM only this much is there.
 */
#define TRY_MEMORY_MAX (UINT64_C(64) << 30)

struct overlap {
    struct range range; /* in: looked for; out: found */
    char owner[64];
};

static int find_overlap(void *arg, const struct gasp_region *rgn, const char *name)
{
    struct overlap *overlap = arg;
    struct range range;

    if (range_make(&range, rgn->guest.location, rgn->guest.length, UINT64_MAX) ||
        !range_overlap(range, overlap->range))
        return 0;
    overlap->range = range;
    snprintf(overlap->owner, sizeof(overlap->owner), "%s", name);
    return 1;
}

/* What of the guest's lies in the range, for messages. */
static bool overlaps(struct guest_system *gsp, struct range range, struct overlap *overlap_r)
{
    *overlap_r = (struct overlap){.range = range};
    return guest_each_region(gsp, QST_MEMORY, find_overlap, overlap_r) == 1;
}

/* A RAM item could not be put into the guest: err says why. */
static int ram_error(struct guest_system *gsp, const struct config *config, size_t item, int err,
                     char **error_r)
{
    const struct config_ram *ram = &config->ram[item];
    struct overlap overlap;
    const char *why;

    if ((err == EEXIST || err == EBUSY) && ram->placed && overlaps(gsp, ram->range, &overlap))
        return config_item_error(error_r, config, "gasp_ram", item + 1, ram->text,
                                 "overlaps [" PRIrange "] (%s)", range_arg(overlap.range),
                                 overlap.owner);
    switch (err) {
    case EBUSY:
        why = "the guest has run already: RAM must be registered before its first start, or in a "
              "gasp window";
        break;
    case EDQUOT:
        why = "the guest's memory limit could not be raised so far";
        break;
    case ENOMEM:
        why = ram->untyped ? "the host has not enough free memory in pieces of 2 MiB"
                           : "the host has not enough free memory";
        break;
    case ENOSPC:
        why = gsp->gasp.never_ran ? "there is no gap of this size"
                                  : "the guest has run already: RAM must be registered before its "
                                    "first start, or in a gasp window";
        break;
    default:
        why = strerror(err);
    }
    return config_item_error(error_r, config, "gasp_ram", item + 1, ram->text, "%s", why);
}

/* ---- a real guest's RAM ---- */

/*
 * Whether the item was registered here already, by an earlier run of the service. RAM that the
 * guest has of its own is no item's, and what is another item's isn't this one's.
 */
static bool is_registered(struct guest_system *gsp, const struct config *config, size_t item,
                          struct range range)
{
    const struct config_ram *ram = config->ram;
    const struct range *own;
    size_t n = guest_own_ram(gsp, &own), i;

    for (i = 0; i < config->n_ram; i++)
        if (i != item && (ram[i].placed || i < item) && range_overlap(ram[i].range, range))
            return false;
    for (i = 0; i < n; i++)
        if (range_inside(range, own[i]))
            return true;
    return false;
}

/* Where the n-th item with this text lies; 0: the record doesn't say. A line is "ADDRESS TEXT". */
static uint64_t record_find(const char *record, const char *text, size_t n)
{
    FILE *file = fopen(record, "re");
    char *line = NULL, *end;
    uint64_t start, found = 0;
    size_t room = 0;

    while (file && !found && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        start = strtoull(line, &end, 16);
        if (*end == ' ' && strcmp(end + 1, text) == 0 && n-- == 0)
            found = start;
    }
    free(line);
    if (file)
        fclose(file);
    return found;
}

static int record_add(const char *record, const char *text, uint64_t start)
{
    FILE *file = fopen(record, "ae");
    int rc = -1;

    if (!file)
        return -1;
    if (fprintf(file, "%" PRIx64 " %s\n", start, text) > 0)
        rc = 0;
    return fclose(file) ? -1 : rc;
}

/* An item without a place, which the guest may have got from an earlier run of the service. */
static int apply_unplaced(struct guest_system *gsp, const struct config *config, size_t item,
                          const char *record, struct range *range_r, bool *new_r)
{
    const struct config_ram *ram = &config->ram[item];
    size_t i, same = 0;
    uint64_t start;

    for (i = 0; i < item; i++)
        same += !config->ram[i].placed && strcmp(config->ram[i].text, ram->text) == 0;
    start = record_find(record, ram->text, same);
    *new_r = false;
    if (start && range_make(range_r, start, ram->size, UINT64_MAX) == 0 &&
        is_registered(gsp, config, item, *range_r))
        return 0;
    *new_r = true;
    start = vm_ram_register(gsp, ram->size);
    if (start == 0)
        return errno;
    if (record_add(record, ram->text, start))
        log_line(GUEST_LOG_WARN, "%s: %s: a service started anew won't find \"%s\" again", record,
                 strerror(errno), ram->text);
    return range_make(range_r, start, ram->size, UINT64_MAX);
}

static int apply_ram(struct guest_system *gsp, struct config *config, size_t item,
                     const char *record, char **error_r)
{
    struct config_ram *ram = &config->ram[item];
    bool new = true;
    int err = 0;

    if (!ram->placed)
        err = apply_unplaced(gsp, config, item, record, &ram->range, &new);
    else if (is_registered(gsp, config, item, ram->range))
        new = false;
    else if (vm_ram_register_at(gsp, ram->range.first, ram->size, ram->untyped))
        err = errno;
    if (err)
        return ram_error(gsp, config, item, err, error_r);
    log_line(GUEST_LOG_INFO, "RAM [" PRIrange "] %s", range_arg(ram->range),
             new ? "registered" : "is there already");
    return 0;
}

/* ---- vdevs and reserves ---- */

/* `said` is what the guest's log says of an item, as it is said; empty: nothing. */
static int apply_rest(struct guest_system *gsp, const struct config *config, char *said,
                      char **error_r)
{
    size_t i;

    for (i = 0; i < config->n_reserve; i++)
        if (gasp_reserve(gsp, &config->reserve[i].block))
            return config_item_error(error_r, config, "gasp_reserve", i + 1,
                                     config->reserve[i].text, "%s", strerror(errno));
    for (i = 0; i < config->n_vdev; i++) {
        said[0] = '\0';
        if (guest_add_vdev(gsp, config->vdev[i]))
            return config_item_error(error_r, config, "gasp_vdev", i + 1, config->vdev[i], "%s",
                                     said[0] ? said : strerror(errno));
    }
    return 0;
}

bool config_interrupted(void)
{
    sigset_t set;

    sigpending(&set);
    return sigismember(&set, SIGTERM) || sigismember(&set, SIGINT) || sigismember(&set, SIGHUP);
}

int config_apply(struct guest_system *gsp, struct config *config, const char *record,
                 char **error_r)
{
    char said[1] = "";
    size_t i;

    *error_r = NULL;
    for (i = 0; i < config->n_ram; i++) {
        if (config_interrupted())
            return config_error(error_r, "%s: interrupted at gasp_ram item %zu", config->file,
                                i + 1);
        if (apply_ram(gsp, config, i, record, error_r))
            return -1;
    }
    return apply_rest(gsp, config, said, error_r);
}

/* ---- the trial ---- */

/* What the guest's log said first, which is the cause, to become part of our message. Other threads
 * don't count. */
struct said {
    pthread_t thread;
    char text[320];
};

__attribute__((format(printf, 3, 0))) static void keep(void *arg, enum guest_log_level level,
                                                       const char *format, va_list ap)
{
    struct said *said = arg;

    if (level <= GUEST_LOG_WARN && !said->text[0] && pthread_equal(said->thread, pthread_self()))
        vsnprintf(said->text, sizeof(said->text), format, ap);
}

static int try_ram(struct guest_system *gsp, const struct config *config, size_t item,
                   char **error_r)
{
    const struct config_ram *ram = &config->ram[item];
    struct gasp_region rgn = {
        .flags = GRF_NOPERMS | GRF_PRECIOUS | GRF_ACTIVE, /* as RAM, it covers nothing */
        .cookie = (uint32_t)item + 1, /* an owner for each, or one item could change another */
        .guest = {.location = ram->range.first, .length = ram->size, .type = QST_MEMORY},
    };

    if (!ram->placed || gasp_region_set_soft(gsp, 1, &rgn) == 1)
        return 0;
    return ram_error(gsp, config, item, errno, error_r);
}

int config_try(const struct config *config, struct guest_system **gsp_r, char **error_r)
{
    struct said said = {.thread = pthread_self()};
    struct sim_options sim = {.size = sizeof(sim), .hvm = config->hvm, .vcpus = 1};
    struct guest_options options = {.size = sizeof(options), .log = keep, .log_arg = &said};
    size_t i;
    int rc;

    *error_r = NULL;
    options.gasp_window = config->window;
    sim.ram_bytes = config->memory < TRY_MEMORY_MAX ? config->memory : TRY_MEMORY_MAX;
    if (guest_open_sim(gsp_r, &sim, &options))
        return config_error(error_r, "%s: can't simulate the guest: %s", config->file,
                            strerror(errno));
    /* RAM last: of an item that meets a vdev we know where it lies, so the message can be exact. */
    rc = apply_rest(*gsp_r, config, said.text, error_r);
    for (i = 0; rc == 0 && i < config->n_ram; i++)
        rc = try_ram(*gsp_r, config, i, error_r);
    said.text[0] = '\0';
    if (rc == 0 && guest_configured(*gsp_r))
        rc = config_error(error_r, "%s: %s", config->file,
                          said.text[0] ? said.text : strerror(errno));
    if (rc)
        guest_close(*gsp_r);
    return rc;
}

int config_check(struct config *config, const char *file, struct guest_system **trial_r)
{
    struct guest_system *trial = NULL;
    char *error = NULL;

    if (config_read(config, file, &error) || config_try(config, &trial, &error)) {
        log_line(GUEST_LOG_ERROR, "%s", error ? error : "out of memory");
        free(error);
        return -1;
    }
    if (trial_r)
        *trial_r = trial;
    else
        guest_close(trial);
    return 0;
}
