#!/bin/bash
# run.sh BUILD FOLDER... - runs the test programs of these folders and closes with
# "N passed, N failed, N skipped". Programs whose results depend on the kernels run once per level
# that this processor has; levels that it lacks are named. A test that is skipped prints "skipped: why";
# with REQUIRE_SHARED=1 a skip is a failure, and so is a level of REQUIRE_LEVELS ("v4 v3 base") that did not run.
set -u
build=$1
shift
tally=$(mktemp)
log=$(mktemp)
trap 'rm -f "$tally" "$log"' EXIT
export TEST_TALLY=$tally PERCEPTD_BINARY=$build/perceptd
export PERCEPTD_SHARED=${PERCEPTD_SHARED:-../shared}
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-120}
levels=$("$build/perceptd" --kernels-list | tr '\n' ' ')
if [ -z "$levels" ]; then
    echo "$build/perceptd --kernels-list names no level"
    echo "0 1" >>"$tally"
fi
for level in v4 v3 base; do
    case " $levels " in *" $level "*) continue ;; esac
    echo "not run: level $level (this processor lacks it)"
    case " ${REQUIRE_LEVELS:-} " in *" $level "*) echo "but it is required" && echo "0 1" >>"$tally" ;; esac
done

run() { # program
    local before after
    before=$(wc -l < "$tally")
    "$@" >"$log" 2>&1
    local status=$?
    after=$(wc -l < "$tally")
    if [ "$before" = "$after" ]; then # it died before it could count
        echo "0 1" >> "$tally"
    elif [ $status != 0 ] && tail -n 1 "$tally" | grep -q ' 0$'; then # or when it had counted: a leak, a destructor
        echo "0 1" >> "$tally"
    fi
    if [ $status != 0 ]; then
        cat "$log"
        grep -E -A 1 ':[FE]:' "$log" >>"$tally.failures" || echo "$* ended with $status" >>"$tally.failures"
    else
        grep -E '^(skipped: |not run: |measured: |[0-9]+%: )' "$log"
    fi
    grep -c '^skipped: ' "$log" >> "$tally.skipped"
}

for folder in "$@"; do
    case $folder in
    op | engine)
        for level in $levels; do
            echo "== tests/$folder, level $level"
            PERCEPTD_KERNELS=$level run "$build/test-$folder"
        done ;;
    *)
        echo "== tests/$folder"
        run "$build/test-$folder" ;;
    esac
done
skipped=$(awk '{n += $1} END {print n + 0}' "$tally.skipped" 2>/dev/null || echo 0)
# Once more at the end, where one looks.
[ ! -f "$tally.failures" ] || sed 's/^/failed: /' "$tally.failures"
rm -f "$tally.skipped" "$tally.failures"
read -r passed failed < <(awk '{p += $1; f += $2} END {print p + 0, f + 0}' "$tally")
if [ "${REQUIRE_SHARED:-0}" = 1 ] && [ "$skipped" != 0 ]; then failed=$((failed + skipped)); fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
