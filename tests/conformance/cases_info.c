/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest is, and its end. */
#include "tests/conformance/conformance.h"

#include <time.h>

static bool info_of_a_fresh_guest(struct guest *g, const struct fixture *f)
{
    struct hv_info info;

    (void)f;
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.type, HV_PVH);
    CHECK_EQUAL(info.max_vcpus, g->vcpus);
    CHECK_EQUAL(info.nr_pages, 0);
    CHECK_EQUAL(info.max_pages, g->max_pages);
    CHECK_EQUAL(info.nr_gfns, 1);
    CHECK_EQUAL(info.pod_pages, 0);
    CHECK(info.never_ran);
    CHECK(info.paused);
    CHECK(!info.dying);
    CHECK(!info.shutdown);
    CHECK(memcmp(info.uuid, g->uuid, sizeof(info.uuid)) == 0);
    return true;
}

static bool pauses_are_counted(struct guest *g, const struct fixture *f)
{
    struct hv_info info;

    (void)f;
    CHECK_OK(OPS(g)->pause(g->hv));
    CHECK_OK(OPS(g)->pause(g->hv));
    CHECK_OK(OPS(g)->unpause(g->hv));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.paused);
    CHECK_OK(OPS(g)->unpause(g->hv));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.paused); /* as it was born */
    CHECK_OK(OPS(g)->unpause(g->hv));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(!info.paused);
    CHECK(!info.never_ran);
    CHECK_FAILS(OPS(g)->unpause(g->hv), EINVAL);
    CHECK_OK(OPS(g)->pause(g->hv));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.paused);
    return true;
}

static bool no_start_info(struct guest *g, const struct fixture *f)
{
    uint64_t gpa = 1;

    (void)f;
    CHECK_OK(OPS(g)->boot_info(g->hv, &gpa));
    CHECK_EQUAL(gpa, 0);
    return true;
}

static bool shutdown_is_told(struct guest *g, const struct fixture *f)
{
    struct hv_info info;

    f->shut_down(g, HV_REBOOT);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.shutdown);
    CHECK_EQUAL(info.shutdown_reason, HV_REBOOT);
    CHECK(!info.dying);
    /* The guest is still there to look at. */
    CHECK_EQUAL(populate_run(g, 0, 1), 1);
    CHECK_EQUAL(map_error(g, 0), 0);
    return true;
}

static bool topmost_frame(struct guest *g, const struct fixture *f)
{
    uint64_t extent = 0x100000;
    struct hv_info info;

    (void)f;
    CHECK_EQUAL(populate_run(g, 0x3fff, 1), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_gfns, 0x4000);
    CHECK_EQUAL(OPS(g)->populate(g->hv, HV_ORDER_2M, 1, &extent), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_gfns, 0x100200);
    CHECK_EQUAL(OPS(g)->depopulate(g->hv, HV_ORDER_2M, 1, &extent), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_gfns, 0x100200);
    CHECK_EQUAL(populate_run(g, 0x10, 1), 1);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_gfns, 0x100200);
    return true;
}

static bool is_gone(struct guest *g)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    struct hv_info info;

    for (int i = 0; i < 500; i++) {
        if (OPS(g)->info(g->hv, &info) < 0)
            return errno == ESRCH || COMPLAIN("info: %s", strerror(errno));
        nanosleep(&pause, NULL);
    }
    return COMPLAIN("still there, %s", info.dying ? "dying" : "alive");
}

static bool nothing_works_on_no_guest(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page;
    struct hv_events *ev = OPS(g)->events_open(g->hv);
    uint64_t bytes;
    unsigned id;

    CHECK(ev != NULL);
    f->destroy(g);
    CHECK(is_gone(g));
    CHECK_EQUAL(map_error(g, 0), ESRCH);
    CHECK_EQUAL(populate_run(g, 0, 1), 0);
    CHECK_EQUAL(depopulate_run(g, 0, 1), 0);
    CHECK_FAILS(OPS(g)->relocate(g->hv, 1, 0, 1), ESRCH);
    CHECK_FAILS(OPS(g)->set_ram_type(g->hv, true, 1, 0), ESRCH);
    CHECK_FAILS(OPS(g)->set_max_pages(g->hv, 1), ESRCH);
    CHECK_FAILS(OPS(g)->get_paging_pool(g->hv, &bytes), ESRCH);
    CHECK_FAILS(OPS(g)->set_paging_pool(g->hv, HV_PAGE_SIZE), ESRCH);
    CHECK_FAILS(OPS(g)->pause(g->hv), ESRCH);
    CHECK_FAILS(OPS(g)->unpause(g->hv), ESRCH);
    CHECK_FAILS(OPS(g)->boot_info(g->hv, &bytes), ESRCH);
    CHECK_FAILS(OPS(g)->modified(g->hv, 1, &(struct hv_extent){.n = 1}), ESRCH);
    CHECK_FAILS(OPS(g)->server_create(g->hv, &id), ESRCH);
    CHECK_FAILS(OPS(g)->server_destroy(g->hv, 0), ESRCH);
    CHECK_FAILS(OPS(g)->server_enable(g->hv, 0, true), ESRCH);
    CHECK_FAILS(OPS(g)->server_map_range(g->hv, 0, HV_RANGE_PORT, 0, 0), ESRCH);
    CHECK_FAILS(OPS(g)->server_unmap_range(g->hv, 0, HV_RANGE_PORT, 0, 0), ESRCH);
    CHECK(!OPS(g)->server_exists(g->hv, 0));
    CHECK_FAILS(OPS(g)->ioreq_page_map(g->hv, 0, &page), ESRCH);
    CHECK_FAILS(OPS(g)->events_bind(ev, 5), ESRCH);
    OPS(g)->events_close(ev);
    return true;
}

/* A mapping of ours keeps the guest from going, and it looks like this then. */
static bool dying_while_mapped(struct guest *g, const struct fixture *f)
{
    struct hv_info info;
    struct window w;
    unsigned id;

    CHECK(window_open(&w, 1));
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_EQUAL(populate_run(g, 0x10, 2), 2);
    CHECK(map_run(g, &w, 0, 0x10, 1));
    memset(w.at, 0x33, HV_PAGE_SIZE);
    f->destroy(g);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.dying);
    CHECK_EQUAL(w.at[1], 0x33);
    w.at[1] = 0x34;
    CHECK_EQUAL(map_error(g, 0x10), EINVAL);
    CHECK_EQUAL(map_error(g, 0x11), EINVAL);
    CHECK_EQUAL(populate_run(g, 0x20, 1), 0);
    CHECK_EQUAL(depopulate_run(g, 0x10, 1), 0);
    CHECK_FAILS(OPS(g)->relocate(g->hv, 1, 0x10, 0x12), EINVAL);
    CHECK_FAILS(OPS(g)->set_ram_type(g->hv, true, 1, 0x10), EINVAL);
    CHECK_OK(OPS(g)->set_max_pages(g->hv, 100));
    CHECK_OK(OPS(g)->modified(g->hv, 1, &(struct hv_extent){.gfn = 0x10, .n = 1}));
    CHECK(!OPS(g)->server_exists(g->hv, id));
    CHECK_FAILS(OPS(g)->server_enable(g->hv, id, true), ENOENT);
    CHECK_FAILS(OPS(g)->server_map_range(g->hv, id, HV_RANGE_PORT, 1, 1), ENOENT);
    CHECK_FAILS(OPS(g)->server_destroy(g->hv, id), ENOENT);
    CHECK_FAILS(OPS(g)->server_create(g->hv, &id), EINVAL);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, 1));
    CHECK(is_gone(g));
    window_close(&w);
    return true;
}

static bool dying_with_ioreq_page(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page, *again;
    struct hv_events *ev;
    struct hv_info info;
    unsigned id;
    int port;

    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    ev = OPS(g)->events_open(g->hv);
    CHECK(ev != NULL);
    port = OPS(g)->events_bind(ev, page->slot[0].vp_eport);
    CHECK(port > 0);
    f->destroy(g);
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK(info.dying);
    CHECK_FAILS(OPS(g)->ioreq_page_map(g->hv, id, &again), ENOENT);
    CHECK_OK(OPS(g)->events_notify(ev, port));
    CHECK_FAILS(OPS(g)->events_bind(ev, page->slot[1].vp_eport), EINVAL);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    CHECK(is_gone(g)); /* the bound port keeps nothing */
    CHECK_OK(OPS(g)->events_notify(ev, port));
    CHECK_OK(OPS(g)->events_unbind(ev, port));
    OPS(g)->events_close(ev);
    return true;
}

const struct conformance_case info_cases[] = {
    {"info of a fresh guest", info_of_a_fresh_guest, {0}},
    {"info of a guest of one vCPU", info_of_a_fresh_guest, {.vcpus = 1, .max_pages = 4711}},
    {"info of a guest of 128 vCPUs", info_of_a_fresh_guest, {.vcpus = IOREQ_MAX_VCPUS}},
    {"pauses are counted", pauses_are_counted, {0}},
    {"a guest without start_info", no_start_info, {0}},
    {"the topmost frame ever", topmost_frame, {0}},
    {"a shutdown and its reason", shutdown_is_told, {0}},
    {NULL, NULL, {0}},
};

const struct conformance_case end_cases[] = {
    {"nothing works on a guest that is gone", nothing_works_on_no_guest, {0}},
    {"a mapping keeps a destroyed guest dying", dying_while_mapped, {0}},
    {"a mapped ioreq page keeps a destroyed guest dying", dying_with_ioreq_page, {0}},
    {NULL, NULL, {0}},
};
