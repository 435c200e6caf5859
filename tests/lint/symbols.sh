#!/bin/bash
# The library exports percept_* alone, a row of kernels its table alone; the base row stays below AVX.
nm -g --defined-only "$BUILD/libpercept.a" | awk 'NF == 3 && $3 !~ /^percept_/ {print "libpercept.a exports " $3}'
for object in "$BUILD"/src/kernel/kernels.*.o; do
    row=${object##*/kernels.}
    row=${row%.o}
    nm -g --defined-only "$object" | awk -v row="kernels_$row" 'NF == 3 && $3 != row {print "row object exports " $3}'
done
if [ "$(uname -m)" = x86_64 ] && objdump -d "$BUILD/src/kernel/kernels.base.o" | grep -qE '%[yz]mm'; then
    echo "src/kernel/kernels.c: the base row contains AVX instructions"
fi
