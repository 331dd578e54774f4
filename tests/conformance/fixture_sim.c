/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest/guest_internal.h"
#include "hv/sim.h"
#include "tests/conformance/guest_log.h"

struct driver {
    struct drive {
        struct hv *hv;
        unsigned vcpu;
        struct access access;
        uint64_t value;
        int rc, error;
        bool going;
        pthread_t thread;
    } vcpu[DRIVEN_VCPUS];
};

static int start_running(struct guest *g, bool has_ram)
{
    const uint64_t gfn[DRIVEN_PAGES] = {0, 1};

    if (!has_ram && g->hv->ops->populate(g->hv, HV_ORDER_4K, DRIVEN_PAGES, gfn) != DRIVEN_PAGES)
        return -1;
    g->driver = calloc(1, sizeof(*g->driver));
    if (!g->driver)
        return -1;
    return has_ram ? 0 : g->hv->ops->unpause(g->hv);
}

static int open_bare(struct guest *g)
{
    const struct hv_sim_options sim = {
        .type = HV_PVH, .vcpus = g->vcpus, .paging_pool = g->paging_pool, .bare = true};

    return hv_sim_open(&g->hv, &sim);
}

static int open_system(struct guest *g, const struct fixture_options *options)
{
    const struct sim_options sim = {
        .size = sizeof(sim),
        .vcpus = g->vcpus,
        .ram_bytes = options->ram_pages << HV_PAGE_SHIFT,
        .host_bytes = options->host_pages << HV_PAGE_SHIFT,
    };
    const struct guest_options mine = guest_options_with(NULL);

    if (guest_open_sim(&g->gsp, &sim, &mine) < 0)
        return -1;
    g->hv = g->gsp->hv;
    return g->hv->ops->set_paging_pool(g->hv, g->paging_pool);
}

static void close_hv(struct guest *g)
{
    if (g->gsp)
        guest_close(g->gsp);
    else if (g->hv)
        g->hv->ops->close(g->hv);
}

static int make(struct guest *g, const struct fixture_options *options)
{
    struct hv_info info;

    *g = (struct guest){
        .vcpus = options->vcpus ? options->vcpus : 2,
        .max_pages = options->max_pages ? options->max_pages : 16384,
        .paging_pool = options->paging_pool ? options->paging_pool : 4 << 20,
    };
    if ((options->ram_pages ? open_system(g, options) : open_bare(g)) < 0 ||
        g->hv->ops->set_max_pages(g->hv, g->max_pages) < 0 || g->hv->ops->info(g->hv, &info) < 0 ||
        (options->running && start_running(g, options->ram_pages > 0) < 0)) {
        free(g->driver);
        close_hv(g);
        return -1;
    }
    memcpy(g->uuid, info.uuid, sizeof(g->uuid));
    return 0;
}

static void *make_access(void *arg)
{
    struct drive *d = arg;

    d->value = d->access.value;
    d->rc = hv_sim_access(d->hv, d->vcpu, d->access.type, d->access.write, d->access.addr,
                          d->access.size, &d->value, -1);
    d->error = errno;
    return NULL;
}

static int start(struct guest *g, unsigned vcpu, const struct access *a)
{
    struct drive *d = &g->driver->vcpu[vcpu];

    *d = (struct drive){.hv = g->hv, .vcpu = vcpu, .access = *a};
    errno = pthread_create(&d->thread, NULL, make_access, d);
    d->going = errno == 0;
    return d->going ? 0 : -1;
}

static int wait_access(struct guest *g, unsigned vcpu, int ms, uint32_t *value_r)
{
    struct drive *d = &g->driver->vcpu[vcpu];
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec + ms * 1000000l) / 1000000000;
    until.tv_nsec = (until.tv_nsec + ms * 1000000l) % 1000000000;
    errno = pthread_timedjoin_np(d->thread, NULL, &until);
    if (errno)
        return -1;
    d->going = false;
    errno = d->error;
    *value_r = d->value;
    return d->rc;
}

static int log_writes(struct guest *g, bool on)
{
    return hv_sim_log(g->hv, on);
}

static bool logged(struct guest *g, uint64_t gfn)
{
    return hv_sim_logged(g->hv, gfn);
}

static uint64_t host_free(struct guest *g)
{
    struct hv_sim_usage usage;

    hv_sim_usage(g->hv, &usage);
    return usage.host_pages;
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
    if (!g->gsp)
        destroy(g);
    for (unsigned i = 0; g->driver && i < DRIVEN_VCPUS; i++)
        if (g->driver->vcpu[i].going)
            pthread_join(g->driver->vcpu[i].thread, NULL);
    free(g->driver);
    close_hv(g);
}

static int guard(int (*body)(void *arg), void *arg)
{
    return body(arg);
}

const struct fixture fixture_sim = {
    .make = make,
    .start = start,
    .wait = wait_access,
    .log = log_writes,
    .logged = logged,
    .host_free = host_free,
    .shut_down = shut_down,
    .destroy = destroy,
    .close = close_guest,
    .guard = guard,
};
