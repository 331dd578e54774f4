# SPDX-License-Identifier: BSD-2-Clause
# Reads "GUEST: bench WORD ROUND CYCLES" lines (-v count=ACCESSES a round); prints a table, and JSON to the file `json`.
# Ratios are of lower quartiles.
function sort_into(target, n,    i, j, t) {
    for (i = 2; i <= n; i++) {
        t = v[target, i]
        for (j = i - 1; j >= 1 && v[target, j] > t; j--)
            v[target, j + 1] = v[target, j]
        v[target, j + 1] = t
    }
}
function at(target, n, share,    i) {
    i = int(n * share + 0.5)
    return v[target, i < 1 ? 1 : i] / count
}
function ratio(a, b) { return (a in q && b in q) ? sprintf("%.2f", q[a] / q[b]) : "-" }
BEGIN {
    label["in4@0x600"] = "port, nobody (Xen alone)"; label["r4@0xd8000000"] = "MMIO, nobody (Xen alone)"
    label["in4@0x2200"] = "port, bare event loop";   label["r4@0xfe020000"] = "MMIO, bare event loop"
    label["in4@0x2100"] = "port, xengasp, events";   label["r4@0xfe010000"] = "MMIO, xengasp, events"
    label["in4@0x2000"] = "port, xengasp, polling";  label["r4@0xfe000000"] = "MMIO, xengasp, polling"
    label["in1@0x64"] = "port 0x64, QEMU beside us"
    n_order = split("in4@0x600 in4@0x2200 in4@0x2100 in4@0x2000 in1@0x64 r4@0xd8000000 r4@0xfe020000 r4@0xfe010000 r4@0xfe000000", order, " ")
}
/GUEST: bench / {
    for (i = 1; $i != "bench"; i++) ;
    v[$(i + 1), ++n[$(i + 1)]] = $(i + 3)
}
/^end / { for (i = 1; i < NF; i++) if ($i == "own_ns") own = own (own ? ", " : "") $(i + 1) }
END {
    printf "%-28s %10s %10s %10s   %s\n", "kilocycles an access", "quartile", "median", "p99", "beside QEMU, bare loop"
    printf "{\"unit\": \"cycles\", \"rounds\": %d, \"accesses_a_round\": %d, \"targets\": [", n["in4@0x600"], count > json
    for (i = 1; i <= n_order; i++) {
        t = order[i]
        if (!n[t]) continue
        sort_into(t, n[t])
        q[t] = at(t, n[t], 0.25)
    }
    for (i = 1; i <= n_order; i++) {
        t = order[i]
        if (!n[t]) continue
        printf "%-28s %10.0f %10.0f %10.0f   %s, %s\n", label[t], q[t] / 1000, at(t, n[t], 0.5) / 1000, at(t, n[t], 0.99) / 1000,
            ratio(t, "in1@0x64"), ratio(t, t ~ /^r/ ? "r4@0xfe020000" : "in4@0x2200")
        printf "%s\n  {\"target\": \"%s\", \"what\": \"%s\", \"lower_quartile\": %.0f, \"median\": %.0f, \"p99\": %.0f}", i > 1 ? "," : "",
            t, label[t], q[t], at(t, n[t], 0.5), at(t, n[t], 0.99) > json
    }
    printf "\n]}\n" > json
    print "our own code, ns a request (events, polling): " own
}
