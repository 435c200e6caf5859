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

tally=$(mktemp)
trap 'rm -f "$tally"' EXIT
export TEST_TALLY=$tally PERCEPTD_SHARED=${PERCEPTD_SHARED:-../shared} CK_DEFAULT_TIMEOUT=600
skipped=0
for folder in $folders; do
    echo "== tests/$folder, arm64"
    before=$(wc -l <"$tally")
    status=0
    qemu-aarch64 -L /usr/aarch64-linux-gnu -E EMULATED=1 -E LD_LIBRARY_PATH="$lib:$lib/openblas-serial" "$build/test-$folder" \
        >"$build/$folder.log" 2>&1 || status=$?
    [ "$(wc -l <"$tally")" != "$before" ] || echo "0 1" >>"$tally" # it died before it could count
    [ "$status" = 0 ] || ! tail -n 1 "$tally" | grep -q ' 0$' || echo "0 1" >>"$tally" # or when it had counted
    grep -E '^(skipped: |not run: |[0-9]+%: )' "$build/$folder.log" || true
    [ "$status" = 0 ] || tail -n 60 "$build/$folder.log"
    skipped=$((skipped + $(grep -c '^skipped: ' "$build/$folder.log" || true)))
done
read -r passed failed < <(awk '{p += $1; f += $2} END {print p + 0, f + 0}' "$tally")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
