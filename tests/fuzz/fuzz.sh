#!/bin/bash
# fuzz.sh BUILD SECONDS LIMITS TARGET... - replays each target's files of tests/fuzz/corpus, then fuzzes it
# for so long. What is found stays in BUILD/found, inputs that crash are BUILD/TARGET-*; logs in BUILD.
# Closes with "N passed, N failed", one for every target.
set -u
cd "$(dirname "$0")/../.."
build=$1 seconds=$2 limits=$3
shift 3
passed=0 failed=0
shopt -s nullglob
for target in "$@"; do
    log=$build/$target.log found=$build/found/$target corpus=tests/fuzz/corpus/$target
    mkdir -p "$found"
    files=("$corpus"/*)
    [ ${#files[@]} != 0 ] || corpus=
    : >"$log"
    if { [ -z "$corpus" ] || "$build/fuzz-$target" $limits "${files[@]}"; } >>"$log" 2>&1 &&
        "$build/fuzz-$target" -max_total_time="$seconds" $limits -artifact_prefix="$build/$target-" \
            "$found" $corpus >>"$log" 2>&1; then
        passed=$((passed + 1))
        echo "fuzz $target: ${#files[@]} files of the corpus, $(grep -oE 'Done [0-9]+ runs' "$log")"
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
        echo "fuzz $target: FAILED"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
