/* SPDX-License-Identifier: BSD-2-Clause */
/* Talking to the services. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon/place.h"

enum { ANSWER_SECONDS = 10, END_SECONDS = 60 };

/* -1: said so, unless nobody is there: that is ENOENT or ECONNREFUSED for the caller. */
static FILE *dial(uint32_t domid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    char path[PATH_MAX];
    FILE *stream = NULL;
    int fd, saved;

    run_path(path, domid, "control");
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* connect's as well */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        stream = fdopen(fd, "r");
    if (!stream) {
        saved = errno;
        close(fd);
        errno = saved;
    }
    return stream;
}

static int say_why(uint32_t domid)
{
    switch (errno) {
    case EACCES:
        fail("%s/%u: no permission: run it as root", run_dir(), domid);
        break;
    case ENOENT:
        if (!xen_here())
            fail("no Xen on this machine, and no service for domain %u", domid);
        else
            fail("no service for domain %u; xengasp list shows those that run", domid);
        break;
    case EAGAIN:
        fail("the service for domain %u does not answer", domid);
        break;
    case ECONNREFUSED:
        fail("the service for domain %u has died", domid);
        break;
    default:
        fail("the service for domain %u: %s", domid, strerror(errno));
    }
    return -1;
}

/* One request, one reply. NULL: said so. */
static struct json_object *converse(FILE *stream, uint32_t domid, const char *command)
{
    struct json_object *reply = NULL;
    char *line = NULL, *request;
    size_t room = 0;
    int n = asprintf(&request, "{\"command\":\"%s\"}\n", command);

    if (n < 0)
        return NULL;
    errno = 0;
    if (send(fileno(stream), request, (size_t)n, MSG_NOSIGNAL) == n &&
        getline(&line, &room, stream) > 0)
        reply = json_tokener_parse(line);
    if (!json_object_get_boolean(json_part(reply, "ok"))) {
        if (*json_text(reply, "error"))
            fail("domain %u: %s", domid, json_text(reply, "error"));
        else if (errno == EAGAIN)
            fail("the service for domain %u does not answer", domid);
        else
            fail("the service for domain %u hung up", domid);
        json_object_put(reply);
        reply = NULL;
    }
    free(line);
    free(request);
    return reply;
}

struct json_object *service_ask(uint32_t domid, const char *command)
{
    FILE *stream = dial(domid);
    struct json_object *reply;

    if (!stream) {
        say_why(domid);
        return NULL;
    }
    reply = converse(stream, domid, command);
    fclose(stream);
    return reply;
}

/* The service hangs up when everything is given back. */
static int wait_for_end(int fd, uint32_t domid)
{
    struct timeval limit = {.tv_sec = END_SECONDS};
    ssize_t n;
    char byte;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    do {
        n = recv(fd, &byte, 1, 0);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n == 0)
        return 0;
    if (errno == EAGAIN)
        fail("the service for domain %u was asked to stop but has not ended in %d seconds", domid,
             END_SECONDS);
    else
        fail("the service for domain %u was asked to stop: %s", domid, strerror(errno));
    return -1;
}

int service_stop(uint32_t domid)
{
    FILE *stream = dial(domid);
    struct json_object *reply;
    int rc = -1;

    if (!stream)
        return say_why(domid);
    reply = converse(stream, domid, "stop");
    if (reply)
        rc = wait_for_end(fileno(stream), domid);
    json_object_put(reply);
    fclose(stream);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

int services_list(uint32_t **domid_r, size_t *n_r)
{
    DIR *dir = opendir(run_dir());
    struct dirent *entry;
    char path[PATH_MAX];
    uint32_t domid, *more;

    *domid_r = NULL;
    *n_r = 0;
    if (!dir) {
        if (errno == ENOENT && xen_here())
            return 0;
        fail(errno == ENOENT   ? "no Xen on this machine"
             : errno == EACCES ? "%s: no permission: run it as root"
                               : "%s: can't be read",
             run_dir());
        return -1;
    }
    while ((entry = readdir(dir))) {
        if (!parse_domid(entry->d_name, &domid))
            continue;
        run_path(path, domid, "control");
        if (access(path, F_OK) && errno != EACCES)
            continue;
        more = reallocarray(*domid_r, *n_r + 1, sizeof(*more));
        if (!more)
            break;
        *domid_r = more;
        more[(*n_r)++] = domid;
    }
    closedir(dir);
    if (*n_r > 0)
        qsort(*domid_r, *n_r, sizeof(**domid_r), by_number);
    return 0;
}

int service_find(const char *text, uint32_t *domid_r)
{
    struct json_object *reply;
    uint32_t *domid;
    size_t n, i;
    bool found = false;

    if (parse_domid(text, domid_r))
        return 0;
    if (services_list(&domid, &n))
        return -1;
    for (i = 0; i < n && !found; i++) {
        reply = service_ask(domid[i], "list");
        found = reply && strcmp(json_text(reply, "name"), text) == 0;
        json_object_put(reply);
        *domid_r = domid[i];
    }
    free(domid);
    if (found)
        return 0;
    fail("no service for a domain \"%s\"; xengasp list shows those that run", text);
    return -1;
}

struct json_object *json_part(struct json_object *object, const char *key)
{
    struct json_object *part = NULL;

    json_object_object_get_ex(object, key, &part);
    return part;
}

uint64_t json_number(struct json_object *object, const char *key)
{
    return json_object_get_uint64(json_part(object, key));
}

const char *json_text(struct json_object *object, const char *key)
{
    const char *text = json_object_get_string(json_part(object, key));

    return text ? text : "";
}

void json_print(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                    JSON_C_TO_STRING_NOSLASHESCAPE));
}
