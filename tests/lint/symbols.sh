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
    [ "$(uname -m)" = x86_64 ] || continue
    code=$(objdump -d --no-show-raw-insn "$object")
    grep -qE '%(xmm|r[0-9a-z]+)' <<<"$code" || echo "$object: nothing could be read"
    ! grep -qE '%[yz]mm|[[:space:]]v[a-z]+[a-z0-9]*[[:space:]]+%' <<<"$code" ||
        echo "$object: level base contains AVX instructions"
done
