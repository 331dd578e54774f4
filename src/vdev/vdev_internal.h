/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's side of virtual devices. */
#ifndef XENGASP_VDEV_INTERNAL_H
#define XENGASP_VDEV_INTERNAL_H

#include <stdatomic.h>
#include <sys/queue.h>
#include <xengasp/vdev.h>

#include "gasp/gasp_internal.h"

/* An instance: what the vdev sees, and what it doesn't. */
struct vdev {
    struct vdev_s public; /* first: a vdev_t * is a struct vdev * */
    TAILQ_ENTRY(vdev) link;
    pthread_mutex_t lock; /* held over each call into the vdev, unless it is VFF_THREADSAFE */
    char *name;
    bool placed; /* its region is set */
    _Atomic uint64_t reads, writes;
    struct log_limit limit;
};
TAILQ_HEAD(vdev_list, vdev);

/* The vCPU whose access is being served. */
struct guest_cpu {
    struct guest_system *gsp;
    unsigned index;
    uint64_t operand; /* what is written, or the answer */
};

static inline struct vdev *vdev_core(vdev_t *vdp)
{
    return (struct vdev *)vdp;
}

/* vdev.c. Errors with errno, and a log line that says what was expected. */
int vdev_create(struct guest_system *gsp, const char *spec, struct vdev_list *list);
int vdev_assign(struct vdev *vdev); /* ASSIGN; then its region is set if it isn't yet */
int vdev_control(struct vdev *vdev, unsigned ctrl, const char *arg); /* 0 or an errno value */
void vdev_destroy(struct vdev *vdev, bool terminate);

/*
 * One access inside one region of the vdev's. Returns false if the vdev doesn't take it (no
 * handler, size, VRS_*): then *value is untouched.
 */
bool vdev_access(struct vdev *vdev, uint32_t cookie, uint16_t type, bool write, uint64_t addr,
                 unsigned size, struct guest_cpu *cpu, uint64_t *value);

/* options.c: takes "NAME,key=value,..." apart: the name, then each key with its value (NULL without
 * "="). */
struct vdev_option {
    char *key;
    char *value;
};
struct vdev_spec {
    char *text; /* the strings live here */
    char *name;
    struct vdev_option *option;
    size_t n;
};
int vdev_spec_parse(const char *text,
                    struct vdev_spec *spec_r); /* ENOMEM, EINVAL (empty name or key) */
void vdev_spec_dispose(struct vdev_spec *spec);
/* Strict: decimal or 0x and digits, at most one of K, M, G, the end. 0, EINVAL or EOVERFLOW. */
int vdev_parse_number(const char *text, uint64_t *value_r);
/* "mem:0xfe000000" or "io:0x2e8". 0 or EINVAL. */
int vdev_parse_location(const char *text, struct qvm_state_block *block);

#endif
