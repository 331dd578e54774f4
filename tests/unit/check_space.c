/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region map, in pictures. A character is a byte of the space:
 *   .  hole     a b  regions of owners A and B (w: of A, writes alone)     A B  the same, inactive
 *   m  RAM      p    the platform's, PRECIOUS     q  of A, PRECIOUS
 * Where two parts of one kind touch, a | stands between them. In what is set, x y z delete for A, B
 * and the VM.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "space/space.h"
#include "tests/check_main.h"

enum { VIRT = GRF_VIRT_RD | GRF_VIRT_WR, RAM = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE };

static char owner_a, owner_b, owner_p;

static const struct kind {
    char letter;
    void *owner;
    uint32_t flags;
} kinds[] = {
    {'a', &owner_a, VIRT | GRF_ACTIVE},
    {'A', &owner_a, VIRT},
    {'w', &owner_a, GRF_VIRT_WR | GRF_ACTIVE},
    {'q', &owner_a, VIRT | GRF_ACTIVE | GRF_PRECIOUS},
    {'b', &owner_b, VIRT | GRF_ACTIVE},
    {'B', &owner_b, VIRT},
    {'p', &owner_p, GRF_ACTIVE | GRF_PRECIOUS},
    {'m', NULL, RAM},
    {'x', &owner_a, GRF_NONE},
    {'y', &owner_b, GRF_NONE},
    {'z', NULL, GRF_NONE},
};

static const struct kind *kind_of(char letter)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].letter == letter)
            return &kinds[i];
    ck_abort_msg("no kind '%c'", letter);
}

static char letter_of(const struct space_region *r)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].owner == r->owner && kinds[i].flags == r->flags)
            return kinds[i].letter;
    return '?';
}

/* Takes the next run off a picture whose first byte is *at: false at the end. */
static bool next_run(const char **picture, uint64_t *at, struct space_region *r)
{
    const char *p = *picture;
    const struct kind *kind;
    size_t n;

    while (*p == '.' || *p == '|')
        *at += *p++ == '.';
    if (!*p)
        return false;
    n = strspn(p, (char[]){*p, 0});
    kind = kind_of(*p);
    *r = (struct space_region){.range = {*at, *at + n - 1}, .flags = kind->flags};
    r->owner = kind->owner;
    *at += n;
    *picture = p + n;
    return true;
}

/* Sets every run of a picture; the first error, or 0. */
static int draw(struct space_map **map, uint64_t base, const char *picture)
{
    struct space_region r;
    struct space_map *new;
    uint64_t at = base;

    while (next_run(&picture, &at, &r)) {
        int rc = space_map_set(*map, &r, &new);

        if (rc)
            return rc;
        space_map_free(*map);
        *map = new;
    }
    return 0;
}

/* The picture of a map. */
static const char *look(const struct space_map *map, uint64_t base, size_t cells, char *out)
{
    const struct space_region *part, *before = NULL;
    char *p = out;

    for (uint64_t i = 0; i < cells; i++, before = part) {
        part = space_map_meets(map, (struct range){base + i, base + i}, 0);
        if (part && before && part != before && letter_of(part) == letter_of(before))
            *p++ = '|';
        *p++ = part ? letter_of(part) : '.';
    }
    *p = 0;
    return out;
}

static const struct row {
    const char *before, *set;
    int rc;
    const char *after; /* NULL: as before */
} rows[] = {
    /* Adding. */
    {"........", "..aa....", 0, "..aa...."},
    {"..aa....", "....bb..", 0, "..aabb.."},
    {"..aa....", "....aa..", 0, "..aa|aa.."}, /* two regions stay two */
    {"........", "aaaaaaaa", 0, "aaaaaaaa"},
    {"..aa..aa", "....aa..", 0, "..aa|aa|aa"},
    {"........", "..AA....", 0, "..AA...."},
    /* The VM's RAM is one, wherever it touches. */
    {"mm......", "..mm....", 0, "mmmm...."},
    {"mm..mm..", "..mm....", 0, "mmmmmm.."},
    {"......mm", "....mm..", 0, "....mmmm"},
    {"mm......", "...mm...", 0, "mm.mm..."},
    /* Overlaps. */
    {"..aaaa..", "...bb...", EEXIST, NULL},
    {"..aaaa..", "..bbbb..", EEXIST, NULL},
    {"..aaaa..", ".bb.....", EEXIST, NULL},
    {"..aaaa..", ".....bb.", EEXIST, NULL},
    {"..aaaa..", "bbbbbbbb", EEXIST, NULL},
    {"..aabb..", "...aa...", EEXIST, NULL},  /* own and another's */
    {"..aa....", "..aaa...", EEXIST, NULL},  /* own and a hole */
    {"..aa|aa..", "..aaaa..", EEXIST, NULL}, /* two of one's own */
    {"..mmmm..", "...aa...", EEXIST, NULL},
    {"..AAAA..", "...bb...", EEXIST, NULL}, /* an inactive one keeps its place */
    /* PRECIOUS overlaps nothing. */
    {"..pp....", "..aa....", EBUSY, NULL},
    {"..pp....", ".aaa....", EBUSY, NULL},
    {"aa.ppaa.", ".bbbb...", EBUSY, NULL},
    {"aapp....", "bbbb....", EBUSY, NULL}, /* EBUSY before EEXIST */
    {"..bb....", "..qq....", EBUSY, NULL},
    {"..bb....", ".q......", 0, ".qbb...."},
    {"..bb....", "qq......", 0, "qqbb...."},
    /* Modifying: the whole, the start, the end, the middle. */
    {"..aaaa..", "..wwww..", 0, "..wwww.."},
    {"..aaaa..", "..ww....", 0, "..wwaa.."},
    {"..aaaa..", "....ww..", 0, "..aaww.."},
    {"..aaaa..", "...ww...", 0, "..awwa.."},
    {"..aaaa..", "..aaaa..", 0, NULL},
    {"..aaaa..", "...AA...", 0, "..aAAa.."},
    {"..AAAA..", "...aa...", 0, "..AaaA.."},
    {"..aaaa..", "...qq...", 0, "..aqqa.."},
    /* Deleting. */
    {"..aaaa..", "..xxxx..", 0, "........"},
    {"..aaaa..", "..xx....", 0, "....aa.."},
    {"..aaaa..", "....xx..", 0, "..aa...."},
    {"..aaaa..", "...xx...", 0, "..a..a.."},
    {"..AAAA..", "...xx...", 0, "..A..A.."},
    {"mmmmmmmm", "..zz....", 0, "mm..mmmm"},
    {"........", "..xx....", ENOENT, NULL},
    {"..aaaa..", ".xxx....", ENOENT, NULL},
    {"..aaaa..", "....xxx.", ENOENT, NULL},
    {"..aa|aa..", "..xxxx..", ENOENT, NULL}, /* no region of A's holds all of it */
    {"..aabb..", "..xxxx..", ENOENT, NULL},
    {"..bb....", "..xx....", EPERM, NULL},
    {"..bb....", ".xxxx...", EPERM, NULL},
    {"..mm....", "..xx....", EPERM, NULL},
    {"..pp....", "..zz....", EPERM, NULL},
    {"..aa....", "..zz....", EPERM, NULL},
};

/* Each row at the start of a small space, and at the end of one whose limit leaves no room for a
 * slip. */
START_TEST(test_set)
{
    static const uint64_t limits[] = {7, 0xffff, (UINT64_C(1) << 40) - 1, UINT64_MAX};
    const struct row *row = &rows[_i];
    char before[64], after[64];

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct space_map *map = space_map_new();
        uint64_t base = limits[i] - 7;

        ck_assert_int_eq(draw(&map, base, row->before), 0);
        ck_assert_str_eq(look(map, base, 8, before), row->before);
        ck_assert_int_eq(draw(&map, base, row->set), row->rc);
        ck_assert_str_eq(look(map, base, 8, after), row->after ? row->after : row->before);
        space_map_free(map);
    }
}
END_TEST

/* What was modified and modified back is as if nothing had been; so is what was set and deleted. */
START_TEST(test_identity)
{
    struct space_map *map = space_map_new();
    char out[64];

    ck_assert_int_eq(draw(&map, 0, "mmmm.aaaaaa.bbbb"), 0);
    ck_assert_int_eq(draw(&map, 0, ".......ww......."), 0);
    ck_assert_str_eq(look(map, 0, 16, out), "mmmm.aawwaa.bbbb");
    ck_assert_int_eq(draw(&map, 0, ".....aaaaaa....."), EEXIST); /* no longer one part */
    ck_assert_int_eq(draw(&map, 0, ".......aa......."), 0);
    ck_assert_str_eq(look(map, 0, 16, out), "mmmm.aaaaaa.bbbb");
    ck_assert_int_eq(draw(&map, 0, "....a..........."), 0);
    ck_assert_int_eq(draw(&map, 0, "....x..........."), 0);
    ck_assert_str_eq(look(map, 0, 16, out), "mmmm.aaaaaa.bbbb");
    ck_assert_int_eq(draw(&map, 0, ".....xxxxxx....."), 0); /* one region still, for all its past */
    ck_assert_str_eq(look(map, 0, 16, out), "mmmm........bbbb");
    space_map_free(map);
}
END_TEST

START_TEST(test_sticky)
{
    struct space_region r = {{0, 7}, RAM | GRF_DMA_SOURCE, 0, &owner_a, 0};
    struct space_map *map = space_map_new(), *one, *two;

    ck_assert_int_eq(space_map_set(map, &r, &one), 0);
    r.flags = VIRT | GRF_ACTIVE;
    ck_assert_int_eq(space_map_set(one, &r, &two), 0);
    ck_assert_uint_eq(two->region[0].flags, VIRT | GRF_ACTIVE | GRF_MEMORY | GRF_DMA_SOURCE);
    ck_assert_uint_eq(one->region[0].flags, RAM | GRF_DMA_SOURCE); /* an old map never changes */
    space_map_free(map);
    space_map_free(one);
    space_map_free(two);
}
END_TEST

/* What has no byte of a hidden part is found by readers; the rest is not. */
START_TEST(test_find)
{
    struct space_map *map = space_map_new();
    const char *picture = "mmm.aaAA.b|bb.pp.";
    uint64_t addr = 0;

    ck_assert_int_eq(draw(&map, 0, picture), 0);
    for (const char *p = picture; *p && addr < 16; p++) {
        const struct space_region *r;

        if (*p == '|')
            continue;
        r = space_map_find(map, addr++);
        ck_assert_int_eq(r ? letter_of(r) : '.', *p == 'A' ? '.' : *p);
    }
    ck_assert(space_map_covered(map, (struct range){0, 2}, GRF_MEMORY));
    ck_assert(!space_map_covered(map, (struct range){0, 3}, GRF_MEMORY));
    ck_assert(!space_map_covered(map, (struct range){3, 3}, 0));
    ck_assert(!space_map_covered(map, (struct range){4, 6}, 0));
    ck_assert(space_map_covered(map, (struct range){9, 11}, GRF_VIRT_RD)); /* two regions */
    ck_assert(!space_map_covered(map, (struct range){9, 11}, GRF_PRECIOUS));
    space_map_free(map);
}
END_TEST

/*  0123456789abcdef
 *  mm..aa.AA....bb.      */
static const struct free_row {
    uint64_t size, align, first, last;
    uint64_t found; /* NONE */
} free_rows[] = {
#define NONE UINT64_MAX
    {1, 1, 0, 15, 2},
    {2, 1, 0, 15, 2},
    {3, 1, 0, 15, 9},
    {4, 1, 0, 15, 9},
    {5, 1, 0, 15, NONE},
    {1, 1, 3, 15, 3},
    {2, 1, 3, 15, 9},
    {2, 4, 0, 15, NONE}, /* 0 and 4 are taken, at 8 and 12 only part is free */
    {1, 4, 0, 15, 12},
    {1, 8, 0, 15, NONE},
    {2, 2, 0, 15, 2},
    {3, 2, 0, 15, 10},
    {1, 1, 13, 15, 15}, /* the last byte */
    {2, 1, 13, 15, NONE},
    {1, 1, 7, 8, NONE}, /* an inactive region keeps its place */
    {1, 1, 0, 1, NONE},
    {4, 1, 9, 12, 9}, /* just fits */
    {4, 1, 9, 11, NONE},
    {UINT64_MAX, 1, 0, 15, NONE},
    {1, UINT64_C(1) << 63, 1, 15, NONE},
    {1, UINT64_C(1) << 63, 0, 15, NONE},
};

START_TEST(test_find_free)
{
    const struct free_row *row = &free_rows[_i];
    struct space_map *map = space_map_new();
    uint64_t found = NONE;
    int rc;

    ck_assert_int_eq(draw(&map, 0, "mm..aa.AA....bb."), 0);
    rc = space_map_find_free(map, row->size, row->align, (struct range){row->first, row->last},
                             NULL, 0, &found);
    ck_assert_int_eq(rc, row->found == NONE ? ENOSPC : 0);
    ck_assert_uint_eq(found, row->found);
    space_map_free(map);
}
END_TEST

START_TEST(test_find_free_avoids)
{
    /*                  0123456789abcdef
     *                  mm..aa.AA....bb.
     * avoid:             v      vv  vvv    */
    const struct range avoid[] = {{13, 15}, {2, 2}, {9, 10}};
    struct space_map *map = space_map_new();
    uint64_t found;

    ck_assert_int_eq(draw(&map, 0, "mm..aa.AA....bb."), 0);
    ck_assert_int_eq(space_map_find_free(map, 1, 1, (struct range){0, 15}, avoid, 3, &found), 0);
    ck_assert_uint_eq(found, 3);
    ck_assert_int_eq(space_map_find_free(map, 2, 1, (struct range){0, 15}, avoid, 3, &found), 0);
    ck_assert_uint_eq(found, 11);
    ck_assert_int_eq(space_map_find_free(map, 1, 1, (struct range){13, 15}, avoid, 3, &found),
                     ENOSPC);
    space_map_free(map);
}
END_TEST

static const struct range_row {
    uint64_t start, length, limit;
    int rc;
} range_rows[] = {
    {0, 1, 0, 0},
    {0, 0, 100, EINVAL},
    {101, 0, 100, EINVAL}, /* EINVAL before EOVERFLOW */
    {0, 101, 100, 0},
    {0, 102, 100, EOVERFLOW},
    {100, 1, 100, 0},
    {100, 2, 100, EOVERFLOW},
    {101, 1, 100, EOVERFLOW},
    {UINT64_MAX, 1, UINT64_MAX, 0},
    {UINT64_MAX, 2, UINT64_MAX, EOVERFLOW},
    {1, UINT64_MAX, UINT64_MAX, 0},
    {2, UINT64_MAX, UINT64_MAX, EOVERFLOW},
    {1, UINT64_MAX, (UINT64_C(1) << 40) - 1, EOVERFLOW},
};

START_TEST(test_range)
{
    const struct range_row *row = &range_rows[_i];
    struct range r = {0, 0};

    ck_assert_int_eq(range_make(&r, row->start, row->length, row->limit), row->rc);
    if (row->rc == 0) {
        ck_assert_uint_eq(r.first, row->start);
        ck_assert_uint_eq(range_length(r), row->length);
    }
}
END_TEST

/*
 * A region hops between two places, now active, now replaced by the other owner's; in each map
 * there is exactly one. Readers must see it so at any moment, and no map may be freed under them.
 */
enum { READERS = 2, LOOKUPS = 100000, SPAN = 16 };

struct race {
    struct space space;
    _Atomic bool stop;
    _Atomic unsigned
        hops; /* of the writer; 0 for ever, and the readers end by timeout, if it fails */
};

static void *read_all_the_time(void *arg)
{
    struct race *race = arg;
    uintptr_t wrong = 0;

    for (int i = 0; i < LOOKUPS || race->hops <= 10; i++) {
        const struct space_map *map;
        const struct space_region *low, *high, *one;

        rcu_enter();
        map = space_read(&race->space);
        low = space_map_find(map, 0x1000 + (unsigned)i % SPAN);
        high = space_map_find(map, 0x2000 + (unsigned)i % SPAN);
        one = low ? low : high;
        wrong += !low == !high || range_length(one->range) != SPAN ||
                 one->cookie != (one->owner == &owner_a ? 1 : 2);
        rcu_leave(&race->space);
    }
    return (void *)wrong;
}

static void *write_all_the_time(void *arg)
{
    struct race *race = arg;
    struct space_region old = {{0x1000, 0x1000 + SPAN - 1}, GRF_NONE, 1, &owner_a, 0};

    for (unsigned hops = 0; !race->stop; race->hops = ++hops) {
        struct space_region new = old;
        struct space_map *without, *with;

        new.range.first = old.range.first ^ 0x3000;
        new.range.last = old.range.last ^ 0x3000;
        new.owner = hops % 2 ? &owner_a : &owner_b;
        new.cookie = hops % 2 ? 1 : 2;
        new.flags = VIRT | GRF_ACTIVE;
        if (space_map_set(race->space.map, &old, &without))
            return race; /* anything but NULL */
        if (space_map_set(without, &new, &with))
            return race;
        space_map_free(without);
        space_publish(&race->space, with);
        old = new;
        old.flags = GRF_NONE;
    }
    return NULL;
}

START_TEST(test_readers_and_writer)
{
    struct race race = {.stop = false};
    struct space_region first = {{0x1000, 0x1000 + SPAN - 1}, VIRT | GRF_ACTIVE, 1, &owner_a, 0};
    pthread_t reader[READERS], writer;
    struct space_map *map;
    void *result;

    ck_assert_int_eq(space_init(&race.space, 0xffff), 0);
    ck_assert_int_eq(space_map_set(race.space.map, &first, &map), 0);
    space_publish(&race.space, map);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_all_the_time, &race), 0);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&reader[i], NULL, read_all_the_time, &race), 0);
    for (int i = 0; i < READERS; i++) {
        pthread_join(reader[i], &result);
        ck_assert_uint_eq((uintptr_t)result, 0);
    }
    race.stop = true;
    pthread_join(writer, &result);
    ck_assert_ptr_null(result);
    space_dispose(&race.space);
    space_dispose(&race.space);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("space");
    TCase *map = tcase_create("map"), *threads = tcase_create("threads");

    tcase_add_loop_test(map, test_set, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(map, test_identity);
    tcase_add_test(map, test_sticky);
    tcase_add_test(map, test_find);
    tcase_add_loop_test(map, test_find_free, 0, sizeof(free_rows) / sizeof(free_rows[0]));
    tcase_add_test(map, test_find_free_avoids);
    tcase_add_loop_test(map, test_range, 0, sizeof(range_rows) / sizeof(range_rows[0]));
    tcase_set_timeout(threads, 60);
    tcase_add_test(threads, test_readers_and_writer);
    suite_add_tcase(suite, map);
    suite_add_tcase(suite, threads);
    return suite;
}

CHECK_MAIN(make_suite)
