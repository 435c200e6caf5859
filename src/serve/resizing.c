/*
 * resizing.c - how a picture becomes one of the network's size. Sizes and offsets are rounded as those do who trained
 * the network, because a box that it finds is off by as much as they are:
 *
 *     letterbox   scale = min(width / w, height / h); each side is scaled and rounded. Ultralytics rounds to the
 *                 nearest, ties to even, and centres (what is left over goes right and below); YOLOX cuts off and
 *                 starts top left
 *     crop        the largest part of the network's shape; or, with a resize_size, torchvision's Resize (the longer
 *                 side is cut off to a whole number) and CenterCrop (its edge rounded, ties to even) in one step: only
 *                 what is cut out is computed
 *     aspect      a fixed height; the width follows, as for a line of text
 *
 * Pure; touches its arguments alone. Any thread.
 */
#include "serve/resizing.h"

#include "base/err.h"

#include <math.h>

#define INK_SIDE_MIN 512 /* strokes are looked for in at least this many pixels */

static int rounded(double side, enum manifest_rounding rounding, int most)
{
    double n = rounding == ROUNDING_FLOOR ? floor(side) : rounding == ROUNDING_CEIL ? ceil(side) : nearbyint(side);
    return n < 1 ? 1 : n > most ? most : (int)n;
}

static int up_to_multiple(int side, int multiple)
{
    return multiple > 1 ? (side + multiple - 1) / multiple * multiple : side;
}

static int width_by_aspect(const struct picture *from, const struct manifest_image *image)
{
    double asked = (double)from->width * image->height / from->height;
    int width = rounded(asked, image->rounding, image->max_width);
    width = up_to_multiple(width < image->min_width ? image->min_width : width, image->multiple_of);
    return width < image->max_width ? width : image->max_width;
}

/* The frame's size. */
static bool choose_size(const struct picture *from, const struct manifest_image *image, int64_t most_pixels,
                        struct resizing *to, struct percept_err *err)
{
    to->width = image->width;
    to->height = image->height ? image->height : up_to_multiple(from->height, image->multiple_of);
    if (!image->width)
        to->width = image->height ? width_by_aspect(from, image) : up_to_multiple(from->width, image->multiple_of);
    return image->width || (int64_t)to->width * to->height <= most_pixels ||
           err_set(err, ERR_TOO_LARGE,
                   "the picture has %dx%d pixels, of which the network would get %dx%d; at most %lld are accepted",
                   from->width, from->height, to->width, to->height, (long long)most_pixels);
}

/* The middle of a picture that has the shape of the target. */
static struct picture_box middle(const struct picture *picture, int width, int height)
{
    double w = picture->width, h = picture->height;
    double scale = fmin(w / width, h / height);
    double left = (w - width * scale) / 2, top = (h - height * scale) / 2;
    return (struct picture_box){left, top, left + width * scale, top + height * scale};
}

/* One axis of the middle of a picture that was resized to `resized`, in its pixels. */
static void cut_axis(int from, int resized, int size, enum manifest_rounding rounding, double *low, double *high)
{
    double rest = (resized - size) / 2.0, scale = (double)from / resized;
    double at = rounding == ROUNDING_FLOOR ? floor(rest) : rounding == ROUNDING_CEIL ? ceil(rest) : nearbyint(rest);
    *low = at * scale;
    *high = (at + size) * scale;
}

/* `longer` as its shape asks for: cut off to a whole number. */
static int longer_side(int shorter, int from_shorter, int from_longer)
{
    int64_t side = (int64_t)shorter * from_longer / from_shorter;
    return side > INT32_MAX ? INT32_MAX : (int)side;
}

static struct picture_box cut_of_resized(const struct picture *from, const struct manifest_image *image, int width,
                                         int height)
{
    struct picture_box box;
    int resized_width = image->resize_width, resized_height = image->resize_height;
    if (!resized_width && from->width <= from->height) {
        resized_width = image->resize_height;
        resized_height = longer_side(resized_width, from->width, from->height);
    } else if (!resized_width) {
        resized_width = longer_side(resized_height, from->height, from->width);
    }
    cut_axis(from->width, resized_width, width, image->rounding, &box.left, &box.right);
    cut_axis(from->height, resized_height, height, image->rounding, &box.top, &box.bottom);
    return box;
}

/* The picture's own size in the frame, and where it lies. */
static void letterbox(const struct picture *from, const struct manifest_image *image, struct resizing *to, int *w,
                      int *h)
{
    double scale = fmin((double)to->width / from->width, (double)to->height / from->height);
    if (!image->enlarge && scale > 1)
        scale = 1;
    *w = rounded(from->width * scale, image->rounding, to->width);
    *h = rounded(from->height * scale, image->rounding, to->height);
    if (image->placement == PLACEMENT_CENTER) {
        to->left = (to->width - *w) / 2;
        to->top = (to->height - *h) / 2;
    }
}

static enum taps_filter filter_of(const struct manifest_image *image)
{
    static const enum taps_filter widening[] = {[FILTER_BILINEAR] = TAPS_BILINEAR,
                                                [FILTER_BICUBIC] = TAPS_BICUBIC,
                                                [FILTER_NEAREST] = TAPS_NEAREST,
                                                [FILTER_LANCZOS] = TAPS_LANCZOS,
                                                [FILTER_AREA] = TAPS_AREA};
    if (!image->antialias && image->filter == FILTER_BILINEAR)
        return TAPS_LINEAR;
    if (!image->antialias && image->filter == FILTER_BICUBIC)
        return TAPS_CUBIC;
    return widening[image->filter];
}

bool resizing_frame(const struct picture *from, const struct manifest_image *image, int64_t most_pixels,
                    struct resizing *resizing, struct watch *watch, struct arena *arena, struct percept_err *err)
{
    struct resizing to = {0};
    if (!choose_size(from, image, most_pixels, &to, err))
        return false;
    struct picture_box box = picture_whole(from);
    int w = to.width, h = to.height;
    if (image->resize == RESIZE_CROP && image->resize_height)
        box = cut_of_resized(from, image, w, h);
    else if (image->resize == RESIZE_CROP)
        box = middle(from, w, h);
    else if (image->resize == RESIZE_LETTERBOX)
        letterbox(from, image, &to, &w, &h);
    if (!picture_resize(from, box, w, h, filter_of(image), &to.picture, watch, arena, err))
        return false;
    *resizing = to;
    return true;
}

struct picture_box resizing_shown(const struct resizing *resizing)
{
    const struct picture_box all = {-resizing->left, -resizing->top, resizing->width - resizing->left,
                                    resizing->height - resizing->top};
    return picture_part(&resizing->picture, all);
}

unsigned resizing_enough(const struct manifest_image *image)
{
    if (!image->draft || image->width <= 0 || image->height <= 0)
        return 0;
    int width = image->width, height = image->height, more = image->resize_width;
    width = width > more ? width : more;
    height = height > image->resize_height ? height : image->resize_height;
    unsigned need = 2 * (unsigned)(width > height ? width : height);
    return image->ink_box > 0 && need < INK_SIDE_MIN ? INK_SIDE_MIN : need;
}
