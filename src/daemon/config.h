/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the service reads in a guest's own xl.cfg: the gasp_* keys, and of xl's keys those that say
 * what the guest will look like. Reading it changes nothing; config_try carries it out on a
 * simulated guest, config_apply on a real one.
 *
 * Functions return 0, or -1 with a message for the user in *error_r (freed by the caller; NULL: out
 * of memory).
 */
#ifndef XENGASP_DAEMON_CONFIG_H
#define XENGASP_DAEMON_CONFIG_H

#include <xengasp/guest.h>

#include "space/range.h"

struct config_ram {
    struct range range; /* placed: where; else its length counts */
    uint64_t size;      /* bytes, whole pages */
    bool placed;        /* has start=; else the service chooses */
    bool untyped;
    char *text; /* the item as written */
};

struct config_reserve {
    struct qvm_state_block block;
    char *text;
};

struct config {
    char *file;
    char *name;      /* the guest's */
    bool hvm;        /* else PVH */
    uint64_t memory; /* bytes; 0: not said */
    enum guest_unsupported unsupported;
    uint64_t window; /* bytes of the gasp window */
    struct config_ram *ram;
    size_t n_ram;
    struct config_reserve *reserve;
    size_t n_reserve;
    char **vdev; /* "NAME,key=value,..." */
    size_t n_vdev;
};

/* On failure `config` is disposed of already. `file` is for messages. */
int config_parse(struct config *config, const char *file, const char *text, size_t length,
                 char **error_r);
int config_read(struct config *config, const char *file, char **error_r);
void config_dispose(struct config *config); /* twice is fine */

/* Carries the whole configuration out on a simulated guest, which the caller looks at and closes.
 * Its RAM items are regions without access there, so that large ones cost nothing. */
int config_try(const struct config *config, struct guest_system **gsp_r, char **error_r);

/* Reads a file and tries it. What is wrong goes to the log. The caller disposes of config, also
 * after a failure, and closes the trial; NULL: it isn't wanted. */
int config_check(struct config *config, const char *file, struct guest_system **trial_r);

/*
 * Start-up of a real guest: RAM, reserves, vdevs. Each item of config->ram gets its range. `record`
 * is a file that remembers where items without a start= went, so that a service started anew finds
 * them there.
 */
int config_apply(struct guest_system *gsp, struct config *config, const char *record,
                 char **error_r);

/* Whether SIGTERM, SIGINT or SIGHUP, being blocked, waits. A start takes long when there is much RAM
 * to register: it is given up between two items then. */
bool config_interrupted(void);

/* As vdev_parse_number: one grammar for all. */
int config_number(const char *text, uint64_t *value_r);

/* *error_r = the formatted text, in the second after "FILE: KEY item N "TEXT": "; item 0 and text
 * NULL are left out. Always -1. */
int config_error(char **error_r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int config_item_error(char **error_r, const struct config *config, const char *key, size_t item,
                      const char *text, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

#endif
