/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Order and levels of plates; and where there are too many, neighbours become one: first those with
 * names that differ in a number alone, then those of one kind, then any.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/picture.h"

enum strictness { SAME_NAME, SAME_KIND, ANY };

enum { PLATES_APART = 20 }; /* up to here none are drawn together */

static int by_address(const void *left, const void *right)
{
    const struct plate *a = *(struct plate *const *)left, *b = *(struct plate *const *)right;

    if (a->range.first != b->range.first)
        return a->range.first < b->range.first ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int by_number(const void *left, const void *right)
{
    const struct plate *a = *(struct plate *const *)left, *b = *(struct plate *const *)right;

    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->range.first < b->range.first ? -1 : a->range.first > b->range.first;
}

static void set_levels(struct bar *bar)
{
    qsort(bar->plate, bar->n, sizeof(struct plate *), by_number);
    for (size_t i = 0; i < bar->n; i++)
        for (size_t k = 0; k < i; k++)
            if (bar->plate[k]->level >= bar->plate[i]->level &&
                range_overlap(bar->plate[k]->range, bar->plate[i]->range))
                bar->plate[i]->level = bar->plate[k]->level + 1;
    qsort(bar->plate, bar->n, sizeof(struct plate *), by_address);
}

static size_t stem(const char *name)
{
    size_t n = strlen(name);

    while (n > 0 && isdigit((unsigned char)name[n - 1]))
        n--;
    return n;
}

static bool alike(const struct plate *a, const struct plate *b, enum strictness strictness)
{
    if (strictness == ANY)
        return true;
    if (a->kind != b->kind || a->active != b->active)
        return false;
    return strictness == SAME_KIND ||
           (stem(a->owner) == stem(b->owner) && strncmp(a->owner, b->owner, stem(b->owner)) == 0 &&
            strcmp(a->access, b->access) == 0);
}

/* Whether one plate can stand for all from `first` to `last`, which are neighbours of one level:
 * what lies beneath has no edge there, and nothing lies on them. */
static bool joinable(const struct bar *bar, const struct plate *first, const struct plate *last,
                     enum strictness strictness)
{
    struct range span = {first->range.first, last->range.last};

    for (size_t i = 0; i < bar->n && bar->plate[i]->range.first <= span.last; i++) {
        const struct plate *plate = bar->plate[i];

        if (plate->level == first->level || !range_overlap(plate->range, span))
            continue;
        if (plate->level > first->level ? strictness != ANY : !range_inside(span, plate->range))
            return false;
    }
    return true;
}

static bool covered(const struct bar *bar, const struct plate *plate)
{
    for (size_t i = 0; i < bar->n; i++)
        if (bar->plate[i]->level > plate->level &&
            range_overlap(bar->plate[i]->range, plate->range))
            return true;
    return false;
}

/* ---- a plate for several ---- */

static void take_member(struct plate *group, struct plate ***end, struct plate *plate)
{
    struct plate *members = plate->members;

    **end = members ? members : plate;
    for (struct plate *member = **end; member; member = member->next) {
        group->n_members++;
        *end = &member->next;
    }
    if (!members)
        return;
    plate->members = NULL;
    plate_free(plate);
}

static bool named_before(const struct plate *group, const struct plate *member)
{
    const struct plate *other = group->members;

    while (other != member && strcmp(other->owner, member->owner) != 0)
        other = other->next;
    return other != member;
}

/* What the members have in common, and their sums; a vdev's count is one, whatever it owns. */
static int sum_up(struct plate *group)
{
    const struct plate *first = group->members, *last = first;
    int n;

    group->kind = first->kind;
    group->cookie = 0;
    strcpy(group->access, first->access);
    group->active = first->active;
    group->each = range_length(first->range);
    for (const struct plate *m = first; m; m = m->next) {
        if (m->kind != group->kind)
            group->kind = KIND_MIXED;
        if (strcmp(m->access, group->access) != 0)
            group->access[0] = '\0';
        if (range_length(m->range) != group->each)
            group->each = 0;
        if (m->n_split > 0 && group->n_split == 0)
            group->split = m->split;
        group->n_split += m->n_split;
        group->active |= m->active;
        group->seen |= m->seen;
        if (m->range.last > group->range.last)
            group->range.last = m->range.last;
        if (m->number > group->number)
            group->number = m->number;
        if (m->counted && !named_before(group, m)) {
            group->counted = true;
            group->reads += m->reads;
            group->writes += m->writes;
        }
        last = m;
    }
    if (strcmp(first->owner, last->owner) == 0)
        n = asprintf(&group->owner, "%zu regions of %s", group->n_members, first->owner);
    else
        n = asprintf(&group->owner, "%zu regions: %s … %s", group->n_members, first->owner,
                     last->owner);
    if (n < 0)
        group->owner = NULL;
    return n < 0 ? -1 : 0;
}

/* Replaces plates[i] by one for it and all of its level up to plates[end], and what lies on them. */
static int join(struct bar *bar, size_t i, size_t end)
{
    struct plate *group = plate_new(), **tail, *plate;
    unsigned level = bar->plate[i]->level;

    if (!group)
        return -1;
    group->range = (struct range){bar->plate[i]->range.first, bar->plate[end]->range.last};
    group->level = level;
    tail = &group->members;
    for (size_t k = 0; k < bar->n; k++) {
        plate = bar->plate[k];
        if (!plate || plate->level < level || !range_overlap(plate->range, group->range))
            continue;
        bar->plate[k] = NULL;
        take_member(group, &tail, plate);
    }
    bar->plate[i] = group;
    return sum_up(group);
}

static void close_up(struct bar *bar)
{
    size_t n = 0;

    for (size_t i = 0; i < bar->n; i++)
        if (bar->plate[i])
            bar->plate[n++] = bar->plate[i];
    bar->n = n;
}

/* Runs of at least `least` and at most `most` plates of this level. */
static int join_level(struct bar *bar, unsigned level, enum strictness strictness, size_t least,
                      size_t most)
{
    for (size_t i = 0; i < bar->n; i++) {
        size_t end = i, run = 1;

        if (bar->plate[i]->level != level ||
            !joinable(bar, bar->plate[i], bar->plate[i], strictness))
            continue;
        for (size_t k = i + 1; k < bar->n && run < most; k++) {
            if (bar->plate[k]->level != level)
                continue;
            if (!alike(bar->plate[i], bar->plate[k], strictness) ||
                !joinable(bar, bar->plate[i], bar->plate[k], strictness))
                break;
            end = k;
            run++;
        }
        if (run < least &&
            !(strictness == ANY && bar->n > PICTURE_PLATES && covered(bar, bar->plate[i])))
            continue;
        if (join(bar, i, end))
            return -1;
        close_up(bar);
    }
    return 0;
}

static int join_all(struct bar *bar, enum strictness strictness, size_t least, size_t most)
{
    unsigned highest = 0;

    for (size_t i = 0; i < bar->n; i++)
        if (bar->plate[i]->level > highest)
            highest = bar->plate[i]->level;
    for (unsigned level = highest + 1; level-- > 0;)
        if ((strictness != ANY || bar->n > PICTURE_PLATES) &&
            join_level(bar, level, strictness, least, most))
            return -1;
    return 0;
}

int picture_group(struct bar *bar)
{
    size_t least, most;

    if (bar->n == 0)
        return 0;
    set_levels(bar);
    if (bar->n > PLATES_APART && join_all(bar, SAME_NAME, 3, SIZE_MAX))
        return -1;
    for (least = 16; bar->n > PICTURE_PLATES && least > 1; least /= 2) /* long runs first */
        if (join_all(bar, SAME_KIND, least, SIZE_MAX))
            return -1;
    /* Twice as many each time: at the latest, one plate is all of them. */
    for (most = bar->n / PICTURE_PLATES + 1; bar->n > PICTURE_PLATES; most *= 2)
        if (join_all(bar, ANY, 2, most))
            return -1;
    return 0;
}
