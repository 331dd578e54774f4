/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/guest_log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[1024];

__attribute__((format(printf, 3, 0))) static void keep(void *arg, enum guest_log_level level,
                                                       const char *format, va_list ap)
{
    size_t used;

    (void)arg;
    if (level > GUEST_LOG_WARN)
        return;
    pthread_mutex_lock(&log_lock);
    used = strlen(log_text);
    vsnprintf(log_text + used, sizeof(log_text) - used, format, ap);
    pthread_mutex_unlock(&log_lock);
}

bool guest_log_has(const char *text)
{
    bool has;

    pthread_mutex_lock(&log_lock);
    has = strstr(log_text, text);
    pthread_mutex_unlock(&log_lock);
    return has;
}

void guest_log_forget(void)
{
    pthread_mutex_lock(&log_lock);
    log_text[0] = '\0';
    pthread_mutex_unlock(&log_lock);
}

struct guest_options guest_options_with(const char *state_dir)
{
    guest_log_forget();
    return (struct guest_options){.size = sizeof(struct guest_options),
                                  .log = keep,
                                  .memory_limit = GUEST_SPACE,
                                  .state_dir = state_dir};
}
