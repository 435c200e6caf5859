#!/bin/bash
# No function over 60 lines.
awk '
FNR == 1 { name = "" }
/^[a-z].*\(/ && !/;$/ { candidate = $0; at = FNR }
/^\{/ { name = candidate; start = FNR }
/^\}/ {
    if (name != "" && FNR - start > 60)
        print FILENAME ":" at ": " FNR - start " lines: " substr(name, 1, 70)
    name = ""
}' $(find src -name '*.[ch]')
