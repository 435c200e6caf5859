/*
 * program.h - for tests of subcommands: the built program, a folder of their own, and tiny models
 * in it. program_begin and program_end are the fixture.
 *
 *     if (!program_there) return;
 *     struct program_result result = program_run("inspect %s/relu.onnx", folder_root);
 */
#ifndef TESTS_COMMAND_PROGRAM_H
#define TESTS_COMMAND_PROGRAM_H

#include <stdbool.h>

#include "folder.h"
#include "percept.h"

struct program_result {
    int status;
    char text[32768]; /* standard output and standard error */
};

/* Without a program (PERCEPTD_BINARY) there is no folder either: each test prints "skipped: ...". */
extern bool program_there;

/* relu.onnx: y = max(x, 0), [?,2] float32. add.onnx: "out/put:0" = a + b, [?,3] float32.
 * pick.onnx: y = table[x], int64 [?,?] -> float32. broken.onnx is no model. */
void program_begin(void);
void program_end(void);

/* Adds rude.onnx: relu.onnx whose names, "in\x1b[2J", "node\x1b[2J" and "out\n" with a control character of
 * two bytes behind, would clear a screen. */
void program_write_rude(void);

/* training.onnx: a BatchNormalization 'bn' that takes the batch's own statistics. */
void program_write_training(void);

/* Runs `perceptd ARGUMENTS` in a shell, with regions of this test's own. */
struct program_result program_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

void program_write_floats(const char *name, int rank, const int64_t *dims, const float *values);

#endif
