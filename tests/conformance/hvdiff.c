/* SPDX-License-Identifier: BSD-2-Clause */
/* hvdiff [--sim | --xen | --compare] [--seed S] [--count N] */
#include "tests/conformance/hvdiff.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUEST_LIFE = 400, /* operations on one guest; */
    DYING = 25,       /* after its end; */
    GONE = 15,        /* and when nothing is left of it */
    KEPT = 20,        /* lines told before a difference */
};

struct run {
    const struct fixture *fixture[2];
    unsigned n;
    bool print;
    uint64_t seed;
    unsigned long count;

    struct back_end b[2];
    struct model model;
    char kept[KEPT][LINE];
};

/* The lines alike come first, then the two that aren't. */
static bool compare(struct run *r)
{
    unsigned at = r->model.number % KEPT;

    if (r->print)
        puts(r->b[0].out.line);
    strcpy(r->kept[at], r->b[0].out.line);
    if (r->n == 1 || strcmp(r->b[0].out.line, r->b[1].out.line) == 0)
        return true;
    for (unsigned i = 1; i < KEPT; i++)
        if (r->kept[(at + i) % KEPT][0])
            printf("#   %s\n", r->kept[(at + i) % KEPT]);
    for (unsigned i = 0; i < 2; i++)
        printf("# %s: %s\n", r->fixture[i]->real ? "Xen" : "sim", r->b[i].out.line);
    return false;
}

static bool step(struct run *r, const struct op *op)
{
    for (unsigned i = 0; i < r->n; i++)
        execute(&r->b[i], op, &r->model);
    if (!compare(r))
        return false;
    learn(&r->model, op, &r->b[0].out);
    return true;
}

static bool steps(struct run *r, unsigned long n)
{
    static struct op op;

    for (unsigned long i = 0; i < n; i++) {
        generate(&r->model, &op);
        if (!step(r, &op))
            return false;
    }
    return true;
}

static bool one(struct run *r, enum kind kind)
{
    struct op op = {.kind = kind, .number = ++r->model.number, .first = r->model.number % 5};

    return step(r, &op);
}

static bool life(struct run *r, unsigned long n, bool running)
{
    model_reset(&r->model, running);
    if (!steps(r, n))
        return false;
    if (running)
        return true;
    if (r->model.number % 2 && !one(r, SHUT_DOWN))
        return false;
    return one(r, END) && steps(r, DYING) && one(r, RELEASE) && steps(r, GONE);
}

static int run(void *arg)
{
    struct run *r = arg;
    bool ok = true, running = false;

    r->model.random = r->seed * 2 + 1; /* never 0 */
    setvbuf(stdout, NULL, _IOLBF, 0);  /* where it is, should it hang */
    while (ok && r->model.number < r->count) {
        printf("# %u operations done; a guest that %s\n", r->model.number,
               running ? "runs" : "never runs");
        for (unsigned i = 0; i < r->n; i++) {
            r->b[i].fixture = r->fixture[i];
            if (!back_end_open(&r->b[i], running)) {
                perror("hvdiff: no guest");
                return EXIT_FAILURE;
            }
        }
        ok = life(r, GUEST_LIFE, running);
        for (unsigned i = 0; i < r->n; i++)
            back_end_close(&r->b[i]);
        running = !running; /* they take turns */
    }
    free(r->model.content);
    printf("%s - hvdiff: seed %llu, %u operations\n", ok ? "ok 1" : "not ok 1",
           (unsigned long long)r->seed, r->model.number);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void usage(void)
{
    fprintf(stderr, "usage: hvdiff [--sim | --xen | --compare] [--seed S] [--count N]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"sim", no_argument, NULL, 's'},         {"xen", no_argument, NULL, 'x'},
        {"compare", no_argument, NULL, 'c'},     {"seed", required_argument, NULL, 'S'},
        {"count", required_argument, NULL, 'N'}, {0},
    };
    static struct run r = {
        .fixture = {&fixture_xen, &fixture_sim}, .n = 2, .seed = 1, .count = 10000};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
        case 'x':
            r.fixture[0] = c == 's' ? &fixture_sim : &fixture_xen;
            r.n = 1;
            r.print = true;
            break;
        case 'c':
            break;
        case 'S':
            r.seed = strtoull(optarg, NULL, 0);
            break;
        case 'N':
            r.count = strtoul(optarg, NULL, 0);
            break;
        default:
            usage();
        }
    }
    if (optind < argc)
        usage();
    return r.fixture[0]->guard(run, &r);
}
