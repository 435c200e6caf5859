/* codec_image.c - pictures of every kind come in as tensors; broken, huge and foreign ones are
 * refused. */
#include "base/err.h"
#include "coded.h"
#include "looks.h"
#include "fake_model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

Suite *serve_codec_image_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static struct manifest_image *image;

static struct fake_model *rgb_model(int width, int height)
{
    struct fake_model *fake = fake_model_new("pictures");
    fake_model_input(fake, "image", PERCEPT_FLOAT, 4, DIMS(-1, 3, -1, -1));
    fake_model_output(fake, "scores", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 8);
    image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
    image->width = width;
    image->height = height;
    image->channels = CHANNELS_RGB;
    image->layout = IMAGE_NCHW;
    return fake;
}

/* --- making pictures ---------------------------------------------------------------------------------------------- */

static struct coded file;

static void make_png(const void *pixels, size_t n_bytes, uint32_t width, uint32_t height, int type, int depth,
                     const struct spng_plte *palette, const struct spng_trns *trns)
{
    struct spng_ihdr header = {
        .width = width, .height = height, .bit_depth = (uint8_t)depth, .color_type = (uint8_t)type};
    coded_png(&file, pixels, n_bytes, &header, palette, trns, 6);
}

static void make_jpeg(const uint8_t *pixels, int width, int height, int channels, bool progressive, bool turned)
{
    coded_jpeg(&file, pixels, width, height, channels, progressive ? CODED_PROGRESSIVE : CODED_BASELINE, turned);
}

static struct job *post(struct fake_model *fake)
{
    return fake_model_post_bytes(fake, file.at, file.n);
}

static void expect_read(struct fake_model *fake)
{
    ck_assert_msg(codec_image_decode(post(fake), &fake->err), "%s", fake->err.text);
}

static void expect_refused(struct fake_model *fake, enum err_code code, const char *part)
{
    ck_assert(!codec_image_decode(post(fake), &fake->err));
    ck_assert_msg(strstr(fake->err.text, part), "says: %s\nnot: %s", fake->err.text, part);
    ck_assert_str_eq(err_name(fake->err.code), err_name((int)code));
}

static void expect_values(const struct fake_model *fake, int n, const float *values, float tolerance)
{
    const float *data = fake->job.inputs[0].data;
    for (int i = 0; i < n; i++)
        ck_assert_msg(fabsf(data[i] - values[i]) <= tolerance, "element %d is %g, not %g", i, (double)data[i],
                      (double)values[i]);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static const uint8_t two_rgb[] = {10, 20, 30, 40, 50, 60};

START_TEST(pixels_become_normalized_channels)
{
    struct fake_model *fake = rgb_model(2, 1);
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    image->scale = 0.5f;
    image->mean[1] = 5;
    image->std[2] = 2;
    expect_read(fake);
    ck_assert_int_eq(fake->job.n_items, 1);
    ck_assert_int_eq(fake->job.n_outputs, 1);
    ck_assert_int_eq(fake->job.inputs[0].rank, 4);
    expect_values(fake, 6, (float[]){5, 20, 5, 20, 7.5f, 15}, 0);
    image->channels = CHANNELS_BGR;
    image->mean[1] = 0;
    image->std[2] = 1;
    image->scale = 1;
    expect_read(fake);
    expect_values(fake, 6, (float[]){30, 60, 20, 50, 10, 40}, 0);
    image->layout = IMAGE_NHWC;
    image->channels = CHANNELS_RGB;
    fake->inputs[0].dims[1] = -1;
    expect_read(fake);
    expect_values(fake, 6, (float[]){10, 20, 30, 40, 50, 60}, 0);
    ck_assert_int_eq(fake->job.inputs[0].dims[3], 3);
    fake_model_free(fake);
}
END_TEST

START_TEST(gray_and_flat_models_are_fed)
{
    struct fake_model *fake = fake_model_new("flat");
    fake_model_input(fake, "image", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 8);
    image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
    image->width = 2;
    image->height = 1;
    image->channels = CHANNELS_GRAY;
    image->layout = IMAGE_FLAT;
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    expect_read(fake);
    expect_values(fake, 2, (float[]){18, 48}, 0);
    make_png("\x80", 1, 2, 1, SPNG_COLOR_TYPE_GRAYSCALE, 1, NULL, NULL);
    expect_read(fake);
    expect_values(fake, 2, (float[]){255, 0}, 0);
    fake_model_free(fake);
}
END_TEST

START_TEST(inputs_of_bytes_take_the_levels)
{
    struct fake_model *fake = rgb_model(2, 3);
    fake->inputs[0].dtype = PERCEPT_UINT8;
    image->layout = IMAGE_NHWC;
    fake->inputs[0].dims[1] = -1;
    image->resize = RESIZE_LETTERBOX;
    for (int c = 0; c < 3; c++)
        image->fill[c] = 254.6f;
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    expect_read(fake);
    static const uint8_t levels[18] = {255, 255, 255, 255, 255, 255, 10,  20,  30,
                                       40,  50,  60,  255, 255, 255, 255, 255, 255};
    ck_assert_int_eq(fake->job.inputs[0].dtype, PERCEPT_UINT8);
    ck_assert_mem_eq(fake->job.inputs[0].data, levels, sizeof levels);
    fake_model_free(fake);
}
END_TEST

START_TEST(models_without_a_batch_take_one_picture)
{
    struct fake_model *fake = rgb_model(2, 1);
    fake->served.batching = false;
    fake->inputs[0] = (struct percept_io){.name = "image", .dtype = PERCEPT_FLOAT, .rank = 3, .dims = {3, 1, 2}};
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    expect_read(fake);
    ck_assert_int_eq(fake->job.inputs[0].rank, 3);
    expect_values(fake, 6, (float[]){10, 40, 20, 50, 30, 60}, 0);
    fake_model_free(fake);
}
END_TEST

START_TEST(palettes_16_bits_and_transparency_are_read)
{
    struct fake_model *fake = rgb_model(2, 1);
    struct spng_plte palette = {.n_entries = 2, .entries = {{1, 2, 3, 0}, {200, 100, 50, 0}}};
    make_png("\1\0", 2, 2, 1, SPNG_COLOR_TYPE_INDEXED, 8, &palette, NULL);
    expect_read(fake);
    expect_values(fake, 6, (float[]){200, 1, 100, 2, 50, 3}, 0);
    struct spng_trns trns = {.n_type3_entries = 1, .type3_alpha = {0}};
    make_png("\1\0", 2, 2, 1, SPNG_COLOR_TYPE_INDEXED, 8, &palette, &trns);
    expect_read(fake);
    expect_values(fake, 6, (float[]){200, 255, 100, 255, 50, 255}, 0);
    static const uint8_t gray_alpha[] = {100, 255, 100, 51};
    make_png(gray_alpha, 4, 2, 1, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8, NULL, NULL);
    expect_read(fake);
    expect_values(fake, 2, (float[]){100, 224}, 0);
    const uint16_t deep[] = {0xffff, 0x8000, 0, 0x1234, 0xff00, 0x00ff};
    make_png(deep, 12, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 16, NULL, NULL);
    expect_read(fake);
    expect_values(fake, 6, (float[]){255, 0x12, 128, 255, 0, 0}, 1);
    fake_model_free(fake);
}
END_TEST

static uint8_t canvas[400 * 300 * 4];

static void paint(int n, uint8_t r, uint8_t g, uint8_t b)
{
    for (int i = 0; i < n; i++)
        memcpy(canvas + 3 * i, (uint8_t[]){r, g, b}, 3);
}

START_TEST(jpegs_are_read_turned_and_shrunk)
{
    struct fake_model *fake = rgb_model(2, 2);
    paint(400 * 300, 200, 100, 50);
    for (int progressive = 0; progressive < 2; progressive++) {
        make_jpeg(canvas, 400, 300, 3, progressive, false);
        expect_read(fake);
        expect_values(fake, 5, (float[]){200, 200, 200, 200, 100}, 3);
    }
    /* The left half dark; orientation 6 brings the left to the top. */
    for (int y = 0; y < 300; y++)
        memset(canvas + y * 400 * 3, 0, 200 * 3);
    make_jpeg(canvas, 400, 300, 3, false, true);
    expect_read(fake);
    expect_values(fake, 4, (float[]){0, 0, 200, 200}, 40); /* the filter reaches over */
    image->width = image->height = 0;
    expect_read(fake);
    ck_assert_int_eq(fake->job.inputs[0].dims[2], 400);
    ck_assert_int_eq(fake->job.inputs[0].dims[3], 300);
    memset(canvas, 77, sizeof canvas);
    make_jpeg(canvas, 16, 16, 1, false, false);
    expect_read(fake);
    expect_values(fake, 3, (float[]){77, 77, 77}, 2);
    memset(canvas, 128, sizeof canvas);
    make_jpeg(canvas, 16, 16, 4, false, false);
    expect_read(fake);
    expect_values(fake, 1, (float[]){64}, 3);
    fake_model_free(fake);
}
END_TEST

START_TEST(shapes_are_stretched_cropped_or_letterboxed)
{
    struct fake_model *fake = rgb_model(4, 4);
    paint(8 * 4, 100, 100, 100);
    for (int y = 0; y < 4; y++)
        for (int x = 2; x < 6; x++)
            memset(canvas + (y * 8 + x) * 3, 200, 3);
    make_png(canvas, 8 * 4 * 3, 8, 4, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    image->resize = RESIZE_CROP;
    expect_read(fake);
    for (int i = 0; i < 48; i++)
        expect_values(fake, 1, (float[]){200}, 0);
    image->resize = RESIZE_LETTERBOX;
    for (int c = 0; c < 3; c++)
        image->fill[c] = 7;
    expect_read(fake);
    expect_values(fake, 4, (float[]){7, 7, 7, 7}, 0);
    ck_assert(((float *)fake->job.inputs[0].data)[4] >= 100);
    ck_assert(((float *)fake->job.inputs[0].data)[12] == 7);
    image->resize = RESIZE_STRETCH;
    image->filter = FILTER_NEAREST;
    expect_read(fake);
    expect_values(fake, 4, (float[]){100, 200, 200, 100}, 0);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_frame_is_filled_by_channel)
{
    struct fake_model *fake = rgb_model(2, 3);
    image->resize = RESIZE_LETTERBOX;
    memcpy(image->fill, (float[]){1, 2, 3}, sizeof image->fill);
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    expect_read(fake);
    expect_values(fake, 18, (float[]){1, 1, 10, 40, 1, 1, 2, 2, 20, 50, 2, 2, 3, 3, 30, 60, 3, 3}, 0);
    fake_model_free(fake);
}
END_TEST

/* Levels of JFIF's equations, which Pillow's convert("YCbCr") has as well. */
START_TEST(luma_is_fed_and_colours_are_kept)
{
    struct fake_model *fake = rgb_model(3, 3);
    static const uint8_t three[] = {255, 0, 0, 0, 255, 0, 0, 0, 255};
    image->channels = CHANNELS_Y;
    image->resize = RESIZE_LETTERBOX;
    image->fill[0] = 7;
    fake->inputs[0].dims[1] = 1;
    make_png(three, 9, 3, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    expect_read(fake);
    expect_values(fake, 9, (float[]){7, 7, 7, 76, 150, 29, 7, 7, 7}, 0);
    ck_assert_mem_eq(fake->job.view.cb, ((uint8_t[]){128, 128, 128, 85, 44, 255, 128, 128, 128}), 9);
    ck_assert_mem_eq(fake->job.view.cr, ((uint8_t[]){128, 128, 128, 255, 21, 107, 128, 128, 128}), 9);
    make_png("\x80", 1, 2, 1, SPNG_COLOR_TYPE_GRAYSCALE, 1, NULL, NULL);
    image->resize = RESIZE_STRETCH;
    expect_read(fake);
    ck_assert_mem_eq(fake->job.view.cb, ((uint8_t[]){128, 128, 128, 128, 128, 128, 128, 128, 128}), 9);
    image->channels = CHANNELS_GRAY;
    expect_read(fake);
    ck_assert_ptr_null(fake->job.view.cb);
    fake_model_free(fake);
}
END_TEST

static void expect_view(const struct fake_model *fake, int width, int height, struct picture_box shown)
{
    const struct picture_view *view = &fake->job.view;
    ck_assert_int_eq(view->width, width);
    ck_assert_int_eq(view->height, height);
    ck_assert_int_eq(view->input_width, image->width);
    ck_assert_int_eq(view->input_height, image->height);
    ck_assert_double_eq_tol(view->shown.left, shown.left, 1e-9);
    ck_assert_double_eq_tol(view->shown.top, shown.top, 1e-9);
    ck_assert_double_eq_tol(view->shown.right, shown.right, 1e-9);
    ck_assert_double_eq_tol(view->shown.bottom, shown.bottom, 1e-9);
}

START_TEST(the_job_knows_where_its_pixels_lie_in_what_was_posted)
{
    struct fake_model *fake = rgb_model(4, 4);
    paint(8 * 4, 100, 100, 100);
    make_png(canvas, 8 * 4 * 3, 8, 4, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    ck_assert_int_eq(post(fake)->view.width, 0);
    expect_read(fake);
    expect_view(fake, 8, 4, (struct picture_box){0, 0, 8, 4});
    image->resize = RESIZE_CROP;
    expect_read(fake);
    expect_view(fake, 8, 4, (struct picture_box){2, 0, 6, 4});
    image->resize = RESIZE_LETTERBOX;
    expect_read(fake);
    expect_view(fake, 8, 4, (struct picture_box){0, -2, 8, 6});
    fake_model_free(fake);
}
END_TEST

/* A JPEG that is decoded smaller than it is, and turned: pixels are those that a viewer shows. */
START_TEST(shrinking_and_turning_do_not_shift_what_is_shown)
{
    struct fake_model *fake = rgb_model(20, 20);
    paint(400 * 300, 200, 100, 50);
    image->resize = RESIZE_LETTERBOX;
    image->draft = _i;
    make_jpeg(canvas, 400, 300, 3, false, false);
    expect_read(fake);
    expect_view(fake, 400, 300, (struct picture_box){0, -40, 400, 360});
    make_jpeg(canvas, 400, 300, 3, false, true);
    expect_read(fake);
    expect_view(fake, 300, 400, (struct picture_box){-40, 0, 360, 400});
    image->resize = RESIZE_CROP;
    expect_read(fake);
    expect_view(fake, 300, 400, (struct picture_box){0, 50, 300, 350});
    fake_model_free(fake);
}
END_TEST

START_TEST(gray_pictures_show_the_same)
{
    struct fake_model *fake = rgb_model(4, 2);
    image->channels = CHANNELS_GRAY;
    fake->inputs[0].dims[1] = 1;
    for (int ink = INK_AS_IS; ink <= INK_DARK; ink++) {
        image->ink = (enum manifest_ink)ink;
        paint(8 * 4, 250, 250, 250);
        make_png(canvas, 8 * 4 * 3, 8, 4, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
        expect_read(fake);
        expect_view(fake, 8, 4, (struct picture_box){0, 0, 8, 4});
    }
    fake_model_free(fake);
}
END_TEST

START_TEST(huge_pictures_are_refused_by_their_header)
{
    struct fake_model *fake = rgb_model(2, 1);
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    fake->served.max_pixels = 1;
    expect_refused(fake, ERR_TOO_LARGE, "the picture has 2x1 pixels; at most 1 are accepted");
    paint(16 * 16, 1, 2, 3);
    make_jpeg(canvas, 16, 16, 3, false, false);
    expect_refused(fake, ERR_TOO_LARGE, "the picture has 16x16 pixels");
    fake->served.max_pixels = 0;
    for (size_t i = 0; i + 9 < file.n; i++)
        if (file.at[i] == 0xff && file.at[i + 1] == 0xc0)
            memcpy(file.at + i + 5, "\xff\x00\xff\x00", 4);
    expect_refused(fake, ERR_TOO_LARGE, "the picture has 65280x65280 pixels");
    fake_model_free(fake);
}
END_TEST

START_TEST(other_formats_and_wrong_types_are_named)
{
    struct fake_model *fake = rgb_model(2, 1);
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"GIF89a......", "the body is a GIF; send a PNG as image/png, a JPEG as image/jpeg or a WebP as image/webp"},
        {"RIFF....WAVEfmt ", "no picture"},
        {"RIFF....WEB", "no picture"},
        {"BM......", "a BMP"},
        {"....ftypheic....", "a HEIC"},
        {"....ftypmif1....", "a HEIC or AVIF"},
        {"....ftypavif....", "an AVIF"},
        {"\xff\x0a", "a JPEG XL"},
        {"{\"inputs\":[]}", "the body is JSON"},
        {"hello", "no picture"},
        {"\x89PNG\x1a", "--data-binary"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file.n = strlen(cases[i].body);
        memcpy(file.at, cases[i].body, file.n);
        expect_refused(fake, ERR_MEDIA_TYPE, cases[i].part);
    }
    file.n = 0;
    expect_refused(fake, ERR_INVALID, "the body is empty");
    make_png(two_rgb, 6, 2, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
    struct job *job = post(fake);
    job->codec = codec_find(&fake->served, bytes_of_text("image/jpeg"), &fake->err);
    ck_assert(job->codec && !codec_image_decode(job, &fake->err));
    ck_assert_str_eq(fake->err.text, "the body is a PNG but its Content-Type is image/jpeg; send it "
                                     "as image/png");
    fake->inputs[0].dims[1] = 1;
    expect_refused(fake, ERR_INVALID, "unexpected shape for input 'image'");
    fake->described[0].kind = MANIFEST_TENSOR;
    expect_refused(fake, ERR_MEDIA_TYPE, "model 'pictures' does not take a picture");
    file.n = 0;
    fake->described[0].kind = MANIFEST_IMAGE;
    expect_refused(fake, ERR_INVALID, "the body is empty; it must be a PNG, JPEG or WebP picture");
    fake_model_free(fake);
}
END_TEST

/* Pictures of a million pixels on every way to a tensor: decoded, turned, grayed, inked, enlarged. */
START_TEST(a_deadline_ends_a_picture_wherever_it_is)
{
    static uint8_t page[1200 * 900 * 3];
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = i % 3600 > 1200 && i % 3600 < 1300 ? 10 : 240;
    for (int kind = 0; kind < 5; kind++) {
        struct fake_model *fake = fake_model_new("pictures");
        const bool gray = kind == 3;
        fake_model_input(fake, "image", PERCEPT_FLOAT, 4, DIMS(-1, gray ? 1 : 3, -1, -1));
        fake_model_batching(fake, 8);
        image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
        image->width = gray ? 28 : kind == 4 ? 1000 : 600;
        image->height = gray ? 28 : 600;
        image->channels = gray ? CHANNELS_GRAY : CHANNELS_RGB;
        image->ink = gray ? INK_LIGHT : INK_AS_IS;
        image->ink_box = gray ? 20 : 0;
        image->resize = kind == 4 ? RESIZE_LETTERBOX : RESIZE_STRETCH;
        if (kind < 2)
            make_jpeg(page, 1200, 900, 3, kind == 1, true);
        else
            make_png(page, sizeof page, 1200, 900, SPNG_COLOR_TYPE_TRUECOLOR, 8, NULL, NULL);
        post(fake)->watch = looks_until(LOOKS_ENDLESS);
        ck_assert_msg(codec_image_decode(&fake->job, &fake->err), "%s", fake->err.text);
        const int n = looks_seen();
        ck_assert_int_gt(n, 10);
        for (int over = 0; over < n; over += 1 + n / 12) {
            post(fake)->watch = looks_until(over);
            ck_assert(!codec_image_decode(&fake->job, &fake->err));
            ck_assert_str_eq(err_name(fake->err.code), "TIMEOUT");
            ck_assert_int_eq(looks_seen(), over + 1);
        }
        fake_model_free(fake);
    }
}
END_TEST

Suite *serve_codec_image_suite(void)
{
    Suite *suite = suite_create("serve_codec_image");
    TCase *tests = tcase_create("codec_image");
    tcase_set_timeout(tests, 120); /* megabytes, also under sanitizers */
    tcase_add_test(tests, pixels_become_normalized_channels);
    tcase_add_test(tests, gray_and_flat_models_are_fed);
    tcase_add_test(tests, inputs_of_bytes_take_the_levels);
    tcase_add_test(tests, models_without_a_batch_take_one_picture);
    tcase_add_test(tests, palettes_16_bits_and_transparency_are_read);
    tcase_add_test(tests, jpegs_are_read_turned_and_shrunk);
    tcase_add_test(tests, shapes_are_stretched_cropped_or_letterboxed);
    tcase_add_test(tests, the_job_knows_where_its_pixels_lie_in_what_was_posted);
    tcase_add_test(tests, a_frame_is_filled_by_channel);
    tcase_add_test(tests, luma_is_fed_and_colours_are_kept);
    tcase_add_loop_test(tests, shrinking_and_turning_do_not_shift_what_is_shown, 0, 2);
    tcase_add_test(tests, gray_pictures_show_the_same);
    tcase_add_test(tests, huge_pictures_are_refused_by_their_header);
    tcase_add_test(tests, other_formats_and_wrong_types_are_named);
    tcase_add_test(tests, a_deadline_ends_a_picture_wherever_it_is);
    suite_add_tcase(suite, tests);
    return suite;
}
