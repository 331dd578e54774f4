/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's configuration: what is read, every refusal's words, and how it is carried out. */
#include "daemon/config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>

#include "guest/describe.h"
#include "tests/check_main.h"

#define PVH "name = \"g\"\ntype = \"pvh\"\nmemory = 128\n"
#define HVM "name = \"g\"\ntype = \"hvm\"\nmemory = 128\n"

static int parse(struct config *config, const char *text, char **error_r)
{
    return config_parse(config, "g.cfg", text, strlen(text), error_r);
}

static void parse_ok(struct config *config, const char *text)
{
    char *error;
    int rc = parse(config, text, &error);

    ck_assert_msg(rc == 0, "%s", error);
    ck_assert_ptr_null(error);
}

/* Reading or, that being fine, the trial fails with these words. */
static void expect_refusal(const char *text, const char *message)
{
    struct guest_system *gsp;
    struct config config;
    char *error = NULL;
    int rc = parse(&config, text, &error);

    if (rc == 0)
        rc = config_try(&config, &gsp, &error);
    ck_assert_msg(rc == -1, "accepted: %s", text);
    ck_assert_str_eq(error ? error : "(no message)", message);
    free(error);
    config_dispose(&config);
}

START_TEST(reads_everything)
{
    struct config config;

    parse_ok(&config, "# gasp_nonsense in a comment\n"
                      "extra = \"gasp_nonsense in a string\"; name = 'guest one'\n"
                      "type = \"hvm\"\nmemory = 256\nmaxmem = 256\n"
                      "gasp_ram = [ \"start=0x100000000,size=64M\",\n \"size=5000,untyped=0\",\n"
                      "             \"untyped=1,size=2M,start=8G\" ]\n"
                      "gasp_reserve = [ \"mem:0xfe900000,0x1000\", \"io:0x3000,32\" ]\n"
                      "gasp_vdev = [ \"trace,loc=mem:0xfe000000\", \"null\" ]\n"
                      "gasp_unsupported = \"log\"\ngasp_window = \"size=1G\"");
    ck_assert_str_eq(config.name, "guest one");
    ck_assert(config.hvm);
    ck_assert_uint_eq(config.memory, UINT64_C(256) << 20);
    ck_assert_int_eq(config.unsupported, GUEST_UNSUPPORTED_LOG);
    ck_assert_uint_eq(config.window, UINT64_C(1) << 30);
    ck_assert_uint_eq(config.n_ram, 3);
    ck_assert(config.ram[0].placed && !config.ram[0].untyped);
    ck_assert_uint_eq(config.ram[0].range.first, UINT64_C(0x100000000));
    ck_assert_uint_eq(config.ram[0].range.last, UINT64_C(0x103ffffff));
    ck_assert(!config.ram[1].placed && !config.ram[1].untyped);
    ck_assert_uint_eq(config.ram[1].size, 8192);
    ck_assert(config.ram[2].placed && config.ram[2].untyped);
    ck_assert_uint_eq(config.ram[2].range.first, UINT64_C(8) << 30);
    ck_assert_uint_eq(config.n_reserve, 2);
    ck_assert_uint_eq(config.reserve[0].block.type, QST_MEMORY);
    ck_assert_uint_eq(config.reserve[0].block.location, 0xfe900000);
    ck_assert_uint_eq(config.reserve[0].block.length, 0x1000);
    ck_assert_uint_eq(config.reserve[1].block.type, QST_X86_IO);
    ck_assert_uint_eq(config.reserve[1].block.location, 0x3000);
    ck_assert_uint_eq(config.reserve[1].block.length, 32);
    ck_assert_uint_eq(config.n_vdev, 2);
    ck_assert_str_eq(config.vdev[0], "trace,loc=mem:0xfe000000");
    ck_assert_str_eq(config.vdev[1], "null");
    config_dispose(&config);
    config_dispose(&config);
}
END_TEST

START_TEST(needs_no_gasp_keys)
{
    struct config config;

    parse_ok(&config, PVH);
    ck_assert(!config.hvm);
    ck_assert_uint_eq(config.n_ram + config.n_reserve + config.n_vdev + config.window, 0);
    ck_assert_int_eq(config.unsupported, GUEST_UNSUPPORTED_IGNORE);
    config_dispose(&config);
    parse_ok(&config, "name=\"g\"; builder=\"hvm\"");
    ck_assert(config.hvm);
    ck_assert_uint_eq(config.memory, 0);
    config_dispose(&config);
    parse_ok(&config, "name=\"12g\"; type=\"pvh\"; maxmem=128");
    ck_assert_uint_eq(config.memory, UINT64_C(128) << 20);
    config_dispose(&config);
    parse_ok(&config, PVH "extra = \"a=\\\"x\\\" gasp_debug=1\"; root = 'gasp_x\\' gasp_y'\n");
    config_dispose(&config);
    parse_ok(&config, PVH "gasp_vdev = [\"null\"]\ngasp_vdev += [\"trace\"]\ngasp_ram = []\n");
    ck_assert_uint_eq(config.n_vdev, 2);
    ck_assert_uint_eq(config.n_ram, 0);
    config_dispose(&config);
    parse_ok(&config, PVH "gasp_ram = [ \"size=1M\", \"start=0,size=4K\" ]");
    ck_assert_uint_eq(config.n_ram, 2);
    config_dispose(&config);
}
END_TEST

static const struct {
    const char *text;
    int err;
    uint64_t value;
} numbers[] = {
    {"0", 0, 0},
    {"010", 0, 10},
    {"18446744073709551615", 0, UINT64_MAX},
    {"0xffffffffffffffff", 0, UINT64_MAX},
    {"0xAb", 0, 0xab},
    {"3K", 0, 3 << 10},
    {"0x10M", 0, 16 << 20},
    {"17179869183G", 0, UINT64_C(17179869183) << 30},
    {"18446744073709551616", EOVERFLOW, 0},
    {"0x10000000000000000", EOVERFLOW, 0},
    {"17179869184G", EOVERFLOW, 0},
    {"", EINVAL, 0},
    {"-1", EINVAL, 0},
    {"+1", EINVAL, 0},
    {" 1", EINVAL, 0},
    {"1 ", EINVAL, 0},
    {"0x", EINVAL, 0},
    {"0x-1", EINVAL, 0},
    {"0x0x1", EINVAL, 0},
    {"1k", EINVAL, 0},
    {"1KB", EINVAL, 0},
    {"1T", EINVAL, 0},
    {"K", EINVAL, 0},
    {"1.5M", EINVAL, 0},
    {"12a", EINVAL, 0},
};

START_TEST(reads_numbers_strictly)
{
    uint64_t value = 0;

    ck_assert_int_eq(config_number(numbers[_i].text, &value), numbers[_i].err);
    if (numbers[_i].err == 0)
        ck_assert_uint_eq(value, numbers[_i].value);
}
END_TEST

#define RAM(item) PVH "gasp_ram = [ \"" item "\" ]\n"
#define RAM_SAYS(item, words)                                                                      \
    {                                                                                              \
        RAM(item), "g.cfg: gasp_ram item 1 \"" item "\": " words                                   \
    }
#define RESERVE_SAYS(item, words)                                                                  \
    {                                                                                              \
        PVH "gasp_reserve = [ \"" item "\" ]\n", "g.cfg: gasp_reserve item 1 \"" item "\": " words \
    }
#define VDEV_SAYS(item, words)                                                                     \
    {                                                                                              \
        PVH "gasp_vdev = [ \"null\", \"" item "\" ]\n",                                            \
            "g.cfg: gasp_vdev item 2 \"" item "\": " words                                         \
    }
#define A_NUMBER "expected a number (decimal or 0x..., with K, M or G after it if wanted), not "
#define SPACE_END "ends beyond the 1024 GiB that a guest's address space has"

static const struct {
    const char *text, *message;
} refusals[] = {
    {"name = \"g", "g.cfg:1: config parsing error near `\"g': lexical error"},
    {"type = \"pvh\"", "g.cfg: name: expected the guest's name"},
    {"name = [ \"g\" ]\ntype = \"pvh\"", "g.cfg: name: expected the guest's name"},
    {"name = \"\"\ntype = \"pvh\"", "g.cfg: name \"\": expected the guest's name"},
    {"name = \"0012\"\ntype = \"pvh\"",
     "g.cfg: name \"0012\": expected a name that isn't a number: xl and we take one for a domain's "
     "id"},
    {"name = \"g\"", "g.cfg: type: expected type = \"pvh\" or \"hvm\": a PV guest has no physical "
                     "address space to put vdevs in"},
    {"name = \"g\"\ntype = \"pv\"",
     "g.cfg: type \"pv\": expected type = \"pvh\" or \"hvm\": a PV guest has "
     "no physical address space to put vdevs in"},
    {"name = \"g\"\ntype = \"pvh\"\nmemory = \"much\"",
     "g.cfg: memory: expected MiB, at most 1048576"},
    {PVH "maxmem = \"more\"", "g.cfg: maxmem: expected MiB, at most 1048576"},
    {PVH "maxmem = 256",
     "g.cfg: maxmem: 256 is more than memory = 128: Xen would fill such a guest's memory "
     "on demand, which the service can't serve"},
    {PVH "gasp_vdevs = [ \"trace\" ]",
     "g.cfg: unknown key \"gasp_vdevs\"; expected gasp_ram, gasp_reserve, "
     "gasp_vdev, gasp_window or gasp_unsupported"},
    {PVH "extra = \"a=\\\"x\\\" gasp_a\"\ngasp_b = 1",
     "g.cfg: unknown key \"gasp_b\"; expected gasp_ram, gasp_reserve, gasp_vdev, gasp_window or "
     "gasp_unsupported"},
    {PVH "gasp_rom = [ \"start=0xfe800000,file=x\" ]", "g.cfg: gasp_rom: not supported yet"},
    {PVH "gasp_window = 1", "g.cfg: gasp_window \"1\": expected \"size=SIZE\""},
    {PVH "gasp_window = [ \"size=1G\" ]", "g.cfg: gasp_window: expected \"size=SIZE\""},
    {PVH "gasp_window = \"start=4G,size=1G\"",
     "g.cfg: gasp_window \"start=4G,size=1G\": expected \"size=SIZE\""},
    {PVH "gasp_window = \"size=1T\"",
     "g.cfg: gasp_window \"size=1T\": size: expected a number (decimal or 0x..., with K, M or G "
     "after it if wanted), not \"1T\""},
    {PVH "gasp_window = \"size=0\"",
     "g.cfg: gasp_window \"size=0\": size: expected at least one byte"},
    {PVH "gasp_window = \"size=1025G\"", "g.cfg: gasp_window \"size=1025G\": size: more than the "
                                         "1024 GiB that a guest's address space has"},
    {PVH "gasp_window = \"size=1024G\"", "g.cfg: no gasp window of 1048576 MiB: No space left on "
                                         "device"},
    {PVH "gasp_unsupported = \"panic\"",
     "g.cfg: gasp_unsupported \"panic\": expected \"ignore\", \"log\" or \"abort\""},
    {PVH "gasp_unsupported = [ \"log\" ]",
     "g.cfg: gasp_unsupported: expected \"ignore\", \"log\" or \"abort\""},
    {PVH "gasp_ram = \"size=1M\"", "g.cfg: gasp_ram: expected a list: [ \"...\", ... ]"},
    {PVH "gasp_ram = [ [ \"size=1M\" ] ]", "g.cfg: gasp_ram item 1: expected a string"},
    RAM_SAYS("", "expected key=value, not \"\""),
    RAM_SAYS("64M", "expected key=value, not \"64M\""),
    RAM_SAYS("size=1M,colour=red", "unknown key \"colour\"; expected start, size or untyped"),
    RAM_SAYS("size=1M,size=2M", "size is given twice"),
    RAM_SAYS("start=4G", "size= is missing"),
    RAM_SAYS("size=", "size: " A_NUMBER "\"\""),
    RAM_SAYS("size=1Q", "size: " A_NUMBER "\"1Q\""),
    RAM_SAYS("size=99999999999G", "size: \"99999999999G\" is more than 64 bits hold"),
    RAM_SAYS("size=0", "size: expected at least one byte"),
    RAM_SAYS("size=1025G", "size: more than the 1024 GiB that a guest's address space has"),
    RAM_SAYS("start=here,size=1M", "start: " A_NUMBER "\"here\""),
    RAM_SAYS("start=0x100000800,size=1M", "start: expected a multiple of 4K"),
    RAM_SAYS("start=1023G,size=2G", SPACE_END),
    RAM_SAYS("start=0xfffffffffffff000,size=4K", SPACE_END),
    RAM_SAYS("size=1M,untyped=2", "untyped: expected 0 or 1, not \"2\""),
    RAM_SAYS("size=1M,untyped=1", "size: with untyped=1 expected a multiple of 2M"),
    RAM_SAYS("start=0x100100000,size=2M,untyped=1",
             "start: expected a multiple of 2M with untyped=1"),
    {PVH "gasp_ram = [ \"start=4G,size=2M\", \"size=1M\", \"start=0x1001ff000,size=4K\" ]",
     "g.cfg: gasp_ram item 3 \"start=0x1001ff000,size=4K\": overlaps item 1 \"start=4G,size=2M\""},
    RAM_SAYS("start=64M,size=1M", "overlaps [0x0000000000000000-0x0000000007ffffff] (RAM)"),
    RESERVE_SAYS("0xfe900000,4K", "expected mem:ADDRESS,SIZE or io:PORT,SIZE"),
    RESERVE_SAYS("mem:0xfe900000",
                 "the size is missing; expected mem:ADDRESS,SIZE or io:PORT,SIZE"),
    RESERVE_SAYS("mem:x,4K", "address: " A_NUMBER "\"x\""),
    RESERVE_SAYS("io:x,4", "port: " A_NUMBER "\"x\""),
    RESERVE_SAYS("io:0x3000,4,4", "size: " A_NUMBER "\"4,4\""),
    RESERVE_SAYS("io:0x3000,0", "size: expected at least one byte"),
    RESERVE_SAYS("io:0xffff,2", "ends beyond port 0xffff"),
    RESERVE_SAYS("mem:1023G,2G", SPACE_END),
    VDEV_SAYS("", "expected NAME,key=value,..."),
    VDEV_SAYS("tracer,loc=io:1",
              "there is no vdev \"tracer\"; xengasp vdevs lists those that there are"),
    VDEV_SAYS("trace,intr=isa:5",
              "intr=isa:5: a PVH guest has no interrupt controller for a wired interrupt"),
    VDEV_SAYS("trace,intr=pci:3.INTA",
              "intr=pci:3.INTA: a PVH guest has no interrupt controller for a wired interrupt"),
    VDEV_SAYS("trace,colour=red", "vdev trace: unknown option \"colour\""),
    VDEV_SAYS("trace,loc=fe000000", "vdev trace: loc=fe000000: expected mem:ADDRESS or io:PORT"),
    {PVH "gasp_vdev = [ \"trace,loc=mem:0xfe000000\", \"trace,loc=mem:0xfe000002\" ]",
     "g.cfg: gasp_vdev item 2 \"trace,loc=mem:0xfe000002\": "
     "memory [0x00000000fe000002-0x00000000fe000005] for trace: "
     "[0x00000000fe000000-0x00000000fe000003] is trace"},
    {PVH "gasp_vdev = [ \"trace,loc=io:0x2000\", \"trace,loc=io:0x4000,loc=io:0x2002\" ]",
     "g.cfg: gasp_vdev item 2 \"trace,loc=io:0x4000,loc=io:0x2002\": "
     "ports [0x0000000000002002-0x0000000000002005] for trace: "
     "[0x0000000000002000-0x0000000000002003] is trace"},
    {PVH "gasp_ram = [ \"start=4G,size=1M\" ]\ngasp_vdev = [ \"trace,loc=mem:0x1000ffffc\" ]",
     "g.cfg: gasp_ram item 1 \"start=4G,size=1M\": overlaps "
     "[0x00000001000ffffc-0x00000001000fffff] (trace)"},
    {PVH "gasp_ram = [ \"size=2M\" ]\ngasp_vdev = [ \"trace,loc=mem:0\" ]",
     "g.cfg: gasp_vdev item 1 \"trace,loc=mem:0\": "
     "memory [0x0000000000000000-0x0000000000000003] for trace: "
     "[0x0000000000000000-0x0000000007ffffff] is RAM"},
};

START_TEST(refuses)
{
    expect_refusal(refusals[_i].text, refusals[_i].message);
}
END_TEST

START_TEST(refuses_what_is_no_text_file)
{
    static char big[(1 << 20) + 1];
    struct config config;
    char *error;

    ck_assert_int_eq(config_parse(&config, "g.cfg", "name\0x", 6, &error), -1);
    ck_assert_str_eq(error, "g.cfg: expected a text file of at most 1 MiB");
    free(error);
    memset(big, '\n', sizeof(big));
    ck_assert_int_eq(config_parse(&config, "g.cfg", big, sizeof(big), &error), -1);
    ck_assert_str_eq(error, "g.cfg: expected a text file of at most 1 MiB");
    free(error);
    ck_assert_int_eq(config_read(&config, "/nonexistent/g.cfg", &error), -1);
    ck_assert_str_eq(error, "/nonexistent/g.cfg: No such file or directory");
    free(error);
    ck_assert_int_eq(config_read(&config, "/", &error), -1);
    ck_assert_str_eq(error, "/: Is a directory");
    free(error);
}
END_TEST

START_TEST(hvm_guests_may_have_wired_interrupts)
{
    struct config config;

    parse_ok(&config, HVM "gasp_vdev = [ \"trace,intr=isa:5\" ]");
    config_dispose(&config);
}
END_TEST

static int find_trace(void *arg, const struct guest_vdev_info *info)
{
    if (strcmp(info->name, "second") == 0)
        *(struct qvm_state_block *)arg = info->block;
    return 0;
}

/* The trial ends with a guest whose vdevs lie where a start would put them. */
START_TEST(trial_places_vdevs)
{
    struct qvm_state_block block = {.type = QST_NO_TYPE};
    struct guest_system *gsp;
    struct config config;
    char *error;
    int rc;

    parse_ok(&config, PVH "gasp_ram = [ \"start=4G,size=512G\" ]\n"
                          "gasp_reserve = [ \"mem:0xfe000000,64K\" ]\n"
                          "gasp_vdev = [ \"trace,loc=io:0x2000\", \"trace,name=second\" ]");
    rc = config_try(&config, &gsp, &error);
    ck_assert_msg(rc == 0, "%s", error);
    guest_each_vdev(gsp, find_trace, &block);
    ck_assert_uint_eq(block.type, QST_MEMORY);
    ck_assert_uint_eq(block.location, 0xfe010000);
    guest_close(gsp);
    config_dispose(&config);
}
END_TEST

/* In loc= numbers are what they are everywhere else. */
START_TEST(locations_are_numbers_as_all)
{
    struct qvm_state_block block = {.type = QST_NO_TYPE};
    struct guest_system *gsp;
    struct config config;
    char *error;
    int rc;

    parse_ok(&config, _i ? PVH "gasp_vdev = [ \"trace,name=second,loc=mem:4G\" ]"
                         : PVH "gasp_vdev = [ \"trace,name=second,loc=io:08192\" ]");
    rc = config_try(&config, &gsp, &error);
    ck_assert_msg(rc == 0, "%s", error);
    guest_each_vdev(gsp, find_trace, &block);
    ck_assert_uint_eq(block.location, _i ? UINT64_C(4) << 30 : 8192);
    guest_close(gsp);
    config_dispose(&config);
}
END_TEST

static uint64_t ram_bytes(struct guest_system *gsp, uint64_t from)
{
    struct qvm_state_block block = {.location = from, .length = 1, .type = QST_MEMORY};
    struct gasp_region rgn;
    uint64_t sum = 0;

    while (gasp_region_info(gsp, &block, &rgn) == 0 && (rgn.flags & GRF_MEMORY)) {
        sum += rgn.guest.location + rgn.guest.length - block.location;
        block.location = rgn.guest.location + rgn.guest.length;
    }
    return sum;
}

/* A service that starts anew finds the RAM of the first. */
START_TEST(ram_is_registered_once)
{
    char record[] = "/tmp/check_config.XXXXXX";
    int fd = mkstemp(record);
    struct guest_options options = {.size = sizeof(options)};
    struct guest_system *gsp;
    struct config config;
    char *error;
    int i, rc;

    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(guest_open_sim(&gsp, NULL, &options), 0);
    for (i = 0; i < 2; i++) {
        parse_ok(&config, PVH "gasp_ram = [ \"size=4M\", \"start=4G,size=2M\", \"size=4M\" ]\n");
        rc = config_apply(gsp, &config, record, &error);
        ck_assert_msg(rc == 0, "%s", error);
        ck_assert_uint_eq(ram_bytes(gsp, 0), (64 + 4) << 20);
        ck_assert_uint_eq(ram_bytes(gsp, UINT64_C(4) << 30), (2 + 4) << 20);
        ck_assert_uint_ne(config.ram[0].range.first, config.ram[2].range.first);
        ck_assert_uint_eq(range_length(config.ram[0].range), 4 << 20);
        config_dispose(&config);
    }
    guest_close(gsp);
    unlink(record);
}
END_TEST

/* What went where the service chose is not what a later item asks for. */
START_TEST(ram_of_another_item_is_not_ours)
{
    struct guest_options options = {.size = sizeof(options)};
    struct guest_system *gsp;
    struct config config;
    char *error;

    parse_ok(&config, PVH "gasp_ram = [ \"size=4M\", \"start=66M,size=2M\" ]");
    ck_assert_int_eq(guest_open_sim(&gsp, NULL, &options), 0);
    ck_assert_int_eq(config_apply(gsp, &config, "/nonexistent/record", &error), -1);
    ck_assert_str_eq(error, "g.cfg: gasp_ram item 2 \"start=66M,size=2M\": overlaps "
                            "[0x0000000000000000-0x00000000043fffff] (RAM)");
    free(error);
    guest_close(gsp);
    config_dispose(&config);
}
END_TEST

START_TEST(a_signal_ends_the_start)
{
    struct guest_options options = {.size = sizeof(options)};
    struct guest_system *gsp;
    struct config config;
    sigset_t set;
    char *error;
    int signal;

    sigemptyset(&set);
    sigaddset(&set, _i ? SIGTERM : SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ck_assert(!config_interrupted());
    raise(_i ? SIGTERM : SIGINT);
    ck_assert(config_interrupted());
    parse_ok(&config, PVH "gasp_ram = [ \"start=4G,size=2M\" ]");
    ck_assert_int_eq(guest_open_sim(&gsp, NULL, &options), 0);
    ck_assert_int_eq(config_apply(gsp, &config, "/nonexistent/record", &error), -1);
    ck_assert_str_eq(error, "g.cfg: interrupted at gasp_ram item 1");
    ck_assert_uint_eq(ram_bytes(gsp, UINT64_C(4) << 30), 0);
    free(error);
    guest_close(gsp);
    config_dispose(&config);
    sigwait(&set, &signal);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
END_TEST

static const struct {
    const char *item, *words;
    bool running;
    uint64_t host_bytes;
} unfit[] = {
    {"start=4G,size=2M",
     "the guest has run already: RAM must be registered before its first start, or in a gasp "
     "window",
     true, 0},
    {"size=2M",
     "the guest has run already: RAM must be registered before its first start, or in a gasp "
     "window",
     true, 0},
    {"start=32M,size=4M", "overlaps [0x0000000000000000-0x0000000003ffffff] (RAM)", false, 0},
    {"start=32M,size=4M", "overlaps [0x0000000000000000-0x0000000003ffffff] (RAM)", true, 0},
    {"start=32M,size=64M", "overlaps [0x0000000000000000-0x0000000003ffffff] (RAM)", false, 0},
    {"start=0xfee00000,size=4K",
     "overlaps [0x00000000fee00000-0x00000000feefffff] (the local APIC and message window)", false,
     0},
    {"start=4G,size=64M", "the host has not enough free memory", false, 16 << 20},
    {"start=4G,size=64M,untyped=1", "the host has not enough free memory in pieces of 2 MiB", false,
     16 << 20},
};

START_TEST(ram_that_cannot_be)
{
    struct sim_options sim = {
        .size = sizeof(sim), .running = unfit[_i].running, .host_bytes = unfit[_i].host_bytes};
    struct guest_options options = {.size = sizeof(options)};
    struct guest_system *gsp;
    struct config config;
    char *error, text[256], expected[256];

    snprintf(text, sizeof(text), PVH "gasp_ram = [ \"%s\" ]", unfit[_i].item);
    snprintf(expected, sizeof(expected), "g.cfg: gasp_ram item 1 \"%s\": %s", unfit[_i].item,
             unfit[_i].words);
    parse_ok(&config, text);
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
    ck_assert_int_eq(config_apply(gsp, &config, "/nonexistent/record", &error), -1);
    ck_assert_str_eq(error, expected);
    free(error);
    guest_close(gsp);
    config_dispose(&config);
}
END_TEST

static Suite *config_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *reading = tcase_create("reading"), *refusing = tcase_create("refusing"),
          *doing = tcase_create("doing");

    suite_add_tcase(suite, reading);
    tcase_add_test(reading, reads_everything);
    tcase_add_test(reading, needs_no_gasp_keys);
    tcase_add_loop_test(reading, reads_numbers_strictly, 0, sizeof(numbers) / sizeof(numbers[0]));
    tcase_add_test(reading, hvm_guests_may_have_wired_interrupts);
    suite_add_tcase(suite, refusing);
    tcase_add_loop_test(refusing, refuses, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(refusing, refuses_what_is_no_text_file);
    suite_add_tcase(suite, doing);
    tcase_add_test(doing, trial_places_vdevs);
    tcase_add_loop_test(doing, locations_are_numbers_as_all, 0, 2);
    tcase_add_test(doing, ram_is_registered_once);
    tcase_add_test(doing, ram_of_another_item_is_not_ours);
    tcase_add_loop_test(doing, a_signal_ends_the_start, 0, 2);
    tcase_add_loop_test(doing, ram_that_cannot_be, 0, sizeof(unfit) / sizeof(unfit[0]));
    return suite;
}

CHECK_MAIN(config_suite)
