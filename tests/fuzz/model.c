/*
 * model.c - whole models: opened with little memory, run at small shapes. Inputs are mutated as
 * messages; the first ones are drawn.
 */
#include "support/drive.h"
#include "support/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct draw draw = draw_of(data, n);
    draw.at = draw.end; /* rows, shapes and data follow from all bytes */
    drive_model(data, n, &draw, DRIVE_LITTLE_BYTES, 3);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed)
{
    return mutate_model(data, n, most, seed);
}
