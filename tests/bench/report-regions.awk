# SPDX-License-Identifier: BSD-2-Clause
# The map of regions: rows before those of report-ram.awk, whose functions it uses. Names are gasp-sim.c's.
function lookups(n, text, most) {
    row("lookup, " text, "lookup." n ".scattered", "ns"); limited("most", most)
    beside("lookup." n ".adjacent", "adjacent")
    if (n == 256) beside("vm-memory.find_region.hot", "vm-memory's find_region")
    beside("search." n ".scattered", "plain binary search")
    row("  each after the last one's result", "lookup-in-turn." n ".scattered", "ns"); beside("lookup." n ".scattered", "the above")
    row("  gasp_region_info", "info." n ".scattered", "ns"); beside("lookup." n ".scattered", "lookup")
}
function thousands(x) {
    return x < 1000 ? x : int(x / 1000) "," sprintf("%03d", x % 1000)
}
function grow(what, name, unit,    k) {
    for (k = 16; k <= 4096; k *= 4) {
        row((k == 16 ? what " " : sprintf("%*s", length(what) + 1, "")) "with " thousands(k), name "." k ".scattered", unit)
        beside(name "." k ".adjacent", "adjacent")
    }
}
BEGIN {
    section("\nthe map of an address space; scattered regions, random addresses, no time of the hypervisor's", "regions")
    lookups(256, "256 regions", 10)
    lookups(4096, "4,096 regions", 20)
    row("set + delete, 256 regions", "set_delete.256.scattered", "us"); limited("most", 5)
    beside("set_delete.256.adjacent", "adjacent"); beside("set_delete.16.scattered", "16 regions")
    row("set + delete, 4,096 regions", "set_delete.4096.scattered", "us"); limited("most", 20)
    beside("set_delete.4096.adjacent", "adjacent"); beside("set_delete.256.scattered", "256 regions")
    row("  1,024 regions that trap", "set_delete.1024.trapping", "us"); beside("set_delete.1024.scattered", "that don't")
    row("find_free behind 4,096 regions", "find_free.4096.adjacent", "us"); limited("most", 5)
    beside("find_free.4096.scattered", "scattered"); beside("find_free.256.adjacent", "256 regions")
    for (k = 256; k <= 4096; k *= 16) {
        row("lookups beside changes, " thousands(k) " regions", "disturbed." k ".scattered", ""); limited("least", 0.9)
        beside("disturbed." k ".adjacent", "adjacent"); beside("disturbed-elsewhere." k ".scattered", "changes of another guest's map")
    }
    row("memory a region, 4,096 regions", "memory.4096.scattered", "B"); limited("most", 128)
    beside("memory.256.scattered", "256 regions"); beside("memory.1024.trapping", "1,024 that trap")
    row("  for each further map in use", "memory-view.4096.scattered", "B"); beside("memory-view.256.scattered", "256 regions")
    grow("lookup", "lookup", "ns")
    grow("set + delete", "set_delete", "us")
    grow("find_free", "find_free", "us")
}
