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
for level in v4+vnni v4 v3 base; do
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

# A level that has one family alone (v4+vnni: quantize) and borrows the others runs the suites that reach it.
level_run() { # folder, level
    local suite
    case $2 in
    *+*)
        for suite in tests/"$1"/quant*.c tests/"$1"/integers.c; do
            suite=${suite#tests/} suite=${suite%.c}
            [ ! -e "tests/$suite.c" ] || CK_RUN_SUITE=$suite run "tests/$suite, level $2" "$build/test-$1"
        done ;;
    *) run "tests/$1, level $2" "$build/test-$1" ;;
    esac
}

# Three at a time, the longest first: what talks waits more than it computes.
begin() { # function, arguments
    while [ "$(jobs -rp | wc -l)" -ge 3 ]; do wait -n; done
    "$@" &
}
longest="op http serve daemon engine"
for folder in $longest "$@"; do
    case " ${begun:-} " in *" $folder "*) continue ;; esac
    case " $* " in *" $folder "*) begun="${begun:-} $folder" ;; *) continue ;; esac
    case $folder in
    op | engine)
        for level in $levels; do
            PERCEPTD_KERNELS=$level begin level_run "$folder" "$level"
        done ;;
    *) begin run "tests/$folder" "$build/test-$folder" ;;
    esac
done
wait
skipped=$(awk '{n += $1} END {print n + 0}' "$tally.skipped" 2>/dev/null || echo 0)
# Once more at the end, where one looks.
[ ! -f "$tally.failures" ] || sed 's/^/failed: /' "$tally.failures"
rm -f "$tally.skipped" "$tally.failures"
read -r passed failed < <(awk '{p += $1; f += $2} END {print p + 0, f + 0}' "$tally")
if [ "${REQUIRE_SHARED:-0}" = 1 ] && [ "$skipped" != 0 ]; then failed=$((failed + skipped)); fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
