#!/bin/bash
# Every member of the tables of kernels is called (or, a number, read) through a table by a test of tests/kernel. That
# they are there, which pick.c asserts, is no test of what they do.
header=src/kernel/kernel.h
tests=$(ls tests/kernel/*.c | grep -v '/pick\.c$')
functions=$(grep -oE '\(\*[a-z][a-z0-9_]*\)\(' "$header" | tr -d '(*)')
numbers=$(sed -nE '/^struct [a-z_]*kernels \{/,/^\};/s/^    (int|int64_t|size_t|bool) ([a-z][a-z0-9_]*);.*/\2/p' "$header")
[ -n "$functions" ] || echo "$header: no table of kernels was found"
for name in $functions; do
    grep -qE -- "(->|\.)$name\(" $tests || echo "$header: no test in tests/kernel calls $name"
done
for name in $numbers; do
    grep -qE -- "(->|\.)$name\b" $tests || echo "$header: no test in tests/kernel reads $name"
done
