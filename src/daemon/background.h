/* SPDX-License-Identifier: BSD-2-Clause */
/* Going into the background, and telling who waits that the service is ready. */
#ifndef XENGASP_DAEMON_BACKGROUND_H
#define XENGASP_DAEMON_BACKGROUND_H

/*
 * Returns in the background process, with the descriptor for background_ready; -1 with errno: it
 * could not be made. The caller's process stays until the other is ready and exits with 0 then;
 * else with the other's exit status. SIGTERM and SIGINT go to the other.
 */
int background_begin(void);

/* Lets the waiting process go; -1 for fd is fine (foreground). Tells the service manager as well,
 * if there is one. */
void background_ready(int fd);

#endif
