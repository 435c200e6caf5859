#!/bin/bash
# peers.sh PEERS BUILD MODELS - the networks of nets.py, then the trained models with stored cases, here and in ONNX
# Runtime (the npm package onnxruntime-node; ORT=FOLDER/node_modules says where it is).
#
# NETS=FOLDER takes other .onnx files than those that nets.py writes to BUILD/nets, once.
set -u
peers=$1 build=$2 models=$3
here=$(cd "$(dirname "$0")" && pwd)
library=
for folder in ${ORT:-} node_modules ../node_modules /usr/lib/node_modules /usr/local/lib/node_modules; do
    found=$(ls "$folder"/onnxruntime-node/bin/napi-v*/linux/"$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')"/libonnxruntime.so.1 \
        2>/dev/null | tail -n 1)
    [ -n "$found" ] && library=$found && break
done
if [ -z "$library" ]; then
    echo "skipped: no npm package onnxruntime-node: npm install onnxruntime-node, then ORT=FOLDER/node_modules"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
nets=${NETS:-$build/nets}
if [ ! -d "$nets" ] && ! /usr/bin/python3 "$here/nets.py" "$nets"; then
    echo "not run: the networks of nets.py (python3-torch, python3-torchvision)" >&2
    nets=
fi
[ -d "$models" ] || models=
exec "$peers" "$library" $nets $models
