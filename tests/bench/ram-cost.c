/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ram-cost DOMID|sim: what giving a guest RAM and mapping it cost, step by step and in calls of the
 * hypervisor, beside page by page. The guest is paused and has never run. Prints lines
 * "ram NAME VALUE"; times are in nanoseconds.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xengasp/guest.h>
#include <xengasp/guest_ram.h>

#include "guest/guest_internal.h"
#include "tests/bench/hv_count.h"
#include "tests/bench/measure.h"

#define MIB (UINT64_C(1) << 20)

enum { ROUNDS = 5, CHUNK_ROUNDS = 8 };

static const char *prefix; /* of the names: where the guest is */
static double tick_ns;

static void die(const char *what)
{
    fprintf(stderr, "ram-cost: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void print(const char *name, const char *part, double value)
{
    char full[64];

    snprintf(full, sizeof(full), "%s.%s%s", prefix, name, part);
    measure_print(full, value);
}

static void print_time(const char *name, const char *part, uint64_t ticks)
{
    print(name, part, (double)ticks * tick_ns);
}

static void read_word(struct guest_system *guest, uint64_t gpa)
{
    uint64_t word;

    if (vm_ram_load64(guest, gpa, &word) < 0)
        die("load");
}

/* First use of all chunks of a range. Returns the time. */
static uint64_t touch_all(struct guest_system *guest, uint64_t start, uint64_t bytes)
{
    uint64_t began = measure_ticks();

    for (uint64_t done = 0; done < bytes; done += RAM_CHUNK_SIZE)
        read_word(guest, start + done);
    return measure_ticks() - began;
}

/* Registers, touches and gives back. */
static void run_register(struct guest_system *guest, const char *name, uint64_t bytes)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t began, ticks, start;

        hv_count_clear();
        began = measure_ticks();
        start = vm_ram_register(guest, bytes);
        ticks = measure_ticks() - began;
        if (!start)
            die("register");
        print_time(name, "", ticks);
        print_time(name, ".populate", hv_counts.populate.ticks);
        print_time(name, ".map", hv_counts.map.ticks);
        print_time(name, ".unmap", hv_counts.unmap.ticks);
        print_time(name, ".limits", hv_counts.other.ticks);
        print_time(name, ".zero", ticks - hv_count_ticks());
        print(name, ".calls", (double)hv_counts.populate.calls);
        print(name, ".extents", (double)hv_counts.populate.units);
        hv_count_clear();
        print_time(name, ".touch", touch_all(guest, start, bytes));
        print(name, ".touch_calls", (double)hv_counts.map.calls);
        if (vm_ram_unregister(guest, start, bytes) < 0)
            die("unregister");
    }
}

static void *reserve(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        die("mmap");
    return at;
}

/* The naive way: each page of a chunk mapped by itself. */
static void map_pages(struct hv *hv, char *at, uint64_t gpa)
{
    uint64_t gfn = gpa >> HV_PAGE_SHIFT;
    int err;

    for (size_t i = 0; i < RAM_CHUNK_PAGES; i++, gfn++) {
        if (hv->ops->map(hv, at + i * HV_PAGE_SIZE, PROT_READ | PROT_WRITE, 1, &gfn, &err) < 0 ||
            err)
            die("map a page");
    }
}

static void unmap_pages(struct hv *hv, char *at)
{
    for (size_t i = 0; i < RAM_CHUNK_PAGES; i++) {
        if (hv->ops->unmap(hv, at + i * HV_PAGE_SIZE, 1) < 0)
            die("unmap a page");
    }
}

/* The first touch of a chunk, beside its pages one by one. */
static void run_touch(struct guest_system *guest)
{
    uint64_t bytes = 2 * CHUNK_ROUNDS * RAM_CHUNK_SIZE, start = vm_ram_register(guest, bytes);
    char *at = reserve(RAM_CHUNK_SIZE);

    if (!start)
        die("register");
    for (uint64_t gpa = start; gpa < start + bytes; gpa += 2 * RAM_CHUNK_SIZE) {
        uint64_t began;

        hv_count_clear();
        began = measure_ticks();
        read_word(guest, gpa);
        print_time("touch", "", measure_ticks() - began);
        print("touch", ".calls", (double)hv_counts.map.calls);
        began = measure_ticks();
        map_pages(guest->hv, at, gpa + RAM_CHUNK_SIZE);
        print_time("touch", ".pages", measure_ticks() - began);
        unmap_pages(guest->hv, at);
    }
    munmap(at, RAM_CHUNK_SIZE);
    if (vm_ram_unregister(guest, start, bytes) < 0)
        die("unregister");
}

static void take_back(struct hv *hv, uint64_t first)
{
    uint64_t gfn[RAM_CHUNK_PAGES];

    for (size_t i = 0; i < RAM_CHUNK_PAGES; i++)
        gfn[i] = first + i;
    if (hv->ops->depopulate(hv, HV_ORDER_4K, RAM_CHUNK_PAGES, gfn) != RAM_CHUNK_PAGES)
        die("depopulate");
}

/* 2 MiB as one extent, beside 512 single pages, a call each. At frames of what was registered last,
 * where the guest has tables already. */
static void run_populate(struct hv *hv, uint64_t first)
{
    struct hv_info info;
    uint64_t began, pool;

    if (hv->ops->info(hv, &info) < 0 || hv->ops->get_paging_pool(hv, &pool) < 0 ||
        hv->ops->set_max_pages(hv, info.max_pages + RAM_CHUNK_PAGES) < 0 ||
        hv->ops->set_paging_pool(hv, pool + MIB) < 0)
        die("limits");
    for (int i = 0; i < CHUNK_ROUNDS; i++) {
        began = measure_ticks();
        if (hv->ops->populate(hv, HV_ORDER_2M, 1, &first) != 1)
            die("populate");
        print_time("populate", "", measure_ticks() - began);
        take_back(hv, first);
        began = measure_ticks();
        for (uint64_t gfn = first; gfn < first + RAM_CHUNK_PAGES; gfn++) {
            if (hv->ops->populate(hv, HV_ORDER_4K, 1, &gfn) != 1)
                die("populate a page");
        }
        print_time("populate", ".pages", measure_ticks() - began);
        take_back(hv, first);
    }
    if (hv->ops->set_paging_pool(hv, pool) < 0 || hv->ops->set_max_pages(hv, info.max_pages) < 0)
        die("limits");
}

/* Bytes of the chunk table that have memory, for a range. */
static int64_t table_bytes(const struct ram *ram, uint64_t start, uint64_t bytes)
{
    uintptr_t first = (uintptr_t)&ram->chunk[start >> RAM_CHUNK_SHIFT] & -(uintptr_t)HV_PAGE_SIZE;
    uintptr_t end = (uintptr_t)&ram->chunk[(start + bytes) >> RAM_CHUNK_SHIFT];
    size_t n = (end - first + HV_PAGE_SIZE - 1) >> HV_PAGE_SHIFT, used = 0;
    unsigned char resident[64];

    if (n > sizeof(resident) || mincore((void *)first, end - first, resident) < 0)
        die("mincore");
    for (size_t i = 0; i < n; i++)
        used += resident[i] & 1;
    return (int64_t)(used * HV_PAGE_SIZE);
}

/* What the library keeps for a GiB of RAM that is registered and mapped; without what the simulator
 * keeps. */
static void run_bookkeeping(struct guest_system *guest)
{
    uint64_t bytes = 1024 * MIB, start;
    int64_t before, after;

    hv_count_clear();
    hv_count_heap_too(true);
    before = hv_count_heap();
    start = vm_ram_register(guest, bytes);
    if (!start)
        die("register");
    touch_all(guest, start, bytes);
    after = hv_count_heap() - hv_counts.heap + table_bytes(&guest->gasp.ram, start, bytes);
    hv_count_heap_too(false);
    print("bookkeeping", "", (double)(after - before));
    if (vm_ram_unregister(guest, start, bytes) < 0)
        die("unregister");
}

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options)};
    struct sim_options sim = {.size = sizeof(sim), .vcpus = 1, .host_bytes = 1100 * MIB};
    bool simulated = argc == 2 && strcmp(argv[1], "sim") == 0;
    struct guest_system *guest;
    uint64_t start;

    if (argc != 2)
        return 2;
    prefix = simulated ? "sim" : "xen";
    tick_ns = measure_tick_ns();
    if (simulated ? guest_open_sim(&guest, &sim, &options) < 0
                  : guest_open_xen(&guest, (uint32_t)strtoul(argv[1], NULL, 0), &options) < 0)
        die("open");
    hv_count_install(guest->hv);
    run_register(guest, "register64", 64 * MIB);
    run_register(guest, "register256", 256 * MIB);
    run_touch(guest);
    start = vm_ram_register(guest, 2 * MIB);
    if (!start || vm_ram_unregister(guest, start, 2 * MIB) < 0)
        die("register");
    run_populate(guest->hv, start >> HV_PAGE_SHIFT);
    if (simulated)
        run_bookkeeping(guest);
    guest_close(guest);
    return 0;
}
