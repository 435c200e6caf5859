#!/bin/bash
# loops.sh BINARY SHARED - an encoder and a decoder over HTTP beside a lone loop over the same two files in ONNX Runtime
# (the npm package onnxruntime-node). NODE_MODULES names the folder with it; otherwise npm fetches it into a folder that is
# gone afterwards.
set -u
binary=$1 shared=$2
here=$(cd "$(dirname "$0")" && pwd)
skip() { echo "skipped: $1, so loops were not compared"; exit 0; }

[ -f "$shared/models/g2p_enc/model.onnx" ] && [ -d "$shared/data/names" ] || skip "there is no g2p_enc in $shared/models, or no names"
command -v node >/dev/null || skip "there is no node"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
modules=${NODE_MODULES:-}
if [ -z "$modules" ]; then
    command -v npm >/dev/null || skip "there is no npm"
    (cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node) >/dev/null 2>&1 ||
        skip "npm cannot fetch onnxruntime-node"
    modules=$folder/node_modules
fi
NODE_PATH=$modules node -e 'require("onnxruntime-node")' 2>/dev/null || skip "the package onnxruntime-node cannot be used"
NODE_PATH=$modules node "$here/loops.js" "$binary" "$shared" "$folder" "$here/../../models/gallery/g2p/manifest.json"
