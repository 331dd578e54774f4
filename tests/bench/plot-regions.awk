# SPDX-License-Identifier: BSD-2-Clause
# How the map of regions grows, as an SVG: reads gasp-sim's "ram NAME.REGIONS.LAYOUT NANOSECONDS" lines, of each the lower
# quartile. -v machine=TEXT. Both axes are logarithmic; a bar is a limit.
function series(name, what) {
    names[++n_series] = name
    label[name] = what
}
function limit_of(name, regions, ns) {
    limit[name, regions] = ns
}
function quartile(key,    i, j, t, a) {
    for (i = 1; i <= n[key]; i++) {
        t = v[key, i]
        for (j = i - 1; j >= 1 && a[j] > t; j--) a[j + 1] = a[j]
        a[j + 1] = t
    }
    i = int(n[key] * 0.25 + 0.5)
    return a[i < 1 ? 1 : i]
}
function escape(text) {
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text)
    return text
}
function x_of(regions) {
    return left + (log(regions) - log(16)) / (log(4096) - log(16)) * (right - left)
}
function y_of(ns) {
    return bottom - (log(ns) - log(low)) / (log(high) - log(low)) * (bottom - top)
}
function thousands(x) {
    return x < 1000 ? x "" : int(x / 1000) "," sprintf("%03d", x % 1000)
}
# With the unit that suits it; digits: behind the point, for small figures.
function time_text(ns, digits,    unit) {
    unit = ns < 1000 ? " ns" : ns < 1000000 ? " µs" : " ms"
    ns = ns < 1000 ? ns : ns < 1000000 ? ns / 1000 : ns / 1000000
    return sprintf(ns < 9.95 && digits ? "%.1f" : "%.0f", ns) unit
}
function text(class, x, y, what) {
    printf "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, x, y, what
}
function line(class, x1, y1, x2, y2) {
    printf "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2
}
# Each colour said as it is: not all viewers know CSS's variables.
function colours(paper, ink, quiet, grid, fine, of,    s, c) {
    split(of, c, " ")
    printf ".paper { fill: %s; } text { fill: %s; } .title { fill: %s; }\n", paper, quiet, ink
    printf ".grid { stroke: %s; } .fine { stroke: %s; } .edge, .sample { stroke: %s; }\n", grid, fine, quiet
    for (s = 1; s <= n_series; s++)
        printf ".s%d { stroke: %s; } circle.s%d { fill: %s; } circle.scattered.s%d { fill: %s; } .name%d { fill: %s; }\n",
            s, c[s], s, c[s], s, paper, s, c[s]
}
function style() {
    print "<style>"
    print "text { font: 13px system-ui, sans-serif; } .title { font-size: 18px; font-weight: 600; }"
    print ".tick-y { text-anchor: end; } .tick-x, .axis { text-anchor: middle; } .name1, .name2, .name3 { font-weight: 600; }"
    print ".sample { stroke-width: 2; } .limit { stroke-width: 5; stroke-opacity: 0.4; }"
    print "polyline { fill: none; stroke-width: 2; stroke-linejoin: round; } circle { stroke-width: 1.5; }"
    print "line.scattered, polyline.scattered { stroke-dasharray: 6 4; }"
    colours("#ffffff", "#1f2328", "#59636e", "#d9dee3", "#eff2f5", "#1b64c8 #00795c #b8430b")
    print "@media (prefers-color-scheme: dark) {"
    colours("#14181d", "#e6eaef", "#9aa5b1", "#363e48", "#212830", "#74adff #43cfa3 #ff9c63")
    print "}"
    print "</style>"
}
# Decades, and fine lines at their doubles and fives.
function grid(    ns, k) {
    for (ns = 1; ns <= high; ns *= 10) {
        for (k = 2; k <= 5; k += 3)
            if (k * ns >= low && k * ns < high) line("fine", left, y_of(k * ns), right, y_of(k * ns))
        if (ns < low) continue
        line("grid", left, y_of(ns), right, y_of(ns))
        text("tick-y", left - 10, y_of(ns) + 4.5, time_text(ns, 0))
    }
    for (k = 16; k <= 4096; k *= 4) {
        line("grid", x_of(k), top, x_of(k), bottom + 5)
        text("tick-x", x_of(k), bottom + 22, thousands(k))
    }
    line("edge", left, bottom, right, bottom)
    text("axis", (left + right) / 2, bottom + 46, "regions in the address space")
    printf "<text class=\"axis\" transform=\"translate(20 %.1f) rotate(-90)\">time for each, logarithmic</text>\n", (top + bottom) / 2
}
function curve(s, layout,    k, points, dots) {
    for (k = 16; k <= 4096; k *= 4) {
        if (!n[names[s], k, layout]) continue
        points = points sprintf("%s%.1f,%.1f", (points ? " " : ""), x_of(k), y_of(q[names[s], k, layout]))
        dots = dots sprintf("<circle class=\"s%d %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"><title>%s, %s %s regions: %s</title></circle>\n",
            s, layout, x_of(k), y_of(q[names[s], k, layout]), label[names[s]], thousands(k), layout, time_text(q[names[s], k, layout], 1))
    }
    printf "<polyline class=\"s%d %s\" points=\"%s\"/>\n%s", s, layout, points, dots
}
function worst(s, k,    a, b) {
    a = q[names[s], k, "adjacent"]; b = q[names[s], k, "scattered"]
    return a > b ? a : b
}
# Beside the lines' ends, each two lines of text, kept apart.
function end_labels(    s, t, y, other, moved) {
    for (s = 1; s <= n_series; s++) y[s] = y_of(worst(s, 4096))
    do {
        moved = 0
        for (s = 1; s <= n_series; s++)
            for (t = 1; t <= n_series; t++)
                if (s != t && y[s] <= y[t] && y[t] - y[s] < 38) {
                    if (y[s] == y[t] && s > t) continue
                    y[t] += 1; y[s] -= 1; moved = 1
                }
    } while (moved)
    for (s = 1; s <= n_series; s++) {
        text("name" s, right + 16, y[s] - 2, label[names[s]])
        text("value", right + 16, y[s] + 15, time_text(worst(s, 4096), 1) " at 4,096")
    }
}
BEGIN {
    series("lookup", "lookup"); limit_of("lookup", 256, 10); limit_of("lookup", 4096, 20)
    series("find_free", "find_free"); limit_of("find_free", 4096, 5000)
    series("set_delete", "set + delete"); limit_of("set_delete", 256, 5000); limit_of("set_delete", 4096, 20000)
    left = 88; right = 600; top = 92; bottom = 452
    low = 5; high = 10000
}
$1 == "ram" {
    split($2, part, ".")
    if (!(part[1] in label) || part[2] !~ /^[0-9]+$/) next
    v[part[1], part[2], part[3], ++n[part[1], part[2], part[3]]] = $3
}
END {
    for (key in n) {
        q[key] = quartile(key)
        if (q[key] < low) low = 1
        while (q[key] > high) high *= 10
    }
    if (!n["lookup", 4096, "scattered"]) { print "plot-regions: no figures" > "/dev/stderr"; exit 1 }
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 540\" width=\"760\" height=\"540\" role=\"img\" aria-labelledby=\"t d\">"
    print "<title id=\"t\">What the map of regions costs as it grows</title>"
    printf "<desc id=\"d\">Time against 16 to 4,096 regions. "
    for (s = 1; s <= n_series; s++)
        printf "%s: %s with 16 regions, %s with 4,096. ", label[names[s]], time_text(worst(s, 16), 1), time_text(worst(s, 4096), 1)
    print "</desc>"
    style()
    print "<rect width=\"760\" height=\"540\" class=\"paper\"/>"
    text("title", 24, 34, "What the map of regions costs as it grows")
    line("sample", 24, 58, 56, 58)
    text("value", 64, 62.5, "adjacent regions")
    line("sample scattered", 190, 58, 222, 58)
    text("value", 230, 62.5, "scattered ones")
    line("sample limit", 344, 58, 366, 58)
    text("value", 374, 62.5, "limit, at most")
    grid()
    for (s = 1; s <= n_series; s++) {
        for (k = 16; k <= 4096; k *= 4)
            if (limit[names[s], k]) line("limit s" s, x_of(k) - 11, y_of(limit[names[s], k]), x_of(k) + 11, y_of(limit[names[s], k]))
        curve(s, "adjacent")
        curve(s, "scattered")
    }
    end_labels()
    if (machine) text("value", 24, 526, "Without the hypervisor's time; lower quartiles. " escape(machine))
    print "</svg>"
}
