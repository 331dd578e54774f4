/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a guest is found by its name, and where its service leaves word: /run/xengasp/DOMID and
 * xenstore. */
#ifndef XENGASP_DAEMON_PLACE_H
#define XENGASP_DAEMON_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the services' logs are, as NAME.log, or ID.log for a name that is no file's. */
#define LOG_DIR "/var/log/xengasp"
void log_path(char path[PATH_MAX], uint32_t domid, const char *name);

/* Is this dom0 of a machine that runs Xen? As far as anyone may see, also without privilege. */
bool xen_here(void);

/* $XENGASP_RUNDIR, else /run/xengasp. */
const char *run_dir(void);

/* The path of a guest's file in it; `file` may be "". */
void run_path(char path[PATH_MAX], uint32_t domid, const char *file);

/* Removes a guest's directory, unless a service holds it. */
void run_remove(uint32_t domid);

/* Removes the directories of guests that there aren't any more. */
void run_sweep(void);

/* The files that a service leaves while it serves: "pid". 0 or -1 with errno. */
int run_write_pid(const char *path);
pid_t run_read_pid(uint32_t domid); /* 0: none there */

/* A decimal number that can be a domain's. */
bool parse_domid(const char *text, uint32_t *domid_r);

/* A guest by name or number: 0 with both, or -1: ESRCH no such domain, else as xs_open. *name_r is
 * the caller's. */
int guest_find(const char *text, uint32_t *domid_r, char **name_r);

/* The same by name alone, also one that looks like a number. */
int guest_find_name(const char *name, uint32_t *domid_r);

/* Xenstore: says that the service is running, as /local/domain/0/xengasp/DOMID/{state,pid}; takes
 * it back; looks. */
int store_publish(uint32_t domid);
void store_withdraw(uint32_t domid);
bool store_is_running(uint32_t domid);

#endif
