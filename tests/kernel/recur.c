/*
 * recur.c - steps of recurrent layers against ONNX's text, on every level that this CPU runs.
 */
#include "fixture.h"

#include <limits.h>
#include <math.h>

START_TEST(lstm_step_follows_onnx)
{
    begin(_i);
    for (int64_t hidden = 1; hidden < 40; hidden++)
        for (int kind = 0; kind < 8; kind++) {
            const int64_t items = 3, ld = 4 * hidden + between(0, 2);
            const int hostile = chance(3) ? 12 : INT_MAX;
            const float *gates = guarded_hostile((items - 1) * ld + 4 * hidden, hostile);
            const float *peephole = kind & 1 ? guarded_numbers(3 * hidden) : NULL;
            float *h = guarded(items * hidden), *c = guarded_hostile(items * hidden, hostile);
            const float *old = guarded_copy(c, items * hidden);
            const float clip = kind & 2 ? 0.4f : 0;
            level->recur->lstm_step(items, hidden, gates, ld, h, c, peephole, clip, kind & 4);
            double want_h[40], want_c[40];
            for (int64_t item = 0; item < items; item++) {
                reference_lstm(hidden, gates + item * ld, old + item * hidden, want_h, want_c, peephole, (double)clip,
                               kind & 4);
                for (int64_t j = 0; j < hidden; j++) {
                    FAIL_UNLESS(near((double)c[item * hidden + j], want_c[j], 16 * EPS), "c, hidden %ld kind %d",
                                (long)hidden, kind);
                    FAIL_UNLESS(near((double)h[item * hidden + j], want_h[j], 16 * EPS), "h, hidden %ld kind %d",
                                (long)hidden, kind);
                }
            }
            release();
        }
}
END_TEST

START_TEST(gru_halves_follow_onnx)
{
    begin(_i);
    for (int64_t hidden = 1; hidden < 40; hidden++)
        for (int kind = 0; kind < 2; kind++) {
            const int64_t items = 3, ld = 3 * hidden + between(0, 2);
            const int hostile = chance(3) ? 12 : INT_MAX;
            float *gates = guarded_hostile((items - 1) * ld + 3 * hidden, hostile);
            const float *before = guarded_copy(gates, (items - 1) * ld + 3 * hidden);
            float *h = guarded_hostile(items * hidden, hostile), *reset_h = guarded(items * hidden);
            const float *old = guarded_copy(h, items * hidden);
            const float clip = kind ? 0.3f : 0;
            level->recur->gru_gates(items, hidden, gates, ld, h, reset_h, clip);
            level->recur->gru_step(items, hidden, gates, ld, h, clip);
            for (int64_t k = 0; k < items * hidden; k++) {
                const float *gate = before + k / hidden * ld + k % hidden;
                double v[3];
                for (int g = 0; g < 3; g++) {
                    const double limit = kind ? (double)clip : INFINITY;
                    v[g] = (double)gate[g * hidden];
                    v[g] = v[g] < -limit ? -limit : v[g] > limit ? limit : v[g];
                }
                const double z = 1 / (1 + exp(-v[0])), r = 1 / (1 + exp(-v[1]));
                const double want = (1 - z) * tanh(v[2]) + z * (double)old[k];
                FAIL_UNLESS(near((double)reset_h[k], r * (double)old[k], 8 * EPS), "reset, hidden %ld", (long)hidden);
                FAIL_UNLESS(near((double)h[k], want, 8 * EPS), "h, hidden %ld", (long)hidden);
            }
            release();
        }
}
END_TEST

Suite *kernel_recur_suite(void);

Suite *kernel_recur_suite(void)
{
    Suite *suite = suite_create("kernel/recur");
    fixture_add(suite, "lstm_step_follows_onnx", lstm_step_follows_onnx);
    fixture_add(suite, "gru_halves_follow_onnx", gru_halves_follow_onnx);
    return suite;
}
