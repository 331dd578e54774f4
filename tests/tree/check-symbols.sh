#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The shared library exports what the public headers declare, no more and no less.
set -eu
# shellcheck disable=SC2154
lib=$top_builddir/.libs/libxengasp.so
[ -e "$lib" ] || { echo "1..0 # SKIP no shared library was built"; exit 0; }
cat "$top_srcdir"/include/xengasp/*.h | grep -v '^#define' | tr '\n' ' ' | grep -o 'XENGASP_API [^;(]*(' |
    sed 's/ *($//; s/.*[ *]//' | sort -u > declared.$$
nm -D --defined-only "$lib" | awk '$2 == "T" { sub("@.*", "", $3); print $3 }' | sort -u > exported.$$
echo 1..1
if diff -u declared.$$ exported.$$ > diff.$$ && [ -s declared.$$ ]; then
    echo "ok 1 - headers and exported symbols agree"
else
    sed 's/^/# /' diff.$$
    echo "not ok 1 - headers and exported symbols agree"
fi
rm -f declared.$$ exported.$$ diff.$$
