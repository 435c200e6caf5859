/*
 * progress.h - how far a run over many files is: a bar that is rewritten in place on a terminal, and a line at the end.
 * All on standard error. Thread: the caller's.
 */
#ifndef COMMAND_PROGRESS_H
#define COMMAND_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    int n;           /* files; 0: not begun */
    bool bar, total; /* are shown */
    int64_t begun_ns, shown_ns;
};

/* `written`: results go to files, so that the terminal is free; `many`: there are several. */
void progress_begin(struct progress *progress, int n, bool written, bool many);

/* At most ten times a second. */
void progress_show(struct progress *progress, int n_ended, int n_failed, int n_left);

/* Somebody is about to write a line. */
void progress_clear(struct progress *progress);
void progress_end(struct progress *progress, int n_ended, int n_failed, int n_left);

/* The bar's line, without what moves the cursor: for tests. */
const char *progress_line(const struct progress *progress, int n_ended, int n_failed, int n_left, int64_t now_ns,
                          char *line, int n_bytes);

#endif
