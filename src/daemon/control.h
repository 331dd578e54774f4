/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: a request is one JSON object on a line, {"command": "NAME", ...}, and so is
 * the reply,
 * {"ok": true, ...} or {"ok": false, "error": "..."}. Clients are served by one thread that never
 * waits for one of them: a client that is slow, silent or talks rubbish harms only itself.
 */
#ifndef XENGASP_DAEMON_CONTROL_H
#define XENGASP_DAEMON_CONTROL_H

#include <json-c/json.h>

enum { CONTROL_LINE_MAX = 64 * 1024, CONTROL_CLIENTS_MAX = 16 };

struct control;

/* Adds to `reply` what `command` asks for. NULL, or what went wrong (then only that is sent). */
typedef const char *(*control_fn)(void *arg, const char *command, struct json_object *reply);

/* Makes the socket, mode 0660, in place of one that a dead service left. NULL with errno. */
struct control *control_open(const char *path, control_fn fn, void *arg);

/* Serves in a thread of its own. 0 or -1 with errno. */
int control_start(struct control *control);

/* After it no command is carried out and the socket is gone; clients stay connected. Call it while
 * the guest's lock is held: later the socket may be the next service's. Twice is fine. */
void control_stop(struct control *control);

/* Hangs up on the clients, which tells them that the service has ended. NULL is fine. */
void control_close(struct control *control);

#endif
