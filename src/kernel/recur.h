/*
 * recur.h - what follows the matrix products of one LSTM or GRU step: gates to new state.
 *
 * Gates come as pre-activations with biases added, in ONNX's order. Rows are items; within a row a
 * vector of hidden units at a time, the last one loaded with readable neighbours and stored in part.
 * `clip` bounds what goes into an activation, as ONNX says, not the state itself.
 *
 *     row (an item)
 *       vector of hidden units
 *         LSTM   i, o, f, c from gates[row][4][hidden] -> c, h            lstm_step
 *         GRU    z, r from gates[row][3][hidden] -> r h                   gru_gates, then a product of r h
 *                z, h from the same -> h                                  gru_step
 */
#ifndef KERNEL_RECUR_H
#define KERNEL_RECUR_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

INLINED vec clipped(vec x, float clip)
{
    return clip > 0 ? clamp(x, splat(-clip), splat(clip)) : x;
}

/* c = f c + i tanh(g); h = o tanh(c). Peepholes look at c: i and f at the old one, o at the new one. */
static void lstm_step(int64_t rows, int64_t hidden, const float *gates, int64_t ld, float *h, float *c,
                      const float *peephole, float clip, bool input_forget)
{
    for (int64_t row = 0; row < rows; row++, gates += ld, h += hidden, c += hidden)
        for (int64_t j = 0; j < hidden; j += WIDTH) {
            vec old = load(c + j);
            vec in = load(gates + j);
            vec out = load(gates + hidden + j);
            vec forget = load(gates + 2 * hidden + j);
            vec cell = hyperbolic_tangent(clipped(load(gates + 3 * hidden + j), clip));
            if (peephole) {
                in = in + load(peephole + j) * old;
                forget = forget + load(peephole + 2 * hidden + j) * old;
            }
            in = sigmoid(clipped(in, clip));
            forget = input_forget ? 1.0f - in : sigmoid(clipped(forget, clip));
            vec state = forget * old + in * cell;
            if (peephole)
                out = out + load(peephole + hidden + j) * state;
            out = sigmoid(clipped(out, clip));
            store_some(c + j, state, hidden - j);
            store_some(h + j, out * hyperbolic_tangent(clipped(state, clip)), hidden - j);
        }
}

static void gru_gates(int64_t rows, int64_t hidden, float *gates, int64_t ld, const float *h, float *reset_h,
                      float clip)
{
    for (int64_t row = 0; row < rows; row++, gates += ld, h += hidden, reset_h += hidden)
        for (int64_t j = 0; j < hidden; j += WIDTH) {
            vec update = sigmoid(clipped(load(gates + j), clip));
            vec reset = sigmoid(clipped(load(gates + hidden + j), clip));
            vec kept = reset * load(h + j);
            store_some(gates + j, update, hidden - j);
            store_some(gates + hidden + j, reset, hidden - j);
            store_some(reset_h + j, kept, hidden - j);
        }
}

static void gru_step(int64_t rows, int64_t hidden, const float *gates, int64_t ld, float *h, float clip)
{
    for (int64_t row = 0; row < rows; row++, gates += ld, h += hidden)
        for (int64_t j = 0; j < hidden; j += WIDTH) {
            vec update = load(gates + j);
            vec fresh = hyperbolic_tangent(clipped(load(gates + 2 * hidden + j), clip));
            store_some(h + j, (1.0f - update) * fresh + update * load(h + j), hidden - j);
        }
}

#endif
