/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bare domains on real Xen, made by libxenctrl alone: no toolstack, no xenstore, no kernel. What
 * creates them runs in a child process; whatever becomes of it, the parent destroys what is left.
 */
#include "tests/conformance/fixture.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/drive_xen.h"
#include "tests/conformance/guest_log.h"

/* The domain that exists now; 0: none. Shared by parent and child. */
static volatile uint32_t *alive;

static xc_interface *xen(void)
{
    static xc_interface *xch;

    if (!xch)
        xch = xc_interface_open(NULL, NULL, 0);
    return xch;
}

static void new_uuid(uint8_t uuid[16])
{
    static unsigned serial;

    memset(uuid, 0, 16);
    memcpy(uuid, "xengasp", 7);
    memcpy(uuid + 12, &(unsigned){++serial}, 4);
}

/* On a host that is emulated not every processor is fit for guests: $XENGASP_TEST_CPU is. */
static int take_processor(const struct guest *g)
{
    const char *cpu = getenv("XENGASP_TEST_CPU");
    xc_cpumap_t hard, soft;
    int ret = -1;
    unsigned v;

    if (!cpu)
        return 0;
    hard = xc_cpumap_alloc(xen());
    soft = xc_cpumap_alloc(xen());
    if (hard && soft) {
        xc_cpumap_setcpu(atoi(cpu), hard);
        for (v = 0, ret = 0; ret == 0 && v < g->vcpus; v++)
            ret = xc_vcpu_setaffinity(xen(), g->domid, (int)v, hard, soft, XEN_VCPUAFFINITY_HARD);
    }
    free(hard);
    free(soft);
    return ret;
}

/* RAM as a toolstack builds it, in large pages where they fit; then a second look at the guest. */
static int open_system(struct guest *g, uint64_t pages)
{
    struct guest_options mine;
    uint64_t gfn = 0;

    while (gfn < pages) {
        unsigned order = pages - gfn >= 1 << HV_ORDER_2M ? HV_ORDER_2M : HV_ORDER_4K;

        if (g->hv->ops->populate(g->hv, order, 1, &gfn) != 1) {
            errno = ENOMEM;
            return -1;
        }
        gfn += 1ull << order;
    }
    strcpy(g->state_dir, "/tmp/xengasp-conformance.XXXXXX");
    if (!mkdtemp(g->state_dir)) {
        g->state_dir[0] = '\0';
        return -1;
    }
    mine = guest_options_with(g->state_dir);
    return guest_open_xen(&g->gsp, g->domid, &mine);
}

static int remove_file(const char *path, const struct stat *st, int what, struct FTW *where)
{
    (void)st;
    (void)what;
    (void)where;
    return remove(path);
}

static int make_domain(struct guest *g, const struct fixture_options *options)
{
    struct xen_domctl_createdomain config = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = g->vcpus,
        .max_evtchn_port = -1,
        .max_grant_frames = 40,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch = {.emulation_flags = XEN_X86_EMU_LAPIC},
    };
    uint32_t domid = 0;

    memcpy(config.handle, g->uuid, sizeof(config.handle));
    if (xc_domain_create(xen(), &domid, &config) < 0)
        return -1;
    g->domid = *alive = domid;
    if (xc_domain_max_vcpus(xen(), domid, g->vcpus) < 0 || take_processor(g) < 0 ||
        xc_domain_setmaxmem(xen(), domid, g->max_pages * 4) < 0 ||
        xc_set_paging_mempool_size(xen(), domid, g->paging_pool) < 0)
        return -1;
    if (hv_xen_open(&g->hv, domid, NULL) < 0)
        return -1;
    if (options->ram_pages > 0 && open_system(g, options->ram_pages) < 0)
        return -1;
    return options->running ? drive_open(g, xen(), options->ram_pages > 0) : 0;
}

static void destroy(struct guest *g)
{
    if (*alive && xc_domain_destroy(xen(), g->domid) < 0)
        fprintf(stderr, "xc_domain_destroy: %m\n");
    *alive = 0;
}

static void close_guest(struct guest *g)
{
    guest_close(g->gsp);
    if (g->state_dir[0])
        nftw(g->state_dir, remove_file, 4, FTW_DEPTH | FTW_PHYS);
    destroy(g);
    drive_close(g);
    if (g->hv)
        g->hv->ops->close(g->hv);
}

static int make(struct guest *g, const struct fixture_options *options)
{
    int saved;

    *g = (struct guest){
        .vcpus = options->vcpus ? options->vcpus : 2,
        .max_pages = options->max_pages ? options->max_pages : 16384,
        .paging_pool = options->paging_pool ? options->paging_pool : 4 << 20,
    };
    new_uuid(g->uuid);
    if (!xen())
        return -1;
    if (make_domain(g, options) < 0) {
        saved = errno;
        close_guest(g);
        errno = saved;
        return -1;
    }
    return 0;
}

static int log_writes(struct guest *g, bool on)
{
    return xc_shadow_control(xen(), g->domid,
                             on ? XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY : XEN_DOMCTL_SHADOW_OP_OFF,
                             NULL, 0) < 0
               ? -1
               : 0;
}

static bool logged(struct guest *g, uint64_t gfn)
{
    DECLARE_HYPERCALL_BUFFER(uint8_t, bits);
    uint64_t pages = (gfn | 7) + 1;
    bool is = false;

    bits = xc_hypercall_buffer_alloc_pages(xen(), bits, (pages / 8 >> HV_PAGE_SHIFT) + 1);
    if (!bits)
        return false;
    if (xc_logdirty_control(xen(), g->domid, XEN_DOMCTL_SHADOW_OP_PEEK, HYPERCALL_BUFFER(bits),
                            pages, 0, NULL) == (long long)pages)
        is = bits[gfn / 8] >> gfn % 8 & 1;
    xc_hypercall_buffer_free_pages(xen(), bits, (pages / 8 >> HV_PAGE_SHIFT) + 1);
    return is;
}

static uint64_t host_free(struct guest *g)
{
    xc_physinfo_t host = {0};

    (void)g;
    if (xc_physinfo(xen(), &host) < 0)
        fprintf(stderr, "xc_physinfo: %m\n");
    return host.free_pages;
}

static void shut_down(struct guest *g, enum hv_shutdown reason)
{
    if (xc_domain_shutdown(xen(), g->domid, reason) < 0)
        fprintf(stderr, "xc_domain_shutdown: %m\n");
}

static volatile pid_t child;

static void forward(int sig)
{
    kill(child, sig);
}

static int guard(int (*body)(void *arg), void *arg)
{
    struct sigaction action = {.sa_handler = forward};
    int status;

    alive = mmap(NULL, sizeof(*alive), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (alive == MAP_FAILED)
        return 1;
    fflush(stdout);
    child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        status = body(arg);
        fflush(stdout);
        _exit(status);
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return 1;
    if (*alive) { /* xc_domain_destroy wants no more than the number */
        printf("# destroying domain %u, left behind\n", *alive);
        destroy(&(struct guest){.domid = *alive});
    }
    if (WIFSIGNALED(status))
        printf("# killed: %s\n", strsignal(WTERMSIG(status)));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

const struct fixture fixture_xen = {
    .real = true,
    .make = make,
    .start = drive_start,
    .wait = drive_wait,
    .log = log_writes,
    .logged = logged,
    .host_free = host_free,
    .shut_down = shut_down,
    .destroy = destroy,
    .close = close_guest,
    .guard = guard,
};
