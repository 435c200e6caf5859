/* codec_multipart.c - forms as browsers, curl and Python's libraries send them, and forms that are wrong. */
#include "base/err.h"
#include "coded.h"
#include "fake_model.h"
#include "looks.h"

#include <check.h>
#include <stdlib.h>

Suite *serve_codec_multipart_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* A picture that is fixed at 2x1, a text of bytes, numbers: as many of them as asked for. */
static struct fake_model *model(bool picture, bool text, bool numbers)
{
    struct fake_model *fake = fake_model_new("m");
    if (picture) {
        fake_model_input(fake, "image", PERCEPT_FLOAT, 4, DIMS(-1, 1, 1, 2));
        struct manifest_image *image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
        image->width = 2;
        image->height = 1;
    }
    if (text) {
        fake_model_input(fake, "text", PERCEPT_INT64, 2, DIMS(-1, -1));
        fake_model_describe(fake, MANIFEST_TEXT)->text = (struct manifest_text){
            .tokenizer = TOKENIZER_BYTES, .max_length = 9, .unknown = -1, .pad = -1, .start = -1, .end = -1};
    }
    if (numbers)
        fake_model_input(fake, "numbers", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    return fake;
}

static struct coded png, form;

static void make_png(uint8_t left, uint8_t right)
{
    struct spng_ihdr header = {.width = 2, .height = 1, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_GRAYSCALE};
    coded_png(&png, (const uint8_t[]){left, right}, 2, &header, NULL, NULL, 6);
}

static void add(const char *text)
{
    coded_append(&form, text, strlen(text));
}

static void add_file(const char *head)
{
    add(head);
    add("\r\n\r\n");
    coded_append(&form, png.at, png.n);
    add("\r\n");
}

static struct job *post(struct fake_model *fake, const char *type)
{
    struct job *job = fake_model_post_bytes(fake, form.at, form.n);
    job->content_type = bytes_of_text(type);
    job->codec = codec_find(&fake->served, job->content_type, &fake->err);
    return job;
}

static void expect_read(struct fake_model *fake, const char *type)
{
    struct job *job = post(fake, type);
    ck_assert_ptr_nonnull(job->codec);
    ck_assert_msg(job->codec->decode(job, &fake->err), "%s", fake->err.text);
    ck_assert(job->predictions);
}

#define FORM "multipart/form-data; boundary=--x7"
#define FILE_HEAD(name)                                                                                                \
    "----x7\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"a.png\"\r\nContent-Type: image/png"
#define FIELD(name, value) "----x7\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define END "----x7--\r\n"

START_TEST(a_file_of_a_form_is_the_picture)
{
    /* boundaries and heads of curl, Firefox, Chromium, requests, undici */
    static const struct {
        const char *type, *before, *head, *after;
    } clients[] = {
        {"multipart/form-data; boundary=------------------------d74496d66958873e", "",
         "--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name=\"file\"; "
         "filename=\"a\\\"b.png\"\r\n"
         "Content-Type: image/png",
         "--------------------------d74496d66958873e--\r\n"},
        {"multipart/form-data; boundary=----geckoformboundary5d", "",
         "------geckoformboundary5d\r\nContent-Disposition: form-data; name=\"image\"; "
         "filename=\"a;name=x.png\"\r\nContent-Type: ",
         "------geckoformboundary5d--\r\n"},
        {"Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b?\"", "preamble\r\n",
         "--a b? \t\r\ncontent-disposition:form-data;filename*=UTF-8''a;name=image", "--a b?--epilogue"},
        {"multipart/form-data; boundary=x", "",
         "--x\r\nContent-Transfer-Encoding: binary\r\nContent-Length: 9\r\nContent-Disposition: form-data; "
         "name=\"image\"",
         "--x--"},
    };
    struct fake_model *fake = model(true, false, false);
    make_png(7, 200);
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
        form.n = 0;
        add(clients[i].before);
        add_file(clients[i].head);
        add(clients[i].after);
        expect_read(fake, clients[i].type);
        const float *data = fake->job.inputs[0].data;
        ck_assert(data[0] == 7 && data[1] == 200);
        ck_assert_int_eq(fake->job.n_items, 1);
        ck_assert_int_eq(fake->job.view.width, 2);
        ck_assert_ptr_null(fake->job.views);
    }
    fake_model_free(fake);
}
END_TEST

START_TEST(several_files_are_items_in_their_order)
{
    struct fake_model *fake = model(true, true, false);
    form.n = 0;
    for (int i = 0; i < 3; i++) {
        make_png((uint8_t)i, (uint8_t)(100 + i));
        add_file(FILE_HEAD("image"));
        if (i != 1)
            add(FIELD("text", "ab"));
    }
    add(FIELD("text", "cd"));
    add(END);
    expect_read(fake, FORM);
    const float *data = fake->job.inputs[0].data;
    for (int i = 0; i < 3; i++)
        ck_assert(data[2 * i] == (float)i && data[2 * i + 1] == (float)(100 + i));
    ck_assert_int_eq(fake->job.n_items, 3);
    ck_assert_int_eq(fake->job.inputs[1].dims[0], 3);
    ck_assert_int_eq(((int64_t *)fake->job.inputs[1].data)[5], 'd');
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(job_view(&fake->job, i)->width, 2);
    fake_model_free(fake);
}
END_TEST

START_TEST(pictures_of_any_size_must_be_of_one)
{
    struct fake_model *fake = model(true, false, false);
    struct spng_ihdr header = {.width = 1, .height = 2, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_GRAYSCALE};
    form.n = 0;
    make_png(1, 2);
    add_file(FILE_HEAD("image"));
    coded_png(&png, "ab", 2, &header, NULL, NULL, 6);
    add_file(FILE_HEAD("image"));
    add(END);
    expect_read(fake, FORM);
    ck_assert_int_eq(job_view(&fake->job, 0)->width, 2);
    ck_assert_int_eq(job_view(&fake->job, 1)->width, 1);
    fake->described[0].image.width = fake->described[0].image.height = 0;
    fake->inputs[0].dims[2] = fake->inputs[0].dims[3] = -1;
    ck_assert(!codec_multipart_decode(post(fake, FORM), &fake->err));
    ck_assert_str_eq(
        fake->err.text,
        "picture 2 of 2: it comes to 1x2 and the first to 2x1; pictures of one request must come to one size: "
        "give the manifest a 'size', or send them one by one");
    fake->served.max_pixels = 3; /* all together */
    fake->described[0].image.width = 2;
    fake->described[0].image.height = 1;
    ck_assert(!codec_multipart_decode(post(fake, FORM), &fake->err));
    ck_assert_msg(strstr(fake->err.text, "picture 2 of 2: the picture has 1x2 pixels; at most 1 are"), "%s",
                  fake->err.text);
    fake_model_free(fake);
}
END_TEST

static const struct {
    const char *type, *body, *says;
} wrong[] = {
    {"multipart/form-data", END, "needs a boundary of 1 to 70 characters"},
    {"multipart/form-data; boundary=", END, "needs a boundary of 1 to 70 characters"},
    {"multipart/form-data; boundary=\"", END, "the form ends before its last boundary"},
    {"multipart/form-data; boundary=a\x01", END, "not printable"},
    {"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890x", END,
     "needs a boundary of 1 to 70"},
    {FORM, "", "the form ends before its last boundary, '----x7--'"},
    {FORM, END, "the form has no part for input 'text'"},
    {FORM, "----x7", "part 1 of the form: its boundary is not followed by a line end"},
    {FORM, "----x7-", "part 1 of the form: its boundary is not followed by a line end"},
    {FORM, "----x7\r\n", "part 1 of the form: it ends within its head"},
    {FORM, "----x7\r\n\r\nabc\r\n" END, "it has no Content-Disposition with a name"},
    {FORM, "----x7\r\nContent-Disposition: form-data\r\n\r\nabc\r\n" END, "it has no Content-Disposition with a name"},
    {FORM, "----x7\r\nContent-Disposition form-data\r\n\r\nabc\r\n" END, "a line of its head has no ':'"},
    {FORM,
     "----x7\r\nContent-Disposition: form-data; name=\"text\"\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n" END,
     "send its bytes as they are"},
    {FORM, FIELD("text", "abc"), "the form ends before its last boundary"},
    {FORM, FIELD("text", "abc") "----x7-", "part 2 of the form: its boundary is not followed by a line end"},
    {FORM, FIELD("text", "abc") "----x7x\r\n", "part 2 of the form: its boundary is not followed by a line end"},
    {FORM, FIELD("text", "") END, "the text is empty"},
    {FORM, FIELD("numbers", "1") END, "input 'numbers' takes neither a picture nor a text; send V2 JSON"},
    {FORM,
     "----x7\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:"
     "\r\n\r\n" END,
     "its head has more than 16 lines"},
};

START_TEST(what_is_wrong_with_a_form_is_said)
{
    struct fake_model *fake = model(false, true, strstr(wrong[_i].body, "numbers") != NULL);
    form.n = 0;
    add(wrong[_i].body);
    struct job *job = post(fake, wrong[_i].type);
    ck_assert_ptr_nonnull(job->codec);
    ck_assert(!job->codec->decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, wrong[_i].says), "says: %s\nnot: %s", fake->err.text, wrong[_i].says);
    ck_assert_str_eq(err_name(fake->err.code), "INVALID");
    fake_model_free(fake);
}
END_TEST

START_TEST(names_that_no_input_has_are_for_the_only_one)
{
    struct fake_model *fake = model(true, true, false);
    form.n = 0;
    make_png(1, 2);
    add_file(FILE_HEAD("photo"));
    add(END);
    ck_assert(!codec_multipart_decode(post(fake, FORM), &fake->err));
    ck_assert_str_eq(fake->err.text, "part 'photo' of the form: model 'm' has no input of that name");
    fake_model_free(fake);
    fake = model(true, false, true); /* the numbers are wanted too */
    ck_assert(!codec_multipart_decode(post(fake, FORM), &fake->err));
    ck_assert_msg(strstr(fake->err.text, "the form has no part for input 'numbers'"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(many_parts_and_long_heads_are_bounded)
{
    struct fake_model *fake = model(false, true, false);
    form.n = 0;
    for (int i = 0; i < 4097; i++)
        add("--x\r\nContent-Disposition:form-data;name=a\r\n\r\n\r\n");
    add("--x--");
    ck_assert(!codec_multipart_decode(post(fake, "multipart/form-data; boundary=x"), &fake->err));
    ck_assert_str_eq(fake->err.text, "the form has more than 4096 parts");
    ck_assert_str_eq(err_name(fake->err.code), "TOO_LARGE");
    form.n = 0;
    add("--x\r\nContent-Disposition:form-data;name=a");
    for (int i = 0; i < 5000; i++)
        add(";");
    add("\r\n\r\nabc\r\n--x--");
    ck_assert(!codec_multipart_decode(post(fake, "multipart/form-data; boundary=x"), &fake->err));
    ck_assert_str_eq(fake->err.text, "part 1 of the form: its head is longer than 4096 bytes");
    fake_model_free(fake);
}
END_TEST

/* Every cut of a form, and every byte of it changed: refused or read, never more. */
START_TEST(cuts_and_damages_do_no_harm)
{
    struct fake_model *fake = model(true, true, false);
    form.n = 0;
    make_png(1, 2);
    add_file(FILE_HEAD("image"));
    add(FIELD("text", "abc"));
    add(END);
    const size_t whole = form.n;
    for (form.n = 0; form.n + 4 < whole; form.n++) /* what follows the last "--" is nobody's */
        ck_assert(form.n + 2 == whole || !codec_multipart_decode(post(fake, FORM), &fake->err));
    form.n = whole;
    for (size_t i = 0; i < whole; i++)
        for (int k = 0; k < 4; k++) {
            const uint8_t before = form.at[i], others[] = {0, '-', '\r', (uint8_t)(before ^ 0x80)};
            form.at[i] = others[k];
            (void)codec_multipart_decode(post(fake, FORM), &fake->err);
            form.at[i] = before;
        }
    expect_read(fake, FORM);
    fake_model_free(fake);
}
END_TEST

/* The search for boundaries passes windows, and ends with its deadline; near misses cost no more than others. */
START_TEST(boundaries_lie_anywhere_and_a_deadline_ends_the_search)
{
    struct fake_model *fake = model(false, true, false);
    fake->described[0].text.max_length = 1 << 20;
    for (size_t size = 65520; size < 65560; size++) {
        form.n = 0;
        add("--xy\r\nContent-Disposition:form-data;name=text\r\n\r\n");
        memset(form.at + form.n, '-', size);
        form.n += size;
        add("\r\n--xy--");
        expect_read(fake, "multipart/form-data; boundary=xy");
        ck_assert_int_eq(fake->job.inputs[0].dims[1], (int64_t)size);
    }
    form.n = 0;
    while (form.n < 190000)
        add("\r\n--x");
    struct job *job = post(fake, "multipart/form-data; boundary=xy");
    job->watch = looks_until(0);
    ck_assert(!codec_multipart_decode(job, &fake->err));
    ck_assert_str_eq(err_name(fake->err.code), "TIMEOUT");
    fake_model_free(fake);
}
END_TEST

Suite *serve_codec_multipart_suite(void)
{
    Suite *suite = suite_create("serve_codec_multipart");
    TCase *tests = tcase_create("codec_multipart");
    tcase_set_timeout(tests, 60); /* also under sanitizers */
    tcase_add_test(tests, a_file_of_a_form_is_the_picture);
    tcase_add_test(tests, several_files_are_items_in_their_order);
    tcase_add_test(tests, pictures_of_any_size_must_be_of_one);
    tcase_add_loop_test(tests, what_is_wrong_with_a_form_is_said, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, names_that_no_input_has_are_for_the_only_one);
    tcase_add_test(tests, many_parts_and_long_heads_are_bounded);
    tcase_add_test(tests, cuts_and_damages_do_no_harm);
    tcase_add_test(tests, boundaries_lie_anywhere_and_a_deadline_ends_the_search);
    suite_add_tcase(suite, tests);
    return suite;
}
