#!/bin/bash
# The stripped binary is at most 2 MB, the shipped models at most 10 MB.
case $BUILD in *release*) ;; *) exit 0 ;; esac
copy=$(mktemp)
strip -o "$copy" "$BUILD/perceptd"
size=$(stat -c %s "$copy")
rm -f "$copy"
[ "$size" -le 2000000 ] || echo "perceptd is $size bytes stripped, more than 2000000"
models=$(du -sb models | cut -f1)
[ "$models" -le 10000000 ] || echo "models/ is $models bytes, more than 10000000"
