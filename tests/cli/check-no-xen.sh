#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The programs where there is no Xen, or no privilege: exit statuses and messages, and that nothing is touched.
. "$top_srcdir/tests/cli/lib.sh"

good=$work/good.cfg bad=$work/bad.cfg
cat > "$good" <<END
name = "xengasp-test-cli"
type = "pvh"
memory = 128
gasp_ram = [ "start=4G,size=2M" ]
gasp_vdev = [ "trace,loc=io:0x2000" ]
END
sed 's/trace/tracer/' "$good" > "$bad"
tracks() { ls -d /run/xengasp /var/log/xengasp 2>/dev/null; }
before=$(tracks)

says "no command" 64 "usage: xengasp COMMAND*" "$xengasp"
says "unknown command" 64 'xengasp: no command "fly"*' "$xengasp" fly
says "unknown option" 64 "xengasp map: --fly: no such option*" "$xengasp" map --fly 1
says "missing argument" 64 "xengasp map: an argument is missing*" "$xengasp" map
says "one argument too many" 64 'xengasp map: unexpected argument "2"*' "$xengasp" map 1 2
says "unknown format" 64 "xengasp list: --output: expected text or json*" "$xengasp" list --output svg
says "create without a file" 64 "xengasp create: the guest's configuration is missing*" "$xengasp" create
says "a setting for xl" 64 'xengasp create: "memory=1": only options*' "$xengasp" create "$good" -- memory=1
says "an option that xl can't have" 64 "xengasp create: xl create's -F can't be used*" \
    "$xengasp" create "$good" -- -F
for c in create list map stop check vdevs; do
    says "help of $c" 0 "usage: xengasp $c*" "$xengasp" $c -h
done
says "version" 0 "xengasp [0-9]*" "$xengasp" --version
says "a good configuration" 0 "xengasp-test-cli: a PVH guest of 128M*0x0000000100000000-0x00000001001fffff*\
0x0000000000002000-0x0000000000002003" "$xengasp" check "$good"
says "a bad configuration" 65 'xengasp: */bad.cfg: gasp_vdev item 1 "tracer,loc=io:0x2000": there is no vdev*' \
    "$xengasp" check "$bad"
says "no configuration" 65 "xengasp: /nonexistent: No such file or directory" "$xengasp" check /nonexistent
says "create, a bad configuration" 65 "xengasp: */bad.cfg: gasp_vdev item 1*" "$xengasp" create "$bad"
says "vdevs" 0 "*trace *null *" "$xengasp" vdevs
says "one vdev" 0 "trace: *emit-logger*access sizes: 1 2 4" "$xengasp" vdevs trace
says "no such vdev" 1 'xengasp: there is no vdev "tracer"' "$xengasp" vdevs tracer

says "xengaspd without a domain" 64 "xengaspd: --domain is missing*" "$xengaspd"
says "xengaspd without a configuration" 64 "xengaspd: --config is missing*" "$xengaspd" -d 1
says "xengaspd, polling for ever" 64 "xengaspd: --poll-us: expected 0 to 1000000, not 1G*" \
    "$xengaspd" -d 1 -c "$good" --poll-us 1G
says "xengaspd, unknown level" 64 "xengaspd: --log: expected error, warn, info or debug, not all*" \
    "$xengaspd" -d 1 -c "$good" --log all
says "xengaspd, one argument too many" 64 "xengaspd: unexpected argument x*" "$xengaspd" -d 1 -c "$good" x
says "xengaspd, a bad configuration" 65 "xengaspd: */bad.cfg: gasp_vdev item 1*" "$xengaspd" -d 1 -c "$bad"
says "xengaspd, version" 0 "xengaspd [0-9]*" "$xengaspd" --version

if [ -e /dev/xen/privcmd ] || [ -e /proc/xen/privcmd ]; then
    skip "programs without Xen" "this machine runs Xen"
else
    says "create without Xen" 1 "xengasp: no Xen on this machine*" "$xengasp" create "$good"
    says "list without Xen" 1 "xengasp: no Xen on this machine" "$xengasp" list
    says "map of a number without Xen" 1 "xengasp: no Xen on this machine*domain 5" "$xengasp" map 5
    says "map of a name without Xen" 1 "xengasp: no Xen on this machine" "$xengasp" map demo
    says "stop without Xen" 1 "xengasp: no Xen on this machine*domain 5" "$xengasp" stop 5
    says "xengaspd without Xen" 64 "xengaspd: no Xen on this machine*" "$xengaspd" -d demo -c "$good"
fi

# Somebody else's sockets: root looks as nobody does, others at what they have closed for themselves.
mkdir -p "$work/run/5"
if [ "$(id -u)" = 0 ]; then
    cp "$xengasp" "$work/xengasp"
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env XENGASP_RUNDIR="$work/run" "$work/xengasp" "$@"; }
else
    as_nobody() { XENGASP_RUNDIR=$work/run "$xengasp" "$@"; }
fi
chmod 000 "$work/run/5"
says "map without privilege" 1 "xengasp: */run/5: no permission: run it as root" as_nobody map 5
says "stop without privilege" 1 "xengasp: */run/5: no permission: run it as root" as_nobody stop 5
says "list without privilege" 1 "xengasp: */run/5: no permission: run it as root*" as_nobody list
chmod 000 "$work/run"
says "list without any privilege" 1 "xengasp: */run: no permission: run it as root" as_nobody list
chmod 700 "$work/run" "$work/run/5"
expect "nothing was touched" [ "$before" = "$(tracks)" ]
finish
