#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What the VMM of tests/progs/sel4-vmm shares with libsel4vm uses libsel4vm's names and nothing else of ours.
set -eu
# shellcheck disable=SC2154
cd "$top_srcdir"
sources='tests/progs/sel4-vmm/image.h tests/progs/sel4-vmm/image.c tests/progs/sel4-vmm/boot.h tests/progs/sel4-vmm/boot.c'
sel4='vm_guest_ram_read_callback vm_guest_ram_write_callback vm_ram_allocate vm_ram_find_largest_free_region vm_ram_free
vm_ram_mark_allocated vm_ram_register vm_ram_register_at vm_ram_touch'
# shellcheck disable=SC2154
objects=$(find "$top_builddir/tests/progs/sel4-vmm" -name '*-image.o' -o -name '*-boot.o')
[ -n "$objects" ] || { echo "1..0 # SKIP the VMM wasn't built"; exit 0; }
echo 1..2
# shellcheck disable=SC2086
bad=$(grep -H '#include' $sources | grep -vE '<(elf|errno|stdbool|stddef|string|unistd|sys/stat)\.h>|<sel4vm/guest_ram\.h>|"(image|boot)\.h"' || true)
if [ -z "$bad" ]; then echo "ok 1 - headers"; else echo "# $bad"; echo "not ok 1 - headers"; fi
# shellcheck disable=SC2086
used=$(nm -u $objects | awk '$1 == "U" { print $2 }' | sort -u)
used_sel4=0 bad=
for name in $(cat include/xengasp/*.h | grep -v '^#define' | tr '\n' ' ' | grep -o 'XENGASP_API [^;(]*(' | sed 's/ *($//; s/.*[ *]//'); do
    echo "$used" | grep -qx "$name" || continue
    if echo "$sel4" | grep -qw "$name"; then used_sel4=$((used_sel4 + 1)); else bad="$bad $name"; fi
done
if [ -z "$bad" ] && [ $used_sel4 -ge 6 ]; then
    echo "ok 2 - names"
else
    echo "# $used_sel4 of libsel4vm; not of it:$bad"
    echo "not ok 2 - names"
fi
