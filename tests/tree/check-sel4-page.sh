#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each row of docs/sel4.md names tests that there are.
set -eu
# shellcheck disable=SC2154
cd "$top_srcdir"
echo 1..1
rows=0 bad=
while IFS='|' read -r _ call _ _ names _; do
    case $call in *---* | ' call ') continue ;; esac
    rows=$((rows + 1))
    file=tests/unit/$(echo "$names" | sed -n 's/^ *\(check_[a-z0-9_]*\): .*/\1/p').c
    [ -e "$file" ] || { bad="$bad no test for:$call$names;"; continue; }
    for test in $(echo "${names#*:}" | tr -d ','); do
        grep -qF "START_TEST($test)" "$file" || bad="$bad no $test in $file;"
    done
done <<ROWS
$(grep '^|' docs/sel4.md)
ROWS
if [ -z "$bad" ] && [ "$rows" -gt 20 ]; then
    echo "ok 1 - tests of docs/sel4.md"
else
    echo "# $rows rows$bad"
    echo "not ok 1 - tests of docs/sel4.md"
fi
