/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driving a simulated guest (guest_open_sim), so that a vdev can be tested without Xen. The
 * caller's thread plays the vCPU: one thread a vCPU at a time. After guest_configured; the first
 * access unpauses a guest that was made paused.
 *
 * Functions return 0, or -1 with errno: ENOTSUP not a simulated guest; EINVAL; EIO the guest is
 * dead; ETIMEDOUT no answer within ten seconds.
 */
#ifndef XENGASP_SIM_H
#define XENGASP_SIM_H

#include <stdbool.h>
#include <xengasp/guest.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An access of 1, 2, 4 or 8 bytes as an instruction makes it, RAM or not; type QST_MEMORY,
 * QST_X86_IO, or QST_PCI, whose addr is QSL_PCI_MAKE_LOC plus a register (1, 2 or 4 bytes). */
XENGASP_API int sim_read(struct guest_system *gsp, unsigned vcpu, unsigned type, uint64_t addr,
                         unsigned size, uint64_t *value_r);
XENGASP_API int sim_write(struct guest_system *gsp, unsigned vcpu, unsigned type, uint64_t addr,
                          unsigned size, uint64_t value);

/* A string instruction: count elements between the device at addr and RAM at gpa; down: with the
 * direction flag. */
struct sim_rep {
    unsigned
        type; /* QST_MEMORY: rep movs, both sides step; QST_X86_IO: rep ins/outs, the port stays */
    bool write; /* to the device */
    bool down;
    unsigned size;
    uint32_t count;
    uint64_t addr;
    uint64_t gpa;
};
XENGASP_API int sim_rep(struct guest_system *gsp, unsigned vcpu, const struct sim_rep *rep);

/* The guest gives pages up, or takes them back. */
XENGASP_API int sim_balloon(struct guest_system *gsp, bool out, uint64_t gpa, uint64_t bytes);

/* The guest ends: GUEST_POWEROFF ... GUEST_DESTROYED. */
XENGASP_API int sim_end(struct guest_system *gsp, enum guest_end how);

/* The nth hypervisor call from now on fails with this errno; 0 turns it off. sim_calls: calls so
 * far. */
XENGASP_API int sim_fail_call(struct guest_system *gsp, unsigned long nth, int error);
XENGASP_API unsigned long sim_calls(struct guest_system *gsp);

#ifdef __cplusplus
}
#endif

#endif
