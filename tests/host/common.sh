# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# shellcheck disable=SC2034   # set here, used by those that source it
#
# Sourced by the scripts of tests/host that run on the machine.

HOST_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/xengasp

die() { echo "${0##*/}: $*" >&2; exit 1; }
note() { echo "${0##*/}: $*" >&2; }

# need COMMAND=PACKAGE...: every missing command is named with the package that has it.
need()
{
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -eq 0 ] || die "missing here; run: apt-get install ${missing[*]}"
}

# Packs a tree to be laid over dom0's root. The root's own links to directories stay: as an entry
# of its own, a directory of that name would replace the link.
pack()      # DIR
{
    (cd "$1" && find . -mindepth 1 ! -path ./lib ! -path ./lib64 ! -path ./var/run |
        cpio -o -H newc -R 0:0 --quiet)
}

# dom0's initramfs: the base, the staged trees, the tests themselves; the later over the earlier.
make_initramfs()    # IMAGE WORK STAGE...
{
    local image=$1 work=$2 overlay=$2/overlay dir
    shift 2
    mkdir -p "$overlay/usr/lib/xengasp-test"
    cp "$HOST_DIR/dom0/init" "$overlay/"
    chmod 755 "$overlay/init"
    cp -r "$HOST_DIR"/{tests,lib.sh,dom0/runner} "$overlay/usr/lib/xengasp-test/"
    cat "$image/base.cpio" > "$work/dom0.cpio"
    for dir in "$@" "$overlay"; do
        pack "$dir" >> "$work/dom0.cpio"
    done
}

# KVM only where it nests: Xen needs the processor's virtualization for its guests.
can_nest()
{
    [ -r /dev/kvm ] && [ -w /dev/kvm ] && grep -qE '^flags.*\b(svm|vmx)\b' /proc/cpuinfo &&
        grep -qsE '^(1|Y)$' /sys/module/kvm_{intel,amd}/parameters/nested
}

# Sets `machine`, the command that boots the host; XENGASP_ACCEL=tcg|kvm overrides the choice.
machine_command()   # IMAGE WORK RESULTS
{
    local accel=${XENGASP_ACCEL:-} xen_options
    xen_options="console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all conring_size=4M"
    xen_options+=" dom0_mem=1280M,max:1280M dom0_max_vcpus=2 console_timestamps=boot"
    [ -n "$accel" ] || { can_nest && accel=kvm || accel=tcg; }
    case $accel in
    kvm) accel=(-accel kvm -cpu host) ;;
    *)   accel=(-accel "tcg,thread=multi" -cpu "qemu64,+svm,+npt,+rdrand") ;;
    esac
    # shellcheck disable=SC2054   # the commas are QEMU's
    machine=(qemu-system-x86_64 -machine q35 "${accel[@]}" -m 3072 -smp 2
        -nodefaults -display none -no-reboot
        -fsdev "local,id=results,security_model=none,path=${3//,/,,}"
        -device virtio-9p-pci,fsdev=results,mount_tag=results
        -kernel "$1/xen" -initrd "$1/vmlinuz console=hvc0 loglevel=4 panic=1,$2/dom0.cpio"
        -append "$xen_options")
}
