/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs another program (xl) without a shell. */
#ifndef XENGASP_DAEMON_SPAWN_H
#define XENGASP_DAEMON_SPAWN_H

#include <sys/types.h>

/*
 * Starts argv[0], looked up in PATH, with signals as at a program's start and in a process group of
 * its own, so that Ctrl-C on the terminal reaches only us, who then decide. Its pid, or -1 with
 * errno.
 */
pid_t spawn(const char *const argv[]);

/* Waits for it: its exit status, or 128 + the signal that ended it. */
int spawn_wait(pid_t pid);

#endif
