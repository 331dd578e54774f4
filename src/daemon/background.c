/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t child;

static void forward(int signal)
{
    int saved = errno;

    kill(child, signal);
    errno = saved;
}

/* The process that was called: it stays until the service is ready or has failed. */
static _Noreturn void wait_and_exit(int fd)
{
    struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
    sigset_t set;
    int status;
    char byte;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (read(fd, &byte, 1) == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 64);
}

int background_begin(void)
{
    sigset_t set, old;
    int fd[2], saved;

    if (pipe2(fd, O_CLOEXEC) < 0)
        return -1;
    /* A signal that comes before the handlers are there waits. */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, &old);
    child = fork();
    if (child > 0) {
        close(fd[1]);
        wait_and_exit(fd[0]);
    }
    saved = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(fd[0]);
    if (child == 0) {
        setsid();
        return fd[1];
    }
    close(fd[1]);
    errno = saved;
    return -1;
}

/* sd_notify(3) of READY=1, without its library. */
static void notify_manager(void)
{
    static const char ready[] = "READY=1";
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = name ? strlen(name) : 0;
    int fd;

    if (length == 0 || length >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, ready, strlen(ready), MSG_NOSIGNAL, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

void background_ready(int fd)
{
    int null;

    notify_manager();
    if (fd < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    if (null > STDIN_FILENO)
        close(null);
    (void)!chdir("/");
    (void)!write(fd, "", 1);
    close(fd);
}
