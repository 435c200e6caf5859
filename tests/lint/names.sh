#!/bin/bash
# A function that other files see begins with its file's name; the library's public ones with percept_.
for source in $(find src -mindepth 2 -name '*.c'); do
    base=${source##*/}
    base=${base%.c}
    object=$BUILD/${source%.c}.o
    [ -f "$object" ] || continue
    nm -g --defined-only "$object" | awk 'NF == 3 && ($2 == "T" || $2 == "R" || $2 == "D") {print $3}' |
        while read -r symbol; do
            case $symbol in "$base"_* | "$base" | percept_* | op_*) continue ;; esac
            grep -qE "^name $symbol( |$)" tests/lint/exceptions || echo "$source: $symbol should begin with ${base}_"
        done
done
