#!/bin/bash
# conformance.sh BUILD [PATH] - unpacks a tar if need be and runs the conformance program over the folder.
# PATH: a folder of SUITE/TEST folders or a tar of one; default: the shared conformance set and the whole
# architectures beside it.
set -eu
build=$1
path=${2:-}
here=$(dirname "$0")
shared=${PERCEPTD_SHARED:-../shared}/onnx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$path" ]; then
    if [ ! -e "$shared/conformance.tar.gz" ]; then
        echo "skipped: no conformance set at $shared"
        echo "0 passed, 0 failed, 1 skipped"
        [ "${REQUIRE_SHARED:-0}" != 1 ]
        exit
    fi
    tar -xf "$shared/conformance.tar.gz" -C "$work"
    [ ! -e "$shared/light.tar.gz" ] || tar -xf "$shared/light.tar.gz" -C "$work"
    path=$work
elif [ -f "$path" ]; then
    tar -xf "$path" -C "$work"
    path=$work
fi
# the suites may lie some folders down
while [ "$(find "$path" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ] &&
    [ -z "$(find "$path" -mindepth 2 -maxdepth 3 -name '*.onnx' -print -quit)" ]; do
    path=$(find "$path" -mindepth 1 -maxdepth 1)
done
if [ -n "$(find "$path" -mindepth 2 -maxdepth 2 -name model.onnx -print -quit)" ] &&
    [ -z "$(find "$path" -mindepth 3 -maxdepth 3 -name model.onnx -print -quit)" ]; then
    mkdir "$work/one" # one suite: give it a root of its own
    ln -s "$(realpath "$path")" "$work/one/"
    path=$work/one
fi
"$build/conformance" "$path" "$here/passing.txt"
