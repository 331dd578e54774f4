/* SPDX-License-Identifier: BSD-2-Clause */
/* xengasp vdevs and check. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <xengasp/vdev.h>

#include "cli/cli.h"
#include "daemon/config.h"
#include "guest/describe.h"

/* ---- vdevs ---- */

static const char vdevs_help[] = "usage: xengasp vdevs [NAME]\n"
                                 "Shows which vdevs there are, or what one of them takes.\n"
                                 "\n"
                                 "  -h, --help   this text\n";

static void print_factory(const struct vdev_factory *factory)
{
    const char *const *option;
    unsigned bytes;

    printf("%s: %s\n", factory->name, factory->summary ? factory->summary : "");
    if (factory->factory_flags & VFF_VDEV_MEM)
        puts("  loc=mem:ADDRESS   a place in memory; without loc= a free one");
    if (factory->factory_flags & VFF_VDEV_X86_IO)
        puts("  loc=io:PORT       a place among the I/O ports");
    puts("  name=TEXT         what it is called in lists and logs");
    for (option = factory->option_list; option && *option; option++)
        printf((*option)[0] == '0' ? "  %s\n" : "  %s=VALUE\n", *option + ((*option)[0] == '0'));
    if (factory->length)
        printf("takes %" PRIu64 " bytes of the guest's addresses", factory->length);
    else
        printf("chooses how many bytes of the guest's addresses it takes");
    printf("; access sizes:");
    for (bytes = 1; bytes <= 8; bytes *= 2)
        if (factory->acc_sizes & VDEV_SIZE(bytes))
            printf(" %u", bytes);
    putchar('\n');
}

int command_vdevs(int argc, char **argv)
{
    const struct vdev_factory *factory = NULL;
    const char *name;
    int status;

    if (simple_options(argc, argv, vdevs_help, -1, NULL, &status))
        return status;
    name = argv[optind];
    if (name && argv[optind + 1])
        return usage_error(argv[0], "unexpected argument \"%s\"", argv[optind + 1]);
    while ((factory = vdev_factory_next(factory))) {
        if (!name) {
            printf("%-12s %s\n", factory->name, factory->summary ? factory->summary : "");
        } else if (strcmp(factory->name, name) == 0) {
            print_factory(factory);
            return 0;
        }
    }
    return name ? fail("there is no vdev \"%s\"", name) : 0;
}

/* ---- check ---- */

static const char check_help[] =
    "usage: xengasp check FILE\n"
    "Reads a guest's configuration, carries its gasp_ keys out on a simulated guest and\n"
    "shows what a start would do. Needs no Xen and changes nothing.\n"
    "\n"
    "  -h, --help   this text\n";

static int print_placed(void *arg, const struct guest_vdev_info *info)
{
    struct range range = {info->block.location, info->block.location + (info->block.length - 1)};

    (void)arg;
    if (info->block.type == QST_NO_TYPE)
        printf("  vdev     %-12s no location\n", info->name);
    else
        printf("  vdev     %-12s %-3s " PRIrange "\n", info->name,
               info->block.type == QST_X86_IO ? "io" : "mem", range_arg(range));
    return 0;
}

static void print_plan(const struct config *config, struct guest_system *trial)
{
    const struct config_ram *ram;
    char size[24];
    size_t i;

    printf("%s: a %s guest", config->name, config->hvm ? "HVM" : "PVH");
    if (config->memory)
        printf(" of %s", size_text(config->memory, size));
    putchar('\n');
    for (ram = config->ram; ram < config->ram + config->n_ram; ram++)
        if (ram->placed)
            printf("  RAM      %-12s mem " PRIrange "\n", size_text(ram->size, size),
                   range_arg(ram->range));
        else
            printf("  RAM      %-12s where there is room\n", size_text(ram->size, size));
    for (i = 0; i < config->n_reserve; i++)
        printf("  reserve  %s\n", config->reserve[i].text);
    guest_each_vdev(trial, print_placed, NULL);
}

int command_check(int argc, char **argv)
{
    struct guest_system *trial;
    struct config config;
    int status;

    if (simple_options(argc, argv, check_help, 1, NULL, &status))
        return status;
    if (config_check(&config, argv[optind], &trial) == 0) {
        print_plan(&config, trial);
        guest_close(trial);
    } else {
        status = EXIT_CONFIG;
    }
    config_dispose(&config);
    return status;
}
