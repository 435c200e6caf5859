#!/bin/bash
# The binary as `make` leaves it, and as install and the image take it, is at most 6 MB, within 5 % as large as README
# says, and has its symbols beside it; the shipped models are at most 25 MB.
case $BUILD in *release*) ;; *) exit 0 ;; esac
said=$(sed -nE 's/.*One binary of ([0-9]+\.[0-9]) MB.*/\1/p' README.md)
size=$(stat -c %s "$BUILD/perceptd")
[ "$size" -le 6000000 ] || echo "perceptd is $size bytes, more than 6000000"
if [ -z "$said" ]; then
    echo "README.md does not say how small the binary is"
elif ! awk -v size="$size" -v said="$said" 'BEGIN {off = size / (said * 1e6) - 1; exit !(off <= .05 && off >= -.05)}'; then
    echo "perceptd is $size bytes, README.md says $said MB: that is off by more than 5 %"
fi
[ -f "$BUILD/perceptd.debug" ] || echo "$BUILD/perceptd.debug is missing"
readelf -p .gnu_debuglink "$BUILD/perceptd" 2>/dev/null | grep -qF perceptd.debug || echo "perceptd does not name perceptd.debug"
models=$(du -sb models | cut -f1)
[ "$models" -le 25000000 ] || echo "models/ is $models bytes, more than 25000000"
