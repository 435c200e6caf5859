#!/bin/bash
# The library exports percept_* alone, a family of kernels its table alone; level base stays below AVX.
nm -g --defined-only "$BUILD/libpercept.a" | awk 'NF == 3 && $3 !~ /^percept_/ {print "libpercept.a exports " $3}'
ls "$BUILD"/src/kernel/kernels.*.*.o >/dev/null || echo "no family of kernels was built"
for object in "$BUILD"/src/kernel/kernels.*.*.o; do
    table=${object##*/}
    table=${table%.o}
    nm -g --defined-only "$object" |
        awk -v table="${table//./_}" 'NF == 3 && $3 != table {print "the object of " table " exports " $3}'
done
for object in "$BUILD"/src/kernel/kernels.*.base.o; do
    [ "$(uname -m)" != x86_64 ] || ! objdump -d "$object" | grep -qE '%[yz]mm' ||
        echo "$object: level base contains AVX instructions"
done
