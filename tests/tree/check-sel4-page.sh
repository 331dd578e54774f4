#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each row of docs/sel4.md names tests that there are.
set -eu
# shellcheck disable=SC2154
cd "$top_srcdir"
echo 1..1
rows=0 bad=

# look 'FILE: TEST, ...': whether they are there. A case that is defined is also run, or the compiler complains.
look()
{
    name=$(echo "$1" | sed -n 's/^ *\([a-z0-9_]*\): .*/\1/p')
    case $name in
    cases_*) file=tests/conformance/$name.c before='static bool ' ;;
    *) file=tests/unit/$name.c before='START_TEST\(' ;;
    esac
    [ -e "$file" ] || { bad="$bad no test for:$call$1;"; return; }
    for test in $(echo "${1#*:}" | tr -d ','); do
        grep -qE "^$before$test\>" "$file" || bad="$bad no $test in $file;"
    done
}

while IFS='|' read -r _ call _ _ names _; do
    case $call in *---* | ' call ') continue ;; esac
    rows=$((rows + 1))
    while [ "${names#*;}" != "$names" ]; do
        look "${names%%;*}"
        names=${names#*;}
    done
    look "$names"
done <<ROWS
$(grep '^|' docs/sel4.md)
ROWS
if [ -z "$bad" ] && [ "$rows" -gt 20 ]; then
    echo "ok 1 - tests of docs/sel4.md"
else
    echo "# $rows rows$bad"
    echo "not ok 1 - tests of docs/sel4.md"
fi
