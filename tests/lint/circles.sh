#!/bin/bash
# Within a folder files include each other in one direction: X.c and X.h together are one node, and a circle of
# nodes is a finding unless it is a line of exceptions, `circle FOLDER X Y ...  why`, its files in the order of names.
awk -v exceptions=tests/lint/exceptions '
BEGIN {
    while ((getline line < exceptions) > 0) {
        if (split(line, part, /  +/) < 2 || part[1] !~ /^circle /)
            continue
        known[substr(part[1], 8)] = 1
    }
}
FNR == 1 {
    n = split(FILENAME, f, "/")
    folder = f[2]
    from = f[n]
    sub(/\.[^.]*$/, "", from)
    folders[folder] = 1
    nodes[folder] = index(nodes[folder] " ", " " from " ") ? nodes[folder] : nodes[folder] " " from
}
/^#include "/ {
    split($2, q, "\"")
    if (split(q[2], t, "/") != 2 || t[1] != folder)
        next
    sub(/\.[^.]*$/, "", t[2])
    if (t[2] != from)
        reach[folder, from, t[2]] = 1
}
# All nodes that are reached from x and reach it, sorted: nodes come in the order of names.
function circle_of(folder, x, n, node, i, text) {
    text = ""
    for (i = 1; i <= n; i++)
        if (node[i] == x || (((folder, x, node[i]) in reach) && ((folder, node[i], x) in reach)))
            text = text " " node[i]
    return folder text
}
END {
    for (folder in folders) {
        n = split(nodes[folder], node, " ")
        for (k = 1; k <= n; k++)
            for (i = 1; i <= n; i++)
                if ((folder, node[i], node[k]) in reach)
                    for (j = 1; j <= n; j++)
                        if ((folder, node[k], node[j]) in reach)
                            reach[folder, node[i], node[j]] = 1
        for (i = 1; i <= n; i++) {
            text = (folder, node[i], node[i]) in reach ? circle_of(folder, node[i], n, node) : ""
            if (text == "" || text in seen)
                continue
            seen[text] = 1
            if (!(text in known))
                print "src/" folder ": these include each other in a circle: " substr(text, length(folder) + 2)
        }
    }
    for (text in known)
        if (!(text in seen))
            print exceptions ": there is no circle " text " any more"
}' $(find src -mindepth 2 \( -name '*.[ch]' -o -name '*.def' \) | sort)
