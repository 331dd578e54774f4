/* SPDX-License-Identifier: BSD-2-Clause */
/* The parent's half of the port over Xen: every call that changes Xen's state for the guest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/xen_internal.h"

#include <xen/hvm/save.h> /* after the libraries' headers, which it needs */

_Static_assert(sizeof(xen_pfn_t) == sizeof(uint64_t), "frame lists are handed to Xen as they are");
_Static_assert(XEN_DMOP_IO_RANGE_PORT == HV_RANGE_PORT &&
                   XEN_DMOP_IO_RANGE_MEMORY == HV_RANGE_MEMORY &&
                   XEN_DMOP_IO_RANGE_PCI == HV_RANGE_PCI,
               "Xen's numbers");
_Static_assert(SHUTDOWN_poweroff == HV_POWEROFF && SHUTDOWN_reboot == HV_REBOOT &&
                   SHUTDOWN_suspend == HV_SUSPEND && SHUTDOWN_crash == HV_CRASH &&
                   SHUTDOWN_watchdog == HV_WATCHDOG && SHUTDOWN_soft_reset == HV_SOFT_RESET,
               "Xen's numbers");
_Static_assert(sizeof(xen_domain_handle_t) == sizeof(((struct hv_info *)0)->uuid), "a UUID");

/* Extents in one call: Xen's libraries copy the list, so a long one is cut. */
enum { BATCH = 2048 };

enum { MEMORY_MAP_MAX = 128 }; /* hvmloader's and libxl's limit */

int xen_parent_open(struct xen_hv *x)
{
    x->xch = xc_interface_open(&x->xtl, &x->xtl, 0);
    return x->xch ? 0 : -1;
}

void xen_parent_close(struct xen_hv *x)
{
    if (x->xs)
        xs_close(x->xs);
    xc_interface_close(x->xch);
}

static int get_domain(struct xen_hv *x, xc_domaininfo_t *d)
{
    int n = xc_domain_getinfolist(x->xch, x->domid, 1, d);

    if (n < 0)
        return -1;
    /* Xen answers with the first domain from this number up. */
    if (n == 0 || d->domain != x->domid) {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

/* Xen does not tell whether a guest was ever unpaused; but one that was has used its CPU. */
static bool never_ran(const xc_domaininfo_t *d)
{
    return (d->flags & XEN_DOMINF_paused) && d->cpu_time == 0;
}

int xen_info(struct hv *hv, struct hv_info *info_r)
{
    struct xen_hv *x = xen_hv(hv);
    uint64_t pod_total, pod_cache, pod_entries;
    xc_domaininfo_t d;
    xen_pfn_t nr_gfns;

    if (get_domain(x, &d) < 0)
        return -1;
    if (!(d.flags & XEN_DOMINF_hvm_guest)) {
        errno = ENOTSUP;
        return -1;
    }
    if (xc_domain_nr_gpfns(x->xch, x->domid, &nr_gfns) < 0 ||
        xc_domain_get_pod_target(x->xch, x->domid, &pod_total, &pod_cache, &pod_entries) < 0)
        return -1;
    *info_r = (struct hv_info){
        .type = d.arch_config.emulation_flags == XEN_X86_EMU_LAPIC ? HV_PVH : HV_HVM,
        .max_vcpus = d.max_vcpu_id + 1, /* XEN_INVALID_MAX_VCPU_ID + 1 is none */
        .nr_pages = d.tot_pages,
        .max_pages = d.max_pages,
        .nr_gfns = nr_gfns,
        .pod_pages = pod_entries,
        .never_ran = never_ran(&d),
        .paused = d.flags & XEN_DOMINF_paused,
        .dying = d.flags & XEN_DOMINF_dying,
        .shutdown = d.flags & XEN_DOMINF_shutdown,
        .shutdown_reason = (d.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask,
    };
    memcpy(info_r->uuid, d.handle, sizeof(info_r->uuid));
    return 0;
}

static const char token_gone[] = "gone", token_target[] = "target";

/* xenstore, with the watches set; under the lock. NULL with errno. */
static struct xs_handle *need_xenstore(struct xen_hv *x)
{
    char path[64];

    if (x->xs)
        return x->xs;
    x->xs = xs_open(0);
    if (!x->xs)
        return NULL;
    snprintf(path, sizeof(path), "/local/domain/%u/memory/target", x->domid);
    if (xs_watch(x->xs, "@releaseDomain", token_gone) && xs_watch(x->xs, path, token_target))
        return x->xs;
    xs_close(x->xs);
    x->xs = NULL;
    return NULL;
}

int xen_news_fd(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);
    struct xs_handle *xs;
    int fd = -1;

    pthread_mutex_lock(&x->lock);
    xs = need_xenstore(x);
    if (xs)
        fd = xs_fileno(xs);
    pthread_mutex_unlock(&x->lock);
    return fd;
}

unsigned xen_news(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);
    unsigned news = 0;
    char **event;

    pthread_mutex_lock(&x->lock);
    while (x->xs && (event = xs_check_watch(x->xs))) {
        news |= strcmp(event[XS_WATCH_TOKEN], token_target) == 0 ? HV_NEWS_TARGET : HV_NEWS_GONE;
        free(event);
    }
    pthread_mutex_unlock(&x->lock);
    return news;
}

/* A number of KiB below the guest's memory/; 0: there is none. */
static uint64_t read_kib(struct xen_hv *x, struct xs_handle *xs, const char *what)
{
    char path[64], *text;
    uint64_t kib = 0;
    unsigned len;

    snprintf(path, sizeof(path), "/local/domain/%u/memory/%s", x->domid, what);
    text = xs_read(xs, XBT_NULL, path, &len); /* ends with a NUL */
    if (text)
        kib = strtoull(text, NULL, 10);
    free(text);
    return kib;
}

int xen_memory_target(struct hv *hv, uint64_t *pages_r)
{
    struct xen_hv *x = xen_hv(hv);
    struct xs_handle *xs;
    uint64_t kib = 0;
    int rc = -1;

    pthread_mutex_lock(&x->lock);
    xs = need_xenstore(x);
    if (xs) {
        kib = read_kib(x, xs, "target");
        errno = ENOENT;
    }
    if (kib > 0) {
        /* libxl counts a video card's memory apart. */
        *pages_r = (kib + read_kib(x, xs, "videoram")) >> (HV_PAGE_SHIFT - 10);
        rc = 0;
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

typedef int reservation_fn(xc_interface *xch, unsigned order, size_t n, xen_pfn_t gfn[],
                           uint32_t domid);

static int populate_batch(xc_interface *xch, unsigned order, size_t n, xen_pfn_t gfn[],
                          uint32_t domid)
{
    return xc_domain_populate_physmap(xch, domid, n, order, 0, gfn);
}

static int depopulate_batch(xc_interface *xch, unsigned order, size_t n, xen_pfn_t gfn[],
                            uint32_t domid)
{
    return xc_domain_decrease_reservation(xch, domid, n, order, gfn);
}

/* The library writes to the list that it is given, hence the copy. */
static size_t in_batches(struct xen_hv *x, reservation_fn *call, unsigned order, size_t n,
                         const uint64_t gfn[])
{
    xen_pfn_t batch[BATCH];
    size_t done = 0;

    while (done < n) {
        size_t want = n - done < BATCH ? n - done : BATCH;
        int got;

        memcpy(batch, gfn + done, want * sizeof(*batch));
        got = call(x->xch, order, want, batch, x->domid);
        if (got < 0)
            break;
        done += got;
        if ((size_t)got < want)
            break;
    }
    return done;
}

size_t xen_populate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[])
{
    return in_batches(xen_hv(hv), populate_batch, order, n, gfn);
}

size_t xen_depopulate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[])
{
    return in_batches(xen_hv(hv), depopulate_batch, order, n, gfn);
}

/* Xen interrupts long calls by itself and goes on with them: no need for batches. */
static bool fits_a_call(size_t n)
{
    if (n <= UINT32_MAX)
        return true;
    errno = EINVAL;
    return false;
}

int xen_relocate(struct hv *hv, size_t n, uint64_t from, uint64_t to)
{
    struct xen_hv *x = xen_hv(hv);

    return fits_a_call(n) ? xendevicemodel_relocate_memory(x->dmod, x->domid, n, from, to) : -1;
}

int xen_set_ram_type(struct hv *hv, bool read_only, size_t n, uint64_t gfn)
{
    struct xen_hv *x = xen_hv(hv);

    if (!fits_a_call(n))
        return -1;
    return xendevicemodel_set_mem_type(x->dmod, x->domid, read_only ? HVMMEM_ram_ro : HVMMEM_ram_rw,
                                       gfn, n);
}

int xen_set_max_pages(struct hv *hv, uint64_t max_pages)
{
    struct xen_hv *x = xen_hv(hv);

    if (max_pages > UINT32_MAX) /* Xen keeps no more; a multiple of it must not wrap either */
        max_pages = UINT32_MAX;
    return xc_domain_setmaxmem(x->xch, x->domid, max_pages << (HV_PAGE_SHIFT - 10));
}

int xen_get_paging_pool(struct hv *hv, uint64_t *bytes_r)
{
    struct xen_hv *x = xen_hv(hv);

    return xc_get_paging_mempool_size(x->xch, x->domid, bytes_r);
}

int xen_set_paging_pool(struct hv *hv, uint64_t bytes)
{
    struct xen_hv *x = xen_hv(hv);

    return xc_set_paging_mempool_size(x->xch, x->domid, bytes);
}

int xen_pause(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);

    return xc_domain_pause(x->xch, x->domid);
}

int xen_unpause(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);

    return xc_domain_unpause(x->xch, x->domid);
}

int xen_boot_info(struct hv *hv, uint64_t *gpa_r)
{
    struct xen_hv *x = xen_hv(hv);
    HVM_SAVE_TYPE(CPU) cpu;
    xc_domaininfo_t d;

    if (get_domain(x, &d) < 0)
        return -1;
    if (!never_ran(&d)) {
        *gpa_r = 0;
        return 0;
    }
    if (xc_domain_hvm_getcontext_partial(x->xch, x->domid, HVM_SAVE_CODE(CPU), 0, &cpu,
                                         sizeof(cpu)) == 0) {
        *gpa_r = cpu.rbx;
        return 0;
    }
    if (errno != ENODATA && errno != ENOENT) /* vCPU 0 is not set up; there is none */
        return -1;
    *gpa_r = 0;
    return 0;
}

int xen_set_memory_map(struct hv *hv, size_t n, const struct hv_memory_entry entry[])
{
    struct xen_hv *x = xen_hv(hv);
    struct e820entry map[MEMORY_MAP_MAX];

    if (n > MEMORY_MAP_MAX) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        map[i] = (struct e820entry){entry[i].addr, entry[i].size, entry[i].type};
    return xc_domain_set_memory_map(x->xch, x->domid, map, n);
}

int xen_server_create(struct hv *hv, unsigned *server_r)
{
    struct xen_hv *x = xen_hv(hv);
    ioservid_t id;

    /* Xen would buffer nothing of ours: no second page and port for that. */
    if (xendevicemodel_create_ioreq_server(x->dmod, x->domid, HVM_IOREQSRV_BUFIOREQ_OFF, &id) < 0)
        return -1;
    *server_r = id;
    return 0;
}

int xen_server_destroy(struct hv *hv, unsigned server)
{
    struct xen_hv *x = xen_hv(hv);

    return xendevicemodel_destroy_ioreq_server(x->dmod, x->domid, xen_server(server));
}

int xen_server_enable(struct hv *hv, unsigned server, bool on)
{
    struct xen_hv *x = xen_hv(hv);

    return xendevicemodel_set_ioreq_server_state(x->dmod, x->domid, xen_server(server), on);
}

bool xen_server_exists(struct hv *hv, unsigned server)
{
    struct xen_hv *x = xen_hv(hv);

    /* Without the frame numbers: asking for them would put the pages into the guest. */
    return xendevicemodel_get_ioreq_server_info(x->dmod, x->domid, xen_server(server), NULL, NULL,
                                                NULL) == 0;
}

typedef int range_fn(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id, int is_mmio,
                     uint64_t first, uint64_t last);
typedef int function_fn(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id, uint16_t segment,
                        uint8_t bus, uint8_t device, uint8_t function);

static int change_range(struct xen_hv *x, unsigned server, enum hv_range_type type, uint64_t first,
                        uint64_t last, range_fn *range, function_fn *function)
{
    if (type > HV_RANGE_PCI || (type == HV_RANGE_PCI && (first != last || first > UINT32_MAX))) {
        errno = EINVAL;
        return -1;
    }
    if (type == HV_RANGE_PCI)
        return function(x->dmod, x->domid, xen_server(server), first >> 16, (first >> 8) & 0xff,
                        (first >> 3) & 0x1f, first & 7);
    return range(x->dmod, x->domid, xen_server(server), type == HV_RANGE_MEMORY, first, last);
}

int xen_server_map_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                         uint64_t last)
{
    return change_range(xen_hv(hv), server, type, first, last,
                        xendevicemodel_map_io_range_to_ioreq_server,
                        xendevicemodel_map_pcidev_to_ioreq_server);
}

int xen_server_unmap_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                           uint64_t last)
{
    return change_range(xen_hv(hv), server, type, first, last,
                        xendevicemodel_unmap_io_range_from_ioreq_server,
                        xendevicemodel_unmap_pcidev_from_ioreq_server);
}
