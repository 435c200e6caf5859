/*
 * trim.c - the rule of trim.h.
 */
#include "serve/trim.h"

static enum trim judge(const struct batch *batch, size_t needed_bytes, bool next)
{
    if (batch->held_bytes / 2 <= needed_bytes)
        return TRIM_NOTHING;
    if (needed_bytes > 0)
        return TRIM_REST;
    return next ? TRIM_NOTHING : TRIM_ALL;
}

enum trim trim_judge(struct batch *batch, bool next, int64_t now_ns, int64_t *look_ns)
{
    if (!batch->session || batch->held_bytes < TRIM_LEAST_BYTES)
        return TRIM_NOTHING;
    enum trim what = TRIM_NOTHING;
    if (!batch->window_ns) {
        batch->window_ns = now_ns;
    } else if (now_ns - batch->window_ns >= TRIM_WINDOW_NS) {
        const size_t before = batch->needed_before;
        what = judge(batch, before > batch->needed_bytes ? before : batch->needed_bytes, next);
        batch->needed_before = batch->needed_bytes;
        batch->needed_bytes = 0;
        batch->window_ns = now_ns;
    }
    const int64_t over_ns = batch->window_ns + TRIM_WINDOW_NS;
    if (over_ns < *look_ns && (!next || batch->needed_bytes || batch->needed_before))
        *look_ns = over_ns;
    return what;
}
