/* SPDX-License-Identifier: BSD-2-Clause */
/* Drafts of the region map, publishing them, and readers; and the ranges that all of it is made of. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <xengasp/gasp.h>

#include "space/space.h"
#include "tests/check_main.h"
#include "tests/failing_malloc.h"

enum {
    VIRT = GRF_VIRT_RD | GRF_VIRT_WR | GRF_ACTIVE,
    RAM = GRF_PASS_ANY | GRF_MEMORY | GRF_ACTIVE
};

static char owner_a, owner_b;

static int set(struct space_map *draft, uint64_t first, uint64_t last, void *owner, uint32_t flags)
{
    return space_map_set(draft, &(struct space_region){{first, last}, flags, 0, owner, 0});
}

static void *owner_at(const struct space_map *map, uint64_t addr)
{
    struct space_region piece;

    return space_map_find(map, addr, &piece) ? piece.owner : &errno;
}

/* Far more than a draft has room for at first; what fails on the way leaves no trace. */
START_TEST(test_grows)
{
    enum { MANY = 300 };
    struct space space;
    struct space_map *draft;
    unsigned failures = 0;

    ck_assert_int_eq(space_init(&space, UINT64_MAX), 0);
    draft = space_draft(&space);
    ck_assert_int_eq(set(draft, 0, 0xffffff, NULL, RAM), 0);
    for (unsigned i = 0, fail = 1; i < MANY;) {
        size_t n = draft->n;
        int rc;

        malloc_fail(fail++);
        rc = set(draft, i * 16 + 4, i * 16 + 7, &owner_a, VIRT);
        if (malloc_failed()) {
            ck_assert_int_eq(rc, ENOMEM);
            ck_assert_uint_eq(draft->n, n);
            failures++;
            continue;
        }
        ck_assert_int_eq(rc, 0);
        ck_assert_uint_eq(draft->n, 2 * i + 3);
        fail = 1;
        i++;
        if (i % 50 == 0) { /* published ones must be copied, those of the draft may be changed */
            space_publish(&space, draft);
            draft = space_draft(&space);
        }
    }
    ck_assert_uint_ge(failures, 3 * MANY);
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(set(draft, i * 16 + 4, i * 16 + 7, &owner_a, GRF_NONE), 0);
    ck_assert_uint_eq(draft->n, 1);
    ck_assert_uint_eq(space.map->n, 2 * MANY + 1);
    ck_assert_ptr_eq(owner_at(space.map, 4), &owner_a);
    space_publish(&space, draft);
    ck_assert_ptr_null(owner_at(space.map, 4));
    space_dispose(&space);
}
END_TEST

/* Whatever their number: cells of 2 bytes, 2 bytes apart, and each address. */
START_TEST(test_search)
{
    enum { MOST = 200 };
    struct space_map *draft = space_map_new();

    for (uint64_t n = 0; n <= MOST; n++) {
        for (uint64_t addr = 0; addr < 4 * n + 8; addr++) {
            size_t want = (addr + 1) / 4 < n ? (addr + 1) / 4 : n;

            if (space_map_search(draft, addr) != want)
                ck_abort_msg("%zu of %zu at %zu", want, (size_t)n, (size_t)addr);
        }
        ck_assert_uint_eq(space_map_search(draft, UINT64_MAX), n);
        ck_assert_int_eq(set(draft, 4 * n + 1, 4 * n + 2, &owner_a, VIRT), 0);
    }
    space_map_free(draft);
}
END_TEST

/* What a draft becomes nobody sees before it is published, and nobody ever when it is thrown away. */
START_TEST(test_draft)
{
    struct space space;
    struct space_map *draft, *other;

    ck_assert_int_eq(space_init(&space, 0xffff), 0);
    draft = space_draft(&space);
    ck_assert_int_eq(set(draft, 0, 99, &owner_a, VIRT), 0);
    ck_assert_uint_eq(space.map->n, 0);
    space_publish(&space, draft);
    ck_assert_ptr_eq(space_read(&space), draft);
    draft = space_draft(&space);
    ck_assert_uint_ne(draft->number, space.map->number);
    ck_assert_int_eq(set(draft, 10, 19, &owner_b, VIRT), 0);
    ck_assert_int_eq(set(draft, 10, 19, &owner_b, GRF_NONE), 0);
    ck_assert_int_eq(set(draft, 0, 49, &owner_a, GRF_NONE), 0);
    other = space_map_draft(draft, ++space.numbers); /* a draft of a draft */
    ck_assert_int_eq(set(other, 50, 99, &owner_a, GRF_NONE), 0);
    ck_assert_uint_eq(other->n, 0);
    ck_assert_uint_eq(draft->n, 1);
    space_map_free(other);
    ck_assert_ptr_eq(owner_at(draft, 50), &owner_a);
    ck_assert_ptr_eq(owner_at(space.map, 0), &owner_a);
    space_map_free(draft);
    space_map_free(NULL);
    ck_assert_uint_eq(space.map->n, 1);
    ck_assert_uint_eq(space.map->last[0], 99);
    space_dispose(&space);
    space_dispose(&space);
}
END_TEST

/* Who reads a map goes on reading it, whatever becomes of it. */
START_TEST(test_show)
{
    const struct space_map *first, *second;
    struct space_map *draft, *former;
    struct space space;

    ck_assert_int_eq(space_init(&space, 0xffff), 0);
    draft = space_draft(&space);
    ck_assert_int_eq(set(draft, 0, 99, &owner_a, VIRT), 0);
    space_publish(&space, draft);
    rcu_enter();
    first = space_read(&space);
    draft = space_draft(&space);
    ck_assert_int_eq(set(draft, 10, 19, &owner_b, VIRT), 0);
    former = space_show(&space, draft);
    ck_assert_ptr_eq(former, first);
    second = space_read(&space);
    ck_assert_ptr_eq(owner_at(second, 10), &owner_b);
    space_take_back(&space, former);
    ck_assert_ptr_eq(space_read(&space), first);
    /* The cells that were taken back are free again: the next change is of the former's. */
    draft = space_draft(&space);
    ck_assert_int_eq(set(draft, 0, 99, &owner_a, GRF_NONE), 0);
    former = space_show(&space, draft);
    space_keep(&space, former);
    ck_assert_uint_eq(space_read(&space)->n, 0);
    ck_assert_ptr_eq(owner_at(first, 10), &owner_a);
    ck_assert_ptr_eq(owner_at(second, 10), &owner_b);
    rcu_leave(&space);
    rcu_drain();
    draft = space_draft(&space);
    ck_assert_int_eq(set(draft, 0, 99, &owner_b, VIRT), 0);
    space_publish(&space, draft);
    ck_assert_ptr_eq(owner_at(space.map, 50), &owner_b);
    space_dispose(&space);
}
END_TEST

/*
 * Over RAM there is always one region, of A at one place or of B at the other; it hops by a draft
 * that takes it away and sets the other. Some drafts are thrown away, some shown and taken back.
 * Readers must find exactly one at any moment, and RAM everywhere else, and no map may be freed
 * under them.
 */
enum { READERS = 2, LOOKUPS = 50000, SPAN = 16, PLACE_A = 0x1000, PLACE_B = 0x2000, END = 0x3fff };

struct race {
    struct space space;
    _Atomic bool stop;
    _Atomic unsigned hops; /* of the writer; at 0 for ever, and the readers time out, if it fails */
};

static bool is_piece(const struct space_map *map, uint64_t first, uint64_t last, const void *owner)
{
    struct space_region piece;

    return space_map_find(map, last, &piece) && piece.range.first == first &&
           piece.range.last == last && piece.owner == owner;
}

static bool is_right(const struct space_map *map, unsigned i)
{
    struct space_region low, high;
    bool at_a;

    if (!space_map_look(map, (struct range){PLACE_A + i, PLACE_A + i}, &low) ||
        !space_map_look(map, (struct range){PLACE_B + i, PLACE_B + i}, &high))
        return false;
    at_a = low.owner;
    if (at_a)
        return low.owner == &owner_a && !high.owner && is_piece(map, 0, PLACE_A - 1, NULL) &&
               is_piece(map, PLACE_A, PLACE_A + SPAN - 1, &owner_a) &&
               is_piece(map, PLACE_A + SPAN, END, NULL);
    return high.owner == &owner_b && is_piece(map, 0, PLACE_B - 1, NULL) &&
           is_piece(map, PLACE_B, PLACE_B + SPAN - 1, &owner_b);
}

static void *read_all_the_time(void *arg)
{
    struct race *race = arg;
    uintptr_t wrong = 0;

    for (unsigned i = 0; i < LOOKUPS || race->hops <= 10; i++) {
        rcu_enter();
        wrong += !is_right(space_read(&race->space), i % SPAN);
        rcu_leave(&race->space);
    }
    return (void *)wrong;
}

static struct space_map *hopped(struct space *space, bool to_a)
{
    struct space_map *draft = space_draft(space);
    uint64_t from = to_a ? PLACE_B : PLACE_A, to = PLACE_A + PLACE_B - from;

    if (set(draft, from, from + SPAN - 1, to_a ? &owner_b : &owner_a, GRF_NONE) ||
        set(draft, to, to + SPAN - 1, to_a ? &owner_a : &owner_b, VIRT))
        abort();
    return draft;
}

static void *write_all_the_time(void *arg)
{
    struct race *race = arg;
    bool at_a = true;

    for (unsigned turn = 0; !race->stop; turn++) {
        struct space_map *draft = hopped(&race->space, !at_a);

        if (turn % 4 == 0) {
            space_map_free(draft);
        } else if (turn % 4 == 1) {
            space_take_back(&race->space, space_show(&race->space, draft));
        } else {
            space_publish(&race->space, draft);
            at_a = !at_a;
            race->hops++;
        }
    }
    return NULL;
}

START_TEST(test_readers_and_writer)
{
    struct race race = {.stop = false};
    pthread_t reader[READERS], writer;
    struct space_map *map;
    void *result;

    ck_assert_int_eq(space_init(&race.space, 0xffff), 0);
    map = space_draft(&race.space);
    ck_assert_int_eq(set(map, 0, END, NULL, RAM), 0);
    ck_assert_int_eq(set(map, PLACE_A, PLACE_A + SPAN - 1, &owner_a, VIRT), 0);
    space_publish(&race.space, map);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_all_the_time, &race), 0);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&reader[i], NULL, read_all_the_time, &race), 0);
    for (int i = 0; i < READERS; i++) {
        pthread_join(reader[i], &result);
        ck_assert_uint_eq((uintptr_t)result, 0);
    }
    race.stop = true;
    pthread_join(writer, NULL);
    space_dispose(&race.space);
}
END_TEST

/* Nobody waits for a reader: writing goes on while one sits in its read section. */
static void *read_until_stopped(void *arg)
{
    struct race *race = arg;
    const struct space_map *map;
    uintptr_t wrong;

    rcu_enter();
    map = space_read(&race->space);
    race->hops++;
    while (!race->stop)
        ;
    wrong = !is_right(map, 0);
    rcu_leave(&race->space);
    return (void *)wrong;
}

START_TEST(test_no_waiting)
{
    struct race race = {.stop = false};
    struct space_map *map;
    pthread_t reader;
    void *result;

    ck_assert_int_eq(space_init(&race.space, 0xffff), 0);
    map = space_draft(&race.space);
    ck_assert_int_eq(set(map, 0, END, NULL, RAM), 0);
    ck_assert_int_eq(set(map, PLACE_A, PLACE_A + SPAN - 1, &owner_a, VIRT), 0);
    space_publish(&race.space, map);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_until_stopped, &race), 0);
    while (race.hops == 0)
        ;
    for (int i = 0; i < 100; i++)
        space_publish(&race.space, hopped(&race.space, i % 2));
    race.stop = true;
    pthread_join(reader, &result);
    ck_assert_ptr_null(result);
    space_dispose(&race.space);
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

static Suite *make_suite(void)
{
    Suite *suite = suite_create("space_draft");
    TCase *alone = tcase_create("alone"), *threads = tcase_create("threads");

    tcase_add_test(alone, test_search);
    tcase_add_test(alone, test_grows);
    tcase_add_test(alone, test_draft);
    tcase_add_test(alone, test_show);
    tcase_add_loop_test(alone, test_range, 0, sizeof(range_rows) / sizeof(range_rows[0]));
    tcase_set_timeout(threads, 60);
    tcase_add_test(threads, test_readers_and_writer);
    tcase_add_test(threads, test_no_waiting);
    suite_add_tcase(suite, alone);
    suite_add_tcase(suite, threads);
    return suite;
}

CHECK_MAIN(make_suite)
