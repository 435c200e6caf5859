/*
 * encoder_text.c - predictions as text: a line for each, for people (text/plain) and for tables (text/csv, RFC 4180,
 * with a head). Items of a request are told apart by their number in tables, by an empty line in texts.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/answer_detect.h"
#include "serve/answer_segment.h"
#include "serve/encoder.h"

bool encoder_text_serves(const struct served *served)
{
    const enum manifest_task task = served->manifest->task;
    return task == TASK_CLASSIFY || task == TASK_DETECT || task == TASK_SEGMENT || task == TASK_KEYPOINTS;
}

bool encoder_text_fits(const struct job *job)
{
    return job->predictions;
}

/* In quotes where there is something that would be read as the table's. */
static void put_cell(struct writer *w, const char *text)
{
    if (!text)
        return;
    if (!strpbrk(text, ",\"\r\n")) {
        writer_put(w, text);
        return;
    }
    writer_put(w, "\"");
    for (const char *at = text; *at; at++) {
        const char one[3] = {*at, *at == '"' ? '"' : '\0', '\0'};
        writer_put(w, one);
    }
    writer_put(w, "\"");
}

static void put_name(struct writer *w, const char *label, int64_t index)
{
    if (label)
        writer_put(w, label);
    else
        writer_int(w, index);
    writer_put(w, " ");
}

static void put_head_of_row(struct writer *w, int64_t item, const char *label, int64_t index, float score)
{
    writer_int(w, item);
    writer_put(w, ",");
    put_cell(w, label);
    writer_put(w, ",");
    writer_int(w, index);
    writer_put(w, ",");
    writer_float(w, score);
}

static void put_classes(struct writer *w, const struct answer_classes *classes, bool table)
{
    writer_put(w, table ? "item,label,index,score\r\n" : "");
    for (int64_t i = 0; i < classes->n_items; i++) {
        writer_put(w, i && !table ? "\n" : "");
        for (int k = 0; k < classes->n[i] && writer_spend(w, 64); k++) {
            const struct answer_prediction *one = &classes->best[i * classes->k + k];
            if (table) {
                put_head_of_row(w, i, one->label, one->index, one->score);
                writer_put(w, "\r\n");
                continue;
            }
            put_name(w, one->label, one->index);
            writer_float(w, one->score);
            writer_put(w, "\n");
        }
    }
}

static void put_found(struct writer *w, const struct detected *detected, bool table)
{
    writer_put(w, table ? "item,label,index,score,x1,y1,x2,y2" : "");
    writer_put(w, table && detected->turned ? ",angle\r\n" : table ? "\r\n" : "");
    for (int64_t i = 0; i < detected->n_items; i++) {
        writer_put(w, i && !table ? "\n" : "");
        for (int k = 0; k < detected->items[i].n && writer_spend(w, 128); k++) {
            const struct detection *one = &detected->items[i].at[k];
            const float numbers[] = {one->left, one->top, one->right, one->bottom, one->angle};
            if (table) {
                put_head_of_row(w, i, one->label, one->index, one->score);
            } else {
                put_name(w, one->label, one->index);
                writer_float(w, one->score);
            }
            for (int n = 0; n < 4 + detected->turned; n++) {
                writer_put(w, table ? "," : " ");
                writer_float(w, numbers[n]);
            }
            writer_put(w, table ? "\r\n" : "\n");
        }
    }
}

/* A row for each point. */
static void put_keypoints(struct writer *w, const struct detected *detected, const struct manifest *manifest,
                          bool table)
{
    const int size = detected->point_size;
    writer_put(w, !table ? "" : size == 3 ? "item,label,index,x,y,score\r\n" : "item,label,index,x,y\r\n");
    for (int64_t i = 0; i < detected->n_items; i++) {
        writer_put(w, i && !table ? "\n" : "");
        for (int k = 0; k < detected->n_points && writer_spend(w, 64); k++) {
            const char *label = k < manifest->n_labels ? manifest->labels[k] : NULL;
            if (table) {
                writer_int(w, i);
                writer_put(w, ",");
                put_cell(w, label);
                writer_put(w, ",");
                writer_int(w, k);
                writer_put(w, ",");
            } else {
                put_name(w, label, k);
            }
            for (int n = 0; n < size; n++) {
                writer_float(w, detected->items[i].at->points[k * size + n]);
                writer_put(w, n + 1 < size ? (table ? "," : " ") : (table ? "\r\n" : "\n"));
            }
        }
    }
}

static void put_segments(struct writer *w, const struct segmented *segmented, bool table)
{
    writer_put(w, table ? "item,label,index,pixels,share\r\n" : "");
    for (int64_t i = 0; i < segmented->n_items; i++) {
        writer_put(w, i && !table ? "\n" : "");
        for (int k = 0; k < segmented->items[i].n && writer_spend(w, 64); k++) {
            const struct segment *one = &segmented->items[i].at[k];
            if (table) {
                writer_int(w, i);
                writer_put(w, ",");
                put_cell(w, one->label);
                writer_put(w, ",");
                writer_int(w, one->index);
                writer_put(w, ",");
                writer_int(w, one->pixels);
                writer_put(w, ",");
            } else {
                put_name(w, one->label, one->index);
            }
            writer_float(w, one->share);
            writer_put(w, table ? "\r\n" : "\n");
        }
    }
}

static bool write_lines(struct job *job, const struct percept_tensor *results, bool table, struct percept_err *err)
{
    struct answer answer;
    if (!answer_make(job, results, &answer, err))
        return false;
    if (!answer.made)
        return err_set(err, ERR_INVALID, "the output that predictions are made of is not among those asked for");
    struct writer w = {.arena = job->arena, .watch = &job->watch};
    writer_put(&w, "");
    if (answer.task == TASK_CLASSIFY)
        put_classes(&w, answer.made, table);
    else if (answer.task == TASK_KEYPOINTS)
        put_keypoints(&w, answer.made, job->served->manifest, table);
    else if (answer.task == TASK_SEGMENT)
        put_segments(&w, answer.made, table);
    else
        put_found(&w, answer.made, table);
    if (w.failed)
        return watch_over(w.watch) ? watch_refuse(w.watch, err) : err_memory(err, "a reply", w.room * 2);
    job->reply = bytes_of(w.at ? w.at : "", w.used);
    job->reply_json_bytes = -1;
    return true;
}

bool encoder_text_plain(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    return write_lines(job, results, false, err);
}

bool encoder_text_csv(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    return write_lines(job, results, true, err);
}
