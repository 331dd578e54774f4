/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the simulator share: a guest, a server for it, and vCPUs in threads of their
 * own. */
#ifndef XENGASP_TESTS_SIM_FIXTURE_H
#define XENGASP_TESTS_SIM_FIXTURE_H

#include <errno.h>
#include <pthread.h>

#include "hv/sim.h"
#include "tests/check_main.h"

enum {
    MIB = 1 << 20,
    VCPUS = 2,
    RAM_PAGES = 16 * MIB / HV_PAGE_SIZE,
    SPECIAL_PAGES = 8,
    LONG_MS = 10000,
    SHORT_MS = 30,
};

/* The guest of the test that runs, and its operations. */
extern struct hv *hv;
extern const struct hv_ops *ops;

/* Fixtures: 16 MiB; never run, one vCPU; or running, two. */
void setup_new(void);
void setup_running(void);
void teardown(void);
void open_guest(struct hv_sim_options o); /* vcpus 0: one */

struct hv_sim_usage usage(void);
struct hv_info info(void);
bool is_ram(uint64_t gfn);
size_t populate(unsigned order, uint64_t gfn);   /* one extent */
size_t depopulate(unsigned order, uint64_t gfn); /* one extent */
bool readable(int fd);
void nap(unsigned ms);

#define expect(call, error)                                                                        \
    do {                                                                                           \
        errno = 0;                                                                                 \
        ck_assert_int_eq(call, -1);                                                                \
        ck_assert_int_eq(errno, error);                                                            \
    } while (0)

/* A server with its page and ports. A read gives value_at(addr). */
struct device {
    unsigned id;
    struct ioreq_page *page;
    struct hv_events *ev;
    int port[VCPUS];
    pthread_t thread;
    _Atomic bool stop;
    _Atomic unsigned served, invalidates;
    bool polls; /* the slots, not the events */
};

void device_open(struct device *d);
void device_close(struct device *d);
void device_start(struct device *d); /* a thread that answers */
void device_stop(struct device *d);
bool device_serve(struct device *d, unsigned vcpu); /* answers one; false: none is there */
void claim(struct device *d, enum hv_range_type type, uint64_t first, uint64_t last);
uint64_t value_at(uint64_t addr);
void set_state(struct ioreq_slot *slot, unsigned state);
unsigned state_of(struct ioreq_slot *slot);

/* A request from a thread of its own. */
struct call {
    pthread_t thread;
    unsigned vcpu;
    struct ioreq_slot req;
    int timeout_ms, rc, error;
    _Atomic bool done;
};

struct ioreq_slot read_of(enum ioreq_type type, uint64_t addr, unsigned size);
void call_start(struct call *c, unsigned vcpu, struct ioreq_slot req);
void call_join(struct call *c);
void await(struct device *d, unsigned vcpu); /* until a request is in the slot */

#endif
