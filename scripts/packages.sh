# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What has to be on the machine, and installing it: compilers, -dev packages and QEMU. Sourced.
# shellcheck disable=SC2034   # used by those that source it

build_packages=(
    gcc clang libclang-rt-14-dev make autoconf automake libtool pkg-config perl xz-utils
    libc6-dev check libxen-dev liburcu-dev libbsd-dev libjson-c-dev
)
stage_packages=(cpio) # for what the Xen host gets of ours, this machine or an emulated one
host_packages=(qemu-system-x86)
bench_packages=(librust-vm-memory-dev) # whose figures stand beside ours
command -v cargo >/dev/null || bench_packages+=(cargo)

# Prints those of "$@" that are not installed.
missing_packages() {
    local package

    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

# need_packages ASK PACKAGE...: installs what is missing. ASK: "ask" or "yes".
need_packages() {
    local ask=$1 answer missing sudo=()
    shift

    if ! command -v apt-get >/dev/null; then
        echo "This is not Debian, so nothing was installed. Needed, under Debian 12's names:" >&2
        printf '  %s\n' "$@" >&2
        echo "Install what your distribution calls them; this goes on as if they were there." >&2
        return 0
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "Not installed yet: ${missing[*]}"
    if [ "$ask" = ask ]; then
        if ! [ -t 0 ]; then
            echo "Say --yes to have them installed." >&2
            return 1
        fi
        read -r -p "Install them with apt-get? [y/N] " answer
        [[ $answer == [yY]* ]] || return 1
    fi
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
