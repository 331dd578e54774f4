/* SPDX-License-Identifier: BSD-2-Clause */
/* The test kernel: what its parts offer each other. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* print.c: one line of at most 120 characters in Xen's log, begun with "GUEST: ". Understands
 * %s %c %u %lu %x %lx (hexadecimal always with 0x) and %.*s. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* params.c: the parameters are words. "key=value" is a setting; a word with an @ is an access. */
uint64_t param_number(const char *key, uint64_t otherwise);
bool param_pair(const char *key, uint64_t *first, uint64_t *second); /* key=A,B */
bool param_is(const char *key, const char *value);
const char *param_text(const char *key, size_t *length);
const char *next_access(const char *after, size_t *length); /* NULL begins, NULL ends */
bool parse_number(const char **text, const char *end, uint64_t *value);

/* cpu.c: interrupts and the other vCPUs. */
void cpu_setup(void);
void start_other_cpus(unsigned cpus, void (*work)(unsigned cpu));
void wait_for_other_cpus(void);
void ap_main(unsigned cpu) __attribute__((noreturn));
unsigned interrupt_count(unsigned vector);
void say_interrupts(void); /* which were taken; whoever sent none may wonder */

/* paging.c: makes an address beyond the first 4 GiB reachable; those below always are. */
void reach(uint64_t first, uint64_t size);

/* xen.c */
void hypercalls_setup(void);
void shut_down(void) __attribute__((noreturn));

/* The ways to run; each returns how many answers were wrong. */
uint64_t run_selfcheck(void);
uint64_t run_list(void);
uint64_t run_mixed(void);
uint64_t run_bench(void);
uint64_t run_hammer(void);
uint64_t run_rewrite(void);
uint64_t run_spin(void);

#endif
