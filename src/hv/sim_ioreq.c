/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated guest's vCPUs: from an access to a server's answer. */
#include "hv/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SPINS = 400 }; /* before a vCPU goes to sleep: some 10 us */

#define PCI_ADDRESS_PORT 0xcf8u
#define PCI_DATA_PORT 0xcfcu /* up to 0xcff */
#define PCI_ADDRESS_ON 0x80000000u
enum { PCI_REGISTERS = 4096 };

/* ---- sleeping and waking ---- */

void hv_sim_vcpu_wake(struct sim_vcpu *v)
{
    /* The change came first, and the sleeper looks once more after it has said that it sleeps. */
    if (!atomic_load(&v->asleep))
        return;
    pthread_mutex_lock(&v->lock);
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

void hv_sim_vcpus_wake(struct sim *sim)
{
    unsigned i;

    for (i = 0; sim->vcpu && i < sim->max_vcpus; i++)
        hv_sim_vcpu_wake(&sim->vcpu[i]);
}

static void start_clock(struct sim_wait *wait)
{
    if (wait->started)
        return;
    wait->started = true;
    clock_gettime(CLOCK_MONOTONIC, &wait->end);
    wait->end.tv_sec += wait->timeout_ms / 1000;
    wait->end.tv_nsec += wait->timeout_ms % 1000 * 1000000L;
    if (wait->end.tv_nsec >= 1000000000L) {
        wait->end.tv_sec++;
        wait->end.tv_nsec -= 1000000000L;
    }
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* false: the time is up. A negative time never is. */
static bool wait_until(struct sim *sim, struct sim_vcpu *v, struct sim_wait *wait,
                       bool (*holds)(struct sim *, const struct sim_pending *),
                       const struct sim_pending *p)
{
    bool held = false;
    unsigned i;

    for (i = 0; i < SPINS && !held; i++) {
        held = holds(sim, p);
        relax();
    }
    if (held)
        return true;
    start_clock(wait);
    pthread_mutex_lock(&v->lock);
    atomic_store(&v->asleep, true);
    while (!(held = holds(sim, p))) {
        if (wait->timeout_ms < 0)
            pthread_cond_wait(&v->wake, &v->lock);
        else if (pthread_cond_timedwait(&v->wake, &v->lock, &wait->end) == ETIMEDOUT)
            break;
    }
    atomic_store(&v->asleep, false);
    pthread_mutex_unlock(&v->lock);
    return held || holds(sim, p);
}

/* ---- one request ---- */

static struct ioreq_slot *slot_of(struct sim *sim, struct sim_vcpu *v, struct sim_server *s)
{
    return &s->page->xens->slot[v - sim->vcpu];
}

/* Under the lock. false: the slot is not as Xen left it. */
static bool send(struct sim *sim, struct sim_vcpu *v, struct sim_server *s,
                 const struct ioreq_slot *req)
{
    struct sim_port *port = s->port[v - sim->vcpu];
    uint8_t flags = req->control & (uint8_t)~IOREQ_CONTROL_STATE;
    struct ioreq_slot *slot;

    if (!s->page)
        return false;
    slot = slot_of(sim, v, s);
    if ((atomic_load(&slot->control) & IOREQ_CONTROL_STATE) != IOREQ_STATE_NONE ||
        slot->vp_eport != (uint32_t)(port - sim->port))
        return false;
    slot->addr = req->addr;
    slot->data = req->data;
    slot->count = req->count;
    slot->size = req->size;
    slot->type = req->type;
    s->refs++;
    v->pending[v->npending++] = (struct sim_pending){
        .server = s,
        .port = port,
        .vcpu = (unsigned)(v - sim->vcpu),
        .notifies = atomic_load(&port->notifies),
        .state = IOREQ_STATE_READY,
    };
    atomic_store_explicit(&slot->control, flags | IOREQ_STATE_READY, memory_order_release);
    if (!atomic_exchange(&sim->lose_event, false))
        hv_sim_port_send(port);
    return true;
}

static bool told(struct sim *sim, const struct sim_pending *p)
{
    if (atomic_load(&sim->ended))
        return true;
    if (p->orphan)
        return atomic_load(&sim->vcpu[p->vcpu].notifies) != p->notifies;
    return atomic_load(&p->port->notifies) != p->notifies || atomic_load(&p->server->dead);
}

/*
 * A request whose server has gone. Xen tells the vCPU nothing; any event for it makes it go on, and
 * then a read gives 0.
 */
static bool look_orphan(struct sim_vcpu *v, struct sim_pending *p)
{
    v->data = 0;
    if (p->orphan)
        return true;
    p->orphan = true;
    p->notifies = atomic_load(&v->notifies);
    return false;
}

/*
 * Under the lock: looks for the answer, which is done only when the server says so. true: no more
 * to wait for. Xen would take NONE, too, for a server that is going, and give the guest all ones;
 * here it counts as the mistake that it is.
 */
static bool look(struct sim *sim, struct sim_vcpu *v, struct sim_pending *p)
{
    struct ioreq_slot *slot;
    uint8_t control, state;

    v->data = UINT64_MAX;
    if (sim->ended)
        return true;
    if (p->server->dead)
        return look_orphan(v, p);
    slot = slot_of(sim, v, p->server);
    p->notifies = atomic_load(&p->port->notifies);
    control = atomic_load_explicit(&slot->control, memory_order_acquire);
    state = control & IOREQ_CONTROL_STATE;
    if (state < p->state || state > IOREQ_STATE_RESP_READY) {
        hv_sim_crash(sim);
        return true;
    }
    p->state = state;
    if (state != IOREQ_STATE_RESP_READY)
        return false;
    v->data = slot->data;
    atomic_store_explicit(&slot->control, control & (uint8_t)~IOREQ_CONTROL_STATE,
                          memory_order_release);
    return true;
}

/* What is not answered in time stays: the vCPU's next access waits for it first. */
static int finish_all(struct sim *sim, struct sim_vcpu *v, struct sim_wait *wait)
{
    while (v->npending > 0) {
        struct sim_pending *p = &v->pending[v->npending - 1];

        if (!wait_until(sim, v, wait, told, p)) {
            errno = ETIMEDOUT;
            return -1;
        }
        pthread_mutex_lock(&sim->lock);
        if (look(sim, v, p)) {
            hv_sim_server_put(sim, p->server);
            v->npending--;
        }
        pthread_mutex_unlock(&sim->lock);
    }
    if (!sim->ended)
        return 0;
    errno = EIO;
    return -1;
}

/* ---- the vCPU ---- */

static bool runs(struct sim *sim, const struct sim_pending *p)
{
    (void)p;
    return atomic_load(&sim->pause_count) == 0 || atomic_load(&sim->ended);
}

/* Takes the lock, with the guest running: whoever pauses it afterwards sees what the vCPU did. */
static int lock_running(struct sim *sim, struct sim_vcpu *v, struct sim_wait *wait)
{
    for (;;) {
        pthread_mutex_lock(&sim->lock);
        if (!sim->ended && sim->pause_count == 0)
            return 0;
        pthread_mutex_unlock(&sim->lock);
        if (!wait_until(sim, v, wait, runs, NULL)) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (atomic_load(&sim->ended)) {
            errno = EIO;
            return -1;
        }
    }
}

/* A server that cannot be reached misses it, and Xen says so in its log only. */
static int invalidate(struct sim *sim, struct sim_vcpu *v, struct sim_wait *wait)
{
    const struct ioreq_slot req = {.type = IOREQ_INVALIDATE, .size = 4, .data = UINT64_MAX};
    unsigned id;

    if (lock_running(sim, v, wait) < 0)
        return -1;
    atomic_store(&v->invalidate, false);
    for (id = HV_MAX_SERVERS; id-- > 0;)
        if (sim->server[id] && sim->server[id]->enabled)
            send(sim, v, sim->server[id], &req);
    pthread_mutex_unlock(&sim->lock);
    return finish_all(sim, v, wait);
}

/* What comes before a vCPU's next access. */
static int settle(struct sim *sim, struct sim_vcpu *v, struct sim_wait *wait)
{
    if (v->npending > 0 && finish_all(sim, v, wait) < 0)
        return -1;
    return atomic_load(&v->invalidate) ? invalidate(sim, v, wait) : 0;
}

/* Nobody's: reads give ones, also where they go to RAM. Xen lets no span reach over two pages. */
static void unclaimed(struct sim *sim, struct ioreq_slot *req)
{
    uint64_t ones = UINT64_MAX, at = req->data;
    uint32_t i, size = req->size <= sizeof(ones) ? req->size : sizeof(ones);

    if (!(req->control & IOREQ_CONTROL_READ))
        return;
    if (!(req->control & IOREQ_CONTROL_DATA_IS_PTR)) {
        req->data = ones;
        return;
    }
    for (i = 0; i < req->count && i < HV_PAGE_SIZE; i++) {
        hv_sim_mem_copy(sim, true, at, &ones, size);
        at = req->control & IOREQ_CONTROL_DF ? at - req->size : at + req->size;
    }
}

/*
 * PCI's own ports. Xen notes the address that is written, and whoever claims that port gets it, too.
 * While an address is on, the data ports are a register of a function, and ports no more.
 */
static struct ioreq_slot decode_pci(struct sim *sim, const struct ioreq_slot *req)
{
    struct ioreq_slot out = *req;
    uint32_t address;

    if (req->type == IOREQ_PORT && req->addr == PCI_ADDRESS_PORT && req->size == 4 &&
        !(req->control & (IOREQ_CONTROL_READ | IOREQ_CONTROL_DATA_IS_PTR)))
        sim->pci_address = (uint32_t)req->data;
    address = sim->pci_address;
    if (req->type == IOREQ_PORT && (req->addr & ~UINT64_C(3)) == PCI_DATA_PORT &&
        address & PCI_ADDRESS_ON) {
        out.type = IOREQ_PCI_CONFIG;
        out.addr = (uint64_t)(address >> 8 & 0xffff) << 32 | (address & 0xfc) | (req->addr & 3);
    }
    return out;
}

/* With the guest running, under the lock, which it gives back: what Xen does with a request. */
static int request_locked(struct sim *sim, struct sim_vcpu *v, struct ioreq_slot *req,
                          struct sim_wait *wait)
{
    struct ioreq_slot decoded = decode_pci(sim, req);
    struct sim_server *s = hv_sim_server_select(sim, &decoded);
    bool sent = true;

    if (s) {
        sent = send(sim, v, s, &decoded);
        if (!sent)
            hv_sim_crash(sim);
    } else {
        unclaimed(sim, req);
    }
    pthread_mutex_unlock(&sim->lock);
    if (!sent) {
        errno = EIO;
        return -1;
    }
    if (!s)
        return 0;
    if (finish_all(sim, v, wait) < 0)
        return -1;
    if (req->control & IOREQ_CONTROL_READ && !(req->control & IOREQ_CONTROL_DATA_IS_PTR))
        req->data = v->data;
    return 0;
}

/* What comes before an access; then the lock is held. */
static int begin_access(struct sim *sim, struct sim_vcpu *v, struct sim_wait *wait)
{
    return settle(sim, v, wait) < 0 ? -1 : lock_running(sim, v, wait);
}

static int request(struct sim *sim, struct sim_vcpu *v, struct ioreq_slot *req,
                   struct sim_wait *wait)
{
    return begin_access(sim, v, wait) < 0 ? -1 : request_locked(sim, v, req, wait);
}

int hv_sim_request(struct hv *hv, unsigned vcpu, struct ioreq_slot *req, int timeout_ms)
{
    struct sim *sim = sim_of(hv);
    struct sim_wait wait = {.timeout_ms = timeout_ms};

    if (vcpu >= sim->max_vcpus || req->type > IOREQ_PCI_CONFIG) {
        errno = EINVAL;
        return -1;
    }
    return request(sim, &sim->vcpu[vcpu], req, &wait);
}

int hv_sim_invalidate(struct hv *hv, unsigned vcpu, int timeout_ms)
{
    struct sim *sim = sim_of(hv);
    struct sim_wait wait = {.timeout_ms = timeout_ms};
    struct sim_vcpu *v;

    if (vcpu >= sim->max_vcpus) {
        errno = EINVAL;
        return -1;
    }
    v = &sim->vcpu[vcpu];
    if (v->npending > 0 && finish_all(sim, v, &wait) < 0)
        return -1;
    return invalidate(sim, v, &wait);
}

/* ---- accesses ---- */

#define COPY_ONCE(type)                                                                            \
    case sizeof(type):                                                                             \
        if (write)                                                                                 \
            __atomic_store_n((type *)ram, (type)*value, __ATOMIC_SEQ_CST);                         \
        else                                                                                       \
            *value = __atomic_load_n((type *)ram, __ATOMIC_SEQ_CST);                               \
        return

/* RAM, as one access where the processor makes it one. */
static void copy_ram(void *ram, bool write, uint64_t *value, unsigned size)
{
    switch ((uintptr_t)ram % size == 0 ? size : 0) {
        COPY_ONCE(uint8_t);
        COPY_ONCE(uint16_t);
        COPY_ONCE(uint32_t);
        COPY_ONCE(uint64_t);
    }
    if (write)
        memcpy(ram, value, size);
    else
        memcpy(value, ram, size);
}

static uint64_t mask_of(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
}

static struct ioreq_slot plain_request(enum ioreq_type type, bool write, uint64_t addr,
                                       unsigned size, uint64_t value)
{
    return (struct ioreq_slot){
        .addr = addr,
        .data = write ? value & mask_of(size) : 0,
        .count = 1,
        .size = size,
        .type = (uint8_t)type,
        .control = write ? 0 : IOREQ_CONTROL_READ,
    };
}

static int access_device(struct sim *sim, struct sim_vcpu *v, enum ioreq_type type, bool write,
                         uint64_t addr, unsigned size, uint64_t *value, struct sim_wait *wait)
{
    struct ioreq_slot req = plain_request(type, write, addr, size, *value);

    if (request(sim, v, &req, wait) < 0)
        return -1;
    if (!write)
        *value = req.data & mask_of(size);
    return 0;
}

/* Under the lock. */
static void access_ram(struct sim *sim, bool write, uint64_t gpa, unsigned size, uint64_t *value)
{
    if (write && hv_sim_mem_read_only(sim, gpa))
        return;
    copy_ram(hv_sim_mem_at(sim, gpa), write, value, size);
    if (write)
        hv_sim_log_write(sim, gpa >> HV_PAGE_SHIFT);
}

/*
 * Inside one page. What is not RAM goes out in the largest powers of two. Xen keeps the p2m locked
 * from finding no RAM until it has chosen a server: a page that comes back meanwhile is there before
 * its range can be taken away.
 */
static int access_page(struct sim *sim, struct sim_vcpu *v, bool write, uint64_t gpa, unsigned size,
                       uint64_t *value, struct sim_wait *wait)
{
    unsigned done = 0, n = 8;

    while (done < size) {
        uint64_t part = *value >> done * 8;
        struct ioreq_slot req;

        if (begin_access(sim, v, wait) < 0)
            return -1;
        if (hv_sim_mem_at(sim, gpa + done)) {
            n = size - done;
            access_ram(sim, write, gpa + done, n, &part);
            pthread_mutex_unlock(&sim->lock);
        } else {
            while (n > size - done)
                n /= 2;
            req = plain_request(IOREQ_MEMORY, write, gpa + done, n, part);
            if (request_locked(sim, v, &req, wait) < 0)
                return -1;
            part = req.data;
        }
        if (!write)
            *value = (*value & ~(mask_of(n) << done * 8)) | (part & mask_of(n)) << done * 8;
        done += n;
    }
    return 0;
}

/*
 * A write over two pages that Xen has to emulate, as one of them is read-only: it gives all of it up
 * when it comes to that page, and only where the first is no RAM does it look at each alone.
 */
static int drop_write(struct sim *sim, struct sim_vcpu *v, uint64_t gpa, struct sim_wait *wait,
                      bool *dropped_r)
{
    if (begin_access(sim, v, wait) < 0)
        return -1;
    *dropped_r = hv_sim_mem_at(sim, gpa) &&
                 (hv_sim_mem_read_only(sim, gpa) || hv_sim_mem_read_only(sim, gpa + HV_PAGE_SIZE));
    pthread_mutex_unlock(&sim->lock);
    return 0;
}

static int access_memory(struct sim *sim, struct sim_vcpu *v, bool write, uint64_t gpa,
                         unsigned size, uint64_t *value, struct sim_wait *wait)
{
    unsigned low = (unsigned)(HV_PAGE_SIZE - gpa % HV_PAGE_SIZE);
    bool dropped = false;
    uint64_t high;

    if (low >= size)
        return access_page(sim, v, write, gpa, size, value, wait);
    if (write && drop_write(sim, v, gpa, wait, &dropped) < 0)
        return -1;
    if (dropped)
        return 0;
    high = *value >> low * 8;
    if (access_page(sim, v, write, gpa, low, value, wait) < 0 ||
        access_page(sim, v, write, gpa + low, size - low, &high, wait) < 0)
        return -1;
    *value |= write ? 0 : high << low * 8;
    return 0;
}

/* 1, 2 or 4 bytes of one function. */
static bool is_config_access(uint64_t addr, unsigned size)
{
    return (size == 1 || size == 2 || size == 4) &&
           (addr & UINT32_MAX) + size <= (unsigned)PCI_REGISTERS;
}

int hv_sim_access(struct hv *hv, unsigned vcpu, enum hv_range_type type, bool write, uint64_t addr,
                  unsigned size, uint64_t *value, int timeout_ms)
{
    struct sim *sim = sim_of(hv);
    struct sim_wait wait = {.timeout_ms = timeout_ms};
    struct sim_vcpu *v;

    if (vcpu >= sim->max_vcpus || size == 0 || size > 8 || addr > UINT64_MAX - (size - 1) ||
        (type == HV_RANGE_PCI && !is_config_access(addr, size))) {
        errno = EINVAL;
        return -1;
    }
    v = &sim->vcpu[vcpu];
    if (!write)
        *value = 0;
    switch (type) {
    case HV_RANGE_MEMORY:
        return access_memory(sim, v, write, addr, size, value, &wait);
    case HV_RANGE_PORT:
        return access_device(sim, v, IOREQ_PORT, write, addr, size, value, &wait);
    case HV_RANGE_PCI:
        return access_device(sim, v, IOREQ_PCI_CONFIG, write, addr, size, value, &wait);
    }
    errno = EINVAL;
    return -1;
}

/* ---- life ---- */

int hv_sim_vcpus_init(struct sim *sim)
{
    pthread_condattr_t attr;
    unsigned i;

    sim->vcpu = calloc(sim->max_vcpus, sizeof(*sim->vcpu));
    if (!sim->vcpu)
        return -1;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (i = 0; i < sim->max_vcpus; i++) {
        pthread_mutex_init(&sim->vcpu[i].lock, NULL);
        pthread_cond_init(&sim->vcpu[i].wake, &attr);
    }
    pthread_condattr_destroy(&attr);
    return 0;
}

void hv_sim_vcpus_dispose(struct sim *sim)
{
    unsigned i;

    for (i = 0; sim->vcpu && i < sim->max_vcpus; i++) {
        while (sim->vcpu[i].npending > 0)
            hv_sim_server_put(sim, sim->vcpu[i].pending[--sim->vcpu[i].npending].server);
        pthread_cond_destroy(&sim->vcpu[i].wake);
        pthread_mutex_destroy(&sim->vcpu[i].lock);
    }
    free(sim->vcpu);
    sim->vcpu = NULL;
}
