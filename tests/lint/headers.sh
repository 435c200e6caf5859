#!/bin/bash
# Every header compiles alone; percept.h also as C++ where a C++ compiler is there.
command -v gcc >/dev/null || echo "there is no gcc to compile headers with"
for header in include/*.h $(find src -name '*.h'); do
    case $header in src/kernel/kernel.h) ;; src/kernel/*) continue ;; esac # parts of kernels.c
    echo "#include \"$header\"" |
        gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Iinclude -Isrc -I. -fsyntax-only -x c - 2>&1 |
        grep -E 'error|warning' | head -2 | sed "s|^|$header does not compile alone: |"
done
if command -v g++ >/dev/null; then
    echo '#include "percept.h"' | g++ -Wall -Wextra -Iinclude -fsyntax-only -x c++ - 2>&1 | head -3
fi
