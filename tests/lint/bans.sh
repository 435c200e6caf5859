#!/bin/bash
# Words that may not occur, and where they may.
ban() { # pattern, allowed files (extended regular expression), what to do instead
    grep -rnE "$1" src include --include='*.[ch]' --include='*.def' |
        grep -vE "^($2):" | grep -vE '^[^:]+:[0-9]+: *(\*|/\*|//)' | sed "s|$| ($3)|" | cut -c1-160
}
none='-'
ban '\b(malloc|calloc|realloc|free)\(' 'src/base/arena.c' 'memory comes from base/arena.h'
ban '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|atoi|atol|atof)\(' "$none" 'use the bounded form'
ban '\b(exit|abort|_exit)\(' 'src/main.c|src/command/.*|src/http/server.c' 'return an error'
ban '\b(printf|puts|putchar)\(' 'src/main.c|src/options.c|src/command/.*' 'the library and the server do not print'
ban '\btypedef (struct|enum|union)' "$none" 'name the struct'
ban '\b(TODO|FIXME|XXX)\b' "$none" 'finish it'
ban '\bvolatile\b' 'src/base/team.c|src/command/serve.c' 'for signal handlers, not for synchronisation'
ban '\b(pthread_mutex|uv_mutex|pthread_cond)' 'src/serve/loop.c' 'hand over instead of locking'
ban '__atomic_|_Atomic|\batomic_' 'src/base/team.c|src/base/arena.c|src/base/budget.c|src/base/log.c|src/serve/.*|src/base/watch.c' 'only the team, counters and the cancel flag'
ban '__builtin_cpu_supports' 'src/kernel/pick.c' 'pick.c chooses the level'
ban 'percept_(in|out)puts\(.*served->model' 'src/serve/(served.h|entry.c)' 'served_own_inputs knows it while the model is away, too'
ban '(__AVX|__SSE|__FMA|__ARM_NEON)' 'src/kernel/(vec|dot|pick|amx).h' 'vec.h knows the instruction set'
ban '\b(fopen|opendir|open|openat)\(' 'src/base/(file|region|segment|log).c|src/command/.*|src/http/metrics.c' 'files are opened by base/file.c'
