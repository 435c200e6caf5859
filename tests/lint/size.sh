#!/bin/bash
# The binary as `make` leaves it, and as install and the image take it, is as small as README says and has its symbols
# beside it; the shipped models are at most 25 MB.
case $BUILD in *release*) ;; *) exit 0 ;; esac
most=$(sed -nE 's/.*One binary below ([0-9]+) MB.*/\1/p' README.md)
size=$(stat -c %s "$BUILD/perceptd")
[ -n "$most" ] || echo "README.md does not say how small the binary is"
[ "$size" -lt "$((${most:-0} * 1000000))" ] || echo "perceptd is $size bytes, README.md says below $most MB"
[ -f "$BUILD/perceptd.debug" ] || echo "$BUILD/perceptd.debug is missing"
readelf -p .gnu_debuglink "$BUILD/perceptd" 2>/dev/null | grep -qF perceptd.debug || echo "perceptd does not name perceptd.debug"
models=$(du -sb models | cut -f1)
[ "$models" -le 25000000 ] || echo "models/ is $models bytes, more than 25000000"
