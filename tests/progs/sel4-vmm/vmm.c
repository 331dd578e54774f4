/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm.h"

#include <errno.h>
#include <xengasp/gasp.h>

#include "tests/guests/stub/mailbox.h"

static int fail(int error)
{
    errno = error;
    return -1;
}

static int end_of_ram(struct guest_system *guest, uintptr_t *end_r)
{
    const struct qvm_state_block at = {.location = 0, .type = QST_MEMORY};
    struct gasp_region region;
    int error = gasp_region_info(guest, &at, &region);

    if (error)
        return fail(error);
    *end_r = region.guest.location + region.guest.length;
    return 0;
}

int vmm_boot(struct guest_system *guest, struct boot_input *input, struct boot_result *result_r)
{
    uint32_t word;

    if (vm_ram_load32(guest, STUB_MAILBOX, &word) < 0 || word != STUB_WAITS)
        return fail(ENOTSUP);
    if (end_of_ram(guest, &input->ram) < 0 || boot_load(guest, input, result_r) < 0)
        return -1;
    if (result_r->kernel.first < STUB_END)
        return fail(EADDRINUSE);
    if (result_r->start_info > UINT32_MAX)
        return fail(EOVERFLOW);
    /* Puts the RAM into the guest's memory map, which the stub gives to the kernel. */
    if (guest_configured(guest) < 0)
        return -1;
    if (vm_ram_store32(guest, STUB_MAILBOX + 4, result_r->kernel.entry) < 0 ||
        vm_ram_store32(guest, STUB_MAILBOX + 8, (uint32_t)result_r->start_info) < 0)
        return -1;
    return vm_ram_store32(guest, STUB_MAILBOX, STUB_GO);
}
