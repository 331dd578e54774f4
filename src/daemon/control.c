/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { JSON_DEPTH = 8 };

/* A client has at most one reply waiting: its next line is looked at when that is sent. */
struct client {
    TAILQ_ENTRY(client) link;
    int fd;
    bool last_reply; /* hang up when it is sent */
    char *out;       /* the reply, NULL: none waits */
    size_t out_used, out_sent;
    size_t in_used;
    char in[CONTROL_LINE_MAX];
};

struct control {
    char *path;
    int listener, wake;
    bool running;
    pthread_t thread;
    control_fn fn;
    void *arg;
    unsigned n_clients;
    TAILQ_HEAD(, client) clients; /* the one heard of last is last */
};

static int make_listener(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, saved;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(path);
    /* Nobody can connect before listen(), so the mode is right from the first client on. */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && chmod(path, 0660) == 0 &&
        listen(fd, CONTROL_CLIENTS_MAX) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

struct control *control_open(const char *path, control_fn fn, void *arg)
{
    struct control *control = calloc(1, sizeof(*control));
    int saved;

    if (!control)
        return NULL;
    TAILQ_INIT(&control->clients);
    control->fn = fn;
    control->arg = arg;
    control->wake = -1;
    control->listener = make_listener(path);
    if (control->listener >= 0)
        control->path = strdup(path);
    if (control->path)
        control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->wake >= 0)
        return control;
    saved = errno;
    control_close(control);
    errno = saved;
    return NULL;
}

static void client_drop(struct control *control, struct client *client)
{
    TAILQ_REMOVE(&control->clients, client, link);
    control->n_clients--;
    close(client->fd);
    free(client->out);
    free(client);
}

/* The longest silent client makes room, so that idle ones can't keep others out. */
static void client_accept(struct control *control)
{
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client;

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            poll(NULL, 0, 100); /* out of descriptors: poll would call us again at once */
        return;
    }
    client = calloc(1, sizeof(*client));
    if (!client) {
        close(fd);
        return;
    }
    if (control->n_clients == CONTROL_CLIENTS_MAX)
        client_drop(control, TAILQ_FIRST(&control->clients));
    client->fd = fd;
    TAILQ_INSERT_TAIL(&control->clients, client, link);
    control->n_clients++;
}

/* Takes over `reply`. */
static void client_reply(struct client *client, struct json_object *reply)
{
    int n = asprintf(&client->out, "%s\n",
                     json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));

    if (n < 0) {
        client->out = NULL;
        client->last_reply = true;
    }
    client->out_used = n < 0 ? 0 : (size_t)n;
    client->out_sent = 0;
    json_object_put(reply);
}

static void client_refuse(struct client *client, const char *why)
{
    struct json_object *reply = json_object_new_object();

    json_object_object_add(reply, "ok", json_object_new_boolean(false));
    json_object_object_add(reply, "error", json_object_new_string(why));
    client_reply(client, reply);
}

static void client_answer(struct control *control, struct client *client, const char *line,
                          size_t length)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
    struct json_object *request = NULL, *command = NULL, *reply = NULL;
    const char *why = "expected one JSON object with \"command\" on a line";

    if (tokener) {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        request = json_tokener_parse_ex(tokener, line, (int)length);
    }
    if (json_object_is_type(request, json_type_object) &&
        json_object_object_get_ex(request, "command", &command) &&
        json_object_is_type(command, json_type_string)) {
        reply = json_object_new_object();
        json_object_object_add(reply, "ok", json_object_new_boolean(true));
        why = control->fn(control->arg, json_object_get_string(command), reply);
    }
    if (reply && !why) {
        client_reply(client, reply);
    } else {
        json_object_put(reply);
        client_refuse(client, why);
    }
    json_object_put(request);
    json_tokener_free(tokener);
}

static char *client_line_end(struct client *client)
{
    return memchr(client->in, '\n', client->in_used);
}

/* Each of the next three: false: the client is gone, or done with. */
static bool client_send(struct client *client)
{
    ssize_t n;

    while (client->out_sent < client->out_used) {
        n = send(client->fd, client->out + client->out_sent, client->out_used - client->out_sent,
                 MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        client->out_sent += (size_t)n;
    }
    free(client->out);
    client->out = NULL;
    return !client->last_reply;
}

static bool client_receive(struct client *client)
{
    ssize_t n =
        recv(client->fd, client->in + client->in_used, sizeof(client->in) - client->in_used, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->in_used += (size_t)n;
    return n > 0;
}

/* One step: at most one line, so that nobody waits long for his turn. */
static bool client_serve(struct control *control, struct client *client)
{
    char *end;

    if (client->out)
        return client_send(client);
    end = client_line_end(client);
    if (!end) {
        if (!client_receive(client))
            return false;
        TAILQ_REMOVE(&control->clients, client, link);
        TAILQ_INSERT_TAIL(&control->clients, client, link);
        end = client_line_end(client);
    }
    if (end) {
        client_answer(control, client, client->in, (size_t)(end - client->in));
        client->in_used -= (size_t)(end + 1 - client->in);
        memmove(client->in, end + 1, client->in_used);
    } else if (client->in_used == sizeof(client->in)) {
        client_refuse(client, "a line of more than 64 KiB");
        client->last_reply = true;
    }
    return client_send(client);
}

static void *serve(void *arg)
{
    struct control *control = arg;
    struct client *client, *served[CONTROL_CLIENTS_MAX];
    struct pollfd fd[2 + CONTROL_CLIENTS_MAX];
    nfds_t n, i;

    for (;;) {
        fd[0] = (struct pollfd){.fd = control->wake, .events = POLLIN};
        fd[1] = (struct pollfd){.fd = control->listener, .events = POLLIN};
        n = 2;
        TAILQ_FOREACH (client, &control->clients, link) {
            served[n - 2] = client;
            fd[n].fd = client->fd;
            /* A line that is here already waits for the socket to be writable: that is its turn. */
            fd[n].events = client->out || client_line_end(client) ? POLLOUT : POLLIN;
            n++;
        }
        if (poll(fd, n, -1) < 0)
            continue;
        if (fd[0].revents)
            return NULL;
        for (i = 2; i < n; i++)
            if (fd[i].revents && !client_serve(control, served[i - 2]))
                client_drop(control, served[i - 2]);
        if (fd[1].revents)
            client_accept(control);
    }
}

int control_start(struct control *control)
{
    errno = pthread_create(&control->thread, NULL, serve, control);
    control->running = errno == 0;
    return errno ? -1 : 0;
}

void control_stop(struct control *control)
{
    if (control->running) {
        eventfd_write(control->wake, 1);
        pthread_join(control->thread, NULL);
        control->running = false;
    }
    if (control->path)
        unlink(control->path);
    if (control->listener >= 0)
        close(control->listener);
    free(control->path);
    control->path = NULL;
    control->listener = -1;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    control_stop(control);
    while (!TAILQ_EMPTY(&control->clients))
        client_drop(control, TAILQ_FIRST(&control->clients));
    if (control->wake >= 0)
        close(control->wake);
    free(control);
}
