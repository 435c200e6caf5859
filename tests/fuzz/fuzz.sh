#!/bin/bash
# fuzz.sh BUILD SECONDS LIMITS TARGET... - replays each target's files of tests/fuzz/corpus, then fuzzes it
# for so long, one target per processor at a time. What is found stays in BUILD/found, inputs that crash are
# BUILD/TARGET-*; logs in BUILD. Closes with "N passed, N failed", one for every target.
set -u
cd "$(dirname "$0")/../.."
build=$1 seconds=$2 limits=$3
shift 3
verdicts=$(mktemp)
trap 'rm -f "$verdicts"' EXIT
shopt -s nullglob

fuzz() { # target: a line of what came of it, printed at once, since several run at a time
    local target=$1 log=$build/$1.log found=$build/found/$1 corpus=tests/fuzz/corpus/$1 files
    mkdir -p "$found"
    files=("$corpus"/*)
    [ ${#files[@]} != 0 ] || corpus=
    : >"$log"
    if { [ -z "$corpus" ] || "$build/fuzz-$target" $limits "${files[@]}"; } >>"$log" 2>&1 &&
        "$build/fuzz-$target" -max_total_time="$seconds" $limits -artifact_prefix="$build/$target-" \
            "$found" $corpus >>"$log" 2>&1; then
        echo passed >>"$verdicts"
        echo "fuzz $target: ${#files[@]} files of the corpus, $(grep -oE 'Done [0-9]+ runs' "$log")"
    else
        echo "$(tail -n 40 "$log")
fuzz $target: FAILED"
    fi
}

for target in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    fuzz "$target" &
done
wait
passed=$(grep -c passed "$verdicts")
failed=$(($# - passed))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
