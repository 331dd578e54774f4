#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes configure from a checkout. A tarball has it already.
set -eu
cd "$(dirname "$0")"
mkdir -p build-aux m4
autoreconf --install --force --warnings=all
