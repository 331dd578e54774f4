/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the simulator: one guest of a host that exists only in this process.
 *
 * Locks, in the order in which they are taken: sim->lock (the guest: memory, servers, ports), an
 * event handle's lock (its queue), a vCPU's lock (its sleep). Slots are touched as Xen and a server
 * do it: Xen's side under sim->lock, the server's under none.
 */
#ifndef XENGASP_HV_SIM_INTERNAL_H
#define XENGASP_HV_SIM_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>
#include <time.h>

#include "hv/sim.h"

#define SIM_NO_FRAME UINT64_MAX
/* In sim.frame[]: it is the guest's, who may not write it. The other bits count mappings. */
#define SIM_FRAME_OWNED 0x80000000u
#define SIM_FRAME_READ_ONLY 0x40000000u

/* Of a page that isn't watched what the guest writes is missed. */
enum { SIM_LOG_CLEAN, SIM_LOG_DIRTY, SIM_LOG_UNWATCHED };

enum {
    SIM_RANGE_TYPES = HV_RANGE_PCI + 1,
    SIM_TOOLSTACK_PORTS = 2, /* the guest's ports 1 and 2: its xenstore and its console */
    SIM_PORTS = 1 + SIM_TOOLSTACK_PORTS + HV_MAX_SERVERS * IOREQ_MAX_VCPUS,
    SIM_LOCAL_PORTS = 4096,
    SIM_MEMORY_MAP_MAX = 128,
};

/* One of the guest's event channels that belong to Xen: a server's, for one vCPU. */
struct sim_port {
    bool in_use;
    bool reserved; /* the toolstack's */
    unsigned vcpu;
    struct sim_binding *binding;
    _Atomic uint32_t notifies; /* counts what the server sends */
};

/* Our end of one. */
struct sim_binding {
    TAILQ_ENTRY(sim_binding) link;   /* of its handle */
    TAILQ_ENTRY(sim_binding) queued; /* while it waits to be taken */
    struct hv_events *ev;
    struct sim_port *port; /* NULL: its server is gone */
    int local;
    bool in_queue;
    bool unbound; /* lives on while it is queued: Linux delivers what it has */
    bool masked;
    bool again; /* came while masked */
};

TAILQ_HEAD(sim_binding_list, sim_binding);

struct hv_events {
    struct sim *sim;
    int fd; /* eventfd, readable while the queue holds something */
    pthread_mutex_t lock;
    struct sim_binding_list bound;
    struct sim_binding_list queue;
};

/* Lives as long as its server has it or somebody maps it. */
struct sim_ioreq_page {
    int fd;                  /* a memfd */
    struct ioreq_page *xens; /* Xen's own mapping; changes when somebody unmaps there */
    struct ioreq_page *next; /* where Xen goes then; NULL: nobody else has the first */
    unsigned maps;
    bool has_server;
};

struct sim_ioreq_map {
    LIST_ENTRY(sim_ioreq_map) link;
    struct sim_ioreq_page *page;
    struct ioreq_page *at;
};

struct sim_range {
    uint64_t first, last;
};

struct sim_ranges {
    unsigned n;
    struct sim_range r[HV_MAX_RANGES]; /* ascending, never adjacent */
};

struct sim_server {
    unsigned refs; /* its place in the guest's table, and each request on its way */
    _Atomic bool dead;
    bool enabled;
    struct sim_ioreq_page *page; /* made at its first mapping */
    struct sim_port *port[IOREQ_MAX_VCPUS];
    struct sim_ranges ranges[SIM_RANGE_TYPES];
};

/* A request that a server has not answered yet. */
struct sim_pending {
    struct sim_server *server;
    struct sim_port *port;
    unsigned vcpu;
    uint32_t notifies; /* seen so far */
    uint8_t state;     /* the last one seen */
    bool orphan;       /* its server is gone */
};

struct sim_vcpu {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool asleep;
    _Atomic bool invalidate;   /* IOREQ_INVALIDATE is due */
    _Atomic uint32_t notifies; /* of all its ports */
    /* Of the thread that drives this vCPU. */
    unsigned npending;
    struct sim_pending pending[HV_MAX_SERVERS];
    uint64_t data;
};

/* How long a call may still wait. The clock is read only when it comes to sleeping. */
struct sim_wait {
    int timeout_ms;
    bool started;
    struct timespec end;
};

struct sim_table; /* of the p2m */

struct sim {
    struct hv hv;
    pthread_mutex_t lock;
    enum hv_guest_type type;
    unsigned max_vcpus;
    struct sim_vcpu *vcpu;
    uint64_t boot_info;
    size_t memory_map_n;
    struct hv_memory_entry memory_map[SIM_MEMORY_MAP_MAX];

    _Atomic unsigned long calls, fail_at;
    _Atomic int fail_error;
    _Atomic bool lose_event;

    /* The guest's state. */
    _Atomic bool ended; /* no vCPU runs any more */
    _Atomic unsigned pause_count;
    bool never_ran, dying, shutdown, crashed;
    enum hv_shutdown shutdown_reason;
    int news_fd;
    _Atomic unsigned news;

    /* Memory: frames of the machine are pages of a memfd. */
    int memfd;
    uint8_t *machine;
    uint64_t nr_frames;
    uint32_t *frame;      /* how often each is mapped, and SIM_FRAME_OWNED */
    uint8_t *dirty;       /* what the log has of each (SIM_LOG_*), while one is kept */
    uint16_t *chunk_used; /* frames in use of each 2 MiB */
    uint64_t chunk_hint;  /* no frame is free below */
    uint64_t host_free;
    uint64_t nr_pages, max_pages, mapped_pages;
    uint64_t target; /* what the toolstack wants it to have */
    uint64_t max_gfn;
    uint64_t pool_pages, pool_used;
    struct sim_table *p2m;
    void *maps; /* tsearch tree of struct sim_map, by address */

    uint32_t pci_address; /* what the guest wrote to port 0xcf8 last */

    /* Servers and events. */
    struct sim_server *server[HV_MAX_SERVERS];
    LIST_HEAD(, sim_ioreq_map) ioreq_map_list;
    unsigned ioreq_maps;
    struct sim_port port[SIM_PORTS];
    struct sim_binding *local[SIM_LOCAL_PORTS];
    unsigned bound;
};

static inline struct sim *sim_of(struct hv *hv)
{
    return (struct sim *)(void *)hv;
}

/* sim.c */

/* Begins every call through the table that Xen can refuse. -1 with errno: this one is to fail. */
int hv_sim_enter(struct sim *sim);
/* Under the lock. The guest is gone for good: ESRCH. */
bool hv_sim_gone(const struct sim *sim);
/* Under the lock. The guest's vCPUs stop and somebody is told. */
void hv_sim_end(struct sim *sim);
/* What Xen does to a guest whose device model breaks the rules. */
void hv_sim_crash(struct sim *sim);

/* sim_mem.c. All under the lock, but for the ops. */

int hv_sim_mem_init(struct sim *sim, uint64_t guest_frames, uint64_t host_frames,
                    uint64_t pool_pages);
void hv_sim_mem_dispose(struct sim *sim);
void hv_sim_mem_destroy(struct sim *sim); /* the guest gives everything back */
/* As the guest's builder does: contiguous, zero, outside the limits. */
int hv_sim_mem_build(struct sim *sim, uint64_t gfn, uint64_t n);
void *hv_sim_mem_at(struct sim *sim, uint64_t gpa); /* NULL: a hole; good up to the page's end */
bool hv_sim_mem_copy(struct sim *sim, bool write, uint64_t gpa, void *buf, size_t size);

uint64_t hv_sim_p2m_get(const struct sim *sim, uint64_t gfn);
/* order: 0 or 9. mfn SIM_NO_FRAME: takes it away. -1: ENOMEM no room in the pool; ENOENT no such
 * address. */
int hv_sim_p2m_set(struct sim *sim, uint64_t gfn, unsigned order, uint64_t mfn);
bool hv_sim_depopulate_page(struct sim *sim, uint64_t gfn); /* false: a hole, or as above */
/* A page has left its place: every vCPU of a guest that ran tells the servers, some time. */
void hv_sim_invalidate_later(struct sim *sim);
bool hv_sim_mem_read_only(const struct sim *sim, uint64_t gpa); /* false, too: a hole */
/* A frame that is neither the guest's nor mapped goes back to the host; until then it stays
 * charged. */
void hv_sim_frame_settle(struct sim *sim, uint64_t mfn);

size_t hv_sim_populate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);
size_t hv_sim_depopulate(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);
int hv_sim_set_max_pages(struct hv *hv, uint64_t max_pages);
int hv_sim_get_paging_pool(struct hv *hv, uint64_t *bytes_r);
int hv_sim_set_paging_pool(struct hv *hv, uint64_t bytes);

/* sim_place.c */

int hv_sim_relocate(struct hv *hv, size_t n, uint64_t from, uint64_t to);
int hv_sim_set_ram_type(struct hv *hv, bool read_only, size_t n, uint64_t gfn);

/* sim_log.c */

void hv_sim_log_write(struct sim *sim, uint64_t gfn); /* under the lock: the guest has written */
int hv_sim_modified(struct hv *hv, size_t n, const struct hv_extent extent[]);
int hv_sim_logging(struct hv *hv);

/* hv_sim_map.c */

void hv_sim_maps_dispose(struct sim *sim);
int hv_sim_map(struct hv *hv, void *at, int prot, size_t n, const uint64_t gfn[], int err[]);
int hv_sim_unmap(struct hv *hv, void *at, size_t n);

/* sim_server.c */

void hv_sim_servers_destroy(struct sim *sim); /* under the lock */
void hv_sim_ioreq_pages_dispose(struct sim *sim);
struct sim_server *hv_sim_server_select(struct sim *sim,
                                        const struct ioreq_slot *req); /* under the lock */
void hv_sim_server_put(struct sim *sim, struct sim_server *server);    /* under the lock */

int hv_sim_ioreq_page_map(struct hv *hv, unsigned server, struct ioreq_page **page_r);
int hv_sim_ioreq_page_unmap(struct hv *hv, struct ioreq_page *page);
int hv_sim_server_create(struct hv *hv, unsigned *server_r);
int hv_sim_server_destroy(struct hv *hv, unsigned server);
int hv_sim_server_enable(struct hv *hv, unsigned server, bool on);
bool hv_sim_server_exists(struct hv *hv, unsigned server);
int hv_sim_server_map_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                            uint64_t last);
int hv_sim_server_unmap_range(struct hv *hv, unsigned server, enum hv_range_type type,
                              uint64_t first, uint64_t last);

/* sim_event.c */

struct sim_port *hv_sim_port_open(struct sim *sim,
                                  unsigned vcpu); /* under the lock; NULL: ENOSPC */
void hv_sim_port_close(struct sim_port *port);    /* under the lock */
void hv_sim_port_send(struct sim_port *port);     /* under the lock: to the server */

struct hv_events *hv_sim_events_open(struct hv *hv);
void hv_sim_events_close(struct hv_events *ev);
int hv_sim_events_fd(struct hv_events *ev);
int hv_sim_events_bind(struct hv_events *ev, uint32_t remote_port);
int hv_sim_events_unbind(struct hv_events *ev, int port);
int hv_sim_events_pending(struct hv_events *ev);
int hv_sim_events_unmask(struct hv_events *ev, int port);
int hv_sim_events_notify(struct hv_events *ev, int port);

/* sim_ioreq.c: the vCPUs. */

int hv_sim_vcpus_init(struct sim *sim);
void hv_sim_vcpus_dispose(struct sim *sim);
void hv_sim_vcpu_wake(
    struct sim_vcpu *v); /* after the change that it waits for; all: hv_sim_vcpus_wake */
void hv_sim_vcpus_wake(struct sim *sim);

#endif
