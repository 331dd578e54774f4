/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/fixture.h"

#include "hv/sim.h"

static int make(struct guest *g, const struct guest_options *options)
{
    struct hv_sim_options sim = {
        .type = HV_PVH,
        .vcpus = options->vcpus ? options->vcpus : 2,
        .paging_pool = options->paging_pool ? options->paging_pool : 4 << 20,
        .bare = true,
    };
    struct hv_info info;

    *g = (struct guest){
        .vcpus = sim.vcpus,
        .max_pages = options->max_pages ? options->max_pages : 16384,
        .paging_pool = sim.paging_pool,
    };
    if (hv_sim_open(&g->hv, &sim) < 0)
        return -1;
    if (g->hv->ops->set_max_pages(g->hv, g->max_pages) < 0 || g->hv->ops->info(g->hv, &info) < 0) {
        g->hv->ops->close(g->hv);
        return -1;
    }
    __builtin_memcpy(g->uuid, info.uuid, sizeof(g->uuid));
    return 0;
}

static void shut_down(struct guest *g, enum hv_shutdown reason)
{
    hv_sim_set_shutdown(g->hv, reason);
}

static void destroy(struct guest *g)
{
    hv_sim_destroy(g->hv);
}

static void close_guest(struct guest *g)
{
    g->hv->ops->close(g->hv);
}

static int guard(int (*body)(void *arg), void *arg)
{
    return body(arg);
}

const struct fixture fixture_sim = {
    .make = make,
    .shut_down = shut_down,
    .destroy = destroy,
    .close = close_guest,
    .guard = guard,
};
