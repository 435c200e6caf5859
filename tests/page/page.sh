#!/bin/bash
# page.sh PERCEPTD SHARED - the page at / in a headless Chromium, by page.js. OUT=FOLDER keeps screenshots; PUPPETEER=FOLDER
# names a node_modules that has puppeteer-core, which is otherwise installed into a temporary folder.
set -u
skip() {
    echo "skipped: the page in a browser ($1)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
here=$(cd "$(dirname "$0")" && pwd)
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser)}
[ -n "$browser" ] || skip "chromium is not installed"
command -v node >/dev/null || skip "node is not installed"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
modules=${PUPPETEER:-$work/node_modules}
if [ ! -d "$modules/puppeteer-core" ]; then
    command -v npm >/dev/null || skip "npm is not installed"
    npm install --silent --no-audit --no-fund --prefix "$work" puppeteer-core@24 >"$work/log" 2>&1 ||
        skip "npm cannot install puppeteer-core"
    modules=$work/node_modules
fi
NODE_PATH=$modules node "$here/page.js" "$1" "$2" "$browser" "$work"
