#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A service that answers "list" and "map" only, for guests that the simulator can't have.
# fake-map.pl RUNDIR DOMID CASE: ends when it is killed. With RUNDIR "-" it prints the reply.
use strict;
use warnings;
no warnings qw(portable nonchar);
use IO::Socket::UNIX;
use JSON::PP;

my ($run, $domid, $case) = @ARGV;
my ($name, @layers, @sub_page) = ("guest-$case");
my %flags = (
    RAM      => [qw(PASS_RD PASS_WR PASS_EX ACTIVE MEMORY)],
    ROM      => [qw(PASS_RD PASS_EX ACTIVE MEMORY)],
    device   => [qw(PASS_RD PASS_WR PASS_EX ACTIVE)],
    vdev     => [qw(VIRT_RD VIRT_WR ACTIVE)],
    reserved => [qw(ACTIVE PRECIOUS)],
    noperms  => [qw(ACTIVE NOPERMS)],
);
my $next = 1;

# layer SPACE FIRST LENGTH TYPE OWNER [KEY VALUE]...: above those before it; all RAM is one.
sub layer {
    my ($space, $first, $length, $type, $owner, %more) = @_;
    push @layers, {
        space => $space, first => $first, last => $first + $length - 1, type => $type,
        owner => $owner, layer => $type eq 'RAM' ? 0 : $next++, active => 1, cookie => 0,
        flags => $flags{$type}, $type eq 'vdev' ? (reads => 0, writes => 0) : (), %more,
    };
}
sub MiB { $_[0] * 1048576 }
sub fn { ($_[0] << 8 | $_[1] << 3 | $_[2]) << 32 }

sub pvh {
    layer('memory', 0, MiB(128), 'RAM', 'guest');
    layer('memory', 0x100000000, MiB(64), 'RAM', 'gasp_ram');
    layer('memory', 0xfc000000, 0x11000, 'reserved', 'the ACPI tables (libxl)');
    layer('memory', 0xfee00000, MiB(1), 'reserved', 'the local APIC and message window');
    layer('memory', 0xfeff0000, 0x10000, 'reserved', "Xen's special pages (console, ...)");
    layer('memory', 0x104001000, MiB(1), 'reserved', 'set aside for pages with an overlay');
    layer('memory', 0xfe000000, 4, 'vdev', 'ticks', reads => 1284, writes => 12);
    layer('memory', 0x4000ff0, 4, 'vdev', 'bell', reads => 7, writes => 70312);
    push @sub_page, [0x4000000, 0x4000fff];
    layer('ports', 0x80, 1, 'reserved', 'the POST code port (Xen sends it to the hardware)');
    layer('ports', 0xe9, 1, 'reserved', "Xen's debug console");
    layer('ports', 0xed, 1, 'reserved', 'the I/O delay port (Xen sends it to the hardware)');
    layer('ports', 0xcf8, 8, 'reserved', 'PCI configuration access (Xen)');
    layer('ports', 0x2000, 4, 'vdev', 'null', reads => 3, writes => 3);
}

sub hvm {
    pvh();
    $_->{last} = 0x9ffff for grep { $_->{owner} eq 'guest' } @layers;
    @layers = grep { $_->{owner} !~ /libxl|bell/ } @layers;
    @sub_page = ();
    layer('memory', 0x100000, MiB(511), 'RAM', 'guest');
    layer('memory', @$_) for [0xa0000, 0x20000, 'reserved', 'VGA memory (Xen, QEMU)'],
        [0xc0000, 0x40000, 'reserved', 'option ROMs and the BIOS'],
        [0xfc000000, MiB(32), 'reserved', "the ACPI tables and hvmloader's own pages"],
        [0xfec00000, 0x1000, 'reserved', 'the IO-APIC (Xen)'],
        [0xfed00000, 0x400, 'reserved', 'the HPET (Xen)'],
        [0xff000000, MiB(16), 'reserved', 'the firmware'];
    layer('memory', 0xfe100000, 0x10000, 'device', 'frames');
    layer('memory', 0xfe108000, 0x1000, 'vdev', 'frames', cookie => 1, reads => 52, writes => 104,
        flags => [qw(PASS_RD VIRT_WR ACTIVE)]);
    layer('memory', 0xfe200000, 0x1000, 'vdev', 'a BAR, its decode off', active => 0, reads => 5, writes => 6);
    layer('memory', 0x8000000, 0x8000, 'ROM', 'option.rom');
    layer('memory', 0xa000000, MiB(8), 'noperms', 'hidden');
    layer('memory', 0xc000000, 0x1000, 'vdev', 'lower', reads => 1, writes => 2);
    layer('memory', 0xc000000, 0x1000, 'vdev', 'upper', reads => 3, writes => 4);
    layer('ports', @$_) for [0x20, 2, 'reserved', 'the master PIC (Xen)'],
        [0xa0, 2, 'reserved', 'the slave PIC (Xen)'],
        [0x4d0, 2, 'reserved', "the PICs' trigger modes (Xen)"],
        [0x40, 4, 'reserved', 'the PIT (Xen)'],
        [0x61, 1, 'reserved', "the PIT's speaker port (Xen)"],
        [0x70, 2, 'reserved', 'the RTC (Xen)'],
        [0xb008, 4, 'reserved', 'the power management timer (Xen)'];
    layer('pci', fn(0, 0x10, 0), 256, 'vdev', 'ring', reads => 88, writes => 19);
    layer('pci', fn(0, 0x11, 0), 256, 'vdev', 'frames', reads => 52, writes => 104);
}

sub many {
    pvh();
    layer('memory', 0xf0000000 + $_ * 0x10000, 4, 'vdev', "trace$_", reads => $_, writes => 1) for 0 .. 119;
    layer('memory', 0x1000000 + $_ * 0x100000, 0x1000, 'vdev', "over$_", reads => 2, writes => $_) for 0 .. 79;
    layer('memory', 0x100000000 + $_ * 0x100000, 0x1000, $_ % 2 ? 'vdev' : 'noperms', chr(97 + $_ % 26) . "-odd")
        for 0 .. 59;
    layer('ports', 0x3000 + 8 * $_, 8, 'vdev', 'ser' . ($_ % 7 == 0 ? 'x' : $_), reads => $_) for 0 .. 99;
    layer('pci', fn(0, $_, 0), 256, 'vdev', "nic$_") for 1 .. 31;
}

# Each layer over all before it.
sub deep {
    layer('memory', 0, MiB(64), 'RAM', 'guest');
    layer('memory', 0x100000, 0x1000, 'vdev', "layer $_", active => $_ % 5 != 4) for 1 .. 300;
    layer('memory', 0x200000 + 0x1000 * $_, MiB(1) - 0x2000 * $_, 'vdev', "nested $_") for 0 .. 6;
    layer('ports', 0x2000, 4, 'vdev', "port $_") for 1 .. 6;
}

sub hostile {
    my @names = ('<script>alert(1)</script>', '"/><rect onload=\'x\'/>', ']]> & &amp; &#0; <!--', '</title></svg>',
        "\e[31mred\e[0m\a\b\r\n.", "\x{202e}txet desrever", "Z\x{301}\x{302}\x{303}\x{304}\x{305}\x{306}algo",
        'W' x 300, 'word ' x 100, "\x{4e16}\x{754c}" x 40, "\x{1f980}" x 50, "\x{fffe}\x{ffff}", '', ' ', '%n%s%d',
        "a\x{200b}\x{2028}b", "\x{e0041}tag", 'NOT-UTF-8');
    $name = "<b>&\"'\x{202e}" . 'M' x 200;
    layer('memory', 0, MiB(64), 'RAM', 'guest');
    layer('memory', 0x1000000 + $_ * 0x200000, 0x1000, 'vdev', $names[$_], reads => 1 << 60, writes => (1 << 63) - 1) for 0 .. 8;
    layer('ports', 0x2000 + 8 * $_, 8, 'vdev', $names[$_]) for 0 .. $#names;
    layer('pci', fn(255, $_, 7), 256, 'vdev', $names[$_], cookie => 4294967295) for 0 .. $#names;
}

# RAM in pieces, as a guest makes it that balloons; and regions at the spaces' ends.
sub pieces {
    layer('memory', 0x4000 * $_, 0x2000, 'RAM', 'guest') for 0 .. 2999;
    layer('memory', 2**40 - 0x1000, 0x1000, 'vdev', 'the last page');
    layer('ports', 0, 0x10000, 'vdev', 'all ports');
    layer('pci', fn(255, 31, 7), 256, 'vdev', 'the last function');
}

sub empty { }

{ no strict 'refs'; &$case() }
$name = 'xengasp-demo' if $case eq 'pvh'; # docs/map.svg

# What is seen where: between any two edges, the topmost layer that is active.
sub parts_of {
    my ($space) = @_;
    my @in = sort { $a->{layer} <=> $b->{layer} } grep { $_->{space} eq $space } @layers;
    my %edge = map { ($_->{first} => 1, $_->{last} + 1 => 1) } @in;
    my @edges = sort { $a <=> $b } keys %edge;
    my @starting = sort { $a->{first} <=> $b->{first} } @in;
    my (@open, @pieces);
    for my $i (0 .. $#edges - 1) {
        my ($first, $last) = ($edges[$i] + 0, $edges[$i + 1] - 1);
        push @open, shift @starting while @starting && $starting[0]{first} <= $first;
        @open = sort { $a->{layer} <=> $b->{layer} } grep { $_->{last} >= $first } @open;
        my ($top) = grep { $_->{active} } reverse @open;
        for my $l (@open) {
            my $seen = $top && $l == $top ? 1 : 0;
            my $before = $l->{parts} && $l->{parts}[-1];
            if ($before && $before->{last} == $first - 1 && !!$before->{visible} == !!$seen) {
                $before->{last} = $last;
            } else {
                push @{$l->{parts}}, { first => $first, last => $last,
                    visible => $seen ? JSON::PP::true : JSON::PP::false };
            }
        }
        next unless $top;
        if (@pieces && $pieces[-1]{of} == $top && $pieces[-1]{last} == $first - 1) {
            $pieces[-1]{last} = $last;
        } else {
            push @pieces, { first => $first, last => $last, of => $top };
        }
    }
    for my $p (@pieces) {
        my $l = delete $p->{of};
        $p->{$_} = $l->{$_} for grep { exists $l->{$_} } qw(type owner cookie layer flags reads writes);
    }
    return \@pieces;
}

my %map = (ok => JSON::PP::true, domid => $domid + 0, name => $name,
    sub_page => [map { { first => $_->[0], last => $_->[1] } } @sub_page]);
$map{$_} = parts_of($_) for qw(memory ports pci);
for my $l (@layers) {
    $l->{flags} = [grep { $_ ne 'ACTIVE' } @{$l->{flags}}] unless $l->{active};
    $l->{active} = $l->{active} ? JSON::PP::true : JSON::PP::false;
    delete @$l{qw(first last)};
}
$map{layers} = \@layers;
my $json = JSON::PP->new->utf8->canonical;
my $reply = $json->encode(\%map) . "\n";
$reply =~ s/NOT-UTF-8/\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82/g;
if ($run eq '-') {
    print $reply;
    exit;
}
mkdir "$run/$domid";
unlink "$run/$domid/control";
my $socket = IO::Socket::UNIX->new(Local => "$run/$domid/control", Listen => 5) or die "$run/$domid/control: $!";
$SIG{PIPE} = 'IGNORE';
while (my $client = $socket->accept) {
    my $line = <$client>;
    next unless defined $line;
    print $client $line =~ /"map"/ ? $reply : $json->encode({ ok => JSON::PP::true, name => $name }) . "\n";
    close $client;
}
