# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Sourced by the tests of the Xen host; they run in dom0 under busybox sh or any other.
# A test's directory for files to bring back is $RESULTS.

TEST_DIR=${TEST_DIR:-/usr/lib/xengasp-test}
RESULTS=${RESULTS:-/tmp}
# shellcheck disable=SC2034
GUESTS=$TEST_DIR/guests

fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "$*"; exit 77; }

# Files of the test that nobody wants back.
SCRATCH=$(mktemp -d) || exit 1

# Ends every domain that a test has made; nothing else is touched. A test that needs more at its
# end defines at_end.
at_end() { :; }
cleanup()
{
    at_end
    for d in $(xl list 2>/dev/null | awk '/^xengasp-test-/ { print $1 }'); do
        xl destroy "$d" 2>/dev/null
    done
    rm -rf "$SCRATCH"
}
trap cleanup EXIT
trap 'exit 143' INT TERM

# wait_for SECONDS COMMAND...: until the command succeeds; fails when it never does.
wait_for()
{
    wait_until=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$wait_until" ] || return 1
        sleep 0.3
    done
}

# What Xen has logged since dmesg_mark.
dmesg_mark() { dmesg_lines=$(xl dmesg | wc -l); }
dmesg_since() { xl dmesg | tail -n +$((${dmesg_lines:-0} + 1)); }
dmesg_has() { dmesg_since | grep -q -e "$1"; }

# guest_config NAME LINE...: writes a guest's configuration and prints the file's name. The domain
# is called xengasp-test-NAME; it isn't started again when it ends.
guest_config()
{
    config=$SCRATCH/$1.cfg
    echo "name = \"xengasp-test-$1\"" > "$config"
    shift
    for key in on_poweroff on_reboot on_crash; do
        case " $*" in *"$key"*) ;; *) echo "$key = \"destroy\"" >> "$config" ;; esac
    done
    # Without it xl overlooks vm.cpumask of xl.conf.
    case " $*" in *vcpus*) ;; *) echo 'vcpus = 1' >> "$config" ;; esac
    printf '%s\n' "$@" >> "$config"
    echo "$config"
}

# guest_start NAME LINE...: starts a guest and sets DOMID. XL_OPTIONS="-p" leaves it paused.
guest_start()
{
    dmesg_mark
    guest_name=$1
    # shellcheck disable=SC2086
    xl create -q ${XL_OPTIONS:-} "$(guest_config "$@")" || fail "xl create failed"
    # shellcheck disable=SC2034
    DOMID=$(xl domid "xengasp-test-$1" 2>/dev/null) || DOMID=
}

# test_kernel NAME 'PARAMETERS': prints the file name of a test kernel with these parameters.
test_kernel()
{
    sh "$GUESTS/mkguest" "$GUESTS/testkernel" "$SCRATCH/testkernel-$1" "$2" || fail "mkguest"
    echo "$SCRATCH/testkernel-$1"
}

# The configuration lines that let the test kernel be an HVM guest beside QEMU: hvm_lines KERNEL
hvm_lines()
{
    printf '%s\n' 'type = "hvm"' "firmware_override = \"$1\"" 'device_model_version = "qemu-xen"' \
        'vga = "none"' 'vnc = 0' 'usb = 0' 'xen_platform_pci = 0'
    qemu=$(command -v xen-qemu-system-i386 || echo /usr/libexec/xen-qemu-system-i386)
    [ ! -x "$qemu" ] || echo "device_model_override = \"$qemu\""
}

# linux_lines 'COMMANDS' [KERNEL-PARAMETER...]: the configuration lines of the Debian guest;
# COMMANDS as tests/guests/linux/init takes them. quiet and pci=noearly only shorten the boot.
linux_lines()
{
    printf '%s\n' 'type = "pvh"' 'tsc_mode = "native"' "kernel = \"$GUESTS/vmlinuz\"" \
        "ramdisk = \"$GUESTS/initramfs.gz\""
    linux_commands=$(echo "$1" | tr ' ' '+')
    shift
    echo "extra = \"console=hvc0 quiet pci=noearly guest=$linux_commands $*\""
}

# The file in which the console of guest NAME is logged.
guest_console() { echo "/var/log/xen/console/guest-xengasp-test-$1.log"; }

# What the test kernel has printed since dmesg_mark.
guest_log() { dmesg_since | sed -n 's/.*(d[0-9]*) .*\(GUEST: .*\)/\1/p'; }

domain_gone() { ! xl domid "xengasp-test-$1" >/dev/null 2>&1; }

# guest_done SECONDS: waits for the test kernel's end, prints its lines; fails unless all was right.
guest_ended() { dmesg_has 'GUEST: done' || domain_gone "$guest_name"; }
guest_done()
{
    wait_for "$1" guest_ended || { guest_log; fail "the guest doesn't end"; }
    guest_log
    dmesg_has 'GUEST: done ok' || fail "the guest found something wrong"
}

# serve ARGUMENTS: starts store-service and waits until it is ready; its output goes to $RESULTS/service.
serve()
{
    "$TEST_DIR/store-service" "$@" > "$RESULTS/service" 2>&1 &
    service=$!
    wait_for 20 grep -q '^ready' "$RESULTS/service" || { cat "$RESULTS/service"; fail "the service isn't ready"; }
}

# served: the service ends by itself with its guest, and had no error.
served()
{
    wait "$service" || { cat "$RESULTS/service"; fail "the service failed"; }
    cat "$RESULTS/service"
}
