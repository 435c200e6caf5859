#!/bin/bash
# tokenizers.sh BINARY - texts in many scripts through the daemon, with tokenizers that are trained here, beside the ids of
# the npm packages tokenizers and @huggingface/tokenizers. NODE_MODULES names the folder with them; otherwise npm
# fetches them into a folder that is gone afterwards.
set -u
binary=$1
here=$(cd "$(dirname "$0")" && pwd)
skip() { echo "skipped: $1, so tokenizers were not compared"; exit 0; }

command -v node >/dev/null || skip "there is no node"
[ -d /usr/share/locale/de/LC_MESSAGES ] && ls /usr/share/locale/*/LC_MESSAGES/iso_639-3.mo >/dev/null 2>&1 || skip "iso-codes is not installed"
/usr/bin/python3 -c 'import onnx' 2>/dev/null || skip "python3-onnx is not installed"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
modules=${NODE_MODULES:-}
if [ -z "$modules" ]; then
    command -v npm >/dev/null || skip "there is no npm"
    (cd "$folder" && npm install --silent --no-audit --no-fund tokenizers@0.23 @huggingface/tokenizers@0.2) >/dev/null 2>&1 ||
        skip "npm cannot fetch tokenizers"
    modules=$folder/node_modules
fi
/usr/bin/python3 - "$folder/ids.onnx" <<'END' || exit 1
import sys
from onnx import TensorProto, helper, save
value = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, ['n', 'length'])
graph = helper.make_graph([helper.make_node('Identity', ['ids'], ['same'])], 'g', [value('ids')], [value('same')])
save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), sys.argv[1])
END
node "$here/tokenizers.js" "$binary" "$folder" "$modules"
