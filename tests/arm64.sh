#!/bin/bash
# arm64.sh FLAVOURS - the tests of base, graph, kernel and op, built for arm64 and run under qemu-user; closes with
# "N passed, N failed, N skipped". The libraries that they need are Debian's for arm64, unpacked below FLAVOURS/arm64-root
# with package lists of their own: the machine's packages and architectures stay as they are.
# Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user and apt-get.
set -eu
cd "$(dirname "$0")/.."
build=$1/arm64
root=$PWD/$1/arm64-root
packages="check libsubunit0 libsubunit-dev libxxhash-dev libxxhash0 libopenblas-serial-dev libopenblas0-serial libgfortran5
          libgcc-s1"

fetch() { # into a folder that takes its name once it is whole
    local new=$root.new apt
    rm -rf "$new"
    mkdir -p "$new/lists/partial" "$new/cache/archives/partial" "$new/debs"
    touch "$new/status"
    apt="apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
         -o Dir::State=$new -o Dir::State::lists=$new/lists -o Dir::State::status=$new/status -o Dir::Cache=$new/cache"
    $apt update
    (cd "$new/debs" && $apt download $packages)
    for deb in "$new"/debs/*.deb; do dpkg-deb -x "$deb" "$new"; done
    rm -rf "$new/lists" "$new/cache" "$new/debs" "$new/status"
    rm -rf "$root"
    mv "$new" "$root"
}

[ -d "$root" ] || fetch
include=$root/usr/include
lib=$root/usr/lib/aarch64-linux-gnu
folders="base graph kernel op"
CPPFLAGS="-I$include -I$include/aarch64-linux-gnu -I$include/aarch64-linux-gnu/openblas-serial" \
LDFLAGS="-L$lib -Wl,-rpath-link,$lib" \
    make -j"$(nproc)" B="$build" CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar OBJCOPY=aarch64-linux-gnu-objcopy \
    $(for folder in $folders; do echo "$build/test-$folder"; done)

tally=$(mktemp -d)
trap 'rm -rf "$tally"' EXIT
export PERCEPTD_SHARED=${PERCEPTD_SHARED:-../shared} CK_DEFAULT_TIMEOUT=600

run() { # folder: what its tests say is printed at once, since several run at a time
    local folder=$1 own=$tally/$1 log=$build/$1.log status=0
    : >"$own"
    TEST_TALLY=$own qemu-aarch64 -L /usr/aarch64-linux-gnu -E EMULATED=1 -E LD_LIBRARY_PATH="$lib:$lib/openblas-serial" \
        "$build/test-$folder" >"$log" 2>&1 || status=$?
    if [ ! -s "$own" ]; then # it died before it could count
        echo "0 1" >>"$own"
    elif [ "$status" != 0 ] && tail -n 1 "$own" | grep -q ' 0$'; then # or when it had counted
        echo "0 1" >>"$own"
    fi
    echo "== tests/$folder, arm64
$(grep -E '^(skipped: |not run: |[0-9]+%: )' "$log" || true)
$([ "$status" = 0 ] || tail -n 60 "$log")"
}

for folder in op kernel graph base; do # the longest first
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    run "$folder" &
done
wait
skipped=$(cat $(for folder in $folders; do echo "$build/$folder.log"; done) | grep -c '^skipped: ' || true)
read -r passed failed < <(awk '{p += $1; f += $2} END {print p + 0, f + 0}' "$tally"/*)
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
