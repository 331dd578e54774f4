/* SPDX-License-Identifier: BSD-2-Clause */
/* The caller of a service that goes into the background learns what became of it. */
#include "daemon/background.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/check_main.h"

/* Runs service() in the background; the exit status of the process that was called, or -signal. */
static int call(void (*service)(int ready_fd), int signal)
{
    int status, fd;
    pid_t pid = fork();

    if (pid == 0) {
        fd = background_begin();
        if (fd >= 0)
            service(fd);
        _exit(99);
    }
    ck_assert_int_gt(pid, 0);
    if (signal) {
        usleep(100000);
        kill(pid, signal);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int told[2];

static void becomes_ready(int ready_fd)
{
    char where[64] = "", word[128];
    int n;

    background_ready(ready_fd);
    usleep(100000); /* by now the caller is gone, and we live on */
    ck_assert_ptr_nonnull(getcwd(where, sizeof(where)));
    n = snprintf(word, sizeof(word), "%s %d", where, getsid(0) == getpid());
    (void)!write(told[1], word, (size_t)n);
    _exit(0);
}

START_TEST(ready)
{
    char word[64] = "";

    ck_assert_int_eq(pipe(told), 0);
    ck_assert_int_eq(call(becomes_ready, 0), 0);
    ck_assert_int_gt(read(told[0], word, sizeof(word) - 1), 0);
    ck_assert_str_eq(word, "/ 1");
}
END_TEST

static void fails(int ready_fd)
{
    (void)ready_fd;
    _exit(65);
}

static void crashes(int ready_fd)
{
    (void)ready_fd;
    raise(SIGKILL);
}

static void ends_too_early(int ready_fd)
{
    (void)ready_fd;
    _exit(0);
}

START_TEST(failure_is_passed_on)
{
    ck_assert_int_eq(call(fails, 0), 65);
    ck_assert_int_eq(call(crashes, 0), 64);
    ck_assert_int_eq(call(ends_too_early, 0), 64);
}
END_TEST

static void undoes_itself(int signal)
{
    _exit(signal == SIGTERM ? 70 : 71);
}

static void takes_its_time(int ready_fd)
{
    (void)ready_fd;
    signal(SIGTERM, undoes_itself);
    signal(SIGINT, undoes_itself);
    sleep(10);
}

START_TEST(signals_reach_the_service)
{
    ck_assert_int_eq(call(takes_its_time, SIGTERM), 70);
    ck_assert_int_eq(call(takes_its_time, SIGINT), 71);
}
END_TEST

/* The service manager's socket: a path, or an abstract name that is written with @. */
START_TEST(manager_is_told)
{
    char dir[] = "/tmp/check_background.XXXXXX", name[64], word[64] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd wait = {.events = POLLIN};
    socklen_t length;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(name, sizeof(name), "%s%s", _i ? "@" : "", dir);
    if (!_i)
        strcat(name, "/notify");
    strcpy(address.sun_path, name);
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (_i)
        address.sun_path[0] = '\0';
    wait.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(wait.fd, (struct sockaddr *)&address, length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    background_ready(-1);
    ck_assert_int_eq(poll(&wait, 1, 1000), 1);
    ck_assert_int_eq(recv(wait.fd, word, sizeof(word) - 1, 0), 7);
    ck_assert_str_eq(word, "READY=1");
    close(wait.fd);
    if (!_i)
        unlink(name);
    rmdir(dir);
    background_ready(-1); /* nobody listens: nothing happens */
}
END_TEST

static Suite *background_suite(void)
{
    Suite *suite = suite_create("background");
    TCase *tcase = tcase_create("background");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, ready);
    tcase_add_test(tcase, failure_is_passed_on);
    tcase_add_test(tcase, signals_reach_the_service);
    tcase_add_loop_test(tcase, manager_is_told, 0, 2);
    return suite;
}

CHECK_MAIN(background_suite)
