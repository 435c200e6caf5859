/* arena.c - zeroed, aligned, bounded, freed at once; failures on demand. */
#include "base/arena.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_zero(const void *at, size_t n)
{
    const char *byte = at;
    for (size_t i = 0; i < n; i++)
        if (byte[i])
            return false;
    return true;
}

START_TEST(memory_is_zeroed_aligned_and_has_slack)
{
    struct arena arena = {0};
    const size_t sizes[] = {0, 1, 15, 16, 63, 64, 65, 1000, 5000, 100000, 3000000};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *at = arena_alloc(&arena, sizes[i]);
            ck_assert_ptr_nonnull(at);
            ck_assert_uint_eq((uintptr_t)at % (sizes[i] >= 64 ? 64 : 16), 0);
            ck_assert(is_zero(at, sizes[i]));
            volatile char past = at[sizes[i] + 63]; /* readable, says a sanitizer */
            (void)past;
            memset(at, 0xaa, sizes[i]);
        }
    arena_free(&arena);
    ck_assert_uint_eq(arena.used_bytes, 0);
}
END_TEST

START_TEST(overflowing_sizes_are_refused)
{
    struct arena arena = {0};
    ck_assert_ptr_null(arena_array(&arena, SIZE_MAX / 2, 4));
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(arena_text(&arena, "x", SIZE_MAX));
    ck_assert_ptr_null(arena_buffer(SIZE_MAX));
    size_t product;
    ck_assert(!arena_multiply(SIZE_MAX, 2, &product));
    ck_assert(arena_multiply(3, 4, &product));
    ck_assert_uint_eq(product, 12);
}
END_TEST

START_TEST(a_limit_holds)
{
    struct arena arena = {.limit_bytes = 100};
    ck_assert_ptr_nonnull(arena_alloc(&arena, 60));
    ck_assert_ptr_null(arena_alloc(&arena, 41));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 40));
    arena_free(&arena);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
    arena_free(&arena);
}
END_TEST

START_TEST(text_is_copied_and_ended)
{
    struct arena arena = {0};
    ck_assert_str_eq(arena_text(&arena, "abcdef", 3), "abc");
    ck_assert_str_eq(arena_text(&arena, NULL, 0), "");
    ck_assert_str_eq(arena_printf(&arena, "%s_%d", "n", 7), "n_7");
    arena_free(&arena);
}
END_TEST

START_TEST(growing_keeps_what_was_there)
{
    struct arena arena = {0};
    int *values = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < 10000; i++) {
        if (i == cap) {
            size_t bigger = cap ? cap * 2 : 4;
            values = arena_grow(&arena, values, cap * sizeof *values, bigger * sizeof *values);
            ck_assert_ptr_nonnull(values);
            cap = bigger;
            if (i % 3 == 0)
                arena_alloc(&arena, 10); /* so that it cannot always grow in place */
        }
        ck_assert_int_eq(values[i], 0);
        values[i] = (int)i;
    }
    for (size_t i = 0; i < 10000; i++)
        ck_assert_int_eq(values[i], (int)i);
    arena_free(&arena);
}
END_TEST

START_TEST(reset_reuses_memory_and_zeroes_it)
{
    struct arena arena = {0};
    memset(arena_alloc(&arena, 50000), 0x55, 50000);
    arena_reset(&arena);
    size_t calls = arena_calls();
    char *at = arena_alloc(&arena, 40000);
    ck_assert_uint_eq(arena_calls(), calls);
    ck_assert(is_zero(at, 40000));
    arena_free(&arena);
    arena_reset(&arena);
}
END_TEST

/* What a sanitizer's allocator keeps of what it was given back, to notice who still uses it. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define ALLOCATOR_MB 1024
#else
#define ALLOCATOR_MB 1
#endif

/* MB that this process has in memory. */
static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE) >> 20;
}

/* One large block, several, small ones beside them, nothing at all; whatever the part. */
START_TEST(what_is_large_is_freed_in_parts)
{
    static const struct {
        size_t sizes[4], part;
        int calls; /* at the most */
    } rows[] = {
        {{64 << 20}, 16 << 20, 5},
        {{5 << 20, 64 << 20, 100, 9 << 20}, 16 << 20, 6},
        {{64 << 20}, 1 << 20, 65},
        {{64 << 20, 64 << 20}, 1 << 30, 1},
        {{100, 4000, 5000}, 16 << 20, 1},
        {{0}, 16 << 20, 1},
        {{(64 << 20) + 4097}, 4096 * 100, 165},
        {{64 << 20, 64 << 20, 64 << 20}, 64 << 20, 4},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct arena arena = {0};
        const long before = resident();
        for (int i = 0; i < 4 && rows[r].sizes[i]; i++) {
            char *at = arena_alloc(&arena, rows[r].sizes[i]);
            ck_assert_ptr_nonnull(at);
            memset(at, 1, rows[r].sizes[i]);
        }
        int calls = 0;
        for (bool over = false; !over; calls++) {
            over = arena_free_part(&arena, rows[r].part);
            ck_assert_int_le(calls, rows[r].calls);
        }
        ck_assert_int_le(calls, rows[r].calls);
        ck_assert_uint_eq(arena.used_bytes, 0);
        ck_assert_ptr_null(arena.blocks);
        /* an emulator's own memory is counted too, and grows as it translates */
        ck_assert(getenv("EMULATED") || resident() <= before + ALLOCATOR_MB);
        ck_assert_ptr_nonnull(arena_alloc(&arena, 100)); /* as new */
        arena_free(&arena);
    }
}
END_TEST

/* A part leaves memory at once, and what is left is freed at any point of the way. */
START_TEST(a_part_is_given_back_at_once)
{
    for (int parts = 0; parts < 5; parts++) {
        struct arena arena = {0};
        char *at = arena_alloc(&arena, 64 << 20);
        memset(at, 1, 64 << 20);
        const long before = resident();
        for (int i = 0; i < parts; i++)
            arena_free_part(&arena, 16 << 20);
        ck_assert_int_le(resident(), before - 16 * (parts < 4 ? parts : 4) + 1 + ALLOCATOR_MB);
        arena_free(&arena);
    }
}
END_TEST

/* Freeing takes as long as what is freed at a time: a part takes no more blocks than it has bytes for. */
START_TEST(a_part_is_no_more_than_was_asked_for)
{
    struct arena arena = {0};
    for (int i = 0; i < 8; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, 4 << 20));
    int calls = 1;
    while (!arena_free_part(&arena, 6 << 20))
        calls++;
    ck_assert_int_eq(calls, 6);
}
END_TEST

START_TEST(the_nth_allocation_fails_on_demand)
{
    struct arena arena = {0};
    arena_fail_at(2, false);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 100000));
    ck_assert_ptr_null(arena_alloc(&arena, 2000000));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 2000000));
    arena_fail_at(1, true);
    ck_assert_ptr_null(arena_buffer(10));
    ck_assert_ptr_null(arena_buffer(10));
    arena_fail_at(0, false);
    arena_free(&arena);
}
END_TEST

START_TEST(a_buffer_is_aligned_zeroed_and_freed_alone)
{
    char *buffer = arena_buffer(1000);
    ck_assert_uint_eq((uintptr_t)buffer % 64, 0);
    ck_assert(is_zero(buffer, 1000 + 64));
    arena_buffer_free(buffer);
    arena_buffer_free(arena_buffer(0));
    arena_buffer_free(NULL);
}
END_TEST

START_TEST(a_buffer_grows_and_shrinks_as_with_realloc)
{
    char *buffer = arena_buffer_array(100, 7);
    ck_assert_uint_eq(arena_buffer_bytes(buffer), 700);
    memset(buffer, 0x55, 700);
    buffer = arena_buffer_grow(buffer, 5000);
    ck_assert(buffer[699] == 0x55 && is_zero(buffer + 700, 4300));
    size_t refusals = arena_refusals();
    arena_fail_at(1, false);
    ck_assert_ptr_null(arena_buffer_grow(buffer, 9000)); /* the old one is still there */
    ck_assert_uint_eq(arena_refusals(), refusals + 1);
    buffer = arena_buffer_grow(buffer, 10);
    ck_assert(buffer[9] == 0x55 && arena_buffer_bytes(buffer) == 10);
    arena_buffer_free(buffer);
    arena_buffer_free(arena_buffer_grow(NULL, 10));
    ck_assert_ptr_null(arena_buffer_array(SIZE_MAX / 2, 3));
    ck_assert_uint_eq(arena_refusals(), refusals + 1);
}
END_TEST

START_TEST(blocks_double_up_to_a_megabyte)
{
    struct arena arena = {0};
    const size_t calls = arena_calls();
    for (int i = 0; i < 250; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    ck_assert_uint_eq(arena_calls(), calls + 1); /* 4 KiB */
    for (int i = 250; i < 750; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    ck_assert_uint_eq(arena_calls(), calls + 2); /* and 8 */
    for (int i = 750; i < 65000; i++)            /* 4 + 8 + ... + 512 KiB are not enough for 1 MiB */
        ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    ck_assert_uint_eq(arena_calls(), calls + 8);
    for (int i = 65000; i < 65000 + 4 * 65000; i++) /* from here on 1 MiB each */
        ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    ck_assert_uint_eq(arena_calls(), calls + 12);
    ck_assert_uint_eq(arena.used_bytes, 16 * 5 * 65000);
    arena_free(&arena);
}
END_TEST

START_TEST(small_pieces_lie_close_together)
{
    struct arena arena = {0};
    char *one = arena_alloc(&arena, 1), *two = arena_alloc(&arena, 63), *three = arena_alloc(&arena, 64);
    ck_assert_int_eq(two - one, 16);
    ck_assert_int_le(three - two, 64 + 63);
    char *four = arena_alloc(&arena, 16);
    ck_assert_int_eq(four - three, 64);
    ck_assert_uint_eq(arena.used_bytes, 1 + 63 + 64 + 16);
    arena_free(&arena);
}
END_TEST

START_TEST(growing_happens_in_place_where_it_can)
{
    struct arena arena = {.limit_bytes = 300};
    char *at = arena_alloc(&arena, 100);
    memset(at, 1, 100);
    ck_assert_ptr_eq(arena_grow(&arena, at, 100, 100), at);
    ck_assert_ptr_eq(arena_grow(&arena, at, 100, 50), at);
    ck_assert_uint_eq(arena.used_bytes, 100);
    ck_assert_ptr_eq(arena_grow(&arena, at, 100, 300), at); /* to the limit */
    ck_assert_uint_eq(arena.used_bytes, 300);
    ck_assert(is_zero(at + 100, 200));
    ck_assert_ptr_null(arena_grow(&arena, at, 300, 301));
    ck_assert_uint_eq(arena.used_bytes, 300);
    arena_free(&arena);
    arena = (struct arena){0};
    at = arena_alloc(&arena, 64);
    memset(at, 2, 64);
    char *between = arena_alloc(&arena, 16);
    ck_assert_ptr_eq(arena_grow(&arena, at, 64, 64), at); /* wherever it lies */
    ck_assert_ptr_eq(arena_grow(&arena, at, 64, 0), at);
    ck_assert_uint_eq(arena.used_bytes, 64 + 16);
    char *moved = arena_grow(&arena, at, 64, 128); /* something lies behind it */
    ck_assert_ptr_ne(moved, at);
    ck_assert_int_eq(memcmp(moved, at, 64), 0);
    ck_assert(is_zero(moved + 64, 64) && is_zero(between, 16));
    char *large = arena_grow(&arena, moved, 128, 100000); /* beyond the block */
    ck_assert_ptr_ne(large, moved);
    ck_assert(large[127] == 0 && large[63] == 2);
    ck_assert_ptr_nonnull(arena_grow(&arena, NULL, 0, 10));
    arena_free(&arena);
    arena = (struct arena){0};
    ck_assert_ptr_nonnull(arena_grow(&arena, NULL, 0, 10)); /* the first of all */
    arena_free(&arena);
}
END_TEST

/* To the last byte of a block in place, and not a byte further. */
START_TEST(growing_ends_where_the_block_ends)
{
    struct arena arena = {0};
    char *at = arena_alloc(&arena, 64);
    const size_t calls = arena_calls();
    size_t n = 64;
    while (arena_grow(&arena, at, n, n + 1) == at)
        ck_assert_uint_lt(++n, 5000);
    ck_assert_uint_eq(arena_calls(), calls + 1);
    ck_assert_uint_gt(n, 4096 - 64 - 64);
    ck_assert_uint_le(n, 4096);
    memset(at, 3, n + 64); /* the slack is there as well, says a sanitizer */
    arena_free(&arena);
}
END_TEST

START_TEST(reset_keeps_the_largest_block)
{
    struct arena arena = {0};
    arena_alloc(&arena, 5000);
    memset(arena_alloc(&arena, 300000), 1, 300000);
    arena_alloc(&arena, 2000000);
    arena_alloc(&arena, 1500000);
    ck_assert_uint_eq(arena.used_bytes, 5000 + 300000 + 2000000 + 1500000);
    arena_reset(&arena);
    ck_assert_uint_eq(arena.used_bytes, 0);
    const size_t calls = arena_calls();
    char *at = arena_alloc(&arena, 2000000);
    ck_assert(at && is_zero(at, 2000000));
    ck_assert_uint_eq(arena_calls(), calls);
    memset(at, 0x77, 2000000);
    arena_reset(&arena);
    at = arena_alloc(&arena, 2000000);
    ck_assert(is_zero(at, 2000000));
    ck_assert_uint_eq(arena_calls(), calls);
    arena_free(&arena);
    ck_assert_ptr_null(arena.blocks);
}
END_TEST

START_TEST(failures_are_counted_down_and_may_last)
{
    struct arena arena = {0};
    const size_t refusals = arena_refusals();
    arena_fail_at(3, false);
    for (int i = 1; i <= 5; i++) {
        void *at = arena_buffer(10);
        ck_assert_int_eq(at != NULL, i != 3);
        arena_buffer_free(at);
    }
    arena_fail_at(2, true);
    for (int i = 1; i <= 4; i++) {
        void *at = arena_buffer(10);
        ck_assert_int_eq(at != NULL, i < 2);
        arena_buffer_free(at);
    }
    arena_fail_at(0, false);
    ck_assert_uint_eq(arena_refusals(), refusals + 4);
    arena_free(&arena);
}
END_TEST

/* What alignment may have taken goes along with what was asked for. */
START_TEST(the_last_part_frees_the_block_as_well)
{
    for (size_t n = 5000; n < 5003; n++) {
        size_t least = 1;
        for (bool over = false; !over; least++) {
            struct arena arena = {0};
            ck_assert_ptr_nonnull(arena_alloc(&arena, n));
            over = arena_free_part(&arena, least);
            ck_assert(over == (arena.blocks == NULL));
            arena_free(&arena);
        }
        ck_assert_uint_eq(least - 1, n + 64);
    }
}
END_TEST

START_TEST(a_buffer_remembers_what_was_asked_for)
{
    for (size_t n = 0; n < 200; n++) {
        char *buffer = arena_buffer(n);
        ck_assert_uint_eq((uintptr_t)buffer % 64, 0);
        ck_assert_uint_eq(arena_buffer_bytes(buffer), n);
        ck_assert(is_zero(buffer, n + 64));
        memset(buffer, 0x55, n + 64);
        ck_assert_uint_eq(arena_buffer_bytes(buffer), n);
        buffer = arena_buffer_grow(buffer, n + 1);
        ck_assert_uint_eq(arena_buffer_bytes(buffer), n + 1);
        for (size_t i = 0; i <= n; i++)
            ck_assert_int_eq(buffer[i], i < n ? 0x55 : 0);
        arena_buffer_free(buffer);
    }
}
END_TEST

START_TEST(a_buffer_that_moved_is_given_back)
{
    const size_t n = 4 << 20;
    const long before = resident();
    char *buffer = NULL;
    for (size_t i = 0; i < 32; i++) {
        buffer = arena_buffer_grow(buffer, n + i * 64);
        ck_assert_ptr_nonnull(buffer);
        memset(buffer, (int)i, n);
    }
    ck_assert_int_le(resident(), before + 4 * 4 + ALLOCATOR_MB); /* some that malloc keeps, not 32 */
    arena_buffer_free(buffer);
}
END_TEST

START_TEST(texts_of_any_length_are_printed)
{
    struct arena arena = {0};
    char expected[300];
    memset(expected, 'x', sizeof expected);
    for (int n = 0; n < 299; n++) {
        char *text = arena_printf(&arena, "%.*s", n, expected);
        ck_assert_uint_eq(strlen(text), (size_t)n);
        ck_assert_int_eq(memcmp(text, expected, (size_t)n), 0);
    }
    arena_free(&arena);
    struct arena none = {.limit_bytes = 3};
    ck_assert_str_eq(arena_printf(&none, "%s", "ab"), "ab");
    ck_assert_ptr_null(arena_printf(&none, "%s", "c"));
    arena_free(&none);
}
END_TEST

Suite *base_arena_suite(void)
{
    Suite *suite = suite_create("base/arena");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, memory_is_zeroed_aligned_and_has_slack);
    tcase_add_test(tests, overflowing_sizes_are_refused);
    tcase_add_test(tests, a_limit_holds);
    tcase_add_test(tests, text_is_copied_and_ended);
    tcase_add_test(tests, growing_keeps_what_was_there);
    tcase_add_test(tests, reset_reuses_memory_and_zeroes_it);
    tcase_add_test(tests, what_is_large_is_freed_in_parts);
    tcase_add_test(tests, a_part_is_given_back_at_once);
    tcase_add_test(tests, a_part_is_no_more_than_was_asked_for);
    tcase_add_test(tests, the_nth_allocation_fails_on_demand);
    tcase_add_test(tests, a_buffer_is_aligned_zeroed_and_freed_alone);
    tcase_add_test(tests, a_buffer_grows_and_shrinks_as_with_realloc);
    tcase_add_test(tests, blocks_double_up_to_a_megabyte);
    tcase_add_test(tests, small_pieces_lie_close_together);
    tcase_add_test(tests, growing_happens_in_place_where_it_can);
    tcase_add_test(tests, growing_ends_where_the_block_ends);
    tcase_add_test(tests, reset_keeps_the_largest_block);
    tcase_add_test(tests, failures_are_counted_down_and_may_last);
    tcase_add_test(tests, the_last_part_frees_the_block_as_well);
    tcase_add_test(tests, a_buffer_remembers_what_was_asked_for);
    tcase_add_test(tests, a_buffer_that_moved_is_given_back);
    tcase_add_test(tests, texts_of_any_length_are_printed);
    suite_add_tcase(suite, tests);
    return suite;
}
