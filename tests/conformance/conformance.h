/* SPDX-License-Identifier: BSD-2-Clause */
/* A case of the conformance suite: one rule of hv.h, or of guest_ram.h, shown on a fresh guest. */
#ifndef XENGASP_CONFORMANCE_H
#define XENGASP_CONFORMANCE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/conformance/fixture.h"

struct conformance_case {
    const char *name;
    bool (*run)(struct guest *g, const struct fixture *f);
    struct fixture_options guest;
};

/* Each ends with an entry without a name. */
extern const struct conformance_case ram_cases[], map_cases[], server_cases[], page_cases[],
    event_cases[], drive_cases[], pci_cases[], relocate_cases[], type_cases[], info_cases[],
    end_cases[], open_cases[], guest_register_cases[], guest_unregister_cases[],
    guest_touch_cases[], guest_alloc_cases[], guest_limit_cases[], guest_balloon_cases[],
    guest_thread_cases[], guest_window_cases[], guest_overlay_cases[], guest_range_cases[],
    gasp_map_cases[], gasp_walk_cases[];

/* Says why this case can't be run here; always true. */
bool skip_case(const char *why);
#define SKIP(why) return skip_case(why)

/* Says what is wrong; always false. */
bool complain(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define COMPLAIN(...) complain(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what))                                                                               \
            return COMPLAIN("%s", #what);                                                          \
    } while (0)

#define CHECK_EQUAL(a, b)                                                                          \
    do {                                                                                           \
        unsigned long long a_ = (a), b_ = (b);                                                     \
        if (a_ != b_)                                                                              \
            return COMPLAIN("%s is %llu (%#llx), not %llu", #a, a_, a_, b_);                       \
    } while (0)

#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            return COMPLAIN("%s: %s", #call, strerror(errno));                                     \
    } while (0)

#define CHECK_FAILS(call, error)                                                                   \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if ((call) >= 0)                                                                           \
            return COMPLAIN("%s succeeds", #call);                                                 \
        if (errno != (error))                                                                      \
            return COMPLAIN("%s: %s, not " #error, #call, strerror(errno));                        \
    } while (0)

#define OPS(g) ((g)->hv->ops)

/* Pages of address space that map can go to. */
struct window {
    uint8_t *at;
    size_t pages;
};

bool window_open(struct window *w, size_t pages);
void window_close(struct window *w);
static inline uint8_t *page_at(struct window *w, size_t i)
{
    return w->at + i * HV_PAGE_SIZE;
}

enum { RW = PROT_READ | PROT_WRITE };

/* Maps gfn, gfn + 1 ... at page i of the window; false unless all of them came. */
bool map_run(struct guest *g, struct window *w, size_t i, uint64_t gfn, size_t n);
/* What err[] says of one page. */
int map_error(struct guest *g, uint64_t gfn);
size_t populate_run(struct guest *g, uint64_t gfn, size_t n);
size_t depopulate_run(struct guest *g, uint64_t gfn, size_t n);
uint64_t charged(struct guest *g); /* info's nr_pages; UINT64_MAX: info failed */

/* Whether the byte can be read (or written with what it holds); no signal comes of it. */
bool readable(const void *at);
bool writable(void *at);

#endif
