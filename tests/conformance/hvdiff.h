/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A differential fuzzer of the hypervisor port: random operations, made from a seed, are run on
 * back ends (real Xen and the simulator) and what comes of each is written as one line of text, the
 * same on both or there is a bug.
 */
#ifndef XENGASP_CONFORMANCE_HVDIFF_H
#define XENGASP_CONFORMANCE_HVDIFF_H

#include "tests/conformance/fixture.h"

enum {
    REGION = 2048, /* frames in a row, at 0 and at 4 GiB */
    SPARSE = 64,   /* and single ones that want a page table each */
    FRAMES = 2 * REGION + SPARSE,
    WINDOW = 2048,  /* pages of address space to map to */
    MAX_LIST = 600, /* frames of one operation */
    SPOTS = 2,      /* places in a page that are written and read */
    PAGES = 4,      /* mappings of ioreq pages at a time */
    HANDLES = 2,    /* of events */
    PORTS = 16,     /* bindings of one handle at a time */
    ATTENDED = 4,   /* servers that are answered for at a time */
    LINE = 600,
};

enum kind {
    POPULATE,
    POPULATE_2M,
    DEPOPULATE,
    DEPOPULATE_2M,
    POPULATE_ABSURD,
    RELOCATE,
    SET_TYPE,
    MAP,
    MAP_ASIDE,
    UNMAP,
    WRITE,
    READ,
    SET_MAX,
    SET_POOL,
    PAUSE,
    UNPAUSE,
    MODIFIED,
    BOOT_INFO,
    SHUT_DOWN,
    CREATE,
    DESTROY,
    ENABLE,
    EXISTS,
    MAP_RANGE,
    UNMAP_RANGE,
    COMB,
    PAGE_MAP,
    PAGE_UNMAP,
    PAGE_POKE,
    PAGE_PEEK,
    BIND,
    UNBIND,
    DRAIN,
    UNMASK,
    NOTIFY,
    ATTEND, /* these on a running guest: a server that is always answered for comes, */
    LEAVE,  /* goes, */
    TURN,   /* is enabled or disabled, */
    TRAP,   /* gets a range or gives it up; */
    ACCESS, /* and a vCPU makes an access */
    END,
    RELEASE, /* of the guest; of all that is mapped of it */
    KINDS
};

struct op {
    enum kind kind;
    unsigned number; /* of the operation: what is written where something is */
    unsigned at, spot, slot, handle;
    int prot;
    unsigned server;
    enum hv_range_type type;
    uint64_t first, last; /* a range; a value to set; the first frame (index) to move to */
    bool on;
    size_t n;
    unsigned frame[MAX_LIST]; /* index into the frames above */
};

/* What an operation gave back, beside its line of text. */
struct outcome {
    long rc;
    int err[MAX_LIST];
    bool copied; /* READ, WRITE: the page was there */
    char line[LINE];
};

struct attended {
    unsigned server;
    struct ioreq_page *page; /* NULL: no server */
    int port[DRIVEN_VCPUS];
};

struct back_end {
    const struct fixture *fixture;
    struct guest guest;
    uint8_t *window;
    struct ioreq_page *page[PAGES];
    struct hv_events *ev[HANDLES];
    int port[HANDLES][PORTS]; /* 0: none */
    struct attended attended[ATTENDED];
    int pipe[2];
    struct outcome out;
};

/* What the generator knows of the guest, so that its operations hit something. */
struct page_content {
    bool known[SPOTS];
    uint64_t value[SPOTS];
};

enum frame_type { WRITABLE, READ_ONLY, UNSURE };

struct model {
    uint64_t random;
    unsigned number;
    bool running, dying;
    unsigned pauses;
    unsigned frame[FRAMES];  /* page that lies there; 0: none */
    uint8_t type[FRAMES];    /* whether the guest may write it; */
    unsigned window[WINDOW]; /* page that is mapped there; 0: none */
    unsigned nr_pages;       /* pages there have been: they are numbered from 1 */
    struct page_content *content;
    bool page[PAGES];
    unsigned events[HANDLES]; /* that are to come */
};

uint64_t frame_gfn(unsigned frame);

bool back_end_open(struct back_end *b, bool running); /* with a fresh guest */
void back_end_close(struct back_end *b);
/* Runs it and sets b->out. */
void execute(struct back_end *b, const struct op *op, const struct model *m);

void execute_running(struct back_end *b, const struct op *op, const struct model *m);
/* Adds to the line. */
void say(struct outcome *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

void model_reset(struct model *m, bool running);
void generate(struct model *m, struct op *op);
/* Takes the outcome over into the model. */
void learn(struct model *m, const struct op *op, const struct outcome *out);
unsigned below(struct model *m, unsigned n); /* a random number */
void generate_running(struct model *m, struct op *op);
void choose_running_frames(struct model *m, struct op *op);
void learn_access(struct model *m, const struct op *op);

#endif
