/* coded.c - see coded.h. */
#include "coded.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void coded_png(struct coded *file, const void *pixels, size_t n_bytes, const struct spng_ihdr *header,
               const struct spng_plte *palette, const struct spng_trns *trns, int level)
{
    struct spng_ihdr own = *header;
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, level);
    ck_assert_int_eq(spng_set_ihdr(ctx, &own), 0);
    if (palette)
        ck_assert_int_eq(spng_set_plte(ctx, (struct spng_plte *)(uintptr_t)palette), 0);
    if (trns)
        ck_assert_int_eq(spng_set_trns(ctx, (struct spng_trns *)(uintptr_t)trns), 0);
    ck_assert_int_eq(spng_encode_image(ctx, pixels, n_bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
    int code;
    void *made = spng_get_png_buffer(ctx, &file->n, &code);
    ck_assert(made && file->n <= sizeof file->at);
    memcpy(file->at, made, file->n);
    free(made);
    spng_ctx_free(ctx);
}

/* EXIF with an orientation, little-endian. */
static const uint8_t exif[] = {'E',  'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0,
                               0x12, 1,   3,   0,   1, 0, 0,   0,   6,  0, 0, 0, 0, 0, 0, 0};

void coded_jpeg(struct coded *file, const uint8_t *pixels, int width, int height, int channels, enum coded_jpeg kind,
                bool turned)
{
    static const jpeg_scan_info apart[] = {{.comps_in_scan = 1, .component_index = {0}, .Se = 63},
                                           {.comps_in_scan = 1, .component_index = {1}, .Se = 63},
                                           {.comps_in_scan = 1, .component_index = {2}, .Se = 63}};
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct info = {.err = jpeg_std_error(&errors)};
    unsigned char *made = NULL;
    unsigned long n = 0;
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &made, &n);
    info.image_width = (unsigned)width;
    info.image_height = (unsigned)height;
    info.input_components = channels;
    info.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 95, TRUE);
    if (kind == CODED_PROGRESSIVE)
        jpeg_simple_progression(&info);
    if (kind == CODED_APART) {
        info.scan_info = apart;
        info.num_scans = channels;
    }
    jpeg_start_compress(&info, TRUE);
    if (turned)
        jpeg_write_marker(&info, JPEG_APP0 + 1, exif, sizeof exif);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)pixels + info.next_scanline * (unsigned)width * (unsigned)channels;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    ck_assert_uint_le(n, sizeof file->at);
    memcpy(file->at, made, n);
    file->n = n;
    free(made);
    jpeg_destroy_compress(&info);
}

void coded_append(struct coded *file, const void *at, size_t n)
{
    ck_assert_uint_le(file->n + n, sizeof file->at);
    memcpy(file->at + file->n, at, n);
    file->n += n;
}

void coded_chunk(struct coded *file, const char *type, const void *at, size_t n)
{
    uint8_t number[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    coded_append(file, number, 4);
    size_t from = file->n;
    coded_append(file, type, 4);
    if (n)
        coded_append(file, at, n);
    uint32_t crc = UINT32_MAX;
    for (; from < file->n; from++) {
        crc ^= file->at[from];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? 0xedb88320 ^ crc >> 1 : crc >> 1;
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++)
        number[i] = (uint8_t)(crc >> (24 - 8 * i));
    coded_append(file, number, 4);
}

bool coded_decode(bool (*decode)(const struct codec_picture *, struct picture *), const struct coded *file, size_t n,
                  struct codec_picture how, struct picture *picture)
{
    uint8_t *copy = malloc(n);
    memcpy(copy, file->at, n);
    how.body = bytes_of(copy, n);
    bool ok = decode(&how, picture);
    free(copy);
    return ok;
}

bool coded_same(const struct picture *a, const struct picture *b)
{
    return a->width == b->width && a->height == b->height && a->channels == b->channels &&
           !memcmp(a->pixels, b->pixels, (size_t)(a->width * a->height * a->channels));
}
