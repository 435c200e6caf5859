#!/bin/bash
# Every src/X/y.c has tests/X/y.c, and every base name occurs once (a .c and its own .h count as one).
for source in $(find src -mindepth 2 -name '*.c'); do
    test=tests/${source#src/}
    [ -f "$test" ] || grep -q "^mirror $source\b" tests/lint/exceptions || echo "$source has no $test"
done
find src include -name '*.[ch]' | sed 's|.*/||; s|\.[ch]$||' | sort | uniq -c |
    awk '$1 > 2 {print "the base name " $2 " occurs " $1 " times"}'
for name in $(find src -name '*.[ch]' | sed 's|\.[ch]$||' | sort -u | sed 's|.*/||' | sort | uniq -d); do
    echo "two folders have a file called $name: $(find src -name "$name.[ch]" | tr '\n' ' ')"
done
