/*
 * coding.c - tests of serve/coding.c: which coding is meant, bodies that come whole, and those that were made to hurt:
 * bombs, torn and damaged ones, what follows an end. zlib itself is the other side.
 */
#include "serve/coding.h"

#include "base/err.h"

#include <check.h>
#include <stdlib.h>
#include <zlib.h>

Suite *serve_coding_suite(void);

#define MOST ((size_t)8 << 20)

static struct arena arena;
static struct percept_err err;
static struct bytes inflated;
static uint8_t packed[1 << 20];

static void start(void)
{
    arena = (struct arena){0};
    err = (struct percept_err){0};
}

static void end(void)
{
    arena_free(&arena);
}

/* zlib's windowBits: gzip, zlib, none of both. */
#define GZIP 31
#define ZLIB 15
#define BARE (-15)

static size_t pack_at(uint8_t *to, const void *from, size_t n, int bits)
{
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)from;
    z.avail_in = (uInt)n;
    z.next_out = to;
    z.avail_out = (uInt)(packed + sizeof packed - to);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static bool inflate_most(size_t n, size_t most)
{
    return coding_inflate(bytes_of(packed, n), most, &arena, NULL, &inflated, &err);
}

static void fill(uint8_t *to, size_t n)
{
    uint32_t state = 7;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        to[i] = (uint8_t)(state >> 29); /* three bits of noise: it shrinks to less than half */
    }
}

static const struct {
    const char *text;
    enum coding coding;
} found[] = {
    {"gzip", CODING_GZIP},         {"GZip", CODING_GZIP},     {"x-gzip", CODING_GZIP}, {"deflate", CODING_DEFLATE},
    {"identity", CODING_IDENTITY}, {"br", CODING_UNKNOWN},    {"", CODING_UNKNOWN},    {"gzip, gzip", CODING_UNKNOWN},
    {"gzi", CODING_UNKNOWN},       {"gzipp", CODING_UNKNOWN}, {"*", CODING_UNKNOWN},
};

START_TEST(codings_are_found_by_name)
{
    ck_assert_int_eq(coding_find(bytes_of_text(found[_i].text)), found[_i].coding);
    ck_assert_int_eq(coding_find((struct bytes){0}), CODING_IDENTITY);
}
END_TEST

static const struct {
    const char *accept;
    enum coding coding;
} preferred[] = {
    {"", CODING_IDENTITY},
    {"gzip", CODING_GZIP},
    {"gzip, deflate", CODING_GZIP},
    {"deflate, gzip", CODING_DEFLATE},
    {"deflate;q=0.5, gzip;q=0.6", CODING_GZIP},
    {"identity, gzip", CODING_IDENTITY},
    {"identity;q=0.5, gzip;q=0.4", CODING_IDENTITY},
    {"gzip;q=0", CODING_IDENTITY},
    {"gzip;q=0, deflate;q=0.001", CODING_DEFLATE},
    {"br, zstd, gzip;q=0.1", CODING_GZIP},
    {"*", CODING_IDENTITY},
    {"identity;q=0", CODING_IDENTITY},
    {",;q=,x", CODING_IDENTITY},
};

START_TEST(the_highest_weight_is_preferred_and_the_first_of_equals)
{
    ck_assert_int_eq(coding_prefer(bytes_of_text(preferred[_i].accept)), preferred[_i].coding);
    ck_assert_int_eq(coding_prefer((struct bytes){0}), CODING_IDENTITY);
}
END_TEST

START_TEST(what_was_packed_comes_out)
{
    static const size_t sizes[] = {0, 1, 1000, 65535, 65536, 65537, 1 << 20};
    static uint8_t plain[1 << 20];
    start();
    fill(plain, sizeof plain);
    size_t n = pack_at(packed, plain, sizes[_i / 2], _i % 2 ? GZIP : ZLIB);
    ck_assert_msg(inflate_most(n, MOST), "%s", err.text);
    ck_assert_uint_eq(bytes_size(inflated), sizes[_i / 2]);
    ck_assert(bytes_equal(inflated, bytes_of(plain, sizes[_i / 2])));
    end();
}
END_TEST

START_TEST(gzip_may_have_several_members)
{
    start();
    size_t n = pack_at(packed, "one ", 4, GZIP);
    n += pack_at(packed + n, "", 0, GZIP);
    n += pack_at(packed + n, "two", 3, GZIP);
    ck_assert_msg(inflate_most(n, MOST), "%s", err.text);
    ck_assert(bytes_is(inflated, "one two"));
    ck_assert(!inflate_most(n, 6));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    end();
}
END_TEST

START_TEST(the_limit_is_exact)
{
    static uint8_t plain[5000];
    start();
    fill(plain, sizeof plain);
    size_t n = pack_at(packed, plain, sizeof plain, GZIP);
    ck_assert(inflate_most(n, sizeof plain));
    ck_assert(!inflate_most(n, sizeof plain - 1));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_str_eq(err.text, "decompressed request size of 5000 bytes exceeds the maximum allowed input size of 4999 "
                               "bytes. Use --max-body to increase the limit.");
    end();
}
END_TEST

/* Zeros, some of them: a thousandth of their size. */
static size_t pack_zeros(size_t n_bytes)
{
    uint8_t *zeros = calloc(n_bytes, 1);
    ck_assert_ptr_nonnull(zeros);
    size_t n = pack_at(packed, zeros, n_bytes, GZIP);
    free(zeros);
    return n;
}

START_TEST(a_bomb_is_ended_by_its_ratio_and_takes_no_memory)
{
    start();
    ck_assert(inflate_most(pack_zeros(CODING_FREE_BYTES), SIZE_MAX));
    arena_free(&arena);
    size_t n = pack_zeros(64 << 20);
    ck_assert_uint_lt(n, 1 << 17);
    ck_assert(!inflate_most(n, SIZE_MAX));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_msg(strstr(err.text, "exceeds 256 times the") != NULL, "%s", err.text);
    ck_assert_uint_le(arena.used_bytes, 2 * CODING_RATIO * n + 128 * 4096); /* doubled until there */
    arena_free(&arena);
    ck_assert(!inflate_most(n, 2 << 20)); /* and by the limit where that is lower */
    ck_assert_msg(strstr(err.text, "maximum allowed input size of 2097152") != NULL, "%s", err.text);
    ck_assert_uint_le(arena.used_bytes, 5 << 20);
    end();
}
END_TEST

START_TEST(a_bomb_of_many_members_is_one_too)
{
    start();
    size_t one = pack_zeros(512 << 10), n = one;
    for (; n + one < sizeof packed; n += one)
        memcpy(packed + n, packed, one);
    ck_assert(!inflate_most(n, SIZE_MAX));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    end();
}
END_TEST

START_TEST(what_is_cut_short_anywhere_is_refused)
{
    start();
    size_t n = pack_at(packed, "as long as a tweet, as long as a tweet", 38, _i ? GZIP : ZLIB);
    for (size_t k = 0; k < n; k++) {
        ck_assert(!inflate_most(k, MOST));
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert_msg(strstr(err.text, k ? "not whole" : "empty") != NULL, "%zu: %s", k, err.text);
    }
    end();
}
END_TEST

static const struct {
    int bits;
    const char *behind, *says;
} followed[] = {
    {GZIP, "x", "1 bytes follow the compressed body's end"},
    {ZLIB, "xy", "2 bytes follow"},
    {ZLIB, "\x1f\x8b", "2 bytes follow"},
    {GZIP, "\x1f", "not whole"},
    {GZIP, "\x1f\x8c", "incorrect header check"},
};

START_TEST(what_follows_the_end_is_refused)
{
    start();
    size_t n = pack_at(packed, "text", 4, followed[_i].bits), more = strlen(followed[_i].behind);
    memcpy(packed + n, followed[_i].behind, more);
    ck_assert(!inflate_most(n + more, MOST));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(strstr(err.text, followed[_i].says) != NULL, "%s", err.text);
    end();
}
END_TEST

START_TEST(what_is_not_packed_is_refused)
{
    start();
    size_t bare = pack_at(packed, "text", 4, BARE);
    ck_assert(!inflate_most(bare, MOST));
    ck_assert_int_eq(err.code, ERR_INVALID);
    memcpy(packed, "{\"inputs\":[]}", 13);
    ck_assert(!inflate_most(13, MOST));
    ck_assert_str_eq(err.text, "the compressed body is neither gzip nor zlib (Content-Encoding gzip, deflate)");
    end();
}
END_TEST

START_TEST(a_changed_bit_is_noticed)
{
    static uint8_t plain[300];
    uint8_t good[400];
    start();
    fill(plain, sizeof plain);
    size_t n = pack_at(packed, plain, sizeof plain, GZIP);
    memcpy(good, packed, n);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        memcpy(packed, good, n);
        packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (inflate_most(n, MOST)) /* of the head: time, system, flags of text */
            ck_assert(bytes_equal(inflated, bytes_of(plain, sizeof plain)));
        else
            ck_assert(err.code == ERR_INVALID || err.code == ERR_TOO_LARGE);
    }
    end();
}
END_TEST

START_TEST(nobody_waits_any_more)
{
    const int cancelled = 1;
    struct watch watch = {.cancel = &cancelled};
    static uint8_t plain[1 << 16];
    start();
    size_t n = pack_at(packed, plain, sizeof plain, GZIP);
    ck_assert(!coding_inflate(bytes_of(packed, n), MOST, &arena, &watch, &inflated, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    ck_assert(!coding_deflate(CODING_GZIP, bytes_of(plain, sizeof plain), &arena, &watch, &inflated));
    end();
}
END_TEST

START_TEST(memory_may_be_short_anywhere)
{
    static uint8_t plain[200000];
    start();
    fill(plain, sizeof plain);
    size_t n = pack_at(packed, plain, sizeof plain, GZIP);
    bool good = false;
    for (size_t nth = 1; !good; nth++) {
        ck_assert_uint_lt(nth, 50);
        arena_fail_at(nth, false);
        good = inflate_most(n, MOST);
        arena_fail_at(0, false);
        ck_assert(good || err.code == ERR_MEMORY);
        arena_free(&arena);
    }
    good = false;
    for (size_t nth = 1; !good; nth++) {
        ck_assert_uint_lt(nth, 50);
        arena_fail_at(nth, false);
        good = coding_deflate(CODING_GZIP, bytes_of(plain, sizeof plain), &arena, NULL, &inflated);
        arena_fail_at(0, false);
        arena_free(&arena);
    }
    end();
}
END_TEST

static const size_t replies[] = {CODING_LEAST_BYTES, 65536, 65537, 5 * 65536, 700000};

START_TEST(replies_are_packed_and_come_out)
{
    static uint8_t plain[700000];
    struct bytes deflated;
    enum coding coding = _i % 2 ? CODING_GZIP : CODING_DEFLATE;
    start();
    fill(plain, sizeof plain);
    struct bytes reply = bytes_of(plain, replies[_i / 2]);
    ck_assert(coding_deflate(coding, reply, &arena, NULL, &deflated));
    ck_assert_uint_lt(bytes_size(deflated), bytes_size(reply));
    ck_assert_int_eq(deflated.at[0], coding == CODING_GZIP ? 0x1f : 0x78);
    ck_assert_msg(coding_inflate(deflated, MOST, &arena, NULL, &inflated, &err), "%s", err.text);
    ck_assert(bytes_equal(inflated, reply));
    end();
}
END_TEST

START_TEST(replies_that_would_not_get_smaller_stay)
{
    static uint8_t noise[1 << 20];
    struct bytes deflated;
    uint64_t state = 7;
    start();
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (uint8_t)(state >> 56);
    }
    ck_assert(!coding_deflate(CODING_GZIP, bytes_of(noise, sizeof noise), &arena, NULL, &deflated));
    ck_assert(!coding_deflate(CODING_GZIP, bytes_of(noise, 2000), &arena, NULL, &deflated));
    memset(noise, 'x', CODING_LEAST_BYTES);
    ck_assert(!coding_deflate(CODING_GZIP, bytes_of(noise, CODING_LEAST_BYTES - 1), &arena, NULL, &deflated));
    ck_assert(!coding_deflate(CODING_IDENTITY, bytes_of(noise, CODING_LEAST_BYTES), &arena, NULL, &deflated));
    ck_assert(coding_deflate(CODING_GZIP, bytes_of(noise, CODING_LEAST_BYTES), &arena, NULL, &deflated));
    end();
}
END_TEST

Suite *serve_coding_suite(void)
{
    Suite *suite = suite_create("serve/coding");
    TCase *tcase = tcase_create("coding");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, codings_are_found_by_name, 0, sizeof found / sizeof *found);
    tcase_add_loop_test(tcase, the_highest_weight_is_preferred_and_the_first_of_equals, 0,
                        sizeof preferred / sizeof *preferred);
    tcase_add_loop_test(tcase, what_was_packed_comes_out, 0, 14);
    tcase_add_test(tcase, gzip_may_have_several_members);
    tcase_add_test(tcase, the_limit_is_exact);
    tcase_add_test(tcase, a_bomb_is_ended_by_its_ratio_and_takes_no_memory);
    tcase_add_test(tcase, a_bomb_of_many_members_is_one_too);
    tcase_add_loop_test(tcase, what_is_cut_short_anywhere_is_refused, 0, 2);
    tcase_add_loop_test(tcase, what_follows_the_end_is_refused, 0, sizeof followed / sizeof *followed);
    tcase_add_test(tcase, what_is_not_packed_is_refused);
    tcase_add_test(tcase, a_changed_bit_is_noticed);
    tcase_add_test(tcase, nobody_waits_any_more);
    tcase_add_test(tcase, memory_may_be_short_anywhere);
    tcase_add_loop_test(tcase, replies_are_packed_and_come_out, 0, 2 * sizeof replies / sizeof *replies);
    tcase_add_test(tcase, replies_that_would_not_get_smaller_stay);
    suite_add_tcase(suite, tcase);
    return suite;
}
