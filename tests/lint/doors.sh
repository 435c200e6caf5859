#!/bin/bash
# Each foreign header may be included only by the files that tests/lint/doors names.
while read -r header files; do
    case $header in '#'* | '') continue ;; esac
    grep -rnE "^#include <(.*/)?$header>" src | while IFS=: read -r file line _; do
        for pattern in $files; do
            # shellcheck disable=SC2254
            case $file in $pattern) continue 2 ;; esac
        done
        echo "$file:$line: <$header> has another door: $files"
    done
done < tests/lint/doors
