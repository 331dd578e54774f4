/* SPDX-License-Identifier: BSD-2-Clause */
/* The port over Xen: opening it, and the worker's half. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>

#include "hv/xen_internal.h"

#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h> /* after the libraries' headers, which it needs */
#include <xen/memory.h>

#define SAME_FIELD(ours, xens)                                                                     \
    _Static_assert(offsetof(struct ioreq_slot, ours) == offsetof(ioreq_t, xens) &&                 \
                       sizeof(((struct ioreq_slot *)0)->ours) == sizeof(((ioreq_t *)0)->xens),     \
                   "Xen's layout")

_Static_assert(sizeof(struct ioreq_slot) == sizeof(ioreq_t), "Xen's layout");
SAME_FIELD(addr, addr);
SAME_FIELD(data, data);
SAME_FIELD(count, count);
SAME_FIELD(size, size);
SAME_FIELD(vp_eport, vp_eport);
SAME_FIELD(pad, _pad0);
SAME_FIELD(type, type);
_Static_assert(IOREQ_PORT == IOREQ_TYPE_PIO && IOREQ_MEMORY == IOREQ_TYPE_COPY &&
                   IOREQ_PCI_CONFIG == IOREQ_TYPE_PCI_CONFIG &&
                   IOREQ_TIMEOFFSET == IOREQ_TYPE_TIMEOFFSET &&
                   IOREQ_INVALIDATE == IOREQ_TYPE_INVALIDATE,
               "Xen's numbers");
_Static_assert((int)IOREQ_DIR_WRITE == IOREQ_WRITE && (int)IOREQ_DIR_READ == IOREQ_READ &&
                   IOREQ_STATE_NONE == STATE_IOREQ_NONE && IOREQ_STATE_READY == STATE_IOREQ_READY &&
                   IOREQ_STATE_INPROCESS == STATE_IOREQ_INPROCESS &&
                   IOREQ_STATE_RESP_READY == STATE_IORESP_READY,
               "Xen's numbers");
_Static_assert(HV_PAGE_SHIFT == XC_PAGE_SHIFT, "pages are Xen's");

_Static_assert(sizeof(struct hv_extent) == sizeof(struct xen_dm_op_modified_memory_extent) &&
                   offsetof(struct hv_extent, gfn) ==
                       offsetof(struct xen_dm_op_modified_memory_extent, first_pfn),
               "Xen's layout");

/* Xen's limit of extents in one call. */
enum { MODIFIED_MAX = 256 };

struct xen_page { /* a mapped ioreq page */
    SLIST_ENTRY(xen_page) next;
    struct ioreq_page *page;
    xenforeignmemory_resource_handle *resource;
};

struct hv_events {
    xenevtchn_handle *xce;
    domid_t domid;
};

/* Bit fields lie as the compiler wants, which no static assertion can look at. */
static bool control_matches(void)
{
    union {
        ioreq_t xens;
        struct ioreq_slot ours;
    } slot = {.xens = {.state = 0xf}};

    if (slot.ours.control != IOREQ_CONTROL_STATE)
        return false;
    slot.xens = (ioreq_t){.data_is_ptr = 1};
    if (slot.ours.control != IOREQ_CONTROL_DATA_IS_PTR)
        return false;
    slot.xens = (ioreq_t){.dir = IOREQ_READ};
    if (slot.ours.control != IOREQ_CONTROL_READ)
        return false;
    slot.xens = (ioreq_t){.df = 1};
    return slot.ours.control == IOREQ_CONTROL_DF;
}

static int log_level(xentoollog_level level)
{
    switch (level) {
    case XTL_CRITICAL:
        return LOG_CRIT;
    case XTL_ERROR:
        return LOG_ERR;
    case XTL_WARN:
        return LOG_WARNING;
    default:
        return LOG_NOTICE;
    }
}

__attribute__((format(printf, 3, 4))) static void log_line(const struct hv_logger *logger,
                                                           int level, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    logger->log(logger->arg, level, format, ap);
    va_end(ap);
}

__attribute__((format(printf, 5, 0))) static void log_message(xentoollog_logger *xtl,
                                                              xentoollog_level level, int error,
                                                              const char *context,
                                                              const char *format, va_list ap)
{
    struct xen_hv *x = (struct xen_hv *)((char *)xtl - offsetof(struct xen_hv, xtl));
    int saved = errno;
    char text[512];

    if (level >= XTL_NOTICE && x->logger.log) {
        vsnprintf(text, sizeof(text), format, ap);
        log_line(&x->logger, log_level(level), "%s: %s%s%s", context ? context : "xen", text,
                 error > 0 ? ": " : "", error > 0 ? strerror(error) : "");
    }
    errno = saved;
}

static int reserve(void *at, size_t n, int how)
{
    void *got = mmap(at, n << HV_PAGE_SHIFT, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);

    return got == MAP_FAILED ? -1 : 0;
}

static int map(struct hv *hv, void *at, int prot, size_t n, const uint64_t gfn[], int err[])
{
    struct xen_hv *x = xen_hv(hv);
    int saved;

    if (!xenforeignmemory_map2(x->fmem, x->domid, at, prot, MAP_FIXED, n, gfn, err)) {
        saved = errno;
        /* If Xen refused, the library has unmapped the range; if Linux did, what was there is. */
        reserve(at, n, MAP_FIXED_NOREPLACE);
        errno = saved;
        return -1;
    }
    for (size_t i = 0; i < n; i++) /* the library's are negative */
        err[i] = abs(err[i]);
    return 0;
}

static int unmap(struct hv *hv, void *at, size_t n)
{
    (void)hv;
    /* In one step: nobody else can take the place in between. */
    return reserve(at, n, MAP_FIXED);
}

static int ioreq_page_map(struct hv *hv, unsigned server, struct ioreq_page **page_r)
{
    struct xen_hv *x = xen_hv(hv);
    struct xen_page *p = calloc(1, sizeof(*p));
    void *at = NULL;

    if (!p)
        return -1;
    p->resource = xenforeignmemory_map_resource(
        x->fmem, x->domid, XENMEM_resource_ioreq_server, xen_server(server),
        XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &at, PROT_READ | PROT_WRITE, 0);
    if (!p->resource) {
        free(p);
        return -1;
    }
    p->page = at;
    pthread_mutex_lock(&x->lock);
    SLIST_INSERT_HEAD(&x->pages, p, next);
    pthread_mutex_unlock(&x->lock);
    *page_r = p->page;
    return 0;
}

static int ioreq_page_unmap(struct hv *hv, struct ioreq_page *page)
{
    struct xen_hv *x = xen_hv(hv);
    struct xen_page *p;
    int rc;

    pthread_mutex_lock(&x->lock);
    SLIST_FOREACH (p, &x->pages, next)
        if (p->page == page)
            break;
    if (p)
        SLIST_REMOVE(&x->pages, p, xen_page, next);
    pthread_mutex_unlock(&x->lock);
    if (!p) {
        errno = EINVAL;
        return -1;
    }
    rc = xenforeignmemory_unmap_resource(x->fmem, p->resource);
    free(p);
    return rc;
}

static struct hv_events *events_open(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);
    struct hv_events *ev = calloc(1, sizeof(*ev));

    if (!ev)
        return NULL;
    ev->domid = x->domid;
    ev->xce = xenevtchn_open(&x->xtl, 0);
    if (!ev->xce) {
        free(ev);
        return NULL;
    }
    return ev;
}

static void events_close(struct hv_events *ev)
{
    if (!ev)
        return;
    xenevtchn_close(ev->xce);
    free(ev);
}

static int events_fd(struct hv_events *ev)
{
    return xenevtchn_fd(ev->xce);
}

static int events_bind(struct hv_events *ev, uint32_t remote_port)
{
    return xenevtchn_bind_interdomain(ev->xce, ev->domid, remote_port);
}

static int events_unbind(struct hv_events *ev, int port)
{
    return xenevtchn_unbind(ev->xce, port);
}

static int events_pending(struct hv_events *ev)
{
    struct pollfd fd = {.fd = xenevtchn_fd(ev->xce), .events = POLLIN};
    int n = poll(&fd, 1, 0); /* the read may block, even with O_NONBLOCK: ask first */

    if (n < 0)
        return -1;
    if (n == 0) {
        errno = EAGAIN;
        return -1;
    }
    return xenevtchn_pending(ev->xce);
}

static int events_unmask(struct hv_events *ev, int port)
{
    return xenevtchn_unmask(ev->xce, port);
}

static int events_notify(struct hv_events *ev, int port)
{
    return xenevtchn_notify(ev->xce, port);
}

static int modified(struct hv *hv, size_t n, const struct hv_extent extent[])
{
    struct xen_dm_op_modified_memory_extent batch[MODIFIED_MAX];
    struct xen_hv *x = xen_hv(hv);

    for (size_t done = 0; done < n;) {
        size_t some = n - done < MODIFIED_MAX ? n - done : MODIFIED_MAX;

        memcpy(batch, extent + done, some * sizeof(*batch));
        if (xendevicemodel_modified_memory_bulk(x->dmod, x->domid, batch, some) < 0)
            return -1;
        done += some;
    }
    return 0;
}

/* Only while it logs does Xen look at what it is told, and no pages at all are wrong. */
static int logging(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);

    if (xendevicemodel_modified_memory(x->dmod, x->domid, 0, 0) == 0)
        return 0;
    return errno == EINVAL ? 1 : -1;
}

static void xen_close(struct hv *hv)
{
    struct xen_hv *x = xen_hv(hv);

    xen_parent_close(x);
    xendevicemodel_close(x->dmod);
    xenforeignmemory_close(x->fmem);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

static const struct hv_ops xen_ops = {
    .close = xen_close,
    .map = map,
    .unmap = unmap,
    .ioreq_page_map = ioreq_page_map,
    .ioreq_page_unmap = ioreq_page_unmap,
    .events_open = events_open,
    .events_close = events_close,
    .events_fd = events_fd,
    .events_bind = events_bind,
    .events_unbind = events_unbind,
    .events_pending = events_pending,
    .events_unmask = events_unmask,
    .events_notify = events_notify,
    .modified = modified,
    .logging = logging,
    .info = xen_info,
    .news_fd = xen_news_fd,
    .news = xen_news,
    .memory_target = xen_memory_target,
    .populate = xen_populate,
    .depopulate = xen_depopulate,
    .relocate = xen_relocate,
    .set_ram_type = xen_set_ram_type,
    .set_max_pages = xen_set_max_pages,
    .get_paging_pool = xen_get_paging_pool,
    .set_paging_pool = xen_set_paging_pool,
    .pause = xen_pause,
    .unpause = xen_unpause,
    .boot_info = xen_boot_info,
    .set_memory_map = xen_set_memory_map,
    .server_create = xen_server_create,
    .server_destroy = xen_server_destroy,
    .server_enable = xen_server_enable,
    .server_exists = xen_server_exists,
    .server_map_range = xen_server_map_range,
    .server_unmap_range = xen_server_unmap_range,
};

static int open_error(int error)
{
    switch (error) {
    case ENOENT: /* no /dev/xen, no /proc/xen */
    case ENODEV:
        return ENXIO;
    case EPERM: /* root, but in a guest */
        return EACCES;
    default:
        return error;
    }
}

static int open_handles(struct xen_hv *x)
{
    struct hv_info info;

    x->fmem = xenforeignmemory_open(&x->xtl, 0);
    if (!x->fmem)
        return -1;
    x->dmod = xendevicemodel_open(&x->xtl, 0);
    if (!x->dmod || xen_parent_open(x) < 0 || xen_info(&x->hv, &info) < 0)
        return -1;
    if (info.max_vcpus > IOREQ_MAX_VCPUS || !control_matches()) {
        errno = ENOTSUP;
        return -1;
    }
    return 0;
}

int hv_xen_open(struct hv **hv_r, uint32_t domid, const struct hv_logger *logger)
{
    struct xen_hv *x;
    int saved;

    if (domid >= DOMID_FIRST_RESERVED) {
        errno = ESRCH;
        return -1;
    }
    x = calloc(1, sizeof(*x));
    if (!x)
        return -1;
    x->hv.ops = &xen_ops;
    x->domid = domid;
    if (logger)
        x->logger = *logger;
    x->xtl.vmessage = log_message;
    SLIST_INIT(&x->pages);
    pthread_mutex_init(&x->lock, NULL);
    if (open_handles(x) < 0) {
        saved = open_error(errno);
        xen_close(&x->hv);
        errno = saved;
        return -1;
    }
    *hv_r = &x->hv;
    return 0;
}
