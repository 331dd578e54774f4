/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that gives pages up and takes them back while its RAM is in use here: nothing faults, and
 * what is read is old, right, or ENOENT. It does so behind our back, by another handle, and a case
 * does what a service does when Xen tells it of that.
 */
#include "tests/conformance/guest_ram.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "guest/guest_internal.h"

/* What follows INVALIDATE: the dispatch thread bumps, guest_run drops. */
static void hear_of_it(struct guest *g)
{
    ram_invalidate(&g->gsp->gasp.ram);
    ram_drop_stale(&g->gsp->gasp.ram);
}

struct giving {
    struct guest *g;
    unsigned calls;
    bool wrong;
};

/* Gives up the page that it is called with, and the next; uses it all the same. */
static int give_up_inside(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset,
                          void *cookie)
{
    struct giving *giving = cookie;
    volatile uint64_t *word = at;

    (void)vm;
    (void)offset;
    if (giving->calls++ == 0)
        giving->wrong |= depopulate_run(giving->g, gpa / PAGE, 2) != 2;
    for (size_t i = 0; i < size / 8; i++) {
        giving->wrong |= word[i] != fill_word(gpa + 8 * i, 1);
        word[i] = i;
        giving->wrong |= word[i] != i;
    }
    return 0;
}

static bool given_up_during_a_touch(struct guest *g, const struct fixture *f)
{
    struct giving giving = {.g = g};
    uint64_t word, own = charged(g);

    (void)f;
    CHECK(fill(g, 0, RAM_BYTES, 1));
    CHECK_OK(vm_ram_touch(g->gsp, 0x12000, 3 * PAGE, give_up_inside, &giving));
    CHECK(giving.calls == 3 && !giving.wrong);
    ram_invalidate(&g->gsp->gasp.ram); /* from here on nobody uses what is mapped already */
    CHECK_FAILS(vm_ram_read(g->gsp, 0x13ff8, &word, 8), ENOENT);
    CHECK_EQUAL(charged(g), own - 2); /* none of them is kept mapped */
    CHECK(!has_page(g, 0x12000) && !has_page(g, 0x13000));
    giving.calls = 0;
    CHECK_FAILS(vm_ram_touch(g->gsp, 0x12000, 3 * PAGE, give_up_inside, &giving), ENOENT);
    CHECK_EQUAL(giving.calls, 0);
    CHECK(is_filled(g, 0x11000, PAGE, 1) && is_filled(g, 0x15000, PAGE, 1));
    CHECK_OK(vm_ram_load64(g->gsp, 0x14008, &word));
    CHECK_EQUAL(word, 1);
    return true;
}

/* Writes a page's words by a mapping of its own, as the guest would. */
static bool write_as_the_guest(struct guest *g, uint64_t gfn, size_t n, uint64_t seed)
{
    struct window w;

    CHECK(window_open(&w, n));
    CHECK(map_run(g, &w, 0, gfn, n));
    for (size_t i = 0; i < n * PAGE / 8; i++)
        ((uint64_t *)w.at)[i] = fill_word(gfn * PAGE + 8 * i, seed);
    CHECK_OK(OPS(g)->unmap(g->hv, w.at, n));
    window_close(&w);
    return true;
}

/* Xen tells nobody. After a while the page is seen again, with what the guest wrote. */
static bool a_page_taken_back_is_found(struct guest *g, const struct fixture *f)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    uint64_t word;
    int tries = 0;

    (void)f;
    CHECK_EQUAL(depopulate_run(g, 0x12, 2), 2);
    CHECK_FAILS(vm_ram_read(g->gsp, 0x12008, &word, 8), ENOENT);
    CHECK(fill(g, 0x11000, PAGE, 1)); /* the same 2 MiB are mapped */
    CHECK_EQUAL(populate_run(g, 0x12, 1), 1);
    CHECK(write_as_the_guest(g, 0x12, 1, 5));
    while (vm_ram_read(g->gsp, 0x12008, &word, 8) < 0) {
        CHECK_EQUAL(errno, ENOENT);
        CHECK(++tries < 3000);
        nanosleep(&ms, NULL);
    }
    CHECK_EQUAL(word, fill_word(0x12008, 5));
    CHECK(is_filled(g, 0x12000, PAGE, 5) && is_filled(g, 0x11000, PAGE, 1));
    CHECK_FAILS(vm_ram_read(g->gsp, 0x13000, &word, 8), ENOENT);
    return true;
}

/* ---- all at once ---- */

enum { BALLOON = 4 }; /* pages that come and go, around the border of the first 2 MiB */
#define BALLOON_GFN (EXTENT_PAGES - 2)
#define AROUND_GFN (BALLOON_GFN - 2) /* with two pages on each side, which stay */
enum { AROUND = BALLOON + 4 };

struct play {
    struct guest *g;
    unsigned rounds;
    /* Even while the pages hold, or held, what round step / 2 wrote; odd while they are new. */
    _Atomic unsigned step;
    _Atomic bool over;
    _Atomic unsigned long good, gone; /* reads */
};

/* The round that wrote this page, or -1: it isn't one round's. */
static long round_of(const uint64_t *word, uint64_t gpa, long last)
{
    for (long round = last; round >= 0; round--) {
        size_t i = 0;

        while (i < PAGE / 8 && word[i] == fill_word(gpa + 8 * i, round))
            i++;
        if (i == PAGE / 8)
            return round;
        if (i > 0)
            break;
    }
    return -1;
}

/* While no round changes them the pages are as one round left them, or gone. */
static bool fits(struct play *p, unsigned step, const uint64_t *word, uint64_t gpa)
{
    bool stays = gpa / PAGE < BALLOON_GFN || gpa / PAGE >= BALLOON_GFN + BALLOON;
    long round = round_of(word, gpa, stays ? 0 : step / 2);

    return round >= 0 || (!stays && (step % 2 || p->step != step));
}

static void *read_pages(void *arg)
{
    struct play *p = arg;
    uint64_t word[PAGE / 8];

    for (unsigned i = 0; !p->over; i++) {
        uint64_t gpa = (AROUND_GFN + i % AROUND) * PAGE;
        unsigned step = p->step;

        if (vm_ram_read(p->g->gsp, gpa, word, sizeof(word)) < 0) {
            if (errno != ENOENT)
                return (void *)"a read fails otherwise";
            p->gone++;
            if (i % AROUND < 2 || i % AROUND >= 2 + BALLOON)
                return (void *)"a page that stays is gone";
            continue;
        }
        p->good++;
        if (!fits(p, step, word, gpa))
            return (void *)"a page holds what nobody wrote";
    }
    return NULL;
}

struct look {
    struct play *p;
    unsigned step, calls;
    bool wrong;
};

static int look_at_page(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset, void *cookie)
{
    struct look *look = cookie;

    (void)vm;
    (void)size;
    (void)offset;
    look->calls++;
    look->wrong |= !fits(look->p, look->step, at, gpa);
    sched_yield();
    return 0;
}

static void *touch_pages(void *arg)
{
    struct play *p = arg;

    while (!p->over) {
        struct look look = {.p = p, .step = p->step};
        int rc = vm_ram_touch(p->g->gsp, AROUND_GFN * PAGE, AROUND * PAGE, look_at_page, &look);

        if (rc < 0 && errno != ENOENT)
            return (void *)"a touch fails otherwise";
        if (look.calls != (rc < 0 ? 0 : AROUND) || look.wrong)
            return (void *)"a touch isn't all or nothing";
    }
    return NULL;
}

/* Beside the pages that come and go; nothing of it may get lost. */
static void *write_beside(void *arg)
{
    const uint64_t gpa = (AROUND_GFN - 1) * PAGE;
    struct play *p = arg;

    for (uint64_t i = 1, word; !p->over; i++) {
        if (vm_ram_store64(p->g->gsp, gpa, i) < 0 || vm_ram_load64(p->g->gsp, gpa, &word) < 0)
            return (void *)"a page that stays can't be used";
        if (word != i)
            return (void *)"a word that was written is lost";
    }
    return NULL;
}

/* Copies that take long: most of its time this thread is inside one. */
static void *read_much(void *arg)
{
    static uint64_t word[MIB / 8];
    struct play *p = arg;

    for (size_t i = 0; !p->over; i += 1021) {
        uint64_t at = i % (MIB / 8);

        if (vm_ram_read(p->g->gsp, 0, word, sizeof(word)) < 0)
            return (void *)"pages that stay can't be read";
        if (word[at] != fill_word(8 * at, 0))
            return (void *)"a page that stays holds something else";
    }
    return NULL;
}

static bool come_and_go(struct play *p)
{
    const struct timespec ms = {.tv_nsec = 1000000};

    for (unsigned round = 1; round <= p->rounds; round++) {
        CHECK_EQUAL(depopulate_run(p->g, BALLOON_GFN, BALLOON), BALLOON);
        if (round % 4 == 0)
            nanosleep(&ms, NULL); /* it is told late */
        if (round % 2 == 0)
            hear_of_it(p->g);
        else /* who uses it next drops it */
            ram_invalidate(&p->g->gsp->gasp.ram);
        nanosleep(&ms, NULL);
        p->step++;
        CHECK_EQUAL(populate_run(p->g, BALLOON_GFN, BALLOON), BALLOON);
        CHECK(write_as_the_guest(p->g, BALLOON_GFN, BALLOON, round));
        p->step++;
        /* Or else holes are looked at again after a time. */
        if (round % 8 != 0)
            hear_of_it(p->g);
        nanosleep(&ms, NULL);
    }
    return true;
}

static bool in_use_while_the_guest_balloons(struct guest *g, const struct fixture *f)
{
    static void *(*const thread_of[])(void *) = {read_pages, read_much, touch_pages, write_beside};
    enum { THREADS = sizeof(thread_of) / sizeof(thread_of[0]) };
    struct play p = {.g = g, .rounds = f->real ? 100 : 200};
    uint64_t own = charged(g);
    pthread_t thread[THREADS];
    void *failed;
    bool ok;

    CHECK(fill(g, 0, RAM_BYTES, 0));
    /* What it gives up is charged while it is mapped here. */
    CHECK_OK(OPS(g)->set_max_pages(g->hv, own + 2 * BALLOON));
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_create(&thread[i], NULL, thread_of[i], &p), 0);
    ok = come_and_go(&p);
    p.over = true;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], &failed);
        if (failed)
            ok = COMPLAIN("%s", (char *)failed);
    }
    hear_of_it(g);
    CHECK(ok && p.good > 0 && p.gone > 0);
    CHECK_EQUAL(charged(g), own);
    return is_filled(g, BALLOON_GFN * PAGE, BALLOON * PAGE, p.rounds);
}

const struct conformance_case guest_balloon_cases[] = {
    {"a page given up during a touch", given_up_during_a_touch, {WITH_RAM}},
    {"a page taken back is found", a_page_taken_back_is_found, {WITH_RAM}},
    {"RAM in use while the guest balloons", in_use_while_the_guest_balloons, {WITH_RAM}},
    {NULL, NULL, {0}},
};
