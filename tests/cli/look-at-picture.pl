#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Looks at a picture of xengasp map as somebody would who sees it. look-at-picture.pl CHECK SVG JSON: exit status 0 if
# all is well.
use strict;
use warnings;
use Encode;
use JSON::PP;

my ($check, $svg_file, $json_file) = @ARGV;

sub slurp {
    my ($file) = @_;
    open(my $in, '<:raw', $file) or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

my $svg = slurp($svg_file);
my $map = JSON::PP->new->decode(decode('UTF-8', slurp($json_file))); # what isn't UTF-8 is replaced
my $bad = 0;
sub bad { print "# $check: @_\n" if $bad++ < 10 }

# Markup as [name, {attributes}, text behind it]; the elements must close in order.
my (@tags, @open);
{
    my $rest = $svg;
    utf8::decode($rest) or bad('not UTF-8');
    bad('a control character') if $rest =~ /[\x00-\x08\x0b-\x1f\x7f-\x9f\x{fffe}\x{ffff}]/;
    while ($rest =~ /\G([^<]*)<(\/?)([a-z]+)((?:\s+[a-zA-Z:-]+="[^"<]*")*)\s*(\/?)>/gc) {
        my ($text, $end, $name, $attributes, $alone) = ($1, $2, $3, $4, $5);
        my %attributes = $attributes =~ /([a-zA-Z:-]+)="([^"]*)"/g;
        bad("an ampersand: $text") if "$text$attributes" =~ /&(?!(amp|lt|gt|quot|#39);)/;
        $tags[-1][2] .= $text if @tags;
        if ($end) {
            my $was = pop @open // 'nothing';
            bad("</$name> closes $was") if $was ne $name;
            push @tags, ["/$name", {}, ''];
        } else {
            push @open, $name unless $alone;
            push @tags, [$name, \%attributes, ''];
        }
    }
    bad("markup: $1") if $rest =~ /\G.*?(\S.{0,60})/gs;
    bad("open: @open") if @open;
}

# The labels, column by column: [y, font size, text].
my (@columns, $height, $inside);
for my $t (@tags) {
    my ($name, $a, $text) = @$t;
    if ($name eq 'svg' && !defined $height) {
        $height = $a->{height};
        bad("width $a->{width}") if $a->{width} != 1000 || $a->{viewBox} ne "0 0 1000 $height";
    } elsif ($name eq 'svg') {
        push @columns, { x => $a->{x}, width => $a->{width}, labels => [] };
        $inside = 1;
    } elsif ($name eq '/svg') {
        $inside = 0;
    } elsif ($name eq 'text' && $inside) {
        push @{$columns[-1]{labels}}, [$a->{y}, $a->{class} =~ /^[mwa]$/ ? 12 : 13, $text, $a->{class}];
    }
}

# What tells of each stretch of a layer: its address as the picture writes it.
sub place {
    my ($space, $first, $last) = @_;
    if ($space eq 'pci') {
        my $f = $first >> 32;
        my $name = sprintf('%02x:%02x.%x', $f >> 8, $f >> 3 & 0x1f, $f & 7);
        return ($first & 0xffffffff) == 0 && ($last & 0xffffffff) == 255
            ? $name : sprintf('%s 0x%02x-0x%02x', $name, $first & 0xffffffff, $last & 0xffffffff);
    }
    return $first == $last ? sprintf('0x%x', $first) : sprintf('0x%x-0x%x', $first, $last);
}

my %checks = (
    'well-formed' => sub {
        my %known = map { $_ => 1 } qw(svg title desc style defs pattern path rect g circle text);
        for my $t (grep { $_->[0] !~ m{^/} } @tags) {
            bad("element $t->[0]") unless $known{$t->[0]};
            bad("attribute $_") for grep { /^on|href/ } keys %{$t->[1]};
        }
        bad('the first element') if $tags[0][0] ne 'svg' || $tags[1][0] ne 'title' || length($tags[1][2]) < 10;
        bad('no description') unless grep { $_->[0] eq 'desc' && length($_->[2]) > 20 } @tags;
        bad('not for the dark') unless $svg =~ /prefers-color-scheme:dark/;
    },
    'labels apart' => sub {
        for my $c (@columns) {
            my @l = @{$c->{labels}};
            for my $i (1 .. $#l) {
                bad("'$l[$i - 1][2]' at $l[$i - 1][0] and '$l[$i][2]' at $l[$i][0]")
                    if $l[$i][0] - $l[$i - 1][0] < $l[$i][1];
            }
            bad("'$_->[2]' at $_->[0] of $height") for grep { $_->[0] > $height || $_->[0] < 13 } @l;
        }
        my @x = sort { $a->{x} <=> $b->{x} } grep { $_->{x} > 100 } @columns;
        bad("columns at $x[$_ - 1]{x} and $x[$_]{x}")
            for grep { $x[$_ - 1]{x} + $x[$_ - 1]{width} > $x[$_]{x} } 1 .. $#x;
        bad('a column leaves the page') if grep { $_->{x} + $_->{width} > 1000 } @columns;
    },
    'nothing missing' => sub {
        my %told;
        $told{(split /\n/, $_->[2])[1] // ''} = 1 for grep { $_->[0] eq 'title' } @tags;
        for my $l (@{$map->{layers}}) {
            my @whole;
            for my $p (@{$l->{parts}}) {
                if (@whole && $whole[-1][1] == $p->{first} - 1) {
                    $whole[-1][1] = $p->{last};
                } else {
                    push @whole, [$p->{first}, $p->{last}];
                }
            }
            bad("$l->{owner} " . place($l->{space}, @$_)) for grep { !$told{place($l->{space}, @$_)} } @whole;
        }
    },
    # Those that are drawn alone have their names on them, and counts.
    'names' => sub {
        my $all = join(' ', map { $_->[2] } map { @{$_->{labels}} } @columns);
        $all =~ tr/\x{a0}/ /;
        for my $l (grep { $_->{type} eq 'vdev' } @{$map->{layers}}) {
            bad("no label $l->{owner}") if index($all, $l->{owner}) < 0;
            bad("no count $l->{reads}") unless $all =~ /\b$l->{reads} reads?, $l->{writes} writes?\b/;
        }
    },
    'bounded' => sub {
        my $labels = grep { $_->[3] eq 'a' } map { @{$_->{labels}} } @columns;
        bad("$labels labels") if $labels > 3 * 28;
        bad("$height high") if $height > 2600;
    },
);
$checks{$check}() if $checks{$check};
exit($bad || !$checks{$check} ? 1 : 0);
