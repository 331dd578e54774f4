/* SPDX-License-Identifier: BSD-2-Clause */
/* A server and the one who answers for it, driven by hand. */
#ifndef XENGASP_CONFORMANCE_DEVICE_H
#define XENGASP_CONFORMANCE_DEVICE_H

#include "tests/conformance/conformance.h"

enum {
    SOON = 5000,   /* ms; */
    NOT_NOW = 100, /* what shall not come has had its time then */
};

struct device {
    struct guest *g;
    unsigned server;
    struct ioreq_page *page;
    struct hv_events *ev;
    int port[DRIVEN_VCPUS];
};

static inline const struct hv_ops *ops(struct device *d)
{
    return d->g->hv->ops;
}

bool device_start(struct device *d, struct guest *g); /* enabled; */
bool device_open(struct device *d, struct guest *g);  /* and bound to every vCPU */
bool device_close(struct device *d);
bool claim(struct device *d, enum hv_range_type type, uint64_t first, uint64_t last);

bool comes_readable(struct device *d, int ms);
unsigned state(struct device *d, unsigned vcpu);
void set_state(struct device *d, unsigned vcpu, unsigned to);
bool asked(struct device *d, unsigned vcpu);    /* waits for the vCPU's request, by its event; */
bool is_there(struct device *d, unsigned vcpu); /* and without */
bool silent(struct device *d);                  /* nobody asks */
bool answer(struct device *d, unsigned vcpu, uint64_t data);

static inline struct access get(enum hv_range_type type, uint32_t addr, unsigned size)
{
    return (struct access){.type = type, .addr = addr, .size = size};
}

static inline struct access put(enum hv_range_type type, uint32_t addr, unsigned size,
                                uint32_t value)
{
    return (struct access){.type = type, .addr = addr, .size = size, .write = true, .value = value};
}

/* The request in the slot must be this very access; of a function's register: at `addr`. */
bool matches(struct device *d, unsigned vcpu, struct access a);
bool matches_config(struct device *d, unsigned vcpu, uint64_t addr, struct access a);
bool is_invalidate(struct device *d, unsigned vcpu);

/* vCPU 0 makes the access, and d answers it; what the guest reads comes back. */
bool served_with(struct device *d, const struct fixture *f, struct access a, uint64_t data,
                 uint32_t *value);
bool served_by(struct device *d, const struct fixture *f, struct access a);
/* Nobody is asked; a read gives all ones. */
bool unclaimed(struct guest *g, const struct fixture *f, struct access a);

/*
 * vCPU 0 makes the access while d answers what comes, which is this access or INVALIDATE, if
 * anything: these are due when a page has lost its place, sooner or later.
 */
struct seen {
    unsigned requests, invalidates;
    uint32_t value;
};
bool watch(struct device *d, const struct fixture *f, struct access a, uint64_t data,
           struct seen *seen);

#endif
