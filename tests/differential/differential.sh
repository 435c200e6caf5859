#!/bin/bash
# differential.sh BUILD - random models of every operator here and in ONNX Runtime, then the light models.
# ONNX Runtime is the npm package onnxruntime-node: found through NODE_PATH, else installed once into
# build/node_modules; without node, npm or the package the test is skipped with a line.
set -u
build=$1
here=$(dirname "$0")
export NODE_PATH="${NODE_PATH:+$NODE_PATH:}$PWD/build/node_modules"
there() { node -e 'require("onnxruntime-node")' 2>/dev/null; }
skip() {
    echo "skipped: $1"
    echo "0 passed, 0 failed, 1 skipped"
    [ "${REQUIRE_SHARED:-0}" != 1 ]
    exit
}
command -v node >/dev/null || skip "no node"
if ! there; then
    mkdir -p build
    npm install --prefix build --no-save --silent --ignore-scripts onnxruntime-node >/dev/null 2>&1
    there || skip "the npm package onnxruntime-node is not to be had"
fi
light=${PERCEPTD_SHARED:-../shared}/onnx/light.tar.gz
folder=
if [ -e "$light" ]; then
    mkdir -p "$build/light"
    tar -xzf "$light" -C "$build/light" && folder=$build/light/light
else
    echo "skipped: no light models at $light"
fi
"$build/differential" "$here/ort.js" "$build/differential-found" ${folder:+"$folder"}
