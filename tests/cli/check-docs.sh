#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The manual pages name each option, command and key, and none that isn't there.
. "$top_srcdir/tests/cli/lib.sh"

docs=$top_srcdir/docs

# "-x --long" of each line "  -x, --long ...".
help_options() { sed -nE 's/^  (-.), (--[a-z-]+).*/\1 \2/p' | sort; }
# The same of each "=item B<-x>, B<--long> ...".
pod_options() { sed -nE 's/^=item B<(-.)>, B<(--[a-z-]+)>.*/\1 \2/p' | sort; }
# The part of a page under a heading that begins so.
pod_section() { awk -v h="$1" '/^=head/ { on = index($0, h) == 1 } on' "$2"; }

same() # NAME A B
{
    if [ -n "$2" ] && [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        printf 'program:\n%s\nmanual page:\n%s\n' "$2" "$3" | sed 's/^/# /'
    fi
}

same "options of xengaspd" "$("$xengaspd" --help | help_options)" "$(pod_options < "$docs/xengaspd.8.pod")"
same "options of xengasp" "$("$xengasp" --help | help_options)" \
    "$(pod_section '=head1 OPTIONS' "$docs/xengasp.1.pod" | pod_options)"

commands=$("$xengasp" --help | sed -nE 's/^  ([a-z]+) .*/\1/p' | sort)
same "commands" "$commands" "$(sed -nE 's/^=head2 ([a-z]+).*/\1/p' "$docs/xengasp.1.pod" | sort)"
for c in $commands; do
    same "options of $c" "-h --help
$("$xengasp" "$c" --help | help_options | grep -v -- --help)" "-h --help
$(pod_section "=head2 $c" "$docs/xengasp.1.pod" | pod_options)"
    synopsis=$("$xengasp" "$c" --help | sed -n 's/^usage: xengasp //p' | sed 's/text|json[|svg]*/FORMAT/')
    expect "heading of $c" grep -qxF "=head2 $synopsis" "$docs/xengasp.1.pod"
done

same "keys" "$(grep -ohE '"gasp_[a-z]+"' "$top_srcdir/src/daemon/config.c" | tr -d '"' | sort -u)" \
    "$(sed -nE '/^=item/s/.*/&/p' "$docs/xengasp.cfg.5.pod" | grep -oE 'B<gasp_[a-z]+>' | sed 's/B<\(.*\)>/\1/' | sort -u)"
same "keys of gasp_ram" \
    "$(grep -oE 'strcmp\(pair, "[a-z]+"' "$top_srcdir/src/daemon/config.c" | sed 's/.*"\(.*\)"/\1/' | sort)" \
    "$(awk '/^=item B<gasp_/ { on = /gasp_ram/ } on' "$docs/xengasp.cfg.5.pod" |
       sed -nE 's/^=item B<([a-z]+)>=.*/\1/p' | sort)"
statuses=$("$xengaspd" --help | sed -n 's/^Exit status: //p' | grep -oE '[0-9]+')
expect "xengaspd has exit statuses" [ -n "$statuses" ]
for s in $statuses; do
    expect "exit status $s of xengaspd" grep -qx "=item B<$s>" "$docs/xengaspd.8.pod"
done
requests=$(grep -oE '\{"[a-z]+", command_' "$top_srcdir/src/daemon/commands.c" | sed 's/.*"\(.*\)".*/\1/')
expect "there are requests" [ -n "$requests" ]
for c in $requests; do
    expect "request $c" grep -qx "=item C<$c>" "$docs/xengaspd.8.pod"
done
for page in xengasp.1 xengaspd.8 xengasp.cfg.5; do
    expect "$page is made" grep -q '^\.SH "SEE ALSO"' "$top_builddir/docs/$page"
done
expect "the example configuration" "$xengasp" check "$top_srcdir/xen-configs/demo.cfg"
finish
