/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest as a whole: how it begins, how it ends, and how calls can be made to fail. */
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/sim_fixture.h"

/* ---- a guest as it is made ---- */

START_TEST(fresh_guest)
{
    struct hv_info i = info();

    ck_assert_int_eq(i.type, HV_PVH);
    ck_assert_uint_eq(i.max_vcpus, 1);
    ck_assert_uint_eq(i.nr_pages, RAM_PAGES + SPECIAL_PAGES);
    ck_assert_uint_eq(i.max_pages, RAM_PAGES + 256);
    ck_assert_uint_eq(i.nr_gfns, 0xff000);
    ck_assert(i.never_ran && i.paused && !i.dying && !i.shutdown);
    ck_assert(is_ram(0) && is_ram(RAM_PAGES - 1) && !is_ram(RAM_PAGES));
    ck_assert(!is_ram(0xfeff7) && is_ram(0xfeff8) && is_ram(0xfefff) && !is_ram(0xff000));
    ck_assert_uint_eq(usage().host_pages, (1 << 30) / HV_PAGE_SIZE);
}
END_TEST

static void open_high(void)
{
    open_guest((struct hv_sim_options){.ram_bytes = 0xfc000000 + 2ULL * MIB});
}

START_TEST(start_info)
{
    struct {
        uint32_t magic, version, flags, nr_modules;
        uint64_t modlist, cmdline, rsdp, memmap;
        uint32_t entries, reserved;
    } si;
    struct {
        uint64_t addr, size;
        uint32_t type, reserved;
    } map[3];
    uint64_t gpa;

    ck_assert_int_eq(ops->boot_info(hv, &gpa), 0);
    ck_assert_int_eq(hv_sim_ram(hv, false, gpa, &si, sizeof(si)), 0);
    ck_assert_uint_eq(si.magic, 0x336ec578);
    ck_assert_uint_eq(si.version, 1);
    ck_assert_uint_eq(si.entries, 3);
    ck_assert_int_eq(hv_sim_ram(hv, false, si.memmap, map, sizeof(map)), 0);
    ck_assert(map[0].addr == 0 && map[0].size == 0xfc000000 && map[0].type == 1);
    ck_assert(map[1].addr == 0xfeff8000 && map[1].size == 0x8000 && map[1].type == 2);
    ck_assert(map[2].addr == 1ULL << 32 && map[2].size == 2 * MIB && map[2].type == 1);
    ck_assert(is_ram(0xfbfff) && !is_ram(0xfc000) && is_ram(0x100000) && is_ram(0x1001ff));
    ck_assert_int_eq(ops->unpause(hv), 0);
    ck_assert_int_eq(ops->boot_info(hv, &gpa), 0);
    ck_assert_uint_eq(gpa, 0);
}
END_TEST

START_TEST(bare_and_hvm_have_no_start_info)
{
    uint64_t gpa = 1;

    open_guest((struct hv_sim_options){.bare = true, .running = true});
    ck_assert_int_eq(ops->boot_info(hv, &gpa), 0);
    ck_assert_uint_eq(gpa, 0);
    ck_assert_uint_eq(info().nr_pages, 0);
    ck_assert_uint_eq(info().nr_gfns, 1);
    ck_assert(info().never_ran);
    teardown();

    open_guest((struct hv_sim_options){.type = HV_HVM, .ram_bytes = 2 * MIB});
    ck_assert_int_eq(ops->boot_info(hv, &gpa), 0);
    ck_assert_uint_eq(gpa, 0);
    ck_assert_int_eq(info().type, HV_HVM);
    ck_assert(info().never_ran);
    teardown();

    open_guest((struct hv_sim_options){.ram_bytes = 2 * MIB, .running = true});
    ck_assert(!info().never_ran && !info().paused);
    teardown();
}
END_TEST

START_TEST(open_refuses_nonsense)
{
    struct hv *h;

    errno = 0;
    ck_assert_int_eq(hv_sim_open(&h, &(struct hv_sim_options){.vcpus = 0}), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(hv_sim_open(&h, &(struct hv_sim_options){.vcpus = 129}), -1);
    ck_assert_int_eq(hv_sim_open(&h, &(struct hv_sim_options){.vcpus = 1, .ram_bytes = 5}), -1);
    /* A pool that cannot hold the guest's own tables. */
    ck_assert_int_eq(hv_sim_open(&h, &(struct hv_sim_options){.vcpus = 1,
                                                              .ram_bytes = 4ULL << 30,
                                                              .paging_pool = 12 * HV_PAGE_SIZE}),
                     -1);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(pause_is_counted)
{
    ck_assert_uint_eq(usage().pause_count, 1);
    ck_assert_int_eq(ops->pause(hv), 0);
    ck_assert_int_eq(ops->unpause(hv), 0);
    ck_assert(info().paused && info().never_ran);
    ck_assert_int_eq(ops->unpause(hv), 0);
    ck_assert(!info().paused && !info().never_ran);
    errno = 0;
    ck_assert_int_eq(ops->unpause(hv), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(ops->pause(hv), 0);
    ck_assert(info().paused && !info().never_ran);
}
END_TEST

/* ---- the end ---- */

START_TEST(shutdown_is_told)
{
    int fd = ops->news_fd(hv);

    ck_assert(!readable(fd));
    hv_sim_set_shutdown(hv, HV_REBOOT);
    ck_assert(readable(fd));
    ops->news(hv);
    ck_assert(!readable(fd));
    ops->news(hv);
    ck_assert(info().shutdown && !info().dying);
    ck_assert_int_eq(info().shutdown_reason, HV_REBOOT);
    hv_sim_set_shutdown(hv, HV_CRASH);
    ck_assert_int_eq(info().shutdown_reason, HV_REBOOT);
}
END_TEST

/* Maps a page of the guest. */
static char *hold(void)
{
    char *room = mmap(NULL, 4 * HV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t gfn = 1;
    int err;

    ck_assert_ptr_ne(room, MAP_FAILED);
    ck_assert_int_eq(ops->map(hv, room, PROT_READ | PROT_WRITE, 1, &gfn, &err), 0);
    ck_assert_int_eq(err, 0);
    return room;
}

START_TEST(destroyed_guest_lingers_while_mapped)
{
    struct hv_events *ev = ops->events_open(hv);
    struct ioreq_page *page, *again;
    struct hv_info i;
    uint64_t gpa, bytes, gfn = 1;
    unsigned server;
    char *room;
    int err;

    ck_assert_int_eq(ops->server_create(hv, &server), 0);
    ck_assert_int_eq(ops->ioreq_page_map(hv, server, &page), 0);
    ck_assert_int_eq(ops->server_enable(hv, server, true), 0);
    room = hold();
    memcpy(room, "old", 4);
    hv_sim_destroy(hv);
    ck_assert(readable(ops->news_fd(hv)));
    ck_assert(info().dying);
    ck_assert_uint_eq(info().nr_pages, 1);
    ck_assert_str_eq(room, "old");
    expect(ops->server_enable(hv, server, false), ENOENT);
    expect(ops->server_map_range(hv, server, HV_RANGE_PORT, 1, 1), ENOENT);
    expect(ops->server_destroy(hv, server), ENOENT);
    expect(ops->ioreq_page_map(hv, server, &again), ENOENT);
    expect(ops->server_create(hv, &server), EINVAL);
    expect(ops->events_bind(ev, page->slot[0].vp_eport), EINVAL);
    expect(ops->boot_info(hv, &gpa), EINVAL);
    ck_assert(!ops->server_exists(hv, server));
    ck_assert_int_eq(ops->set_max_pages(hv, 1 << 20), 0);
    ck_assert_int_eq(ops->modified(hv, 1, &(struct hv_extent){.gfn = 1, .n = 1}), 0);
    ck_assert_uint_eq(populate(HV_ORDER_4K, 5), 0);
    ck_assert_uint_eq(depopulate(HV_ORDER_4K, 5), 0);
    ck_assert_int_eq(ops->map(hv, room + HV_PAGE_SIZE, PROT_READ, 1, &gfn, &err), 0);
    ck_assert_int_eq(err, EINVAL);

    ck_assert_int_eq(ops->unmap(hv, room, 1), 0);
    ck_assert(info().dying); /* the ioreq page is enough */
    ck_assert_int_eq(ops->ioreq_page_unmap(hv, page), 0);
    expect(ops->info(hv, &i), ESRCH);
    expect(ops->server_enable(hv, server, false), ESRCH);
    expect(ops->server_create(hv, &server), ESRCH);
    expect(ops->events_bind(ev, 3), ESRCH);
    expect(ops->set_max_pages(hv, 1), ESRCH);
    expect(ops->get_paging_pool(hv, &bytes), ESRCH);
    expect(ops->set_paging_pool(hv, 0), ESRCH);
    expect(ops->pause(hv), ESRCH);
    expect(ops->unpause(hv), ESRCH);
    expect(ops->modified(hv, 1, &(struct hv_extent){.n = 1}), ESRCH);
    expect(ops->boot_info(hv, &gpa), ESRCH);
    ck_assert_int_eq(ops->map(hv, room + 2 * HV_PAGE_SIZE, PROT_READ, 1, &gfn, &err), 0);
    ck_assert_int_eq(err, ESRCH);
    ck_assert_uint_eq(usage().nr_pages, 0);
    ops->events_close(ev);
}
END_TEST

START_TEST(destroy_returns_everything)
{
    uint64_t host = usage().host_pages, pool, left;

    ck_assert_int_eq(ops->get_paging_pool(hv, &pool), 0);
    ck_assert_uint_eq(populate(HV_ORDER_4K, 0), 1); /* over RAM: a leak */
    hold();
    hv_sim_destroy(hv);
    ck_assert_uint_eq(usage().nr_pages, 1);
    /* Of the pool only what Xen itself uses stays to the end. */
    ck_assert_int_eq(ops->get_paging_pool(hv, &left), 0);
    ck_assert(left > 0 && left <= 16 * HV_PAGE_SIZE);
    ck_assert_uint_eq(usage().host_pages,
                      host + RAM_PAGES + SPECIAL_PAGES - 1 + (pool - left) / HV_PAGE_SIZE);
    hv_sim_destroy(hv);
}
END_TEST

/* ---- faults ---- */

START_TEST(nth_call_fails)
{
    struct hv_info i;
    unsigned long calls = hv_sim_calls(hv);

    ck_assert_int_eq(ops->info(hv, &i), 0);
    ck_assert_uint_eq(hv_sim_calls(hv), calls + 1);
    hv_sim_fail_call(hv, 2, EPERM);
    ck_assert_int_eq(ops->info(hv, &i), 0);
    expect(ops->pause(hv), EPERM);
    ck_assert_uint_eq(usage().pause_count, 1);
    ck_assert_int_eq(ops->pause(hv), 0);
    hv_sim_fail_call(hv, 1, EPERM);
    hv_sim_fail_call(hv, 0, 0);
    ck_assert_int_eq(ops->info(hv, &i), 0);
}
END_TEST

START_TEST(failing_populate_is_partial)
{
    uint64_t gfn[4] = {0x1000, 0x1001, 0x1002, 0x1003};

    hv_sim_fail_call(hv, 1, ENOMEM);
    ck_assert_uint_eq(ops->populate(hv, HV_ORDER_4K, 4, gfn), 2);
    ck_assert(is_ram(0x1001) && !is_ram(0x1002));
    hv_sim_fail_call(hv, 1, ENOMEM);
    ck_assert_uint_eq(ops->depopulate(hv, HV_ORDER_4K, 2, gfn), 1);
    ck_assert(!is_ram(0x1000) && is_ram(0x1001));
    hv_sim_fail_call(hv, 1, ENOMEM);
    ck_assert_uint_eq(populate(HV_ORDER_4K, 0x1005), 0);
}
END_TEST

/* The next call fails, and this is it. */
#define refused(call)                                                                              \
    do {                                                                                           \
        hv_sim_fail_call(hv, 1, EIO);                                                              \
        expect(call, EIO);                                                                         \
    } while (0)

START_TEST(every_call_of_the_worker_can_fail)
{
    char *room = mmap(NULL, HV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct hv_events *ev = ops->events_open(hv);
    struct ioreq_page *page;
    uint64_t gfn = 0;
    int err;

    refused(ops->map(hv, room, PROT_READ, 1, &gfn, &err));
    refused(ops->ioreq_page_map(hv, 0, &page));
    refused(ops->events_bind(ev, 1));
    refused(ops->events_pending(ev));
    refused(ops->events_unmask(ev, 1));
    refused(ops->events_notify(ev, 1));
    refused(ops->modified(hv, 1, &(struct hv_extent){.n = 1}));
    hv_sim_fail_call(hv, 1, EIO);
    ck_assert_ptr_null(ops->events_open(hv));
    ck_assert_uint_eq(usage().mapped_pages, 0);
    ck_assert_uint_eq(usage().bound_ports, 0);
    ops->events_close(ev);
}
END_TEST

START_TEST(every_call_of_the_parent_can_fail)
{
    struct hv_info i;
    uint64_t x;
    unsigned s;

    refused(ops->info(hv, &i));
    refused(ops->news_fd(hv));
    refused(ops->set_max_pages(hv, 1));
    refused(ops->get_paging_pool(hv, &x));
    refused(ops->set_paging_pool(hv, 2 * MIB));
    refused(ops->pause(hv));
    refused(ops->unpause(hv));
    refused(ops->boot_info(hv, &x));
    refused(ops->server_create(hv, &s));
    ck_assert_uint_eq(usage().servers, 0);
    ck_assert_int_eq(ops->server_create(hv, &s), 0);
    refused(ops->server_destroy(hv, s));
    refused(ops->server_enable(hv, s, true));
    refused(ops->server_map_range(hv, s, HV_RANGE_PORT, 1, 1));
    refused(ops->server_unmap_range(hv, s, HV_RANGE_PORT, 1, 1));
    hv_sim_fail_call(hv, 1, EIO);
    ck_assert(!ops->server_exists(hv, s));
    ck_assert(ops->server_exists(hv, s));
    ck_assert_uint_eq(usage().ranges, 0);
    ck_assert_uint_eq(usage().pause_count, 1);
    ck_assert_uint_eq(info().max_pages, RAM_PAGES + 256);
}
END_TEST

static Suite *sim_suite(void)
{
    Suite *suite = suite_create("sim");
    TCase *t = tcase_create("guest");
    TCase *own = tcase_create("own");
    TCase *high = tcase_create("4 GiB");

    tcase_add_checked_fixture(t, setup_new, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, fresh_guest);
    tcase_add_test(t, pause_is_counted);
    tcase_add_test(t, shutdown_is_told);
    tcase_add_test(t, destroyed_guest_lingers_while_mapped);
    tcase_add_test(t, destroy_returns_everything);
    tcase_add_test(t, nth_call_fails);
    tcase_add_test(t, failing_populate_is_partial);
    tcase_add_test(t, every_call_of_the_worker_can_fail);
    tcase_add_test(t, every_call_of_the_parent_can_fail);
    suite_add_tcase(suite, t);

    tcase_add_checked_fixture(high, open_high, teardown);
    tcase_add_test(high, start_info);
    suite_add_tcase(suite, high);

    tcase_set_timeout(own, 60);
    tcase_add_test(own, bare_and_hvm_have_no_start_info);
    tcase_add_test(own, open_refuses_nonsense);
    suite_add_tcase(suite, own);
    return suite;
}

CHECK_MAIN(sim_suite)
