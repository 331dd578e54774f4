/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening the port over Xen: the cases that only a real Xen has. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_domain(uint32_t domid, const struct hv_logger *logger)
{
    struct hv *hv;

    if (hv_xen_open(&hv, domid, logger) < 0)
        return -1;
    hv->ops->close(hv);
    return 0;
}

static bool no_such_domain(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_FAILS(open_domain(g->domid + 1, NULL), ESRCH);
    CHECK_FAILS(open_domain(0x7fef, NULL), ESRCH);
    CHECK_FAILS(open_domain(0x7ff0, NULL), ESRCH); /* Xen's own numbers begin */
    CHECK_FAILS(open_domain(g->domid + 0x10000, NULL), ESRCH);
    CHECK_FAILS(open_domain(UINT32_MAX, NULL), ESRCH);
    /* Asked for a number that is free Xen tells of the next domain. It is free unless somebody else
     * has a guest. */
    if (g->domid > 1 && open_domain(g->domid - 1, NULL) < 0)
        CHECK_EQUAL(errno, ESRCH);
    return true;
}

static bool opened_twice(struct guest *g, const struct fixture *f)
{
    (void)f;
    CHECK_OK(open_domain(g->domid, NULL));
    CHECK_EQUAL(charged(g), 0);
    return true;
}

static bool pv_guest(struct guest *g, const struct fixture *f)
{
    FILE *file = fopen("/sys/hypervisor/guest_type", "re");
    char type[8] = "";
    bool pv = file && fgets(type, sizeof(type), file) && strcmp(type, "PV\n") == 0;

    (void)g;
    (void)f;
    if (file)
        fclose(file);
    if (pv) /* dom0 itself, then */
        CHECK_FAILS(open_domain(0, NULL), ENOTSUP);
    return true;
}

static void count_lines(void *arg, int level, const char *format, va_list ap)
{
    (void)level;
    (void)format;
    (void)ap;
    ++*(unsigned *)arg;
}

/* In a process of its own, which gives up being root. */
static bool without_privilege(struct guest *g, const struct fixture *f)
{
    unsigned lines = 0;
    struct hv_logger logger = {.log = count_lines, .arg = &lines};
    pid_t pid = fork();
    int status;

    (void)f;
    CHECK(pid >= 0);
    if (pid == 0) {
        if (seteuid(65534) < 0)
            _exit(2);
        _exit(open_domain(g->domid, &logger) < 0 && errno == EACCES && lines > 0 ? 0 : 1);
    }
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK_EQUAL(status, 0);
    return true;
}

const struct conformance_case open_cases[] = {
    {"no such domain", no_such_domain, {0}},
    {"a guest opened twice", opened_twice, {0}},
    {"a PV guest is not supported", pv_guest, {0}},
    {"no privilege, and the library's words reach the log", without_privilege, {0}},
    {NULL, NULL, {0}},
};
