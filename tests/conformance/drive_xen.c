/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/drive_xen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <xen/hvm/save.h>

/*
 * 32-bit code for an unpaged processor, at guest address 0; ebx points to the vCPU's mailbox. The
 * routines are 8 bytes each: reads before writes, ports before memory, small before large.
 */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        ".code32\n"
        "drive_code:\n"
        "1: pause\n"
        "   cmpl $0, (%ebx)\n"
        "   je 1b\n"
        "   movl 8(%ebx), %edx\n"
        "   movl 12(%ebx), %eax\n"
        "   call *4(%ebx)\n"
        "   movl %eax, 16(%ebx)\n"
        "   movl $0, (%ebx)\n"
        "   jmp 1b\n"
        ".balign 8\n"
        "drive_routines:\n"
        "   inb (%dx), %al\n   ret\n .balign 8\n"
        "   inw (%dx), %ax\n   ret\n .balign 8\n"
        "   inl (%dx), %eax\n  ret\n .balign 8\n"
        "   movb (%edx), %al\n ret\n .balign 8\n"
        "   movw (%edx), %ax\n ret\n .balign 8\n"
        "   movl (%edx), %eax\n ret\n .balign 8\n"
        "   outb %al, (%dx)\n  ret\n .balign 8\n"
        "   outw %ax, (%dx)\n  ret\n .balign 8\n"
        "   outl %eax, (%dx)\n ret\n .balign 8\n"
        "   movb %al, (%edx)\n ret\n .balign 8\n"
        "   movw %ax, (%edx)\n ret\n .balign 8\n"
        "   movl %eax, (%edx)\n ret\n .balign 8\n"
        "drive_end:\n"
        ".code64\n"
        ".popsection\n");

extern const uint8_t drive_code[], drive_routines[], drive_end[];

struct mailbox {
    uint32_t go; /* set by us, cleared by the vCPU when it is done */
    uint32_t routine, addr, value, result;
};

enum { STACK_BYTES = 256 };

struct driver {
    uint8_t *page; /* the two: code and stacks, mailboxes */
};

static volatile struct mailbox *mailbox(struct guest *g, unsigned vcpu)
{
    return (volatile struct mailbox *)(g->driver->page + HV_PAGE_SIZE) + vcpu;
}

#define DESCRIBE(type, i)                                                                          \
    {                                                                                              \
        .typecode = HVM_SAVE_CODE(type), .instance = (i), .length = HVM_SAVE_LENGTH(type)          \
    }

/* Xen takes nothing without the header that it gave out itself. */
static int get_header(struct guest *g, xc_interface *xch, void *header, size_t size)
{
    int n = xc_domain_hvm_getcontext(xch, g->domid, NULL, 0);
    uint8_t *all = n > 0 ? calloc(1, n) : NULL;
    int rc = -1;

    if (all && (size_t)n >= size && xc_domain_hvm_getcontext(xch, g->domid, all, n) > 0) {
        memcpy(header, all, size);
        rc = 0;
    }
    free(all);
    return rc;
}

static int set_up_vcpus(struct guest *g, xc_interface *xch)
{
    struct {
        struct {
            struct hvm_save_descriptor d;
            HVM_SAVE_TYPE(HEADER) header;
        } head;
        struct {
            struct hvm_save_descriptor d;
            HVM_SAVE_TYPE(CPU) cpu;
        } vcpu[DRIVEN_VCPUS];
        struct hvm_save_descriptor end; /* followed by nothing */
    } context = {.end = DESCRIBE(END, 0)};

    if (get_header(g, xch, &context.head, sizeof(context.head)) < 0)
        return -1;
    for (unsigned i = 0; i < DRIVEN_VCPUS; i++) {
        context.vcpu[i].d = (struct hvm_save_descriptor)DESCRIBE(CPU, i);
        context.vcpu[i].cpu = (HVM_SAVE_TYPE(CPU)){
            .rbx = HV_PAGE_SIZE + i * sizeof(struct mailbox),
            .rsp = HV_PAGE_SIZE - i * STACK_BYTES,
            .cr0 = 0x11, /* protected mode, 387 */
            .dr6 = 0xffff0ff0,
            .dr7 = 0x400,
            .cs_limit = ~0u,
            .ds_limit = ~0u,
            .es_limit = ~0u,
            .ss_limit = ~0u,
            .tr_limit = 0x67,
            .cs_arbytes = 0xc9b, /* flat, 32 bits */
            .ds_arbytes = 0xc93,
            .es_arbytes = 0xc93,
            .ss_arbytes = 0xc93,
            .tr_arbytes = 0x8b,
        };
    }
    return xc_domain_hvm_setcontext(xch, g->domid, (uint8_t *)&context, sizeof(context));
}

int drive_open(struct guest *g, xc_interface *xch, bool has_ram)
{
    const uint64_t gfn[DRIVEN_PAGES] = {0, 1};
    int err[DRIVEN_PAGES] = {0, 0};
    void *at;

    g->driver = calloc(1, sizeof(*g->driver));
    at = mmap(NULL, DRIVEN_PAGES * HV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!g->driver || at == MAP_FAILED)
        return -1;
    g->driver->page = at;
    if ((!has_ram && g->hv->ops->populate(g->hv, HV_ORDER_4K, DRIVEN_PAGES, gfn) != DRIVEN_PAGES) ||
        g->hv->ops->map(g->hv, at, PROT_READ | PROT_WRITE, DRIVEN_PAGES, gfn, err) < 0 || err[0] ||
        err[1])
        return -1;
    memset(at, 0, DRIVEN_PAGES * HV_PAGE_SIZE);
    memcpy(at, drive_code, drive_end - drive_code);
    if (set_up_vcpus(g, xch) < 0)
        return -1;
    return has_ram ? 0 : g->hv->ops->unpause(g->hv);
}

void drive_close(struct guest *g)
{
    if (!g->driver)
        return;
    if (g->driver->page)
        munmap(g->driver->page, DRIVEN_PAGES * HV_PAGE_SIZE);
    free(g->driver);
    g->driver = NULL;
}

int drive_start(struct guest *g, unsigned vcpu, const struct access *a)
{
    volatile struct mailbox *box = mailbox(g, vcpu);
    unsigned routine = (a->write ? 6 : 0) + (a->type == HV_RANGE_MEMORY ? 3 : 0) +
                       (a->size == 4 ? 2 : a->size - 1);

    box->routine = drive_routines - drive_code + 8 * routine;
    box->addr = a->addr;
    box->value = a->write ? a->value : 0;
    __atomic_store_n(&box->go, 1, __ATOMIC_RELEASE);
    return 0;
}

int drive_wait(struct guest *g, unsigned vcpu, int ms, uint32_t *value_r)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    volatile struct mailbox *box = mailbox(g, vcpu);
    struct hv_info info;

    for (; __atomic_load_n(&box->go, __ATOMIC_ACQUIRE) != 0; ms--) {
        if (g->hv->ops->info(g->hv, &info) < 0 || info.shutdown || info.dying) {
            errno = EIO;
            return -1;
        }
        if (ms <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    *value_r = box->result;
    return 0;
}
