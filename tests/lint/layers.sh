#!/bin/bash
# An include names its layer; a layer may include itself and those below it (docs/design.md, layers).
awk '
BEGIN {
    below["base"] = "base"
    below["kernel"] = "base kernel"
    below["graph"] = "base graph"
    below["op"] = "base kernel graph op"
    below["engine"] = "base kernel graph op engine"
    below["serve"] = "base serve"
    below["http"] = "base serve http"
    below["command"] = "base serve http command options.h sd.h"
    below["."] = "base serve http command options.h options.def sd.h"
}
/^#include "/ {
    split($2, q, "\"")
    target = q[2]
    if (target == "percept.h") next
    n = split(FILENAME, f, "/")
    layer = n == 2 ? "." : f[2]
    m = split(target, t, "/")
    wanted = m == 1 ? target : t[1]
    if (index(" " below[layer] " ", " " wanted " ") == 0)
        print FILENAME ":" FNR ": layer " layer " may not include \"" target "\""
}' $(find src -name '*.[ch]' -o -name '*.def')
