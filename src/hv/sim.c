/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest as a whole: making it, ending it, asking about it, and letting calls fail. */
#include "hv/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    LOW_RAM_END_PVH = 0xfc000, /* frames; the hole for devices begins here, as libxl has it */
    LOW_RAM_END_HVM = 0xf0000,
    HIGH_RAM_BEGIN = 0x100000, /* 4 GiB */
    HVM_INFO_PAGE = 0x9f,
    SPECIAL_FIRST = 0xfeff8, /* xenstore, console and the like */
    SPECIAL_PAGES = 8,
    SPARE_PAGES = 256, /* libxl's maxmem above the guest's memory */
    HOST_PAGES = 1 << (30 - HV_PAGE_SHIFT),
};

/* The PVH boot protocol's structures (version 1). */
struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};

struct memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

/* hvmloader's table. */
struct hvm_info_table {
    char signature[8];
    uint32_t length;
    uint8_t checksum, apic_mode;
    uint32_t nr_vcpus, low_mem_pgend, reserved_mem_pgstart, high_mem_pgend;
    uint8_t vcpu_online[16];
};

enum { START_INFO_MAGIC = 0x336ec578, MEMMAP_RAM = 1, MEMMAP_RESERVED = 2 };

int hv_sim_enter(struct sim *sim)
{
    unsigned long call = atomic_fetch_add(&sim->calls, 1) + 1;

    if (call != atomic_load(&sim->fail_at))
        return 0;
    errno = atomic_load(&sim->fail_error);
    return -1;
}

/* A dying guest stays until the last mapping of something of its is gone. */
bool hv_sim_gone(const struct sim *sim)
{
    return sim->dying && sim->mapped_pages == 0 && sim->ioreq_maps == 0;
}

static void tell(struct sim *sim, unsigned news)
{
    uint64_t one = 1;

    atomic_fetch_or(&sim->news, news);
    /* It fails only when the counter is full, and then the fd is readable. */
    if (write(sim->news_fd, &one, sizeof(one)) < 0)
        return;
}

void hv_sim_end(struct sim *sim)
{
    atomic_store(&sim->ended, true);
    hv_sim_vcpus_wake(sim);
    tell(sim, HV_NEWS_GONE);
}

static void shut_down(struct sim *sim, enum hv_shutdown reason)
{
    if (!sim->shutdown) {
        sim->shutdown = true;
        sim->shutdown_reason = reason;
    }
    hv_sim_end(sim);
}

void hv_sim_crash(struct sim *sim)
{
    sim->crashed = true;
    shut_down(sim, HV_CRASH);
}

static int sim_info(struct hv *hv, struct hv_info *info_r)
{
    struct sim *sim = sim_of(hv);
    int rc = 0;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim)) {
        errno = ESRCH;
        rc = -1;
    } else {
        *info_r = (struct hv_info){
            .type = sim->type,
            .max_vcpus = sim->max_vcpus,
            .nr_pages = sim->nr_pages,
            .max_pages = sim->max_pages,
            .nr_gfns = sim->max_gfn + 1,
            .never_ran = sim->never_ran,
            .paused = sim->pause_count > 0,
            .dying = sim->dying,
            .shutdown = sim->shutdown,
            .shutdown_reason = sim->shutdown_reason,
            .uuid = {'s', 'i', 'm', 'u', 'l', 'a', 't', 'e', 'd', ' ', 'g', 'u', 'e', 's', 't',
                     '1'},
        };
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

static int sim_news_fd(struct hv *hv)
{
    struct sim *sim = sim_of(hv);

    return hv_sim_enter(sim) < 0 ? -1 : sim->news_fd;
}

static unsigned sim_news(struct hv *hv)
{
    struct sim *sim = sim_of(hv);
    uint64_t n;

    if (read(sim->news_fd, &n, sizeof(n)) < 0)
        return 0; /* nothing was there */
    return atomic_exchange(&sim->news, 0);
}

static int sim_memory_target(struct hv *hv, uint64_t *pages_r)
{
    struct sim *sim = sim_of(hv);
    int rc = -1;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    errno = ENOENT;
    if (sim->target > 0) {
        *pages_r = sim->target;
        rc = 0;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

static int sim_pause(struct hv *hv)
{
    struct sim *sim = sim_of(hv);
    int rc = 0;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim)) {
        errno = ESRCH;
        rc = -1;
    } else {
        atomic_fetch_add(&sim->pause_count, 1);
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

static int sim_unpause(struct hv *hv)
{
    struct sim *sim = sim_of(hv);
    int rc = -1;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim)) {
        errno = ESRCH;
    } else if (sim->pause_count == 0) {
        errno = EINVAL;
    } else {
        if (atomic_fetch_sub(&sim->pause_count, 1) == 1) {
            sim->never_ran = false;
            hv_sim_vcpus_wake(sim);
        }
        rc = 0;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

static int sim_boot_info(struct hv *hv, uint64_t *gpa_r)
{
    struct sim *sim = sim_of(hv);
    int rc = -1;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (sim->dying) {
        errno = hv_sim_gone(sim) ? ESRCH : EINVAL;
    } else {
        *gpa_r = sim->never_ran ? sim->boot_info : 0;
        rc = 0;
    }
    pthread_mutex_unlock(&sim->lock);
    return rc;
}

static int sim_set_memory_map(struct hv *hv, size_t n, const struct hv_memory_entry entry[])
{
    struct sim *sim = sim_of(hv);
    int error = 0;

    if (hv_sim_enter(sim) < 0)
        return -1;
    pthread_mutex_lock(&sim->lock);
    if (hv_sim_gone(sim))
        error = ESRCH;
    else if (n > SIM_MEMORY_MAP_MAX)
        error = EINVAL;
    else
        memcpy(sim->memory_map, entry, (sim->memory_map_n = n) * sizeof(*entry));
    pthread_mutex_unlock(&sim->lock);
    if (!error)
        return 0;
    errno = error;
    return -1;
}

size_t hv_sim_memory_map(struct hv *hv, const struct hv_memory_entry **entry_r)
{
    *entry_r = sim_of(hv)->memory_map;
    return sim_of(hv)->memory_map_n;
}

static void sim_close(struct hv *hv)
{
    struct sim *sim = sim_of(hv);

    hv_sim_servers_destroy(sim);
    hv_sim_vcpus_dispose(sim);
    hv_sim_ioreq_pages_dispose(sim);
    hv_sim_maps_dispose(sim);
    hv_sim_mem_dispose(sim);
    if (sim->news_fd >= 0)
        close(sim->news_fd);
    pthread_mutex_destroy(&sim->lock);
    free(sim);
}

static const struct hv_ops sim_ops = {
    .close = sim_close,
    .map = hv_sim_map,
    .unmap = hv_sim_unmap,
    .ioreq_page_map = hv_sim_ioreq_page_map,
    .ioreq_page_unmap = hv_sim_ioreq_page_unmap,
    .events_open = hv_sim_events_open,
    .events_close = hv_sim_events_close,
    .events_fd = hv_sim_events_fd,
    .events_bind = hv_sim_events_bind,
    .events_unbind = hv_sim_events_unbind,
    .events_pending = hv_sim_events_pending,
    .events_unmask = hv_sim_events_unmask,
    .events_notify = hv_sim_events_notify,
    .modified = hv_sim_modified,
    .logging = hv_sim_logging,
    .info = sim_info,
    .news_fd = sim_news_fd,
    .news = sim_news,
    .memory_target = sim_memory_target,
    .populate = hv_sim_populate,
    .depopulate = hv_sim_depopulate,
    .relocate = hv_sim_relocate,
    .set_ram_type = hv_sim_set_ram_type,
    .set_max_pages = hv_sim_set_max_pages,
    .get_paging_pool = hv_sim_get_paging_pool,
    .set_paging_pool = hv_sim_set_paging_pool,
    .pause = sim_pause,
    .unpause = sim_unpause,
    .boot_info = sim_boot_info,
    .set_memory_map = sim_set_memory_map,
    .server_create = hv_sim_server_create,
    .server_destroy = hv_sim_server_destroy,
    .server_enable = hv_sim_server_enable,
    .server_exists = hv_sim_server_exists,
    .server_map_range = hv_sim_server_map_range,
    .server_unmap_range = hv_sim_server_unmap_range,
};

/* What libxl leaves in a PVH guest's memory for its kernel to find. */
static void write_start_info(struct sim *sim, uint64_t low_pages, uint64_t high_pages)
{
    struct start_info *info;
    struct memmap_entry *map;
    unsigned n = 0;

    sim->boot_info = (low_pages / 2) << HV_PAGE_SHIFT;
    info = hv_sim_mem_at(sim, sim->boot_info);
    map = (struct memmap_entry *)(info + 1);
    map[n++] = (struct memmap_entry){.size = low_pages << HV_PAGE_SHIFT, .type = MEMMAP_RAM};
    map[n++] = (struct memmap_entry){.addr = (uint64_t)SPECIAL_FIRST << HV_PAGE_SHIFT,
                                     .size = (uint64_t)SPECIAL_PAGES << HV_PAGE_SHIFT,
                                     .type = MEMMAP_RESERVED};
    if (high_pages > 0)
        map[n++] = (struct memmap_entry){.addr = (uint64_t)HIGH_RAM_BEGIN << HV_PAGE_SHIFT,
                                         .size = high_pages << HV_PAGE_SHIFT,
                                         .type = MEMMAP_RAM};
    *info = (struct start_info){.magic = START_INFO_MAGIC,
                                .version = 1,
                                .memmap = sim->boot_info + sizeof(*info),
                                .memmap_entries = n};
}

/* What libxl leaves in an HVM guest's memory for hvmloader to find. */
static void write_hvm_info(struct sim *sim, uint64_t low_pages, uint64_t high_pages)
{
    struct hvm_info_table *info = hv_sim_mem_at(sim, 0x9f800);
    const uint8_t *byte = (const uint8_t *)info;

    *info = (struct hvm_info_table){
        .signature = {'H', 'V', 'M', ' ', 'I', 'N', 'F', 'O'},
        .length = sizeof(*info),
        .apic_mode = 1,
        .nr_vcpus = sim->max_vcpus,
        .low_mem_pgend = low_pages,
        .reserved_mem_pgstart = SPECIAL_FIRST,
        .high_mem_pgend = high_pages > 0 ? HIGH_RAM_BEGIN + high_pages : 0,
        .vcpu_online = {1},
    };
    for (size_t i = 0; i < sizeof(*info); i++)
        info->checksum -= i == offsetof(struct hvm_info_table, checksum) ? 0 : byte[i];
}

/* As libxl builds a guest. */
static int build(struct sim *sim, const struct hv_sim_options *o)
{
    uint64_t ram = o->ram_bytes >> HV_PAGE_SHIFT;
    uint64_t hole = o->type == HV_HVM ? LOW_RAM_END_HVM : LOW_RAM_END_PVH;
    uint64_t low = ram < hole ? ram : hole;

    if (hv_sim_mem_build(sim, 0, low) < 0 || hv_sim_mem_build(sim, HIGH_RAM_BEGIN, ram - low) < 0)
        return -1;
    if (!o->bare && hv_sim_mem_build(sim, SPECIAL_FIRST, SPECIAL_PAGES) < 0)
        return -1;
    if (!o->bare && o->type == HV_PVH && low > 0)
        write_start_info(sim, low, ram - low);
    if (!o->bare && o->type == HV_HVM && low > HVM_INFO_PAGE)
        write_hvm_info(sim, low, ram - low);
    return 0;
}

/* The pool's default is libxl's: a page for each MiB and a MiB for each vCPU. */
static int init(struct sim *sim, const struct hv_sim_options *o)
{
    uint64_t ram = o->ram_bytes >> HV_PAGE_SHIFT;
    uint64_t host = o->host_pages ? o->host_pages : HOST_PAGES;
    uint64_t pool = o->paging_pool ? o->paging_pool >> HV_PAGE_SHIFT
                                   : 256 * (uint64_t)o->vcpus + (o->ram_bytes >> 20);
    bool running = o->running && !o->bare;
    unsigned i;

    sim->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sim->news_fd < 0 || hv_sim_vcpus_init(sim) < 0)
        return -1;
    if (hv_sim_mem_init(sim, ram + (o->bare ? 0 : SPECIAL_PAGES), host, pool) < 0 ||
        build(sim, o) < 0)
        return -1;
    sim->max_pages = ram + (o->spare_pages ? o->spare_pages : SPARE_PAGES);
    sim->target = o->bare ? 0 : ram;
    sim->never_ran = !running;
    sim->pause_count = running ? 0 : 1;
    for (i = 1; i <= SIM_TOOLSTACK_PORTS && !o->bare; i++)
        sim->port[i].reserved = true;
    return 0;
}

int hv_sim_open(struct hv **hv_r, const struct hv_sim_options *options)
{
    struct sim *sim;

    if (options->vcpus == 0 || options->vcpus > IOREQ_MAX_VCPUS ||
        options->ram_bytes % HV_PAGE_SIZE || options->paging_pool % HV_PAGE_SIZE) {
        errno = EINVAL;
        return -1;
    }
    sim = calloc(1, sizeof(*sim));
    if (!sim)
        return -1;
    sim->hv.ops = &sim_ops;
    sim->type = options->type;
    sim->max_vcpus = options->vcpus;
    sim->memfd = -1;
    pthread_mutex_init(&sim->lock, NULL);
    if (init(sim, options) < 0) {
        int error = errno;

        sim_close(&sim->hv);
        errno = error;
        return -1;
    }
    *hv_r = &sim->hv;
    return 0;
}

void hv_sim_set_shutdown(struct hv *hv, enum hv_shutdown reason)
{
    struct sim *sim = sim_of(hv);

    pthread_mutex_lock(&sim->lock);
    shut_down(sim, reason);
    pthread_mutex_unlock(&sim->lock);
}

void hv_sim_set_target(struct hv *hv, uint64_t pages)
{
    struct sim *sim = sim_of(hv);

    pthread_mutex_lock(&sim->lock);
    sim->target = pages;
    sim->max_pages = pages + SPARE_PAGES;
    pthread_mutex_unlock(&sim->lock);
    tell(sim, HV_NEWS_TARGET);
}

void hv_sim_destroy(struct hv *hv)
{
    struct sim *sim = sim_of(hv);

    pthread_mutex_lock(&sim->lock);
    sim->dying = true;
    hv_sim_end(sim);
    hv_sim_servers_destroy(sim);
    hv_sim_mem_destroy(sim);
    pthread_mutex_unlock(&sim->lock);
}

void hv_sim_fail_call(struct hv *hv, unsigned long nth, int error)
{
    struct sim *sim = sim_of(hv);

    atomic_store(&sim->fail_error, error);
    atomic_store(&sim->fail_at, nth ? atomic_load(&sim->calls) + nth : 0);
}

unsigned long hv_sim_calls(struct hv *hv)
{
    return atomic_load(&sim_of(hv)->calls);
}

void hv_sim_usage(struct hv *hv, struct hv_sim_usage *usage_r)
{
    struct sim *sim = sim_of(hv);
    unsigned i, type;

    pthread_mutex_lock(&sim->lock);
    *usage_r = (struct hv_sim_usage){
        .nr_pages = sim->nr_pages,
        .host_pages = sim->host_free,
        .mapped_pages = sim->mapped_pages,
        .ioreq_pages = sim->ioreq_maps,
        .bound_ports = sim->bound,
        .pause_count = sim->pause_count,
        .crashed = sim->crashed,
    };
    for (i = 0; i < HV_MAX_SERVERS; i++) {
        if (!sim->server[i])
            continue;
        usage_r->servers++;
        for (type = 0; type < SIM_RANGE_TYPES; type++)
            usage_r->ranges += sim->server[i]->ranges[type].n;
    }
    pthread_mutex_unlock(&sim->lock);
}
