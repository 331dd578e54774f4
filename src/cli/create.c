/* SPDX-License-Identifier: BSD-2-Clause */
/* xengasp create: the guest paused, its service ready, the guest set off; or all of it undone. */
#include <config.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon/config.h"
#include "daemon/place.h"
#include "daemon/spawn.h"

static const char help[] =
    "usage: xengasp create [-q] GUEST.cfg [-- XL-OPTION...]\n"
    "Starts the guest of an xl configuration with the RAM and the vdevs that its gasp_\n"
    "keys ask for. What follows -- goes to xl create.\n"
    "\n"
    "  -q, --quiet   say nothing but errors\n"
    "  -h, --help    this text\n";

struct creation {
    const char *file;
    const char *const *xl_options; /* NULL at the end */
    bool talk;
    struct config config;
    uint32_t domid;
    bool has_domain, has_service; /* to be undone */
};

static volatile sig_atomic_t interrupted;
static volatile pid_t starting; /* the service, while it starts; it undoes itself */

static void on_signal(int signal)
{
    int saved = errno;

    interrupted = signal;
    if (starting > 0)
        kill(starting, SIGTERM);
    errno = saved;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

__attribute__((format(printf, 2, 3))) static void say(const struct creation *creation,
                                                      const char *format, ...)
{
    va_list ap;

    if (!creation->talk)
        return;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/* Runs a program to its end; its exit status, or -1: it isn't there, said so. */
static int run(const char *const argv[])
{
    pid_t pid = spawn(argv);

    if (pid < 0) {
        fail("%s: %s", argv[0], strerror(errno));
        return -1;
    }
    return spawn_wait(pid);
}

static int run_xl(const char *command, uint32_t domid)
{
    char id[12];
    const char *const argv[] = {"xl", command, id, NULL};

    snprintf(id, sizeof(id), "%u", domid);
    return run(argv);
}

/* xengaspd: $XENGASPD, else beside this program in the build tree or in the prefix, else where it
 * was to be installed. */
static void service_path(char path[PATH_MAX])
{
    static const char *const beside[] = {"/../daemon/xengaspd", "/../sbin/xengaspd", "/xengaspd"};
    const char *given = getenv("XENGASPD");
    char here[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
    size_t i;

    if (given && *given) {
        snprintf(path, PATH_MAX, "%s", given);
        return;
    }
    here[n < 0 ? 0 : n] = '\0';
    if (strrchr(here, '/'))
        *strrchr(here, '/') = '\0';
    for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
        if (snprintf(path, PATH_MAX, "%s%s", here, beside[i]) < PATH_MAX && access(path, X_OK) == 0)
            return;
    snprintf(path, PATH_MAX, "%s", SBINDIR "/xengaspd");
}

/* ---- the steps: 0, or -1: failed, said so ---- */

static int make_domain(struct creation *creation)
{
    const char *argv[16] = {"xl", "create", "-q", "-p", "-e", creation->file};
    const char *name = creation->config.name;
    size_t n = 6, i;
    int status;

    for (i = 0; creation->xl_options[i]; i++) {
        if (n == sizeof(argv) / sizeof(argv[0]) - 1)
            return fail("too many options for xl"), -1;
        argv[n++] = creation->xl_options[i];
    }
    /* So that the domain found afterwards is the one that xl made, and ours to destroy. */
    if (guest_find_name(name, &creation->domid) == 0)
        return fail("there is a domain \"%s\" already: %u", name, creation->domid), -1;
    if (errno != ESRCH)
        return fail("xenstore does not answer: %s", strerror(errno)), -1;
    status = run(argv);
    if (status) {
        if (status > 0)
            fail("xl create failed with exit status %d", status);
        return -1;
    }
    if (guest_find_name(name, &creation->domid)) {
        fail("xl create made no domain \"%s\": %s", name, strerror(errno));
        return -1;
    }
    creation->has_domain = true;
    say(creation, "domain %u (%s) made, paused", creation->domid, name);
    return 0;
}

static int start_service(struct creation *creation)
{
    char path[PATH_MAX], id[12];
    const char *const argv[] = {path, "--domain", id, "--config", creation->file, NULL};
    int status;
    pid_t pid;

    service_path(path);
    snprintf(id, sizeof(id), "%u", creation->domid);
    pid = spawn(argv);
    if (pid < 0) {
        fail("%s: %s", path, strerror(errno));
        return -1;
    }
    starting = pid;
    if (interrupted)
        kill(pid, SIGTERM);
    status = spawn_wait(pid);
    starting = 0;
    if (status) {
        if (!interrupted)
            fail("the service failed with exit status %d", status);
        return -1;
    }
    creation->has_service = true;
    if (!interrupted && !store_is_running(creation->domid)) {
        fail("the service started, but xenstore does not say so");
        return -1;
    }
    say(creation, "service ready: %zu vdevs, %zu RAM items", creation->config.n_vdev,
        creation->config.n_ram);
    return 0;
}

static int set_off(struct creation *creation)
{
    if (run_xl("unpause", creation->domid)) {
        fail("xl unpause failed");
        return -1;
    }
    say(creation, "domain %u (%s) runs", creation->domid, creation->config.name);
    return 0;
}

static void undo(struct creation *creation)
{
    char path[PATH_MAX];

    if (!creation->has_domain)
        return;
    log_path(path, creation->domid, creation->config.name);
    if (access(path, F_OK) == 0)
        fail("the service's log is %s", path);
    run_path(path, creation->domid, "control"); /* an interrupted service may have ended already */
    if (creation->has_service && access(path, F_OK) == 0 && service_stop(creation->domid) == 0)
        say(creation, "service stopped");
    if (run_xl("destroy", creation->domid)) {
        fail("domain %u could not be destroyed", creation->domid);
        return;
    }
    run_remove(creation->domid);
    say(creation, "domain %u destroyed", creation->domid);
}

static int carry_out(struct creation *creation)
{
    static int (*const steps[])(struct creation *) = {make_domain, start_service, set_off};
    size_t i;

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!interrupted && steps[i](creation) == 0)
            continue;
        if (interrupted)
            fail("interrupted");
        undo(creation);
        return interrupted ? 128 + interrupted : EXIT_FAILED;
    }
    return 0;
}

/* ---- the command line ---- */

/* Only options after which xl makes the guest and leaves it paused and to us. */
static int check_xl_options(const char *const *option)
{
    static const char *const allowed[] = {"-d", "-i", "--ignore-global-affinity-masks", "-q", NULL};
    const char *const *yes;

    for (; *option; option++) {
        if ((*option)[0] != '-')
            return usage_error("create",
                               "\"%s\": only options may follow --; settings belong in the file",
                               *option);
        for (yes = allowed; *yes && strcmp(*yes, *option) != 0; yes++)
            ;
        if (!*yes)
            return usage_error("create", "xl create's %s can't be used here", *option);
    }
    return 0;
}

int command_create(int argc, char **argv)
{
    static const struct option names[] = {
        {"help", no_argument, NULL, 'h'}, {"quiet", no_argument, NULL, 'q'}, {NULL, 0, NULL, 0}};
    struct creation creation = {.talk = isatty(STDOUT_FILENO)};
    int c, status;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "+hq", names, NULL)) != -1) {
        switch (c) {
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'q':
            creation.talk = false;
            break;
        default:
            return usage_error(argv[0], "%s: no such option", argv[optind - 1]);
        }
    }
    creation.file = argv[optind++];
    if (!creation.file)
        return usage_error(argv[0], "the guest's configuration is missing");
    if (argv[optind] && strcmp(argv[optind++], "--"))
        return usage_error(argv[0], "unexpected argument \"%s\"; xl's options go after --",
                           argv[optind - 1]);
    creation.xl_options = (const char *const *)argv + optind;
    status = check_xl_options(creation.xl_options);
    if (status == 0)
        status = config_check(&creation.config, creation.file, NULL) ? EXIT_CONFIG : 0;
    if (status == 0 && !xen_here())
        status = fail("no Xen on this machine: there is no /dev/xen/privcmd");
    if (status == 0 && geteuid() != 0)
        status = fail("no privilege: run it as root");
    if (status == 0) {
        catch_signals();
        status = carry_out(&creation);
    }
    config_dispose(&creation.config);
    return status;
}
