#!/bin/bash
# Identifiers and files that were renamed do not come back: tests/lint/words.
code() { # C without comments and strings, "file:line: text"
    find src include -name '*.[ch]' -o -name '*.def' | sort | xargs awk '
        FNR == 1 { open = 0 }
        { line = $0; gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
          out = ""
          while (line != "") {
              if (open) { at = index(line, "*/"); if (!at) { line = ""; break }; line = substr(line, at + 2); open = 0 }
              else { at = index(line, "/*"); if (!at) { out = out line; break }; out = out substr(line, 1, at - 1); line = substr(line, at + 2); open = 1 }
          }
          if (out != "") print FILENAME ":" FNR ": " out }'
}
code >"${TMPDIR:-/tmp}/words.$$"
grep -vE '^(#|$)' tests/lint/words | while read -r old new; do
    grep -E ":[0-9]+: .*(^|[^a-zA-Z0-9_])$old($|[^a-zA-Z0-9_])" "${TMPDIR:-/tmp}/words.$$" |
        sed -E "s#^([^:]+:[0-9]+):.*#\1: '$old' is said otherwise now: $new#"
done
rm -f "${TMPDIR:-/tmp}/words.$$"
for file in src/serve/ink.c; do
    [ ! -e "$file" ] || echo "$file: the name was given up"
done
