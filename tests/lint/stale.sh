#!/bin/bash
# What was made with other flags, or linked from other files, is made again. The build that lint judges is up to date;
# with one variable changed make must want to make at least this.
make -q B="$BUILD" "$BUILD/perceptd" || echo "Makefile: $BUILD/perceptd is never up to date"
wants() { # object, variable=value...
    local object=$1
    shift
    make -n V=1 B="$BUILD" "$@" "$BUILD/perceptd" 2>/dev/null | grep -qE -- "-o $BUILD/$object( |$)" ||
        echo "Makefile: $* leaves a stale $object"
}
wants src/kernel/pick.o KERNEL_LEVELS=base
wants perceptd KERNEL_LEVELS=base
wants src/kernel/pick.o FAMILIES_v3=recur
wants src/base/arena.o CFLAGS=-O3
wants src/base/arena.o CPPFLAGS=-DX
wants src/base/arena.o WARN=
wants src/kernel/kernels.gemm.base.o KERNEL_CFLAGS=-O1
wants src/base/arena.o SANITIZE=-fsanitize=undefined
wants src/kernel/kernels.gemm.base.o SANITIZE=-fsanitize=undefined
wants src/base/arena.o CC=cc
wants src/engine/model.o VERSION=9.9.9
wants perceptd LDFLAGS=-static-libgcc
