# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests of the programs: TAP output, and comparing what a program does with what it should.
xengasp=$top_builddir/src/cli/xengasp
xengaspd=$top_builddir/src/daemon/xengaspd
work=$(mktemp -d)
chmod 755 "$work"
at_end() { :; }
trap 'at_end; rm -rf "$work"' EXIT
trap 'exit 143' INT TERM
tests=0

ok() { tests=$((tests + 1)); echo "ok $tests - $1"; }
not_ok() { tests=$((tests + 1)); echo "not ok $tests - $1"; }
skip() { tests=$((tests + 1)); echo "ok $tests - $1 # SKIP $2"; }
finish() { echo "1..$tests"; }

# expect NAME COMMAND...: the command must succeed.
expect()
{
    what=$1
    shift
    if "$@"; then ok "$what"; else not_ok "$what"; fi
}

# says NAME STATUS TEXT COMMAND...: the command must end with this status, and what it prints must be
# TEXT, a shell pattern.
says()
{
    what=$1 status=$2 text=$3
    shift 3
    out=$("$@" 2>&1 < /dev/null)
    got=$?
    # shellcheck disable=SC2254
    case $out in $text) matches=yes ;; *) matches=no ;; esac
    if [ "$got" = "$status" ] && [ $matches = yes ]; then
        ok "$what"
    else
        not_ok "$what"
        echo "# exit status $got, expected $status; it printed:"
        printf '%s\n' "$out" | sed 's/^/#   /'
    fi
}
