/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reading and writing guest RAM costs on the bare processor: one short round on a simulated
 * guest, whose RAM is real memory. Random addresses over 64 MiB, in 256 ranges or in one; beside
 * each figure the same copy by memcpy at the same addresses, batch by batch in turns. Prints lines
 * "ram NAME NANOSECONDS", lower quartiles of the batches. vm-memory/src/main.rs is its counterpart.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <xengasp/gasp.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>
#include <xengasp/sim.h>

#include "tests/bench/measure.h"

#define BASE (UINT64_C(4) << 30)
#define TOTAL (UINT64_C(64) << 20)
/* Each range begins in a chunk of its own. */
#define STRIDE (UINT64_C(4) << 20)

enum { BATCHES = 40, MOST = 1 << 20, MAX_THREADS = 256, HOT = 1024 };

/* A guest, and where a thread is in the sequence of addresses. */
struct place {
    struct guest_system *guest;
    pthread_t runner; /* as in a service: tells Xen what was written, later */
    char *base;       /* host address of guest address 0 */
    unsigned regions;
    uint64_t spread; /* addresses come from so many bytes of each range */
    uint64_t seed;
    char *buf;
};

struct job {
    const char *name;
    void (*run)(struct place *p, size_t size, unsigned n);
    size_t size;
    unsigned n; /* a batch, half a millisecond or so */
};

static void die(const char *what)
{
    fprintf(stderr, "ram-sim: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The next address where `size` bytes lie in one range. */
static inline uint64_t next(struct place *p, size_t size)
{
    uint64_t r = measure_random(&p->seed), words = (p->spread - size) / 8 + 1;

    return BASE + (r >> 56 & (p->regions - 1)) * STRIDE +
           ((r >> 24 & UINT32_MAX) * words >> 32) * 8;
}

static void load(struct place *p, size_t size, unsigned n)
{
    uint64_t value, wrong = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t gpa = next(p, size);

        if (vm_ram_load64(p->guest, gpa, &value) < 0)
            die("load");
        wrong |= value ^ gpa;
    }
    if (wrong)
        die("a word isn't what was written");
}

static void plain_load(struct place *p, size_t size, unsigned n)
{
    uint64_t wrong = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t gpa = next(p, size);

        wrong |= *(volatile uint64_t *)(p->base + gpa) ^ gpa;
    }
    if (wrong)
        die("a word isn't what was written");
}

static void lookup(struct place *p, size_t size, unsigned n)
{
    struct qvm_state_block at = {.type = QST_MEMORY, .length = 8};
    struct gasp_region region;

    for (unsigned i = 0; i < n; i++) {
        at.location = next(p, size);
        if (gasp_region_info(p->guest, &at, &region) || !(region.flags & GRF_MEMORY))
            die("lookup");
    }
}

static void read_ram(struct place *p, size_t size, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (vm_ram_read(p->guest, next(p, size), p->buf, size) < 0)
            die("read");
    }
}

static void write_ram(struct place *p, size_t size, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (vm_ram_write(p->guest, next(p, size), p->buf, size) < 0)
            die("write");
    }
}

/* The compiler must not know that nobody looks at the copy. */
#define used(p) __asm__ volatile("" : : "r"(p) : "memory")

static void copy_from(struct place *p, size_t size, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(p->buf, p->base + next(p, size), size);
        used(p->buf);
    }
}

static void copy_to(struct place *p, size_t size, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(p->base + next(p, size), p->buf, size);
        used(p->buf);
    }
}

static double batch(struct place *p, const struct job *job)
{
    uint64_t start = measure_ns();

    job->run(p, job->size, job->n);
    return (double)(measure_ns() - start) / job->n;
}

/* Each job's batches in turns with the others'. */
static void run_jobs(struct place *p, const struct job *job, size_t n)
{
    static double ns[16][BATCHES];

    for (size_t j = 0; j < n; j++)
        batch(p, &job[j]);
    for (unsigned i = 0; i < BATCHES; i++) {
        for (size_t j = 0; j < n; j++)
            ns[j][i] = batch(p, &job[j]);
    }
    for (size_t j = 0; j < n; j++)
        measure_print(job[j].name, measure_quartile(ns[j], BATCHES));
}

/* ---- many threads ---- */

struct thread {
    pthread_t id;
    struct place place;
    const struct job *job;
    pthread_barrier_t *start;
    double quartile;
};

static void *in_thread(void *arg)
{
    struct thread *t = arg;
    double ns[BATCHES];

    t->place.buf = malloc(MOST);
    if (!t->place.buf)
        die("malloc");
    batch(&t->place, t->job);
    pthread_barrier_wait(t->start);
    for (unsigned i = 0; i < BATCHES; i++)
        ns[i] = batch(&t->place, t->job);
    t->quartile = measure_quartile(ns, BATCHES);
    free(t->place.buf);
    return NULL;
}

/* What an access costs each of n threads. */
static double with_threads(const struct place *p, const struct job *job, unsigned n)
{
    static struct thread thread[MAX_THREADS];
    pthread_barrier_t start;
    double sum = 0;

    pthread_barrier_init(&start, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        thread[i] = (struct thread){.place = *p, .job = job, .start = &start};
        thread[i].place.seed += i;
        if ((errno = pthread_create(&thread[i].id, NULL, in_thread, &thread[i])))
            die("pthread_create");
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(thread[i].id, NULL);
        sum += thread[i].quartile;
    }
    pthread_barrier_destroy(&start);
    return sum / n;
}

static void run_threads(const struct place *p, const struct job *job, size_t n_jobs)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = cpus < MAX_THREADS ? (unsigned)cpus : MAX_THREADS;
    char name[64];

    for (size_t j = 0; j < n_jobs; j++) {
        snprintf(name, sizeof(name), "%s.one", job[j].name);
        measure_print(name, with_threads(p, &job[j], 1));
        snprintf(name, sizeof(name), "%s.all", job[j].name);
        measure_print(name, with_threads(p, &job[j], n));
    }
}

/* ---- the allocator ---- */

enum { SIZE_MIN = 64, SIZE_SPREAD = 768, ROUND = 250 };

struct allocation {
    uint64_t start;
    size_t size;
};

static void take_one(struct place *p, struct allocation *a)
{
    a->size = SIZE_MIN + (measure_random(&p->seed) >> 33) % SIZE_SPREAD;
    a->start = vm_ram_allocate(p->guest, a->size);
    if (!a->start)
        die("allocate");
}

/* Frees some of n allocations, and makes as many. Their order is random already. */
static void change_some(struct place *p, struct allocation *a, unsigned n, double *free_ns,
                        double *take_ns)
{
    unsigned from = (unsigned)(measure_random(&p->seed) >> 33) % (n - ROUND);
    uint64_t start = measure_ns(), middle;

    for (unsigned i = from; i < from + ROUND; i++)
        vm_ram_free(p->guest, a[i].start, a[i].size);
    middle = measure_ns();
    for (unsigned i = from; i < from + ROUND; i++)
        take_one(p, &a[i]);
    *free_ns = (double)(middle - start) / ROUND;
    *take_ns = (double)(measure_ns() - middle) / ROUND;
}

static void shuffle(struct place *p, struct allocation *a, unsigned n)
{
    for (unsigned i = n - 1; i > 0; i--) {
        unsigned j = (unsigned)(measure_random(&p->seed) >> 33) % (i + 1);
        struct allocation other = a[j];

        a[j] = a[i];
        a[i] = other;
    }
}

/* Allocating and freeing while n allocations live, scattered as a long life leaves them. */
static void run_allocator(struct place *p, unsigned n)
{
    struct allocation *a = calloc(n, sizeof(*a));
    double give[BATCHES], take[BATCHES];
    char name[64];

    if (!a)
        die("calloc");
    for (unsigned i = 0; i < n; i++)
        take_one(p, &a[i]);
    shuffle(p, a, n);
    for (unsigned i = 0; i < n / ROUND; i++)
        change_some(p, a, n, give, take);
    shuffle(p, a, n);
    for (unsigned i = 0; i < BATCHES; i++)
        change_some(p, a, n, &give[i], &take[i]);
    snprintf(name, sizeof(name), "allocate.%u", n);
    measure_print(name, measure_quartile(take, BATCHES));
    snprintf(name, sizeof(name), "free.%u", n);
    measure_print(name, measure_quartile(give, BATCHES));
    errno = 0;
    for (unsigned i = 0; i < n; i++)
        vm_ram_free(p->guest, a[i].start, a[i].size);
    if (errno)
        die("free");
    free(a);
}

/* ---- */

static int note_base(vm_t *vm, uintptr_t gpa, void *at, size_t size, size_t offset, void *cookie)
{
    (void)vm;
    (void)size;
    (void)offset;
    *(char **)cookie = (char *)at - gpa;
    return 0;
}

/* Each word of guest RAM holds its address. That maps it all, too, and it stays mapped: nothing
 * happens to this guest. */
static void fill(struct place *p)
{
    uint64_t *word = (uint64_t *)p->buf, bytes = TOTAL / p->regions;

    for (unsigned r = 0; r < p->regions; r++) {
        for (uint64_t done = 0; done < bytes; done += MOST < bytes ? MOST : bytes) {
            size_t part = MOST < bytes ? MOST : bytes;
            uint64_t gpa = BASE + r * STRIDE + done;

            for (size_t i = 0; i < part / 8; i++)
                word[i] = gpa + i * 8;
            if (vm_ram_write(p->guest, gpa, p->buf, part) < 0)
                die("fill");
        }
    }
    if (vm_ram_touch(p->guest, BASE, 1, note_base, &p->base) < 0)
        die("touch");
}

static void *run(void *arg)
{
    if (guest_run(arg) < 0)
        die("run");
    return NULL;
}

static void place_close(struct place *p)
{
    guest_stop(p->guest);
    pthread_join(p->runner, NULL);
    guest_close(p->guest);
}

static void place_open(struct place *p, unsigned regions, char *buf)
{
    struct sim_options sim = {.size = sizeof(sim), .vcpus = 1, .ram_bytes = 1 << 20};
    struct guest_options options = {.size = sizeof(options)};

    *p = (struct place){.regions = regions, .spread = TOTAL / regions, .seed = 1, .buf = buf};
    if (guest_open_sim(&p->guest, &sim, &options) < 0)
        die("open");
    for (unsigned r = 0; r < regions; r++) {
        if (vm_ram_register_at(p->guest, BASE + r * STRIDE, TOTAL / regions, false) < 0)
            die("register");
    }
    errno = pthread_create(&p->runner, NULL, run, p->guest);
    if (errno)
        die("thread");
    fill(p);
}

static const struct job many_regions[] = {
    {"load", load, 8, 4000},
    {"plain_load", plain_load, 8, 20000},
    {"read512", read_ram, 512, 2000},
    {"memcpy512", copy_from, 512, 4000},
    {"read64k", read_ram, 64 << 10, 100},
    {"memcpy64k", copy_from, 64 << 10, 100},
};
/* The same where all that is read stays in the processor's cache: our own time. */
static const struct job many_regions_hot[] = {
    {"load.hot", load, 8, 10000},
    {"plain_load.hot", plain_load, 8, 40000},
    {"lookup.hot", lookup, 8, 10000},
    {"read512.hot", read_ram, 512, 10000},
    {"memcpy512.hot", copy_from, 512, 20000},
};
static const struct job many_regions_writing[] = {
    {"write512", write_ram, 512, 2000},
    {"memcpyto512", copy_to, 512, 2000},
    {"write64k", write_ram, 64 << 10, 100},
    {"memcpyto64k", copy_to, 64 << 10, 100},
};
static const struct job one_region[] = {
    {"read1m", read_ram, 1 << 20, 8},
    {"memcpy1m", copy_from, 1 << 20, 8},
    {"write1m", write_ram, 1 << 20, 8},
    {"memcpyto1m", copy_to, 1 << 20, 8},
};
static const struct job threaded[] = {
    {"read512", read_ram, 512, 2000},
    {"memcpy512", copy_from, 512, 4000},
};
static const struct job threaded_hot[] = {
    {"load.hot", load, 8, 10000},
    {"plain_load.hot", plain_load, 8, 40000},
};
#define run_all(p, jobs) run_jobs(p, jobs, sizeof(jobs) / sizeof((jobs)[0]))
#define thread_all(p, jobs) run_threads(p, jobs, sizeof(jobs) / sizeof((jobs)[0]))

int main(void)
{
    char *buf = aligned_alloc(4096, MOST);
    struct place many, one;

    /* Foreign mappings never have large pages, so nobody here has. */
    if (!buf || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
        die("set up");
    place_open(&many, 256, buf);
    run_all(&many, many_regions);
    many.spread = HOT;
    run_all(&many, many_regions_hot);
    thread_all(&many, threaded_hot);
    many.spread = TOTAL / many.regions;
    thread_all(&many, threaded);
    run_all(&many, many_regions_writing);
    place_close(&many);
    place_open(&one, 1, buf);
    run_all(&one, one_region);
    run_allocator(&one, 1000);
    run_allocator(&one, 100000);
    place_close(&one);
    free(buf);
    return 0;
}
