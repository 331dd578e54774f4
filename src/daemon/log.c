/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Set before other threads exist, but for `bare`. */
static struct {
    const char *program;
    enum guest_log_level level;
    int dated;         /* fd, or -1 */
    _Atomic bool bare; /* lines to stderr without a date */
    enum guest_log_level bare_level;
} sink = {.program = "xengasp",
          .level = GUEST_LOG_WARN,
          .dated = -1,
          .bare = true,
          .bare_level = GUEST_LOG_WARN};

void log_setup(const char *program, enum guest_log_level level)
{
    sink.program = program;
    sink.level = sink.bare_level = level;
}

int log_to_file(const char *file, bool also_stderr)
{
    int fd = STDERR_FILENO;

    if (file) {
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
        if (fd < 0)
            return -1;
    }
    sink.dated = fd;
    sink.bare = file && also_stderr;
    sink.bare_level = GUEST_LOG_WARN;
    return 0;
}

void log_leave_terminal(void)
{
    sink.bare = false;
    dup2(sink.dated, STDOUT_FILENO);
    dup2(sink.dated, STDERR_FILENO);
}

/* One write for each line, so that lines of several threads don't mix. */
static void write_line(int fd, const char *prefix, const char *text)
{
    char line[1200];
    int n = snprintf(line, sizeof(line), "%s%s", prefix, text);

    if (n > (int)sizeof(line) - 1)
        n = sizeof(line) - 1;
    line[n++] = '\n';
    while (write(fd, line, (size_t)n) < 0 && errno == EINTR)
        ;
}

void log_guest(void *arg, enum guest_log_level level, const char *format, va_list ap)
{
    char text[1024], prefix[64], date[32];
    struct timespec now;
    struct tm tm;
    int saved = errno;

    (void)arg;
    if (level > sink.level)
        return;
    vsnprintf(text, sizeof(text), format, ap);
    if (sink.dated >= 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &tm);
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        snprintf(prefix, sizeof(prefix), "%s.%03ld %-5s ", date, now.tv_nsec / 1000000,
                 level_names[level]);
        write_line(sink.dated, prefix, text);
    }
    if (sink.bare && level <= sink.bare_level) {
        snprintf(prefix, sizeof(prefix), "%s: ", sink.program);
        write_line(STDERR_FILENO, prefix, text);
    }
    errno = saved;
}

void log_line(enum guest_log_level level, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    log_guest(NULL, level, format, ap);
    va_end(ap);
}

int log_parse_level(const char *text, enum guest_log_level *level_r)
{
    unsigned i;

    for (i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (strcmp(level_names[i], text) == 0) {
            *level_r = (enum guest_log_level)i;
            return 0;
        }
    return -1;
}
