/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xenstore.h>

enum { STORE_PATH_MAX = 128, DOMID_LAST = 0x7fef /* above are Xen's special ones */ };

void log_path(char path[PATH_MAX], uint32_t domid, const char *name)
{
    if (strchr(name, '/'))
        snprintf(path, PATH_MAX, LOG_DIR "/%u.log", domid);
    else
        snprintf(path, PATH_MAX, LOG_DIR "/%s.log", name);
}

bool xen_here(void)
{
    return access("/dev/xen/privcmd", F_OK) == 0 || access("/proc/xen/privcmd", F_OK) == 0;
}

const char *run_dir(void)
{
    const char *dir = getenv("XENGASP_RUNDIR");

    return dir && *dir ? dir : "/run/xengasp";
}

void run_path(char path[PATH_MAX], uint32_t domid, const char *file)
{
    snprintf(path, PATH_MAX, "%s/%u%s%s", run_dir(), domid, *file ? "/" : "", file);
}

void run_remove(uint32_t domid)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir;
    int lock;

    run_path(path, domid, "lock");
    lock = open(path, O_RDWR | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB)) {
        close(lock);
        return;
    }
    run_path(path, domid, "");
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
    if (lock >= 0)
        close(lock);
}

int run_write_pid(const char *path)
{
    FILE *file = fopen(path, "we");
    bool ok;

    if (!file)
        return -1;
    ok = fprintf(file, "%d\n", (int)getpid()) > 0;
    return fclose(file) == 0 && ok ? 0 : -1;
}

pid_t run_read_pid(uint32_t domid)
{
    char path[PATH_MAX];
    FILE *file;
    int pid = 0;

    run_path(path, domid, "pid");
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid;
}

bool parse_domid(const char *text, uint32_t *domid_r)
{
    unsigned long value;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    value = strtoul(text, &end, 10);
    if (*end || value > DOMID_LAST)
        return false;
    *domid_r = (uint32_t)value;
    return true;
}

static char *store_name(struct xs_handle *xs, uint32_t domid)
{
    char path[STORE_PATH_MAX];
    unsigned length;

    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    return xs_read(xs, XBT_NULL, path, &length);
}

/* Goes through the names of all domains. */
static int find_name(struct xs_handle *xs, const char *text, uint32_t *domid_r, char **name_r)
{
    unsigned n = 0, i;
    char **domain = xs_directory(xs, XBT_NULL, "/local/domain", &n);

    if (!domain)
        return -1;
    *name_r = NULL;
    for (i = 0; i < n && !*name_r; i++) {
        if (!parse_domid(domain[i], domid_r))
            continue;
        *name_r = store_name(xs, *domid_r);
        if (*name_r && strcmp(*name_r, text) != 0) {
            free(*name_r);
            *name_r = NULL;
        }
    }
    free(domain);
    if (*name_r)
        return 0;
    errno = ESRCH;
    return -1;
}

int guest_find(const char *text, uint32_t *domid_r, char **name_r)
{
    struct xs_handle *xs = xs_open(0);
    int rc, saved;

    if (!xs)
        return -1;
    if (parse_domid(text, domid_r)) {
        *name_r = store_name(xs, *domid_r);
        rc = *name_r ? 0 : -1;
        if (rc && errno == ENOENT)
            errno = ESRCH;
    } else {
        rc = find_name(xs, text, domid_r, name_r);
    }
    saved = errno;
    xs_close(xs);
    errno = saved;
    return rc;
}

int guest_find_name(const char *name, uint32_t *domid_r)
{
    struct xs_handle *xs = xs_open(0);
    char *found = NULL;
    int rc, saved;

    if (!xs)
        return -1;
    rc = find_name(xs, name, domid_r, &found);
    saved = errno;
    free(found);
    xs_close(xs);
    errno = saved;
    return rc;
}

void run_sweep(void)
{
    struct xs_handle *xs = xs_open(0);
    DIR *dir = xs ? opendir(run_dir()) : NULL;
    struct dirent *entry;
    uint32_t domid;
    char *name;

    while (dir && (entry = readdir(dir))) {
        if (!parse_domid(entry->d_name, &domid))
            continue;
        name = store_name(xs, domid);
        if (!name && errno == ENOENT)
            run_remove(domid);
        free(name);
    }
    if (dir)
        closedir(dir);
    if (xs)
        xs_close(xs);
}

static void store_path(char path[STORE_PATH_MAX], uint32_t domid, const char *node)
{
    snprintf(path, STORE_PATH_MAX, "/local/domain/0/xengasp/%u%s", domid, node);
}

int store_publish(uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);
    char path[STORE_PATH_MAX], pid[16];
    bool ok;

    if (!xs)
        return -1;
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    store_path(path, domid, "/pid");
    ok = xs_write(xs, XBT_NULL, path, pid, (unsigned)strlen(pid));
    store_path(path, domid, "/state");
    ok = ok && xs_write(xs, XBT_NULL, path, "running", strlen("running"));
    xs_close(xs);
    return ok ? 0 : -1;
}

void store_withdraw(uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);
    char path[STORE_PATH_MAX];

    if (!xs)
        return;
    store_path(path, domid, "");
    xs_rm(xs, XBT_NULL, path);
    xs_close(xs);
}

bool store_is_running(uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);
    char path[STORE_PATH_MAX], *state = NULL;
    unsigned length;
    bool running;

    store_path(path, domid, "/state");
    if (xs)
        state = xs_read(xs, XBT_NULL, path, &length);
    running = state && strcmp(state, "running") == 0;
    free(state);
    if (xs)
        xs_close(xs);
    return running;
}
