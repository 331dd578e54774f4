/* SPDX-License-Identifier: BSD-2-Clause */
/* xengasp list and stop, and how things are shown. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/text.h"

struct range json_range(struct json_object *object)
{
    return (struct range){json_number(object, "first"), json_number(object, "last")};
}

void print_name(const char *name)
{
    char *clean = text_clean(name);

    fputs(clean ? clean : "?", stdout);
    free(clean);
}

bool json_has(struct json_object *strings, const char *string)
{
    for (size_t i = 0; strings && i < json_object_array_length(strings); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(strings, i)), string) == 0)
            return true;
    return false;
}

const char *access_text(struct json_object *flags, char text[ACCESS_TEXT])
{
    static const char *const virt[] = {"VIRT_RD", "VIRT_WR", "VIRT_EX"};
    static const char *const pass[] = {"PASS_RD", "PASS_WR", "PASS_EX"};

    for (int i = 0; i < 3; i++)
        text[i] = json_has(flags, virt[i]) ? "RWX"[i] : json_has(flags, pass[i]) ? "rwx"[i] : '-';
    text[3] = '\0';
    return text;
}

const char *size_text(uint64_t size, char text[24])
{
    static const char units[] = "\0KMG";
    unsigned unit = 0;

    while (unit < 3 && size && size % 1024 == 0) {
        size /= 1024;
        unit++;
    }
    snprintf(text, 24, "%" PRIu64 "%.1s", size, &units[unit]);
    return text;
}

/* ---- list ---- */

static const char list_help[] = "usage: xengasp list [--output text|json]\n"
                                "Shows the guests that are served, and their vdevs.\n"
                                "\n"
                                "  -o, --output FORMAT   text (default) or json\n"
                                "  -h, --help            this text\n";

static void print_vdev(struct json_object *vdev)
{
    struct range range = json_range(vdev);

    printf("      %-12s ", json_text(vdev, "name"));
    if (json_part(vdev, "first"))
        printf("%-3s " PRIrange, json_text(vdev, "space"), range_arg(range));
    else
        printf("%-41s", "no location");
    printf("  reads %" PRIu64 "  writes %" PRIu64 "\n", json_number(vdev, "reads"),
           json_number(vdev, "writes"));
}

static void print_guest(struct json_object *guest)
{
    struct json_object *vdevs = json_part(guest, "vdevs");
    uint64_t up = json_number(guest, "uptime");
    size_t i;

    printf("%5" PRIu64 " %-24s %7" PRIu64 " %4" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " %12" PRIu64
           "\n",
           json_number(guest, "domid"), json_text(guest, "name"), json_number(guest, "pid"),
           up / 3600, up / 60 % 60, up % 60, json_number(guest, "accesses"));
    for (i = 0; vdevs && i < json_object_array_length(vdevs); i++)
        print_vdev(json_object_array_get_idx(vdevs, i));
}

int command_list(int argc, char **argv)
{
    struct json_object *guests, *guest;
    enum output output = OUTPUT_JSON;
    uint32_t *domid;
    int status;
    size_t n, i;

    if (simple_options(argc, argv, list_help, 0, &output, &status))
        return status;
    if (services_list(&domid, &n))
        return EXIT_FAILED;
    guests = json_object_new_array();
    for (i = 0; i < n; i++) {
        guest = service_ask(domid[i], "list");
        if (guest) {
            json_object_object_del(guest, "ok");
            json_object_array_add(guests, guest);
        } else {
            status = EXIT_FAILED;
        }
    }
    free(domid);
    if (output == OUTPUT_JSON) {
        json_print(guests);
    } else if (n == 0) {
        puts("no guest is served");
    } else {
        printf("%5s %-24s %7s %10s %12s\n", "ID", "NAME", "PID", "UPTIME", "ACCESSES");
        for (i = 0; i < json_object_array_length(guests); i++)
            print_guest(json_object_array_get_idx(guests, i));
    }
    json_object_put(guests);
    return status;
}

/* ---- stop ---- */

static const char stop_help[] =
    "usage: xengasp stop DOMAIN\n"
    "Ends a guest's service. The guest goes on: its registered RAM stays, reads of its\n"
    "vdevs give all ones.\n"
    "\n"
    "  -h, --help   this text\n";

int command_stop(int argc, char **argv)
{
    uint32_t domid;
    int status;

    if (simple_options(argc, argv, stop_help, 1, NULL, &status))
        return status;
    if (service_find(argv[optind], &domid) || service_stop(domid))
        return EXIT_FAILED;
    return 0;
}
