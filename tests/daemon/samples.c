/* samples.c - see samples.h. The files are unpacked by gzip and tar. */
#include "samples.h"

#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <spng.h>

#define SAMPLES_MAX 5000

bool samples_path(char *path, size_t n, const char *name)
{
    const char *shared = getenv("PERCEPTD_SHARED");
    snprintf(path, n, "%s/data/%s", shared ? shared : "../shared", name);
    if (access(path, R_OK) == 0)
        return true;
    printf("skipped: there is no %s\n", path);
    return false;
}

static void *make(size_t n, size_t size)
{
    void *at = calloc(n, size);
    ck_assert_ptr_nonnull(at);
    return rig_keep(at);
}

static char *slurp(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    char *at = make(*n + 1, 1);
    ck_assert_uint_eq(fread(at, 1, *n, file), *n);
    fclose(file);
    return at;
}

/* What models/NAME/heldout.txt lists, in ascending order or not, `most` at most. */
static int read_heldout(const char *name, long *indices, int most)
{
    char path[128], line[16];
    int n = 0;
    snprintf(path, sizeof path, "models/%s/heldout.txt", name);
    FILE *list = fopen(path, "r");
    ck_assert_msg(list != NULL, "cannot open %s", path);
    while (n < most && fgets(line, sizeof line, list)) {
        ck_assert_int_lt(n, SAMPLES_MAX);
        indices[n++] = strtol(line, NULL, 10);
    }
    fclose(list);
    return n;
}

/* --- pictures ----------------------------------------------------------------------------------------------------- */

struct blob samples_png(const uint8_t *pixels, int width, int height)
{
    struct spng_ihdr header = {
        .width = (uint32_t)width, .height = (uint32_t)height, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_GRAYSCALE};
    struct blob blob = {0};
    int code = 0;
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    ck_assert_int_eq(spng_set_ihdr(ctx, &header), 0);
    ck_assert_int_eq(spng_encode_image(ctx, pixels, (size_t)width * (size_t)height, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE),
                     0);
    blob.at = spng_get_png_buffer(ctx, &blob.n, &code);
    ck_assert_ptr_nonnull(rig_keep(blob.at));
    spng_ctx_free(ctx);
    return blob;
}

struct blob samples_jpeg(const uint8_t *pixels, int width, int height)
{
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct info = {.err = jpeg_std_error(&errors)};
    unsigned char *made = NULL;
    unsigned long n = 0;
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &made, &n);
    info.image_width = (unsigned)width;
    info.image_height = (unsigned)height;
    info.input_components = 1;
    info.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 90, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)pixels + info.next_scanline * (unsigned)width;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return (struct blob){rig_keep(made), n};
}

uint8_t *samples_invert(const uint8_t *pixels)
{
    uint8_t *page = make(SAMPLES_PIXELS, 1);
    for (int i = 0; i < SAMPLES_PIXELS; i++)
        page[i] = (uint8_t)(255 - pixels[i]);
    return page;
}

static double level(const uint8_t *pixels, double x, double y)
{
    int left = (int)x, top = (int)y;
    int right = left + 1 < SAMPLES_SIDE ? left + 1 : left;
    int below = top + 1 < SAMPLES_SIDE ? top + 1 : top;
    double u = x - left, v = y - top;
    const uint8_t *a = pixels + top * SAMPLES_SIDE, *b = pixels + below * SAMPLES_SIDE;
    return (a[left] * (1 - u) + a[right] * u) * (1 - v) + (b[left] * (1 - u) + b[right] * u) * v;
}

uint8_t *samples_enlarge(const uint8_t *pixels, int width, int height, int side)
{
    uint8_t *page = make((size_t)width * (size_t)height, 1);
    memset(page, 235, (size_t)width * (size_t)height);
    double step = (SAMPLES_SIDE - 1.0) / side;
    int left = (width - side) / 2, top = (height - side) / 2;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            page[(top + y) * width + left + x] = (uint8_t)(235 - level(pixels, x * step, y * step) * 0.8);
    return page;
}

/* --- digits ------------------------------------------------------------------------------------------------------- */

static const uint8_t *read_idx(const char *name, size_t head, size_t n_bytes)
{
    char path[512];
    size_t n;
    if (!samples_path(path, sizeof path, name))
        return NULL;
    char *text = rig_keep(rig_shell(&n, "gzip -dc '%s'", path));
    ck_assert_uint_eq(n, head + n_bytes);
    return (uint8_t *)text + head;
}

bool samples_digits(struct digits *digits, int most)
{
    const uint8_t *images = read_idx("mnist-t10k/images-idx3-ubyte.gz", 16, (size_t)9000 * SAMPLES_PIXELS);
    const uint8_t *labels = images ? read_idx("mnist-t10k/labels-idx1-ubyte.gz", 8, 9000) : NULL;
    if (!labels)
        return false;
    static long indices[SAMPLES_MAX];
    digits->n = read_heldout("digits", indices, most);
    uint8_t *pixels = make((size_t)digits->n, SAMPLES_PIXELS), *wanted = make((size_t)digits->n, 1);
    for (int i = 0; i < digits->n; i++) {
        ck_assert(indices[i] >= 0 && indices[i] < 9000);
        memcpy(pixels + (size_t)i * SAMPLES_PIXELS, images + indices[i] * SAMPLES_PIXELS, SAMPLES_PIXELS);
        wanted[i] = labels[indices[i]];
    }
    digits->pixels = pixels;
    digits->labels = wanted;
    return true;
}

const uint8_t *samples_digit(const struct digits *digits, int label)
{
    for (int i = 0; i < digits->n; i++)
        if (digits->labels[i] == label)
            return digits->pixels + (size_t)i * SAMPLES_PIXELS;
    ck_abort_msg("no held-out digit is a %d", label);
    return NULL;
}

float *samples_values(const struct digits *digits, int from, int n)
{
    const float scale = 0.00392156862745098f, mean = 0.1307f, std = 0.3081f;
    const uint8_t *pixels = digits->pixels + (size_t)from * SAMPLES_PIXELS;
    float *values = make((size_t)n * SAMPLES_PIXELS, sizeof *values);
    for (size_t i = 0; i < (size_t)n * SAMPLES_PIXELS; i++)
        values[i] = ((float)pixels[i] * scale - mean) / std;
    return values;
}

/* --- the others --------------------------------------------------------------------------------------------------- */

static struct samples some(void)
{
    return (struct samples){.bodies = make(SAMPLES_MAX, sizeof(struct blob)),
                            .labels = make(SAMPLES_MAX, sizeof(char *))};
}

static void add(struct samples *samples, const char *label, void *at, size_t n)
{
    ck_assert_int_lt(samples->n, SAMPLES_MAX);
    samples->bodies[samples->n] = (struct blob){at, n};
    samples->labels[samples->n++] = label;
}

static void add_folder(struct rig *rig, struct samples *samples, const char *label, int most)
{
    char path[256];
    snprintf(path, sizeof path, "%s/test/%s", rig->folder, label);
    DIR *folder = opendir(path);
    ck_assert_msg(folder != NULL, "cannot open %s", path);
    int n = 0;
    for (struct dirent *entry; n < most && (entry = readdir(folder));) {
        size_t size;
        char file[600];
        if (!strstr(entry->d_name, ".jpg"))
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        char *at = slurp(file, &size);
        add(samples, label, at, size);
        n++;
    }
    closedir(folder);
}

bool samples_pictures(struct rig *rig, struct samples *samples, int most)
{
    char path[512];
    if (!samples_path(path, sizeof path, "cifar10-images/cifar10_test_10k.tar.gz"))
        return false;
    *samples = some();
    free(rig_shell(NULL, "tar -xzf '%s' -C %s test/cat test/dog", path, rig->folder));
    add_folder(rig, samples, "cat", most / 2);
    add_folder(rig, samples, "dog", most / 2);
    return true;
}

bool samples_messages(struct samples *samples, int most)
{
    char path[512];
    if (!samples_path(path, sizeof path, "sms-spam/sms.tsv.gz"))
        return false;
    *samples = some();
    static long indices[SAMPLES_MAX];
    int n = read_heldout("spam", indices, most);
    char *rest, *text = rig_keep(rig_shell(NULL, "gzip -dc '%s'", path));
    long number = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *tab = strchr(line, '\t');
        ck_assert_ptr_nonnull(tab);
        *tab = '\0';
        if (samples->n < n && indices[samples->n] == number++)
            add(samples, line, tab + 1, strlen(tab + 1));
    }
    ck_assert_int_eq(samples->n, n);
    return true;
}

/* Without the blanks at the end that some lines have; a no-break space is 0xc2 0xa0. */
static size_t trimmed(const char *line)
{
    size_t n = strlen(line);
    while (n && (line[n - 1] == ' ' || (n > 1 && memcmp(line + n - 2, "\xc2\xa0", 2) == 0)))
        n -= line[n - 1] == ' ' ? 1 : 2;
    return n;
}

/* The lines of a language's file that are held out; `line` counts those of all files. */
static void add_language(struct samples *samples, const char *path, const char *label, const long *indices, int n,
                         long *number)
{
    size_t size;
    char *rest, *text = slurp(path, &size);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (samples->n < n && indices[samples->n] == (*number)++)
            add(samples, label, line, trimmed(line));
}

bool samples_surnames(struct samples *samples)
{
    size_t size;
    static long indices[SAMPLES_MAX];
    long number = 0;
    char path[512], *rest, *labels = slurp("models/names/labels.txt", &size);
    int n = read_heldout("names", indices, SAMPLES_MAX);
    *samples = some();
    for (char *label = strtok_r(labels, "\n", &rest); label; label = strtok_r(NULL, "\n", &rest)) {
        char name[128];
        snprintf(name, sizeof name, "names/%s.txt", label);
        if (!samples_path(path, sizeof path, name))
            return false;
        add_language(samples, path, label, indices, n, &number);
    }
    ck_assert_int_eq(samples->n, n);
    return true;
}

double samples_accuracy(const char *name, const char *member)
{
    char path[128];
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    json_t *manifest = json_load_file(path, 0, NULL);
    double value = json_number_value(json_object_get(json_object_get(manifest, "accuracy"), member));
    json_decref(manifest);
    ck_assert(value > 0);
    return value;
}
