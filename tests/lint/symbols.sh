#!/bin/bash
# The library exports percept_* alone, a level of kernels its table alone; the base level stays below AVX.
nm -g --defined-only "$BUILD/libpercept.a" | awk 'NF == 3 && $3 !~ /^percept_/ {print "libpercept.a exports " $3}'
for object in "$BUILD"/src/kernel/kernels.*.o; do
    level=${object##*/kernels.}
    level=${level%.o}
    nm -g --defined-only "$object" | awk -v level="kernels_$level" 'NF == 3 && $3 != level {print "level object exports " $3}'
done
if [ "$(uname -m)" = x86_64 ] && objdump -d "$BUILD/src/kernel/kernels.base.o" | grep -qE '%[yz]mm'; then
    echo "src/kernel/kernels.c: the base level contains AVX instructions"
fi
