/*
 * ctc.h - rows of class probabilities over time -> texts, where one class is "nothing" (the blank) and repeats count
 * once: connectionist temporal classification (Graves et al., 2006).
 *
 * Greedy takes the best class of each step. The prefix beam search (Hannun et al., "First-Pass Large Vocabulary
 * Continuous Speech Recognition using Bi-Directional Recurrent DNNs", 2014) adds up all ways to write a text, and
 * keeps the `beam` most probable beginnings at each step; classes below a millionth are not followed. With a list of
 * words, only texts of these words are.
 *
 * Threads: any. Texts lie in the arena that is given.
 */
#ifndef SERVE_CTC_H
#define SERVE_CTC_H

#include "base/arena.h"
#include "base/watch.h"
#include "percept.h"

#define CTC_BEAM_MOST 128

struct ctc {
    int n_classes, blank;
    int n_labels; /* n_classes, or one less: then the blank has none */
    const char *const *labels;
    const char *space; /* what stands for a space in labels; NULL: itself */
    int n_skipped;
    const char *const *skipped; /* labels that are read as nothing */
    int beam;                   /* 0: greedy */
    int n_words;                /* of the list, in the order of strcmp; 0: any text */
    const char *const *words;
};

struct ctc_text {
    const char *text;
    float score; /* greedy: the mean probability of the classes that became the text; beam: the text's */
};

/* The `most` best texts of log_probabilities[n_steps][n_classes], best first (greedy: one). Returns how many; -1 when
 * memory is short or nobody waits. */
int ctc_decode(const struct ctc *ctc, const float *log_probabilities, int64_t n_steps, int most, struct ctc_text *texts,
               struct watch *watch, struct arena *arena, struct percept_err *err);

#endif
