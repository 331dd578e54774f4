/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of the service, and what the command line says while it works: one for the process, any
 * thread. */
#ifndef XENGASP_DAEMON_LOG_H
#define XENGASP_DAEMON_LOG_H

#include <xengasp/guest.h>

/* Lines up to `level` go to stderr as "PROGRAM: text" until log_to_file says otherwise. */
void log_setup(const char *program, enum guest_log_level level);

/* From now on dated lines go to the file, made if need be; also to stderr the errors and warnings,
 * if `also_stderr`. NULL: dated lines to stderr. 0 or -1 with errno. */
int log_to_file(const char *file, bool also_stderr);

/* Leaves the terminal: stdout and stderr, also what others print there, are the log file's from
 * here on. */
void log_leave_terminal(void);

void log_line(enum guest_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A guest_log_fn; arg isn't used. */
void log_guest(void *arg, enum guest_log_level level, const char *format, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* error, warn, info, debug. 0 or -1. */
int log_parse_level(const char *text, enum guest_log_level *level_r);

#endif
