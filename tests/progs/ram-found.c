/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest is found to have as RAM:  ram-found DOMID STATE_DIR  prints "FIRST-LAST" a line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xengasp/gasp.h>
#include <xengasp/guest.h>

#define END (UINT64_C(5) << 30)
enum { PAGE = 4096 };

int main(int argc, char **argv)
{
    struct guest_options options = {.size = sizeof(options), .ram_only = true};
    struct qvm_state_block at = {.type = QST_MEMORY, .length = 1};
    struct guest_system *guest;
    struct gasp_region rgn;

    if (argc != 3)
        return 2;
    options.state_dir = argv[2];
    if (guest_open_xen(&guest, (uint32_t)strtoul(argv[1], NULL, 0), &options) < 0) {
        perror("ram-found");
        return 1;
    }
    while (at.location < END) {
        if (gasp_region_info(guest, &at, &rgn) != 0) {
            at.location += PAGE;
            continue;
        }
        at.location = rgn.guest.location + rgn.guest.length;
        if (rgn.flags & GRF_MEMORY)
            printf("%" PRIx64 "-%" PRIx64 "\n", rgn.guest.location, at.location - 1);
    }
    guest_close(guest);
    return 0;
}
