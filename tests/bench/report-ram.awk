# SPDX-License-Identifier: BSD-2-Clause
# Guest RAM, after report.awk, whose functions it uses, and report-regions.awk, which has more rows: reads "ram NAME VALUE" lines, and prints a row for each figure with
# its limit and what stands beside it. Each is a lower quartile of its lines; in brackets, ours as a share of the other.
function row(what, name, unit) {
    ram_what[++rams] = what
    ram_name[rams] = name
    ram_unit[rams] = unit
}
# Above the next row; key: of a list of its own in the JSON, or "".
function section(title, key) {
    ram_title[rams + 1] = title
    ram_key[rams + 1] = key
}
# What the last row is compared with; the first of them by its limit.
function beside(name, what) {
    ram_beside[rams, ++ram_besides[rams]] = name
    ram_beside_what[rams, ram_besides[rams]] = what
}
# "most", "least": the figure itself; "over": what it is more than the first beside it; "share": that one's share of it, at least.
function limited(kind, value) {
    ram_kind[rams] = kind
    ram_limit[rams] = value
}
# "": it wasn't measured.
function ram_quartile(name, unit,    i) {
    if (!n["ram", name]) return ""
    i = int(n["ram", name] * 0.25 + 0.5)
    return v["ram", name, i < 1 ? 1 : i] / scale[unit]
}
function figure(x) {
    return sprintf(x < 9.995 ? "%.2f" : x < 99.95 ? "%.1f" : "%.0f", x)
}
# Tells whether row r is inside its limit, as text; sets ram_judged to what the limit is of. "": it has none.
function judge(r, value, other,    k, text, missed) {
    k = ram_kind[r]
    if (!k || value == "" || (k != "most" && k != "least" && other == "")) return ""
    ram_judged = value
    if (k == "over") ram_judged = value - other
    if (k == "share") ram_judged = other / value
    missed = k == "share" || k == "least" ? ram_judged < ram_limit[r] : ram_judged > ram_limit[r]
    text = (k == "least" ? "at least " : "at most ") ram_limit[r]
    if (k == "over") text = sprintf("%+.1f, at most +%d", ram_judged, ram_limit[r])
    if (k == "share") text = sprintf("%.2f, at least %.2f", ram_judged, ram_limit[r])
    return text (missed ? " MISSED" : "")
}
function missing(name) {
    return name ~ /^vm-memory/ && peer_missing ? peer_missing : "not measured"
}
# What stands beside row r, as text.
function others(r, value, unit,    i, x, text) {
    for (i = 1; i <= ram_besides[r]; i++) {
        x = ram_quartile(ram_beside[r, i], unit)
        text = text (i > 1 ? ", " : "") ram_beside_what[r, i] " " (x == "" ? missing(ram_beside[r, i]) : figure(x))
        if (x > 0 && value != "") text = text sprintf(" (%.2f)", value / x)
    }
    return text
}
function number(x) {
    return x == "" ? "null" : sprintf("%.3f", x)
}
function others_json(r, unit,    i, text) {
    for (i = 1; i <= ram_besides[r]; i++)
        text = text (i > 1 ? ", " : "") sprintf("{\"what\": \"%s\", \"value\": %s}",
            ram_beside_what[r, i], number(ram_quartile(ram_beside[r, i], unit)))
    return text
}
BEGIN {
    scale["ns"] = 1; scale["us"] = 1000; scale["ms"] = 1000000; scale["KiB"] = 1024; scale["B"] = 1; scale[""] = 1
    section("\nguest RAM; random addresses over 64 MiB, 256 regions", "ram")
    row("8-byte load", "load", "ns"); limited("most", 10)
    beside("plain_load", "plain load"); beside("vm-memory.load", "vm-memory's load"); beside("vm-memory.read_obj", "its read_obj")
    row("8-byte load, in cache", "load.hot", "ns"); limited("most", 10)
    beside("plain_load.hot", "plain load"); beside("vm-memory.load.hot", "vm-memory's load")
    beside("vm-memory.read_obj.hot", "its read_obj")
    row("gasp_region_info, in cache", "lookup.hot", "ns"); beside("vm-memory.find_region.hot", "vm-memory's find_region")
    row("512-byte read", "read512", "ns"); limited("over", 25)
    beside("memcpy512", "memcpy"); beside("vm-memory.read512", "vm-memory")
    row("512-byte read, in cache", "read512.hot", "ns"); limited("over", 25)
    beside("memcpy512.hot", "memcpy"); beside("vm-memory.read512.hot", "vm-memory")
    row("512-byte write", "write512", "ns"); limited("over", 25)
    beside("memcpyto512", "memcpy"); beside("vm-memory.write512", "vm-memory")
    row("64 KiB read", "read64k", "ns"); limited("share", 0.95)
    beside("memcpy64k", "memcpy"); beside("vm-memory.read64k", "vm-memory")
    row("64 KiB write", "write64k", "ns"); limited("share", 0.95)
    beside("memcpyto64k", "memcpy"); beside("vm-memory.write64k", "vm-memory")
    row("1 MiB read, one region", "read1m", "us"); limited("share", 0.95); beside("memcpy1m", "memcpy")
    row("1 MiB write, one region", "write1m", "us"); limited("share", 0.95); beside("memcpyto1m", "memcpy")
    row("8-byte load, in cache, a thread a CPU", "load.hot.all", "ns"); beside("load.hot.one", "one thread")
    row("  plain load", "plain_load.hot.all", "ns"); beside("plain_load.hot.one", "one thread")
    row("512-byte read, a thread a CPU", "read512.all", "ns"); beside("read512.one", "one thread")
    row("  memcpy", "memcpy512.all", "ns"); beside("memcpy512.one", "one thread")
    row("allocate, 100,000 live", "allocate.100000", "ns"); limited("most", 1000); beside("allocate.1000", "1,000 live")
    row("free, 100,000 live", "free.100000", "ns"); limited("most", 1000); beside("free.1000", "1,000 live")
    row("bookkeeping for a GiB", "sim.bookkeeping", "KiB"); limited("most", 64)
    section("on Xen", "")
    row("first touch of 2 MiB", "xen.touch", "ms"); beside("xen.touch.pages", "512 single maps")
    row("  mapping calls", "xen.touch.calls", ""); limited("most", 1)
    row("populate 2 MiB", "xen.populate", "ms"); beside("xen.populate.pages", "512 single pages")
    for (r = 64; r <= 256; r *= 4) {
        row("register " r " MiB", "xen.register" r, "ms")
        row("  populate", "xen.register" r ".populate", "ms"); beside("xen.register" r, "all of it")
        row("  map, to look and to zero", "xen.register" r ".map", "ms"); beside("xen.register" r, "all of it")
        row("  unmap", "xen.register" r ".unmap", "ms"); beside("xen.register" r, "all of it")
        row("  zero", "xen.register" r ".zero", "ms"); beside("xen.register" r, "all of it")
        row("  limits", "xen.register" r ".limits", "ms"); beside("xen.register" r, "all of it")
        row("  populate calls", "xen.register" r ".calls", ""); limited("most", 4)
        row("  extents", "xen.register" r ".extents", ""); limited("most", r / 2 + 2)
        row("  first touch of all, later", "xen.register" r ".touch", "ms"); beside("xen.register" r, "register")
    }
}
$1 == "peer" && $3 == "not" {
    peer_missing = $3 " " $4
}
$1 == "ram" {
    v["ram", $2, ++n["ram", $2]] = $3
}
END {
    for (name in n) {
        split(name, part, SUBSEP)
        if (part[1] == "ram") sort_into(name, n[name])
    }
    for (r = 1; r <= rams; r++) {
        if (ram_title[r]) print ram_title[r]
        if (ram_key[r]) printf "%s,\n\"%s\": [", (r > 1 ? "]" : ""), ram_key[r] > json
        unit = ram_unit[r]
        value = ram_quartile(ram_name[r], unit)
        text = judge(r, value, ram_besides[r] ? ram_quartile(ram_beside[r, 1], unit) : "")
        printf "%-38s %7s %-3s  %-26s  %s\n", ram_what[r], (value == "" ? "-" : unit == "" ? value : figure(value)), unit,
            text, others(r, value, unit)
        printf "%s\n  {\"what\": \"%s\", \"name\": \"%s\", \"unit\": \"%s\", \"rounds\": %d, \"lower_quartile\": %s, \"beside\": [%s]",
            (ram_key[r] ? "" : ","), ram_what[r], ram_name[r], unit, n["ram", ram_name[r]], number(value), others_json(r, unit) > json
        if (text) printf ", \"limit\": {\"kind\": \"%s\", \"of\": %.3f, \"is\": %s}", ram_kind[r], ram_judged, ram_limit[r] > json
        printf "}" > json
    }
    print "]}" > json
    print "on: " machine
}
