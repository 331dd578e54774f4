/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the map of an address space costs as it grows: looking an address up, setting and deleting an
 * overlay, finding a free place, and memory. One short round on a simulated PVH guest that runs;
 * prints lines "ram NAME VALUE".
 *
 * The regions are GRF_NOPERMS, for which Xen of a PVH guest needs no trap range: it has 2,040 in all,
 * too few for 4,096 regions apart from each other. The overlay is a vdev's and traps. From when the
 * regions are set on, the hypervisor's calls for trap ranges do nothing, so all time is our own.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <xengasp/gasp.h>
#include <xengasp/sim.h>

#include "guest/guest_internal.h"
#include "tests/bench/measure.h"

#define BASE (UINT64_C(64) << 30)
#define REGION (UINT64_C(64) << 10)
/* Scattered ones lie somewhere in a MiB of their own, so less than two are between them. */
#define STRIDE (UINT64_C(1) << 20)

enum { BATCHES = 30, MOST = 4096, MAX_READERS = 16, PHASES = 6, PHASE_MS = 25 };
enum { FREE_OF_CHARGE = GRF_NOPERMS | GRF_ACTIVE, TRAPS = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE };

struct place {
    struct guest_system *guest;
    const struct hv_ops *real; /* the hypervisor's calls */
    struct hv_ops ops;         /* those with ranges that cost nothing */
    vdev_t *vdev;
    unsigned n;
    const char *layout;
    uint64_t start[MOST]; /* of each region */
    uint64_t last[MOST];
    uint64_t seed;
    uint64_t free_bytes; /* what find_free looks for */
    int64_t bytes;       /* of memory, for all regions */
};

static void die(const char *what)
{
    fprintf(stderr, "gasp-sim: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void print(const struct place *p, const char *name, double value)
{
    char full[64];

    snprintf(full, sizeof(full), "%s.%u.%s", name, p->n, p->layout);
    measure_print(full, value);
}

/* ---- a guest with regions ---- */

static int no_range(struct hv *hv, unsigned server, enum hv_range_type type, uint64_t first,
                    uint64_t last)
{
    (void)hv;
    (void)server;
    (void)type;
    (void)first;
    (void)last;
    return 0;
}

static void make_ranges_free(struct place *p)
{
    p->real = p->guest->hv->ops;
    p->ops = *p->real;
    p->ops.server_map_range = p->ops.server_unmap_range = no_range;
    p->guest->hv->ops = &p->ops;
}

static void set(const struct place *p, uint64_t start, uint64_t bytes, uint32_t flags,
                uint32_t cookie)
{
    struct gasp_region region = {.flags = flags,
                                 .cookie = cookie,
                                 .vdev = p->vdev,
                                 .guest = {start, bytes, QST_MEMORY, QSF_NONE}};

    if (gasp_region_set_soft(p->guest, 1, &region) != 1)
        die("set");
}

static int64_t heap(void)
{
    struct mallinfo2 m;

    rcu_drain();
    m = mallinfo2();
    return (int64_t)(m.uordblks + m.hblkhd);
}

static void place_open(struct place *p, unsigned n, bool scattered, uint32_t flags)
{
    const struct qvm_state_block store = {.location = 0xfe000000, .type = QST_MEMORY};
    struct sim_options sim = {.size = sizeof(sim), .vcpus = 1};
    struct guest_options options = {.size = sizeof(options)};
    struct gasp_region found;

    *p = (struct place){.n = n, .layout = scattered ? "scattered" : "adjacent", .seed = n};
    if (guest_open_sim(&p->guest, &sim, &options) < 0 ||
        guest_add_vdev(p->guest, "store,loc=mem:0xfe000000") < 0 ||
        guest_configured(p->guest) < 0 || gasp_region_info(p->guest, &store, &found) ||
        gasp_lock(p->guest, QST_MEMORY))
        die("open");
    p->vdev = found.vdev;
    p->free_bytes = scattered ? 2 * STRIDE : 4096;
    make_ranges_free(p);
    p->bytes = -heap();
    for (unsigned i = 0; i < n; i++) {
        uint64_t slot = scattered ? measure_random(&p->seed) >> 60 : 0;

        p->start[i] = BASE + i * (scattered ? STRIDE : REGION) + slot * REGION;
        p->last[i] = p->start[i] + REGION - 1;
        set(p, p->start[i], REGION, flags, i + 1);
    }
    p->bytes += heap();
}

static void place_close(struct place *p)
{
    for (unsigned i = 0; i < p->n; i++)
        set(p, p->start[i], REGION, GRF_NONE, i + 1);
    gasp_unlock(p->guest, QST_MEMORY);
    p->guest->hv->ops = p->real;
    guest_close(p->guest);
}

static inline unsigned some_region(struct place *p, uint64_t random)
{
    return (unsigned)(random >> 40) & (p->n - 1);
}

/* The next address in one of the regions. */
static inline uint64_t next(struct place *p)
{
    uint64_t r = measure_random(&p->seed);

    return p->start[some_region(p, r)] + (r >> 24 & (REGION - 8));
}

/* ---- what is measured ---- */

/* As a vCPU's thread does it: the read section belongs to it. */
static inline uint64_t look_up(const struct space *space, uint64_t addr)
{
    struct space_region seen;
    bool found;

    rcu_enter();
    found = space_map_look(space_read(space), (struct range){addr, addr + 7}, &seen);
    rcu_leave((void *)space);
    if (!found)
        die("nothing there");
    return seen.layer;
}

static void lookup(struct place *p, unsigned n)
{
    const struct space *space = &p->guest->gasp.space[GASP_MEMORY];
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += look_up(space, next(p));
    if (sum == 0)
        die("lookup");
}

/* Each address depends on what the lookup before it has found, so none begins before that ends. */
static void lookup_in_turn(struct place *p, unsigned n)
{
    const struct space *space = &p->guest->gasp.space[GASP_MEMORY];

    for (unsigned i = 0; i < n; i++)
        p->seed += look_up(space, next(p));
}

static void info(struct place *p, unsigned n)
{
    struct qvm_state_block at = {.type = QST_MEMORY, .length = 8};
    struct gasp_region region;

    for (unsigned i = 0; i < n; i++) {
        at.location = next(p);
        if (gasp_region_info(p->guest, &at, &region))
            die("info");
    }
}

/* What any search that halves takes: the addresses alone, nothing read of what is found. */
static void search(struct place *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t addr = next(p);
        unsigned low = 0, high = p->n;

        while (low < high) {
            unsigned middle = (low + high) / 2;

            if (p->last[middle] < addr)
                low = middle + 1;
            else
                high = middle;
        }
        if (p->start[low] > addr)
            die("search");
    }
}

/* A page of the vdev's in the middle of some region, there and gone: two maps are published. */
static void set_delete(struct place *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t at = p->start[some_region(p, measure_random(&p->seed))] + REGION / 2;

        set(p, at, 4096, TRAPS, 0);
        set(p, at, 4096, GRF_NONE, 0);
    }
}

/* There is room behind the last region only: scattered ones have less than two strides between
 * them. */
static void find_free(struct place *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (gasp_find_free_range(p->guest, QST_MEMORY, p->free_bytes, 4096, BASE, UINT64_MAX) <=
            p->start[p->n - 1])
            die("find_free");
    }
}

static const struct job {
    const char *name;
    void (*run)(struct place *p, unsigned n);
    unsigned n; /* a batch */
} jobs[] = {
    {"lookup", lookup, 10000},    {"lookup-in-turn", lookup_in_turn, 5000},
    {"info", info, 5000},         {"search", search, 5000},
    {"find_free", find_free, 40}, {"set_delete", set_delete, 50},
};
enum { N_JOBS = sizeof(jobs) / sizeof(jobs[0]), LOOKUP = 0, SET_DELETE = N_JOBS - 1 };

/* Begins warm. What is left of old maps goes meanwhile, in liburcu's thread, and isn't waited for
 * inside. */
static double batch(struct place *p, const struct job *job)
{
    uint64_t start, ns;

    job->run(p, job->n / 2);
    start = measure_ns();
    job->run(p, job->n);
    ns = measure_ns() - start;
    if (job->run == set_delete)
        rcu_drain();
    return (double)ns / job->n;
}

/* Each job's batches in turns with the others'. */
static void run_jobs(struct place *p, unsigned first)
{
    static double ns[N_JOBS][BATCHES];

    for (int i = -1; i < BATCHES; i++) {
        for (unsigned j = first; j < N_JOBS; j++)
            ns[j][i < 0 ? 0 : i] = batch(p, &jobs[j]);
    }
    for (unsigned j = first; j < N_JOBS; j++)
        print(p, jobs[j].name, measure_quartile(ns[j], BATCHES));
}

/* ---- lookups beside changes ---- */

static atomic_bool over;

struct reader {
    pthread_t id;
    struct place place;
    atomic_ulong done;
};

static void *read_on(void *arg)
{
    struct reader *reader = arg;

    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        lookup(&reader->place, 1000);
        atomic_fetch_add_explicit(&reader->done, 1000, memory_order_relaxed);
    }
    return NULL;
}

/* What the readers have done, and the time that they had a CPU for it: there may be more threads
 * than CPUs, liburcu's among them. */
struct work {
    double lookups, ns;
};

static struct work work_so_far(struct reader reader[], unsigned n)
{
    struct work work = {0, 0};
    struct timespec t;
    clockid_t clock;

    for (unsigned i = 0; i < n; i++) {
        if (pthread_getcpuclockid(reader[i].id, &clock) || clock_gettime(clock, &t) < 0)
            die("clock");
        work.lookups += (double)atomic_load(&reader[i].done);
        work.ns += (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
    }
    return work;
}

/* Adds what the readers do while this thread sets and deletes in a map; NULL: while it sleeps. */
static void phase(struct place *changing, struct reader reader[], unsigned n, struct work *sum)
{
    struct work before, after;
    uint64_t start;

    rcu_drain();
    before = work_so_far(reader, n);
    start = measure_ns();
    if (!changing)
        usleep(PHASE_MS * 1000);
    while (measure_ns() - start < PHASE_MS * UINT64_C(1000000))
        set_delete(changing, 1);
    after = work_so_far(reader, n);
    sum->lookups += after.lookups - before.lookups;
    sum->ns += after.ns - before.ns;
}

static void measure_disturbed(struct place *p, struct place *other, struct reader reader[],
                              unsigned n)
{
    struct place *changing[] = {NULL, p, other};
    struct work work[3] = {{0, 0}};
    double calm;

    for (int i = 0; i < 3 * PHASES; i++)
        phase(changing[i % 3], reader, n, &work[i % 3]);
    for (int i = 0; i < 3; i++) {
        if (work[i].lookups == 0) {
            fprintf(stderr, "gasp-sim: the machine is too busy for lookups beside changes\n");
            return;
        }
    }
    calm = work[0].lookups / work[0].ns;
    print(p, "disturbed", work[1].lookups / work[1].ns / calm);
    print(p, "disturbed-elsewhere", work[2].lookups / work[2].ns / calm);
}

/* The share of the undisturbed throughput that is left while another thread sets and deletes; and
 * while it does so in the map of another guest: what the machine's CPUs share does that. */
static void run_disturbed(struct place *p)
{
    static struct reader reader[MAX_READERS];
    static struct place other;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = cpus > MAX_READERS ? MAX_READERS : cpus > 2 ? (unsigned)cpus - 1 : 1;

    place_open(&other, p->n, strcmp(p->layout, "scattered") == 0, FREE_OF_CHARGE);
    atomic_store(&over, false);
    for (unsigned i = 0; i < n; i++) {
        reader[i].place = *p;
        reader[i].place.seed += i;
        atomic_store(&reader[i].done, 0);
        if ((errno = pthread_create(&reader[i].id, NULL, read_on, &reader[i])))
            die("thread");
    }
    measure_disturbed(p, &other, reader, n);
    atomic_store(&over, true);
    for (unsigned i = 0; i < n; i++)
        pthread_join(reader[i].id, NULL);
    place_close(&other);
}

/* ---- memory ---- */

/* Of each region: all that there is for it, and what another map has that a reader keeps alive. */
static void run_memory(struct place *p)
{
    int64_t before = heap();
    struct mallinfo2 m;

    print(p, "memory", (double)p->bytes / p->n);
    rcu_enter();
    set_delete(p, 1);
    m = mallinfo2();
    rcu_leave(&p->guest->gasp.space[GASP_MEMORY]);
    print(p, "memory-view", (double)((int64_t)(m.uordblks + m.hblkhd) - before) / 2 / p->n);
}

static void run(struct place *p, bool memory)
{
    if (memory) {
        run_memory(p);
        return;
    }
    run_jobs(p, LOOKUP);
    if (p->n == 256 || p->n == MOST)
        run_disturbed(p);
}

/* gasp-sim [memory]. For memory malloc mustn't keep what is freed as if it were used:
 * GLIBC_TUNABLES=glibc.malloc.tcache_count=0. */
int main(int argc, char *argv[])
{
    static struct place p;
    bool memory = argc == 2 && strcmp(argv[1], "memory") == 0;

    for (unsigned n = 16; n <= MOST; n *= 4) {
        for (int scattered = 0; scattered < 2; scattered++) {
            place_open(&p, n, scattered, FREE_OF_CHARGE);
            run(&p, memory);
            place_close(&p);
        }
    }
    /* As many as Xen's ranges allow, by a power of two. */
    place_open(&p, 1024, true, TRAPS);
    p.layout = "trapping";
    if (memory)
        run_memory(&p);
    else
        run_jobs(&p, SET_DELETE);
    place_close(&p);
    return 0;
}
