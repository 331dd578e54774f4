/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket against clients of every kind. The commands behind it are a stub. */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/check_main.h"

enum { BIG = 1 << 20, ANSWER_MS = 3000 };

static char dir[] = "/tmp/check_control.XXXXXX", path[64];
static struct control *control;
static _Atomic unsigned carried_out;

static const char *stub(void *arg, const char *command, struct json_object *reply)
{
    static char big[BIG + 1];

    ck_assert_ptr_eq(arg, &carried_out);
    carried_out++;
    if (strcmp(command, "big") == 0) {
        memset(big, 'x', BIG);
        json_object_object_add(reply, "big", json_object_new_string(big));
    } else if (strcmp(command, "hello") == 0) {
        json_object_object_add(reply, "hello", json_object_new_int(1));
    } else {
        return "unknown command";
    }
    return NULL;
}

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/control", dir);
    control = control_open(path, stub, &carried_out);
    ck_assert_ptr_nonnull(control);
    ck_assert_int_eq(control_start(control), 0);
}

static void tear_down(void)
{
    control_close(control);
    ck_assert_int_eq(access(path, F_OK), -1);
    rmdir(dir);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text, size_t length)
{
    ck_assert_int_eq(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* The next byte, or -1: the other end hung up. Nobody waits longer than ANSWER_MS. */
static int hear_byte(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    unsigned char byte;

    ck_assert_msg(poll(&wait, 1, ANSWER_MS) == 1, "no answer");
    return recv(fd, &byte, 1, 0) == 1 ? byte : -1;
}

static void expect_line(int fd, const char *expected)
{
    char line[256];
    size_t n = 0;
    int c;

    while ((c = hear_byte(fd)) != '\n') {
        ck_assert_msg(c != -1, "hung up after \"%.*s\"", (int)n, line);
        ck_assert_uint_lt(n, sizeof(line) - 1);
        line[n++] = (char)c;
    }
    line[n] = '\0';
    ck_assert_str_eq(line, expected);
}

#define HELLO "{\"command\":\"hello\"}\n"
#define HELLO_REPLY "{\"ok\":true,\"hello\":1}"
#define NOT_JSON                                                                                   \
    "{\"ok\":false,\"error\":\"expected one JSON object with \\\"command\\\" on a line\"}"

static void expect_hello(int fd)
{
    say(fd, HELLO, strlen(HELLO));
    expect_line(fd, HELLO_REPLY);
}

START_TEST(answers)
{
    struct stat st;
    int fd = dial();

    expect_hello(fd);
    expect_hello(fd);
    say(fd, "{\"command\":\"dance\"}\n", 20);
    expect_line(fd, "{\"ok\":false,\"error\":\"unknown command\"}");
    say(fd, HELLO "{}\n" HELLO, 2 * strlen(HELLO) + 3);
    expect_line(fd, HELLO_REPLY);
    expect_line(fd, NOT_JSON);
    expect_line(fd, HELLO_REPLY);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0660);
    close(fd);
}
END_TEST

static const char *const garbage[] = {
    "",
    "hello",
    "{",
    "\"command\"",
    "[\"command\"]",
    "12",
    "null",
    "{}",
    "{\"command\":1}",
    "{\"command\":{\"command\":\"hello\"}}",
    "{\"command\":\"hello\"}{\"command\":\"hello\"}",
    "{\"command\":\"hello\"} x",
    "{'command':'hello'}",
    "{\"command\":\"hello\",\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}",
    "\x01\x02\xff\xfe{\"command\":\"hello\"}",
};

START_TEST(garbage_is_told_so_and_harmless)
{
    int fd = dial();

    say(fd, garbage[_i], strlen(garbage[_i]));
    say(fd, "\n", 1);
    expect_line(fd, NOT_JSON);
    ck_assert_uint_eq(carried_out, 0);
    expect_hello(fd);
    close(fd);
}
END_TEST

START_TEST(nul_bytes_are_garbage)
{
    static const char line[] = "{\"command\":\"hello\0\"}\n";
    int fd = dial();

    say(fd, line, sizeof(line) - 1);
    expect_line(fd, NOT_JSON);
    expect_hello(fd);
    close(fd);
}
END_TEST

START_TEST(half_a_line_waits_for_the_rest)
{
    int half = dial(), other = dial(), gone = dial();
    size_t i;

    say(gone, HELLO, 5);
    close(gone);
    for (i = 0; i < strlen(HELLO); i++) {
        say(half, &HELLO[i], 1);
        if (i % 5 == 0)
            expect_hello(other);
    }
    expect_line(half, HELLO_REPLY);
    close(half);
    close(other);
}
END_TEST

START_TEST(last_line_is_answered_after_the_client_shut_down)
{
    int fd = dial();

    say(fd, HELLO HELLO, 2 * strlen(HELLO));
    shutdown(fd, SHUT_WR);
    expect_line(fd, HELLO_REPLY);
    expect_line(fd, HELLO_REPLY);
    ck_assert_int_eq(hear_byte(fd), -1);
    close(fd);
}
END_TEST

START_TEST(an_endless_line_ends_the_client)
{
    static char line[CONTROL_LINE_MAX];
    int fd = dial(), other = dial();

    memset(line, '{', sizeof(line));
    say(fd, line, sizeof(line) - 1);
    expect_hello(other);
    say(fd, line, 1);
    expect_line(fd, "{\"ok\":false,\"error\":\"a line of more than 64 KiB\"}");
    ck_assert_int_eq(hear_byte(fd), -1);
    expect_hello(other);
    close(fd);
    close(other);
}
END_TEST

START_TEST(the_longest_line_is_taken)
{
    static char line[CONTROL_LINE_MAX];
    int fd = dial();

    memset(line, ' ', sizeof(line));
    memcpy(line, HELLO, strlen(HELLO) - 1);
    line[sizeof(line) - 1] = '\n';
    say(fd, line, sizeof(line));
    expect_line(fd, HELLO_REPLY);
    close(fd);
}
END_TEST

/* Reads n replies to "big" and looks at each byte. */
static void expect_big(int fd, int n)
{
    static char reply[BIG + 64], buf[65536];
    size_t length = (size_t)sprintf(reply, "{\"ok\":true,\"big\":\"%0*d\"}\n", BIG, 0), at = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t got;

    memset(strchr(reply, '0'), 'x', BIG);
    while (n > 0) {
        ck_assert_msg(poll(&wait, 1, ANSWER_MS) == 1, "no answer");
        got = recv(fd, buf, length - at < sizeof(buf) ? length - at : sizeof(buf), 0);
        ck_assert_int_gt(got, 0);
        ck_assert_mem_eq(buf, reply + at, (size_t)got);
        at = (at + (size_t)got) % length;
        n -= at == 0;
    }
}

/* It sends and sends and reads nothing: at some point nothing more is taken from it. */
START_TEST(a_slow_reader_waits_alone)
{
    static const char big[] = "{\"command\":\"big\"}\n";
    int slow = dial(), other = dial(), i;
    size_t asked = 0;

    fcntl(slow, F_SETFL, O_NONBLOCK);
    for (i = 0; i < 3; i++) {
        while (asked < (64 << 20) &&
               send(slow, big, strlen(big), MSG_NOSIGNAL) == (ssize_t)strlen(big))
            asked += strlen(big);
        expect_hello(other);
    }
    ck_assert_uint_lt(asked, 64 << 20);
    ck_assert_uint_lt(carried_out, 10);
    expect_big(slow, 4); /* it gets what it asked for after all */
    expect_hello(other);
    close(slow);
    expect_hello(other);
    close(other);
}
END_TEST

START_TEST(silent_clients_keep_nobody_out)
{
    int fd[3 * CONTROL_CLIENTS_MAX], i, first = dial(), last;

    for (i = 0; i < 3 * CONTROL_CLIENTS_MAX; i++) {
        fd[i] = dial();
        expect_hello(first);
    }
    last = dial();
    expect_hello(last);
    expect_hello(first);
    ck_assert_int_eq(hear_byte(fd[0]), -1);
    expect_hello(fd[3 * CONTROL_CLIENTS_MAX - 1]);
    for (i = 0; i < 3 * CONTROL_CLIENTS_MAX; i++)
        close(fd[i]);
    close(first);
    close(last);
}
END_TEST

START_TEST(after_stop_clients_wait_for_the_end)
{
    struct pollfd wait = {.events = POLLIN};
    int fd = dial();

    expect_hello(fd);
    control_stop(control);
    say(fd, HELLO, strlen(HELLO));
    wait.fd = fd;
    ck_assert_int_eq(poll(&wait, 1, 100), 0);
    ck_assert_uint_eq(carried_out, 1);
    control_stop(control);
    control_close(control);
    ck_assert_int_eq(hear_byte(fd), -1);
    close(fd);
    control = NULL;
}
END_TEST

/* The next service's socket may lie there as soon as the guest's lock is free. */
START_TEST(a_stopped_service_leaves_its_successor_alone)
{
    struct control *next;
    int fd = dial();

    expect_hello(fd);
    control_stop(control);
    ck_assert_int_eq(access(path, F_OK), -1);
    next = control_open(path, stub, &carried_out);
    ck_assert_ptr_nonnull(next);
    ck_assert_int_eq(control_start(next), 0);
    control_close(control);
    control = NULL;
    close(fd);
    fd = dial();
    expect_hello(fd);
    close(fd);
    control_close(next);
}
END_TEST

START_TEST(takes_the_place_of_a_dead_service)
{
    struct control *next = control_open(path, stub, &carried_out);
    int fd;

    ck_assert_ptr_nonnull(next);
    ck_assert_int_eq(control_start(next), 0);
    fd = dial();
    expect_hello(fd);
    close(fd);
    control_close(next);
}
END_TEST

START_TEST(unusable_paths_are_refused)
{
    static char too_long[200];

    memset(too_long, 'x', sizeof(too_long) - 1);
    ck_assert_ptr_null(control_open(too_long, stub, NULL));
    ck_assert_int_eq(errno, ENAMETOOLONG);
    ck_assert_ptr_null(control_open("/nonexistent/control", stub, NULL));
    ck_assert_int_eq(errno, ENOENT);
    control_close(NULL);
}
END_TEST

static Suite *control_suite(void)
{
    Suite *suite = suite_create("control");
    TCase *tcase = tcase_create("clients");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 20);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, answers);
    tcase_add_loop_test(tcase, garbage_is_told_so_and_harmless, 0,
                        sizeof(garbage) / sizeof(garbage[0]));
    tcase_add_test(tcase, nul_bytes_are_garbage);
    tcase_add_test(tcase, half_a_line_waits_for_the_rest);
    tcase_add_test(tcase, last_line_is_answered_after_the_client_shut_down);
    tcase_add_test(tcase, an_endless_line_ends_the_client);
    tcase_add_test(tcase, the_longest_line_is_taken);
    tcase_add_test(tcase, a_slow_reader_waits_alone);
    tcase_add_test(tcase, silent_clients_keep_nobody_out);
    tcase_add_test(tcase, after_stop_clients_wait_for_the_end);
    tcase_add_test(tcase, a_stopped_service_leaves_its_successor_alone);
    tcase_add_test(tcase, takes_the_place_of_a_dead_service);
    tcase_add_test(tcase, unusable_paths_are_refused);
    return suite;
}

CHECK_MAIN(control_suite)
