/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region map, in pictures. A character is a byte of the space:
 *   .  hole      a b  regions of owners A and B     c  of A's with another cookie
 *   w  of A, writes alone     q  of A, PRECIOUS     p  the platform's, PRECIOUS
 *   m  RAM       r  RAM read-only                   n  the VM's, but not RAM
 *   A B M P      the same, inactive
 * A line is a layer (or a region to be set), the earlier ones first, a / between two. In what is
 * set, x y z delete for A, B and the VM.
 */
#include <errno.h>
#include <string.h>
#include <xengasp/gasp.h>

#include "space/space.h"
#include "tests/check_main.h"
#include "tests/failing_malloc.h"

enum { VIRT = GRF_VIRT_RD | GRF_VIRT_WR, RAM = GRF_PASS_ANY | GRF_MEMORY, TEXT = 256 };

static char owner_a, owner_b, owner_p;

static const struct kind {
    char letter;
    void *owner;
    uint32_t flags, cookie;
} kinds[] = {
    {'a', &owner_a, VIRT | GRF_ACTIVE, 0},
    {'A', &owner_a, VIRT, 0},
    {'c', &owner_a, VIRT | GRF_ACTIVE, 1},
    {'w', &owner_a, GRF_VIRT_WR | GRF_ACTIVE, 0},
    {'q', &owner_a, VIRT | GRF_ACTIVE | GRF_PRECIOUS, 0},
    {'b', &owner_b, VIRT | GRF_ACTIVE, 0},
    {'B', &owner_b, VIRT, 0},
    {'p', &owner_p, GRF_ACTIVE | GRF_PRECIOUS, 0},
    {'P', &owner_p, GRF_PRECIOUS, 0},
    {'m', NULL, RAM | GRF_ACTIVE, 0},
    {'M', NULL, RAM, 0},
    {'r', NULL, GRF_PASS_RD | GRF_PASS_EX | GRF_MEMORY | GRF_ACTIVE, 0},
    {'n', NULL, GRF_NOPERMS | GRF_ACTIVE, 0},
    {'x', &owner_a, GRF_NONE, 0},
    {'y', &owner_b, GRF_NONE, 0},
    {'z', NULL, GRF_NONE, 0},
};

static const struct kind *kind_of(char letter)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].letter == letter)
            return &kinds[i];
    ck_abort_msg("no kind '%c'", letter);
}

static char letter_of(const void *owner, uint32_t cookie, uint32_t flags)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].owner == owner && kinds[i].flags == flags && kinds[i].cookie == cookie)
            return kinds[i].letter;
    return '?';
}

static unsigned failing; /* the allocation that fails in each set; 0: none */

static int set(struct space_map *map, const struct space_region *r)
{
    bool failed;
    int rc;

    malloc_fail(failing);
    rc = space_map_set(map, r);
    failed = malloc_failed();
    ck_assert(failed == (rc == ENOMEM));
    return rc;
}

/* Sets every run of letters of every line; what the last of them gave, those before must succeed. */
static int draw(struct space_map *map, uint64_t base, const char *picture)
{
    uint64_t at = base;
    int rc = 0;

    while (*picture) {
        struct space_region r = {.range = {at, at}};
        const struct kind *kind;

        if (*picture == '/' || *picture == '.') {
            at = *picture++ == '/' ? base : at + 1;
            continue;
        }
        ck_assert_int_eq(rc, 0);
        kind = kind_of(*picture);
        while (*++picture == kind->letter)
            r.range.last++;
        at = r.range.last + 1;
        r.owner = kind->owner;
        r.cookie = kind->cookie;
        r.flags = kind->flags;
        rc = set(map, &r);
    }
    return rc;
}

/* The row of one layer, and the cells are what the map says of them. False: there is none of it. */
static bool layer_row(const struct space_map *map, uint64_t base, uint64_t id, char *out)
{
    bool any = false;

    for (size_t i = 0; i < map->n; i++) {
        const struct space_cell *cell = map->cell[i];

        for (uint32_t k = 0; k < cell->n; k++) {
            const struct space_layer *l = &cell->layer[k];

            if (l->id != id)
                continue;
            any = true;
            memset(out + (cell->range.first - base), letter_of(l->owner, l->cookie, l->flags),
                   range_length(cell->range));
        }
    }
    return any;
}

/* The picture of all layers. */
static const char *layers(const struct space_map *map, uint64_t base, size_t width, char *out)
{
    char *p = out;

    for (uint64_t id = 0; id < map->next_layer; id++) {
        memset(p, '.', width);
        if (!layer_row(map, base, id, p))
            continue;
        p += width;
        *p++ = '/';
    }
    p[p > out ? -1 : 0] = 0;
    return out;
}

/* The picture of what is seen. Where two pieces of one kind touch, a | stands between them. */
static const char *seen(const struct space_map *map, uint64_t base, size_t width, char *out)
{
    struct range rest = {base, base + (width - 1)};
    struct space_region piece;
    uint64_t at = base;
    char *p = out;

    while (space_map_next(map, rest, &piece)) {
        char letter = letter_of(piece.owner, piece.cookie, piece.flags);

        for (; at < piece.range.first; at++)
            *p++ = '.';
        if (p > out && p[-1] == letter)
            *p++ = '|';
        for (; at - base < range_length(piece.range) + (piece.range.first - base); at++)
            *p++ = letter;
        if (piece.range.last == rest.last)
            break;
        rest.first = piece.range.last + 1;
    }
    for (; at - base < width; at++)
        *p++ = '.';
    *p = 0;
    return out;
}

/* As few cells as can be, in order. */
static void check_cells(const struct space_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct space_cell *cell = map->cell[i], *next = map->cell[i + 1 < map->n ? i + 1 : i];

        ck_assert_uint_ge(cell->n, 1);
        ck_assert_uint_eq(cell->range.last, map->last[i]);
        if (next == cell)
            continue;
        ck_assert_uint_lt(cell->range.last, next->range.first);
        ck_assert(next->range.first - cell->range.last > 1 || cell->n != next->n ||
                  memcmp(cell->layer, next->layer, cell->n * sizeof(cell->layer[0])) != 0);
    }
}

static const struct row {
    const char *before, *set;
    int rc;
    const char *after, *seen; /* NULL: as before */
} rows[] = {
    /* In free space. */
    {"", "..aa....", 0, "..aa....", "..aa...."},
    {"", "aaaaaaaa", 0, "aaaaaaaa", "aaaaaaaa"},
    {"..aa....", "....bb..", 0, "..aa..../....bb..", "..aabb.."},
    {"..aa....", "....aa..", 0, "..aa..../....aa..", "..aa|aa.."}, /* two regions stay two */
    {"", "..AA....", 0, "..AA....", "........"},
    /* Inside one piece: at its start, at its end, within, all of it. */
    {"..aaaa..", "..bb....", 0, "..aaaa../..bb....", "..bbaa.."},
    {"..aaaa..", "....bb..", 0, "..aaaa../....bb..", "..aabb.."},
    {"..aaaa..", "...bb...", 0, "..aaaa../...bb...", "..abba.."},
    {"..aaaa..", "..bbbb..", 0, "..aaaa../..bbbb..", "..bbbb.."},
    {"..aaaa..", "...cc...", 0, "..aaaa../...cc...", "..acca.."}, /* a cookie makes an owner */
    {"..aaaa..", "...BB...", 0, "..aaaa../...BB...", "..aaaa.."},
    {"aaaaaaaa/..bbbb..", "...cc...", 0, "aaaaaaaa/..bbbb../...cc...", "aabccbaa"},
    {"aaaaaaaa/..bbbb..", "......cc", 0, "aaaaaaaa/..bbbb../......cc", "aabbbbcc"},
    {"aaaaaaaa/..bbbb..", "...aa...", 0, "aaaaaaaa/..bbbb../...aa...", "aabaabaa"},
    {"aaaaaaaa/..bbbb..", "..aaaa..", 0, "aaaaaaaa/..bbbb../..aaaa..", "aa|aaaa|aa"},
    {"aaaaaaaa/..BBBB..", ".cccc...", 0, "aaaaaaaa/..BBBB../.cccc...", "accccaaa"},
    /* A hole is one, whatever hides in it. */
    {"..AAAA..", ".bbbb...", 0, "..AAAA../.bbbb...", ".bbbb..."},
    {"..AAAA..", ".aaaa...", 0, "..AAAA../.aaaa...", ".aaaa..."},
    /* Across an edge, over two pieces, over a piece and a hole. */
    {"..aaaa..", ".bb.....", EEXIST, NULL, NULL},
    {"..aaaa..", ".....bb.", EEXIST, NULL, NULL},
    {"..aaaa..", "bbbbbbbb", EEXIST, NULL, NULL},
    {"..aa..../....bb..", "...cc...", EEXIST, NULL, NULL},
    {"..aa..../....aa..", "...bb...", EEXIST, NULL, NULL},
    {"..aa..../.....aa.", "..bbbb..", EEXIST, NULL, NULL},
    {"aaaaaaaa/..bbbb..", ".cccc...", EEXIST, NULL, NULL},
    {"aaaaaaaa/..bbbb..", "cccccccc", EEXIST, NULL, NULL},
    {"aaaaaaaa/..ww....", ".bb.....", EEXIST, NULL, NULL}, /* of one layer, but two pieces */
    {"..aaaa..", "....BBBB", EEXIST, NULL, NULL},          /* nor can an inactive one */
    /* PRECIOUS overlaps nothing, either way, seen or not. */
    {"..pp....", "..aa....", EBUSY, NULL, NULL},
    {"..pp....", ".aaa....", EBUSY, NULL, NULL},
    {"..PP....", ".aaa....", EBUSY, NULL, NULL},
    {"aa....../..pp....", "bbbb....", EBUSY, NULL, NULL}, /* EBUSY before EEXIST */
    {"..bb....", ".q......", 0, "..bb..../.q......", ".qbb...."},
    {"aaaaaaaa/..bbbb..", "..qqqq..", EBUSY, NULL, NULL}, /* A's is not seen there: a new one */
    {"..AAAA../bbbbbbbb", "..qqqq..", EBUSY, NULL, NULL}, /* modified, but beneath B's */
    {"bbbbbbbb/..aa....", "..qq....", EBUSY, NULL, NULL},
    {"aaaaaaaa/..BB....", "qq......", 0, "qqaaaaaa/..BB....", "qqaaaaaa"},
    {"..qqqq..", "...ww...", 0, "..qwwq..", "..qwwq.."},
    /* Modifying: the whole, the start, the end, the middle. */
    {"..aaaa..", "..wwww..", 0, "..wwww..", "..wwww.."},
    {"..aaaa..", "..ww....", 0, "..wwaa..", "..wwaa.."},
    {"..aaaa..", "....ww..", 0, "..aaww..", "..aaww.."},
    {"..aaaa..", "...ww...", 0, "..awwa..", "..awwa.."},
    {"..aaaa../...ww...", "...aa...", 0, "..aaaa..", "..aaaa.."}, /* and it is one again */
    {"..aaaa../...ww...", "..aaaa..", EEXIST, NULL, NULL},
    {"..aaaa..", "...qq...", 0, "..aqqa..", "..aqqa.."},
    {"aaaaaaaa/..bb....", "....ww..", 0, "aaaawwaa/..bb....", "aabbwwaa"},
    {"aaaaaaaa/..bb....", ".www....", EEXIST, NULL, NULL},
    {"aaaaaaaa/..BB....", ".www....", 0, "awwwaaaa/..BB....", "awwwaaaa"}, /* what hides is kept */
    /* Switching off and on: the place among the layers is kept. */
    {"..aaaa..", "...AA...", 0, "..aAAa..", "..a..a.."},
    {"..AAAA..", "...aa...", 0, "..AaaA..", "...aa..."},
    {"bbbbbbbb/..aaaa..", "..AAAA..", 0, "bbbbbbbb/..AAAA..", "bbbbbbbb"},
    {"bbbbbbbb/..aaaa..", "..AAAA../..aaaa..", 0, NULL, NULL},
    {"..AAAA../bbbbbbbb", "...aa...", 0, "..AaaA../bbbbbbbb", "bbbbbbbb"},
    {"..AAAA../bbbbbbbb", "...aa.../yyyyyyyy", 0, "..AaaA..", "...aa..."},
    {"bbbbbbbb/..AAAA../..cc....", "..aaaa..", 0, "bbbbbbbb/..aaaa../..cc....", "bbccaabb"},
    {"..AAAA../.bbbb...", "...aaa..", 0, "..Aaaa../.bbbb...", ".bbbba.."}, /* partly beneath */
    {"..aaaa../...bb...", "..AAAA..", EEXIST, NULL, NULL}, /* not all of it is seen */
    /* Of two of the owner's the upper one. */
    {"aaaaaaaa/..bbbb../..AAAA..", "..wwww..", 0, "aaaaaaaa/..bbbb../..wwww..", "aawwwwaa"},
    {"aaaaaaaa/..bbbb../..AAAA../..BBBB..", "..wwww..", 0, "aaaaaaaa/..BBBB../..wwww..",
     "aawwwwaa"},
    {"AAAA..../aaaaaaaa", "..ww....", 0, "AAAA..../aawwaaaa", "aawwaaaa"},
    {"AAAA..../aaaaaaaa/.bb.....", ".ww.....", 0, "AwwA..../aaaaaaaa/.bb.....", "abbaaaaa"},
    {"AAAA..../aaaaaaaa", ".xx.....", 0, "AAAA..../a..aaaaa", "a..aaaaa"},
    /* Deleting a layer, a part, what is beneath. */
    {"..aaaa..", "..xxxx..", 0, "", "........"},
    {"..aaaa..", "..xx....", 0, "....aa..", "....aa.."},
    {"..aaaa..", "....xx..", 0, "..aa....", "..aa...."},
    {"..aaaa..", "...xx...", 0, "..a..a..", "..a..a.."},
    {"..AAAA..", "...xx...", 0, "..A..A..", "........"},
    {"aaaaaaaa/..bbbb..", "..yyyy..", 0, "aaaaaaaa", "aaaaaaaa"},
    {"aaaaaaaa/..bbbb..", "...yy...", 0, "aaaaaaaa/..b..b..", "aabaabaa"},
    {"aaaaaaaa/..bbbb..", "...xx...", 0, "aaa..aaa/..bbbb..", "aabbbbaa"},
    {"aaaaaaaa/..bbbb..", "xxxxxxxx", 0, "..bbbb..", "..bbbb.."},
    {"aaaaaaaa/..bbbb../...cc...", "..yyyy..", 0, "aaaaaaaa/...cc...", "aaaccaaa"},
    {"mmmmmmmm/aaaaaaaa/..ww....", "xxxxxxxx", 0, "mmmmmmmm", "mmmmmmmm"},
    {"aaaaaaaa/..ww....", "xxxxxxxx", 0, "", "........"}, /* parts with other flags, too */
    {"aaaaaaaa/..bb....", "xx....../....xxxx", 0, "..aa..../..bb....", "..bb...."},
    {"aaaaaaaa/..bb....", "xx....../....xxxx/..yy..../..xx....", 0, "", "........"},
    {"aaaaaaaa/..bbbb../..aa....", "..xx....", 0, "aaaaaaaa/..bbbb..", "aabbbbaa"},
    {"aaaaaaaa/..bbbb../..aa....", "..xx..../..xx....", 0, "aa..aaaa/..bbbb..", "aabbbbaa"},
    {"aaaaaaaa/..bbbb../..aa....", "..xxxx..", 0, "aa....aa/..bbbb../..aa....", "aa|aabbaa"},
    {"..aa..../....bb..", "..xx..../..aa....", 0, "....bb../..aa....", "..aabb.."},
    {"", "..xx....", ENOENT, NULL, NULL},
    {"..aaaa..", ".xxx....", ENOENT, NULL, NULL},
    {"..aaaa..", "....xxx.", ENOENT, NULL, NULL},
    {"..aa..../....aa..", "..xxxx..", ENOENT, NULL, NULL}, /* no layer of A's has all of it */
    {"..aaaa../...xx...", "..xxxx..", ENOENT, NULL, NULL},
    {"..aa..../....bb..", "..xxxx..", ENOENT, NULL, NULL},
    {"..bb..../.......a", "..xx....", EPERM, NULL, NULL},
    {"..bb....", ".xxxx...", EPERM, NULL, NULL},
    {"..BB....", "..xx....", EPERM, NULL, NULL},
    {"..pp....", "..zz....", EPERM, NULL, NULL},
    /* RAM is one layer wherever it touches, and never above anything. */
    {"mm......", "..mm....", 0, "mmmm....", "mmmm...."},
    {"mm..../....mm", "..mm....", 0, "mmmmmm..", "mmmmmm.."},
    {"mm......", "...mm...", 0, "mm.mm...", "mm.mm..."},
    {"mm......", "..MM....", 0, "mmMM....", "mm......"},
    {"mm....../..nn....", "....mm..", 0, "mm..mm../..nn....", "mmnnmm.."},
    {"mmmm....", "..mmmm..", EEXIST, NULL, NULL},
    {"MMMM....", "..mmmm..", EEXIST, NULL, NULL},
    {"..aa....", "..mm....", EEXIST, NULL, NULL},
    {"..AA....", "..mm....", EEXIST, NULL, NULL},
    {"nnnnnnnn/..aaaa..", "...mm...", EEXIST, NULL, NULL},
    {"mmmmmmmm/..aa....", "..mm....", EEXIST, NULL, NULL},
    {"mmmmmmmm", "..rr....", 0, "mmrrmmmm", "mmrrmmmm"},
    {"mmmmmmmm/..rr....", "..mm....", 0, "mmmmmmmm", "mmmmmmmm"},
    {"mmmmmmmm", "..aa....", 0, "mmmmmmmm/..aa....", "mmaammmm"},
    {"mmmmmmmm/..aa....", "..xx....", 0, "mmmmmmmm", "mmmmmmmm"},
    {"mmmmmmmm", "..zz....", 0, "mm..mmmm", "mm..mmmm"},
    {"mmmmmmmm/..aa....", ".zzz....", 0, "m...mmmm/..aa....", "m.aammmm"},
};

static const uint64_t limits[] = {7, 0xffff, (UINT64_C(1) << 40) - 1, UINT64_MAX};

/* Each row at the start of a small space, and at the end of one whose limit leaves no room for a
 * slip. */
START_TEST(test_set)
{
    const struct row *row = &rows[_i];
    char before[TEXT], before_seen[TEXT], after[TEXT];

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct space_map *map = space_map_new();
        uint64_t base = limits[i] - 7;

        ck_assert_int_eq(draw(map, base, row->before), 0);
        layers(map, base, 8, before);
        seen(map, base, 8, before_seen);
        ck_assert_int_eq(draw(map, base, row->set), row->rc);
        ck_assert_str_eq(layers(map, base, 8, after), row->after ? row->after : before);
        ck_assert_str_eq(seen(map, base, 8, after), row->seen ? row->seen : before_seen);
        check_cells(map);
        space_map_free(map);
    }
}
END_TEST

/* The same, whichever allocation fails. The map that it is a draft of never changes. */
START_TEST(test_no_memory)
{
    const struct row *row = &rows[_i];
    struct space_map *map = space_map_new(), *draft = NULL;
    char before[TEXT], after[TEXT];
    int rc = ENOMEM;

    ck_assert_int_eq(draw(map, 0, row->before), 0);
    layers(map, 0, 8, before);
    for (unsigned nth = 1; nth <= 2; nth++) {
        malloc_fail(nth);
        draft = space_map_draft(map, 2);
        ck_assert(malloc_failed() && !draft);
    }
    draft = space_map_draft(map, 2);
    for (failing = 1; rc == ENOMEM && !strchr(row->set, '/'); failing++) {
        rc = draw(draft, 0, row->set);
        ck_assert(failing > 1 || rc == ENOMEM || row->rc); /* each change needs some */
        if (rc == ENOMEM)
            ck_assert_str_eq(layers(draft, 0, 8, after), before);
    }
    failing = 0;
    if (rc != ENOMEM)
        ck_assert_int_eq(rc, row->rc);
    check_cells(draft);
    space_map_free(draft);
    ck_assert_str_eq(layers(map, 0, 8, after), before);
    check_cells(map);
    space_map_free(map);
}
END_TEST

/* Set then delete is the identity: what was set above goes, the rest is as it was. */
START_TEST(test_identity)
{
    static const char *const steps[] = {"aaaaaaaaaaaaaaaa", "..bbbbbbbbbbbb..", "..aaaaaaaaaaaa..",
                                        "...ccc..........", "...aaa..........", ".........bbbb...",
                                        "..........cc....", "....b..........."};
    enum { STEPS = sizeof(steps) / sizeof(steps[0]), WIDTH = 16 };
    struct space_map *map = space_map_new();
    char text[STEPS + 1][TEXT], now[TEXT], gone[WIDTH + 1];

    for (int i = 0; i < STEPS; i++) {
        layers(map, 0, WIDTH, text[i]);
        ck_assert_int_eq(draw(map, 0, steps[i]), 0);
    }
    for (int i = STEPS; i-- > 0;) {
        struct space_region r = {.flags = GRF_NONE};
        size_t skip = strspn(steps[i], "."), n;

        strcpy(gone, steps[i] + skip);
        n = strcspn(gone, ".");
        r.range = (struct range){skip, skip + n - 1};
        r.owner = kind_of(gone[0])->owner;
        r.cookie = kind_of(gone[0])->cookie;
        ck_assert_int_eq(space_map_set(map, &r), 0);
        ck_assert_str_eq(layers(map, 0, WIDTH, now), text[i]);
        check_cells(map);
    }
    ck_assert_uint_eq(map->n, 0);
    space_map_free(map);
}
END_TEST

/* What a modify keeps of the flags. */
START_TEST(test_sticky)
{
    struct space_region r = {{0, 7}, RAM | GRF_ACTIVE | GRF_DMA_SOURCE, 0, &owner_a, 0}, piece;
    struct space_map *map = space_map_new();

    ck_assert_int_eq(space_map_set(map, &r), 0);
    r.range = (struct range){2, 3};
    r.flags = VIRT | GRF_ACTIVE | GRF_DMA_USES;
    ck_assert_int_eq(space_map_set(map, &r), 0);
    ck_assert(space_map_find(map, 2, &piece));
    ck_assert_uint_eq(piece.flags, VIRT | GRF_ACTIVE | GRF_DMA_USES | GRF_MEMORY | GRF_DMA_SOURCE);
    r.flags = VIRT | GRF_ACTIVE | GRF_PASSTHRU | GRF_DMA_TARGET;
    ck_assert_int_eq(space_map_set(map, &r), 0);
    ck_assert(space_map_find(map, 3, &piece));
    ck_assert_uint_eq(piece.flags, VIRT | GRF_ACTIVE | GRF_STICKY);
    ck_assert(space_map_find(map, 4, &piece));
    ck_assert_uint_eq(piece.flags, RAM | GRF_ACTIVE | GRF_DMA_SOURCE);
    r.flags = GRF_NONE; /* nothing sticks to what is deleted */
    ck_assert_int_eq(space_map_set(map, &r), 0);
    ck_assert(!space_map_find(map, 2, &piece));
    space_map_free(map);
}
END_TEST

/* 0123456789abcdef
 * mmmmmm..AA......
 * ..bb......pp....
 * ..BB...c....ww..   (w of A, inside an a) */
static const char *const looked_at = "mmmmmm..AA....../..bb......pp..../............aaaa/"
                                     ".......c......../............ww..";

START_TEST(test_look)
{
    static const struct {
        struct range range;
        bool found;
        uint64_t last; /* at least as far as asked for, at most to here */
    } some[] = {{{0, 0}, true, 1},
                {{0, 15}, true, 1},
                {{1, 3}, true, 1},
                {{2, 2}, true, 3},
                {{4, 15}, true, 5},
                {{6, 6}, false, 6},
                {{6, 15}, false, 6},
                {{7, 15}, true, 7},
                {{8, 8}, false, 9},
                {{9, 15}, false, 9},
                {{10, 15}, true, 11},
                {{12, 15}, true, 13},
                {{14, 15}, true, 15},
                {{16, 16}, false, UINT64_MAX},
                {{16, 99}, false, UINT64_MAX}};
    struct space_map *map = space_map_new();
    struct space_region piece;
    char text[TEXT];

    ck_assert_int_eq(draw(map, 0, looked_at), 0);
    ck_assert_str_eq(seen(map, 0, 16, text), "mmbbmm.c..ppwwaa");
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        uint64_t want = some[i].range.last < some[i].last ? some[i].range.last : some[i].last;

        ck_assert(space_map_look(map, some[i].range, &piece) == some[i].found);
        ck_assert(range_has(piece.range, some[i].range.first));
        ck_assert(want <= piece.range.last && piece.range.last <= some[i].last);
    }
    ck_assert(space_map_find(map, 15, &piece));
    ck_assert(piece.range.first == 14 && piece.range.last == 15 && piece.owner == &owner_a);
    ck_assert(space_map_next(map, (struct range){8, 15}, &piece));
    ck_assert(piece.range.first == 10 && piece.owner == &owner_p);
    ck_assert(!space_map_next(map, (struct range){8, 9}, &piece));
    ck_assert(!space_map_next(map, (struct range){16, UINT64_MAX}, &piece));
    space_map_free(map);
}
END_TEST

START_TEST(test_ask)
{
    struct space_map *map = space_map_new();
    struct space_region part = {.owner = &owner_a, .range = {2, 3}};
    struct space_layer layer;

    ck_assert_int_eq(draw(map, 0, looked_at), 0);
    ck_assert(space_map_covered(map, (struct range){0, 5}, 0, GRF_PRECIOUS));
    ck_assert(space_map_covered(map, (struct range){0, 1}, SPACE_RAM_HAS, SPACE_RAM_HASNT));
    ck_assert(!space_map_covered(map, (struct range){0, 2}, SPACE_RAM_HAS, SPACE_RAM_HASNT));
    ck_assert(!space_map_covered(map, (struct range){5, 6}, 0, 0));
    ck_assert(!space_map_covered(map, (struct range){8, 8}, 0, 0));
    ck_assert(space_map_covered(map, (struct range){10, 15}, GRF_ACTIVE, GRF_MEMORY));
    ck_assert(!space_map_covered(map, (struct range){12, 16}, 0, 0));
    ck_assert(space_map_plain(map, (struct range){4, 5}, RAM | GRF_ACTIVE));
    ck_assert(!space_map_plain(map, (struct range){3, 5}, RAM | GRF_ACTIVE));
    ck_assert(!space_map_plain(map, (struct range){4, 6}, RAM | GRF_ACTIVE));
    ck_assert(!space_map_plain(map, (struct range){4, 5}, RAM));
    ck_assert(!space_map_plain(map, (struct range){2, 3}, VIRT | GRF_ACTIVE));
    ck_assert(space_map_meets(map, (struct range){2, 3}, GRF_MEMORY, &part)); /* beneath */
    ck_assert(part.range.first == 2 && part.range.last == 3 && part.layer == 0);
    ck_assert(space_map_meets(map, (struct range){6, 9}, GRF_VIRT_RD, NULL));
    ck_assert(space_map_meets(map, (struct range){8, 9}, 0, NULL));
    ck_assert(!space_map_meets(map, (struct range){6, 6}, 0, NULL));
    ck_assert(!space_map_meets(map, (struct range){0, 15}, GRF_PRECIOUS | GRF_MEMORY, NULL));
    ck_assert(space_map_owned(map, &owner_b, &part));
    ck_assert(part.range.first == 2 && part.range.last == 3 && part.owner == &owner_b);
    ck_assert(!space_map_owned(map, NULL, &part)); /* but RAM */
    part = (struct space_region){.range = {12, 15}, .owner = &owner_a};
    ck_assert(space_map_own(map, &part, &layer)); /* to delete: for all its flags */
    part.flags = VIRT | GRF_ACTIVE;
    ck_assert(!space_map_own(map, &part, &layer));
    part.range.first = 14;
    ck_assert(space_map_own(map, &part, &layer));
    ck_assert_uint_eq(layer.flags, VIRT | GRF_ACTIVE);
    space_map_free(map);
}
END_TEST

/*  0123456789abcdef
 *  mm..aa.AA....bb.
 *  ....cc........c.      */
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

    ck_assert_int_eq(draw(map, 0, "mm..aa.AA....bb./....cc........c."), 0);
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
     * avoid:              v     vv  vvv    */
    const struct range avoid[] = {{13, 15}, {3, 3}, {9, 10}};
    struct space_map *map = space_map_new();
    uint64_t found;

    ck_assert_int_eq(draw(map, 0, "mm..aa.AA....bb."), 0);
    ck_assert_int_eq(space_map_find_free(map, 1, 1, (struct range){0, 15}, avoid, 3, &found), 0);
    ck_assert_uint_eq(found, 2);
    ck_assert_int_eq(space_map_find_free(map, 2, 1, (struct range){0, 15}, avoid, 3, &found), 0);
    ck_assert_uint_eq(found, 11);
    ck_assert_int_eq(space_map_find_free(map, 1, 1, (struct range){13, 15}, avoid, 3, &found),
                     ENOSPC);
    ck_assert_int_eq(space_map_find_free(map, 4, 4, (struct range){0, 99}, avoid, 3, &found), 0);
    ck_assert_uint_eq(found, 16); /* behind all that is there */
    space_map_free(map);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("space");
    TCase *map = tcase_create("map");

    tcase_add_loop_test(map, test_set, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_loop_test(map, test_no_memory, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(map, test_identity);
    tcase_add_test(map, test_sticky);
    tcase_add_test(map, test_look);
    tcase_add_test(map, test_ask);
    tcase_add_loop_test(map, test_find_free, 0, sizeof(free_rows) / sizeof(free_rows[0]));
    tcase_add_test(map, test_find_free_avoids);
    suite_add_tcase(suite, map);
    return suite;
}

CHECK_MAIN(make_suite)
