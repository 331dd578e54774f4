/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bare-loop DOMID PORT MMIO: the floor for a loop that answers by events. 16 ports from PORT and a
 * page at MMIO read as a constant; no structure, no checks, Xen's libraries alone. One vCPU. Ends
 * by a signal.
 */
/* First: it asks for the toolstack's part of Xen's headers. */
#include <xenctrl.h>

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

static volatile sig_atomic_t stop;

static void on_signal(int signo)
{
    stop = signo;
}

static int die(const char *what)
{
    perror(what);
    return 1;
}

static void answer(volatile ioreq_t *req)
{
    req->state = STATE_IOREQ_INPROCESS;
    if (req->dir == IOREQ_READ && !req->data_is_ptr)
        req->data = 0x12345678;
    atomic_thread_fence(memory_order_seq_cst);
    req->state = STATE_IORESP_READY;
}

int main(int argc, char **argv)
{
    domid_t dom = argc == 4 ? (domid_t)atoi(argv[1]) : 0;
    uint64_t port = argc == 4 ? strtoull(argv[2], NULL, 0) : 0,
             mmio = argc == 4 ? strtoull(argv[3], NULL, 0) : 0;
    xendevicemodel_handle *dm = xendevicemodel_open(NULL, 0);
    xenforeignmemory_handle *fm = xenforeignmemory_open(NULL, 0);
    xenevtchn_handle *ev = xenevtchn_open(NULL, 0);
    xenforeignmemory_resource_handle *res;
    shared_iopage_t *shared;
    void *page = NULL;
    ioservid_t id;
    int local;

    if (!dom || !dm || !fm || !ev)
        return die("bare-loop DOMID PORT MMIO");
    if (xendevicemodel_create_ioreq_server(dm, dom, HVM_IOREQSRV_BUFIOREQ_OFF, &id) < 0)
        return die("create");
    res = xenforeignmemory_map_resource(fm, dom, XENMEM_resource_ioreq_server, id, 1, 1, &page,
                                        PROT_READ | PROT_WRITE, 0);
    if (!res || xendevicemodel_map_io_range_to_ioreq_server(dm, dom, id, 0, port, port + 15) < 0 ||
        xendevicemodel_map_io_range_to_ioreq_server(dm, dom, id, 1, mmio, mmio + 4095) < 0 ||
        xendevicemodel_set_ioreq_server_state(dm, dom, id, 1) < 0)
        return die("set up");
    shared = page;
    local = xenevtchn_bind_interdomain(ev, dom, shared->vcpu_ioreq[0].vp_eport);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    puts("ready");
    fflush(stdout);
    while (!stop) {
        struct pollfd fd = {xenevtchn_fd(ev), POLLIN, 0};
        xenevtchn_port_or_error_t fired;

        if (poll(&fd, 1, 1000) <= 0 || (fired = xenevtchn_pending(ev)) < 0)
            continue;
        if (shared->vcpu_ioreq[0].state == STATE_IOREQ_READY) {
            atomic_thread_fence(memory_order_acquire);
            answer(&shared->vcpu_ioreq[0]);
            xenevtchn_notify(ev, (evtchn_port_t)local);
        }
        xenevtchn_unmask(ev, (evtchn_port_t)fired); /* after the answer: the guest doesn't wait */
    }
    xenforeignmemory_unmap_resource(fm, res);
    xendevicemodel_destroy_ioreq_server(dm, dom, id); /* gone already if its guest is */
    return 0;
}
