/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that use a guest's RAM at once. What they find wrong is their result. */
#include "tests/conformance/guest_ram.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "guest/guest_internal.h"

enum { MOST_THREADS = 5 };

/* Runs these at once; false when one of them isn't content. */
static bool run_threads(unsigned n, void *(*const fn[])(void *), void *const arg[])
{
    pthread_t thread[MOST_THREADS];
    bool ok = true;
    void *failed;

    for (unsigned i = 0; i < n; i++)
        CHECK_EQUAL(pthread_create(&thread[i], NULL, fn[i], arg[i]), 0);
    for (unsigned i = 0; i < n; i++) {
        pthread_join(thread[i], &failed);
        if (failed)
            ok = COMPLAIN("thread %u: %s", i, (char *)failed);
    }
    return ok;
}

/* Others wait until nobody is busy any more, so this comes before every end. NULL: none there. */
static void *end(_Atomic unsigned *busy, const char *failed)
{
    if (busy)
        --*busy;
    return (void *)(uintptr_t)failed;
}

/* ---- the allocator ---- */

struct user {
    struct guest *g;
    uint64_t number, rounds;
    uint64_t largest; /* bytes, now and then, where there may be no room; 0: always little */
    _Atomic unsigned *busy;
};

/* Marks bytes that it was given as its own, and finds them so. NULL, or what is wrong. */
static const char *use_once(const struct user *u, uint64_t i, uint64_t at, size_t bytes)
{
    uint64_t mine = u->number << 32 | i, first = 0, last = 0;
    vm_t *vm = u->g->gsp;

    if (vm_ram_write(vm, at, &mine, 8) < 0 || vm_ram_write(vm, at + bytes - 8, &mine, 8) < 0)
        return "what is allocated can't be written";
    sched_yield();
    if (vm_ram_touch(vm, at, 8, vm_guest_ram_read_callback, &first) < 0 ||
        vm_ram_read(vm, at + bytes - 8, &last, 8) < 0)
        return "what is allocated can't be read";
    if (first != mine || last != mine)
        return "given to two";
    errno = 0;
    vm_ram_free(vm, at, bytes);
    return errno ? "what was allocated can't be freed" : NULL;
}

static void *use_and_free(void *arg)
{
    struct user *u = arg;
    const char *failed = NULL;

    for (uint64_t i = 0; i < u->rounds && !failed; i++) {
        size_t bytes = i % 7 == 0 && u->largest ? u->largest : 16 + 24 * (i % 5);
        uint64_t at = vm_ram_allocate(u->g->gsp, bytes);

        if (at)
            failed = use_once(u, i, at, bytes);
        else if (errno != ENOMEM || !u->largest) /* it may have gone */
            failed = "no room";
    }
    return end(u->busy, failed);
}

static bool threads_get_bytes_of_their_own(struct guest *g, const struct fixture *f)
{
    void *(*const fn[])(void *) = {use_and_free, use_and_free, use_and_free, use_and_free};
    struct user user[4];
    void *arg[4];
    struct view before;

    (void)f;
    CHECK_RC(register_ram(g, MEM, 64 * PAGE), 0);
    CHECK(view_take(g, &before, MEM, 64));
    for (unsigned i = 0; i < 4; i++) {
        user[i] = (struct user){.g = g, .number = i + 1, .rounds = 3000};
        arg[i] = &user[i];
    }
    CHECK(run_threads(4, fn, arg));
    return view_unchanged(g, &before);
}

/* ---- a ring of one element ---- */

/* Under ThreadSanitizer its bytes may race if the words don't order them. */
enum { MESSAGES = 2000, MESSAGE_BYTES = 100 };

static void *send_messages(void *arg)
{
    vm_t *vm = ((struct guest *)arg)->gsp;
    char message[MESSAGE_BYTES];
    uint32_t seen;

    for (uint32_t i = 1; i <= MESSAGES; i++) {
        memset(message, (int)(i & 0x7f), sizeof(message));
        vm_ram_write(vm, MEM + 64, message, sizeof(message));
        vm_ram_store32(vm, MEM, i);
        while (vm_ram_load32(vm, MEM + 4, &seen) == 0 && seen != i)
            sched_yield();
    }
    return NULL;
}

static void *take_messages(void *arg)
{
    vm_t *vm = ((struct guest *)arg)->gsp;
    char message[MESSAGE_BYTES];
    uint32_t sent;

    for (uint32_t i = 1; i <= MESSAGES; i++) {
        while (vm_ram_load32(vm, MEM, &sent) == 0 && sent != i)
            sched_yield();
        if (sent != i || vm_ram_read(vm, MEM + 64, message, sizeof(message)) < 0)
            return (void *)"a message doesn't come";
        for (size_t k = 0; k < sizeof(message); k++)
            if (message[k] != (char)(i & 0x7f))
                return (void *)"a message is older than its number";
        vm_ram_store32(vm, MEM + 4, i);
    }
    return NULL;
}

static bool words_order_bytes(struct guest *g, const struct fixture *f)
{
    void *(*const fn[])(void *) = {send_messages, take_messages};
    void *const arg[] = {g, g};

    (void)f;
    CHECK_RC(register_ram(g, MEM, PAGE), 0);
    return run_threads(2, fn, arg);
}

/* ---- RAM that comes and goes ---- */

struct comer {
    struct guest *g;
    uint64_t start, bytes;
    unsigned rounds;
    bool locked; /* others register, too */
    _Atomic unsigned *busy;
};

static int change(const struct comer *c,
                  int (*call)(struct guest *g, uint64_t start, uint64_t bytes))
{
    int rc;

    if (c->locked)
        gasp_lock(c->g->gsp, QST_MEMORY);
    rc = call(c->g, c->start, c->bytes);
    if (c->locked)
        gasp_unlock(c->g->gsp, QST_MEMORY);
    return rc;
}

static void *come_and_go(void *arg)
{
    struct comer *c = arg;

    for (unsigned i = 0; i < c->rounds; i++) {
        int rc = change(c, register_ram);

        if (rc)
            return end(c->busy, "it can't be registered");
        sched_yield();
        while ((rc = change(c, unregister_ram)) == EBUSY) /* allocated, or being touched */
            sched_yield();
        if (rc)
            return end(c->busy, "it can't be given back");
    }
    return end(c->busy, NULL);
}

struct reader {
    struct guest *g;
    uint64_t gpa;
    _Atomic unsigned *busy; /* others; to the end of the last */
    unsigned long reads;
    bool words; /* reads the two at the border alone: others write there */
};

static int read_words(const struct reader *r)
{
    uint64_t word, border = r->gpa + PAGE;

    return vm_ram_load64(r->g->gsp, border - 8, &word) < 0 ||
                   vm_ram_load64(r->g->gsp, border, &word) < 0
               ? -1
               : 0;
}

/* Readers get it or ENOENT, and never crash. */
static void *read_across(void *arg)
{
    struct reader *r = arg;
    char bytes[2 * PAGE];

    while (*r->busy) {
        int rc = r->words ? read_words(r) : vm_ram_read(r->g->gsp, r->gpa, bytes, sizeof(bytes));

        if (rc == 0)
            r->reads++;
        else if (errno != ENOENT)
            return (void *)"neither read nor ENOENT";
    }
    return NULL;
}

static bool readers_while_it_comes_and_goes(struct guest *g, const struct fixture *f)
{
    void *(*const fn[])(void *) = {read_across, read_across, come_and_go};
    _Atomic unsigned busy = 1;
    struct reader reader[2] = {{g, MEM + MIB2 - PAGE, &busy, 0, false},
                               {g, MEM + MIB2 - PAGE, &busy, 0, false}};
    struct comer comer = {g, MEM, 2 * MIB2, f->real ? 40 : 100, false, &busy};
    void *const arg[] = {&reader[0], &reader[1], &comer};
    struct view before;

    CHECK(view_take(g, &before, MEM, 2 * EXTENT_PAGES));
    CHECK(run_threads(3, fn, arg));
    CHECK(reader[0].reads + reader[1].reads > 0);
    /* A reader may have mapped the 2 MiB, without their pages, just after they went. */
    ram_invalidate(&g->gsp->gasp.ram);
    ram_drop_stale(&g->gsp->gasp.ram);
    return view_unchanged(g, &before);
}

/* Two register and give back, in one 2 MiB and next to each other; two allocate, use and free what
 * there is; one reads. */
static bool everything_at_once(struct guest *g, const struct fixture *f)
{
    void *(*const fn[])(void *) = {come_and_go, come_and_go, use_and_free, use_and_free,
                                   read_across};
    const unsigned rounds = f->real ? 40 : 150;
    _Atomic unsigned busy = 4;
    struct comer comer[2] = {{g, MEM, MIB2 + 8 * PAGE, rounds, true, &busy},
                             {g, MEM + MIB2 + 8 * PAGE, MIB2, rounds, true, &busy}};
    struct user user[2] = {{g, 1, 200 * rounds, MIB, &busy}, {g, 2, 200 * rounds, MIB, &busy}};
    struct reader reader = {g, MEM + MIB2 + 7 * PAGE, &busy, 0, true};
    void *const arg[] = {&comer[0], &comer[1], &user[0], &user[1], &reader};
    struct view before;

    CHECK_RC(register_ram(g, MEM + 4 * MIB2, 4 * PAGE), 0); /* this stays */
    CHECK(view_take(g, &before, MEM, VIEW_PAGES));
    CHECK(run_threads(5, fn, arg));
    ram_invalidate(&g->gsp->gasp.ram);
    ram_drop_stale(&g->gsp->gasp.ram);
    return view_unchanged(g, &before);
}

const struct conformance_case guest_thread_cases[] = {
    {"threads get bytes of their own", threads_get_bytes_of_their_own, {WITH_RAM}},
    {"words order bytes", words_order_bytes, {WITH_RAM}},
    {"readers while RAM comes and goes", readers_while_it_comes_and_goes, {WITH_RAM}},
    {"registering, allocating, using and freeing at once", everything_at_once, {WITH_RAM}},
    {NULL, NULL, {0}},
};
