#!/bin/bash
# Every member of every family of kernels is called (or, a number, read) through its table by a test of tests/kernel.
# That they are there, which pick.c asserts, is no test of what they do.
header=src/kernel/kernel.h
tests=$(ls tests/kernel/*.c | grep -v '/pick\.c$')
families=$(sed -nE 's/^#define KERNELS_FAMILIES\(X\) //p' "$header" | grep -oE '\([a-z]+\)' | tr -d '()')
[ -n "$families" ] || echo "$header: no family was found"
for family in $families; do
    table=$(sed -n "/^struct ${family}_kernels {/,/^};/p" "$header")
    functions=$(grep -oE '\(\*[a-z][a-z0-9_]*\)\(' <<<"$table" | tr -d '(*)')
    numbers=$(sed -nE 's/^    (int|int64_t|size_t|bool) ([a-z][a-z0-9_]*);.*/\2/p' <<<"$table" | grep -vx width)
    [ -n "$functions" ] || echo "$header: the family $family has no table"
    for name in $functions; do
        grep -qE -- "->$family->$name\(" $tests || echo "$header: no test in tests/kernel calls $family->$name"
    done
    for name in $numbers; do
        grep -qE -- "->$family->$name\b" $tests || echo "$header: no test in tests/kernel reads $family->$name"
    done
    grep -qE "^    const struct ${family}_kernels \*$family;" "$header" || echo "$header: struct kernels lacks $family"
done
