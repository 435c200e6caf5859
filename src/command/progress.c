/* progress.c - see progress.h. What is left of the time is told from the files that were computed, not from those whose
 * results were there. */
#include "command/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/watch.h"

#define WIDTH 30
#define SHOW_NS INT64_C(100000000)

void progress_begin(struct progress *progress, int n, bool written, bool many)
{
    *progress = (struct progress){.n = n, .begun_ns = watch_now_ns()};
    progress->total = written && many;
    progress->bar = progress->total && isatty(STDERR_FILENO);
}

const char *progress_line(const struct progress *progress, int n_ended, int n_failed, int n_left, int64_t now_ns,
                          char *line, int n_bytes)
{
    char bar[WIDTH + 1], rest[40] = "", failed[32] = "";
    const int full = progress->n ? (int)((int64_t)WIDTH * n_ended / progress->n) : WIDTH, n_computed = n_ended - n_left;
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    const double seconds = (double)(now_ns - progress->begun_ns) / 1e9;
    if (n_computed > 0 && seconds > 0)
        snprintf(rest, sizeof rest, "  %.1f/s  %.0f s left", n_computed / seconds,
                 (progress->n - n_ended) * seconds / n_computed);
    if (n_failed)
        snprintf(failed, sizeof failed, "  %d failed", n_failed);
    snprintf(line, (size_t)n_bytes, "[%s] %d/%d%s%s", bar, n_ended, progress->n, rest, failed);
    return line;
}

void progress_show(struct progress *progress, int n_ended, int n_failed, int n_left)
{
    char line[160];
    const int64_t now_ns = watch_now_ns();
    if (!progress->bar || now_ns - progress->shown_ns < SHOW_NS)
        return;
    progress->shown_ns = now_ns;
    fprintf(stderr, "\r\033[K%s\r", progress_line(progress, n_ended, n_failed, n_left, now_ns, line, sizeof line));
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (progress->bar && progress->shown_ns)
        fputs("\r\033[K", stderr);
    progress->shown_ns = 0;
}

void progress_end(struct progress *progress, int n_ended, int n_failed, int n_left)
{
    progress_clear(progress);
    if (progress->total)
        fprintf(stderr, "%d of %d files: %d done, %d were there, %d failed\n", n_ended, progress->n,
                n_ended - n_failed - n_left, n_left, n_failed);
}
