#!/bin/bash
# lint.sh BUILD - what a machine can check about the tree itself. Every check prints its findings, one a
# line with file and line; the last line counts them.
set -u
export BUILD=$1 LC_ALL=C
cd "$(dirname "$0")/../.."
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
for check in layers circles doors headers symbols bans mirror kernels names words format length docs size stale; do
    "tests/lint/$check.sh" 2>&1 | sed "s/^/$check: /" >> "$findings"
done
cat "$findings"
n=$(wc -l < "$findings")
echo "lint: $n findings"
[ "$n" = 0 ]
