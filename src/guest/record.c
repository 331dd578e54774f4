/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of a guest under the state directory: "lock" and "ram". */
#include "guest/guest_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(const struct guest_system *gsp, const char *file, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", gsp->state_dir, file) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

/* Like mkdir -p for the last two parts: the state directory and the guest's own. */
static int make_dirs(const char *dir)
{
    char parent[PATH_MAX];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", dir);
    slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = '\0';
        if (mkdir(parent, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return mkdir(dir, 0750) < 0 && errno != EEXIST ? -1 : 0;
}

int record_lock(struct guest_system *gsp)
{
    char path[PATH_MAX];

    if (make_dirs(gsp->state_dir) < 0 || path_of(gsp, "lock", path) < 0)
        return -1;
    gsp->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (gsp->lock_fd < 0)
        return -1;
    if (flock(gsp->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    record_unlock(gsp);
    errno = EBUSY;
    return -1;
}

void record_unlock(struct guest_system *gsp)
{
    if (gsp->lock_fd >= 0)
        close(gsp->lock_fd);
    gsp->lock_fd = -1;
}

static void print_uuid(const uint8_t uuid[16], char text[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
}

static int keep(struct range **list, size_t *n, struct range range)
{
    struct range *more = realloc(*list, (*n + 1) * sizeof(*more));

    if (!more)
        return -1;
    *list = more;
    more[(*n)++] = range;
    return 0;
}

static const char *const run_name[] = {
    [RUN_PARKED] = "parked", [RUN_DEVICE] = "device", [RUN_ROM] = "rom"};
enum { RUN_KINDS = sizeof(run_name) / sizeof(run_name[0]) };

static int keep_run(struct gasp_kept *kept, struct gasp_run run)
{
    struct gasp_run *more = realloc(kept->run, (kept->n_run + 1) * sizeof(*more));

    if (!more)
        return -1;
    kept->run = more;
    more[kept->n_run++] = run;
    return 0;
}

/* Whether that is a run, the rest of whose line is read. 1: it is; 0; -1: no memory, or garbage. */
static int load_run(FILE *file, struct gasp_kept *kept, const char *what, struct range home)
{
    uint64_t at;

    for (unsigned kind = 0; kind < RUN_KINDS; kind++) {
        struct gasp_run run = {kind, home.first >> HV_PAGE_SHIFT, 0,
                               range_length(home) >> HV_PAGE_SHIFT};

        if (strcmp(what, run_name[kind]) != 0)
            continue;
        if (fscanf(file, "%" SCNx64 " ", &at) != 1)
            return fail(EINVAL);
        run.at = at >> HV_PAGE_SHIFT;
        return keep_run(kept, run) < 0 ? -1 : 1;
    }
    return 0;
}

/* "guest FIRST-LAST", the same with ram, window or parking; "parked FIRST-LAST PLACE", the same with
 * device or rom. */
static int load_ranges(FILE *file, struct gasp_kept *kept)
{
    struct range range;
    char what[16];

    while (fscanf(file, "%15s %" SCNx64 "-%" SCNx64 " ", what, &range.first, &range.last) == 3 &&
           range.first <= range.last) {
        int rc = load_run(file, kept, what, range);

        if (rc < 0)
            return errno == EINVAL ? 0 : -1;
        if (rc > 0)
            continue;
        if (strcmp(what, "window") == 0)
            kept->window = range;
        else if (strcmp(what, "parking") == 0)
            kept->parking = range;
        else if (strcmp(what, "guest") == 0 ? keep(&kept->guest, &kept->n_guest, range) < 0
                                            : keep(&kept->ram, &kept->n_ram, range) < 0)
            return -1;
    }
    return 0;
}

int record_load(struct guest_system *gsp, struct gasp_kept *kept_r)
{
    char path[PATH_MAX], uuid[33], seen[33];
    FILE *file;
    int rc = 0;

    *kept_r = (struct gasp_kept){0};
    if (path_of(gsp, "ram", path) < 0)
        return -1;
    file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -1;
    print_uuid(gsp->uuid, uuid);
    if (fscanf(file, "uuid %32s ", seen) == 1 && strcmp(seen, uuid) == 0)
        rc = load_ranges(file, kept_r);
    fclose(file);
    return rc;
}

static void print_range(FILE *file, const char *what, struct range range)
{
    if (range_there(range))
        fprintf(file, "%s %" PRIx64 "-%" PRIx64 "\n", what, range_arg(range));
}

static void print_run(void *file, struct gasp_run run)
{
    fprintf(file, "%s %" PRIx64 "-%" PRIx64 " %" PRIx64 "\n", run_name[run.what],
            run.home << HV_PAGE_SHIFT, ((run.home + run.n) << HV_PAGE_SHIFT) - 1,
            run.at << HV_PAGE_SHIFT);
}

int record_save(struct guest_system *gsp)
{
    const struct gasp *gasp = &gsp->gasp;
    char path[PATH_MAX], fresh[PATH_MAX], uuid[33];
    FILE *file;
    bool ok;

    if (!gsp->state_dir[0])
        return 0;
    if (path_of(gsp, "ram", path) < 0 || path_of(gsp, "ram.new", fresh) < 0)
        return -1;
    file = fopen(fresh, "we");
    if (!file)
        return -1;
    print_uuid(gsp->uuid, uuid);
    fprintf(file, "uuid %s\n", uuid);
    print_range(file, "window", gasp->window);
    print_range(file, "parking", gasp->parking);
    for (size_t i = 0; i < gasp->n_guest_ram; i++)
        print_range(file, "guest", gasp->guest_ram[i]);
    for (size_t i = 0; i < gasp->n_own_ram; i++)
        print_range(file, "ram", gasp->own_ram[i]);
    gasp_each_run(gasp, print_run, file);
    ok = !ferror(file);
    if (fclose(file) != 0 || !ok || rename(fresh, path) < 0) {
        unlink(fresh);
        return -1;
    }
    return 0;
}
