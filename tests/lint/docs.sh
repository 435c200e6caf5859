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
for name in $(grep -oE '^ *M\([A-Za-z0-9_]+' src/http/metrics.def 2>/dev/null | sed 's/.*(//'); do
    grep -qF "$name" api.md || echo "api.md: the metric $name is not described"
done
for document in README.md api.md CONTRIBUTING.md CHANGELOG.md docs/design.md; do
    [ -f "$document" ] || echo "$document is missing"
done
