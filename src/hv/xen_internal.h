/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the real hypervisor port share. Seen by xen.c and xen_parent.c only. */
#ifndef XENGASP_HV_XEN_INTERNAL_H
#define XENGASP_HV_XEN_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "hv/hv.h"

struct xen_page;

struct xen_hv {
    struct hv hv;
    domid_t domid;
    struct hv_logger logger;
    xentoollog_logger xtl; /* what every handle below logs through */

    /* The worker's. */
    xenforeignmemory_handle *fmem;
    xendevicemodel_handle *dmod;

    /* The parent's, which uses dmod too. */
    xc_interface *xch;
    struct xs_handle *xs; /* opened when first needed */

    pthread_mutex_t lock; /* of xs and pages */
    SLIST_HEAD(, xen_page) pages;
};

static inline struct xen_hv *xen_hv(struct hv *hv)
{
    return (struct xen_hv *)((char *)hv - offsetof(struct xen_hv, hv));
}

/* Xen's number for a server has 16 bits: one that doesn't fit becomes one that is none either. */
static inline ioservid_t xen_server(unsigned server)
{
    return server < UINT16_MAX ? server : UINT16_MAX;
}

/* The parent's half: see struct hv_ops. */
int xen_parent_open(struct xen_hv *x);
void xen_parent_close(struct xen_hv *x);

int xen_info(struct hv *hv, struct hv_info *info_r);
int xen_news_fd(struct hv *hv);
unsigned xen_news(struct hv *hv);
int xen_memory_target(struct hv *hv, uint64_t *pages_r);
size_t xen_populate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);
size_t xen_depopulate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);
int xen_relocate(struct hv *hv, size_t n, uint64_t from, uint64_t to);
int xen_set_ram_type(struct hv *hv, bool read_only, size_t n, uint64_t gfn);
int xen_set_max_pages(struct hv *hv, uint64_t max_pages);
int xen_get_paging_pool(struct hv *hv, uint64_t *bytes_r);
int xen_set_paging_pool(struct hv *hv, uint64_t bytes);
int xen_pause(struct hv *hv);
int xen_unpause(struct hv *hv);
int xen_boot_info(struct hv *hv, uint64_t *gpa_r);
int xen_set_memory_map(struct hv *hv, size_t n, const struct hv_memory_entry entry[]);
int xen_server_create(struct hv *hv, unsigned *server_r);
int xen_server_destroy(struct hv *hv, unsigned server);
int xen_server_enable(struct hv *hv, unsigned server, bool on);
bool xen_server_exists(struct hv *hv, unsigned server);
int xen_server_map_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                         uint64_t last);
int xen_server_unmap_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                           uint64_t last);

#endif
