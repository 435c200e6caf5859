/*
 * oracle_recurrent.h - RNN, GRU and LSTM in double, word by word from the specification's equations: for
 * layout 1, which ONNX Runtime lacks, and where it reads `clip` another way.
 */
#ifndef DIFFERENTIAL_ORACLE_RECURRENT_H
#define DIFFERENTIAL_ORACLE_RECURRENT_H

#include "differential/example.h"

enum function {
    F_RELU,
    F_TANH,
    F_SIGMOID,
    F_AFFINE,
    F_LEAKY_RELU,
    F_THRESHOLDED_RELU,
    F_SCALED_TANH,
    F_HARD_SIGMOID,
    F_ELU,
    F_SOFTSIGN,
    F_SOFTPLUS,
    FUNCTIONS
};

struct oracle_function {
    const char *name;
    double alpha, beta; /* 0: takes none */
};

extern const struct oracle_function oracle_functions[FUNCTIONS];

/* What a generator drew: e->user. */
struct recurrent {
    int64_t steps, batch, in, hidden, directions;
    int gates; /* 1 RNN, 3 GRU, 4 LSTM */
    bool batch_first, reverse, linear_before_reset, input_forget;
    double clip; /* 0: none */
    enum function functions[2][3];
};

bool oracle_recurrent(const struct example *e, struct tensor *out);

#endif
