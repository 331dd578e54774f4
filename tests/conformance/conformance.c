/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/conformance.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool complain(const char *file, int line, const char *format, ...)
{
    const char *slash = strrchr(file, '/');
    va_list ap;

    printf("# %s:%d: ", slash ? slash + 1 : file, line);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    return false;
}

bool window_open(struct window *w, size_t pages)
{
    void *at = mmap(NULL, pages * HV_PAGE_SIZE, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return COMPLAIN("no address space: %s", strerror(errno));
    *w = (struct window){.at = at, .pages = pages};
    return true;
}

void window_close(struct window *w)
{
    munmap(w->at, w->pages * HV_PAGE_SIZE);
}

bool map_run(struct guest *g, struct window *w, size_t i, uint64_t gfn, size_t n)
{
    uint64_t *list = calloc(n, sizeof(*list));
    int *err = calloc(n, sizeof(*err));
    bool ok = list && err;

    for (size_t k = 0; ok && k < n; k++) {
        list[k] = gfn + k;
        err[k] = -1;
    }
    if (ok && OPS(g)->map(g->hv, page_at(w, i), RW, n, list, err) < 0)
        ok = COMPLAIN("map: %s", strerror(errno));
    for (size_t k = 0; ok && k < n; k++)
        if (err[k] != 0)
            ok = COMPLAIN("frame %#llx: %s", (unsigned long long)list[k], strerror(err[k]));
    free(list);
    free(err);
    return ok;
}

int map_error(struct guest *g, uint64_t gfn)
{
    struct window w;
    int err = -1;

    if (!window_open(&w, 1))
        return -1;
    if (OPS(g)->map(g->hv, w.at, RW, 1, &gfn, &err) < 0)
        COMPLAIN("map: %s", strerror(errno));
    OPS(g)->unmap(g->hv, w.at, 1);
    window_close(&w);
    return err;
}

typedef size_t change_fn(struct hv *hv, unsigned order, size_t n, const uint64_t gfn[]);

static size_t change_run(struct guest *g, change_fn *change, uint64_t gfn, size_t n)
{
    uint64_t *list = calloc(n + 1, sizeof(*list));
    size_t done;

    if (!list)
        return SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        list[i] = gfn + i;
    done = change(g->hv, HV_ORDER_4K, n, list);
    free(list);
    return done;
}

size_t populate_run(struct guest *g, uint64_t gfn, size_t n)
{
    return change_run(g, OPS(g)->populate, gfn, n);
}

size_t depopulate_run(struct guest *g, uint64_t gfn, size_t n)
{
    return change_run(g, OPS(g)->depopulate, gfn, n);
}

uint64_t charged(struct guest *g)
{
    struct hv_info info;

    return OPS(g)->info(g->hv, &info) == 0 ? info.nr_pages : UINT64_MAX;
}

/* The kernel copies for us: where we would get a signal, it answers EFAULT. */
static bool kernel_copies(void *at, bool back)
{
    int fds[2];
    bool ok;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return COMPLAIN("pipe2: %s", strerror(errno));
    ok = write(fds[1], at, 1) == 1 && (!back || read(fds[0], at, 1) == 1);
    close(fds[0]);
    close(fds[1]);
    return ok;
}

bool readable(const void *at)
{
    return kernel_copies((void *)(uintptr_t)at, false);
}

bool writable(void *at)
{
    return kernel_copies(at, true);
}

static const char *skipped;

bool skip_case(const char *why)
{
    skipped = why;
    return true;
}

struct run {
    const struct fixture *fixture;
    const char *only;
    unsigned number, failed;
};

static void run_case(struct run *r, const struct conformance_case *c)
{
    struct guest g;
    bool ok;

    if (r->only && !strstr(c->name, r->only))
        return;
    skipped = NULL;
    if (r->fixture->make(&g, &c->guest) < 0) {
        ok = COMPLAIN("no guest: %s", strerror(errno));
    } else {
        ok = c->run(&g, r->fixture);
        r->fixture->close(&g);
    }
    printf("%s %u - %s", ok ? "ok" : "not ok", ++r->number, c->name);
    if (ok && skipped)
        printf(" # SKIP %s", skipped);
    putchar('\n');
    fflush(stdout);
    r->failed += !ok;
}

/* MORE_CASES: those for this fixture alone. */
#ifndef MORE_CASES
#define MORE_CASES NULL
#endif

static int run_all(void *arg)
{
    static const struct conformance_case *const files[] = {
        ram_cases,
        map_cases,
        server_cases,
        page_cases,
        event_cases,
        drive_cases,
        pci_cases,
        relocate_cases,
        type_cases,
        info_cases,
        end_cases,
        MORE_CASES,
        guest_register_cases,
        guest_unregister_cases,
        guest_touch_cases,
        guest_alloc_cases,
        guest_limit_cases,
        guest_balloon_cases,
        guest_thread_cases,
        guest_window_cases,
        guest_overlay_cases,
        guest_range_cases,
        gasp_map_cases,
        gasp_walk_cases,
    };
    struct run *r = arg;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        for (const struct conformance_case *c = files[i]; c && c->name; c++)
            run_case(r, c);
    printf("1..%u\n", r->number);
    return r->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct run r = {.fixture = &FIXTURE, .only = argc > 1 ? argv[1] : NULL};

    return r.fixture->guard(run_all, &r);
}
