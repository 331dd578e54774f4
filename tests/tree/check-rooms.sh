#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The rooms of src/ include each other in one direction only, and Xen's headers only where they may.
set -eu
# shellcheck disable=SC2154
cd "$top_srcdir/src"
echo 1..2
bad=
# ROOM MAY-INCLUDE...
while read -r room may; do
    for other in space hv ram gasp ioreq vdev guest daemon cli; do
        case " $room $may " in *" $other "*) continue ;; esac
        bad="$bad$(grep -l "#include \"$other/" "$room"/*.c "$room"/*.h 2>/dev/null | sed "s|\$| includes $other/; |")"
    done
done <<ROOMS
space
hv
ram space hv
gasp ram space hv
vdev gasp ram space hv
ioreq vdev gasp ram space hv
guest ioreq vdev gasp ram space hv
daemon guest space
cli daemon guest space
ROOMS
if [ -z "$bad" ]; then echo "ok 1 - rooms"; else echo "# $bad"; echo "not ok 1 - rooms"; fi
bad=$(grep -lE '#include <(xenctrl|xendevicemodel|xenforeignmemory|xenevtchn|xen/)' -r . |
    grep -vE '^\./hv/xen' || true)
if [ -z "$bad" ]; then echo "ok 2 - Xen's headers"; else echo "# $bad"; echo "not ok 2 - Xen's headers"; fi
