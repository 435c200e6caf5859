/*
 * answer_text.c - the task text: a posted text in pieces, by what an output says of each of its tokens, which are its
 * bytes or characters: [N, length, columns].
 *
 * With `splits`, a piece ends behind each token whose score in that column, after the activation, is over the
 * threshold: sentences. Without, a piece is a run of tokens with the same best column, and has that column's label:
 * names, languages. What the codec put around the text (margins, ids at its ends) is left out. Pieces joined are the
 * text.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/codec.h"

#include <math.h>

struct piece {
    struct bytes text;
    int64_t column;
    float score; /* mean of its tokens' best column; of a split, its end's */
};

struct pieces {
    int64_t n;
    struct piece *pieces;
    bool labelled;
    struct answer_labels labels;
    const uint8_t *start; /* of the text */
};

struct reading {
    const struct manifest *manifest;
    const float *scores; /* [n_tokens][n_columns] */
    int64_t n_columns;
};

static float activated(const struct reading *reading, const float *row, int64_t column)
{
    double x = (double)row[column], sum = 0;
    switch (reading->manifest->task_activation) {
    case ACTIVATION_SIGMOID:
        return (float)(1 / (1 + exp(-x)));
    case ACTIVATION_EXP:
        return (float)exp(x);
    case ACTIVATION_SOFTMAX:
        for (int64_t c = 0; c < reading->n_columns; c++)
            sum += exp((double)row[c] - x);
        return (float)(1 / sum);
    default:
        return row[column];
    }
}

static int64_t best_column(const struct reading *reading, const float *row)
{
    int64_t best = 0;
    for (int64_t c = 1; c < reading->n_columns; c++)
        best = row[c] > row[best] ? c : best;
    return best;
}

/* A byte, or a character of UTF-8 that has been judged. */
static const uint8_t *past_token(const struct bytes *rest, enum manifest_tokenizer tokenizer)
{
    const uint8_t *at = rest->at + 1;
    while (tokenizer == TOKENIZER_CHARACTERS && at < rest->end && (*at & 0xc0) == 0x80)
        at++;
    return at;
}

/* Adds a token to the last piece, or begins one with it. */
static void put(struct pieces *pieces, struct bytes token, int64_t column, float score, bool begins, int64_t *n_tokens)
{
    if (begins) {
        pieces->pieces[pieces->n++] = (struct piece){.text = token, .column = column};
        *n_tokens = 0;
    }
    struct piece *last = &pieces->pieces[pieces->n - 1];
    last->text.end = token.end;
    ++*n_tokens;
    last->score = pieces->labelled ? last->score + (score - last->score) / (float)*n_tokens : score;
}

static bool cut(struct job *job, const struct reading *reading, int64_t n_tokens, enum manifest_tokenizer tokenizer,
                struct pieces *pieces)
{
    const int splits = reading->manifest->splits;
    struct bytes rest = job->text;
    bool begins = true;
    int64_t before = -1, n = 0;
    for (int64_t t = 0; t < n_tokens && rest.at < rest.end; t++) {
        const float *row = reading->scores + t * reading->n_columns;
        const struct bytes token = {rest.at, past_token(&rest, tokenizer)};
        if (!watch_spend(&job->watch, 4 * reading->n_columns))
            return false;
        const int64_t column = splits >= 0 ? splits : best_column(reading, row);
        const float score = activated(reading, row, column);
        put(pieces, token, column, score, splits >= 0 ? begins : column != before, &n);
        begins = score > reading->manifest->threshold;
        before = column;
        rest.at = token.end;
    }
    if (pieces->n)
        pieces->pieces[pieces->n - 1].text.end = job->text.end; /* what was too long for the network */
    return true;
}

bool answer_text_make(struct job *job, const struct percept_tensor *results, const void **made, struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const int output = answer_scores(job, results);
    const struct percept_tensor *scores = output < 0 ? NULL : &results[output];
    int64_t count;
    if (!scores || scores->dtype != PERCEPT_FLOAT || scores->rank < 2 || !job->text.at || job->n_items > 1 ||
        !codec_count(scores->rank, scores->dims, &count))
        return true;
    const struct manifest_text *text = &manifest->inputs[0].text;
    const int64_t columns = scores->dims[scores->rank - 1], n = scores->dims[scores->rank - 2];
    const int64_t before = text->margin + (text->start >= 0), around = before + text->margin + (text->end >= 0);
    if (columns < 1 || manifest->splits >= columns || n <= around || count != n * columns)
        return true;
    struct pieces *pieces = arena_alloc(job->arena, sizeof *pieces);
    if (!pieces)
        return err_memory(err, "predictions", sizeof *pieces);
    *pieces = (struct pieces){.pieces = arena_array(job->arena, (size_t)(n - around), sizeof *pieces->pieces),
                              .labelled = manifest->splits < 0,
                              .labels = answer_labels(job, output),
                              .start = job->text.at};
    if (!pieces->pieces)
        return err_memory(err, "predictions", (size_t)n * sizeof *pieces->pieces);
    const struct reading reading = {
        .manifest = manifest, .scores = (const float *)scores->data + before * columns, .n_columns = columns};
    if (!cut(job, &reading, n - around, text->tokenizer, pieces))
        return watch_refuse(&job->watch, err);
    *made = pieces;
    return true;
}

static void write_piece(struct writer *w, const struct pieces *pieces, const struct piece *piece)
{
    writer_put(w, "{\"text\":");
    writer_text(w, piece->text);
    if (pieces->labelled && piece->column < pieces->labels.n) {
        writer_put(w, ",\"label\":");
        writer_string(w, pieces->labels.texts[piece->column]);
    }
    if (pieces->labelled) {
        writer_put(w, ",\"index\":");
        writer_int(w, piece->column);
    }
    writer_put(w, ",\"start\":");
    writer_int(w, piece->text.at - pieces->start);
    writer_put(w, ",\"end\":");
    writer_int(w, piece->text.end - pieces->start);
    writer_put(w, ",\"score\":");
    writer_float(w, piece->score);
    writer_put(w, "}");
}

void answer_text_write(struct writer *w, const void *made)
{
    const struct pieces *pieces = made;
    writer_put(w, ",\"predictions\":[[");
    for (int64_t i = 0; i < pieces->n && writer_spend(w, 4); i++) {
        if (i)
            writer_put(w, ",");
        write_piece(w, pieces, &pieces->pieces[i]);
    }
    writer_put(w, "]]");
}
