/*
 * ops.c - models of one to three operators, drawn from the bytes: each operator of the table, with
 * attributes, types and shapes that are mostly right, on every level of kernels. Where items of a batch are
 * said to keep apart they are compared with themselves alone.
 */
#include "support/apart.h"
#include "support/build.h"
#include "support/drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct draw draw = draw_of(data, n);
    struct proto model = build_model(&draw);
    if (drive_model(model.at, model.n, &draw, DRIVE_LITTLE_BYTES, 3) == DRIVE_RAN)
        apart_check(model.at, model.n, &draw);
    proto_free(&model);
    return 0;
}
