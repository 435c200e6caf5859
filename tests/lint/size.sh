#!/bin/bash
# The stripped binary is at most 6 MB, the shipped models at most 25 MB.
case $BUILD in *release*) ;; *) exit 0 ;; esac
copy=$(mktemp)
strip -o "$copy" "$BUILD/perceptd"
size=$(stat -c %s "$copy")
rm -f "$copy"
[ "$size" -le 6000000 ] || echo "perceptd is $size bytes stripped, more than 6000000"
models=$(du -sb models | cut -f1)
[ "$models" -le 25000000 ] || echo "models/ is $models bytes, more than 25000000"
