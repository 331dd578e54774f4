/* SPDX-License-Identifier: BSD-2-Clause */
/* xengaspd: serves one guest's RAM and vdevs from dom0. */
#include <config.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/background.h"
#include "daemon/commands.h"
#include "daemon/control.h"
#include "daemon/log.h"
#include "daemon/place.h"
#include "daemon/run.h"

static const char help[] =
    "usage: xengaspd --domain NAME|ID --config FILE [OPTION]...\n"
    "Serves a guest's vdevs and RAM, as the gasp_ keys of its configuration say, until\n"
    "the guest is gone or \"xengasp stop\" is called.\n"
    "\n"
    "  -d, --domain NAME|ID   the guest\n"
    "  -c, --config FILE      its xl configuration\n"
    "  -f, --foreground       stay in the foreground\n"
    "  -p, --pidfile FILE     write the process's number there\n"
    "  -P, --poll-us N        poll for at most N microseconds before sleeping; 0: never\n"
    "  -l, --log LEVEL        error, warn, info (default) or debug\n"
    "  -L, --log-file FILE    default: " LOG_DIR "/NAME.log, in the foreground stderr\n"
    "  -h, --help             this text\n"
    "  -V, --version          the version\n"
    "\n"
    "Exit status: 0, 65 configuration, 64 failed before the guest starts, 96 failed later.\n";

struct options {
    const char *domain, *config, *pidfile, *log_file;
    bool foreground;
    unsigned poll_us;
    enum guest_log_level level;
};

static _Noreturn void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "xengaspd: %s%s%s\nTry xengaspd --help.\n", what, value ? " " : "",
            value ? value : "");
    exit(EXIT_BEFORE);
}

static void parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"domain", required_argument, NULL, 'd'},   {"config", required_argument, NULL, 'c'},
        {"foreground", no_argument, NULL, 'f'},     {"pidfile", required_argument, NULL, 'p'},
        {"poll-us", required_argument, NULL, 'P'},  {"log", required_argument, NULL, 'l'},
        {"log-file", required_argument, NULL, 'L'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},        {NULL, 0, NULL, 0},
    };
    uint64_t number;
    int c;

    *options = (struct options){.level = GUEST_LOG_INFO};
    while ((c = getopt_long(argc, argv, "d:c:fp:P:l:L:hV", names, NULL)) != -1) {
        switch (c) {
        case 'd':
            options->domain = optarg;
            break;
        case 'c':
            options->config = optarg;
            break;
        case 'f':
            options->foreground = true;
            break;
        case 'p':
            options->pidfile = optarg;
            break;
        case 'P':
            if (config_number(optarg, &number) || number > 1000000)
                usage_error("--poll-us: expected 0 to 1000000, not", optarg);
            options->poll_us = number ? (unsigned)number : GUEST_POLL_NEVER;
            break;
        case 'l':
            if (log_parse_level(optarg, &options->level))
                usage_error("--log: expected error, warn, info or debug, not", optarg);
            break;
        case 'L':
            options->log_file = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        case 'V':
            puts("xengaspd " PACKAGE_VERSION);
            exit(0);
        default:
            exit(EXIT_BEFORE);
        }
    }
    if (optind < argc)
        usage_error("unexpected argument", argv[optind]);
    if (!options->domain)
        usage_error("--domain is missing", NULL);
    if (!options->config)
        usage_error("--config is missing", NULL);
}

static int fail(const char *what, const char *why)
{
    log_line(GUEST_LOG_ERROR, "%s: %s", what, why);
    return EXIT_BEFORE;
}

static int find_guest(const char *domain, struct service *service)
{
    if (!xen_here())
        return fail("no Xen on this machine", "there is no /dev/xen/privcmd");
    if (geteuid() != 0)
        return fail("no privilege", "run it as root");
    if (guest_find(domain, &service->domid, &service->name) == 0)
        return 0;
    if (errno == ESRCH)
        return fail(domain, "no such domain");
    return fail("xenstore does not answer", strerror(errno));
}

/* Where the log goes from here on. */
static int open_log(const struct options *options, const char *name, uint32_t domid)
{
    const char *file = options->log_file;
    char made[PATH_MAX];

    if (!file && !options->foreground) {
        if (mkdir(LOG_DIR, 0750) && errno != EEXIST)
            return fail(LOG_DIR, strerror(errno));
        log_path(made, domid, name);
        file = made;
    }
    if (log_to_file(file, !options->foreground))
        return fail(file, strerror(errno));
    return 0;
}

/* The background process works in /, so a file's path must be whole. NULL: none, or out of memory.
 */
static char *whole_path(const char *file)
{
    char *cwd, *path;

    if (!file || file[0] == '/')
        return file ? strdup(file) : NULL;
    cwd = getcwd(NULL, 0);
    if (!cwd || asprintf(&path, "%s/%s", cwd, file) < 0)
        path = NULL;
    free(cwd);
    return path;
}

int main(int argc, char **argv)
{
    struct service service = {0};
    struct options options;
    int ready_fd = -1, status;

    parse_options(argc, argv, &options);
    log_setup("xengaspd", options.level);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, no child's status would be known */
    if (!options.foreground) {
        ready_fd = background_begin();
        if (ready_fd < 0)
            return fail("fork", strerror(errno));
    }
    status = config_check(&service.config, options.config, NULL) ? EXIT_CONFIG : 0;
    if (status == 0)
        status = find_guest(options.domain, &service);
    if (status == 0)
        status = open_log(&options, service.name, service.domid);
    if (status == 0) {
        service.poll_us = options.poll_us;
        service.pidfile = whole_path(options.pidfile);
        status = service_run(&service, ready_fd);
    }
    config_dispose(&service.config);
    free(service.pidfile);
    free(service.name);
    return status;
}
