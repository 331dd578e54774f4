/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/gasp_fixture.h"

#include <stdio.h>
#include <string.h>

struct hv *hv;
struct gasp gasp;
vdev_t vdev_a = {.v_name = "vdev-a"}, vdev_b = {.v_name = "vdev-b"};
char logged[1024];

__attribute__((format(printf, 3, 0))) static void keep(void *arg, enum guest_log_level level,
                                                       const char *format, va_list ap)
{
    size_t n = strlen(logged);

    (void)arg;
    (void)level;
    vsnprintf(logged + n, sizeof(logged) - n - 1, format, ap);
    strcat(logged, "\n");
}

void log_forget(void)
{
    logged[0] = 0;
}

void open_guest(struct hv_sim_options options, bool ram_only)
{
    const struct guest_options mine = {
        .size = sizeof(mine), .log = keep, .memory_limit = SPACE_LIMIT, .ram_only = ram_only};
    struct hv_info i;

    options.vcpus = options.vcpus ? options.vcpus : 1;
    options.ram_bytes = options.ram_bytes ? options.ram_bytes : RAM_BYTES;
    ck_assert_int_eq(hv_sim_open(&hv, &options), 0);
    ck_assert_int_eq(hv->ops->info(hv, &i), 0);
    ck_assert_int_eq(gasp_init(&gasp, hv, &i, &mine), 0);
    ck_assert_int_eq(gasp_seed(&gasp, &i, &(struct gasp_kept){0}), 0);
    log_forget();
}

void open_pvh(void)
{
    open_guest((struct hv_sim_options){.type = HV_PVH}, false);
}

void close_guest(void)
{
    struct hv_sim_usage u;

    trap_dispose(&gasp);
    gasp_dispose(&gasp);
    gasp_dispose(&gasp);
    u = usage();
    ck_assert_uint_eq(u.mapped_pages, 0);
    ck_assert_uint_eq(u.servers, 0);
    ck_assert_uint_eq(u.ranges, 0);
    hv->ops->close(hv);
}

struct hv_sim_usage usage(void)
{
    struct hv_sim_usage u;

    hv_sim_usage(hv, &u);
    return u;
}

bool same_usage(struct hv_sim_usage a, struct hv_sim_usage b)
{
    return a.nr_pages == b.nr_pages && a.host_pages == b.host_pages &&
           a.mapped_pages == b.mapped_pages && a.servers == b.servers && a.ranges == b.ranges &&
           a.ioreq_pages == b.ioreq_pages && a.bound_ports == b.bound_ports &&
           a.pause_count == b.pause_count && a.crashed == b.crashed;
}

int set(uint16_t type, uint64_t location, uint64_t length, uint32_t flags, vdev_t *vdev,
        uint32_t cookie)
{
    const struct gasp_region rgn = {
        .flags = flags, .cookie = cookie, .vdev = vdev, .guest = {location, length, type, 0}};

    errno = 0;
    return gasp_region_set_soft(gsp(), 1, &rgn) == 1 ? 0 : errno;
}

int info(uint16_t type, uint64_t location, struct gasp_region *rgn)
{
    const struct qvm_state_block block = {location, 0, type, 0};

    return gasp_region_info(gsp(), &block, rgn);
}
