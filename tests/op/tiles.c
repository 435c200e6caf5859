/* tiles.c - rectangles cover the output once, however pieces are handed out, and stay small. */
#include "op/tiles.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 3 }; /* products one after another */

static void check_cover(int64_t m, int64_t n, int64_t k, int64_t chunk)
{
    const struct kernels *kernels = pick_best();
    const struct tiles tiles = tiles_cut(kernels, m, n, k);
    const int64_t pieces = ITEMS * tiles.pieces;
    unsigned char *seen = calloc(ITEMS, (size_t)(m * n));
    for (int64_t from = 0; from < pieces;) {
        const int64_t to = from + chunk < pieces ? from + chunk : pieces;
        const struct tiles_part part = tiles_part(&tiles, from, to);
        ck_assert_int_gt(part.next, from);
        ck_assert_int_le(part.next, to);
        ck_assert_int_eq(part.item, from / tiles.pieces);
        ck_assert_int_eq(part.column % kernels->gemm->step, 0);
        ck_assert(part.column_end % kernels->gemm->step == 0 || part.column_end == n);
        for (int64_t i = part.row; i < part.row + part.rows; i++)
            for (int64_t j = part.column; j < part.column_end; j++)
                ck_assert_msg(!seen[(part.item * m + i) * n + j]++, "%ld, %ld twice", (long)i, (long)j);
        from = part.next;
    }
    ck_assert_msg(!memchr(seen, 0, (size_t)(ITEMS * m * n)), "%ld x %ld x %ld has holes", (long)m, (long)n, (long)k);
    free(seen);
}

START_TEST(pieces_cover_the_output_once)
{
    const int64_t rows[] = {1, 7, 47, 48, 49, 500}, columns[] = {1, 31, 33, 700}, depths[] = {1, 64, 100000, 1 << 24};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 4; j++)
            for (int64_t chunk = 1; chunk < 60; chunk = 3 * chunk + 1)
                check_cover(rows[i], columns[j], depths[(i + j) % 4], chunk);
}
END_TEST

/* 8192 cubed is 10^12 multiplications; at 10^10 a second a piece takes below 20 ms. */
START_TEST(pieces_of_large_products_are_short)
{
    for (int64_t k = 64; k <= 16384; k *= 4) {
        const struct tiles tiles = tiles_cut(pick_best(), 8192, 8192, k);
        ck_assert_int_lt(tiles.rows * tiles.columns * k, 200000000);
    }
}
END_TEST

START_TEST(packing_in_pieces_is_packing)
{
    const struct kernels *kernels = pick_best();
    const int64_t k = 70, n = 5 * kernels->gemm->step + 3;
    const size_t size = kernels->gemm->pack_bytes(k, n);
    float *b = malloc((size_t)(k * n) * sizeof *b), *scale = malloc((size_t)n * sizeof *scale);
    char *whole = calloc(1, size), *pieces = calloc(1, size);
    for (int64_t i = 0; i < k * n; i++)
        b[i] = (float)i;
    for (int64_t i = 0; i < n; i++)
        scale[i] = (float)(i % 5);
    for (int turned = 0; turned < 2; turned++) {
        kernels->gemm->pack(whole, b, k, n, turned ? 1 : n, turned ? k : 1, scale);
        for (int64_t j = 0; j < n; j += kernels->gemm->step) { /* as tiles_pack cuts it */
            const int64_t left = n - j < kernels->gemm->step ? n - j : kernels->gemm->step;
            kernels->gemm->pack(pieces + kernels->gemm->pack_bytes(k, j), b + j * (turned ? k : 1), k, left,
                                turned ? 1 : n, turned ? k : 1, scale + j);
        }
        ck_assert(memcmp(whole, pieces, size) == 0);
        memset(pieces, 0, size);
        tiles_pack(kernels, NULL, pieces, b, k, n, turned ? 1 : n, turned ? k : 1, scale);
        ck_assert(memcmp(whole, pieces, size) == 0);
    }
    free(b);
    free(scale);
    free(whole);
    free(pieces);
}
END_TEST

Suite *op_tiles_suite(void);

Suite *op_tiles_suite(void)
{
    Suite *suite = suite_create("op/tiles");
    TCase *tests = tcase_create("tiles");
    tcase_add_test(tests, pieces_cover_the_output_once);
    tcase_add_test(tests, pieces_of_large_products_are_short);
    tcase_add_test(tests, packing_in_pieces_is_packing);
    suite_add_tcase(suite, tests);
    return suite;
}
