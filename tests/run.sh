#!/bin/bash
# run.sh BUILD FOLDER... - runs the test programs of these folders and closes with
# "N passed, N failed, N skipped". Programs whose results depend on the kernels run once per level
# that this processor has; levels that it lacks are named. A test that is skipped prints "skipped: why";
# with REQUIRE_SHARED=1 a skip is a failure, and so is a level of REQUIRE_LEVELS ("v4 v3 base") that did not run.
set -u
build=$1
shift
tally=$(mktemp)
trap 'rm -f "$tally"' EXIT
export PERCEPTD_BINARY=$build/perceptd
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

run() { # title, program; what it says is printed at once, since several run at a time
    local title=$1 own said status
    shift
    own=$(mktemp) said=$(mktemp)
    TEST_TALLY=$own "$@" >"$said" 2>&1
    status=$?
    if [ ! -s "$own" ]; then # it died before it could count
        echo "0 1" >>"$own"
    elif [ $status != 0 ] && tail -n 1 "$own" | grep -q ' 0$'; then # or when it had counted: a leak, a destructor
        echo "0 1" >>"$own"
    fi
    if [ $status != 0 ]; then
        grep -E -A 1 ':[FE]:' "$said" >>"$tally.failures" || echo "$* ended with $status" >>"$tally.failures"
    else
        grep -E '^(skipped: |not run: |measured: |[0-9]+%: )' "$said" >"$said.short"
        mv "$said.short" "$said"
    fi
    { echo "== $title"; cat "$said"; } >"$said.whole" && cat "$said.whole"
    grep -c '^skipped: ' "$said" >>"$tally.skipped"
    cat "$own" >>"$tally"
    rm -f "$own" "$said" "$said.whole"
}

lane() { # folder...: one after the other
    local folder level
    for folder in "$@"; do
        case $folder in
        op | engine)
            for level in $levels; do
                PERCEPTD_KERNELS=$level run "tests/$folder, level $level" "$build/test-$folder"
            done ;;
        *) run "tests/$folder" "$build/test-$folder" ;;
        esac
    done
}

# Three lanes: what only computes, what starts the program, and the rest. The last two wait more than they compute.
computing=() starting=() rest=()
for folder in "$@"; do
    case $folder in
    graph | kernel | op) computing+=("$folder") ;;
    base | command | daemon) starting+=("$folder") ;;
    *) rest+=("$folder") ;;
    esac
done
lane "${computing[@]}" &
lane "${starting[@]}" &
lane "${rest[@]}"
wait
skipped=$(awk '{n += $1} END {print n + 0}' "$tally.skipped" 2>/dev/null || echo 0)
# Once more at the end, where one looks.
[ ! -f "$tally.failures" ] || sed 's/^/failed: /' "$tally.failures"
rm -f "$tally.skipped" "$tally.failures"
read -r passed failed < <(awk '{p += $1; f += $2} END {print p + 0, f + 0}' "$tally")
if [ "${REQUIRE_SHARED:-0}" = 1 ] && [ "$skipped" != 0 ]; then failed=$((failed + skipped)); fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
