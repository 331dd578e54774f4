/* SPDX-License-Identifier: BSD-2-Clause */
/* The page that Xen and a server share. */
#include "tests/conformance/conformance.h"

static bool slots_before_and_after_enable(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page;
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    for (unsigned i = 0; i < IOREQ_MAX_VCPUS; i++) {
        CHECK_EQUAL(page->slot[i].vp_eport, 0);
        CHECK_EQUAL(page->slot[i].control, 0);
    }
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    for (unsigned i = 0; i < IOREQ_MAX_VCPUS; i++) {
        CHECK_EQUAL(page->slot[i].vp_eport != 0, i < g->vcpus);
        CHECK_EQUAL(page->slot[i].control, 0);
        for (unsigned k = 0; i < g->vcpus && k < i; k++)
            CHECK(page->slot[i].vp_eport != page->slot[k].vp_eport);
    }
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    return true;
}

static bool ports_stay_over_disable(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page;
    uint32_t port;
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    port = page->slot[1].vp_eport;
    CHECK_OK(OPS(g)->server_enable(g->hv, id, false));
    CHECK_EQUAL(page->slot[1].vp_eport, port);
    page->slot[1].vp_eport = 0;
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    CHECK_EQUAL(page->slot[1].vp_eport, port);
    page->slot[1].vp_eport = 0;
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true)); /* it is: nothing happens */
    CHECK_EQUAL(page->slot[1].vp_eport, 0);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    return true;
}

/* Enabled before there is a page, the ports are written nowhere. */
static bool enabled_before_mapped(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page;
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    CHECK_EQUAL(page->slot[0].vp_eport, 0);
    CHECK_OK(OPS(g)->server_enable(g->hv, id, false));
    CHECK_OK(OPS(g)->server_enable(g->hv, id, true));
    CHECK(page->slot[0].vp_eport != 0);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    return true;
}

static bool page_is_one_however_often_mapped(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *a, *b;
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &a));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &b));
    CHECK(a != b);
    a->slot[7].data = 0x1122334455667788;
    CHECK_EQUAL(b->slot[7].data, 0x1122334455667788);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, a));
    CHECK(!readable(a));
    CHECK_EQUAL(b->slot[7].data, 0x1122334455667788);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, b));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &a)); /* and it lives on with the server */
    CHECK_EQUAL(a->slot[7].data, 0x1122334455667788);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, a));
    return true;
}

static bool servers_have_their_own_page(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *a, *b;
    unsigned first, second;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &first));
    CHECK_OK(OPS(g)->server_create(g->hv, &second));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, first, &a));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, second, &b));
    a->slot[0].data = 1;
    CHECK_EQUAL(b->slot[0].data, 0);
    CHECK_OK(OPS(g)->server_enable(g->hv, first, true));
    CHECK_OK(OPS(g)->server_enable(g->hv, second, true));
    CHECK(a->slot[0].vp_eport != b->slot[0].vp_eport);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, a));
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, b));
    return true;
}

static bool page_outlives_the_server(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page, *next;
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    page->slot[0].data = 42;
    CHECK_OK(OPS(g)->server_destroy(g->hv, id));
    CHECK_EQUAL(page->slot[0].data, 42);
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &next));
    CHECK_EQUAL(next->slot[0].data, 0);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, next));
    return true;
}

static bool no_page_of_no_server(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page = NULL;

    (void)f;
    CHECK_FAILS(OPS(g)->ioreq_page_map(g->hv, 0, &page), ENOENT);
    CHECK_FAILS(OPS(g)->ioreq_page_map(g->hv, HV_MAX_SERVERS, &page), ENOENT);
    CHECK_FAILS(OPS(g)->ioreq_page_map(g->hv, 0x10000, &page), ENOENT);
    CHECK(page == NULL);
    CHECK_FAILS(OPS(g)->ioreq_page_unmap(g->hv, NULL), EINVAL);
    return true;
}

static bool page_is_not_the_guests(struct guest *g, const struct fixture *f)
{
    struct ioreq_page *page;
    struct hv_info info;
    unsigned id;

    (void)f;
    CHECK_OK(OPS(g)->server_create(g->hv, &id));
    CHECK_OK(OPS(g)->ioreq_page_map(g->hv, id, &page));
    CHECK_OK(OPS(g)->info(g->hv, &info));
    CHECK_EQUAL(info.nr_pages, 0);
    CHECK_EQUAL(info.nr_gfns, 1);
    CHECK_OK(OPS(g)->ioreq_page_unmap(g->hv, page));
    return true;
}

const struct conformance_case page_cases[] = {
    {"a slot's port comes with enabling", slots_before_and_after_enable, {0}},
    {"a page full of slots", slots_before_and_after_enable, {.vcpus = IOREQ_MAX_VCPUS}},
    {"ports stay the same over a disable", ports_stay_over_disable, {0}},
    {"enabled before its page is mapped, a server has no ports", enabled_before_mapped, {0}},
    {"the page is one, however often it is mapped", page_is_one_however_often_mapped, {0}},
    {"each server has its page and ports", servers_have_their_own_page, {0}},
    {"a mapped page outlives its server", page_outlives_the_server, {0}},
    {"no page without a server", no_page_of_no_server, {0}},
    {"the page is none of the guest's", page_is_not_the_guests, {0}},
    {NULL, NULL, {0}},
};
