#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# map's layers: of a simulated guest, then of guests that fake-map.pl makes up; as text, as JSON, and as a picture.
. "$top_srcdir/tests/cli/lib.sh"

export XENGASP_RUNDIR="$work/run"
mkdir "$XENGASP_RUNDIR"
scripts=$top_srcdir/tests/cli
pids=
# shellcheck disable=SC2086
at_end() { [ -z "$pids" ] || kill $pids 2>/dev/null; }
has() { grep -qE -- "$1" "$work/$2"; }
# The lines of a file that match, and those right beneath the first of them.
under() { sed -n "/$1/,\$p" "$work/$2" | sed -n "1,$3p"; }

cat > "$work/7.cfg" <<END
name = "guest-a"
type = "pvh"
memory = 64
gasp_ram = [ "start=4G,size=4M" ]
gasp_vdev = [ "paint,name=bell,set=mem:0x1000ff0:4:0x83", "paint,name=rom,set=mem:0x2000000:0x1000:0x1a8:7",
    "paint,name=low,set=mem:0x3000000:0x4000:0x83,set=mem:0x3001000:0x1000:0x83:5",
    "paint,name=bar,set=mem:0x3000000:0x1000:0x3,set=mem:0xfe100000:0x1000:0x3",
    "paint,name=hole,set=mem:0x100001000:0x2000:0x8080", "paint,name=port,set=io:0x2000:8:0x83,set=io:0x2002:2:0x81:1" ]
END
"$top_builddir/tests/cli/sim-service" "$work/7.cfg" 7 > "$work/7.out" 2>&1 &
pids=$!
n=0
until grep -q ready "$work/7.out" || [ $n -gt 100 ]; do sleep 0.1; n=$((n + 1)); done
sed 's/^/# /' "$work/7.out"
"$xengasp" map 7 > "$work/map" 2>&1
sed 's/^/# /' "$work/map"
expect "what lies over RAM, and the RAM beneath" [ "$(under '0x0000000001000ff0-' map 2)" = \
"  0x0000000001000ff0-0x0000000001000ff3        4  vdev      bell  reads 0  writes 0
    0x0000000001000ff0-0x0000000001000ff3        4  RAM       guest  covered" ]
expect "RAM on both sides of it" [ "$(grep -cE '^  0x(0{16}-0x0000000001000fef|0000000001000ff4-0x0000000001ffffff) .*RAM       guest$' "$work/map")" = 2 ]
expect "ROM, its cookie" has '^  0x0000000002000000-0x0000000002000fff       4K  ROM       .*  cookie 7$' map
expect "three deep, one of them inactive" [ "$(under '0x0000000003000000-' map 3 | sed 's/  reads 0  writes 0//')" = \
"  0x0000000003000000-0x0000000003000fff       4K  vdev      low
    0x0000000003000000-0x0000000003000fff       4K  vdev      bar  inactive
      0x0000000003000000-0x0000000003000fff       4K  RAM       guest  covered" ]
expect "inactive where there is nothing" [ "$(under '0x00000000fe100000-' map 2 | sed 's/  reads 0  writes 0//')" = \
"  0x00000000fe100000-0x00000000fe100fff       4K  nothing
    0x00000000fe100000-0x00000000fe100fff       4K  vdev      bar  inactive" ]
expect "without access" has '^  0x0000000100001000-0x0000000100002fff       8K  noperms   hole' map
expect "our RAM beneath that" has '^    0x0000000100001000-0x0000000100002fff       8K  RAM       gasp_ram  covered$' map
expect "a port that is read only" has '^  0x0000000000002002-0x0000000000002003        2  vdev      port  R--  cookie 1  reads' map
expect "what of the other it covers" has '^    0x0000000000002002-0x0000000000002003        2  vdev      port  reads 0  writes 0  covered' map
expect "in order" sh -c "sed -n '/^memory/,/^ports/p' '$work/map' | grep '^  0x' | sort -c"
expect "pages that are answered byte for byte" [ "$(sed -n '/^pages/,$p' "$work/map" | grep -c 0x)" = 1 ] && has \
    '^  0x0000000001000000-0x0000000001000fff       4K$' map

if ! perl -MJSON::PP -MIO::Socket::UNIX -e 1 2> /dev/null; then
    skip "the layers as JSON, and pictures" "no perl with JSON::PP to look at them"
    finish
    exit
fi
json() # FILE EXPRESSION
{
    perl -MJSON::PP -0777 -ne "\$j = decode_json(\$_); exit !($2)" "$work/$1"
}
"$xengasp" map -o json 7 > "$work/map.json"
# shellcheck disable=SC2016   # perl's variables
{
    expect "layers as JSON: an overlay" json map.json 'grep { $_->{owner} eq "bell" && $_->{space} eq "memory" && $_->{active} &&
        $_->{layer} > 0 && "@{$_->{flags}}" eq "VIRT_RD VIRT_WR ACTIVE" && $_->{reads} eq "0" && @{$_->{parts}} == 1 &&
        $_->{parts}[0]{first} == 0x1000ff0 && $_->{parts}[0]{last} == 0x1000ff3 && $_->{parts}[0]{visible} } @{$j->{layers}}'
    expect "layers as JSON: RAM beneath" json map.json 'grep { $_->{owner} eq "guest" && $_->{layer} == 0 &&
        "@{$_->{flags}}" eq "PASS_RD PASS_WR PASS_EX ACTIVE MEMORY" &&
        grep({ $_->{first} == 0x1000ff0 && $_->{last} == 0x1000ff3 && !$_->{visible} } @{$_->{parts}}) } @{$j->{layers}}'
    expect "layers as JSON: one that is inactive" json map.json \
        'grep { $_->{owner} eq "bar" && !$_->{active} && !grep { $_->{visible} } @{$_->{parts}} } @{$j->{layers}}'
    expect "layers as JSON: a cookie" json map.json 'grep { $_->{owner} eq "low" && $_->{cookie} == 5 } @{$j->{layers}}'
    expect "what is seen as JSON" json map.json 'grep { $_->{owner} eq "hole" && $_->{type} eq "noperms" } @{$j->{memory}}'
    expect "pages as JSON" json map.json '@{$j->{sub_page}} == 1 && $j->{sub_page}[0]{first} == 0x1000000 &&
        $j->{sub_page}[0]{last} == 0x1000fff'
    expect "PCI as JSON" json map.json 'ref($j->{pci}) eq "ARRAY" && !@{$j->{pci}}'
}

looks() # GUEST CHECK...
{
    guest=$1
    shift
    if "$xengasp" map -o svg "$guest" > "$work/$guest.svg"; then
        "$xengasp" map -o json "$guest" > "$work/$guest.json"
        for check; do
            expect "picture of $guest: $check" perl "$scripts/look-at-picture.pl" "$check" "$work/$guest.svg" "$work/$guest.json"
        done
    else
        not_ok "picture of $guest"
    fi
    if command -v xmllint > /dev/null; then
        expect "picture of $guest: XML" xmllint --noout "$work/$guest.svg"
    else
        skip "picture of $guest: XML" "no xmllint"
    fi
}
looks 7 well-formed "labels apart" "nothing missing" names
id=20
for case in pvh hvm many deep pieces empty hostile; do
    id=$((id + 1))
    perl "$scripts/fake-map.pl" "$XENGASP_RUNDIR" $id $case &
    pids="$pids $!"
    n=0
    until [ -S "$XENGASP_RUNDIR/$id/control" ] || [ $n -gt 100 ]; do sleep 0.1; n=$((n + 1)); done
    looks $id well-formed "labels apart" "nothing missing" bounded
done
expect "picture of 21: names" perl "$scripts/look-at-picture.pl" names "$work/21.svg" "$work/21.json"
expect "README's picture" cmp "$work/21.svg" "$top_srcdir/docs/map.svg"
"$xengasp" map 21 > "$work/21"
expect "counts" has '^  0x00000000fe000000-0x00000000fe000003        4  vdev      ticks  reads 1284  writes 12$' 21
"$xengasp" map 22 > "$work/22"
expect "PCI's functions" has '^  00:10.0 0x00-0xff *256  vdev      ring  reads 88  writes 19$' 22
expect "reads that go to memory" has '^  0x00000000fe108000-.* vdev      frames  rW-  ' 22
"$xengasp" map 27 > "$work/27"
expect "names do no harm to a terminal" sh -c "! LC_ALL=C tr -d '\n -~\200-\377' < '$work/27' | grep -q ."
# shellcheck disable=SC2016   # perl's
expect "and are UTF-8" perl -0777 -ne 'exit !utf8::decode($_)' "$work/27"
finish
