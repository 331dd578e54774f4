/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xengasp/sim.h>

#include "tests/unit/guest_fixture.h"

struct guest_system *gsp;
char log_text[16384];

__attribute__((format(printf, 3, 0))) static void log_to_text(void *arg, enum guest_log_level level,
                                                              const char *format, va_list ap)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    size_t used;

    (void)arg;
    (void)level;
    pthread_mutex_lock(&lock);
    used = strlen(log_text);
    vsnprintf(log_text + used, sizeof(log_text) - used, format, ap);
    strncat(log_text, "\n", sizeof(log_text) - strlen(log_text) - 1);
    pthread_mutex_unlock(&lock);
}

struct guest_options options = {
    .size = sizeof(options), .log = log_to_text, .memory_limit = UINT64_C(1) << 36};

void open_guest(unsigned vcpus, bool hvm)
{
    struct sim_options sim = {.size = sizeof(sim), .vcpus = vcpus, .hvm = hvm};

    log_text[0] = '\0';
    ck_assert_int_eq(guest_open_sim(&gsp, &sim, &options), 0);
}

void add(const char *spec)
{
    ck_assert_msg(guest_add_vdev(gsp, spec) == 0, "%s: %s: %s", spec, strerror(errno), log_text);
}

void configured(void)
{
    uint64_t value;

    ck_assert_msg(guest_configured(gsp) == 0, "%s: %s", strerror(errno), log_text);
    sim_read(gsp, 0, QST_MEMORY, 0, 1, &value); /* the guest runs from here */
}

void tear_down(void)
{
    guest_close(gsp);
    gsp = NULL;
    options.poll_us = 0;
    options.unsupported = GUEST_UNSUPPORTED_IGNORE;
}

uint64_t rd(unsigned type, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    ck_assert_msg(sim_read(gsp, 0, type, addr, size, &value) == 0, "read: %s", strerror(errno));
    return value;
}

void wr(unsigned type, uint64_t addr, unsigned size, uint64_t value)
{
    ck_assert_msg(sim_write(gsp, 0, type, addr, size, value) == 0, "write: %s", strerror(errno));
}
