#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# list, map and stop with services of simulated guests.
. "$top_srcdir/tests/cli/lib.sh"

export XENGASP_RUNDIR="$work/run"
mkdir "$XENGASP_RUNDIR"
service=$top_builddir/tests/cli/sim-service
pids=
# shellcheck disable=SC2086
at_end() { [ -z "$pids" ] || kill $pids 2>/dev/null; }

start() # DOMID NAME LINE...
{
    id=$1
    printf 'name = "%s"\ntype = "pvh"\nmemory = 64\n' "$2" > "$work/$id.cfg"
    shift 2
    printf '%s\n' "$@" >> "$work/$id.cfg"
    "$service" "$work/$id.cfg" "$id" > "$work/$id.out" 2>&1 &
    pids="$pids $!"
    n=0
    until grep -q ready "$work/$id.out" || [ $n -gt 100 ]; do sleep 0.1; n=$((n + 1)); done
}

start 7 guest-a 'gasp_ram = [ "start=64M,size=2M", "start=4G,size=3M", "size=4K" ]' \
    'gasp_vdev = [ "trace,loc=mem:0xfe000000,name=ticks", "null,loc=io:0x2000" ]'
start 12 guest-b
pid=$(echo "$pids" | awk '{ print $1 }')

says "list" 0 "   ID NAME *UPTIME     ACCESSES
    7 guest-a *$pid *:0[0-9]* 0
      ticks *mem 0x00000000fe000000-0x00000000fe000003  reads 0  writes 0
      null *io  0x0000000000002000-0x*  reads 0  writes 0
   12 guest-b *" "$xengasp" list
"$xengasp" list --output json > "$work/list.json"
"$xengasp" map guest-a > "$work/map"
"$xengasp" map -o json 7 > "$work/map.json"
sed 's/^/# /' "$work/map"
has() { grep -qE -- "$1" "$work/$2"; }
expect "map: the guest's own RAM" has '^  0x0000000000000000-0x0000000003ffffff      64M  RAM       guest$' map
expect "map: our RAM right above it" has '^  0x0000000004000000-0x00000000041fffff       2M  RAM       gasp_ram$' map
expect "map: our RAM at its place" has '^  0x0000000100000000-0x00000001002fffff       3M  RAM       gasp_ram$' map
expect "map: our RAM where there was room" has '       4K  RAM       gasp_ram$' map
expect "map: a vdev in memory" has '^  0x00000000fe000000-0x00000000fe000003        4  vdev      ticks  reads 0  writes 0$' map
expect "map: a vdev among the ports" has '^  0x0000000000002000-0x[0-9a-f]* +[0-9]+  vdev      null  reads 0  writes 0$' map
expect "map: what Xen keeps" has '^  0x00000000fee00000-.* reserved +.*APIC' map
expect "map: in order" sh -c "sed -n '/^memory/,/^ports/p' '$work/map' | grep '^  0x' | sort -c"
expect "map: nothing twice" sh -c "! grep '^  0x' '$work/map' | sort | uniq -d | grep ."

# Reads FILE into $j and looks whether EXPRESSION holds.
json() # FILE EXPRESSION
{
    perl -MJSON::PP -0777 -ne "\$j = decode_json(\$_); exit !($2)" "$work/$1"
}

if perl -MJSON::PP -e 1 2> /dev/null; then
    # shellcheck disable=SC2016   # perl's variables
    {
        expect "list as JSON: the guests" json list.json \
            'join(",", map { "$_->{domid} $_->{name}" } @$j) eq "7 guest-a,12 guest-b"'
        expect "list as JSON: what is counted" json list.json \
            '$j->[0]{accesses} eq "0" && $j->[0]{uptime} < 60 && !exists $j->[0]{ok}'
        expect "list as JSON: a vdev" json list.json 'JSON::PP->new->canonical->encode($j->[0]{vdevs}[0]) eq
            q({"first":4261412864,"last":4261412867,"name":"ticks","reads":0,"space":"mem","vdev":"trace","writes":0})'
        expect "list as JSON: no vdevs" json list.json '!@{$j->[1]{vdevs}}'
        expect "map as JSON: the guest" json map.json '"$j->{domid} $j->{name}" eq "7 guest-a" && !exists $j->{ok}'
        expect "map as JSON: our RAM" json map.json \
            'grep { "@$_{qw(first last type owner)}" eq "4294967296 4298113023 RAM gasp_ram" } @{$j->{memory}}'
        expect "map as JSON: a vdev" json map.json \
            'grep { $_->{owner} eq "null" && $_->{first} == 0x2000 } @{$j->{ports}}'
    }
else
    skip "list and map as JSON" "no perl with JSON::PP to read it"
fi

for option in --help --dry -n -in -qn -c -p=x; do
    says "xl's $option" 64 "xengasp create: xl create's $option can't be used*" "$xengasp" create "$work/7.cfg" -- $option
done
if [ ! -e /dev/xen/privcmd ] && [ ! -e /proc/xen/privcmd ]; then
    says "options for xl" 1 "xengasp: no Xen on this machine*" \
        "$xengasp" create "$work/7.cfg" -- -d -i -q --ignore-global-affinity-masks
fi
says "SIGCHLD is ignored" 65 "xengaspd: /nonexistent: *" \
    env --ignore-signal=CHLD "$xengaspd" -d 1 -c /nonexistent

says "no service for this number" 1 "xengasp: no*service for domain 8*" "$xengasp" map 8
says "no service for this name" 1 'xengasp: no service for a domain "guest-c"*' "$xengasp" map guest-c
says "stop by name" 0 "" "$xengasp" stop guest-a
expect "stop returns when all is given back" grep -q closed "$work/7.out"
expect "and the socket is gone" [ ! -e "$XENGASP_RUNDIR/7/control" ]
says "list after it" 0 "   ID NAME *
   12 guest-b *" "$xengasp" list
died=$(echo "$pids" | awk '{ print $2 }')
kill -KILL "$died"
wait "$died" 2>/dev/null
says "a service that died" 1 "xengasp: the service for domain 12 has died*" "$xengasp" list
says "map of one that died" 1 "xengasp: the service for domain 12 has died" "$xengasp" map 12
rm -r "$XENGASP_RUNDIR/12"

# A service that is stopped: more clients than its socket has room for.
start 13 guest-d
stuck=${pids##* }
kill -STOP "$stuck"
n=0 clients=
while [ $n -lt 20 ]; do
    timeout 40 "$xengasp" map 13 > "$work/stuck.$n" 2>&1 &
    clients="$clients $!"
    n=$((n + 1))
done
# shellcheck disable=SC2086
wait $clients
kill -KILL "$stuck"
expect "nobody waits for ever" [ "$(cat "$work"/stuck.* | sort | uniq -c | sed 's/^ *//')" = \
    "20 xengasp: the service for domain 13 does not answer" ]
rm -r "$XENGASP_RUNDIR/13"

# Services that end in an odd way: fake HANGUP answers a request, then takes its time.
fake()
{
    rm -f "$work/waits" "$work/ended"
    mkdir -p "$XENGASP_RUNDIR/14"
    perl - "$XENGASP_RUNDIR/14/control" "$work" "$1" <<'END' &
use IO::Socket::UNIX;
my ($path, $work, $hangup) = @ARGV;
unlink($path);
my $s = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!";
open(my $waits, '>', "$work/waits");
my $c = $s->accept();
$c->sysread(my $request, $hangup eq 'reset' ? 1 : 100); # what is left unread makes it a reset
$c->syswrite(qq({"ok":true}\n));
sleep(1);
open(my $ended, '>', "$work/ended");
END
    n=0
    until [ -e "$work/waits" ] || [ $n -gt 100 ]; do sleep 0.1; n=$((n + 1)); done
}
if perl -MIO::Socket::UNIX -e 1 2> /dev/null; then
    fake reset
    says "a reset is no end" 1 "xengasp: the service for domain 14 was asked to stop: *" "$xengasp" stop 14
    wait $!
    fake end
    fake=$!
    "$xengasp" stop 14 &
    sleep 0.5
    kill -STOP $!
    kill -CONT $!
    wait $!
    expect "until the service has ended" [ "$? $(ls "$work/ended")" = "0 $work/ended" ]
    wait $fake
else
    skip "a reset is no end" "no perl for a service that does so"
    skip "until the service has ended" "no perl for a service to wait for"
fi
rm -rf "$XENGASP_RUNDIR/14"
says "nobody is served" 0 "no guest is served" "$xengasp" list
says "nobody is served, for programs" 0 "[[]*[]]" "$xengasp" list -o json
finish
