# SPDX-License-Identifier: BSD-2-Clause
# Reads "GUEST: bench GUEST:WORD ROUND CYCLES" lines (-v count=ACCESSES a round) and the services' own times; prints a
# table, and JSON to the file `json`, which report-ram.awk goes on with. Ratios are of lower quartiles.
function sort_into(target, n,    i, j, t) {
    for (i = 2; i <= n; i++) {
        t = v[target, i]
        for (j = i - 1; j >= 1 && v[target, j] > t; j--)
            v[target, j + 1] = v[target, j]
        v[target, j + 1] = t
    }
}
function at(target, share,    i) {
    i = int(n[target] * share + 0.5)
    return v[target, i < 1 ? 1 : i] / count
}
function target(word, what, beside, beside_name) {
    order[++targets] = word
    label[word] = what
    other[word] = beside
    other_name[word] = beside_name
}
# What has to hold: a ratio of lower quartiles, and the figure it must not pass.
function demand(what, over, under, most) {
    wanted[++demands] = what
    top[demands] = over
    bottom[demands] = under
    limit[demands] = most
}
BEGIN {
    target("one:in4@0x600", "port, nobody (Xen alone)")
    target("one:in4@0x2200", "port, bare event loop", "one:in1@0x64", "QEMU")
    target("one:in4@0x2100", "port, xengasp, events", "one:in4@0x2200", "bare loop")
    target("one:in4@0x2000", "port, xengasp, polling", "one:in1@0x64", "QEMU")
    target("one:in1@0x64", "port 0x64, QEMU")
    target("one:in1@0x64<0x2100", "same, after ours by events", "one:in1@0x64", "QEMU")
    target("one:in1@0x64<0x2000", "same, after ours by polling", "one:in1@0x64<0x2100", "after events")
    target("one:r4@0xd8000000", "MMIO, nobody (Xen alone)")
    target("one:r4@0xfe020000", "MMIO, bare event loop", "one:in1@0x64", "QEMU's port")
    target("one:r4@0xfe010000", "MMIO, xengasp, events", "one:r4@0xfe020000", "bare loop")
    target("one:r4@0xfe000000", "MMIO, xengasp, polling", "one:r4@0xfe020000", "bare loop")
    target("four:in4@0x2100", "4 vCPUs, xengasp, events", "four:in1@0x64", "QEMU")
    target("four:in4@0x2000", "4 vCPUs, xengasp, polling", "four:in4@0x2100", "events")
    target("four:in1@0x64", "4 vCPUs, QEMU")
    demand("polling beside QEMU", "one:in4@0x2000", "one:in1@0x64", 0.5)
    demand("events beside the bare loop", "one:in4@0x2100", "one:in4@0x2200", 1.25)
    demand("QEMU after polling beside after events", "one:in1@0x64<0x2000", "one:in1@0x64<0x2100", 1.25)
    demand("4 vCPUs: polling beside events", "four:in4@0x2000", "four:in4@0x2100", 1.25)
}
/GUEST: bench / {
    for (i = 1; $i != "bench"; i++) ;
    v[$(i + 1), ++n[$(i + 1)]] = $(i + 3)
}
/^own / {
    for (i = 1; $i != "own_ns"; i++) ;
    own[++owns] = $2 == "simulator" ? "simulator, not emulated" : $2 (owns % 2 ? ", events" : ", polling")
    own_ns[owns] = "\"lower_quartile\": " $(i + 1) ", \"median\": " $(i + 2) ", \"p99\": " $(i + 3)
    own_us[owns] = sprintf("%.1f %.1f %.1f", $(i + 1) / 1000, $(i + 2) / 1000, $(i + 3) / 1000)
    if ($2 != "simulator" && $(i + 1) > worst) worst = $(i + 1)
}
END {
    printf "%-28s %10s %10s %10s\n", "kilocycles an access", "quartile", "median", "p99"
    printf "{\"machine\": \"%s\", \"unit\": \"cycles\", \"accesses_a_round\": %d, \"targets\": [", machine, count > json
    for (i = 1; i <= targets; i++) {
        t = order[i]
        if (!n[t]) { print t ": no figures"; exit 1 }
        sort_into(t, n[t])
        q[t] = at(t, 0.25)
    }
    for (i = 1; i <= targets; i++) {
        t = order[i]
        printf "%-28s %10.0f %10.0f %10.0f", label[t], q[t] / 1000, at(t, 0.5) / 1000, at(t, 0.99) / 1000
        if (other[t]) printf "   %.2f of %s", q[t] / q[other[t]], other_name[t]
        printf "\n"
        printf "%s\n  {\"target\": \"%s\", \"what\": \"%s\", \"rounds\": %d, \"lower_quartile\": %.0f, \"median\": %.0f, \"p99\": %.0f}",
            (i > 1 ? "," : ""), t, label[t], n[t], q[t], at(t, 0.5), at(t, 0.99) > json
    }
    printf "], \"own_ns\": [" > json
    print "our own time a request, us"
    for (i = 1; i <= owns; i++) {
        split(own_us[i], us)
        printf "%-28s %10s %10s %10s\n", own[i], us[1], us[2], us[3]
        printf "%s\n  {\"service\": \"%s\", %s}", (i > 1 ? "," : ""), own[i], own_ns[i] > json
    }
    printf "], \"demands\": [" > json
    print "to be reached, ratios of lower quartiles"
    for (i = 1; i <= demands; i++) {
        r = q[top[i]] / q[bottom[i]]
        printf "%-46s %.2f, at most %.2f%s\n", wanted[i], r, limit[i], (r > limit[i] ? "   MISSED" : "")
        printf "%s\n  {\"what\": \"%s\", \"ratio\": %.3f, \"at_most\": %.2f}", (i > 1 ? "," : ""), wanted[i], r, limit[i] > json
    }
    printf "],\n  \"own_us\": %.1f, \"own_us_at_most\": 5", worst / 1000 > json
    printf "%-46s %.1f us, at most 5%s\n", "our own time, the worst lower quartile", worst / 1000, (worst > 5000 ? "   MISSED" : "")
}
