#!/bin/bash
# conformance.sh BUILD [PATH] - unpacks a tar if need be and runs the conformance program over the folder.
# PATH: a folder of SUITE/TEST folders or a tar of one; default: the shared conformance set.
set -eu
build=$1
path=${2:-}
here=$(dirname "$0")
if [ -z "$path" ]; then path=${PERCEPTD_SHARED:-../shared}/onnx/conformance.tar.gz; fi
if [ ! -e "$path" ]; then
    echo "skipped: no conformance set at $path"
    echo "0 passed, 0 failed, 1 skipped"
    [ "${REQUIRE_SHARED:-0}" != 1 ]
    exit
fi
folder=$path
if [ -f "$path" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    tar -xf "$path" -C "$folder"
    # the suites may lie one folder down
    while [ "$(ls "$folder" | wc -l)" = 1 ] && [ ! -e "$folder"/*/*/model.onnx ]; do folder=$folder/$(ls "$folder"); done
fi
"$build/conformance" "$folder" "$here/passing.txt"
