#!/bin/bash
# mates.sh BUILD [PATH] - the models of PATH; by default those that come along, and the shared ones: trained models and
# whole architectures, which are unpacked.
set -eu
build=$1
shared=${PERCEPTD_SHARED:-../shared}
if [ -n "${2:-}" ]; then
    exec "$build/mates" "$2"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ ! -e "$shared/onnx/light.tar.gz" ] || tar -xf "$shared/onnx/light.tar.gz" -C "$work"
[ -d "$shared/models" ] || echo "skipped: no trained models at $shared"
"$build/mates" models $([ -d "$shared/models" ] && echo "$shared/models") "$work"
