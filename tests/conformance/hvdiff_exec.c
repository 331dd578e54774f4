/* SPDX-License-Identifier: BSD-2-Clause */
/* Running one operation on one back end. Nothing that depends on the host may get into its line. */
#include "tests/conformance/hvdiff.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define OPS(b) ((b)->guest.hv->ops)
#define HV(b) ((b)->guest.hv)

static const char *const names[KINDS] = {
    [POPULATE] = "populate",
    [POPULATE_2M] = "populate 2M",
    [DEPOPULATE] = "depopulate",
    [DEPOPULATE_2M] = "depopulate 2M",
    [MAP] = "map",
    [MAP_ASIDE] = "map aside",
    [UNMAP] = "unmap",
    [WRITE] = "write",
    [READ] = "read",
    [SET_MAX] = "set_max_pages",
    [SET_POOL] = "set_paging_pool",
    [PAUSE] = "pause",
    [UNPAUSE] = "unpause",
    [MODIFIED] = "modified",
    [BOOT_INFO] = "boot_info",
    [SHUT_DOWN] = "shut down",
    [CREATE] = "server_create",
    [DESTROY] = "server_destroy",
    [ENABLE] = "server_enable",
    [EXISTS] = "server_exists",
    [MAP_RANGE] = "map_range",
    [UNMAP_RANGE] = "unmap_range",
    [COMB] = "comb of ranges",
    [PAGE_MAP] = "ioreq_page_map",
    [PAGE_UNMAP] = "ioreq_page_unmap",
    [PAGE_POKE] = "poke ioreq page",
    [PAGE_PEEK] = "peek ioreq page",
    [BIND] = "events_bind",
    [UNBIND] = "events_unbind",
    [DRAIN] = "drain events",
    [UNMASK] = "events_unmask",
    [NOTIFY] = "events_notify",
    [ATTEND] = "attend",
    [LEAVE] = "leave",
    [TURN] = "turn",
    [TRAP] = "trap",
    [ACCESS] = "access",
    [END] = "destroy guest",
    [RELEASE] = "release mappings",
    [POPULATE_ABSURD] = "populate beyond the tables",
    [RELOCATE] = "relocate",
    [SET_TYPE] = "set_ram_type",
};

void say(struct outcome *out, const char *format, ...)
{
    size_t used = strlen(out->line);
    va_list ap;

    va_start(ap, format);
    vsnprintf(out->line + used, sizeof(out->line) - used, format, ap);
    va_end(ap);
}

static void result(struct outcome *out, long rc)
{
    out->rc = rc;
    if (rc < 0)
        say(out, " -> %s", strerrorname_np(errno));
    else
        say(out, " -> %ld", rc);
}

/* Which of the two Linux says depends on its version. */
static void mapping_result(struct outcome *out, int rc)
{
    if (rc < 0 && errno == ENOMEM)
        errno = EINVAL;
    result(out, rc);
}

static void state(struct back_end *b)
{
    uint64_t pool = 0;
    struct hv_info i;

    if (OPS(b)->info(HV(b), &i) < 0) {
        say(&b->out, " | %s", strerrorname_np(errno));
        return;
    }
    say(&b->out, " | %llu of %llu pages, %#llx gfns%s%s%s", (unsigned long long)i.nr_pages,
        (unsigned long long)i.max_pages, (unsigned long long)i.nr_gfns, i.paused ? "" : " running",
        i.never_ran ? "" : " ran", i.dying ? " dying" : "");
    if (i.shutdown)
        say(&b->out, " shutdown %d", (int)i.shutdown_reason);
    if (i.max_vcpus != b->guest.vcpus || i.type != HV_PVH || i.pod_pages)
        say(&b->out, " type %d, %u vCPUs, %llu pod", (int)i.type, i.max_vcpus,
            (unsigned long long)i.pod_pages);
    if (OPS(b)->get_paging_pool(HV(b), &pool) < 0)
        say(&b->out, " pool %s", strerrorname_np(errno));
    else
        say(&b->out, " pool %llu", (unsigned long long)pool / HV_PAGE_SIZE);
}

static void gfn_list(const struct op *op, uint64_t gfn[MAX_LIST])
{
    for (size_t i = 0; i < op->n; i++)
        gfn[i] = frame_gfn(op->frame[i]);
}

static void change_memory(struct back_end *b, const struct op *op)
{
    bool big = op->kind == POPULATE_2M || op->kind == DEPOPULATE_2M;
    bool more = op->kind == POPULATE || op->kind == POPULATE_2M;
    uint64_t gfn[MAX_LIST];

    gfn_list(op, gfn);
    say(&b->out, " %zu from %#llx", op->n, (unsigned long long)gfn[0]);
    result(&b->out, (more ? OPS(b)->populate : OPS(b)->depopulate)(
                        HV(b), big ? HV_ORDER_2M : HV_ORDER_4K, op->n, gfn));
}

static void change_place(struct back_end *b, const struct op *op)
{
    uint64_t from = frame_gfn(op->frame[0]), to = frame_gfn(op->first);

    say(&b->out, " %zu from %#llx", op->n, (unsigned long long)from);
    if (op->kind == RELOCATE) {
        say(&b->out, " to %#llx", (unsigned long long)to);
        result(&b->out, OPS(b)->relocate(HV(b), op->n, from, to));
    } else {
        say(&b->out, "%s", op->on ? " read-only" : "");
        result(&b->out, OPS(b)->set_ram_type(HV(b), op->on, op->n, from));
    }
}

static void map(struct back_end *b, const struct op *op)
{
    uint8_t *at = b->window + (op->kind == MAP_ASIDE ? WINDOW : op->at) * HV_PAGE_SIZE;
    uint64_t gfn[MAX_LIST];
    unsigned good = 0, hash = 0;

    gfn_list(op, gfn);
    say(&b->out, " %zu from %#llx at %u%s", op->n, (unsigned long long)gfn[0], op->at,
        op->prot & PROT_WRITE ? "" : " read-only");
    mapping_result(&b->out, OPS(b)->map(HV(b), at, op->prot, op->n, gfn, b->out.err));
    if (b->out.rc < 0)
        return;
    for (size_t i = 0; i < op->n; i++) {
        good += b->out.err[i] == 0;
        hash = hash * 31 + b->out.err[i];
    }
    say(&b->out, ", %u there, %08x", good, hash);
    if (op->kind == MAP_ASIDE)
        mapping_result(&b->out, OPS(b)->unmap(HV(b), at, op->n));
}

/* Through a pipe: the kernel answers EFAULT where we would get a signal. */
static void copy(struct back_end *b, const struct op *op, const struct model *m)
{
    uint8_t *at = b->window + op->at * HV_PAGE_SIZE + op->spot * (HV_PAGE_SIZE - 8);
    unsigned page = m->window[op->at];
    uint64_t value = op->number;
    ssize_t n;

    say(&b->out, " page %u, spot %u:", op->at, op->spot);
    if (op->kind == WRITE) {
        n = write(b->pipe[1], &value, 8);
        n = read(b->pipe[0], at, 8);
        if (n != 8 && read(b->pipe[0], &value, 8) != 8)
            say(&b->out, " pipe: %s", strerrorname_np(errno));
    } else {
        n = write(b->pipe[1], at, 8);
        if (n == 8 && read(b->pipe[0], &value, 8) != 8)
            say(&b->out, " pipe: %s", strerrorname_np(errno));
    }
    b->out.copied = n == 8;
    if (n != 8)
        say(&b->out, " no access");
    else if (op->kind == WRITE)
        say(&b->out, " %llu", (unsigned long long)value);
    else if (page && m->content[page].known[op->spot])
        say(&b->out, " %llu%s", (unsigned long long)value,
            value == m->content[page].value[op->spot] ? "" : " WRONG");
    else
        say(&b->out, " something");
}

static void change_guest(struct back_end *b, const struct op *op)
{
    static const uint64_t absurd[2] = {1ull << 36, 1ull << 40};
    uint64_t gpa = 0;

    switch (op->kind) {
    case POPULATE_ABSURD:
        result(&b->out,
               OPS(b)->populate(HV(b), op->on ? HV_ORDER_4K : HV_ORDER_2M, 1, &absurd[op->spot]));
        break;
    case SET_MAX:
        say(&b->out, " %llu", (unsigned long long)op->first);
        result(&b->out, OPS(b)->set_max_pages(HV(b), op->first));
        break;
    case SET_POOL:
        say(&b->out, " %llu pages", (unsigned long long)op->first);
        result(&b->out, OPS(b)->set_paging_pool(HV(b), op->first * HV_PAGE_SIZE));
        break;
    case PAUSE:
        result(&b->out, OPS(b)->pause(HV(b)));
        break;
    case UNPAUSE:
        result(&b->out, OPS(b)->unpause(HV(b)));
        break;
    case MODIFIED:
        say(&b->out, " %#llx %llu", (unsigned long long)op->first, (unsigned long long)op->last);
        result(&b->out,
               OPS(b)->modified(HV(b), 1, &(struct hv_extent){.gfn = op->first, .n = op->last}));
        break;
    case BOOT_INFO:
        result(&b->out, OPS(b)->boot_info(HV(b), &gpa));
        say(&b->out, " %#llx", (unsigned long long)gpa);
        break;
    default:
        say(&b->out, " %llu", (unsigned long long)op->first);
        b->fixture->shut_down(&b->guest, (enum hv_shutdown)op->first);
    }
}

static void change_range(struct back_end *b, const struct op *op)
{
    unsigned done = 0;
    int rc = 0;

    say(&b->out, " %d of server %u, %#llx to %#llx", (int)op->type, op->server,
        (unsigned long long)op->first, (unsigned long long)op->last);
    if (op->kind == MAP_RANGE) {
        rc = OPS(b)->server_map_range(HV(b), op->server, op->type, op->first, op->last);
    } else if (op->kind == UNMAP_RANGE) {
        rc = OPS(b)->server_unmap_range(HV(b), op->server, op->type, op->first, op->last);
    } else {
        for (unsigned i = 0; i < 300; i++) {
            rc = (op->on ? OPS(b)->server_map_range : OPS(b)->server_unmap_range)(
                HV(b), op->server, op->type, op->first + 2 * i, op->first + 2 * i);
            done += rc == 0;
        }
        say(&b->out, " %s %u", op->on ? "mapped" : "unmapped", done);
    }
    result(&b->out, rc);
}

static void change_server(struct back_end *b, const struct op *op)
{
    unsigned id = 0, bits = 0;

    switch (op->kind) {
    case CREATE:
        result(&b->out, OPS(b)->server_create(HV(b), &id));
        say(&b->out, " server %u", id);
        break;
    case DESTROY:
        say(&b->out, " %u", op->server);
        result(&b->out, OPS(b)->server_destroy(HV(b), op->server));
        break;
    case ENABLE:
        say(&b->out, " %u %s", op->server, op->on ? "on" : "off");
        result(&b->out, OPS(b)->server_enable(HV(b), op->server, op->on));
        break;
    default:
        for (unsigned i = 0; i < 10; i++)
            bits |= OPS(b)->server_exists(HV(b), i) << i;
        say(&b->out, " %#x", bits);
    }
}

static void change_page(struct back_end *b, const struct op *op)
{
    struct ioreq_page *page = b->page[op->slot];
    unsigned free = 0;

    if (op->kind == PAGE_MAP) {
        while (free < PAGES && b->page[free])
            free++;
        say(&b->out, " %u", op->server);
        b->out.rc = -1;
        if (free == PAGES)
            return;
        result(&b->out, OPS(b)->ioreq_page_map(HV(b), op->server, &page));
        if (b->out.rc == 0) {
            b->page[free] = page;
            b->out.rc = free;
        }
        return;
    }
    say(&b->out, " %u", op->slot);
    if (!page)
        return;
    if (op->kind == PAGE_UNMAP) {
        result(&b->out, OPS(b)->ioreq_page_unmap(HV(b), page));
        b->page[op->slot] = NULL;
    } else if (op->kind == PAGE_POKE) {
        page->slot[100 + op->server].data = op->number;
    } else {
        say(&b->out, " %llu", (unsigned long long)page->slot[100 + op->server].data);
        for (unsigned i = 0; i < 3; i++)
            say(&b->out, " %d/%u", page->slot[i].vp_eport != 0, page->slot[i].control);
    }
}

static bool comes_readable(struct back_end *b, struct hv_events *ev, int ms)
{
    struct pollfd fd = {.fd = OPS(b)->events_fd(ev), .events = POLLIN};

    return poll(&fd, 1, ms) == 1;
}

/* Takes all that came. What comes late is waited for, for its number is known. */
static void drain(struct back_end *b, struct hv_events *ev, const int port[PORTS],
                  unsigned expected)
{
    unsigned n = 0, bits = 0;
    int got;

    while (comes_readable(b, ev, n < expected ? 1000 : 2)) {
        got = OPS(b)->events_pending(ev);
        n++;
        for (unsigned i = 0; i < PORTS; i++)
            bits |= (got > 0 && port[i] == got) << i;
    }
    say(&b->out, " %u events, ports %#x", n, bits);
    if (OPS(b)->events_pending(ev) >= 0 || errno != EAGAIN)
        say(&b->out, " and more");
}

static void bind(struct back_end *b, const struct op *op)
{
    struct ioreq_page *page = b->page[op->slot];
    int *port = b->port[op->handle], local;
    unsigned free = 0;

    while (free < PORTS && port[free])
        free++;
    say(&b->out, " page %u slot %u handle %u", op->slot, op->server, op->handle);
    b->out.rc = -1;
    if (free == PORTS)
        return;
    local = OPS(b)->events_bind(b->ev[op->handle], page ? page->slot[op->server].vp_eport : 1000);
    result(&b->out, local < 0 ? local : 0);
    if (local >= 0) {
        port[free] = local;
        b->out.rc = free;
    }
}

static void change_events(struct back_end *b, const struct op *op, const struct model *m)
{
    struct hv_events *ev = b->ev[op->handle];
    int *port = &b->port[op->handle][op->slot];

    if (op->kind == BIND) {
        bind(b, op);
        return;
    }
    say(&b->out, " handle %u", op->handle);
    if (op->kind == DRAIN || op->kind == UNBIND)
        drain(b, ev, b->port[op->handle], m->events[op->handle]);
    if (op->kind == DRAIN)
        return;
    say(&b->out, " port %u", op->slot);
    if (!*port)
        return;
    if (op->kind == UNMASK) {
        result(&b->out, OPS(b)->events_unmask(ev, *port));
    } else if (op->kind == NOTIFY) {
        result(&b->out, OPS(b)->events_notify(ev, *port));
    } else {
        result(&b->out, OPS(b)->events_unbind(ev, *port));
        *port = 0;
    }
}

/* True once nothing of the guest is left. */
static bool wait_gone(struct back_end *b)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    struct hv_info info;

    for (int i = 0; i < 1000; i++) {
        if (OPS(b)->info(HV(b), &info) < 0 && errno == ESRCH)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool held(const struct model *m)
{
    for (unsigned i = 0; i < WINDOW; i++)
        if (m->window[i])
            return true;
    for (unsigned i = 0; i < PAGES; i++)
        if (m->page[i])
            return true;
    return false;
}

static void end(struct back_end *b, const struct op *op, const struct model *m)
{
    if (op->kind == END) {
        b->fixture->destroy(&b->guest);
        if (!held(m))
            say(&b->out, " %s", wait_gone(b) ? "gone" : "still there");
        return;
    }
    mapping_result(&b->out, OPS(b)->unmap(HV(b), b->window, WINDOW));
    for (unsigned i = 0; i < PAGES; i++) {
        if (b->page[i])
            result(&b->out, OPS(b)->ioreq_page_unmap(HV(b), b->page[i]));
        b->page[i] = NULL;
    }
    say(&b->out, " %s", wait_gone(b) ? "gone" : "still there");
}

void execute(struct back_end *b, const struct op *op, const struct model *m)
{
    memset(&b->out, 0, sizeof(b->out));
    say(&b->out, "%u %s", op->number, names[op->kind]);
    errno = 0;
    switch (op->kind) {
    case POPULATE:
    case POPULATE_2M:
    case DEPOPULATE:
    case DEPOPULATE_2M:
        change_memory(b, op);
        break;
    case RELOCATE:
    case SET_TYPE:
        change_place(b, op);
        break;
    case MAP:
    case MAP_ASIDE:
        map(b, op);
        break;
    case UNMAP:
        say(&b->out, " %zu at %u", op->n, op->at);
        mapping_result(&b->out, OPS(b)->unmap(HV(b), b->window + op->at * HV_PAGE_SIZE, op->n));
        break;
    case WRITE:
    case READ:
        copy(b, op, m);
        break;
    case CREATE:
    case DESTROY:
    case ENABLE:
    case EXISTS:
        change_server(b, op);
        break;
    case MAP_RANGE:
    case UNMAP_RANGE:
    case COMB:
        change_range(b, op);
        break;
    case PAGE_MAP:
    case PAGE_UNMAP:
    case PAGE_POKE:
    case PAGE_PEEK:
        change_page(b, op);
        break;
    case BIND:
    case UNBIND:
    case DRAIN:
    case UNMASK:
    case NOTIFY:
        change_events(b, op, m);
        break;
    case ATTEND:
    case LEAVE:
    case TURN:
    case TRAP:
    case ACCESS:
        execute_running(b, op, m);
        break;
    case END:
    case RELEASE:
        end(b, op, m);
        break;
    default:
        change_guest(b, op);
    }
    state(b);
}

bool back_end_open(struct back_end *b, bool running)
{
    struct fixture_options options = {
        .paging_pool = 256 * HV_PAGE_SIZE, .max_pages = 8192, .running = running};

    memset(b->page, 0, sizeof(b->page));
    memset(b->port, 0, sizeof(b->port));
    memset(b->attended, 0, sizeof(b->attended));
    if (pipe2(b->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    b->window = mmap(NULL, (WINDOW + MAX_LIST) * HV_PAGE_SIZE, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->window == MAP_FAILED || b->fixture->make(&b->guest, &options) < 0)
        return false;
    for (unsigned i = 0; i < HANDLES; i++)
        if (!(b->ev[i] = OPS(b)->events_open(HV(b))))
            return false;
    return true;
}

void back_end_close(struct back_end *b)
{
    for (unsigned i = 0; i < HANDLES; i++)
        OPS(b)->events_close(b->ev[i]);
    for (unsigned i = 0; i < ATTENDED; i++)
        if (b->attended[i].page)
            OPS(b)->ioreq_page_unmap(HV(b), b->attended[i].page);
    b->fixture->close(&b->guest);
    munmap(b->window, (WINDOW + MAX_LIST) * HV_PAGE_SIZE);
    close(b->pipe[0]);
    close(b->pipe[1]);
}
