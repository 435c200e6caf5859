/*
 * resample.c - see resample.h. Two taps along each axis: columns are found once for all rows.
 */
#include "serve/resample.h"

#include <math.h>

/* Between two neighbours. */
struct tap {
    int64_t first, second;
    float part; /* of the second */
};

static struct tap tap_of(double at, int64_t n)
{
    const double bounded = fmin(fmax(at, 0), (double)(n - 1));
    const int64_t first = (int64_t)bounded;
    const float part = (float)(bounded - (double)first);
    return (struct tap){first, part > 0 && first + 1 < n ? first + 1 : first, part}; /* NaN stays where it is */
}

bool resample_plane(const float *from, int64_t from_width, int64_t from_height, struct picture_box box, int width,
                    int height, float *to, struct watch *watch)
{
    const double across = (box.right - box.left) / width, down = (box.bottom - box.top) / height;
    for (int y = 0; y < height; y++) {
        const struct tap v = tap_of(box.top + (y + 0.5) * down - 0.5, from_height);
        const float *above = from + v.first * from_width, *below = from + v.second * from_width;
        if (!watch_spend(watch, width))
            return false;
        for (int x = 0; x < width; x++) {
            const struct tap h = tap_of(box.left + (x + 0.5) * across - 0.5, from_width);
            const float top = above[h.first] + (above[h.second] - above[h.first]) * h.part;
            const float bottom = below[h.first] + (below[h.second] - below[h.first]) * h.part;
            *to++ = top + (bottom - top) * v.part;
        }
    }
    return true;
}

struct picture_box resample_shown(const struct picture_view *view, int64_t map_width, int64_t map_height)
{
    const struct picture_box *shown = &view->shown;
    const double w = (double)map_width, h = (double)map_height;
    if (!view->width || !(shown->right > shown->left) || !(shown->bottom > shown->top))
        return (struct picture_box){.right = w, .bottom = h};
    const double across = w / (shown->right - shown->left), down = h / (shown->bottom - shown->top);
    return (struct picture_box){fmax(-shown->left * across, 0), fmax(-shown->top * down, 0),
                                fmin((view->width - shown->left) * across, w),
                                fmin((view->height - shown->top) * down, h)};
}
