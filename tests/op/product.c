/* Rectangles cover the outputs once, however pieces are handed out, stay small, and are whole where they must be. */
#include "op/product.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 3 }; /* products one after another */

/* Chunks of pieces as a team might claim them. */
static void check_cover(const struct product *product, int64_t step, int64_t chunk)
{
    const int64_t m = product->m, n = product->n, pieces = product_pieces(product);
    unsigned char *seen = calloc(ITEMS, (size_t)(m * n));
    for (int64_t from = 0; from < pieces;) {
        const int64_t to = from + chunk < pieces ? from + chunk : pieces;
        struct product_part part;
        const int64_t next = product_part(product, from, to, &part);
        ck_assert_int_gt(next, from);
        ck_assert_int_le(next, to);
        ck_assert(product->merges || next == from + 1);
        ck_assert_int_eq(part.item, from / (pieces / ITEMS));
        ck_assert_int_eq(part.column % step, 0);
        ck_assert(part.column_end % step == 0 || part.column_end == n);
        for (int64_t i = part.row; i < part.row + part.rows; i++)
            for (int64_t j = part.column; j < part.column_end; j++)
                seen[(part.item * m + i) * n + j]++;
        from = next;
    }
    int64_t once = 0;
    for (int64_t i = 0; i < ITEMS * m * n; i++)
        once += seen[i] == 1;
    ck_assert_msg(once == ITEMS * m * n, "of %ld x %ld outputs some were computed not once", (long)m, (long)n);
    free(seen);
}

START_TEST(pieces_cover_the_output_once)
{
    const int64_t rows[] = {1, 7, 47, 48, 49, 500}, columns[] = {1, 31, 33, 700}, depths[] = {1, 64, 100000, 1 << 24};
    const struct kernels *kernels = pick_best();
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 4; j++)
            for (int64_t chunk = 1; chunk < 60; chunk = 3 * chunk + 1) {
                const int64_t m = rows[i], n = columns[j], k = depths[(i + j) % 4];
                const struct product packed = product_packed(kernels, ITEMS, m, n, k);
                const struct product dots = product_dots(kernels, ITEMS, m, n);
                const struct product squares = product_squares(ITEMS, m, n, k);
                const struct product bands = product_bands(ITEMS, m, n, 5, 9);
                check_cover(&packed, kernels->gemm->step, chunk);
                check_cover(&dots, kernels->quantize->dot_step, chunk);
                check_cover(&squares, 1, chunk);
                check_cover(&bands, 9, chunk);
            }
}
END_TEST

START_TEST(an_empty_product_has_no_pieces)
{
    const struct kernels *kernels = pick_best();
    const struct product empty[] = {product_packed(kernels, 1, 0, 5, 5), product_packed(kernels, 1, 5, 0, 5),
                                    product_packed(kernels, 0, 5, 5, 5), product_dots(kernels, 1, 0, 5),
                                    product_squares(1, 0, 5, 5),         product_squares(1, 0, 0, 5),
                                    product_bands(2, 0, 7, 0, 3)};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        ck_assert_int_eq(product_pieces(&empty[i]), 0);
}
END_TEST

/* 8192 cubed is 10^12 multiplications; at 10^10 a second a piece takes below 20 ms. OpenBLAS has 1.5 times as many. */
START_TEST(pieces_of_large_products_are_short)
{
    for (int64_t k = 64; k <= 16384; k *= 4) {
        const struct product packed = product_packed(pick_best(), 1, 8192, 8192, k);
        ck_assert_int_lt(packed.rows * packed.columns * k, 200000000);
        const struct product squares = product_squares(1, 8192, 8192, k);
        ck_assert_int_le(squares.rows * squares.columns * k, (int64_t)1 << 28);
    }
}
END_TEST

/* The size of a call of OpenBLAS is in the bits. */
START_TEST(squares_depend_on_one_product_alone)
{
    const struct product one = product_squares(1, 700, 900, 4096), many = product_squares(50, 700, 900, 4096);
    ck_assert_int_eq(one.rows, many.rows);
    ck_assert_int_eq(one.columns, many.columns);
    ck_assert_int_lt(one.rows, 700);
    const struct product small = product_squares(50, 70, 90, 40);
    ck_assert_int_eq(small.down * small.across, 1);
    ck_assert(!one.merges && !small.merges);
}
END_TEST

/* quant_matmul.c's tile has so many rows. */
START_TEST(no_piece_of_dots_has_more_rows_than_a_band)
{
    for (int64_t m = 1; m < 3 * PRODUCT_BAND; m++) {
        const struct product product = product_dots(pick_best(), 1, m, 1000);
        struct product_part part;
        for (int64_t from = 0, n = product_pieces(&product); from < n;) {
            from = product_part(&product, from, n, &part);
            ck_assert_int_le(part.rows, PRODUCT_BAND);
        }
    }
}
END_TEST

struct counted {
    int64_t outputs, calls;
};

static void count(void *arg, const struct product_part *part, int member)
{
    struct counted *counted = arg;
    ck_assert_int_eq(member, 0);
    counted->outputs += part->rows * (part->column_end - part->column);
    counted->calls++;
}

START_TEST(without_a_team_every_rectangle_is_the_callers)
{
    struct counted counted = {0};
    const struct product bands = product_bands(3, 10, 20, 4, 7);
    product_run(&bands, NULL, count, &counted);
    ck_assert_int_eq(counted.outputs, 3 * 10 * 20);
    ck_assert_int_eq(counted.calls, 3 * 3 * 3);
    counted = (struct counted){0};
    const struct product packed = product_packed(pick_best(), 3, 10, 5 * pick_best()->gemm->step, 64);
    product_run(&packed, NULL, count, &counted);
    ck_assert_int_eq(counted.calls, 3); /* the columns of each in one call */
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
        for (int64_t j = 0; j < n; j += kernels->gemm->step) { /* as product_pack cuts it */
            const int64_t left = n - j < kernels->gemm->step ? n - j : kernels->gemm->step;
            kernels->gemm->pack(pieces + kernels->gemm->pack_bytes(k, j), b + j * (turned ? k : 1), k, left,
                                turned ? 1 : n, turned ? k : 1, scale + j);
        }
        ck_assert(memcmp(whole, pieces, size) == 0);
        memset(pieces, 0, size);
        product_pack(kernels->gemm, NULL, pieces, b, k, n, turned ? 1 : n, turned ? k : 1, scale);
        ck_assert(memcmp(whole, pieces, size) == 0);
    }
    free(b);
    free(scale);
    free(whole);
    free(pieces);
}
END_TEST

Suite *op_product_suite(void);

Suite *op_product_suite(void)
{
    Suite *suite = suite_create("op/product");
    TCase *tests = tcase_create("product");
    tcase_add_test(tests, pieces_cover_the_output_once);
    tcase_add_test(tests, an_empty_product_has_no_pieces);
    tcase_add_test(tests, pieces_of_large_products_are_short);
    tcase_add_test(tests, squares_depend_on_one_product_alone);
    tcase_add_test(tests, no_piece_of_dots_has_more_rows_than_a_band);
    tcase_add_test(tests, without_a_team_every_rectangle_is_the_callers);
    tcase_add_test(tests, packing_in_pieces_is_packing);
    suite_add_tcase(suite, tests);
    return suite;
}
