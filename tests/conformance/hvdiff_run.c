/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on a running guest: its vCPUs make accesses, and a few servers answer whatever they
 * are asked. Which of them are asked, for what and in which order goes into the line. INVALIDATE
 * doesn't: when it comes is chance.
 */
#include "tests/conformance/hvdiff.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "space/clock.h"

#define OPS(b) ((b)->guest.hv->ops)
#define HV(b) ((b)->guest.hv)

enum {
    PATIENCE_S = 5,
    PORTS_AT = 0x1000,
    MEMORY_AT = 0x200fe0, /* up to the border of two pages that come and go */
    SPAN = 48,
    AWAY = 0x300, /* frames that they are moved to */
};

static void answer(struct back_end *b, struct attended *a, unsigned vcpu, unsigned number)
{
    struct ioreq_slot *slot = &a->page->slot[vcpu];
    uint8_t flags = slot->control & (uint8_t)~IOREQ_CONTROL_STATE;

    if (slot->type != IOREQ_INVALIDATE) {
        say(&b->out, " [%u:%u %#llx %u%s", a->server, slot->type, (unsigned long long)slot->addr,
            slot->size, flags & IOREQ_CONTROL_READ ? " read" : "");
        if (!(flags & IOREQ_CONTROL_READ))
            say(&b->out, " write %#llx", (unsigned long long)slot->data);
        say(&b->out, " %#x %u]", flags, slot->count);
    }
    atomic_store(&slot->control, flags | IOREQ_STATE_INPROCESS);
    if (flags & IOREQ_CONTROL_READ)
        slot->data = number * 8 + a->server;
    atomic_store(&slot->control, flags | IOREQ_STATE_RESP_READY);
    OPS(b)->events_notify(b->ev[0], a->port[vcpu]);
}

static void answer_all(struct back_end *b, struct attended *a, unsigned number)
{
    for (unsigned i = 0; a->page && i < DRIVEN_VCPUS; i++)
        if ((a->page->slot[i].control & IOREQ_CONTROL_STATE) == IOREQ_STATE_READY)
            answer(b, a, i, number);
}

static void attend(struct back_end *b, struct attended *a)
{
    if (a->page)
        return;
    if (OPS(b)->server_create(HV(b), &a->server) < 0 ||
        OPS(b)->ioreq_page_map(HV(b), a->server, &a->page) < 0 ||
        OPS(b)->server_enable(HV(b), a->server, true) < 0) {
        say(&b->out, " %s", strerrorname_np(errno));
        return;
    }
    for (unsigned i = 0; i < DRIVEN_VCPUS; i++) {
        a->port[i] = OPS(b)->events_bind(b->ev[0], a->page->slot[i].vp_eport);
        if (a->port[i] < 0)
            say(&b->out, " %s", strerrorname_np(errno));
    }
    say(&b->out, " server %u", a->server);
}

/* In the one safe order: after the disabling nothing new comes, and what came is answered. */
static void leave(struct back_end *b, struct attended *a, unsigned number)
{
    if (!a->page)
        return;
    say(&b->out, " server %u", a->server);
    if (OPS(b)->server_enable(HV(b), a->server, false) < 0)
        say(&b->out, " %s", strerrorname_np(errno));
    answer_all(b, a, number);
    for (unsigned i = 0; i < DRIVEN_VCPUS; i++)
        OPS(b)->events_unbind(b->ev[0], a->port[i]);
    while (OPS(b)->events_pending(b->ev[0]) >= 0)
        ; /* nobody waits for them here */
    if (OPS(b)->ioreq_page_unmap(HV(b), a->page) < 0 ||
        OPS(b)->server_destroy(HV(b), a->server) < 0)
        say(&b->out, " %s", strerrorname_np(errno));
    a->page = NULL;
}

static void turn(struct back_end *b, const struct op *op, struct attended *a)
{
    if (!a->page)
        return;
    say(&b->out, " server %u %s", a->server, op->on ? "on" : "off");
    if (OPS(b)->server_enable(HV(b), a->server, op->on) < 0)
        say(&b->out, " %s", strerrorname_np(errno));
}

static void trap(struct back_end *b, const struct op *op, struct attended *a)
{
    int rc;

    if (!a->page)
        return;
    say(&b->out, " %s %d of server %u, %#llx to %#llx", op->on ? "map" : "unmap", (int)op->type,
        a->server, (unsigned long long)op->first, (unsigned long long)op->last);
    rc = (op->on ? OPS(b)->server_map_range
                 : OPS(b)->server_unmap_range)(HV(b), a->server, op->type, op->first, op->last);
    say(&b->out, " -> %s", rc < 0 ? strerrorname_np(errno) : "0");
}

static struct access access_of(const struct op *op)
{
    return (struct access){
        .type = op->type,
        .write = op->on,
        .size = op->n,
        .addr = op->first,
        .value = op->number,
    };
}

/* Pages' content is chance: of a read from RAM only the requests beside it are told. */
static bool touches_ram(const struct op *op, const struct model *m)
{
    return op->type == HV_RANGE_MEMORY &&
           (m->frame[op->first / HV_PAGE_SIZE] || m->frame[(op->first + op->n - 1) / HV_PAGE_SIZE]);
}

static void make_access(struct back_end *b, const struct op *op, const struct model *m)
{
    struct access a = access_of(op);
    uint64_t end = clock_ns() + PATIENCE_S * UINT64_C(1000000000);
    uint32_t value = 0;
    int rc = -1;

    say(&b->out, " %s %u %#x by %u:", a.type == HV_RANGE_PORT ? "port" : "memory", a.size, a.addr,
        op->handle);
    if (b->fixture->start(&b->guest, op->handle, &a) < 0) {
        say(&b->out, " %s", strerrorname_np(errno));
        return;
    }
    while (rc < 0 && clock_ns() < end) {
        for (unsigned i = 0; i < ATTENDED; i++)
            answer_all(b, &b->attended[i], op->number);
        rc = b->fixture->wait(&b->guest, op->handle, 1, &value);
        if (rc < 0 && errno != ETIMEDOUT)
            break;
    }
    if (rc < 0)
        say(&b->out, " %s", strerrorname_np(errno));
    else if (!a.write && !touches_ram(op, m))
        say(&b->out, " %#x", value);
}

void execute_running(struct back_end *b, const struct op *op, const struct model *m)
{
    struct attended *a = &b->attended[op->slot];

    say(&b->out, " %u", op->slot);
    switch (op->kind) {
    case ATTEND:
        attend(b, a);
        break;
    case LEAVE:
        leave(b, a, op->number);
        break;
    case TURN:
        turn(b, op, a);
        break;
    case TRAP:
        trap(b, op, a);
        break;
    default:
        make_access(b, op, m);
    }
}

/* Mostly the two pages that accesses go to, and these mostly away. Never those with the code. */
void choose_running_frames(struct model *m, struct op *op)
{
    if (op->kind == DEPOPULATE || (op->kind == POPULATE && below(m, 4) == 0)) {
        op->n = 1 + below(m, 2);
        for (size_t i = 0; i < op->n; i++)
            op->frame[i] = MEMORY_AT / HV_PAGE_SIZE + below(m, 2);
    }
    if (op->kind == RELOCATE || op->kind == SET_TYPE || (op->kind == MAP && below(m, 2) == 0)) {
        unsigned here = MEMORY_AT / HV_PAGE_SIZE + below(m, 2), there = AWAY + below(m, 2);
        bool away = op->kind != RELOCATE || below(m, 2) == 0;

        if (op->kind != MAP || op->n > 2)
            op->n = 1 + below(m, 2);
        op->first = away ? there : here;
        for (size_t i = 0; i < op->n; i++)
            op->frame[i] = (away ? here : there) + i;
    }
    for (size_t i = 0; i < op->n; i++)
        if (op->frame[i] < DRIVEN_PAGES || op->kind == POPULATE_2M || op->kind == DEPOPULATE_2M)
            op->frame[i] = REGION; /* at 4 GiB */
}

void generate_running(struct model *m, struct op *op)
{
    op->slot = below(m, ATTENDED);
    op->handle = below(m, DRIVEN_VCPUS); /* here: a vCPU */
    op->type = below(m, 2) ? HV_RANGE_MEMORY : HV_RANGE_PORT;
    op->first = (op->type == HV_RANGE_PORT ? PORTS_AT : MEMORY_AT) + below(m, SPAN);
    op->on = below(m, 5) < 4;
    if (op->kind == TRAP)
        op->last = op->first + (below(m, 4) ? below(m, 8) : below(m, SPAN));
    else if (op->kind == ACCESS)
        op->n = 1u << below(m, 3);
}

/* What the guest may have written over is known no more. */
void learn_access(struct model *m, const struct op *op)
{
    const uint64_t last = op->first + op->n - 1;

    if (op->type != HV_RANGE_MEMORY || !op->on)
        return;
    for (uint64_t gfn = op->first / HV_PAGE_SIZE; gfn <= last / HV_PAGE_SIZE; gfn++)
        if (m->frame[gfn] && m->type[gfn] != READ_ONLY)
            memset(&m->content[m->frame[gfn]], 0, sizeof(*m->content));
}
