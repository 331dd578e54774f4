/* SPDX-License-Identifier: BSD-2-Clause */
/* xengasp: the command line. */
#include <config.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"create", "start a guest with its RAM and vdevs", command_create},
    {"list", "show the guests that are served", command_list},
    {"map", "show a guest's address spaces", command_map},
    {"stop", "end a guest's service, not the guest", command_stop},
    {"check", "try a configuration without starting it", command_check},
    {"vdevs", "show which vdevs there are", command_vdevs},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
    size_t i;

    puts("usage: xengasp COMMAND [OPTION]... [ARGUMENT]...\n"
         "Virtual devices and RAM for Xen guests.\n");
    for (i = 0; i < N_COMMANDS; i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].summary);
    puts("\n"
         "  -h, --help      this text, after a command its own\n"
         "  -V, --version   the version");
}

int fail(const char *format, ...)
{
    va_list ap;

    fputs("xengasp: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return EXIT_FAILED;
}

int usage_error(const char *command, const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "xengasp %s: ", command);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\nTry xengasp %s --help.\n", command);
    return EXIT_USAGE;
}

static const char *const formats[] = {
    [OUTPUT_TEXT] = "text", [OUTPUT_JSON] = "json", [OUTPUT_SVG] = "svg"};

static int choose_format(const char *command, const char *name, enum output last,
                         enum output *output_r)
{
    for (unsigned i = 0; i <= last; i++)
        if (strcmp(name, formats[i]) == 0) {
            *output_r = i;
            return 0;
        }
    return usage_error(command, "--output: expected %s, not \"%s\"",
                       last == OUTPUT_SVG ? "text, json or svg" : "text or json", name);
}

int simple_options(int argc, char **argv, const char *help, int operands, enum output *output,
                   int *status_r)
{
    static const struct option with_output[] = {{"help", no_argument, NULL, 'h'},
                                                {"output", required_argument, NULL, 'o'},
                                                {NULL, 0, NULL, 0}};
    static const struct option without[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    enum output last = output ? *output : OUTPUT_TEXT;
    int c;

    *status_r = 0;
    opterr = 0;
    if (output)
        *output = OUTPUT_TEXT;
    while ((c = getopt_long(argc, argv, output ? "ho:" : "h", output ? with_output : without,
                            NULL)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return -1;
        }
        if (c == 'o')
            *status_r = choose_format(argv[0], optarg, last, output);
        else
            *status_r = usage_error(argv[0], "%s: no such option, or its value is missing",
                                    argv[optind - 1]);
        if (*status_r)
            return -1;
    }
    if (operands < 0 || argc - optind == operands)
        return 0;
    if (argc - optind < operands)
        *status_r = usage_error(argv[0], "an argument is missing");
    else
        *status_r = usage_error(argv[0], "unexpected argument \"%s\"", argv[optind + operands]);
    return -1;
}

int main(int argc, char **argv)
{
    size_t i;

    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, no child's status would be known */
    if (argc < 2) {
        print_help();
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
        print_help();
        return 0;
    }
    if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
        puts("xengasp " PACKAGE_VERSION);
        return 0;
    }
    for (i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "xengasp: no command \"%s\"\nTry xengasp --help.\n", argv[1]);
    return EXIT_USAGE;
}
