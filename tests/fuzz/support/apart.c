/* apart.c - see apart.h. */
#include "apart.h"

#include <stdio.h>
#include <stdlib.h>

#include "drive.h"
#include "mates.h"

enum { MOST_ELEMENTS = 1 << 12 };

/* Free axes get the largest of these with which no input becomes large; 0: there is none. */
static int64_t length_for(const struct percept_model *model, struct draw *draw)
{
    static const int64_t guesses[] = {5, 8, 3, 24, 2, 1};
    const int64_t guess = guesses[draw_below(draw, sizeof guesses / sizeof *guesses)];
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    for (int i = 0; i < n; i++) {
        int64_t elements = 1;
        for (int d = 0; d < inputs[i].rank; d++) {
            const int64_t dim = d == inputs[i].batch_axis ? 1 : inputs[i].dims[d] < 0 ? guess : inputs[i].dims[d];
            if (dim > MOST_ELEMENTS || (elements *= dim) > MOST_ELEMENTS)
                return 0;
        }
    }
    return guess;
}

void apart_check(const uint8_t *file, size_t n, struct draw *draw)
{
    struct percept_options options = {.size = sizeof options,
                                      .level = getenv("PERCEPTD_KERNELS"),
                                      .memory_limit_bytes = DRIVE_LITTLE_BYTES,
                                      .region = PERCEPT_REGION_PRIVATE};
    struct percept_model *model = percept_open_memory(file, n, &options, NULL);
    struct percept_description description = {0};
    if (model)
        percept_describe(model, &description);
    const int64_t length = description.batch_free ? length_for(model, draw) : 0;
    char what[200];
    if (length && mates_compare(model, length, (unsigned)draw_below(draw, 1000), draw_chance(draw, 50), what,
                                sizeof what) == MATES_OTHER) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
    percept_close(model);
}
