/* SPDX-License-Identifier: BSD-2-Clause */
/* How the fixtures open a guest: with options that keep what is logged. */
#ifndef XENGASP_CONFORMANCE_GUEST_LOG_H
#define XENGASP_CONFORMANCE_GUEST_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <xengasp/guest.h>

#define GUEST_SPACE (UINT64_C(1) << 36) /* bytes; under ThreadSanitizer there isn't more */

/* The log is empty then. */
struct guest_options guest_options_with(const char *state_dir);

/* Warnings and errors since guest_log_forget, as far as they fit. */
bool guest_log_has(const char *text);
void guest_log_forget(void);

#endif
