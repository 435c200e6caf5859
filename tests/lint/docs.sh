#!/bin/bash
# Documents are in step with the tables that the binary prints.
perceptd=$BUILD/perceptd
"$perceptd" --man | cmp -s - docs/perceptd.1 || echo "docs/perceptd.1 is not what --man prints: make docs"
"$perceptd" --operators | cmp -s - docs/operators.md || echo "docs/operators.md is not what --operators prints: make docs"
"$perceptd" --errors | while read -r name status _; do
    grep -qE "^\| *\`?$name\`? *\| *$status *\|" api.md || echo "api.md: no row for the error $name ($status)"
done
"$perceptd" --routes | while read -r method path _; do
    grep -qF "$method $path" api.md || echo "api.md: the route $method $path is not described"
done
grep -oE '^#+ +`?(GET|POST|HEAD) [^` ]+' api.md | sed -E 's/^#+ +`?//' | while read -r method path; do
    "$perceptd" --routes | grep -qF "$method $path" || echo "api.md describes $method $path, which is no route"
done
# A row of metrics.def is "name type", as is a row of api.md's table; every one must be in both.
defined=$(sed -nE 's/^(PER_MODEL|PER_SERVER|FAMILY|MODEL_FAMILY)\(([A-Za-z0-9_]+), ([a-z]+),.*/\2 \3/p' src/http/metrics.def | sort)
described=$(sed -nE 's/^\| `([a-z0-9_]+)` \| (counter|gauge|histogram|summary) \|.*/\1 \2/p' api.md | sort)
[ -n "$defined" ] || echo "src/http/metrics.def: no row was found"
comm -23 <(echo "$defined") <(echo "$described") | sed 's/.*/api.md: the metric & has no row/'
comm -13 <(echo "$defined") <(echo "$described") | sed 's/.*/api.md describes & , which is no metric/; s/ ,/,/'
# Media types that a reply may have.
sed -nE 's/^[EM]\([a-z0-9_]+, "([^"]+)".*/\1/p' src/serve/encoders.def | sort -u | while read -r type; do
    grep -qF "$type" api.md || echo "api.md: no reply of the type $type is described"
done
sed -nE 's/^F\("[^"]+", ".*", "(image[^"]+)", "[^"]*", [a-z_]+\)$/\1/p' src/serve/formats.def | while read -r type; do
    grep -qF "$type" api.md || echo "api.md: pictures of the type $type are not described"
done
sed -nE 's/^S\("[^"]+", [a-zA-Z_0-9]+, "(audio[^"]+)",.*/\1/p' src/serve/sounds.def | while read -r type; do
    grep -qF "$type" api.md || echo "api.md: sounds of the type $type are not described"
done
# What may be made of outputs.
sed -nE 's/^T\([A-Z]+, "([^"]+)".*/\1/p' src/serve/tasks.def | while read -r word; do
    grep -qF "\"$word\"" api.md || grep -qF "\`$word\`" api.md || echo "api.md: the task $word is not described"
done
# What config.pbtxt may say.
fields=$(sed -nE 's/^F\(ModelConfig, ([a-z_]+),.*/\1/p' src/serve/triton_config.def)
[ -n "$fields" ] || echo "src/serve/triton_config.def: no field was found"
for field in $fields; do
    grep -qE "\`$field\b" docs/migrating.md || echo "docs/migrating.md: the field $field of config.pbtxt is not described"
done
for table in encoders:[EM] formats:F sounds:S tasks:T; do # a row that these patterns miss would go unseen
    rows=$(grep -c "^${table#*:}(" "src/serve/${table%:*}.def")
    case $table in
    encoders:*) found=$(sed -nE 's/^[EM]\([a-z0-9_]+, "([^"]+)".*/\1/p' src/serve/encoders.def | wc -l) ;;
    formats:*) found=$(sed -nE 's/^F\("[^"]+", ".*", "(image[^"]+)", "[^"]*", [a-z_]+\)$/\1/p' src/serve/formats.def | wc -l) ;;
    sounds:*) found=$(sed -nE 's/^S\("[^"]+", [a-zA-Z_0-9]+, "(audio[^"]+)",.*/\1/p' src/serve/sounds.def | wc -l) ;;
    tasks:*) found=$(sed -nE 's/^T\([A-Z]+, "([^"]+)".*/\1/p' src/serve/tasks.def | wc -l) ;;
    esac
    [ "$rows" -gt 0 ] && [ "$rows" = "$found" ] || echo "src/serve/${table%:*}.def: $found of $rows rows were understood"
done
# Every table is told of.
for table in src/*.def src/*/*.def; do
    grep -qF "\`${table#src/}\`" docs/design.md || echo "$table is not among the tables of docs/design.md"
done
tree=$(sed -n '/^## The tree/,/^## The core types/p' docs/design.md)
for file in src/*.[ch] src/*/*.[ch]; do
    name=${file##*/}
    grep -qE "(^|[ /])${name%.*}\.(\[ch\]|${name##*.})( |$)" <<<"$tree" || echo "$file is not in the tree of docs/design.md"
done
for file in systemd/*; do
    make -n install B="$BUILD" | grep -qF "$file" || echo "$file is not installed by make install"
done
for document in README.md api.md CONTRIBUTING.md CHANGELOG.md docs/design.md docs/migrating.md; do
    [ -f "$document" ] || echo "$document is missing"
done
