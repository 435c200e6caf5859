#!/bin/bash
# Sources are as clang-format leaves them, and banners of sections have one form.
files=$(find src include tests -name '*.[ch]')
if command -v clang-format >/dev/null; then
    clang-format --dry-run $files 2>&1 | grep -E 'warning:|error:' | sed 's/: warning.*/: not as make format leaves it/' |
        sort -u
else
    [ "${REQUIRE_FORMAT:-0}" = 0 ] || echo "there is no clang-format to ask"
fi
awk 'length($0) > 120 {print FILENAME ":" FNR ": " length($0) " columns; 120 are the limit"}
     /^\/\* --/ && !/^\/\* --- [^ ].* -+( \*\/)?$/ {print FILENAME ":" FNR ": a banner is /* --- title ---...--- */"}' $files
