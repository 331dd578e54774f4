/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's service, from attaching to the end. */
#ifndef XENGASP_DAEMON_RUN_H
#define XENGASP_DAEMON_RUN_H

#include "daemon/commands.h"

/* How the service ends, as its exit status. */
enum { EXIT_BEFORE = 64, EXIT_CONFIG = 65, EXIT_LATER = 96 };

/* Attaches, serves, gives everything back. service: all but gsp and started is set; ready_fd as
 * background_ready. An exit status; what went wrong is in the log. */
int service_run(struct service *service, int ready_fd);

#endif
